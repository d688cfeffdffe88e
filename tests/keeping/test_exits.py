"""The last moments of a process: what is kept, what is tried again, and what is counted."""

from __future__ import annotations

import os
import signal

import pytest
from test_faults import limited

FREE_AFTER = """
def free_after(seconds):
    threading.Thread(target=lambda: [time.sleep(seconds), more_room()], daemon=True).start()
"""


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("", 0),
        ("assert shutdown()", 0),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)", -signal.SIGTERM),
        ("flush()", 0),
    ],
)
def test_an_exit_tries_a_disk_that_refuses_until_it_has_room(application, numbered, ending, status) -> None:
    application.run(
        limited(0),
        FREE_AFTER,
        f"""
        for n in range(50):
            ask(f"ask-{{n}}")
        free_after(1.5)
        {ending}
        """,
        status=status,
    )
    assert application.texts() == numbered(ask=50)
    assert application.health("dropped") == {}


def test_an_exit_tries_the_files_beside_the_store_again_as_well(application, numbered) -> None:
    application.run(
        """
        Path("beside").touch()
        configure(formats=["json", "csv"], metrics_file="beside/metrics.json", csv_file="beside/metrics.csv")
        for n in range(50):
            ask(f"ask-{n}")
        assert not flush()
        threading.Thread(target=lambda: [time.sleep(1), os.unlink("beside")], daemon=True).start()
        """
    )
    assert application.texts() == numbered(ask=50)
    assert (application.folder / "beside" / "metrics.csv").read_bytes().count(b"\n") == 51
    assert (application.folder / "beside" / "metrics.json").read_bytes().count(b"ask-") == 50


@pytest.mark.parametrize("method", ["os.fork", "multiprocessing"])
def test_children_forked_while_the_disk_is_full_keep_all_they_record_once_it_has_room(
    application, numbered, method
) -> None:
    application.run(
        limited(0),
        FREE_AFTER,
        """
        import multiprocessing
        def work(c):
            free_after(1)
            for n in range(20):
                ask(f"child{c}-{n}")
        """,
        {
            "os.fork": """
                ask("parent-0")
                pids = []
                for c in range(4):
                    if not (pid := os.fork()):
                        work(c)
                        sys.exit()
                    pids.append(pid)
                for pid in pids:
                    assert os.waitpid(pid, 0)[1] == 0
                more_room()
            """,
            "multiprocessing": """
                ask("parent-0")
                context = multiprocessing.get_context("fork")
                children = [context.Process(target=work, args=(c,)) for c in range(4)]
                for child in children:
                    child.start()
                for child in children:
                    child.join()
                    assert child.exitcode == 0
                more_room()
            """,
        }[method],
    )
    assert application.texts() == numbered(parent=1, child0=20, child1=20, child2=20, child3=20)


# -- the application's own last steps ----------------------------------------------------------------------------------


def test_what_an_atexit_handler_records_that_was_registered_before_the_import_is_kept(application, numbered) -> None:
    application.run_alone(
        """
        import atexit, sys
        atexit.register(lambda: [bye(f"late-{n}") for n in range(100)])
        from instrument import configure, track_query
        configure(formats=["csv", "json"])
        @track_query(agent="a")
        def bye(text): pass
        bye("ask-0")
        """
    )
    assert application.texts() == numbered(ask=1, late=100)
    assert len(list(application.store.glob("*/*.jsonl"))) == 2  # the writer's own, and one for all that came late
    assert (application.store / "metrics.csv").read_bytes().count(b"\n") == 102
    assert (application.store / "metrics.json").read_bytes().count(b"late-") == 100


def test_an_atexit_handler_whose_record_is_the_first_of_all_keeps_it(application, numbered) -> None:
    application.run_alone(
        """
        import atexit
        atexit.register(lambda: bye("late-0"))
        from instrument import track_query
        atexit.register(lambda: bye("late-1"))
        @track_query(agent="a")
        def bye(text): pass
        """
    )
    assert application.texts() == numbered(late=2)


def test_what_an_atexit_handler_records_after_a_shutdown_is_dropped_and_counted(application, numbered) -> None:
    application.run_alone(
        """
        import atexit
        atexit.register(lambda: [bye(f"late-{n}") for n in range(3)])
        from instrument import shutdown, track_query
        @track_query(agent="a")
        def bye(text): pass
        bye("ask-0")
        shutdown()
        bye("too late")
        """
    )
    assert application.texts() == numbered(ask=1)
    assert application.health("dropped") == {"shutdown": 4}


def test_a_redaction_function_that_records_does_not_keep_an_exit_from_ending(application) -> None:
    application.run_alone(
        """
        import atexit
        atexit.register(lambda: bye("late"))
        from instrument import configure, track_query
        @track_query(agent="a")
        def bye(text): pass
        def redact(text):
            bye(f"{text}!" [:20])
            return text
        configure(redact=redact)
        """
    )
    assert "late" in application.texts()


# -- exec --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["execv(sys.executable, [sys.executable, '-c', ''])", "execlp('true', 'true')"])
def test_what_was_recorded_before_an_exec_is_kept(application, numbered, call) -> None:
    application.run(
        f"""
        configure(flush_interval_ms=60000)
        for n in range(50):
            ask(f"ask-{{n}}")
        os.{call}
        """
    )
    assert application.texts() == numbered(ask=50)


def test_an_exec_that_fails_raises_what_it_did_and_recording_goes_on(application, numbered) -> None:
    application.run(
        """
        configure(flush_interval_ms=60000)
        ask("ask-0")
        try:
            os.execve("/nonexistent", ["x"], {})
        except FileNotFoundError as error:
            assert error.filename == "/nonexistent"
        ask("ask-1")
        """
    )
    assert application.texts() == numbered(ask=2)


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="needs posix_spawn")
def test_nothing_of_ours_stands_in_os_exec_before_the_first_record(application) -> None:
    application.run(
        """
        import posix
        assert os.execv is posix.execv
        ask("asked")
        assert os.execv.__wrapped__ is posix.execv and os.execv.__doc__ == posix.execv.__doc__
        """
    )
