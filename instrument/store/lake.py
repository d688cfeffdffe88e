"""A lake: compacted files of many machines in an object store, or in a folder that they share.

    <address>/day=<YYYY-MM-DD>/host=<name>/<name>.parquet

The files are those of the machines' stores, as compaction wrote them, under the same names: whoever ships one again
writes what is there already, and nobody coordinates. fsspec reaches the place: `s3://`, `gs://` and `az://` need its
package for each (`s3fs`, `gcsfs`, `adlfs`), `file://` none.
"""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from instrument.errors import InstrumentError, RefusedError, StoreError, UsageError
from instrument.files import reason
from instrument.store import line_tables
from instrument.store.engine import duckdb
from instrument.store.layout import PARQUET_SUFFIX, day_of
from instrument.store.tables import Tables, connect, period_condition

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_DAY, _HOST = "day=", "host="
_ODD_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


class Lake:
    """One lake, reached by its address. Raises UsageError where the address, or a package for it, is missing."""

    def __init__(self, address: str) -> None:
        if not address.partition("://")[2].strip("/"):
            raise UsageError(f"{address} names no bucket or folder; write one after it, as in s3://bucket/agents")
        self.address = address.rstrip("/")
        try:
            from fsspec.core import url_to_fs
        except ModuleNotFoundError:
            raise UsageError(f"{address} needs the lake extra: pip install 'agent-instrument[lake]'") from None
        try:
            filesystem, root = url_to_fs(self.address)
        except ImportError as error:
            raise UsageError(f"{address} cannot be reached without a package: {error}") from None
        except ValueError as error:
            raise UsageError(f"{address} is no address of a lake: {error}") from None
        self.filesystem: AbstractFileSystem = filesystem
        self.root: str = root.rstrip("/")

    def key(self, day: date, host: str, name: str) -> str:
        """Where one file belongs, from the root on."""
        return f"{_DAY}{day.isoformat()}/{_HOST}{_ODD_IN_A_NAME.sub('-', host) or 'unknown'}/{name}"

    def path(self, key: str) -> str:
        """Where it lies in the file system."""
        return posixpath.join(self.root, key)

    def url(self, key: str) -> str:
        """The address of one file, as DuckDB takes it; a file of this machine by its path."""
        path = self.path(key)
        return path if self.address.startswith("file:") else str(self.filesystem.unstrip_protocol(path))

    def files(self, since: date | None = None) -> list[str]:
        """The keys of the files of the days from `since` on, sorted. Only those days are listed.

        A file lies under the day on which its records were written, so the end of a period picks no folders.
        """
        with reached(self.address):
            self.filesystem.invalidate_cache()
            found: list[str] = []
            for folder in self.filesystem.ls(self.root, detail=False):
                name = posixpath.basename(folder.rstrip("/"))
                day = day_of(name.removeprefix(_DAY)) if name.startswith(_DAY) else None
                if day is not None and (since is None or day >= since):
                    found += self.filesystem.find(folder)
            depth = len(self.root) + 1
            return sorted(
                path[depth:]
                for path in found
                if path.endswith(PARQUET_SUFFIX) and not posixpath.basename(path).startswith(".")
            )

    def remove(self, key: str) -> None:
        """Remove one file, if it is there; in a folder, the folders that this leaves empty, too."""
        path = self.path(key)
        with reached(self.address):
            with suppress(FileNotFoundError):
                self.filesystem.rm_file(path)
            if self.address.startswith("file:"):
                with suppress(OSError):  # another file is in it
                    for folder in (Path(path).parent, Path(path).parent.parent):
                        folder.rmdir()

    def connection(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection that reads the lake's files."""
        connection = connect()
        if not self.address.startswith("file:"):
            connection.register_filesystem(self.filesystem)
        return connection


@contextmanager
def reached(address: str) -> Iterator[None]:
    """Turn what object stores and networks raise into one line. Raises StoreError, RefusedError where it may pass."""
    try:
        yield
    except FileNotFoundError:
        problem = "there is no such bucket or folder, or nothing was shipped to it yet (metrics ship --to ADDRESS)"
        raise StoreError(address, problem) from None
    except PermissionError as error:
        todo = "see who may write there" if address.startswith("file:") else "check the credentials"
        raise StoreError(address, f"access is denied ({_first_line(error)}); {todo}") from None
    except InstrumentError:
        raise
    except duckdb.Error as error:
        if _FROM_PYTHON not in str(error):
            raise
        raise _unreached(address, error) from None
    except Exception as error:
        if type(error).__module__ == "builtins" and not isinstance(error, OSError):
            raise  # a fault of ours
        if type(error).__name__ in _NO_CREDENTIALS:
            raise StoreError(address, f"{_first_line(error)}; set those of its package (AWS_ACCESS_KEY_ID …)") from None
        raise _unreached(address, error) from None


def _unreached(address: str, error: Exception) -> RefusedError:
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    happened = "it is full" if is_full else "it cannot be reached"
    return RefusedError(address, f"{happened}: {_first_line(error)}", later=True)


_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError")
"""What botocore raises where nobody has given it credentials: trying again does not help."""

_FROM_PYTHON = "Traceback (most recent call last)"
"""What DuckDB's error begins with where fsspec raised one."""


def _first_line(error: Exception) -> str:
    """What went wrong; DuckDB shows an error of fsspec as a traceback, whose last line says it."""
    text = str(error)
    if _FROM_PYTHON in text:
        lines = text.partition("\n\nLINE")[0].rstrip().splitlines()
        return lines[-1].strip()
    return reason(error) or type(error).__name__


def open_tables(address: str, since: datetime | None = None, until: datetime | None = None) -> Tables:
    """Open a lake, or the period of it from `since` to `until`, as the tables that every report asks.

    Raises StoreError when it cannot be reached, UsageError for an address that names none.
    """
    lake = Lake(address)
    keys = lake.files(None if since is None else since.astimezone(UTC).date())
    connection = lake.connection()
    period = period_condition(since, until)
    try:
        with reached(address):
            line_tables.load_segments(connection, [], period)
            files = [lake.url(key) for key in keys]
            skipped = line_tables.define_lines(connection, files, period)
            return Tables(connection, skipped, files)
    except duckdb.Error as error:
        connection.close()
        raise line_tables.explained(error) from None
    except BaseException:
        connection.close()
        raise
