"""Each target hears of a firing once and of its end once, whatever dies, fails, or fires beside it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from full_disk import on_a_full_disk
from killed import killing
from receivers import Hook, closed_port, hook, mail_server
from store_rows import query, write

from instrument.alerting import evaluator, outbox, state_file, targets
from instrument.alerting.evaluator import check_once, evaluate_forever
from instrument.alerting.rules import read_rules
from instrument.config import Config

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
LATER = NOW + timedelta(minutes=30)
"""By then the failures have left the window."""

RULE = '[[alerts]]\nname = "failures"\nfigure = "failure_rate"\nabove = 0.1\nwindow = "10m"\nleast_queries = 1\n'


def prepared(*targets: str, rules: str = RULE, now: datetime = NOW) -> Path:
    """A store in which half the queries of the minutes before `now` failed, and half an hour later none."""
    later = now + (LATER - NOW)
    named = "".join(f'target{place} = "{each}"\n' for place, each in enumerate(targets))
    Path("instrument.toml").write_text(f"[alert_targets]\n{named}{rules}", "utf-8")
    directory = Path("monitoring")
    rows = [query(now - timedelta(seconds=10 * n), serial=n, status="error" if n % 2 else "ok") for n in range(1, 21)]
    rows += [query(later - timedelta(seconds=10 * n), serial=100 + n) for n in range(1, 21)]
    write(directory, rows)
    return directory


def check(now: datetime) -> None:
    check_once(Path("monitoring"), Config(), read_rules(Path.cwd()), now)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Evaluate at a moment, which is also the time for retries and quiet."""

    def evaluate(now: datetime) -> None:
        monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"quiet": outbox.QUIET, "clock": lambda: now})
        check(now)

    return evaluate


def test_a_webhook_and_a_mail_server_hear_of_it_once_and_of_its_end_once(at: Callable[[datetime], None]) -> None:
    with hook() as web, mail_server() as mails:
        prepared(
            f"json://127.0.0.1:{web.port}",
            f"mailto://127.0.0.1:{mails.port}?from=metrics@example.org&to=team@example.org&mode=insecure",
        )
        for moment in (NOW, NOW + timedelta(seconds=15), LATER, LATER + timedelta(seconds=15)):
            at(moment)
    assert web.titles == ["FIRING: failures (warning)", "RESOLVED: failures (warning)"]
    assert "failure_rate 50.0 % over 10m, limit above 10.0 %" in web.messages[0]["message"]
    assert [message["type"] for message in web.messages] == ["warning", "success"]
    assert ["FIRING" in one.partition("\r\n\r\n")[0] for one in mails.contents] == [True, False]
    assert len(mails.contents) == 2


def test_one_dead_target_is_retried_later_and_the_other_hears_nothing_twice(at: Callable[[datetime], None]) -> None:
    port = closed_port()
    with hook() as web:
        directory = prepared(f"json://127.0.0.1:{web.port}", f"json://127.0.0.1:{port}/?token=secret")
        at(NOW)
        at(NOW + timedelta(seconds=10))  # not yet due
        box = state_file.read(directory).boxes["target1"]
        assert (box.attempts, len(box.waiting)) == (1, 1)
        assert "secret" not in (directory / ".state" / "alerts.json").read_text()
        with hook(port) as back:
            at(NOW + timedelta(seconds=20))
            at(NOW + timedelta(seconds=90))
    assert web.titles == back.titles == ["FIRING: failures (warning)"]


def test_a_target_that_answers_500_is_retried_with_longer_and_longer_waits(at: Callable[[datetime], None]) -> None:
    with hook() as web:
        web.answer = 500
        prepared(f"json://127.0.0.1:{web.port}")
        tried = []
        for seconds in range(0, 120, 5):
            before = len(web.messages)
            at(NOW + timedelta(seconds=seconds))
            tried += [seconds] * (len(web.messages) - before)
        web.answer = 200
        at(NOW + timedelta(seconds=300))
        at(NOW + timedelta(seconds=400))
    assert tried == [0, 15, 45, 105]
    assert len(web.messages) == len(tried) + 1


def test_a_target_that_hangs_holds_up_no_other_and_is_tried_again(
    at: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "SECONDS", 1)
    with hook() as web, socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and says nothing
        port = silent.getsockname()[1]
        directory = prepared(f"json://127.0.0.1:{port}", f"json://127.0.0.1:{web.port}")
        at(NOW)
        assert web.titles == ["FIRING: failures (warning)"]
        boxes = state_file.read(directory).boxes
        assert (boxes["target0"].attempts, len(boxes["target0"].waiting), boxes["target0"].sending) == (1, 1, [])
        silent.close()
        with hook(port) as back:
            at(NOW + timedelta(seconds=90))
    assert back.titles == web.titles == ["FIRING: failures (warning)"]


