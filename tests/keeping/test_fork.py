"""After a fork: the child's records are its own, the parent's stay the parent's, and nothing deadlocks."""

from __future__ import annotations

import json

from test_faults import limited

CHILD = """
def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        sys.exit()
    return pid

def wait(*pids):
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_child_writes_its_own_segment_and_repeats_no_record(application, numbered) -> None:
    application.run(
        CHILD,
        """
        for n in range(100):
            ask(f"before-{n}")
        pids = [child(lambda: [ask(f"child{c}-{n}") for n in range(50)]) for c in range(3)]
        for n in range(100):
            ask(f"after-{n}")
        wait(*pids)
        """,
    )
    assert application.texts() == numbered(before=100, after=100, child0=50, child1=50, child2=50)
    writers = [
        {json.loads(line)["o"]["p"] for line in path.read_text().splitlines()}
        for path in application.store.glob("*/*.jsonl")
    ]
    assert len(writers) == 4
    assert all(len(pids) == 1 for pids in writers)


def test_forking_while_threads_record_and_the_writer_writes_loses_and_repeats_nothing(application, numbered) -> None:
    application.run(
        CHILD,
        """
        configure(flush_interval_ms=1)
        threads = [threading.Thread(target=lambda t=t: [ask(f"thread{t}-{n}") for n in range(3000)]) for t in range(3)]
        for thread in threads:
            thread.start()
        pids = [child(lambda: [ask(f"child{c}-{n}") for n in range(20)]) for c in range(12)]
        wait(*pids)
        for thread in threads:
            thread.join()
        """,
    )
    children = {f"child{number}": 20 for number in range(12)}
    assert application.texts() == numbered(thread0=3000, thread1=3000, thread2=3000, **children)


def test_no_lock_held_by_another_thread_at_the_fork_can_hold_up_the_child(application, numbered) -> None:
    application.run(
        CHILD,
        """
        import logging
        from instrument.collecting.collector import collector
        ask("parent-0")
        holding, let_go = threading.Barrier(2), threading.Event()
        def hold():
            with collector.lock:
                holding.wait()
                let_go.wait()
        threading.Thread(target=hold, daemon=True).start()
        holding.wait()
        wait(child(lambda: [ask("child-0"), flush()]))
        let_go.set()
        """,
    )
    assert application.texts() == numbered(parent=1, child=1)


def test_a_module_being_imported_for_us_at_the_fork_cannot_hold_up_the_child(application, numbered) -> None:
    (application.folder / "tomllib.py").write_text("import time; time.sleep(0.5)\ndef loads(text): return {}\n")
    (application.folder / "instrument.toml").write_text("")
    application.run(
        CHILD,
        """
        thread = threading.Thread(target=ask, args=("parent-0",))
        thread.start()
        while "tomllib" not in sys.modules:
            time.sleep(0.01)
        wait(child(lambda: ask("child-0")))
        thread.join()
        """,
    )
    assert application.texts() == numbered(parent=1, child=1)


def test_a_query_open_at_the_fork_is_the_parents_and_the_childs_calls_carry_its_id(application) -> None:
    out, _ = application.run(
        CHILD,
        """
        with query_span("shared", agent="a") as query:
            look("parent")
            pid = os.fork()
            if pid == 0:
                look("child")
                with tool_span("in the child"):
                    ask("its own")
            else:
                print(query.query_id)
                wait(pid)
        """,
    )
    queries = {line["q"]: line for line in application.queries()}
    assert sorted(queries) == ["its own", "shared"]
    assert len(application.queries()) == 2
    shared = queries["shared"]
    assert shared["id"] == out.strip()
    assert [call["n"] for call in shared["c"]] == ["look"]
    calls = [line for line in application.lines() if line.get("type") == "call"]
    assert sorted(call["n"] for call in calls) == ["in the child", "look"]
    assert {call["parent"] for call in calls} == {shared["id"]}
    assert shared["o"]["p"] not in {call["o"]["p"] for call in calls}


def test_a_child_of_a_child_keeps_apart_as_well(application, numbered) -> None:
    application.run(
        CHILD,
        """
        def generation(level):
            ask(f"level{level}-0")
            if level < 4:
                wait(child(lambda: generation(level + 1)))
            ask(f"level{level}-1")
        generation(0)
        """,
    )
    assert application.texts() == numbered(**{f"level{level}": 2 for level in range(5)})


def test_a_child_writes_where_its_parent_does_wherever_both_have_gone(application, numbered) -> None:
    application.run(
        CHILD,
        """
        ask("parent-0")
        flush()
        os.chdir("/")
        wait(child(lambda: ask("child-0")))
        ask("parent-1")
        """,
    )
    assert application.texts() == numbered(parent=2, child=1)


def test_a_fork_during_a_flush_ends_in_both(application, numbered) -> None:
    application.run(
        CHILD,
        """
        stop = threading.Event()
        def flushing():
            while not stop.is_set():
                flush()
        thread = threading.Thread(target=flushing)
        thread.start()
        for c in range(10):
            ask(f"parent-{c}")
            wait(child(lambda: [ask(f"child{c}-0"), flush()]))
        stop.set()
        thread.join()
        """,
    )
    assert application.texts() == numbered(parent=10, **{f"child{number}": 1 for number in range(10)})


ALONE = """
import os, sys
at_fork = []
def look():
    at_fork.append(len(os.listdir("/proc/self/task")))
