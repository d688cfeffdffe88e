"""A query and its calls while they are made: with no more fields than nearly all of them have.

A stored query has 28 fields, most of them at their defaults. Making, encoding and freeing those took a twentieth of
what recording costs, in cold caches a tenth (a query with five calls, both shapes in one process). So what few have
lies in `more`, which those few alone pay for, and reads and is set like any other field. A lean row without `more` is
encoded as it is, under the keys of `stored.py`; one that has it is turned into the stored shape first.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class _Rare(Generic[T]):
    """A field that lies in a row's `more`; `default` is what all other rows have."""

    __slots__ = ("_default", "_name")

    def __init__(self, default: T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, row: Any, owner: Any = None) -> T:
        if row.more is None:
            return self._default
        value: T = getattr(row.more, self._name)
        return value

    def __set__(self, row: Any, value: T) -> None:
        if row.more is None:
            if value == self._default:
                return
            row.more = row.begin_more()
        setattr(row.more, self._name, value)


class Origin(Struct, gc=False, omit_defaults=True, rename={"host": "h", "process": "p"}):
    """Where a record was made; one shared object a process."""

    host: str
    process: int


class ChoiceRow(Struct, gc=False, omit_defaults=True, rename={"time": "t", "agent": "a", "user_input": "q"}):
    """The selection inside a query's row; `user_input` only where it differs from the query's."""

    time: int
    agent: str = ""
    score: float | None = None
    why: str | None = None
    user_input: str | None = None


class ModelFacts(
    Struct,
    gc=False,
    omit_defaults=True,
    rename={
        "model": "m",
        "provider": "p",
        "input_tokens": "i",
        "output_tokens": "o",
        "cached_tokens": "c",
        "reasoning_tokens": "r",
        "first_chunk": "f",
        "cost_usd": "u",
        "input": "q",
        "output": "a",
    },
):
    """What is known of a call to a model; the live and the stored shapes share it.

    `first_chunk` is in ns from the call's begin, `cost_usd` in US dollars. `cached_tokens` are among the input's,
    `reasoning_tokens` among the output's. `input` and `output` are texts, there only where `capture_model_content`
    says so.
    """

    model: str | None = None
    provider: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    first_chunk: int | None = None
    cost_usd: float | None = None
    input: str | None = None
    output: str | None = None


class LiveFacts(ModelFacts, gc=False):
    """The same while its call runs: when that began (monotonic ns), and whether it has ended."""

    began: int = 0
    ended: bool = False

    def kept(self) -> ModelFacts:
        """Give what is stored of it: a copy, of which the thread that runs the call knows nothing."""
        return ModelFacts(*(getattr(self, name) for name in ModelFacts.__struct_fields__))


class RareCallFields:
    """What few calls have."""

    __slots__ = ("error", "facts", "late", "passed_on", "result_size", "status")

    def __init__(self) -> None:
        self.status = "ok"
        self.error: str | None = None
        self.passed_on = False
        self.late = False
        self.result_size: int | None = None
        self.facts: LiveFacts | None = None


class LiveCall(
    Struct,
    gc=False,
    omit_defaults=True,
    rename={"name": "n", "begin": "b", "parent": "p", "duration": "d", "kind": "k", "variables": "h"},
):
    """A call inside a query: appended when it begins, given its duration when it ends.

    `variables` are a GraphQL call's, encoded, until the writer puts their hash in the place.
    """

    name: str
    begin: int
    parent: int | None = None
    duration: int | None = None
    kind: str = "tool"
    more: Any = None  # a RareCallFields
    variables: bytes | str | None = None

    status = _Rare("ok")
    error = _Rare[str | None](None)
    passed_on = _Rare(False)
    late = _Rare(False)
    result_size = _Rare[int | None](None)
    facts = _Rare[LiveFacts | None](None)

    def begin_more(self) -> RareCallFields:
        """Make room for rare fields."""
        return RareCallFields()


class RareQueryFields(Struct, gc=False):
    """What few queries have."""

    family: int = 0
    beside: ModelFacts | None = None
    status: str = "ok"
    error: str | None = None
    message: str | None = None
    passed_on: bool = False
    first_chunk: int | None = None
    parent: str | None = None
    selection: ChoiceRow | None = None
    entities: list[str] | None = None
    attributes: dict[str, Any] | None = None
    metrics: dict[str, float] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    query_id: str | None = None
    weight: float = 1


class LiveQuery(
    Struct,
    gc=False,
    eq=False,
    omit_defaults=True,
    rename={
        "started": "t",
        "serial": "i",
        "agent": "a",
        "user_input": "q",
        "name": "n",
        "calls": "c",
        "duration": "d",
        "result_size": "r",
        "origin": "o",
    },
):
    """A query, open or finished. `started` is monotonic ns while it runs and µs since 1970 once the writer has it.

    `scope` and `frames` belong to the running query alone: they are back at their defaults, and so left out, by the
    time the row is encoded. `scope` is None from the moment the query has ended. `family` is the serial of the
    outermost query, 0 for that one itself. `beside` is what a framework says that agents used beyond the single calls
    that it tells of. Rare fields are set by one thread, or under the collector's lock.
    """

    started: int
    serial: int
    agent: str | None
    user_input: Any
    name: str
    calls: list[LiveCall]
    scope: Any = None
    frames: Any = None
    duration: int = 0
    result_size: Any = None
    origin: Origin | None = None
    more: RareQueryFields | None = None

    family = _Rare(0)
    beside = _Rare[ModelFacts | None](None)
    status = _Rare("ok")
    error = _Rare[str | None](None)
    message = _Rare[str | None](None)
    passed_on = _Rare(False)
    first_chunk = _Rare[int | None](None)
    parent = _Rare[str | None](None)
    selection = _Rare[ChoiceRow | None](None)
    entities = _Rare[list[str] | None](None)
    attributes = _Rare[dict[str, Any] | None](None)
    metrics = _Rare[dict[str, float] | None](None)
    input_tokens = _Rare[int | None](None)
    output_tokens = _Rare[int | None](None)
    model = _Rare[str | None](None)
    cached_tokens = _Rare[int | None](None)
    reasoning_tokens = _Rare[int | None](None)
    cost_usd = _Rare[float | None](None)
    query_id = _Rare[str | None](None)
    weight = _Rare[float](1)

    def begin_more(self) -> RareQueryFields:
        """Make room for rare fields."""
        return RareQueryFields()
