"""What can go wrong, as one small tree.

    InstrumentError
    ├── ConfigError      a setting has a wrong name or value
    ├── StoreError       the store or a data file cannot be used
    │   └── RefusedError     another system did not take what it was sent
    ├── UsageError       the question itself makes no sense
    │   └── NotFoundError    no record has that id
    └── NotEnoughDataError   the question makes sense, but there are too few records to answer it

Every error says in one line what is wrong and what to do about it. The `metrics` command turns them into exit
codes in one place; the recording side raises them only from `configure()` and from decoration, never from a
call of the application.
"""

from __future__ import annotations

import os


class InstrumentError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(InstrumentError):
    """A setting has a wrong name or value.

    `key` is the setting, `*` where a file has none that can be read; `source` is where it came from (`configure()`, an
    environment variable, a file).
    """

    def __init__(self, key: str, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}" if key == "*" else f"setting {key!r} from {source}: {problem}")
        self.key = key
        self.source = source
        self.problem = problem


class StoreError(InstrumentError):
    """The store, or a file to read or write, cannot be used; `path` says which."""

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        super().__init__(f"{os.fspath(path)}: {problem}")
        self.path = os.fspath(path)
        self.problem = problem


class RefusedError(StoreError):
    """Another system did not take what it was sent; `later` says that the same may succeed another time.

    `path` is its address, `code` the number of its answer (0: none), `wait` how many seconds it asked to be left alone.
    """

    def __init__(self, path: str, problem: str, *, code: int = 0, later: bool = False, wait: float = 0) -> None:
        super().__init__(path, problem)
        self.code = code
        self.later = later
        self.wait = wait


class UsageError(InstrumentError):
    """The question makes no sense: an impossible period, an unknown format or agent."""


class NotFoundError(UsageError):
    """No record has the id that was asked for."""


class NotEnoughDataError(InstrumentError):
    """There are too few records to answer from; the message says what is needed and what there is."""
