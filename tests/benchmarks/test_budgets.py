from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from benchmarks import __main__ as command
from benchmarks import promises, rendering
from benchmarks.results import (
    NONE,
    Check,
    Limit,
    Section,
    Table,
    budgets,
    limit,
    measured_again,
    measured_in_passes,
    number,
)

ONE, AT_LEAST = Limit(1.0, 0.5), Limit(30_000, 40_000, at_least=True)


def section(*checks: Check) -> Section:
    return Section("made up", [Table("Title", ("a", "b|c"), [("x", "1 | 2")], ("a note",))], list(checks), {"x": 1})


@pytest.mark.parametrize(
    ("check", "verdict", "ambition"),
    [
        (Check("c", 0.5, ONE, low=0.4, high=0.6), "held", "missed"),
        (Check("c", 0.4, ONE, low=0.3, high=0.5), "held", "met"),
        (Check("c", 0.9, ONE, low=0.7, high=1.1), "not shown", "missed"),
        (Check("c", 1.5, ONE, low=1.2, high=1.8), "broken", "missed"),
        (Check("c", 1.5, ONE), "broken", "missed"),
        (Check("c", 31_000, AT_LEAST), "held", "missed"),
        (Check("c", 41_000, AT_LEAST), "held", "met"),
        (Check("c", 29_000, AT_LEAST), "broken", "missed"),
        (Check("c", 29_000, AT_LEAST, low=28_000, high=31_000), "not shown", "missed"),
        (Check("c", 1, NONE), "broken", "missed"),
    ],
)
def test_the_worse_end_of_an_interval_is_held_against_budget_and_goal(
    check: Check, verdict: str, ambition: str
) -> None:
    assert (check.verdict, check.ambition) == (verdict, ambition)
    assert check.held is (verdict == "held")


def taken(*values: float) -> Iterator[float]:
    yield from values


@pytest.mark.parametrize(("values", "counts"), [((0.5, 9.0), 0.5), ((2.0, 0.5, 9.0), 0.5), ((2.0, 3.0, 4.0, 0.5), 4.0)])
def test_a_figure_above_its_budget_is_measured_anew_three_times_at_the_most(
    values: tuple[float, ...], counts: float
) -> None:
    measure = taken(*values)
    assert measured_again(lambda longer: next(measure), lambda value: [Check("c", value, ONE)]) == counts


def test_what_is_measured_anew_is_measured_longer() -> None:
    asked: list[int] = []
    measured_again(lambda longer: asked.append(longer), lambda _: [Check("c", 2.0, ONE)])
    assert asked == [1, 2, 4]


def test_a_loss_once_seen_is_not_measured_away() -> None:
    measure = taken(2.0, 0.0)
    assert measured_again(lambda longer: next(measure), lambda lost: [Check("lost", lost, NONE)]) == 2.0


def test_of_many_cases_those_above_their_budgets_are_measured_anew_and_longer_when_all_others_have_been() -> None:
    asked: list[tuple[str, int]] = []
    figures = {"calm": taken(0.5), "unsteady": taken(2.0, 0.7), "dear": taken(2.0, 3.0, 4.0)}

    def measure(case: str, longer: int) -> float:
        asked.append((case, longer))
        return next(figures[case])

    assert measured_in_passes(list(figures), measure, lambda value: [Check("c", value, ONE)]) == [0.5, 0.7, 4.0]
    assert asked == [("calm", 1), ("unsteady", 1), ("dear", 1), ("unsteady", 2), ("dear", 2), ("dear", 4)]


def test_a_loss_seen_in_one_of_many_cases_is_not_measured_away() -> None:
    measure = taken(2.0, 0.0)
    assert measured_in_passes(["c"], lambda *_: next(measure), lambda lost: [Check("lost", lost, NONE)]) == [2.0]


