"""Flushing, stopping, the bound of memory, and settings changed meanwhile."""

from __future__ import annotations


def test_flush_returns_when_all_that_was_recorded_before_is_on_disk(application) -> None:
    application.run(
        """
        configure(flush_interval_ms=60000)
        for n in range(30):
            for _ in range(100):
                ask("asked")
            assert flush()
            assert sum(path.read_bytes().count(b"\\n") for path in held()) == 100 * (n + 1)
        """
    )


def test_flush_from_several_threads_at_once_returns_to_each_with_its_own_on_disk(application) -> None:
    application.run(
        """
        configure(flush_interval_ms=60000)
        missing = []
        def record(t):
            for n in range(40):
                ask(f"thread-{t}-{n}.")
                assert flush()
                if not any(f"thread-{t}-{n}." in path.read_text() for path in held()):
                    missing.append((t, n))
        threads = [threading.Thread(target=record, args=(t,)) for t in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not missing
        """
    )
    assert len(application.texts()) == 160


def test_a_batch_leaves_by_time(application) -> None:
    application.run(
        """
        ask("asked")
        deadline = time.monotonic() + 30
        while not held() or not held()[0].read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        """
    )


COUNTED = """
from instrument import followed
from instrument.sinks.segments import SegmentSink
write, writes = SegmentSink.write, []
SegmentSink.write = lambda self, batch: (writes.append(len(batch)), write(self, batch))[1]
def writes_during(seconds, pause):
    before, end = len(writes), time.monotonic() + seconds
    while time.monotonic() < end:
        ask("asked")
        time.sleep(pause)
    return len(writes) - before
"""


def test_slow_traffic_is_written_once_a_second_and_more_often_where_somebody_follows_the_store(application) -> None:
    application.run(
        COUNTED,
        """
        assert writes_during(3, 0.02) <= 5
        followed.touch("monitoring")
        ask("asked")
        flush()
        assert writes_during(3, 0.02) > 5
        os.utime("monitoring/.state/followed", (0, 0))
        flush()
        writes_during(1.5, 0.02)  # it looks once a second whether it is still followed
        assert writes_during(3, 0.02) <= 5
        """,
    )


def test_a_longer_or_shorter_interval_of_ones_own_stretches_no_further_than_it_says(application) -> None:
    application.run(
        COUNTED,
        """
        from instrument.collecting.collector import collector
        for interval, longest in ((10, 0.05), (200, 1), (500, 1), (1000, 1), (5000, 5)):
            configure(flush_interval_ms=interval)
            ask("asked")
            assert collector._writer._waits.longest == longest, interval
        """,
    )


def test_a_batch_leaves_by_count_long_before_its_time(application) -> None:
    application.run(
        """
        configure(flush_interval_ms=60000)
        ask("first")
        time.sleep(0.3)
        for n in range(1100):
            ask("asked")
        deadline = time.monotonic() + 30
        while not held() or not held()[0].read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        """
    )


def test_a_buffer_smaller_than_a_batch_leaves_before_it_is_full(application, numbered) -> None:
    application.run(
        """
        configure(flush_interval_ms=60000, buffer_size=20)
        for n in range(200):
            ask(f"ask-{n}")
            time.sleep(0.005)
        """
    )
    assert application.texts() == numbered(ask=200)


def test_a_full_buffer_drops_counts_and_says_so(application) -> None:
    application.run(
        """
        from instrument.sinks.segments import SegmentSink
        write, gate = SegmentSink.write, threading.Event()
        SegmentSink.write = lambda self, batch: gate.wait() and write(self, batch)
        configure(buffer_size=100)
        for n in range(1000):
            ask("asked")
        gate.set()
        flush()
        """
    )
    dropped = application.health("dropped")
    assert set(dropped) == {"full buffer"}
    assert len(application.texts()) + dropped["full buffer"] == 1000
    assert len(application.texts()) >= 100


def test_a_full_buffer_waits_where_it_is_told_to_and_loses_nothing(application, numbered) -> None:
    application.run(
        """
        from instrument.sinks.segments import SegmentSink
        write = SegmentSink.write
        SegmentSink.write = lambda self, batch: time.sleep(0.005) or write(self, batch)
        configure(buffer_size=50, on_full="wait")
        def record(t):
            for n in range(500):
                ask(f"thread{t}-{n}")
        threads = [threading.Thread(target=record, args=(t,)) for t in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """
    )
    assert application.texts() == numbered(thread0=500, thread1=500, thread2=500)
    assert application.health("dropped") == {}


