"""Counts of dropped records that their store could not take, in the system's folder for temporary files.

A process whose store refuses it (a full disk, a directory of another user) cannot say there what it lost. It keeps one
small file a process and store, `agent-instrument-drops-<user>/<store>-<process>-<random>.json`. That holds counts and
reasons, and no text of anyone's. Readers of the store add them to its own. The file goes when the store has taken the
counts after all.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

_FOLDER = "agent-instrument-drops-"
_LARGEST = 64 << 10
_Count = Annotated[int, Meta(ge=0, le=1 << 53)]


class Counts(Struct):
    """What one process dropped, by reason, and its problems, by kind; `time` is in µs since 1970."""

    time: Annotated[int, Meta(ge=0, le=1 << 60)]
    dropped: dict[str, _Count]
    problems: dict[str, _Count]


_decoder = msgspec.json.Decoder(Counts)


class OutsideCounts:
    """This process's file for one store, made when it is first needed."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = ""

    def keep(self, counts: Counts) -> str:
        """Keep these counts in place of the last; returns the file's path, or raises OSError."""
        path = self._path or os.path.join(
            _own_folder(), f"{_key(self._directory)}-{os.getpid()}-{os.urandom(4).hex()}.json"
        )
        with open(
            os.open(path + ".writing", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644), "wb"
        ) as new:
            new.write(msgspec.json.encode(counts))
        os.rename(path + ".writing", path)
        self._path = path
        return path

    def remove(self) -> None:
        """Remove the file: the store has the counts."""
        if self._path:
            path, self._path = self._path, ""
            with suppress(OSError):
                os.unlink(path)


def read_counts(directory: str | os.PathLike[str]) -> Iterator[Counts]:
    """What processes of all users could not say in that store; a file that is not as it should be is left out."""
    key = _key(directory)
    for folder in _folders():
        with suppress(OSError):
            for name in sorted(os.listdir(folder)):
                if name.startswith(f"{key}-") and name.endswith(".json"):
                    with suppress(OSError, msgspec.MsgspecError, ValueError):
                        yield _decoder.decode(_content(os.path.join(folder, name)))


def _key(directory: str | os.PathLike[str]) -> str:
    return blake2b(os.fsencode(os.path.realpath(directory)), digest_size=8).hexdigest()


def _own_folder() -> str:
    """This user's folder; raises OSError where somebody else has its name."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    folder = os.path.join(tempfile.gettempdir(), f"{_FOLDER}{user}")
    with suppress(FileExistsError):
        os.mkdir(folder, 0o755)
        os.chmod(folder, 0o755)  # whatever the umask: whoever reads the store reads the counts
    if not _is_of(folder, user):
        raise PermissionError(f"{folder} is another user's")
    return folder


def _folders() -> Iterator[str]:
    """Every user's folder, if it is that user's."""
    with suppress(OSError):  # also where no such folder can be written to: every disk is full
        place = tempfile.gettempdir()
        for name in sorted(os.listdir(place)):
            user = name.removeprefix(_FOLDER)
            if name.startswith(_FOLDER) and user.isdecimal() and _is_of(os.path.join(place, name), int(user)):
                yield os.path.join(place, name)


def _is_of(folder: str, user: int) -> bool:
    """Whether it is a folder, no link to one, of that user."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (os.name == "nt" or found.st_uid == user)


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(path)
        return file.read(_LARGEST)
