"""The wrappers themselves: the one room where speed decides how the code looks.

What was measured, in a query with three tool and two GraphQL calls (CPython 3.11, whole cost of recording = 1.00):

* A wrapper with the function's own parameters instead of `*args, **kwargs`: 1.22 without. So wrappers are compiled from
  a template, once per shape of signature and kind of function, and then given the function's own names by
  `code.replace` (20 µs a decoration; compiling each anew would be 500).
* The context variable holds the query's scope, not the innermost call, which the scope knows itself: 1.17 otherwise.
  Only what may interleave, async calls and streams, has a scope of its own.
* A call appends its final row at once and is given its duration at its end; the query's row is what is encoded: 1.24
  with tuples that the writer converts.
* `scope[THREAD] == ident()` is the only question a call asks: no query, ended, another thread, after a fork, suppressed
  and switched off all answer no and go the general way (`slow_path.py`).
* Constants of the code in the place of globals (lists and bound methods among them) brought 1 %, and `hot.NAME` costs
  2 to 4 % against globals in hot loops. The first is gone and the second stays: code that cannot be hashed ends
  programs under a debugger, and globals that cannot be pickled keep functions from other processes.
* Functions with the same parameters shared their code: 1.00 hot and cold. Each has its own, under its own name.
* An async call's frame is among the query's open ones only while the call runs: 1.1 to 1.28 in queries of async
  functions where all frames stay for the query's end to close.
* `len(buffer) > LIMIT` is the only question a finished query asks (`collector.py`).
* No identity, wall clock or size of anything but text is computed here.

The general way and this one record the same; `tests/recording/test_templates.py` holds them against each other.

What a debugger, profiler or pickler sees: one frame a call, named as the function, with one line (`_one_line`); code
whose constants are None, numbers and texts; globals that are functions, classes and the module `hot`, all of which
pickle by name. No value of a user's is in the source: parameters' names come in by `code.replace`, values by closure.
"""

from __future__ import annotations

import functools
import linecache
import re
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, cast

from instrument.collecting import hot
from instrument.collecting.collector import collector
from instrument.collecting.finalizing import size_later
from instrument.recording import scope
from instrument.recording.calls import finish_call
from instrument.recording.failures import note_error
from instrument.recording.operation_names import names
from instrument.recording.queries import end_query, settle
from instrument.recording.recursion import ask_for_room, end_unended
from instrument.recording.scope import (
    CALL,
    NOBODY,
    ROW,
    STREAMS,
    THREAD,
    Scope,
    clock,
    current,
    leave,
)
from instrument.recording.signatures import ASYNC, ASYNC_STREAM, STREAM, Signature, kind_of
from instrument.recording.slow_path import (
    Site,
    begin,
    begin_async_stream,
    begin_stream,
    call_streams,
    fail,
    finish,
    graphql_answered,
    named_by,
    query_streams,
)
from instrument.recording.variables import LONGEST, encode, variables_of
from instrument.redaction.rules import described
from instrument.rows.live import LiveCall, LiveQuery

_GENERAL = """
    opened = begin(site, {INPUT}{VARIABLES})
    try:
        result = {AWAIT}fn({CALL})
    except BaseException as error:
        try:
            fail(opened, error)
        except RecursionError:
            hot.unended = fail, (opened, error), hot.unended
        raise
    return finish(site, opened, result)
"""

_MODEL = """
{DEF}
{OTHERWISE}
"""

_QUERY = """
{DEF}
    if hot.get(hot.ABSENT) is hot.NOBODY:
        text = {INPUT}
        calls = []
        started = hot.clock()
        scope = [hot.ident(), started, calls, None, None, None]
        row = scope[ROW] = LiveQuery(
            started, hot.serial(), agent, text if type(text) is str else described(text), name, calls, scope
        )
        hot.opened_add(row)
        token = hot.set(scope)
        try:
            result = {AWAIT}fn({CALL})
        except BaseException as error:
            try:
                query_failed(row, token, error)
            except RecursionError:
                hot.unended = query_failed, (row, token, error), hot.unended
            raise
        row.duration = hot.clock() - started
        try:
            try:
                hot.reset(token)
            except ValueError:
                leave(scope, token)  # it ends in another context than it began in
            kind = type(result)
            if kind is str and result.isascii():
                row.result_size = len(result)
            else:
                try:
                    streams = kind in hot.STREAMS
                except Exception:
                    streams = False  # its type has no hash
                if streams:
                    return query_streams(row, result)
                if result is not None or row.result_size is None:
                    row.result_size = size_later(result)
            hot.opened_discard(row)
            scope[THREAD] = -scope[THREAD]
            row.scope = None
            frames = row.frames
            if frames is not None:
                if frames:
                    settle(row, scope[THREAD])
                else:
                    row.frames = None
            hot.append(row)
            if len(hot.buffer) > hot.LIMIT:
                hot.overflow()
        except Exception as problem:
            query_trouble(row, problem)
        return result
{OTHERWISE}
"""

