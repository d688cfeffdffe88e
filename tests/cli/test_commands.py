from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cli_store import Answer, failed_query, health, query, write
from instrument_cli.app import COMMANDS

from instrument.rows.stored import CallRow, id_of

Metrics = Callable[..., Answer]


def test_a_report_shows_every_section_of_the_period(metrics: Metrics, store: Path) -> None:
    answer = metrics("report")
    assert answer.code == 0
    assert answer.err == ""
    for section in (
        "Agents",
        "Response",
        "Tools",
        "GraphQL",
        "Models",
        "Entities",
        "Complexity",
        "Failures",
        "In calls",
        "Data",
    ):
        assert f"\n {section}" in answer.out
    assert " 12 " in answer.out
    assert "TimeoutError 1" in answer.out


def test_hours_may_be_a_fraction_and_leave_out_what_is_older(metrics: Metrics, store: Path) -> None:
    figures = json.loads(metrics("report", "--hours", "0.25", "--format", "json", "--no-records").out)["report"]
    assert figures["period"]["hours"] == 0.25
    assert 0 < figures["queries"]["total"] < 12


def test_the_json_report_has_the_figures_and_only_asked_for_records(metrics: Metrics, store: Path) -> None:
    shown = json.loads(metrics("report", "--format", "json").out)
    assert list(shown) == ["report", "queries", "agent_selections"]
    assert shown["report"]["queries"]["failed"] == 1
    assert len(shown["queries"]) == 12
    assert [choice["selected_agent"] for choice in shown["agent_selections"]] == ["crewai"]
    assert list(json.loads(metrics("report", "--format", "json", "--no-records").out)) == ["report"]


