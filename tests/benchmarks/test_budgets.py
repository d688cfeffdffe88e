from __future__ import annotations

import json

import pytest

from benchmarks import __main__ as command
from benchmarks import rendering
from benchmarks.results import Check, Section, Table, budgets, number


def section(*checks: Check) -> Section:
    return Section("made up", [Table("Title", ("a", "b|c"), [("x", "1 | 2")], ("a note",))], list(checks), {"x": 1})


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (Check("c", 0.5, 1.0, low=0.4, high=0.6), "held"),
        (Check("c", 0.9, 1.0, low=0.7, high=1.1), "not shown"),
        (Check("c", 1.5, 1.0, low=1.2, high=1.8), "broken"),
        (Check("c", 1.5, 1.0), "broken"),
        (Check("c", 31_000, 30_000, at_least=True), "held"),
        (Check("c", 29_000, 30_000, at_least=True), "broken"),
    ],
)
def test_the_worse_end_of_an_interval_is_held_against_the_budget(check: Check, verdict: str) -> None:
    assert check.verdict == verdict
    assert check.held is (verdict == "held")


@pytest.mark.parametrize(("value", "code"), [(0.5, 0), (1.5, 1)])
def test_a_broken_budget_ends_with_1_and_stands_in_every_output(
    value: float, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_run", lambda name, asked: section(Check("figure", value, 1.0, "%")))
    assert command.main(["overhead", "--short", "--json", "f.json", "--markdown", "f.md"]) == code
    verdict = "broken" if code else "held"
    with open("f.json", encoding="utf-8") as file:
        told = json.load(file)
    assert told["budgets"]["made up"][0]["verdict"] == verdict
    assert told["figures"]["made up"] == {"x": 1}
    with open("f.md", encoding="utf-8") as file:
        assert verdict in file.read()
    assert verdict in capsys.readouterr().out


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["everything"])
    assert ended.value.code == 2
    assert "overhead" in capsys.readouterr().err


def test_markdown_keeps_its_columns_whatever_stands_in_the_cells() -> None:
    lines = rendering.markdown([section()]).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert {row.count("|") for row in rows} == {3}


def test_every_promise_is_a_positive_number() -> None:
    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [found for inner in value.values() for found in numbers(inner)]
        assert isinstance(value, (int, float))
        return [value]

    assert all(found > 0 for found in numbers(budgets()))
    assert {"overhead", "peers", "ingredients", "storage"} == set(budgets())


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.04123, "0.0412"), (12.345, "12.3"), (1234.5, "1,230"), (31_000, "31,000")]
)
def test_numbers_are_shown_with_three_digits_and_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown
