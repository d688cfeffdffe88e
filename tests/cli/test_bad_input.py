"""Each bad input gives one line that says what to do, the right exit code, and no traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_store import Answer, query, write

Metrics = Callable[..., Answer]


def one_line(answer: Answer, code: int, *told: str) -> None:
    assert answer.code == code
    assert answer.out == ""
    assert answer.err.startswith("metrics: ")
    assert len(answer.err.splitlines()) == 1
    assert "Traceback" not in answer.err
    for part in told:
        assert part in answer.err


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize("name", ["report", "stats", "queries", "export"])
def test_hours_that_make_no_period(metrics: Metrics, store: Path, name: str, hours: str) -> None:
    one_line(metrics(name, "--hours", hours), 2, "--hours", "above 0")


def test_a_raised_limit_allows_more_hours(metrics: Metrics, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_MAX_REPORT_HOURS", "1e300")
    assert metrics("report", "--hours", "1e299").code == 0


def test_hours_without_end_take_all_there_is(metrics: Metrics, store: Path) -> None:
    assert len(metrics("queries", "--hours", "1e300").out.splitlines()) == 12


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["report", "--hours", "soon"], "--hours"),
        (["report", "--hour", "1"], "--hours"),
        (["report", "more"], "metrics report --help"),
        (["reprot"], "Did you mean 'report'"),
        (["show"], "ID"),
        (["import"], "FILE"),
        (["queries", "--limit", "0"], "--limit"),
    ],
)
def test_a_slip_of_the_keyboard(metrics: Metrics, store: Path, arguments: list[str], told: str) -> None:
    one_line(metrics(*arguments), 2, told, "--help")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("report", "text, json, csv, html or markdown"),
        ("stats", "text or json"),
        ("export", "json, csv, parquet or store"),
        ("config", "text or json"),
    ],
)
def test_an_unknown_format(metrics: Metrics, store: Path, name: str, known: str) -> None:
    one_line(metrics(name, "--format", "yaml"), 2, "'yaml'", known)


@pytest.mark.parametrize("name", ["report", "queries"])
def test_an_unknown_agent(metrics: Metrics, store: Path, name: str) -> None:
    one_line(metrics(name, "--agent", "nobody"), 2, "'nobody'", "crewai, simple")


@pytest.mark.parametrize(("id", "told"), [("ffff", "no query"), ("0", "several"), ("", "empty"), ("%", "no query")])
def test_an_id_that_names_no_single_query(metrics: Metrics, store: Path, id: str, told: str) -> None:
    one_line(metrics("show", id), 2, told)


@pytest.mark.parametrize("name", ["report", "config", "demo"])
def test_a_setting_that_does_not_exist_or_has_a_wrong_value(
    metrics: Metrics, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_BUFFER_SIZE", "many")
    one_line(metrics(name), 2, "'buffer_size'", "INSTRUMENT_BUFFER_SIZE", "'many'")
    monkeypatch.delenv("INSTRUMENT_BUFFER_SIZE")
    (tmp_path / "instrument.toml").write_text("retension_days = 7\n")
    one_line(metrics(name), 2, "'retension_days'", "instrument.toml", "'retention_days'")
    (tmp_path / "instrument.toml").write_text("retention_days = = 7\n")
    one_line(metrics(name), 2, "instrument.toml", "cannot be read")


@pytest.mark.parametrize("name", ["report", "stats", "queries", "export", "compact"])
def test_no_store_there(metrics: Metrics, tmp_path: Path, name: str) -> None:
    one_line(metrics(name, "--directory", "nowhere"), 1, "nowhere", "metrics demo")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["report", "queries", "export", "compact"])
def test_a_store_that_is_a_file(metrics: Metrics, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("hello")
    one_line(metrics(name, "--directory", "file"), 1, "file", "directory")
    assert (tmp_path / "file").read_text() == "hello"


def test_a_store_that_may_not_be_read(
    metrics: Metrics, store: Path, monkeypatch: pytest.MonkeyPatch, nobody: Callable[[], None]
) -> None:
    monkeypatch.chdir("/")
    assert metrics("report", "-d", str(store)).code == 0
    assert metrics("report", "-d", "/nowhere").code == 1
    store.chmod(0)
    try:
        nobody()
        one_line(metrics("report", "-d", str(store)), 1, str(store), "ermission denied")
    finally:
        os.seteuid(os.getuid())
        store.chmod(0o700)


@pytest.mark.parametrize("name", ["report", "stats"])
def test_a_period_without_data_is_no_error_and_says_where_there_is_some(
    metrics: Metrics, tmp_path: Path, name: str
) -> None:
    write(tmp_path / "monitoring", [query(60 * 5)])
    answer = metrics(name, "--hours", "1")
    assert (answer.code, answer.err) == (0, "")
    assert len(answer.out.splitlines()) == 1
    assert "5 hours ago" in answer.out
    assert "--hours 6" in answer.out


@pytest.mark.parametrize("name", ["report", "stats"])
def test_filters_that_let_nothing_pass_are_named_as_the_cause(metrics: Metrics, store: Path, name: str) -> None:
    answer = metrics(name, "--where", "agent~nobody")
    assert answer.code == 0
    assert "passes every filter; leave one out, or widen the period." in answer.out


def test_an_empty_store_points_to_the_demo(metrics: Metrics, tmp_path: Path) -> None:
    (tmp_path / "monitoring").mkdir()
    answer = metrics("report")
    assert (answer.code, len(answer.out.splitlines())) == (0, 1)
    assert "metrics demo" in answer.out


def test_records_from_the_future_are_pointed_out(metrics: Metrics, tmp_path: Path) -> None:
    write(tmp_path / "monitoring", [query(-60 * 30)])
    assert "from the future" in metrics("report").out


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe\x7fELF" * 100, b'{"t": 1', b"[1, 2, 3]\n", b'{"a": {"b": []}}\n']
)
def test_a_foreign_or_damaged_segment_hides_no_good_record(metrics: Metrics, store: Path, content: bytes) -> None:
    write(store, [], tail=content, name="010101-1-00000000.jsonl")
    answer = metrics("report")
    assert (answer.code, answer.err) == (0, "")
    assert " 12 " in answer.out


def test_a_fault_of_ours_is_one_line_too(metrics: Metrics, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("first\nsecond")

    monkeypatch.setattr("instrument.store.tables.open_store", broken)
    one_line(metrics("report"), 1, "ZeroDivisionError: first second", "METRICS_TRACEBACK=1")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe\x7fELF" * 100,
        b'{"queries": [{"query_id": ',
        b"hello, world\n",
        b"a,b\n1,2\n",
        b"PAR1",
    ],
)
@pytest.mark.parametrize("name", ["metrics.json", "metrics.csv", "records.parquet", "notes.txt"])
def test_a_file_that_holds_no_records_is_refused_and_makes_no_store(
    metrics: Metrics, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    one_line(metrics("import", name), 1, name)
    assert (tmp_path / name).read_bytes() == content
    assert metrics("report").code in (0, 1)


def test_a_file_of_which_nothing_could_be_taken_is_a_failure(metrics: Metrics, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("[1, 2]")
    answer = metrics("import", "metrics.json")
    assert (answer.code, answer.err) == (1, "")
    assert "Skipped 2 entries:\n" in answer.out


def test_files_that_cannot_be_opened_or_written(metrics: Metrics, store: Path, tmp_path: Path) -> None:
    one_line(metrics("import", "missing.json"), 1, "missing.json")
    one_line(metrics("import", str(tmp_path)), 1, str(tmp_path))
    one_line(metrics("export", "--output", "no/such/folder/x.json"), 1, "no/such/folder")
    one_line(metrics("export", "--output", str(tmp_path)), 1, "directory")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["monitoring"]


def test_entries_that_cannot_be_taken_are_named_and_the_rest_is_imported(metrics: Metrics, tmp_path: Path) -> None:
    good = (
        '{"query_id": "123e4567-e89b-12d3-a456-426614174000", "user_input": "q", "agent_type": "crewai",'
        ' "start_time": "2025-10-15T06:30:00", "duration_ms": 45000, "success": true}'
    )
    (tmp_path / "metrics.json").write_text(f'{{"queries": [{good}, {{"query_id": "x"}}, 7], "agent_selections": []}}')
    answer = metrics("import", "metrics.json")
    assert (answer.code, answer.err) == (0, "")
    assert "Imported 1 query into monitoring" in answer.out
    assert "Skipped 2 entries:\n  metrics.json, " in answer.out
    assert metrics("show", "123e4567").code == 0


def test_a_format_that_the_settings_do_not_allow(
    metrics: Metrics, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_EXPORT_FORMATS", "json,text")
    one_line(metrics("report", "--format", "csv"), 2, "export_formats", "json, text")
    one_line(metrics("export", "--output", "x.parquet"), 2, "export_formats")
    assert metrics("report").code == 0
