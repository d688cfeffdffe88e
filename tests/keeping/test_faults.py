"""Faults of the disk: the application goes on, records wait, and what had to be dropped is counted."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeping_application import Application

root = os.geteuid() == 0
NOBODY = 65534


def limited(size: int) -> str:
    """A disk that is full after `size` bytes of a file: the process's own limit, as no mount is needed for it."""
    return f"""
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
def more_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 64 kB; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = root and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("no right to mount; the limit of file size stands for it in the other tests")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_loses_nothing_that_fits_in_memory_once_there_is_room(application, numbered, small_disk) -> None:
    _, err = application.run(
        """
        configure(directory="disk/store")
        Path("disk/ballast").write_bytes(bytes(40_000))
        for n in range(2000):
            assert ask(f"ask-{n}") == f"ask-{n}"
            if n % 100 == 0:
                flush()
        assert not flush()
        Path("disk/ballast").unlink()
        os.system("mount -o remount,size=4m disk")
        assert flush()
        """
    )
    assert application.texts(small_disk / "store") == numbered(ask=2000)
    assert err.count("No space left on device") == 1


def test_a_limit_hit_in_the_middle_of_a_line_leaves_no_half_line_and_repeats_none(application, numbered) -> None:
    application.run(
        limited(5_001),
        """
        for n in range(300):
            ask(f"ask-{n}")
            if n % 7 == 0:
                flush()
        assert not flush()
        for path in held():
            assert path.read_bytes()[-1:] in (b"", b"\\n")
        more_room()
        assert flush()
        """,
    )
    assert application.texts() == numbered(ask=300)


def test_what_a_failing_disk_leaves_no_room_for_is_dropped_counted_and_said_later(application) -> None:
    application.run(
        limited(0),
        """
        configure(buffer_size=100)
        for n in range(250):
            ask(f"ask-{n}")
        assert not flush()
        ask("one more")
        more_room()
        assert flush()
        """,
    )
    dropped = application.health("dropped")
    assert len(application.texts()) + sum(dropped.values()) == 251
    assert len(application.texts()) >= 100
    assert set(dropped) <= {"failing disk", "full buffer"}
    assert application.health("problems")["sink store"] >= 1


@pytest.mark.parametrize("on_full", ["drop", "wait"])
def test_the_application_goes_on_while_the_disk_fails_whatever_a_full_buffer_does(application, on_full) -> None:
    out, _ = application.run(
        limited(0),
        f"""
        configure(buffer_size=50, on_full={on_full!r})
        for n in range(5000):
            ask(f"ask-{{n}}")
        print("done")
        """,
    )
    assert out == "done\n"
    assert application.texts() == []


def test_a_failure_is_said_once_whatever_follows(application) -> None:
    _, err = application.run(
        limited(0),
        """
        for n in range(300):
            ask("again")
            flush()
        """,
    )
    said, lost = err.splitlines()  # the second is the end's: what no store will ever have
    assert "sink store" in said
    assert "metrics doctor" in said
    assert "300 records could not be written (failing disk: 300)" in lost


def test_a_failure_is_said_through_logging_under_our_name_and_a_broken_log_handler_harms_nobody(application) -> None:
    out, err = application.run(
        limited(0),
        """
        import logging
        class Broken(logging.Handler):
            def handle(self, record):
                print(record.name, record.levelname, record.getMessage()[:10])
                raise RuntimeError("no disk for logs either")
        logging.getLogger().addHandler(Broken())
        ask("asked")
        assert not flush()
        """,
    )
    assert (out, err) == ("instrument WARNING sink store\ninstrument WARNING 1 records \n", "")


def test_a_directory_that_is_a_file_is_waited_for(application, numbered) -> None:
    (application.folder / "monitoring").write_text("not a directory")
    application.run(
        """
        for n in range(10):
            ask(f"ask-{n}")
        assert not flush()
        os.unlink("monitoring")
        assert flush()
        """
    )
    assert application.texts() == numbered(ask=10)


@pytest.mark.parametrize("deed", ["os.rename('monitoring', 'moved')", "shutil.rmtree('monitoring')"])
def test_a_store_moved_or_removed_while_it_is_open_is_made_anew(application, numbered, deed) -> None:
    application.run(
        f"""
        import shutil
        for n in range(10):
            ask(f"old-{{n}}")
        flush()
        {deed}
        for n in range(10):
            ask(f"new-{{n}}")
        assert flush()
        """
    )
    assert application.texts() == numbered(new=10)
    if "rename" in deed:
        assert application.texts(application.folder / "moved") == numbered(old=10)


def test_a_segment_replaced_while_it_is_open_is_left_alone(application, numbered) -> None:
    application.run(
        """
        ask("old-0")
        flush()
        [path] = held()
        path.rename(path.with_suffix(".aside"))
        path.write_text("")
        ask("new-0")
        assert flush()
        assert path.read_text() == ""
        """
    )
    assert application.texts() == numbered(new=1)


@pytest.mark.skipif(not root, reason="only root can become somebody else, and nobody else is kept out by permissions")
def test_a_read_only_directory_is_waited_for_and_a_permission_withdrawn_later_stops_nothing(numbered) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own can only be entered by root
        os.chown(folder, NOBODY, NOBODY)
        application = Application(Path(folder))
        application.run(
            f"""
            import difflib, encodings.idna, logging, msgspec
            ask("imports all there is to import")
            flush()
            shutdown()
            os.rename("monitoring", "imported")
            os.setuid({NOBODY})
            configure(directory="monitoring/store")
            os.mkdir("monitoring", 0o500)
            ask("ask-0")
            assert not flush()
            os.chmod("monitoring", 0o700)
            assert flush()
            os.chmod("monitoring", 0)
            ask("ask-1")
            assert flush()
            os.chmod("monitoring", 0o700)
            ask("ask-2")
            """
        )
        assert application.texts(application.store / "store") == numbered(ask=3)


REFUSING = """
import errno, stat
def refuse(code):
    def call(*arguments, **named):
        raise OSError(code, os.strerror(code))
    return call
