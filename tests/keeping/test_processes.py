"""How processes begin and end: what each way keeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

MULTIPLE = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def work(name, count=40, threads=2):
    def record(t):
        for n in range(count):
            ask(f"{name}.{t}-{n}")
    started = [threading.Thread(target=record, args=(t,)) for t in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_record_of_every_process_and_thread_arrives_once(application, numbered, method) -> None:
    application.run(
        MULTIPLE,
        f"""
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            work("parent")
            processes = [context.Process(target=work, args=(f"child{{c}}",)) for c in range(3)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
                assert process.exitcode == 0
        """,
    )
    names = ["parent", "child0", "child1", "child2"]
    assert application.texts() == numbered(**{f"{name}.{t}": 40 for name in names for t in range(2)})


def test_a_pool_loses_nothing_though_its_workers_are_terminated(application, numbered) -> None:
    application.run(
        MULTIPLE,
        """
        if __name__ == "__main__":
            with query_span("fan out", agent="a"), multiprocessing.get_context("fork").Pool(3) as pool:
                pool.map(ask, [f"pool-{n}" for n in range(200)])
        """,
    )
    assert application.texts() == sorted([*numbered(pool=200), "fan out"])


def test_an_executor_of_processes_loses_nothing(application, numbered) -> None:
    application.run(
        MULTIPLE,
        """
        if __name__ == "__main__":
            with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
                list(pool.map(ask, [f"pool-{n}" for n in range(200)]))
        """,
    )
    assert application.texts() == numbered(pool=200)


def test_threads_that_outlive_a_childs_main_function_are_waited_for(application, numbered) -> None:
    application.run(
        MULTIPLE,
        """
        def slow():
            time.sleep(0.3)
            ask("late-0")
        def main():
            ask("early-0")
            threading.Thread(target=slow).start()
        if __name__ == "__main__":
            process = multiprocessing.get_context("fork").Process(target=main)
            process.start()
            process.join()
        """,
    )
    assert application.texts() == numbered(early=1, late=1)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_that_is_named_as_the_parent_is_keeps_its_records(application, numbered, method) -> None:
    application.run(
        MULTIPLE,
        f"""
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            process = context.Process(target=ask, args=("child-0",), name="MainProcess")
            process.start()
            process.join()
        """,
    )
    assert application.texts() == numbered(child=1)


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('the end')", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("threading.Thread(target=lambda: 1 / 0).start()", 0),
        ("import atexit; atexit.register(lambda: ask('ask-500'))", 0),
        ("threading.Thread(target=lambda: [time.sleep(0.2), ask('ask-500')]).start()", 0),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_every_ordinary_end_writes_everything(application, numbered, ending, status) -> None:
    application.run(f"for n in range(500): ask(f'ask-{{n}}')\n{ending}", status=status)
    assert application.texts() == numbered(ask=501 if "ask-500" in ending else 500)


def test_os_exit_loses_at_most_the_flush_interval(application, numbered) -> None:
    application.run("for n in range(9): ask(f'old-{n}')\ntime.sleep(1.5)\nask('new-0')\nos._exit(0)")
    assert set(numbered(old=9)) <= set(application.texts())


def test_what_is_open_at_the_end_is_abandoned(application) -> None:
    application.run(
        """
        @track_query(agent="stream")
        def stream(text):
            yield text
        kept = stream("half read")
        next(kept)
        span = query_span("left open", agent="a").__enter__()
        tool_span("half done").__enter__()
        record_selection("nobody came")
        """
    )
    assert {line["q"]: line["s"] for line in application.queries()} == {
        "half read": "abandoned",
        "left open": "abandoned",
    }
    [left_open] = [line for line in application.queries() if line["q"] == "left open"]
    assert [call["n"] for call in left_open["c"]] == ["half done"]
    selections = [line for line in application.lines() if line.get("type") == "selection"]
    assert not selections or [line["a"] for line in selections] == ["nobody came"]


def test_an_interrupted_event_loop_records_its_queries_as_cancelled(application) -> None:
    process = application.start(
        """
        import asyncio
        @track_query(agent="async")
        async def wait(text):
            print("ready", flush=True)
            await asyncio.sleep(100)
        asyncio.run(wait("asked"))
        """
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert [(line["q"], line["s"]) for line in application.queries()] == [("asked", "cancelled")]


def test_daemon_threads_that_record_during_the_interpreters_end_disturb_nobody(application) -> None:
    _, err = application.run(
        """
        def on():
            while True:
                ask("on and on")
        for _ in range(3):
            threading.Thread(target=on, daemon=True).start()
        for n in range(300):
            ask(f"main-{n}")
        """
    )
    assert err == ""
    asked = Counter(application.texts())
    assert [count for text, count in asked.items() if text.startswith("main")] == [1] * 300
    serials = [line["i"] for line in application.queries()]
    assert len(serials) == len(set(serials))


# -- SIGTERM ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "waiting",
    [
        "time.sleep(100)",
        "threading.Event().wait()",
        "threading.Thread(target=time.sleep, args=(100,), daemon=True).run()",
        "while True: ask('busy')",
        "while True: query_span('busy', agent='a').__enter__().__exit__(None, None, None)",
        "while True: flush()",
    ],
)
def test_sigterm_ends_a_process_by_the_signal_with_everything_written(application, numbered, waiting) -> None:
    process = application.start(
        f"""
        configure(flush_interval_ms=60000)
        for n in range(200):
            ask(f"ask-{{n}}")
        opened = query_span("open", agent="a").__enter__()
        print("ready", flush=True)
        {waiting}
        """
    )
    process.stdout.readline()
    time.sleep(0.2)  # a signal between its last step and a call that blocks waits for that call's end, docs/pythons.md
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-signal.SIGTERM, "")
    assert time.monotonic() - began < 30
    found = [text for text in application.texts() if text != "busy"]
    assert found == sorted([*numbered(ask=200), "open"])
    [opened] = [line for line in application.queries() if line["q"] == "open"]
    assert opened["s"] == "abandoned"


def test_an_applications_own_sigterm_handler_is_left_alone(application, numbered) -> None:
    out, _ = application.run(
        """
        def mine(number, frame):
            print("mine")
            sys.exit(7)
        signal.signal(signal.SIGTERM, mine)
        ask("ask-0")
        assert signal.getsignal(signal.SIGTERM) is mine
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(100)
        """,
        status=7,
    )
    assert out == "mine\n"
    assert application.texts() == numbered(ask=1)


def test_a_handler_that_calls_the_one_it_found_goes_on_as_it_would_without_us(application, numbered) -> None:
    out, _ = application.run(
        """
        configure(flush_interval_ms=60000)
        ask("ask-0")
        found = signal.getsignal(signal.SIGTERM)
        def mine(number, frame):
            if callable(found):  # what the system's default is not
                found(number, frame)
        signal.signal(signal.SIGTERM, mine)
        os.kill(os.getpid(), signal.SIGTERM)
        print("goes on", len(held()))
        os._exit(0)
        """
    )
    assert out == "goes on 1\n"
    assert application.texts() == numbered(ask=1)


def test_an_ignored_sigterm_stays_ignored(application, numbered) -> None:
    application.run(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ask("ask-0")
        os.kill(os.getpid(), signal.SIGTERM)
        ask("ask-1")
        """
    )
    assert application.texts() == numbered(ask=2)