def test_fifty_rules_that_fire_at_once_are_one_message(at: Callable[[datetime], None]) -> None:
    rules = "".join(RULE.replace('"failures"', f'"failures{n}"') for n in range(50))
    with hook() as web:
        prepared(f"json://127.0.0.1:{web.port}", rules=rules)
        at(NOW)
        at(NOW + timedelta(seconds=90))
    assert web.titles == ["Alerts: 50 firing"]
    assert web.messages[0]["message"].endswith("and 30 more; metrics alerts lists them all")


def test_ten_thousand_agents_are_one_message_and_a_state_that_stays_small(at: Callable[[datetime], None]) -> None:
    with hook() as web:
        directory = prepared(f"json://127.0.0.1:{web.port}", rules=RULE + 'by = "agent"\n')
        began = NOW - timedelta(minutes=5)
        write(directory, [query(began, serial=1000 + n, agent=f"agent {n}", status="error") for n in range(10_000)])
        at(NOW)
        assert len(state_file.read(directory).instances) <= 100
    [message] = web.messages
    assert message["message"].endswith("more; metrics alerts lists them all")


def test_what_to_do_stands_in_the_message_that_it_fires_alone(at: Callable[[datetime], None]) -> None:
    with hook() as web:
        prepared(f"json://127.0.0.1:{web.port}", rules=RULE + 'description = "Call the provider."\n')
        at(NOW)
        at(LATER)
    assert ["Call the provider." in message["message"] for message in web.messages] == [True, False]


def test_what_fires_shortly_after_a_message_waits_for_the_next_one(at: Callable[[datetime], None]) -> None:
    late = RULE.replace('"failures"', '"later"') + 'for = "30s"\n'
    with hook() as web:
        prepared(f"json://127.0.0.1:{web.port}", rules=RULE + late)
        for seconds in range(0, 90, 15):
            at(NOW + timedelta(seconds=seconds))
    assert web.titles == ["FIRING: failures (warning)", "FIRING: later (warning)"]


def test_a_rule_with_targets_of_its_own_tells_only_these(at: Callable[[datetime], None]) -> None:
    with hook() as web, hook() as other:
        prepared(
            f"json://127.0.0.1:{web.port}", f"json://127.0.0.1:{other.port}", rules=RULE + 'notify = ["target1"]\n'
        )
        at(NOW)
    assert (web.titles, other.titles) == ([], ["FIRING: failures (warning)"])