"""

WITHOUT_MODES = """
os.chmod = os.chown = refuse(errno.EPERM)
really = os.stat
def seen(path, *arguments, **named):
    found = really(path, *arguments, **named)
    return os.stat_result([found.st_mode | 0o755, *found[1:]])
os.stat = seen
"""


def test_a_file_system_without_modes_takes_records(application, numbered) -> None:
    """As FAT and some network shares are: a file has the mode that the mount gives it, and chmod is refused."""
    _, err = application.run(
        REFUSING,
        WITHOUT_MODES,
        """
        configure(formats=["json"], file_mode="group")
        for n in range(10):
            ask(f"ask-{n}")
        assert flush()
        """,
    )
    assert err == ""
    assert application.texts() == numbered(ask=10)


def test_a_file_that_could_not_be_made_for_its_owner_alone_is_not_left_behind(application, numbered) -> None:
    application.run(
        REFUSING,
        WITHOUT_MODES,
        """
        os.chmod = refuse(errno.EIO)
        configure(directory="elsewhere")
        for n in range(5):
            ask(f"ask-{n}")
            assert not flush()
        assert not list(Path("elsewhere").glob("*/*"))
        os.chmod, os.stat = (lambda *_: None), really
        assert flush()
        """,
    )
    assert application.texts(application.folder / "elsewhere") == numbered(ask=5)


def test_a_file_system_without_hard_links_has_one_key_for_all_processes(application) -> None:
    code = """
        from instrument import track_graphql
        os.link = refuse(errno.ENOTSUP)
        execute = track_graphql(lambda query, variables: {})
        with query_span("q", agent="a"):
            execute("{ a }", {"page": 1})
        """
    for _ in range(2):
        application.run(REFUSING, code)
    first, second = (line["c"][0]["h"] for line in application.queries())
    assert first == second


@pytest.mark.parametrize("ending", ["", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_no_disk_that_hangs_keeps_the_process_from_ending(application, ending) -> None:
    process = application.start(
        f"""
        from instrument.sinks.segments import SegmentSink
        asked = threading.Event()
        def for_ever(self, batch):
            asked.set()
            os.read(os.pipe()[0], 1)
        SegmentSink.write = for_ever
        ask("asked")
        asked.wait()
        assert not flush(timeout=0.2)
        print("ready", flush=True)
        {ending}
        """
    )
    assert process.stdout.readline() == "ready\n"
    process.communicate(timeout=30)
    assert process.returncode == (-15 if ending else 0)


def test_a_record_that_cannot_be_written_does_not_hold_up_the_others(application, numbered) -> None:
    _, err = application.run(
        """
        from instrument.sinks.segments import SegmentSink
        write = SegmentSink.write
        def choosy(self, batch):
            if any(getattr(row, "user_input", "") == "odd" for row in batch):
                raise TypeError("no JSON for this")
            write(self, batch)
        SegmentSink.write = choosy
        for n in range(10):
            ask(f"ask-{n}")
            ask("odd")
        flush()
        """
    )
    assert application.texts() == numbered(ask=10)
    assert application.health("dropped") == {"unwritable": 10}
    assert err.count("\n") == 1


def test_a_working_directory_that_is_gone_stops_nothing(application, numbered) -> None:
    application.run(
        """
        store = os.path.abspath("monitoring")
        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
        configure(directory=store)
        ask("ask-0")
        assert flush()
        """
    )
    assert application.texts() == numbered(ask=1)


def test_every_file_is_for_its_owner_alone(application) -> None:
    application.run("os.umask(0); configure(formats=['json', 'csv']); ask('asked')")
    modes = {path.stat().st_mode & 0o777 for path in application.store.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {path.stat().st_mode & 0o777 for path in [application.store, *application.store.glob("*-*/")]} == {0o700}
