"""The wrappers themselves: the one room where speed decides how the code looks.

What was measured, in a query with three tool and two GraphQL calls (CPython 3.11, whole cost of recording = 1.00):

* A wrapper with the function's own parameters instead of `*args, **kwargs`: 1.22 without. So wrappers are compiled from
  a template, once per shape of signature and kind of function, and then given the function's own names by
  `code.replace` (20 µs a decoration; compiling each anew would be 500).
* The context variable holds the query's scope, not the innermost call, which the scope knows itself: 1.17 otherwise.
  Only what may interleave, async calls and streams, has a scope of its own.
* A call appends its final row at once and is given its duration at its end; the query's row is what is encoded: 1.24
  with tuples that the writer converts.
* `scope[THREAD] != ident()` is the only question a call asks: no query, ended, another thread, after a fork, suppressed
  and switched off all answer yes and go the general way (`queries.py`, `calls.py`).
* What a wrapper uses is a constant of its code, not a global: 0.98, and 0.96 where other work has emptied the
  processor's caches between queries. Functions with the same parameters share their code.
* `len(buffer) > LIMIT` is the only question a finished query asks (`collector.py`).
* No identity, wall clock or size of anything but text is computed here.

The general way and this one record the same; `tests/recording/test_templates.py` holds them against each other.
"""

from __future__ import annotations

import ast
import functools
import re
import warnings
from collections.abc import Callable
from threading import get_ident
from types import CodeType, FunctionType
from typing import Any, cast

from instrument.collecting.collector import collector
from instrument.collecting.finalizing import size_later
from instrument.collecting.switches import CHANGING, switches
from instrument.recording import scope
from instrument.recording.calls import finish_call
from instrument.recording.failures import note_error
from instrument.recording.operation_names import names
from instrument.recording.queries import end_query, settle
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
    call_streams,
    general_async,
    general_async_stream,
    general_stream,
    general_sync,
    graphql_answered,
    named_by,
    query_streams,
)
from instrument.redaction.rules import described
from instrument.rows.live import LiveCall, LiveQuery

_QUERY = """
{DEF}
    outer = get(ABSENT)
    if outer is not NOBODY:
        return {AWAIT}{GENERAL}(site, fn, {ARGS}, {KWARGS}, {INPUT})
    text = {INPUT}
    calls = []
    started = clock()
    scope = [ident(), started, calls, None, None, None]
    row = scope[ROW] = LiveQuery(
        started, serial(), agent, text if type(text) is str else described(text), name, calls, scope
    )
    opened_add(row)
    token = set(scope)
    try:
        result = {AWAIT}fn({CALL})
    except BaseException as error:
        query_failed(row, token, error)
        raise
    row.duration = clock() - started
    try:
        try:
            reset(token)
        except ValueError:
            pass  # it ends in another context than it began in, which is as it should be
        kind = type(result)
        if kind is str and result.isascii():
            row.result_size = len(result)
        elif kind in STREAMS:
            return query_streams(row, result)
        elif result is not None or row.result_size is None:
            row.result_size = size_later(result)
        opened_discard(row)
        scope[THREAD] = 0
        row.scope = None
        if row.frames is not None:
            settle(row)
        append(row)
        if len(buffer) > LIMIT:
            overflow()
    except Exception as problem:
        query_trouble(row, problem)
    return result
"""

_CALL = """
{DEF}
    scope = get()
    if scope[THREAD] != ident():
        return {GENERAL}(site, fn, {ARGS}, {KWARGS}, {INPUT})
    began = clock()
    calls = scope[CALLS]
    outer = scope[OPEN]
    call = LiveCall({NAME}, began - scope[STARTED], outer{KIND})
    scope[OPEN] = len(calls)
    calls.append(call)
    try:
        result = fn({CALL})
    except BaseException as error:
        call.duration = clock() - began
        scope[OPEN] = outer
        call_failed(call, began, error)
        raise
    call.duration = clock() - began
    scope[OPEN] = outer
    {CHECK}
    if type(result) in STREAMS:
        return call_streams(scope, call, began, result)
    return result
"""

