"""Runs that a framework tells of by callbacks: begun in one, ended in another, each with an id and its parent's.

A run of an *agent* is a query, or part of the query that is open, and so is a *task*, whose agent is told inside it;
one of a *tool*, a *graphql* operation or an *llm* is a call. A *step* only has others inside, and so has the *double*
of what is recorded already.

While a run is open its scope is current in the context in which its begin was told, so that what the application's own
code does there is inside it. Its end takes the scope out again. Where that comes in another context, as asynchronous
callbacks do, the scope stays behind, and from then on stands for what was around the run (`_runs.py`).

Where a run belongs is decided by the parent it names, unless something newer is open in the context at hand: a call of
the application's own, or a run that another framework told of. The latter also shows what
is told of twice: an agent in an agent, a tool in a tool of the same name is the same one, and of a model inside a model
the tokens of the innermost count.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec

from instrument.collecting.collector import collector
from instrument.collecting.guard import guard
from instrument.integrations._model_calls import enclosing_facts
from instrument.integrations._runs import OTHERS, OWN, Kind, Run
from instrument.interchange.semconv import Failure, Tokens, status_of
from instrument.recording.calls import OpenCall, close_call, is_inside, open_call
from instrument.recording.model_usage import Usage, add, fill
from instrument.recording.queries import OpenQuery, close_query, open_query
from instrument.recording.scope import CALL, ROW, Scope, begin_elsewhere, clock, is_suppressed, recording, scope_here
from instrument.redaction.rules import described
from instrument.rows.live import LiveFacts, LiveQuery
from instrument.spans import Query

P = ParamSpec("P")

_UNNAMED_MODEL = "model"

MOST = 10_000
"""Runs of one framework that may be open at once; beyond that the oldest is given up."""


def quietly(method: Callable[P, Any]) -> Callable[P, None]:
    """Guard a callback of ours, under the name of its framework."""
    return guard(f"callback {method.__module__.rpartition('.')[2]}")(method)


class RunTracker:
    """The runs that one framework tells of, by id, as long as they are open.

    One that `names_parents` has a run without a parent outside all others; else it is inside whichever is current.
    """

    def __init__(self, source: str, *, names_parents: bool = True) -> None:
        self.source = source
        self.names_parents = names_parents
        self.active = True
        self.runs: dict[Hashable, Run] = {}

    def stop(self) -> None:
        """Take in nothing new; what is open is still finished."""
        self.active = False

    def begin(
        self,
        key: Hashable,
        parent: Hashable,
        kind: Kind,
        name: str,
        *,
        label: str = "",
        user_input: Any = "",
        provider: str | None = None,
        entered: bool = True,
    ) -> None:
        """Take in that a run has begun.

        `name` is the agent's, tool's, operation's or model's, `label` what a query's own function would be called,
        `provider` who serves the model. `entered` False leaves the context as it is.
        """
        here = scope_here()
        own = self.runs.get(parent) if self.names_parents else self._innermost(here)
        if is_suppressed(here) or not recording() or (own is None and not self.active) or key in self.runs:
            return
        name = described(name)
        above, base = self._placed(own, here)
        if kind == "step" and own is None and base[ROW] is None:
            return  # nobody would have it
        run = Run(self, key, "double" if self._is_double(above, base, kind, name) else kind, name, above)
        self._record(run, base, label, user_input, provider)
        run.settle_in(base, here)
        if run.kind == "agent" and run.row is not None:
            _name_agent(run.row, name)
        self._remember(run, own)
        if entered and _is_to_enter(run, here):
            run.enter(here)

    def end(
        self,
        key: Hashable,
        error: BaseException | Failure | None = None,
        *,
        tokens: Tokens | None = None,
        cost: float | None = None,
        exclusive: bool = False,
        model: str | None = None,
        provider: str | None = None,
        user_input: str = "",
        result: Any = None,
    ) -> None:
        """Take in that a run has ended, with what is known by then; nothing for one that is not open.

        `exclusive` says that tokens and cost are without those of agents inside, which tell of their own.
        """
        run = self.runs.pop(key, None)
        if run is None:
            return
        if run.root is not None and run.root.family:
            run.root.family.discard(key)
        run.leave()
        if run.facts is not None:
            _name_model(run, model, provider)
        if (run.row is not None or run.facts is not None) and run.kind != "tool":
            is_part = run.kind == "agent" and run.opened is None
            if run.row is not None:
                _tell(run.row, model or (run.name if run.kind == "llm" else None), "" if is_part else user_input)
            if run.counted < (OWN if exclusive else OTHERS):
                _count(run, tokens, cost, model)
        ending, status = (None, None) if error is None else _ending(run, error)
        if run.family:
            self._close_family(run, "cancelled" if status == "cancelled" else "abandoned")
        if result is not None and _is_own_query(run):
            Query(run.row).set_result(result)
        if run.kind == "task" and run.row is not None:
            run.row.agent = run.row.agent or self.source
        _close(run, ending, status)
        run.forget()

    def name_late(self, key: Hashable, kind: Kind, name: str) -> None:
        """Make a call of a step, of which only its end tells what it was; the calls inside stay beside it."""
        run = self.runs.get(key)
        if run is not None and run.kind == "step" and kind in ("tool", "graphql"):
            run.opened = open_call(kind, described(name), entered=False, at=run, began=run.began)

    def answers(self, key: Hashable) -> None:
        """Take in that the first part of a model's answer is there."""
        run = self.runs.get(key)
        if run is not None and run.facts is not None and run.facts.first_chunk is None:
            run.facts.first_chunk = clock() - run.facts.began

    def raised(self, key: Hashable) -> BaseException | None:
        """The exception on its way through the code that tells of a run's end, if it came up inside the run."""
        run = self.runs.get(key)
        return None if run is None else run.raised_since()

    def query_of(self, key: Hashable) -> Query:
        """The query that an open run belongs to."""
        run = self.runs.get(key)
        return Query(None if run is None else run.row)

    # -- where it belongs, and what it is recorded as ----------------------------------------------------------

    def _innermost(self, here: Scope) -> Run | None:
        while isinstance(here, Run):
            if here.source is self:
                return here
            here = here.around
        return None

    def _placed(self, own: Run | None, here: Scope) -> tuple[Run | None, Scope]:
        """The run and the scope that a new run is inside of."""
        outer = here
        while isinstance(outer, Run) and outer.source is self:
            outer = outer.around  # this framework names parents: where it names none, there is none
        told = outer if isinstance(outer, Run) and outer.source is not None else None
        if own is None or (told is not None and told.order > own.order and told.row is own.row):
            return told, outer
        if here[ROW] is own.row is not None and not isinstance(here, Run):
            call = begin_elsewhere(here)[CALL]
            if call is not None and call is not own.call_around:
                return own, here
        return own, own

    def _record(self, run: Run, base: Scope, label: str, user_input: Any, provider: str | None) -> None:
        row: LiveQuery | None = base[ROW]
        alone = row is None or row.scope is None
        if run.kind == "task" and alone:
            run.opened = open_query(None, label, user_input, entered=False, at=base)
        elif run.kind == "agent" and (row is None or alone or row.agent is None):
            run.opened = open_query(run.name or self.source, label, user_input, entered=False, at=base)
        elif run.kind in ("tool", "graphql"):
            run.opened = open_call(run.kind, run.name, entered=False, at=base)
        elif run.kind == "llm":
            run.facts = enclosing_facts(base)
            if run.facts is None:
                run.facts = LiveFacts(run.name or None, provider)
                run.opened = open_call("model", run.name or _UNNAMED_MODEL, entered=False, at=base, facts=run.facts)

    def _is_double(self, above: Run | None, base: Scope, kind: Kind, name: str) -> bool:
        """Whether another framework, or the application itself, tells of the same just now."""
        if kind not in ("agent", "tool", "graphql"):
            return False
        if above is not None and above.source is not self:
            return above.kind in (kind, "double") and above.name == name
        return kind != "agent" and not isinstance(base, Run) and is_inside(base, kind, name)

    # -- what is open ------------------------------------------------------------------------------------------

    def _remember(self, run: Run, own: Run | None) -> None:
        self.runs[run.key] = run
        root = None if own is None else own.root or own
        if root is not None and root.key in self.runs:
            run.root = root
            if root.family is None:
                root.family = set()
            root.family.add(run.key)
        if len(self.runs) > MOST:
            oldest = next(iter(self.runs.values()))
            self._give_up(oldest.root or oldest)

    def _give_up(self, root: Run) -> None:
        """Finish the oldest, of which no end was ever told."""
        self.runs.pop(root.key, None)
        self._close_family(root, "abandoned")
        root.leave()
        _close(root, None, "abandoned")
        root.forget()
        collector.trouble(f"{self.source}: runs of which no end was told", OverflowError(f"more than {MOST} are open"))

    def _close_family(self, root: Run, status: str) -> None:
        """Finish what is still open inside a run that has ended, the innermost first."""
        inside, root.family = list(root.family or ()), None
        left = [run for key in inside if (run := self.runs.pop(key, None)) is not None]
        for run in sorted(left, key=lambda run: -run.order):
            run.leave()
            _close(run, None, status)
            run.forget()


def _is_to_enter(run: Run, here: Scope) -> bool:
    """Whether it makes a difference, and no harm: a model's stream may be read by what is outside the query."""
    if run.kind == "llm":
        return here[ROW] is run.row is not None
    return run.kind != "step" or here[ROW] is not run.row


def _close(run: Run, error: BaseException | None, status: str | None) -> None:
    if isinstance(run.opened, OpenCall):
        close_call(run.opened, error, status)
    elif run.opened is not None:
        close_query(run.opened, error, status)


def _is_own_query(run: Run) -> bool:
    """Whether the framework itself began the query that a run is in: then it says what the answer was."""
    opened = (run.root or run).opened
    return isinstance(opened, OpenQuery) and not opened.joined and opened.row is run.row


def _tell(row: LiveQuery, model: str | None, user_input: str) -> None:
    """Fill in what a query does not know yet."""
    if model or user_input:
        with collector.lock:
            if row.scope is not None:
                row.user_input = row.user_input or user_input
                row.model = row.model or model


def _name_model(run: Run, model: str | None, provider: str | None) -> None:
    """Keep which model answered; a call of which only its end says that takes its name from there."""
    facts = run.facts
    if facts is None or facts.ended:
        return
    if model and model != run.name:  # the one that was asked says nothing of the one that answered
        facts.model = model
    facts.provider = facts.provider or provider
    if model and isinstance(run.opened, OpenCall) and run.opened.call.name == _UNNAMED_MODEL:
        run.opened.call.name = described(model)


