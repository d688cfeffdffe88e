"""Who may read and write a store's files: its owner alone, or a group.

The setting `file_mode` says it for what is recorded: `private` (0700 and 0600) or `group` (2770 and 0660, and the group
of the store's directory). A directory that its owner has opened to others (setgid, sticky, or writable by them) lets
every user make files, also in the folders inside. What root writes belongs to the directory's owner. Upkeep, which may
be run by another user than the one who records, goes by the folder that it writes in.

A file system without modes of its own (FAT, some network shares and mounts of a cloud's storage) refuses to set them or
forgets them. There the mount decides who may read, and `metrics doctor` says who can.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

PRIVATE, GROUP = "private", "group"
_SHARED = stat.S_ISGID | stat.S_ISVTX | stat.S_IWGRP | stat.S_IWOTH
_TO_FOLDER = stat.S_ISGID | stat.S_ISVTX | 0o777
_WITHOUT_MODES = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def make_store(directory: str, file_mode: str) -> None:
    """Make a store's directory, and those above it with the system's usual modes, unless it is there."""
    if os.path.isdir(directory):
        return
    os.makedirs(os.path.dirname(directory) or ".", exist_ok=True)
    with suppress(FileExistsError):  # another process of the application may be as fast
        os.mkdir(directory, mode=0o700)
        if file_mode == GROUP:
            _set_mode(directory, 0o2770)


def make_folder(folder: str, file_mode: str) -> None:
    """Make a folder inside a store, unless it is there."""
    try:
        os.mkdir(folder, mode=0o700)
    except FileExistsError:
        return
    around = os.stat(os.path.dirname(folder))
    mode = stat.S_IMODE(around.st_mode) & _TO_FOLDER if around.st_mode & _SHARED else 0o700
    if file_mode == GROUP:
        mode |= 0o2770
    _settle(folder, around, mode, group=file_mode == GROUP)


def create(path: str | os.PathLike[str], flags: int, file_mode: str) -> int:
    """Open a file inside a store, making it if it is not there, and give its descriptor; raises OSError."""
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, flags)
    try:
        around = os.stat(os.path.dirname(path) or ".")
        _settle(descriptor, around, 0o660 if file_mode == GROUP else 0o600, group=file_mode == GROUP)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(path)  # whoever tries again makes another
        raise
    return descriptor


def fit(path: str | os.PathLike[str] | int, folder: str | os.PathLike[str]) -> None:
    """Give a file that upkeep has made the owner and the mode that fit the folder that it is for.

    A group may read and write it where it may do so with every record in that folder.
    """
    around = os.stat(folder)
    shared = bool(around.st_mode & stat.S_IWGRP) and all(
        entry.stat().st_mode & stat.S_IRGRP for entry in os.scandir(folder) if _is_record(entry.name)
    )
    _settle(path, around, 0o660 if shared else 0o600, group=shared)


def fit_folder(folder: str | os.PathLike[str]) -> None:
    """Give a folder that upkeep has made inside a store the owner and the mode of what is around it."""
    around = os.stat(Path(folder).parent)
    mode = stat.S_IMODE(around.st_mode) & _TO_FOLDER if around.st_mode & _SHARED else 0o700
    _settle(folder, around, mode, group=bool(around.st_mode & stat.S_IWGRP))


def _is_record(name: str) -> bool:
    return name.endswith((".jsonl", ".parquet")) and not name.startswith(".")


def _settle(path: str | os.PathLike[str] | int, around: os.stat_result, mode: int, *, group: bool) -> None:
    """Set the mode, as no umask does, and what of owner and group this process may set."""
    if os.name == "nt":
        return
    found = os.stat(path)
    root = os.geteuid() == 0
    owner = around.st_uid if root else found.st_uid
    members = around.st_gid if root or group else found.st_gid
    if (owner, members) != (found.st_uid, found.st_gid):
        with suppress(PermissionError):  # not a member: then the group stays that of the process
            os.chown(path, owner, members)
    if stat.S_IMODE(os.stat(path).st_mode) != mode:
        _set_mode(path, mode)


def _set_mode(path: str | os.PathLike[str] | int, mode: int) -> None:
    """Set the mode of something that this process has just made, unless its file system has no modes."""
    try:
        os.chmod(path, mode)
    except OSError as error:
        if error.errno not in _WITHOUT_MODES:
            raise