_ASYNC_CALL = """
{DEF}
    scope = get()
    thread = ident()
    if scope[THREAD] != thread:
        return await {GENERAL}(site, fn, {ARGS}, {KWARGS}, {INPUT})
    began = clock()
    started = scope[STARTED]
    calls = scope[CALLS]
    row = scope[ROW]
    call = LiveCall({NAME}, began - started, scope[OPEN]{KIND})
    frame = [thread, started, calls, len(calls), row, call]
    calls.append(call)
    if row.frames is None:
        row.frames = [frame]
    else:
        row.frames.append(frame)
    token = set(frame)
    try:
        result = await fn({CALL})
    except BaseException as error:
        async_call_failed(frame, token, began, error)
        raise
    ended = clock()
    try:
        reset(token)
    except ValueError:
        pass  # it ends in another context than it began in, which is as it should be
    {CHECK}
    if frame[THREAD]:
        call.duration = ended - began
        frame[THREAD] = 0
    else:
        finish_call(row, call, began, ended, False, None)
    if type(result) in STREAMS:
        return call_streams(scope, call, began, result)
    return result
"""

_STREAM = """
{DEF}
    inner = fn({CALL})
    stream = {GENERAL}(site, inner, {INPUT})
    if stream is None:
        return (yield from inner)
    return (yield from stream)
"""

_ASYNC_STREAM = """
{DEF}
    inner = fn({CALL})
    stream = {GENERAL}(site, inner, {INPUT})
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

_OPERATION = (
    "named.get(document) or named_by(document, name) if type(document := {INPUT}) is str else named_by(document, name)"
)
_ERRORS = """if result is not None if type(result) is not dict else "errors" in result:
        graphql_answered(call, result)"""

_PLACE = re.compile(r"(?<=\[)(?:THREAD|STARTED|CALLS|OPEN|ROW)(?=\])")


@functools.cache
def _factory(template: str, parts: tuple[tuple[str, str], ...]) -> Callable[..., FunctionType]:
    source = _PLACE.sub(lambda place: str(getattr(scope, place[0])), _filled(template, dict(parts)))
    body = "\n".join("    " + line for line in source.strip().split("\n"))
    module = f"def factory(fn, site, name, agent):\n{body}\n    return wrapper\n"
    tree = _Constants().visit(ast.parse(module))
    made: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # "not callable": the constant is a stand-in until `_renamed`
        exec(compile(tree, "<instrument>", "exec"), switches.names, made)
    return made["factory"]  # type: ignore[no-any-return]


class _Constants(ast.NodeTransformer):
    """Puts a text in the place of every name that is known once and for all; `_renamed` puts the thing itself there."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Leave parameters, local names and what may change."""
        if isinstance(node.ctx, ast.Store) or node.id not in switches.names or node.id in CHANGING:
            return node
        return ast.copy_location(ast.Constant(_STAND_IN + node.id), node)


_STAND_IN = "\0"


def _filled(template: str, parts: dict[str, str]) -> str:
    for key, value in parts.items():
        template = template.replace("{" + key + "}", value)
    return template