_CALL = """
{DEF}
    scope = hot.get()
    if scope[THREAD] == hot.ident():
        {GIVEN}
        began = hot.clock()
        calls = scope[CALLS]
        outer = scope[OPEN]
        call = LiveCall({NAME}, began - scope[STARTED], outer{KIND}{MORE})
        scope[OPEN] = len(calls)
        calls.append(call)
        try:
            result = fn({CALL})
        except BaseException as error:
            scope[OPEN] = outer
            try:
                call_failed(call, began, error)
            except RecursionError:
                hot.unended = call_failed, (call, began, error), hot.unended
            raise
        call.duration = hot.clock() - began
        scope[OPEN] = outer
        {CHECK}
        {RETURN}
{OTHERWISE}
"""

_ASYNC_CALL = """
{DEF}
    scope = hot.get()
    thread = hot.ident()
    if scope[THREAD] == thread:
        {GIVEN}
        began = hot.clock()
        started = scope[STARTED]
        calls = scope[CALLS]
        row = scope[ROW]
        call = LiveCall({NAME}, began - started, scope[OPEN]{KIND}{MORE})
        place = len(calls)
        frame = [thread, started, calls, place, row, call]
        calls.append(call)
        frames = row.frames
        if frames is None:
            frames = row.frames = {}
        frames[place] = frame
        token = hot.set(frame)
        try:
            result = await fn({CALL})
        except BaseException as error:
            try:
                async_call_failed(frame, token, began, error)
            except RecursionError:
                hot.unended = async_call_failed, (frame, token, began, error), hot.unended
            raise
        ended = hot.clock()
        try:
            hot.reset(token)
        except ValueError:
            leave(frame, token)  # it ends in another context than it began in
        {CHECK}
        if frame[THREAD] > 0:
            call.duration = ended - began
            frame[THREAD] = -thread
            del frames[place]
        else:
            finish_call(row, call, began, ended, False, None)
        {RETURN}
{OTHERWISE}
"""

_STREAM = """
{DEF}
    inner = fn({CALL})
    stream = begin_stream(site, inner, {INPUT})
    if stream is None:
        return (yield from inner)
    return (yield from stream)
"""

_ASYNC_STREAM = """
{DEF}
    inner = fn({CALL})
    stream = begin_async_stream(site, inner, {INPUT})
    resume, sent = stream.asend, None
    try:
        while True:
            chunk = await resume(sent)
            resume, sent = stream.asend, None
            try:
                sent = yield chunk
            except GeneratorExit:
                await stream.aclose()
                raise
            except BaseException as error:
                resume, sent = stream.athrow, error
    except StopAsyncIteration:
        return
    finally:
        sent = None
"""

_WATCH = """
{DEF}
    state = watch.begin({ARGS}, {KWARGS})
    try:
        result = {AWAIT}fn({CALL})
    except BaseException:
        watch.end(state, None, True)
        raise
    watch.end(state, result, False)
    return result
"""

_OPERATION = (
    "hot.named.get(document) or named_by(document, name)"
    " if type(document := {INPUT}) is str else named_by(document, name)"
)
_ERRORS = """if result is not None if type(result) is not dict else "errors" in result:
            graphql_answered(call, result)"""

_GIVEN = """try:
            given = hot.encode({VALUES} or {INPUT})
            if len(given) > hot.LONGEST:
                given = variables_of({VALUES} or {INPUT})
        except Exception:
            given = None"""
"""What `variables_of` does, in line: that saves its call, 45 of 190 ns."""

_RETURN = """try:
            if type(result) not in hot.STREAMS:
                return result
        except Exception:
            return result  # its type has no hash
        return call_streams(scope, call, began, result)"""

_FREE = "fn, site, name, agent, wanted, pick, watch"
"""What a wrapper has as free variables, as far as it uses them."""

