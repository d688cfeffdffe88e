"""What is lost where the store itself can take no count: it is kept outside, and readers of the store find it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from keeping_application import Application
from test_faults import NOBODY, limited, root

from instrument.outside_counts import Counts, OutsideCounts, read_counts


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, of this test alone."""
    place = tmp_path / "temporary"
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def command(application: Application, *arguments: str) -> str:
    """What a command of `metrics` prints about the application's store."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "INSTRUMENT_DIRECTORY": "monitoring"}
    done = subprocess.run(
        [sys.executable, "-m", "instrument_cli", *arguments],
        cwd=application.folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(not root, reason="only root can become somebody else")
def test_what_a_user_loses_who_may_not_write_to_the_store_is_in_its_owners_report_and_doctor(monkeypatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own can only be entered by root
        Path(folder).chmod(0o755)
        (Path(folder) / "temporary").mkdir()
        (Path(folder) / "temporary").chmod(0o1777)
        monkeypatch.setenv("TMPDIR", f"{folder}/temporary")
        application = Application(Path(folder))
        application.run("ask('ask-0')")
        _, err = application.run(
            f"""
            import difflib, encodings.idna, logging, instrument.outside_counts  # all that root alone may read
            os.setuid({NOBODY})
            for n in range(30):
                ask(f"lost-{{n}}")
            """
        )
        assert err.count("30 records could not be written (not writable: 30)") == 1
        assert application.texts() == ["ask-0"]
        report = json.loads(command(application, "report", "--format", "json"))["report"]
        assert report["data"]["dropped"] == 30
        assert "not writable" in command(application, "report")
        assert "30: not writable" in command(application, "doctor")


def test_what_a_full_disk_loses_is_counted_outside_and_said(application, temporary) -> None:
    _, err = application.run(
        "ask('ask-0'); flush()",
        """
        from instrument.sinks.segments import SegmentSink
        def refuse(self, batch):
            raise OSError(28, "No space left on device")
        SegmentSink.write = refuse
        for n in range(30):
            ask(f"lost-{n}")
        """,
    )
    assert err.splitlines()[-1].startswith("30 records could not be written (failing disk: 30); counted in ")
    assert "30: failing disk" in command(application, "doctor")


def test_where_not_even_that_can_be_written_the_log_has_the_count(application, temporary) -> None:
    temporary.rmdir()
    _, err = application.run(limited(0), "for n in range(30): ask(f'lost-{n}')", TMPDIR=str(temporary))
    assert "30 records could not be written (failing disk: 30); counted " in err


def test_counts_that_the_store_takes_after_all_are_not_counted_twice(application, temporary) -> None:
    application.run(
        """
        from instrument.sinks.segments import SegmentSink
        write = SegmentSink.write
        def refuse(self, batch):
            raise OSError(28, "No space left on device")
        SegmentSink.write = refuse
        configure(buffer_size=10)
        for n in range(30):
            ask(f"lost-{n}")
        flush()
        flush()
        assert len(list(Path(os.environ["TMPDIR"]).glob("agent-instrument-drops-*/*.json"))) == 1
        SegmentSink.write = write
        flush()
        """
    )
    dropped = sum(application.health("dropped").values())
    assert len(application.texts()) + dropped == 30
    assert not list(temporary.glob("*/*.json"))
    assert f"{dropped} records dropped" in command(application, "report")


def test_a_forked_child_keeps_counts_of_its_own_and_leaves_its_parents(application, temporary) -> None:
    application.run(
        """
        from instrument.sinks.segments import SegmentSink
        def refuse(self, batch):
            raise OSError(28, "No space left on device")
        SegmentSink.write = refuse
        configure(buffer_size=10)
        for n in range(30):
            ask(f"parent-{n}")
        flush()
        pids = []
        for c in range(2):
            pid = os.fork()
            if pid == 0:
                ask(f"child-{c}")
                sys.exit()
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)
        """
    )
    assert sum(sum(counts.dropped.values()) for counts in read_counts(application.store)) == 32


def test_only_counts_of_that_store_in_folders_of_their_own_users_are_read(tmp_path: Path, temporary: Path) -> None:
    OutsideCounts(str(tmp_path / "store")).keep(Counts(5, {"failing disk": 3}, {}))
    OutsideCounts(str(tmp_path / "other")).keep(Counts(5, {"failing disk": 4}, {}))
    [folder] = temporary.iterdir()
    [name] = [path.name for path in folder.iterdir() if b":3" in path.read_bytes()]
    key = name.partition("-")[0]
    for number, content in enumerate([b"", b"[]", b"{", b'{"time": 1, "dropped": {"x": -1}, "problems": {}}']):
        (folder / f"{key}-1-{number}.json").write_bytes(content)
    (folder / f"{key}-2-0.json").symlink_to(folder / name)
    os.mkfifo(folder / f"{key}-3-0.json")
    foreign = temporary / "agent-instrument-drops-12345"
    foreign.mkdir()
    (foreign / f"{key}-4-0.json").write_bytes((folder / name).read_bytes())
    (temporary / "agent-instrument-drops-7").symlink_to(folder)
    assert list(read_counts(tmp_path / "store")) == [Counts(5, {"failing disk": 3}, {})]