def killed(when: str, number: int, now: datetime) -> int:
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    script = Path(__file__).with_name("killed_round.py")
    done = subprocess.run(
        [sys.executable, str(script), when, str(number), now.isoformat()], env=environ, capture_output=True, timeout=60
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


STEPS = [
    ("before write", 1),  # the evaluation is lost, and done again
    ("after write", 1),  # it fires, nothing has been sent
    ("before write", 2),
    ("after send", 1),  # it was sent, and that is not written down
    ("before write", 3),
    ("after write", 3),
]


@pytest.mark.parametrize(("when", "number"), STEPS)
def test_a_kill_between_any_two_steps_brings_no_second_message(when: str, number: int) -> None:
    with hook() as web:
        prepared(f"json://127.0.0.1:{web.port}")
        assert killed(when, number, NOW) == -signal.SIGKILL
        check(NOW + timedelta(seconds=15))
        assert web.titles == ["FIRING: failures (warning)"]
        for box in (state := state_file.read(Path("monitoring"))).boxes.values():
            assert not box.waiting
            assert not box.sending
        assert [one.state for one in state.instances] == ["firing"]
        # The end of it: the quiet after a message has passed for a process that looks at another clock.
        _forget_the_last_message()
        assert killed(when, number, LATER) == -signal.SIGKILL
        _forget_the_last_message()
        check(LATER + timedelta(seconds=15))
        assert web.titles == ["FIRING: failures (warning)", "RESOLVED: failures (warning)"]


def _forget_the_last_message() -> None:
    with state_file.changing(Path("monitoring")) as state:
        for box in state.boxes.values():
            box.last_sent = None


def test_a_kill_at_the_moment_of_sending_is_named_and_brings_no_second_message() -> None:
    with hook() as web:
        prepared(f"json://127.0.0.1:{web.port}")
        assert killed("before send", 1, NOW) == -signal.SIGKILL
        check(NOW + timedelta(seconds=15))
    assert web.titles == []
    [note] = state_file.read(Path("monitoring")).notes
    assert note == (
        "target0 (json://127.0.0.1): the program ended while it sent firing failures; it may not have arrived"
    )


# What takes long to import is there before the children are made.
CHECKS = """
from datetime import datetime
import apprise, duckdb
from instrument import files, reading
from instrument.alerting import evaluator, state_file
apprise.Apprise.instantiate("json://127.0.0.1")
from instrument.alerting.rules import read_rules
from instrument.config import Config

def check():
    evaluator.check_once(Path(sys.argv[1]), Config(), read_rules(Path.cwd()), datetime.fromisoformat(sys.argv[2]))

COMMANDS = {"check": check}
PLACES = [(os, "fsync"), (os, "rename"), (files, "open_private")]
"""


def test_a_kill_at_any_step_of_writing_the_state_loses_no_message_and_sends_none_twice() -> None:
    step, going_on = 0, True
    with hook() as web:
        directory = prepared(f"json://127.0.0.1:{web.port}")
        with killing(directory, NOW.isoformat(), CHECKS) as checks:
            while going_on:
                step += 1
                shutil.rmtree(directory / ".state", ignore_errors=True)
                web.messages.clear()
                going_on = checks.at_step("check", step)
                checks.whole("check")
                state = state_file.read(directory)
                assert [one.state for one in state.instances] == ["firing"]
                # A kill between the answer and its being written down leaves it open whether it arrived.
                in_doubt = [note for note in state.notes if "it may not have arrived" in note]
                assert web.titles == ["FIRING: failures (warning)"] or (in_doubt and not web.titles), step
    assert step > 9


def test_a_full_disk_under_the_state_is_one_line_and_the_message_goes_out_once_there_is_room() -> None:
    with hook() as web:
        directory = prepared(f"json://127.0.0.1:{web.port}")
        command = on_a_full_disk("alerts", "check", "-d", str(directory))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, web.titles) == (1, "", [])
        assert done.stderr.endswith("the state of alerts cannot be written: File too large\n")
        assert done.stderr.count("\n") == 1
        check(NOW)
    assert web.titles == ["FIRING: failures (warning)"]


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_the_loop_of_serve_sends_goes_on_when_a_rule_breaks_and_ends_when_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "_SPARED", 0)
    said: list[str] = []

    def has_said() -> bool:
        said.append(capsys.readouterr().err)
        return "nonsense" in "".join(said)

    with hook() as web:
        directory = prepared(f"json://127.0.0.1:{web.port}", now=datetime.now(UTC))
        stop = threading.Event()
        loop = threading.Thread(
            target=evaluate_forever,
            args=(directory, Config(), stop),
            kwargs={"every": 0.1, "quiet": timedelta(0)},
        )
        loop.start()
        try:
            assert wait_for(lambda: len(web.messages) == 1)
            Path("instrument.toml").write_text('[[alerts]]\nname = "failures"\nfigure = "nonsense"\n', "utf-8")
            assert wait_for(has_said)
            Path("instrument.toml").write_text(
                f'[alert_targets]\ntarget0 = "json://127.0.0.1:{web.port}"\n{RULE.replace("0.1", "0.9")}', "utf-8"
            )
            assert wait_for(lambda: len(web.messages) == 2)
        finally:
            stop.set()
            loop.join(10)
        assert not loop.is_alive()
    assert web.titles == ["FIRING: failures (warning)", "RESOLVED: failures (warning)"]
    has_said()
    assert "".join(said).count("nonsense") == 1


def test_two_evaluators_beside_each_other_say_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluator, "_SPARED", 0)
    with hook() as web:
        directory = prepared(f"json://127.0.0.1:{web.port}", now=datetime.now(UTC))
        stop = threading.Event()
        loops = [
            threading.Thread(
                target=evaluate_forever,
                args=(directory, Config(), stop),
                kwargs={"every": 0.1, "quiet": timedelta(0)},
            )
            for _ in range(2)
        ]
        for loop in loops:
            loop.start()
        try:
            assert wait_for(lambda: bool(web.messages))
            time.sleep(1)
        finally:
            stop.set()
            for loop in loops:
                loop.join(10)
    assert web.titles == ["FIRING: failures (warning)"]


def test_a_damaged_state_is_one_line_that_says_what_to_do(hooked: Hook) -> None:
    directory = prepared(f"json://127.0.0.1:{hooked.port}")
    check(NOW)
    (directory / ".state" / "alerts.json").write_text("{")
    with pytest.raises(Exception, match="it is damaged; remove it"):
        check(NOW)


@pytest.fixture
def hooked():  # type: ignore[no-untyped-def]
    with hook() as web:
        yield web
