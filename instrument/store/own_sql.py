"""A user's own SQL: one SELECT over the public tables, with no way out of them.

The connection is locked before the first statement: no file and no network, no setting can be changed. Compacted files
are the exception, as the tables read them where they lie; nothing but a SELECT is run, so nothing writes to them.
Loading them first would take 0.3 s of CPU for 200,000 queries, of which a statement over two columns needs 0.02.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from instrument.errors import InstrumentError, UsageError
from instrument.rows import columns
from instrument.store import line_tables, public_tables, views
from instrument.store.engine import duckdb
from instrument.store.tables import Tables

_Result = TypeVar("_Result")

Parameters = dict[str, Any] | list[Any] | tuple[Any, ...] | None

_COLUMN = re.compile(r'column(?: named)? "([^"]+)"(?: not found|$)')
_TABLE = re.compile(r"Table with name (\S+) does not exist")
_KIND = re.compile(r"^[\w ]*Error: ")
_MOST_SPILLED = "8GB"


class OwnSql:
    """The public tables of a store, ready for statements of a user's own."""

    def __init__(self, tables: Tables, writable: Path | None = None) -> None:
        """Lock the connection of `tables`; `writable` is a file that `write_parquet` may write."""
        connection = tables.connection
        for statement in public_tables.definitions(linked=views.LINKED in tables.kinds):
            connection.execute(statement)
        patterns = [pattern for file in tables.compacted for pattern in (file, columns.pattern(file))]
        allowed = [*dict.fromkeys(patterns), *([str(writable)] if writable else [])]
        for setting in (
            f"allowed_paths = {columns.literals(allowed)}",
            f"max_temp_directory_size = '{_MOST_SPILLED}'",
            "python_enable_replacements = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._connection = connection.cursor()
        self._connection.execute(f"USE {public_tables.SCHEMA}")

    def relation(self, statement: str, parameters: Parameters = None) -> Any:
        """The answer as a DuckDB relation, which fetches when it is asked to."""
        import duckdb as whole_package  # noqa: F401  # gives connections their relations

        with _explained(statement):
            only = self._only(statement)
            connection: Any = self._connection
            return connection.sql(only, params=parameters) if parameters else connection.sql(only)

    def answer(self, statement: str, timeout: float | None = None) -> Answer:
        """Run a statement, for at most `timeout` seconds; the rows are read from what is returned."""
        with _explained(statement):
            only = self._only(statement)
            self._watched(lambda: self._connection.execute(only), timeout)
        return Answer(
            self._connection, statement, lambda: self._watched(lambda: self._connection.fetchmany(1000), timeout)
        )

    def write_parquet(self, statement: str, file: Path, timeout: float | None = None) -> None:
        """Write what a statement answers to the file that may be written."""
        with _explained(statement):
            relation = self.relation(statement)
            write = partial(relation.write_parquet, str(file), compression="zstd", use_tmp_file=False)
            self._watched(write, timeout)

    def _only(self, statement: str) -> str:
        """The statement, if it is one SELECT and nothing else. Raises UsageError."""
        found = self._connection.extract_statements(statement)
        if not found:
            raise UsageError("there is no statement; write one SELECT, such as: SELECT count(*) FROM queries")
        if len(found) > 1:
            raise UsageError(f"these are {len(found)} statements; write one SELECT")
        if found[0].type != duckdb.StatementType.SELECT:
            raise UsageError(f"{statement.split()[0].upper()} is not allowed; write one SELECT, which only reads")
        return self._without_its_end(statement)

    def _without_its_end(self, statement: str) -> str:
        """The statement without a semicolon and the comments behind it, so that it can stand within another."""
        for place in (place for place in range(len(statement) - 1, 0, -1) if statement[place] == ";"):
            with suppress(duckdb.ParserException):  # this one is inside a text or a comment
                if not self._connection.extract_statements(statement[place + 1 :]):
                    return statement[:place]
        return statement

    def _watched(self, work: Callable[[], _Result], timeout: float | None) -> _Result:
        """Do something beside this thread, and end it when the time is up or somebody presses Ctrl-C.

        DuckDB looks for signals only between tasks, and a task of this thread may be the whole statement.
        """
        future = self._beside.submit(work)
        try:
            return future.result(timeout)
        except FutureTimeout:
            self._end(future)
            raise InstrumentError(
                f"the statement took longer than {timeout:g} seconds; let it read less (--since), or raise --timeout"
            ) from None
        except KeyboardInterrupt:
            self._end(future)
            raise

    def _end(self, future: Future[_Result]) -> None:
        while not future.done():  # an interrupt between two statements is forgotten
            self._connection.interrupt()
            wait([future], 0.1)


class Answer:
    """What a statement answers: `names` and `types` of its columns, and its rows, a thousand in memory at a time."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, statement: str, fetch: Callable[[], list[tuple[Any, ...]]]
    ) -> None:
        self._statement, self._fetch = statement, fetch
        described = connection.description or []
        self.names = [str(name) for name, *_ in described]
        self.types = [str(kind) for _, kind, *_ in described]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows, once."""
        with _explained(self._statement):
            while rows := self._fetch():
                yield from rows


@contextmanager
def _explained(statement: str) -> Iterator[None]:
    """Turn what DuckDB says into one line that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if "interrupt" in str(error).lower():  # Ctrl-C, which DuckDB looks for while it works
            raise KeyboardInterrupt from None
        raise
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.OutOfMemoryException:
        raise InstrumentError("the statement needs more memory than it may have (1 GB); let it answer less") from None
    except duckdb.IOException as error:
        raise line_tables.explained(error) from None
    except duckdb.PermissionException:
        raise UsageError(f"no file and no address can be read or written; the tables are {_tables()}") from None
    except duckdb.Error as error:
        raise UsageError(_plainer(str(error), statement)) from None


def _tables() -> str:
    *first, last = public_tables.TABLES
    return f"{', '.join(first)} and {last}"


def _plainer(message: str, statement: str) -> str:
    first = _KIND.sub("", message.split("\n", 1)[0]).strip()
    if table := _TABLE.search(first):
        import difflib  # only where a name is wrong: it is slow to import

        near = difflib.get_close_matches(table[1].lower(), public_tables.TABLES, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        return f"there is no table {table[1]!r}; {meant}The tables are {_tables()}"
    if column := _COLUMN.search(first):
        return _no_such_column(column[1], statement)
    if first.startswith("syntax error") or "arser" in message[:7]:
        return f"this is no SQL: {first}"
    return first[0].lower() + first[1:] if first else "the statement cannot be run"


def _no_such_column(name: str, statement: str) -> str:
    named = [table for table in public_tables.TABLES if re.search(rf"\b{table}\b", statement, re.IGNORECASE)]
    known = {column.name: None for table in named or public_tables.TABLES for column in public_tables.TABLES[table]}
    plain = name.rpartition(".")[2].lower()
    import difflib  # only where a name is wrong: it is slow to import

    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.5) or [each for each in known if plain in each][:1]
    meant = f"did you mean {near[0]}?" if near else f"columns are {', '.join(list(known)[:8])} and more"
    return f"there is no column {name!r}; {meant} An attribute is attributes ->> 'NAME'"