def test_a_figure_of_a_disturbed_machine_fails_nothing_and_says_why_it_is_not_judged() -> None:
    check = Check("share", 1.5, ONE, "%", 1.2, 1.8, "by hand 140 µs, more than 125")
    assert check.held
    assert check.verdict == "disturbed"
    assert rendering.told(check).endswith("at most 1 % (not judged: by hand 140 µs, more than 125)")
    kept = Check("share", 0.5, ONE, "%", 0.4, 0.6, "by hand 140 µs, more than 125")
    assert kept.verdict == "held"


def test_what_a_disturbed_machine_shows_is_not_measured_anew() -> None:
    measure = taken(2.0, 0.5)
    shown = measured_in_passes(["c"], lambda *_: next(measure), lambda v: [Check("c", v, ONE, disturbed="so")])
    assert shown == [2.0]


@pytest.mark.parametrize(("value", "code"), [(0.5, 0), (1.5, 1)])
def test_a_broken_budget_ends_with_1_and_stands_in_every_output(
    value: float, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_run", lambda name, asked: section(Check("figure", value, ONE, "%")))
    assert command.main(["overhead", "--short", "--json", "f.json", "--markdown", "f.md"]) == code
    verdict = "broken" if code else "held"
    with open("f.json", encoding="utf-8") as file:
        told = json.load(file)
    assert told["budgets"]["made up"][0]["verdict"] == verdict
    assert told["figures"]["made up"] == {"x": 1}
    with open("f.md", encoding="utf-8") as file:
        told_text = file.read()
    assert verdict in told_text
    assert "goal 0.5: m" in told_text
    shown = capsys.readouterr().out
    assert verdict in shown
    assert f"{1 - code} of 1 budgets held" in shown


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["everything"])
    assert ended.value.code == 2
    assert "overhead" in capsys.readouterr().err


def test_markdown_keeps_its_columns_whatever_stands_in_the_cells() -> None:
    lines = rendering.markdown([section()]).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert {row.count("|") for row in rows} == {3}


def paths(found: dict[str, object], *above: str) -> Iterator[tuple[str, ...]]:
    for key, value in found.items():
        assert isinstance(value, dict)
        yield from [(*above, key)] if "budget" in value else paths(value, *above, key)


def test_no_promise_is_bolder_than_its_goal() -> None:
    limits = [limit(*path) for path in paths(budgets())]
    assert len(limits) > 20
    for one in limits:
        assert one.budget > 0
        assert one.kept(one.goal, one.budget)


def test_every_promise_is_in_the_docs_as_the_budgets_have_it() -> None:
    page = promises.PAGE.read_text("utf-8")
    assert promises.written(page) == page, "run `python -m benchmarks promises`"


def test_the_readme_claims_what_is_promised_and_links_to_the_rest() -> None:
    readme = " ".join((promises.ROOT / "README.md").read_text("utf-8").split())
    claims = list(promises.CLAIM.finditer(readme))
    assert claims, "the README has no sentence on what recording costs"
    for claim in claims:
        assert float(claim["percent"]) == promises.claimed(claim["milliseconds"])
    assert "(docs/overhead.md)" in readme


def test_promises_are_written_where_a_page_has_their_place() -> None:
    page = promises.written(f"before\n\n{promises.BEGIN}\nwhat was there before\n{promises.END}\nafter\n")
    assert page.startswith("before\n\n")
    assert page.endswith("after\n")
    promised = number(limit("overhead", "percent", "10", "hot", "sync").budget)
    assert f"| share of a query of 10 ms of CPU | {promised} % |" in page
    assert "what was there before" not in page
    with pytest.raises(ValueError, match="no place"):
        promises.written("a page without any")


def test_the_short_form_leaves_the_peers_out(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []
    monkeypatch.setattr(command, "_run", lambda name, asked: run.append(name) or section())
    assert command.main(["--short"]) == command.main([]) == 0
    short, whole = ["overhead", "ingredients", "storage"], ["overhead", "ingredients", "peers", "storage"]
    assert run == [*short, "following", *whole, "following"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.04123, "0.0412"), (12.345, "12.3"), (1234.5, "1,230"), (31_000, "31,000")]
)
def test_numbers_are_shown_with_three_digits_and_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown
