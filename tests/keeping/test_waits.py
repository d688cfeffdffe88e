"""How long the writer waits, and what happens where it does not get the interpreter's lock."""

from __future__ import annotations

import json
import signal
import time
from types import SimpleNamespace

import pytest

from instrument.collecting import waits as module
from instrument.collecting.waits import AT_ONCE, HAND_OVERS, LATE_SECONDS, MOST_HAND_OVERS, Waits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def seconds(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "clocks", SimpleNamespace(seconds=clock.seconds))
    return clock


@pytest.fixture
def waits(clock: Clock) -> Waits:
    return Waits(0.2)


def fighting(waits: Waits, clock: Clock) -> Waits:
    clock.now += waits.begin(False) + 2 * LATE_SECONDS
    waits.timed_out()
    return waits


def test_a_writer_that_comes_late_fights_for_the_lock_and_one_in_time_does_not(waits: Waits, clock: Clock) -> None:
    clock.now += waits.begin(False) + LATE_SECONDS / 2
    waits.timed_out()
    assert not waits.fights
    assert fighting(waits, clock).fights
    clock.now += waits.begin(False)
    waits.timed_out()
    assert not waits.fights


def test_after_a_missed_hand_over_no_thread_waits_for_the_writer_again(waits: Waits, clock: Clock) -> None:
    fighting(waits, clock).handed_over(done=False)
    assert not waits.fights


def test_after_many_hand_overs_the_writer_is_looked_at_anew(waits: Waits, clock: Clock) -> None:
    fighting(waits, clock)
    for _ in range(HAND_OVERS - 1):
        waits.handed_over(done=True)
        assert waits.fights
    waits.handed_over(done=True)
    assert not waits.fights
    assert fighting(waits, clock).fights
    waits.handed_over(done=True)
    assert waits.fights


def test_a_writer_that_comes_late_each_time_is_looked_at_less_and_less_often_until_it_is_in_time(
    waits: Waits, clock: Clock
) -> None:
    def hand_overs() -> int:
        fighting(waits, clock)
        for count in range(1, 2 * MOST_HAND_OVERS):
            waits.handed_over(done=True)
            if not waits.fights:
                return count
        return 0

    assert [hand_overs() for _ in range(6)] == [64, 128, 256, 512, 1024, 1024]
    clock.now += waits.begin(False)
    waits.timed_out()
    assert [hand_overs() for _ in range(2)] == [64, 128]


def test_a_look_anew_that_comes_late_is_seen_by_the_next_record_that_the_rate_lets_expect(
    waits: Waits, clock: Clock
) -> None:
    began = clock.now
    fighting(waits, clock)
    clock.now = began + 1
    waits.looked(1000)
    for _ in range(HAND_OVERS):
        waits.handed_over(done=True)
    waits.begin(False)
    assert waits.expected == 201
    fighting(waits, clock)
    waits.begin(False)
    assert waits.expected == 141


def test_a_batch_is_handed_over_before_the_wait_ends_where_the_writer_fights_and_else_only_when_it_is_late(
    waits: Waits, clock: Clock
) -> None:
    clock.now += 1.0
    waits.looked(100)
    assert waits.begin(stretched=True) == 1.0
    assert waits.expected == 125 + AT_ONCE
    clock.now += 1.0
    assert not waits.is_due()
    clock.now += LATE_SECONDS
    assert waits.is_due()

    fighting(waits, clock)
    clock.now = waits._looked + 1.0
    waits.looked(100)
    waits.begin(stretched=True)
    assert waits.expected == 71
    clock.now += 0.49
    assert not waits.is_due()
    clock.now += 0.02
    assert waits.is_due()


def test_a_burst_is_asked_about_seldom_and_what_comes_after_it_is_not_forgotten(waits: Waits, clock: Clock) -> None:
    fighting(waits, clock)
    clock.now = waits._looked + 1.0
    waits.looked(10)
    waits.begin(stretched=True)
    limit, asked = waits.expected, 0
    while limit < 1000:
        limit, asked = waits.further(limit + 1), asked + 1
    assert asked < 30
    clock.now += 0.5
    assert waits.further(40) <= 50  # the last burst of so many is not waited for


def test_a_look_that_finds_nothing_right_after_another_does_not_make_traffic_slow(waits: Waits, clock: Clock) -> None:
    clock.now += 0.2
    waits.looked(200)
    assert not waits.few
    waits.looked(0)
    assert not waits.few
    clock.now += 0.2
    waits.looked(0)
    assert waits.few


FIGHTING = """
from instrument.collecting import waits, writer
from instrument.collecting.collector import collector
waits.Waits._set = lambda self, fights: None
waits.Waits.fights = property(lambda self: True, lambda self, fights: None)
"""
"""A program whose writer fights for the lock, whatever else the machine does."""

PATIENT = """
waits.HAND_OVER_SECONDS = writer.HAND_OVER_SECONDS = 30
"""


def test_a_record_that_is_handed_over_is_on_disk_when_its_query_returns(application) -> None:
    application.run(
        FIGHTING,
        PATIENT,
        """
        configure(flush_interval_ms=60000)
        for n in range(20):
            ask(f"ask-{n}.")
            collector._writer._waits._hand_over_at = 0
            instrument.collecting.switches.switches.rest()
            ask(f"due-{n}.")
            assert f"due-{n}." in "".join(path.read_text() for path in held())
        """,
    )


def test_records_of_several_threads_that_hand_over_are_all_kept(application, numbered) -> None:
    application.run(
        FIGHTING,
        """
        waits.Waits.is_due = lambda self: True
        waits.Waits.expected = 1
        def record(t):
            for n in range(500):
                ask(f"{t}-{n}")
        threads = [threading.Thread(target=record, args=(f"thread{t}",)) for t in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
    )
    assert application.texts() == numbered(thread0=500, thread1=500, thread2=500, thread3=500)


def test_a_disk_that_does_not_answer_holds_no_query_up_although_the_writer_fights(application, numbered) -> None:
    application.run(
        """
        from instrument.collecting.collector import collector
        from instrument.sinks.segments import SegmentSink
        write, gate = SegmentSink.write, threading.Event()
        SegmentSink.write = lambda self, batch: (gate.wait(), write(self, batch))[1]
        ask("ask-0")
        collector._writer._waits.fights = True
        collector._writer._hand_over()  # to a disk that hangs: given up after a moment
        assert not collector._writer._waits.fights
        for n in range(1, 2000):
            ask(f"ask-{n}")
        gate.set()
        """
    )
    assert application.texts() == numbered(ask=2000)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("flush(); os._exit(0)", 0),
        ("shutdown(); os._exit(0)", 0),
        ("sys.exit(0)", 0),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", -signal.SIGTERM),
    ],
)
@pytest.mark.parametrize("fights", ["", FIGHTING])
def test_an_end_of_the_process_writes_at_once_what_waits_however_long_it_may(
    application, numbered, fights, end, status
) -> None:
    application.run(
        fights,
        f"""
        configure(flush_interval_ms=60000)
        for n in range(300):
            ask(f"ask-{{n}}")
        {end}
        """,
        status=status,
    )
    assert application.texts() == numbered(ask=300)


BUSY_LOOP = """
import asyncio

@track_query(agent="a")
async def answer(text):
    return text

progress = os.open("progress", os.O_RDWR | os.O_CREAT)

async def serve(queries, is_over):
    n = 0
    while not is_over():
        for _ in range(queries):
            now = time.monotonic()
            await answer(f"{n} {now}")
            n += 1
        os.pwrite(progress, f"{now:<30}".encode(), 0)
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass
        await asyncio.sleep(0)
"""
"""A loop that looks for events every ms and always has something to do; `progress` has the time of its last query."""

LOST_AT_MOST = 1.0
GRACE = 1.5
"""Seconds: what the guarantee says, and what a busy machine may add to it."""


def test_a_kill_of_a_loop_that_always_has_something_to_do_loses_the_flush_interval_at_the_most(application) -> None:
    process = application.start(BUSY_LOOP, 'print("on", flush=True)', "asyncio.run(serve(5, lambda: False))")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        time.sleep(4)
    finally:
        process.kill()
        process.communicate(timeout=30)
    (segment,) = application.store.glob("*/*.jsonl")
    whole = [line for line in segment.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    seen = [json.loads(line)["q"].split() for line in whole]
    assert [int(number) for number, _ in seen] == list(range(len(seen)))
    last = float((application.folder / "progress").read_text())
    assert last - float(seen[-1][1]) < LOST_AT_MOST + GRACE


def test_a_followed_store_has_its_records_soon_also_from_such_a_loop(application) -> None:
    (application.folder / "monitoring").mkdir(mode=0o700)
    out, _ = application.run(
        BUSY_LOOP,
        """
        from instrument import followed
        from instrument.sinks.segments import SegmentSink
        followed.touch("monitoring")
        write, times = SegmentSink.write, []
        SegmentSink.write = lambda self, batch: (times.append(time.monotonic()), write(self, batch))[1]
        asyncio.run(serve(1, lambda: len(times) > 16))
        gaps = sorted(after - before for before, after in zip(times, times[1:]))
        print(gaps[len(gaps) // 4])
        """,
    )
    assert float(out) < 0.45  # s; half a second is the least where nobody follows