def test_a_full_buffer_that_waits_drops_nothing_however_many_threads_fight_for_its_room(application, numbered) -> None:
    application.run(
        """
        sys.setswitchinterval(1e-5)
        configure(buffer_size=2, on_full="wait")
        def record(t):
            for n in range(1500):
                ask(f"thread{t}-{n}")
        threads = [threading.Thread(target=record, args=(t,)) for t in range(8)]
        for thread in threads:
            thread.start()
        for n in range(5):
            configure(directory=f"store{n}", buffer_size=2 + n)
        for thread in threads:
            thread.join()
        """
    )
    stores = [application.store, *application.folder.glob("store*")]
    found = sorted(text for store in stores for text in application.texts(store))
    assert found == numbered(**{f"thread{t}": 1500 for t in range(8)})


def test_records_after_a_shutdown_are_dropped_and_counted_and_a_second_one_is_harmless(application, numbered) -> None:
    application.run(
        """
        for n in range(100):
            ask(f"ask-{n}")
        assert shutdown()
        for n in range(7):
            ask("late")
        assert shutdown()
        assert flush()
        assert threading.active_count() == 1
        """
    )
    assert application.texts() == numbered(ask=100)
    assert application.health("dropped") == {"shutdown": 7}


def test_configure_after_a_shutdown_records_again(application, numbered) -> None:
    application.run("ask('ask-0'); shutdown(); configure(); ask('ask-1')")
    assert application.texts() == numbered(ask=2)


def test_settings_changed_again_and_again_as_in_a_notebook_lose_nothing_and_leave_one_writer(
    application, numbered
) -> None:
    application.run(
        """
        for n in range(30):
            configure(directory=f"store{n % 3}", formats=["csv"] if n % 2 else [])
            ask(f"ask{n % 3}-{n // 3}")
            if n % 5 == 0:
                flush()
        configure(formats=[])
        ask("ask2-10")
        flush()
        assert threading.active_count() == 2, threading.enumerate()
        """
    )
    for number in range(3):
        found = application.texts(application.folder / f"store{number}")
        assert found == numbered(**{f"ask{number}": 11 if number == 2 else 10})


def test_settings_changed_while_the_writer_sleeps_hold_for_the_next_record(application, numbered) -> None:
    application.run(
        """
        for n in range(3):
            configure(directory=f"store{n}")
            ask(f"ask{n}-0")
            flush()
            time.sleep(1.5)  # until it sleeps
        configure(directory="store3")
        ask("ask3-0")
        configure(directory="store4")
        """
    )
    for number in range(4):
        assert application.texts(application.folder / f"store{number}") == numbered(**{f"ask{number}": 1})
    assert not (application.folder / "store4").exists()


def test_settings_changed_beside_threads_that_record_and_flush_lose_and_repeat_nothing(application) -> None:
    application.run(
        """
        stop = threading.Event()
        def record(t):
            for n in range(4000):
                ask(f"thread{t}-{n}")
        def flushing():
            while not stop.is_set():
                flush()
        threads = [threading.Thread(target=record, args=(t,)) for t in range(2)]
        flusher = threading.Thread(target=flushing)
        for thread in [*threads, flusher]:
            thread.start()
        n = 0
        while any(thread.is_alive() for thread in threads):
            n += 1
            configure(directory=f"store{n % 2}")
        stop.set()
        flusher.join()
        """
    )
    stores = [application.folder / name for name in ("monitoring", "store0", "store1")]
    found = sorted(text for store in stores for text in application.texts(store))
    assert found == sorted(f"thread{t}-{n}" for t in range(2) for n in range(4000))


def test_a_slow_or_failing_file_beside_the_store_holds_up_neither_it_nor_the_application(application, numbered) -> None:
    application.run(
        """
        from instrument.sinks.csv_file import CsvFileSink
        from instrument.sinks.json_file import JsonFileSink
        def fail(self, batch):
            raise OSError("it always fails")
        JsonFileSink.write = fail
        CsvFileSink.write = lambda self, batch: threading.Event().wait()
        configure(formats=["json", "csv"])
        for n in range(2000):
            ask(f"ask-{n}")
        assert not flush(timeout=0.5)
        deadline = time.monotonic() + 30
        while sum(path.read_bytes().count(b"\\n") for path in held()) < 2000:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        """
    )
    assert application.texts() == numbered(ask=2000)


def test_flush_inside_a_redaction_function_or_a_finaliser_does_not_wait_for_itself(application, numbered) -> None:
    application.run(
        """
        def redact(text):
            flush()
            look("inside")
            return text
        configure(redact=redact, on_full="wait", buffer_size=10)
        for n in range(100):
            ask(f"ask-{n}")
        """
    )
    assert application.texts() == numbered(ask=100)


def test_a_thread_that_cannot_be_had_loses_nothing_at_the_end(application, numbered) -> None:
    application.run(
        """
        start, threading.Thread.start = threading.Thread.start, lambda self: exec("raise RuntimeError('no more')")
        for n in range(100):
            ask(f"ask-{n}")
        """
    )
    assert application.texts() == numbered(ask=100)