def test_a_first_record_in_another_thread_leaves_sigterm_to_the_main_threads_first(application, numbered) -> None:
    application.run(
        """
        thread = threading.Thread(target=ask, args=("ask-0",))
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        time.sleep(3)  # until the writer sleeps, so that the next record is looked at
        ask("ask-1")
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(100)
        """,
        status=-signal.SIGTERM,
    )
    assert application.texts() == numbered(ask=2)


def test_the_main_threads_first_query_sees_to_sigterm_although_others_were_first(application, numbered) -> None:
    """As in a server that runs one endpoint in a pool of threads and the next in its event loop."""
    application.run(
        """
        configure(flush_interval_ms=60000)
        thread = threading.Thread(target=ask, args=("ask-0",))
        thread.start()
        thread.join()
        ask("ask-1")
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(100)
        """,
        status=-signal.SIGTERM,
    )
    assert application.texts() == numbered(ask=2)


def test_a_program_that_asks_in_other_threads_alone_takes_the_short_way_all_the_same(application) -> None:
    application.run(
        """
        from instrument.collecting.switches import switches
        from instrument.recording.queries import ELSEWHERE_FIRST
        thread = threading.Thread(target=lambda: [ask("") for _ in range(ELSEWHERE_FIRST + 1)])
        thread.start()
        thread.join()
        assert switches.begun
        """
    )