os.register_at_fork(before=look)  # the last to run, as the first that was registered
"""


def test_no_thread_of_ours_runs_at_a_fork_so_python_gives_no_warning(application, numbered) -> None:
    """Python 3.12 and later warn of a fork beside a thread; the application's own code is all that may cause it."""
    application.run_alone(
        ALONE
        + """
import warnings
warnings.simplefilter("error")
from instrument import configure, flush, track_query
configure(formats=["csv", "json"], flush_interval_ms=60000)
@track_query(agent="a")
def ask(text): pass
for c in range(20):
    ask(f"before-{c}")
    if c % 3 == 0:
        flush()
    pid = os.fork()
    if pid == 0:
        ask(f"child-{c}")
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0
    if c % 4 == 0:
        ask(f"after-{c // 4}")
assert at_fork == [1] * 20, at_fork
"""
    )
    assert application.texts() == numbered(before=20, child=20, after=5)


def test_a_fork_does_not_wait_for_a_writer_that_sleeps(application) -> None:
    out, _ = application.run(
        CHILD,
        """
        from instrument.collecting import collector
        collector.FORK_TIMEOUT = 40
        configure(flush_interval_ms=60000)
        for quiet in (0, 0.3):
            ask("asked")
            flush()
            time.sleep(quiet)
            began = time.monotonic()
            wait(child(lambda: None))
            print(time.monotonic() - began < 20)
        """,
    )
    assert out == "True\nTrue\n"


def test_what_waits_for_a_full_disk_at_a_fork_is_written_when_it_has_room(application, numbered) -> None:
    application.run(
        limited(0),
        CHILD,
        """
        for n in range(20):
            ask(f"parent-{n}")
        assert not flush()
        wait(child(lambda: (more_room(), ask("child-0"))))
        more_room()
        deadline = time.monotonic() + 30
        while sum(path.read_bytes().count(b"parent-") for path in held()) < 20:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        """,
    )
    assert application.texts() == numbered(parent=20, child=1)


def test_threads_that_record_and_flush_beside_forks_go_on_after_each(application, numbered) -> None:
    application.run(
        CHILD,
        """
        configure(flush_interval_ms=60000, buffer_size=50, on_full="wait")
        def record(t):
            for n in range(500):
                ask(f"thread{t}-{n}")
                if n % 50 == 0:
                    assert flush(timeout=30)
        threads = [threading.Thread(target=record, args=(t,)) for t in range(3)]
        for thread in threads:
            thread.start()
        for c in range(20):
            wait(child(lambda: ask(f"child-{c}")))
        for thread in threads:
            thread.join()
        """,
    )
    assert application.texts() == numbered(thread0=500, thread1=500, thread2=500, child=20)


def test_a_disk_that_hangs_holds_up_a_fork_for_a_moment_only(application) -> None:
    out, _ = application.run(
        CHILD,
        """
        from instrument.sinks.segments import SegmentSink
        asked = threading.Event()
        write = SegmentSink.write
        def hang(self, batch):
            asked.set()
            time.sleep(4)
            write(self, batch)
        SegmentSink.write = hang
        ask("parent-0")
        asked.wait()
        began = time.monotonic()
        pid = child(lambda: os.write(1, b"child\\n"))
        os.write(1, b"True\\n" if time.monotonic() - began < 3 else b"False\\n")
        wait(pid)
        """,
    )
    assert sorted(out.split()) == ["True", "child"]
    assert application.texts() == ["parent-0"]
