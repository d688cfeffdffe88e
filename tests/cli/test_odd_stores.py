"""Every command over stores that lie in odd places or hold odd lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_store import Answer, query, write

from instrument.rows.stored import QueryRow, Row, encode_lines, utc_text

Metrics = Callable[..., Answer]

WEEK = ("--hours", "168")
FOLDERS = ("plain", "q=v2", "i=7", "type=agents/day=3", "t=1", "d=2026-01-01/n=1", "segment=x/at=1")


def every_command(metrics: Metrics, store: Path, beside: Path) -> dict[str, str]:
    """What each command answers; all of them end well."""
    query_id = json.loads(metrics("report", "--hours", "168", "--format", "json", "-d", str(store)).out)["queries"][0][
        "query_id"
    ]
    commands = {
        "report": ("report", "--format", "json", *WEEK),
        "stats": ("stats", *WEEK),
        "queries": ("queries", *WEEK),
        "sql": ("sql", "SELECT * FROM queries ORDER BY query_id", "--format", "json"),
        "show": ("show", query_id),
        "json": ("export", "--format", "json", "--output", str(beside / "out.json"), *WEEK),
        "csv": ("export", "--format", "csv", "--output", str(beside / "out.csv"), *WEEK),
        "parquet": ("export", "--format", "parquet", "--output", str(beside / "out.parquet"), *WEEK),
        "whole": ("export", "--format", "store", "--output", str(beside / "whole.parquet"), *WEEK),
        "forget": ("forget", "--containing", "nobody said this", "--yes"),
        "fix": ("doctor", "--fix"),
        "compact": ("compact",),
        "report of compacted": ("report", "--format", "json", *WEEK),
        "export of compacted": ("export", "--format", "json", "--output", str(beside / "compacted.json"), *WEEK),
        "fix of compacted": ("doctor", "--fix"),
        "import": ("import", str(beside / "whole.parquet")),
        "forget of compacted": ("forget", "--containing", "unpaid 3", "--yes"),
        "report after all": ("report", "--format", "json", *WEEK),
    }
    answers = {}
    for name, arguments in commands.items():
        answer = metrics(*arguments, "-d", str(store))
        assert answer.code == 0, (name, answer.err)
        shown = re.sub(r'"(generated_at|start|end)": ?"[^"]*"|\d\d:\d\d|\d+ minutes?', "", answer.out)
        answers[name] = re.sub(r" +", " ", shown.replace(str(store), "STORE").replace(str(beside), "BESIDE"))
    for file in ("out.json", "out.csv", "compacted.json"):
        answers[file] = (beside / file).read_text()
    return answers


def rows() -> list[QueryRow]:
    return [
        query(minutes, number, user_input=f"unpaid {number}", attributes={"tenant": "north"}, name="answer")
        for number, minutes in enumerate((5, 6, 7, 3 * 24 * 60, 3 * 24 * 60 + 1))
    ]


def write_days(store: Path, made: list[QueryRow]) -> list[Path]:
    """Each query in the folder of its day; returns the segments."""
    by_day: dict[str, list[Row]] = {}
    for row in made:
        by_day.setdefault(utc_text(row.started)[:10], []).append(row)
    return [write(store, of_day, day=day) for day, of_day in by_day.items()]


def test_a_store_below_a_folder_named_key_value_reads_and_writes_as_any_other(metrics: Metrics, tmp_path: Path) -> None:
    made = rows()
    answers = []
    for place, folder in enumerate(FOLDERS):
        store, beside = tmp_path / "stores" / folder / "monitoring", tmp_path / str(place)
        store.parent.mkdir(parents=True)
        beside.mkdir()
        write_days(store, made)
        answers.append(every_command(metrics, store, beside))
    for name in answers[0]:
        for folder, answer in zip(FOLDERS, answers, strict=True):
            assert answer[name] == answers[0][name], (name, folder)
    assert "unpaid 4" in answers[0]["report of compacted"]


def test_no_path_is_read_but_through_the_functions_that_turn_partitions_off() -> None:
    import instrument

    found = [
        (file.name, line.strip())
        for file in Path(instrument.__file__).parent.rglob("*.py")
        for line in file.read_text().splitlines()
        if re.search(r"\b(read_parquet|read_json|read_ndjson\w*|read_csv\w*|parquet_scan)\(", line)
    ]
    assert {name for name, _ in found} == {"columns.py"}
    source = (Path(instrument.__file__).parent / "rows" / "columns.py").read_text()
    assert source.count("{_AS_IT_LIES}") == len(found)


def nested(depth: int, kind: str) -> str:
    return "[" * depth + "1" + "]" * depth if kind == "list" else '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    ("where", "depth", "kind"),
    [
        ("whole", 5_000, "list"),
        ("attributes", 5_000, "dict"),
        ("attributes", 100_000, "dict"),
        ("attributes", 400, "dict"),
        ("metrics", 5_000, "dict"),
        ("unknown", 100_000, "list"),
        ("later", 5_000, "dict"),
        ("q", 5_000, "list"),
        ("torn", 100_000, "dict"),
    ],
)
def test_a_line_nested_thousands_deep_ends_no_command(
    metrics: Metrics, tmp_path: Path, where: str, depth: int, kind: str
) -> None:
    store = tmp_path / "monitoring"
    deep = nested(depth, kind)
    segments = write_days(store, rows()[1:4])
    for place, (segment, row) in enumerate(zip(segments, (rows()[0], rows()[4]), strict=True)):
        known = encode_lines([row])[:-2].decode()
        key = {"later": 'v":9,"unknown', "torn": "attributes"}.get(where, where)
        line = deep if where == "whole" else f'{known},"{key}":{deep}}}'
        with open(segment, "a") as stream:
            stream.write((line[: len(line) * 3 // 4] if where == "torn" else line) + "\n")
        with open(segment, "ab") as stream:
            stream.write(
                encode_lines([query((9, 3 * 24 * 60 - 5)[place], 77, user_input=f"after {segment.parent.name}")])
            )
    answers = every_command(metrics, store, tmp_path)
    for name in ("report", "out.json", "report of compacted", "compacted.json"):
        assert all(f"after {segment.parent.name}" in answers[name] for segment in segments), name