_PLACE = re.compile(r"(?<=\[)(?:THREAD|STARTED|CALLS|OPEN|ROW)(?=\])")
_PART = re.compile(r"\{([A-Z]+)\}")

FILENAME = "<instrument>"
"""What stands for a file's name in tracebacks and profiles; `linecache` gives its one line."""

_SHOWN = "return decorated_function(...)  # recorded by instrument\n"


def _filled(template: str, parts: dict[str, str]) -> str:
    """A template with its parts, which may have parts of their own; all of them are ours."""
    while _PART.search(template):
        template = _PART.sub(lambda part: parts[part[1]], template)
    return _PLACE.sub(lambda place: str(getattr(scope, place[0])), template)


@functools.lru_cache(512)
def _factory(template: str, parts: tuple[tuple[str, str], ...]) -> Callable[..., FunctionType]:
    """Compile a template: what it gives makes the wrappers of all functions of one shape."""
    body = _filled(template, dict(parts)).strip().replace("\n", "\n    ")
    made: dict[str, Any] = {}
    exec(compile(f"def factory({_FREE}):\n    {body}\n    return wrapper\n", FILENAME, "exec"), _namespace, made)
    factory = cast(FunctionType, made["factory"])
    code = factory.__code__
    inside = [_one_line(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    factory.__code__ = code.replace(co_consts=tuple(inside))
    return factory


def _one_line(code: CodeType) -> CodeType:
    """The code as if it stood on one line, so that a debugger's `step` stops in it once and not fifteen times.

    An entry of a location table covers eight instructions at most; 13 says "a line, no columns", 0 "the same line".
    """
    units = len(code.co_code) // 2
    entries = (bytes((0x80 | 13 << 3 | min(8, units - place) - 1, 0)) for place in range(0, units, 8))
    return code.replace(co_firstlineno=1, co_linetable=b"".join(entries))


def wrap(function: Any, site: Site, pick: Any = None, kind: str | None = None, calls: Any = None) -> FunctionType:
    """Make the wrapper that records a function's calls.

    What is not plain about a callable: `calls` is what is called in the function's place, `kind` what kind of function
    that is, `pick` what finds the input in its arguments.
    """
    signature, kind = Signature(function), kind or kind_of(function)
    waits = kind in (ASYNC, ASYNC_STREAM)
    by_document = site.kind == "graphql" and not site.named
    document = signature.input(site.kind, site.wanted) if site.kind == "graphql" and pick is None else ""
    variables = signature.variables() if site.kind == "graphql" and pick is None else ""
    parts = {
        "NAME": _OPERATION if by_document else "name",
        "CHECK": _ERRORS if site.kind == "graphql" else "",
        "KIND": "" if site.kind == "tool" else f', None, "{site.kind}"',
        "VARIABLES": f", variables_of({variables} or {document})" if variables else "",
        "MORE": ", None, given" if variables else "",
        "GIVEN": _GIVEN if variables else "",
        "VALUES": variables,
        "INPUT": "pick(p0, pv, pk)" if pick is not None else signature.input(site.kind, site.wanted),
        "RETURN": _RETURN,
        "OTHERWISE": _GENERAL,
        **_of_signature(signature, waits),
    }
    template = {STREAM: _STREAM, ASYNC_STREAM: _ASYNC_STREAM}.get(kind)
    if template is None:
        # A call to a model takes so long that the short way would bring nothing.
        template = {"query": _QUERY, "model": _MODEL}.get(site.kind, _ASYNC_CALL if waits else _CALL)
    factory = _factory(template, tuple(parts.items()))
    made = factory(calls or function, site, site.name, site.agent, site.wanted, pick, None)
    _dress(made, function, signature).__instrument_site__ = site  # type: ignore[attr-defined]
    return made


def watched(function: FunctionType, watch: Any) -> FunctionType:
    """Make a wrapper that shows a function's arguments to `watch.begin` and its end to `watch.end`."""
    signature = Signature(function)
    parts = _of_signature(signature, kind_of(function) == ASYNC)
    made = _factory(_WATCH, tuple(parts.items()))(function, None, None, None, None, None, watch)
    return _dress(made, function, signature)


def _of_signature(signature: Signature, waits: bool) -> dict[str, str]:
    parts = signature.parts()
    head = f"{'async ' if waits else ''}def wrapper({parts['PARAMETERS']}):"
    return {**parts, "DEF": head, "AWAIT": "await " if waits else ""}


def _dress(made: FunctionType, function: Any, signature: Signature) -> FunctionType:
    """Give a wrapper the function's parameters' names, so that keywords and error messages fit, and its looks."""
    _show_line()
    code = made.__code__
    known = dict(
        zip((f"k{place}" for place in range(len(signature.only_keyword))), signature.only_keyword, strict=True)
    )
    made.__code__ = code.replace(
        co_varnames=signature.names + code.co_varnames[len(signature.names) :],
        co_consts=tuple(_renamed(constant, known) for constant in code.co_consts) if known else code.co_consts,
        co_name=function.__name__,
        co_qualname=function.__qualname__,
    )
    made.__defaults__ = function.__defaults__
    made.__kwdefaults__ = function.__kwdefaults__ and dict(function.__kwdefaults__)
    return cast(FunctionType, functools.update_wrapper(made, function))


def _show_line() -> None:
    """Give debuggers and tracebacks the wrappers' one line, unless they have it: some programs empty the cache."""
    if FILENAME not in linecache.cache:
        linecache.cache[FILENAME] = (len(_SHOWN), None, [_SHOWN], FILENAME)


def _renamed(constant: Any, known: dict[str, str]) -> Any:
    """A constant of the template's: texts `k0`, `k1` … stand for names of parameters, alone or in a call's tuple."""
    if isinstance(constant, tuple):
        return tuple(known.get(part, part) for part in constant)
    return known.get(constant, constant) if isinstance(constant, str) else constant


# -- what the wrappers call when it is not the usual case --------------------------------------------------------------


def query_failed(row: LiveQuery, token: Any, error: BaseException) -> None:
    """End an outermost query that an exception leaves."""
    try:
        ask_for_room()
        if hot.unended is not None:
            end_unended()
        leave(row.scope, token)
        end_query(row, error)
    except RecursionError:
        raise
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("query", problem)


def query_trouble(row: LiveQuery, problem: Exception) -> None:
    """End a query whose ending failed on our side."""
    try:
        collector.trouble("query", problem)
        current.set(NOBODY)
        end_query(row)
    except RecursionError:
        hot.unended = query_trouble, (row, problem), hot.unended


def call_failed(call: LiveCall, began: int, error: BaseException) -> None:
    """Note the exception that leaves a call."""
    ended = clock()
    try:
        if hot.unended is not None:
            end_unended()
        note_error(call, began, error)
    except RecursionError:
        raise
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("call", problem)
    call.duration = ended - began


def async_call_failed(frame: Scope, token: Any, began: int, error: BaseException) -> None:
    """End an async call that an exception leaves."""
    ended = clock()
    try:
        ask_for_room()
        if hot.unended is not None:
            end_unended()
        leave(frame, token)
        note_error(frame[CALL], began, error)
        finish_call(frame[ROW], frame[CALL], began, ended, False, error)
        if frame[THREAD] > 0:
            frame[THREAD] = 0
    except RecursionError:
        raise
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("call", problem)


_namespace: dict[str, Any] = {
    "__name__": __name__,
    "hot": hot,
    "LiveQuery": LiveQuery,
    "LiveCall": LiveCall,
    "described": described,
    "size_later": size_later,
    "settle": settle,
    "leave": leave,
    "finish_call": finish_call,
    "query_failed": query_failed,
    "query_trouble": query_trouble,
    "call_failed": call_failed,
    "async_call_failed": async_call_failed,
    "graphql_answered": graphql_answered,
    "named_by": named_by,
    "variables_of": variables_of,
    "query_streams": query_streams,
    "call_streams": call_streams,
    "begin": begin,
    "fail": fail,
    "finish": finish,
    "begin_stream": begin_stream,
    "begin_async_stream": begin_async_stream,
}
"""The wrappers' globals: only what pickles by its name, since dill takes all of them along."""

hot.get, hot.set, hot.reset, hot.ABSENT = current.get, current.set, current.reset, scope._ABSENT
hot.clock = clock
hot.buffer, hot.append, hot.overflow = collector.buffer.rows, collector.buffer.rows.append, collector.overflow
hot.opened_add, hot.opened_discard = collector.opened.add, collector.opened.discard
hot.STREAMS, hot.named = STREAMS, names
hot.encode, hot.LONGEST = encode, LONGEST
_show_line()
