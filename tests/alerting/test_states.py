"""An alert waits for its `for`, fires once, resolves once, and keeps quiet while it is silenced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from instrument.alerting.evaluation import Reading, Verdict
from instrument.alerting.rules import Rule
from instrument.alerting.states import Instance, heard, step

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def lived(rule: Rule, verdicts: list[Verdict], silenced: frozenset[int] = frozenset()) -> tuple[list[str], list[str]]:
    """The states and the events after each minute."""
    instance, states, events = Instance(rule.name), [], []
    for place, verdict in enumerate(verdicts):
        now = NOON + place * MINUTE
        stepped = step(rule, instance, Reading(verdict), now)
        instance, event = heard(rule, instance, stepped, now, place in silenced)
        states.append(instance.state)
        events.append(event.kind if event else "")
    return states, events


def test_it_fires_when_its_for_has_passed_and_says_so_once() -> None:
    rule = Rule(name="r", hold=120.0)
    states, events = lived(rule, ["within", "beyond", "beyond", "beyond", "beyond", "within", "within"])
    assert states == ["inactive", "pending", "pending", "firing", "firing", "resolved", "resolved"]
    assert events == ["", "", "", "firing", "", "resolved", ""]


def test_a_pending_alert_that_is_within_again_starts_anew() -> None:
    states, _ = lived(Rule(name="r", hold=120.0), ["beyond", "beyond", "within", "beyond", "beyond"])
    assert states == ["pending", "pending", "inactive", "pending", "pending"]


def test_a_gap_in_which_nobody_looked_does_not_count_towards_for() -> None:
    rule = Rule(name="r", hold=300.0, windows=(300.0,))
    instance = step(rule, Instance("r"), Reading("beyond"), NOON)
    assert step(rule, instance, Reading("beyond"), NOON + timedelta(hours=2)).state == "pending"
    assert step(rule, instance, Reading("beyond"), NOON + timedelta(minutes=6)).state == "firing"


def test_no_data_is_what_the_rule_says() -> None:
    verdicts: list[Verdict] = ["beyond", "no data", "no data"]
    assert lived(Rule(name="r", no_data="ok"), verdicts)[0] == ["firing", "resolved", "resolved"]
    assert lived(Rule(name="r", no_data="keep"), verdicts)[0] == ["firing", "firing", "firing"]
    assert lived(Rule(name="r", no_data="alert"), ["no data", "within"])[0] == ["firing", "resolved"]
    assert lived(Rule(name="r", no_data="alert"), ["too few"])[0] == ["inactive"]


def test_a_silence_keeps_the_message_until_it_ends() -> None:
    _, events = lived(Rule(name="r"), ["beyond", "beyond", "beyond", "within"], frozenset({0, 1}))
    assert events == ["", "", "firing", "resolved"]


def test_what_fired_and_resolved_in_silence_was_never_heard_of() -> None:
    _, events = lived(Rule(name="r"), ["beyond", "within", "within"], frozenset({0}))
    assert events == ["", "", ""]


def test_whoever_heard_it_fire_hears_it_resolve_in_spite_of_a_silence() -> None:
    _, events = lived(Rule(name="r"), ["beyond", "within"], frozenset({1}))
    assert events == ["firing", "resolved"]


def test_no_recovery_message_unless_wanted_and_a_second_firing_is_said() -> None:
    _, events = lived(Rule(name="r", recovery=False), ["beyond", "within", "beyond"])
    assert events == ["firing", "", "firing"]


def test_a_reminder_comes_as_often_as_wanted() -> None:
    _, events = lived(Rule(name="r", remind=120.0), ["beyond"] * 5)
    assert events == ["firing", "", "reminder", "", "reminder"]
