"""After a fork: the child's records are its own, the parent's stay the parent's, and nothing deadlocks."""

from __future__ import annotations

import json

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
