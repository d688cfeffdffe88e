"""Files that are written whole or not at all, and locks that go with the process that holds them."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from instrument import access
from instrument.errors import StoreError

TEMPORARY = ".writing-"
"""What a file's name begins with until it is whole; left behind only by a kill."""


def make_directory(directory: Path, *, inside: bool = False) -> None:
    """Make a store's directory, for its owner alone; raises StoreError when that cannot be.

    One `inside` a store takes owner, group and mode from what is around it.
    """
    try:
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if inside:
                access.fit_folder(directory)
    except OSError as error:
        raise StoreError(directory, f"the directory cannot be made: {error.strerror}") from None


@contextmanager
def alone(directory: Path, lock: str, problem: str) -> Iterator[None]:
    """Keep others out that take the same lock in a store; it goes with the process that holds it.

    Raises StoreError with `problem` when it is taken.
    """
    try:
        made = not (directory / lock).exists()
        descriptor = os.open(directory / lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if made:
            access.fit(descriptor, directory)
    except OSError as error:
        raise StoreError(directory, f"the store cannot be written to: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, (BlockingIOError, PermissionError)):  # what a lock that is taken gives
            problem = f"its file system gives no locks: {error.strerror}"
        raise StoreError(directory, problem) from None
    try:
        yield
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Bring a rename in `directory` to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: Exception) -> str:
    """What went wrong, in a few words; DuckDB wraps the system's own in several layers."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    system = re.search(
        r"No space left on device|File too large|Permission denied|[Qq]uota exceeded|Read-only", str(error)
    )
    return system.group() if system else str(error).partition("\n")[0]


def sync_file(file: Path) -> None:
    """Bring a file's content to the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_private(file: Path) -> BinaryIO:
    """Open a file of the store to write it anew: for those alone who may read the records of its folder."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        access.fit(descriptor, file.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return open(descriptor, "wb")


def write_once(file: Path, content: bytes) -> None:
    """Write a file of the store unless it is there; of several that do so at once, one writes it."""
    temporary = file.with_name(f"{TEMPORARY}{file.name}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with open_private(temporary) as stream:
            stream.write(content)
        with suppress(FileExistsError):
            _link_or_copy(temporary, file, content)
    finally:
        temporary.unlink(missing_ok=True)


def _link_or_copy(temporary: Path, file: Path, content: bytes) -> None:
    try:
        os.link(temporary, file)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: whoever reads at this very moment may find the file empty
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            access.fit(descriptor, file.parent)
            os.write(descriptor, content)
        finally:
            os.close(descriptor)


def write_file(file: Path, chunks: Iterable[bytes]) -> None:
    """Write a file of the store whole or not at all: under a temporary name first.

    It takes owner, group and mode from its folder.
    """
    temporary = file.with_name(f"{TEMPORARY}{file.name}")
    try:
        with open_private(temporary) as stream:
            for chunk in chunks:
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(file.parent)