def test_a_report_is_a_page_without_script_or_styles_of_elements(metrics: Metrics, tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>'
    rows = [query(5, 50, agent=hostile, error=hostile, status="error", entities=[hostile], model=hostile)]
    write(tmp_path / "monitoring", [*rows, failed_query(), *(query(10 + n, 100 + n) for n in range(30))])
    answer = metrics("report", "--format", "html")
    assert (answer.code, answer.err) == (0, "")
    page = answer.out
    assert page.startswith("<!doctype html>")
    assert page.count("<style>") == 1
    for absent in ("<script", " style=", "http", "<link", "<img"):
        assert absent not in page.lower()
    assert "prefers-color-scheme: dark" in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg class=chart") == 2
    opened: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            opened.extend([tag] if tag != "meta" else [])

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            assert tag in ("rect", "line")

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Balanced().feed(page)
    assert opened == []


def test_a_markdown_report_has_a_table_a_section_and_escapes_names(metrics: Metrics, tmp_path: Path) -> None:
    write(tmp_path / "monitoring", [query(agent="a|b *c* <i>"), failed_query()])
    shown = metrics("report", "--format", "markdown").out
    assert "| a\\|b \\*c\\* \\<i\\> |" in shown
    for section in ("Agents", "Response times", "Tools", "Models", "Failures", "Exceptions in calls"):
        assert f"### {section}\n" in shown


def test_a_report_can_be_broken_down_and_filtered(metrics: Metrics, store: Path) -> None:
    shown = json.loads(metrics("report", "--by", "region", "--format", "json", "--no-records").out)["report"]
    assert {name: one["queries"] for name, one in shown["breakdown"]["groups"].items()} == {"(none)": 11, "IN": 1}
    assert "\n By region " in metrics("report", "--by", "region").out
    filtered = json.loads(metrics("report", "--where", "agent=crewai", "--format", "json").out)
    assert (filtered["report"]["queries"]["total"], len(filtered["queries"])) == (1, 1)
    unknown = metrics("report", "--by", "nothing")
    assert (unknown.code, len(unknown.err.splitlines())) == (2, 1)
    assert "region" in unknown.err


def test_every_command_that_a_report_names_lists_the_queries_behind_the_figure(metrics: Metrics, store: Path) -> None:
    named = [row.strip() for row in metrics("report").out.splitlines() if row.strip().startswith("metrics queries")]
    assert len(named) >= 4
    for command in named:
        listed = metrics(*shlex.split(command)[1:])
        assert (listed.code, len(listed.out.splitlines())) == (0, 1), command


def test_a_command_that_a_report_names_reads_the_same_store_filters_and_period(
    metrics: Metrics, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "else where"
    mine = [query(n, n, status="error", error="KeyError", attributes={"tenant": "north"}) for n in range(1, 25)]
    write(elsewhere, [*mine, query(30, 99, status="error", error="ValueError", attributes={"tenant": "south"})])
    shown = metrics("report", "--since", "-100m", "--where", "tenant=north", "--from", str(elsewhere)).out
    named = [row.strip() for row in shown.splitlines() if row.strip().startswith("metrics queries")]
    assert named
    for command in named:
        words = shlex.split(command)
        assert words[words.index("--from") + 1] == str(elsewhere)
        listed = json.loads(metrics(*words[1:], "--limit", "99", "--format", "json").out)
        assert len(listed) == 24, command


def test_a_period_that_begins_at_a_time_is_no_crooked_number_of_hours(metrics: Metrics, store: Path) -> None:
    shown = metrics("report", "--since", "yesterday", "--tz", "UTC").out
    named = [row for row in shown.splitlines() if row.strip().startswith("metrics queries")]
    assert named
    assert all("T00:00Z" in row and "--hours" not in row for row in named)
    assert not re.search(r"last \d+\.\d\d", shown)


def test_the_doctor_looks_where_it_is_sent(metrics: Metrics, store: Path, tmp_path: Path) -> None:
    assert str(store) in metrics("doctor", "--from", str(store)).out
    refused = metrics("doctor", "--from", "s3://bucket/store")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)


def test_statistics_show_the_first_rows_by_what_is_asked(metrics: Metrics, tmp_path: Path) -> None:
    calls = [CallRow(f"tool {number}", 0, duration=1_000_000 * (number + 1)) for number in range(30)]
    calls[3].status, calls[3].error = "error", "KeyError"
    write(tmp_path / "monitoring", [query(calls=calls)])
    shown = metrics("stats").out
    assert "tool 29 " in shown
    assert "tool 9 " not in shown
    assert "and 10 more by time: --all" in shown
    assert "tool 9 " in metrics("stats", "--all").out
    worst = metrics("stats", "--sort", "failures", "--top", "1").out
    assert "   tool 3 " in worst
    assert "   tool 29 " not in worst
    assert len(json.loads(metrics("stats", "--format", "json").out)["tools"]) == 30
    assert metrics("stats", "--sort", "beauty").code == 2


def test_two_periods_and_two_values_are_compared(metrics: Metrics, tmp_path: Path) -> None:
    old = [query(60 * 24 * 7 + 10 + n, n, duration=10**9) for n in range(40)]
    new = [query(10 + n, 100 + n, duration=3 * 10**9, attributes={"version": f"1.{n % 2}"}) for n in range(40)]
    write(tmp_path / "monitoring", [*old, *new])
    answer = metrics("compare", "--hours", "2", "--against", "-7d")
    assert (answer.code, answer.err) == (0, "")
    assert "P50 rose by 200 % (1.0 s to 3.0 s)." in answer.out
    found = json.loads(metrics("compare", "--hours", "2", "--against", "-7d", "--format", "json").out)
    p50 = next(figure for figure in found["figures"] if figure["name"] == "p50")
    assert (p50["before"], p50["after"], p50["verdict"]) == (1000, 3000, "higher")
    versions = metrics("compare", "--hours", "2", "--by", "version", "--between", "1.0", "1.1")
    assert "Nothing changed by more than chance explains." in versions.out
    for arguments in ((), ("--against", "tomorrow"), ("--by", "version"), ("--against", "-1d..-2d")):
        wrong = metrics("compare", "--hours", "2", *arguments)
        assert (wrong.code, wrong.out, len(wrong.err.splitlines())) == (2, "", 1)


def test_a_csv_report_is_metrics_csv(metrics: Metrics, store: Path) -> None:
    rows = metrics("report", "--format", "csv").out.splitlines()
    assert rows[0] == "timestamp,query_id,agent_type,duration_ms,success,entities_detected,tool_calls,graphql_queries"
    assert len(rows) == 13


def test_one_agent_can_be_reported_on_alone(metrics: Metrics, store: Path) -> None:
    shown = json.loads(metrics("report", "--agent", "crewai", "--format", "json").out)
    assert list(shown["report"]["agents"]) == ["crewai"]
    assert {record["agent_type"] for record in shown["queries"]} == {"crewai"}


def test_statistics_go_into_detail(metrics: Metrics, store: Path) -> None:
    answer = metrics("stats")
    assert answer.code == 0
    for section in ("Agents", "Tools", "GraphQL", "Failures", "Selections", "Models", "Metrics", "Hours"):
        assert f"\n {section}" in answer.out
    assert json.loads(metrics("stats", "--format", "json").out)["agents"]["crewai"]["failed"] == 1


def test_queries_can_be_picked_and_each_shown_by_its_short_id(metrics: Metrics, store: Path) -> None:
    assert len(metrics("queries").out.splitlines()) == 12
    assert len(metrics("queries", "--limit", "3").out.splitlines()) == 3
    assert len(metrics("queries", "--contains", "payment history").out.splitlines()) == 1
    assert len(metrics("queries", "--agent", "simple").out.splitlines()) == 11
    [failed] = metrics("queries", "--failed").out.splitlines()
    assert metrics("queries", "--slow").out.splitlines() == [failed]
    shown = metrics("show", failed.split()[0])
    assert shown.code == 0
    assert "TimeoutError: the server did not answer" in shown.out
    assert "never ended" in shown.out
    assert json.loads(metrics("show", failed.split()[0], "--format", "json").out)["model"] == "small-1"


def test_the_short_ids_of_queries_of_one_millisecond_still_name_one_each(metrics: Metrics, tmp_path: Path) -> None:
    first = query(5, 1)
    write(tmp_path / "monitoring", [first, query(5, 1 << 40, started=first.started)])
    short = [row.split()[0] for row in metrics("queries").out.splitlines()]
    assert len(set(short)) == 2
    assert [metrics("show", each).code for each in short] == [0, 0]


def test_no_query_found_is_said(metrics: Metrics, store: Path) -> None:
    answer = metrics("queries", "--contains", "no such text")
    assert (answer.code, len(answer.out.splitlines())) == (0, 1)
    assert json.loads(metrics("queries", "--contains", "no such text", "--format", "json").out) == []


def test_settings_are_shown_with_their_sources(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "instrument.toml").write_text("retention_days = 7\n")
    monkeypatch.setenv("INSTRUMENT_SAMPLE_RATE", "0.5")
    monkeypatch.setenv("INSTRUMENT_HASH_KEY", "secret")
    shown = json.loads(metrics("config", "--format", "json", "--directory", "elsewhere").out)
    assert shown["sample_rate"] == {"value": 0.5, "source": "INSTRUMENT_SAMPLE_RATE"}
    assert shown["retention_days"] == {"value": 7, "source": str(tmp_path / "instrument.toml")}
    assert shown["directory"] == {"value": "elsewhere", "source": "--directory"}
    assert shown["buffer_size"]["source"] == "default"
    text = metrics("config").out
    assert "INSTRUMENT_SAMPLE_RATE" in text
    assert "secret" not in text


def test_a_healthy_store_is_called_so(metrics: Metrics, store: Path) -> None:
    answer = metrics("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "healthy" in answer.out
    assert "12 queries" in answer.out
    assert json.loads(metrics("doctor", "--format", "json").out)["healthy"] is True


def test_the_doctor_names_what_was_dropped_skipped_and_misdated(metrics: Metrics, tmp_path: Path) -> None:
    rows = [query(), query(-60 * 24, 7), health(dropped={"buffer full": 3}, problems={"disk full": 2})]
    segment = write(tmp_path / "monitoring", rows, tail=b'{"t": 17, "torn')
    segment.chmod(0o644)
    answer = metrics("doctor")
    assert answer.code == 1
    assert "3: buffer full" in answer.out
    assert "2: disk full" in answer.out
    assert (
        f"1 line of {segment}" in answer.out.replace("monitoring/", f"{tmp_path}/monitoring/", 1)
        or str(segment.name) in answer.out
    )
    assert "1 query from the future" in answer.out
    assert "may be read by other users" in answer.out


def test_the_doctor_goes_on_past_a_wrong_setting(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setenv("INSTRUMENT_SAMPLE_RATE", "lots")
    answer = metrics("doctor")
    assert answer.code == 1
    assert "INSTRUMENT_SAMPLE_RATE" in answer.out
    assert "12 queries" in answer.out


def test_a_report_over_a_torn_segment_counts_the_line_it_skipped(metrics: Metrics, tmp_path: Path) -> None:
    write(tmp_path / "monitoring", [query(), failed_query()], tail=b"\x00\xff garbage")
    answer = metrics("report")
    assert answer.code == 0
    assert "0 records dropped, 1 line skipped" in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained_with_an_example(metrics: Metrics, name: str) -> None:
    shown = metrics(name, "--help")
    assert shown.code == 0
    assert "Example: " in shown.out
    options = [row for row in shown.out.splitlines() if row.startswith("  -")]
    assert all(len(row.split("  ")) > 2 or row.rstrip().endswith(("FILE", "]", "DIR")) for row in options)


def test_all_commands_are_listed(metrics: Metrics) -> None:
    shown = metrics()
    assert shown.code == 0
    assert all(f"\n  {name} " in shown.out for name in COMMANDS)
    assert metrics("--version").out.startswith("agent-instrument ")


def test_hostile_texts_reach_no_terminal(metrics: Metrics, tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\x9b2J\u202e\nsecond"
    row = query(agent=hostile, user_input=hostile, status="error", error=hostile, message=hostile, entities=[hostile])
    write(tmp_path / "monitoring", [row])
    [listed] = metrics("queries").out.splitlines()
    outputs = [metrics(name).out for name in ("report", "stats")] + [listed, metrics("show", listed.split()[0]).out]
    outputs += [metrics(name, "--format", "json").out for name in ("report", "stats", "queries")]
    for control in "\x1b\x07\x9b\u202e":
        assert not any(control in output for output in outputs)
    assert json.loads(outputs[-1])[0]["user_input"] == hostile


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_an_export_goes_to_the_file_named_after_its_format(metrics: Metrics, store: Path, format: str) -> None:
    answer = metrics("export", "--format", format)
    assert (answer.code, answer.out) == (0, f"Wrote 12 queries of the last 24 hours to metrics_export.{format}.\n")
    assert Path(f"metrics_export.{format}").stat().st_size


def test_an_export_knows_its_format_from_the_files_name_and_may_go_to_a_pipe(metrics: Metrics, store: Path) -> None:
    assert metrics("export", "--output", "mine.csv").code == 0
    exported = Path("mine.csv").read_text()
    assert exported.startswith("timestamp,query_id,")
    assert metrics("export", "--output", "-", "--format", "csv").out == exported
    assert len(json.loads(metrics("export", "--output", "-").out)["queries"]) == 12


def test_what_was_exported_can_be_imported_elsewhere(metrics: Metrics, store: Path) -> None:
    metrics("export", "--output", "all.json")
    answer = metrics("import", "all.json", "--directory", "copy")
    assert answer.code == 0
    assert "12 queries" in answer.out
    figures = [
        json.loads(metrics("report", "--format", "json", *place).out)["report"] for place in ((), ("-d", "copy"))
    ]
    assert figures[0]["response_times"] == figures[1]["response_times"]
    assert "13 records known already" in metrics("import", "all.json", "--directory", "copy").out


def test_compaction_says_what_it_did(metrics: Metrics, tmp_path: Path) -> None:
    write(tmp_path / "monitoring", [query(60 * 48)], day="2026-01-02")
    monday = metrics("compact")
    assert monday.code == 0
    assert "Dropped 1 day older than 30 days" in monday.out
    assert metrics("compact").out == "Nothing to compact: no day that is over has open segments.\n"


def test_a_person_s_records_are_counted_then_forgotten_in_the_store_and_beside_it(
    metrics: Metrics, tmp_path: Path
) -> None:
    rows = [query(30, 5), query(20, 6, user_input="bills of Asha Rao"), query(10, 7)]
    rows[2].parent = id_of(rows[1])
    write(tmp_path / "monitoring", list(rows))
    metrics("export", "--output", "monitoring/metrics.json")
    counted = metrics("forget", "--containing", "asha rao", "--dry-run")
    assert (counted.code, counted.err) == (0, "")
    assert counted.out == "Would forget 2 queries, 2 entries of monitoring/metrics.json.\n"
    assert len(metrics("queries").out.splitlines()) == 3
    assert metrics("forget", "--containing", "asha rao", "--yes").out == counted.out.replace("Would forget", "Forgot")
    assert len(metrics("queries").out.splitlines()) == 1
    assert len(json.loads(Path("monitoring/metrics.json").read_text())["queries"]) == 1
    assert metrics("forget", "--containing", "asha rao", "--yes").out == "Nothing to forget: no record matches.\n"
    [left] = metrics("queries").out.splitlines()
    assert metrics("forget", "--query-id", left.split()[0], "--yes").out == (
        "Forgot 1 query, 1 entry of monitoring/metrics.json.\n"
    )


def test_nothing_is_forgotten_that_nobody_agreed_to(
    metrics: Metrics, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert metrics("forget").code == 2
    assert metrics("forget", "--containing", " ", "--yes").code == 2
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    piped = metrics("forget", "--containing", "bills")
    assert (piped.code, piped.out) == (2, "")
    assert "--yes" in piped.err
    terminal = io.StringIO("n\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    refused = metrics("forget", "--containing", "bills")
    assert refused.code == 1
    assert refused.out.startswith("Would forget 12 queries")
    assert len(metrics("queries").out.splitlines()) == 12


def test_the_doctor_sets_aside_what_cannot_be_read_and_is_content_then(metrics: Metrics, tmp_path: Path) -> None:
    segment = write(tmp_path / "monitoring", [query()], tail=b'{"t": 17, "torn')
    assert metrics("doctor").code == 1
    fixed = metrics("doctor", "--fix")
    assert fixed.code == 0
    assert fixed.out.startswith(f"Set 1 unreadable line of monitoring/{segment.parent.name}/{segment.name} aside.\n")
    assert "1 file in monitoring/set-aside" in fixed.out
    again = metrics("doctor", "--fix", "--format", "json")
    assert json.loads(again.out)["repair"]["lines"] == {}
    assert metrics("doctor", "--fix").out.startswith("Nothing to fix: everything can be read.\n")


def test_config_shows_no_password_of_an_address(metrics: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "instrument.toml").write_text('ship_to = ["clickhouse http://me:hidden@localhost:8123/agents"]\n')
    for form in ("text", "json"):
        shown = metrics("config", "--format", form)
        assert shown.code == 0
        assert "hidden" not in shown.out
        assert "@localhost:8123/agents" in shown.out