def _count(run: Run, tokens: Tokens | None, cost: float | None, model: str | None) -> None:
    """Keep tokens and cost (US dollars), of a model's call or of a query, and let the runs around know of them."""
    if tokens is None and cost is None:
        return
    row = run.row
    with collector.lock:
        if tokens is not None and run.facts is not None:
            fill(run.facts, Usage(*tokens))
        elif tokens is not None and row is not None and row.scope is not None:
            row.beside = row.beside or LiveFacts()
            add(row.beside, Usage(*tokens)._replace(input=tokens.input or 0, output=tokens.output or 0))
        if cost is not None and run.facts is not None:
            run.facts.cost_usd = (run.facts.cost_usd or 0) + cost
        if row is not None and row.scope is not None:
            row.model = model or row.model
    if cost is not None and row is not None:
        Query(row).record_metric("cost_usd", (row.metrics or {}).get("cost_usd", 0) + cost)
    whose, inner, above = OWN, run, run.parent
    while above is not None:
        whose = OTHERS if inner.kind == "agent" else whose
        above.counted = max(above.counted, whose)
        inner, above = above, above.parent


def _name_agent(row: LiveQuery, name: str) -> None:
    """Keep the names of the agents that work on a query, once there are several."""
    known = str((row.attributes or {}).get("agents") or row.agent or "").split(" > ")
    if name and name not in known:
        Query(row).set_attributes(agents=" > ".join([*known, name]))


def _ending(run: Run, error: BaseException | Failure) -> tuple[BaseException | None, str | None]:
    """The exception that a run ended with, or the status that it has without one."""
    if not isinstance(error, Failure):
        return error, status_of(Failure(type(error).__name__, None))
    status = status_of(error)
    if status != "error":
        return None, status
    raised = run.raised_since()
    if raised is None or type(raised).__name__ != error.type:
        raised = run.failed[1] if run.failed is not None and run.failed[0] == error else _exception(error)
    if run.parent is not None:
        run.parent.failed = (error, raised)
    return raised, None


def _exception(failure: Failure) -> BaseException:
    """An exception of the type's name, for a failure of which only that is known."""
    name = failure.type.encode("utf-8", "replace").decode().replace("\0", "")
    return _kind_of_exception(name[:200])(failure.message or "")


@functools.lru_cache(256)
def _kind_of_exception(name: str) -> type[Exception]:
    return type(name, (Exception,), {})
