"""Stores of one user and of several: who may read and write what, whoever records or keeps the store up."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeping_application import Application

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

ANNA, BERT, TEAM = 12_001, 12_002, 12_100
OLD = """
import instrument.clocks as clocks, instrument.sinks.segments as segments
segments.SegmentSink.__init__.__defaults__ = (lambda: 1_700_000_000.0,)
"""


@pytest.fixture
def application() -> Iterator[Application]:
    """A store of Anna's, in a folder that everybody may enter; pytest's own is root's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        application = Application(Path(folder))
        store(application, ANNA, 0o700)
        yield application


def store(application: Application, owner: int, mode: int) -> None:
    application.store.mkdir(exist_ok=True)
    os.chown(application.store, owner, TEAM)
    application.store.chmod(mode)


def as_user(user: int) -> str:
    """Become that user, member of the team, with everything imported that root alone may read."""
    return f"""
import difflib, encodings.idna, logging, tomllib, tempfile, instrument.outside_counts
import instrument.sinks.csv_file, instrument.sinks.json_file
os.umask(0o077)
os.setgroups([{TEAM}]); os.setgid({user}); os.setuid({user})
"""


AS_USER = """
import contextlib, io, os, shutil, sys
from instrument_cli.app import main
store, user = os.environ["INSTRUMENT_DIRECTORY"], int(os.environ["USER_NUMBER"])
if user:  # once over a copy, as root, with everything imported that root alone may read
    os.environ["INSTRUMENT_DIRECTORY"] = shutil.copytree(store, store + "-copy")
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
    shutil.rmtree(store + "-copy")
    os.environ["INSTRUMENT_DIRECTORY"] = store
    os.setgroups([TEAM]); os.setgid(user); os.setuid(user)
sys.exit(main())
""".replace("TEAM", str(TEAM))


def command(application: Application, *arguments: str, user: int = 0, **environment: str) -> str:
    """What a command of `metrics` says, run by root or another user."""
    path = {"PYTHONPATH": os.pathsep.join(sys.path), "INSTRUMENT_DIRECTORY": str(application.store)}
    done = subprocess.run(
        [sys.executable, "-c", AS_USER, *arguments],
        cwd="/",
        env={**os.environ, **path, "USER_NUMBER": str(user), **environment},
        capture_output=True,
        text=True,
    )
    assert "fault of this program" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def found(application: Application) -> set[tuple[str, int, int, int]]:
    """Kind, mode, owner and group of all in the store."""
    every = [application.store, *application.store.rglob("*")]
    stats = [(("d" if path.is_dir() else "f"), path.stat()) for path in every]
    return {(kind, stat.S_IMODE(one.st_mode), one.st_uid, one.st_gid) for kind, one in stats}


def test_what_root_records_and_keeps_up_belongs_to_the_stores_owner(application, numbered) -> None:
    application.run(OLD, as_user(ANNA), "ask('anna-0')")
    application.run(OLD, "ask('root-0'); configure(formats=['json', 'csv']); ask('root-1')")
    assert {(kind, mode, owner) for kind, mode, owner, _ in found(application)} == {
        ("d", 0o700, ANNA),
        ("f", 0o600, ANNA),
    }
    assert "1" in command(application, "compact", INSTRUMENT_RETENTION_DAYS="10000")
    assert list(application.store.glob("*/*.parquet"))
    assert {(kind, mode, owner) for kind, mode, owner, _ in found(application)} == {
        ("d", 0o700, ANNA),
        ("f", 0o600, ANNA),
    }
    answer = command(application, "queries", "--since", "2023-01-01", user=ANNA)
    assert "anna-0" in answer
    assert "root-1" in answer


@pytest.mark.parametrize("mode", [0o2770, 0o1777, 0o3777])
def test_a_second_user_records_in_a_setgid_or_sticky_directory(application, mode) -> None:
    store(application, ANNA, mode)
    for user in (ANNA, BERT, ANNA):
        application.run(as_user(user), f"ask('user-{user}')")
    assert application.texts() == [f"user-{ANNA}", f"user-{ANNA}", f"user-{BERT}"]
    files = {path.stat().st_mode & 0o777 for path in application.store.glob("*/*.jsonl")}
    assert files == {0o600}  # the setting is still `private`


def test_file_mode_group_lets_users_share_a_store_and_everything_in_it(application, numbered) -> None:
    store(application, ANNA, 0o2770)
    for user in (ANNA, BERT, 0, ANNA):
        application.run(
            OLD,
            as_user(user) if user else "",
            f"configure(formats=['json', 'csv']); ask('ask-{user}')",
            INSTRUMENT_FILE_MODE="group",
        )
    assert {(kind, mode, group) for kind, mode, _, group in found(application)} == {
        ("d", 0o2770, TEAM),
        ("f", 0o660, TEAM),
    }
    assert (application.store / "metrics.csv").read_bytes().count(b"\n") == 5
    assert (application.store / "metrics.json").read_bytes().count(b"ask-") == 4
    assert "for its owner and group" in command(application, "doctor", INSTRUMENT_FILE_MODE="group")
    said = command(application, "compact", user=BERT, INSTRUMENT_RETENTION_DAYS="10000")
    assert list(application.store.glob("*/*.parquet")), said
    assert {(kind, mode, group) for kind, mode, _, group in found(application)} == {
        ("d", 0o2770, TEAM),
        ("f", 0o660, TEAM),
    }
    assert "ask-12002" in command(application, "queries", "--since", "2023-01-01", user=ANNA)


def test_a_store_made_under_file_mode_group_is_open_to_the_group_whatever_the_umask(application) -> None:
    application.store.rmdir()
    application.run("os.umask(0o077); ask('ask-0')", INSTRUMENT_FILE_MODE="group")
    assert {(kind, mode) for kind, mode, _, _ in found(application)} == {("d", 0o2770), ("f", 0o660)}


def test_doctor_judges_by_the_setting(application) -> None:
    application.run(as_user(ANNA), "ask('ask-0')")
    assert "for its owner alone" in command(application, "doctor")
    assert "may not be read and written by the group" in command(application, "doctor", INSTRUMENT_FILE_MODE="group")
    store(application, ANNA, 0o755)
    assert "1 file or folder may be read by other users" in command(application, "doctor")


def test_private_records_in_a_shared_directory_stay_private_when_root_compacts_them(application) -> None:
    store(application, ANNA, 0o2770)
    application.run(OLD, as_user(BERT), "ask('bert-0')")
    command(application, "compact", INSTRUMENT_RETENTION_DAYS="10000")
    [compacted] = application.store.glob("*/*.parquet")
    assert compacted.stat().st_mode & 0o777 == 0o600