def test_sigterm_while_this_thread_holds_our_lock_still_writes_everything(application, numbered) -> None:
    application.run(
        """
        from instrument.collecting.collector import collector
        configure(flush_interval_ms=60000)
        ask("ask-0")
        with collector.lock:
            os.kill(os.getpid(), signal.SIGTERM)
            ask("ask-1")
        time.sleep(100)
        """,
        status=-signal.SIGTERM,
    )
    assert set(application.texts()) >= set(numbered(ask=1))


POOLS = """
import multiprocessing
def plain(text):
    return text
def pools(work, times):
    context = multiprocessing.get_context("fork")
    for _ in range(times):
        with context.Pool(3) as pool:  # which terminates it in the end, and waits for its workers
            pool.map(work, [f"pool-{n}" for n in range(12)], chunksize=1)
"""


@pytest.mark.parametrize("work", ["ask", "plain"])
def test_no_pool_hangs_when_its_workers_are_terminated_as_they_answer(application, work) -> None:
    """Where a handler in Python met a signal right before a call that blocks, one pool of eight to thirty did."""
    application.run(POOLS, f"ask('parent'); pools({work}, 40)")
    assert len(application.texts()) == (40 * 12 if work == "ask" else 0) + 1


UNSEEN = """
import hashlib, multiprocessing
def unseen():
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # as the main thread sees nothing of it, it sleeps on
def child(wait):
    ask("child-0")
    threading.Thread(target=lambda: [time.sleep(0.2), unseen(), time.sleep(100)], daemon=True).start()
    wait()
context = multiprocessing.get_context("fork")
never = context.Semaphore(0)
"""


@pytest.mark.parametrize(
    ("wait", "status"),
    [
        ("never.acquire", -signal.SIGTERM),
        ("lambda: hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)", -signal.SIGKILL),  # no signal ends that
    ],
)
def test_a_child_ends_by_a_signal_that_its_main_thread_does_not_see(application, numbered, wait, status) -> None:
    application.run(
        "configure(flush_interval_ms=60000)",
        UNSEEN,
        f"""
        process = context.Process(target=child, args=({wait},), daemon=True)
        process.start()
        process.join(30)
        assert process.exitcode == {status}, process.exitcode
        """,
    )
    assert application.texts() == numbered(child=1)


def test_a_forked_child_that_records_nothing_ends_by_sigterm_as_it_does_without_us(application) -> None:
    application.run(
        """
        ask("parent")
        pid = os.fork()
        if pid == 0:
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        """
    )


def test_a_sigterm_that_comes_while_a_child_is_being_made_ends_it(application) -> None:
    application.run_alone(
        """
        import os, signal
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))  # runs before ours
        from instrument import track_query
        @track_query(agent="a")
        def ask(text): pass
        ask("parent")
        pid = os.fork()
        if pid == 0:
            signal.pause()
        assert os.waitpid(pid, 0)[1] == signal.SIGTERM
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        """
    )


def test_signals_are_left_to_trio_which_reads_them_itself(application) -> None:
    (application.folder / "trio.py").write_text("")
    application.run(
        UNSEEN,
        """
        def imports():
            ask("child-0")
            assert "instrument-signals" in [thread.name for thread in threading.enumerate()]
            import trio
            assert signal.set_wakeup_fd(-1) == -1
            assert "instrument-signals" not in [thread.name for thread in threading.enumerate()]
        for _ in range(2):
            process = context.Process(target=imports)
            process.start()
            process.join(30)
            assert process.exitcode == 0
        """,
    )
    assert application.texts() == ["child-0"] * 2


def test_a_child_that_forks_has_no_thread_of_ours_at_that_moment_and_watches_again(application, numbered) -> None:
    application.run(
        UNSEEN,
        """
        def forks():
            ask("child-1")
            if (pid := os.fork()) == 0:
                os._exit(len(os.listdir("/proc/self/task")) - 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
            flush()
            child(never.acquire)
        process = context.Process(target=forks, daemon=True)
        process.start()
        process.join(30)
        assert process.exitcode == -signal.SIGTERM, process.exitcode
        """,
    )
    assert application.texts() == numbered(child=2)