def wrap(function: FunctionType, site: Site, find: Callable[[Signature], str], kind: str | None = None) -> FunctionType:
    """Compile the wrapper of a function; `find` picks the expression of its input or document.

    `kind` is the function's own unless given: one that only calls another is of that one's kind.
    """
    signature, kind = Signature(function), kind or kind_of(function)
    waits = kind in (ASYNC, ASYNC_STREAM)
    graphql = site.kind == "graphql"
    found = find(signature)
    parts = {
        "NAME": _OPERATION if graphql and not site.named else "name",
        "CHECK": _ERRORS if graphql else "",
        "KIND": ', None, "graphql"' if graphql else "",
        "DEF": f"{'async ' if waits else ''}def wrapper({signature.parts()['PARAMETERS']}):",
        "AWAIT": "await " if waits else "",
        "GENERAL": f"general_{kind.replace(' ', '_')}",
        "INPUT": found,
        **signature.parts(),
    }
    template = {STREAM: _STREAM, ASYNC_STREAM: _ASYNC_STREAM}.get(kind)
    if template is None:
        template = _QUERY if site.kind == "query" else _ASYNC_CALL if waits else _CALL
    made = _factory(template, tuple(parts.items()))(function, site, site.name, site.agent)
    made.__code__ = _renamed(made.__code__, signature.names, signature.only_keyword)
    made.__defaults__ = function.__defaults__
    made.__kwdefaults__ = function.__kwdefaults__ and dict(function.__kwdefaults__)
    return cast(FunctionType, functools.update_wrapper(made, function))


@functools.cache
def _renamed(code: CodeType, names: tuple[str, ...], only_keyword: tuple[str, ...]) -> CodeType:
    """The template's code under a function's own parameter names, so that keywords and error messages fit.

    Functions with the same parameters share it, which keeps the processor's caches warmer.
    """
    known = dict(zip((f"k{place}" for place in range(len(only_keyword))), only_keyword, strict=True))
    constants = tuple(_constant(constant, known) for constant in code.co_consts)
    return code.replace(co_varnames=names + code.co_varnames[len(names) :], co_consts=constants)


def _constant(constant: Any, known: dict[str, str]) -> Any:
    if isinstance(constant, tuple) and all(isinstance(part, str) for part in constant):
        return tuple(known.get(part, part) for part in constant)
    if not isinstance(constant, str):
        return constant
    if constant.startswith(_STAND_IN):
        return switches.names[constant.removeprefix(_STAND_IN)]
    return known.get(constant, constant)


# -- what the wrappers call when it is not the usual case --------------------------------------------------------------


def query_failed(row: LiveQuery, token: Any, error: BaseException) -> None:
    """End an outermost query that an exception leaves."""
    try:
        leave(row.scope, token)
        end_query(row, error)
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("query", problem)


def query_trouble(row: LiveQuery, problem: Exception) -> None:
    """End a query whose ending failed on our side."""
    collector.trouble("query", problem)
    current.set(NOBODY)
    end_query(row)


def call_failed(call: LiveCall, began: int, error: BaseException) -> None:
    """Note the exception that leaves a call."""
    try:
        note_error(call, began, error)
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("call", problem)


def async_call_failed(frame: Scope, token: Any, began: int, error: BaseException) -> None:
    """End an async call that an exception leaves."""
    ended = clock()
    try:
        leave(frame, token)
        note_error(frame[CALL], began, error)
        finish_call(frame[ROW], frame[CALL], began, ended, False, error)
        frame[THREAD] = 0
    except Exception as problem:  # noqa: BLE001 - ours, and so never the application's
        collector.trouble("call", problem)


switches.define(
    buffer=collector.buffer.rows,
    get=current.get,
    ABSENT=scope._ABSENT,
    set=current.set,
    reset=current.reset,
    clock=clock,
    ident=get_ident,
    append=collector.buffer.rows.append,
    overflow=collector.overflow,
    opened_add=collector.opened.add,
    opened_discard=collector.opened.discard,
    LiveQuery=LiveQuery,
    LiveCall=LiveCall,
    STREAMS=STREAMS,
    named=names,
    described=described,
    size_later=size_later,
    settle=settle,
    finish_call=finish_call,
    query_failed=query_failed,
    query_trouble=query_trouble,
    call_failed=call_failed,
    async_call_failed=async_call_failed,
    graphql_answered=graphql_answered,
    named_by=named_by,
    query_streams=query_streams,
    call_streams=call_streams,
    general_sync=general_sync,
    general_async=general_async,
    general_stream=general_stream,
    general_async_stream=general_async_stream,
)