# -- SIGKILL ---------------------------------------------------------------------------------------------------------


def test_sigkill_at_any_moment_loses_at_most_the_flush_interval_and_repeats_nothing(application) -> None:
    """`tests/soak.py --kills 1000` does it for longer."""
    command = [sys.executable, Path(__file__).with_name("kills.py"), "--kills", "100"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, cwd=application.folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


# -- servers ---------------------------------------------------------------------------------------------------------


def test_a_preforking_server_keeps_every_request_of_every_worker_through_its_end(application, numbered) -> None:
    process = application.start(
        """
        ask("master-0")
        with_open_query = query_span("start", agent="a").__enter__()
        def worker(w):
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            for n in range(300):
                ask(f"worker{w}-{n}")
            print("served", flush=True)
            while not stop.is_set():
                stop.wait(0.05)
            ask(f"worker{w}-300")
            sys.exit(0)
        pids = []
        for w in range(3):
            pid = os.fork()
            if pid == 0:
                worker(w)
            pids.append(pid)
        sys.stdin.readline()
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for pid in pids:
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    for _ in range(3):
        process.stdout.readline()
    process.communicate("stop\n", timeout=60)
    assert process.returncode == 0
    workers = {f"worker{number}": 301 for number in range(3)}
    assert application.texts() == sorted([*numbered(master=1, **workers), "start"])


@pytest.mark.parametrize(("workers", "call"), [(2, "answer"), (1, "answer"), (1, "in_a_thread")])
def test_uvicorn_keeps_every_request_through_its_end_by_sigterm(application, numbered, workers, call) -> None:
    (application.folder / "served.py").write_text(
        """
from instrument import track_query

import asyncio

@track_query(agent="web", input="text")
async def answer(text):
    return text

@track_query(agent="web", input="text")
def recorded(text):
    return text

async def in_a_thread(text):
    return await asyncio.to_thread(recorded, text)

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    text = await CALL(scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": text.encode()})
""".replace("CALL", call)
    )
    process = application.start(
        """
        import socket, subprocess, urllib.request
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "served:app", "--workers", "WORKERS", "--port", str(port),
             "--log-level", "warning", "--lifespan", "off"]
        )
        def get(text):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/?{text}", timeout=20).read().decode()
        for _ in range(300):
            try:
                assert get("up") == "up"
                break
            except OSError:
                time.sleep(0.1)
        for n in range(60):
            assert get(f"web-{n}") == f"web-{n}"
        server.terminate()
        server.wait(40)
        """.replace("WORKERS", str(workers)),
        INSTRUMENT_FLUSH_INTERVAL_MS="60000",
    )
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert [text for text in application.texts() if text != "up"] == numbered(web=60)


# -- before and beside -----------------------------------------------------------------------------------------------


def test_nothing_is_started_and_no_file_is_touched_before_the_first_record(application) -> None:
    out, _ = application.run(
        """
        configure(sample_rate=0.5)
        with query_span("open", agent="a"):
            print(threading.active_count(), os.path.exists("monitoring"))
        print(threading.active_count())
        """
    )
    assert out == "1 False\n2\n"


def test_an_idle_process_wakes_nothing(application) -> None:
    out, _ = application.run(
        """
        configure(formats=["csv"])
        ask("one")
        flush()
        time.sleep(1.5)  # some looks at the buffer that find nothing come first
        def switches():
            return [
                int(Path(f"/proc/self/task/{task}/status").read_text().split("voluntary_ctxt_switches:")[1].split()[0])
                for task in os.listdir("/proc/self/task") if int(task) != os.getpid()
            ]
        before = switches()
        time.sleep(1.5)
        print(len(before), [now - then for then, now in zip(before, switches())])
        """
    )
    assert out == "2 [0, 0]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_a_million_queries(application) -> None:
    out, _ = application.run(
        """
        def resident():
            return int(Path("/proc/self/statm").read_text().split()[1]) * 4
        configure(capture_input="none", sample_rate=0.001, on_full="wait")
        for n in range(100_000):
            ask("a question of ordinary length")
        flush()
        before = resident()
        for n in range(1_000_000):
            ask("a question of ordinary length")
        flush()
        print(resident() - before)
        """
    )
    assert int(out) < 30_000  # kB; a million kept would take 300,000
