"""Any input at all: imports, segments, settings, redaction, drawing and CSV; and every case that once went wrong."""

from __future__ import annotations

import json

import fuzz_targets as targets
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from instrument.interchange import metrics_csv
from instrument.rows.stored import encode_lines

QUICK = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=list(HealthCheck))
ON_DISK = settings(QUICK, max_examples=8)
"""Each example makes a store and reads it several times."""

TEXT = st.text(st.characters(), max_size=30)
KNOWN_TEXT = st.one_of(
    TEXT,
    st.sampled_from(
        ["", "a", "=1+1", "2025-10-15T06:30:00Z", "2025-10-15 06:30:00+02:00", "true", "NaN", "-5", "1e400"]
    ),
)
NUMBER = st.one_of(st.integers(), st.floats(), st.integers(0, 2**53))
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, KNOWN_TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
NAMES = [
    *("query_id", "user_input", "agent_type", "start_time", "end_time", "duration_ms", "success", "error_type", "type"),
    *(
        "entities_detected",
        "calls",
        "attributes",
        "metrics",
        "weight",
        "parent_id",
        "status",
        "timestamp",
        "first_chunk_ms",
    ),
    *("tool_calls", "graphql_queries", "input_tokens", "host", "process", "selected_agent", "complexity_score", "name"),
]
SOUND = {"query_id": "q", "start_time": "2025-10-15T06:30:00Z", "duration_ms": 5, "success": True}
CALL = st.dictionaries(
    st.sampled_from(["kind", "name", "start_ms", "duration_ms", "success", "status", "parent", "late"]),
    VALUE,
    max_size=8,
)
ENTRY = st.builds(
    lambda odd, calls: SOUND | odd | ({"calls": calls} if calls else {}),
    st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=6),
    st.lists(CALL, max_size=2),
)
LINE_KEYS = [
    *"tnaqdcrsemxfwovki",
    "id",
    "type",
    "parent",
    "selection",
    "entities",
    "metrics",
    "tc",
    "gc",
    "place",
    "dropped",
]
LINE = st.builds(
    lambda odd, sound: ({"t": targets.START, "i": 5, "d": 1, "q": "x"} if sound else {}) | odd,
    st.dictionaries(st.sampled_from(LINE_KEYS), VALUE, max_size=6),
    st.booleans(),
)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


@given(st.lists(ENTRY, max_size=4), st.lists(ENTRY, max_size=2))
@example([SOUND | {"user_input": "a\ud800b"}], [])
@example([SOUND | {"query_id": "a\x00b"}], [])
@ON_DISK
def test_any_metrics_json_is_imported_or_refused(queries: list[object], selections: list[object]) -> None:
    targets.imported(as_json({"queries": queries, "agent_selections": selections}))


@given(st.lists(LINE, min_size=1, max_size=5), st.binary(max_size=20))
@ON_DISK
def test_any_segment_is_imported_or_refused(lines: list[object], tail: bytes) -> None:
    targets.imported(b"\n".join(map(as_json, lines)) + b"\n" + tail)


CELL = st.one_of(KNOWN_TEXT, NUMBER.map(str))


@given(st.lists(st.lists(CELL, max_size=9), max_size=4), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@ON_DISK
def test_any_metrics_csv_is_imported_or_refused(rows: list[list[str]], end: str, quoted: bool) -> None:
    cells = [['"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row] for row in rows]
    text = end.join([",".join(metrics_csv.FIELDS), *(",".join(row) for row in cells)])
    targets.imported(text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=200), st.sampled_from([b"", b"{", b"[", b"PAR1", b"timestamp,query_id\n", b'{"t":1}\n']))
@ON_DISK
def test_any_bytes_are_imported_or_refused(content: bytes, beginning: bytes) -> None:
    targets.imported(beginning + content)


@given(st.lists(LINE, max_size=5), st.binary(max_size=40))
@example([{"t": targets.START, "i": 1, "s": "\udfff"}], b"")
@ON_DISK
def test_no_segment_hides_the_records_of_another(lines: list[object], tail: bytes) -> None:
    targets.read_beside(b"\n".join(map(as_json, lines)) + b"\n" + tail)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\n", b"{", b'{"t":', b"PAR1"]))
@ON_DISK
def test_no_bytes_in_a_segments_place_hide_other_records(content: bytes, beginning: bytes) -> None:
    targets.read_beside(beginning + content)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A compacted file, as a store has it."""
    from datetime import UTC, datetime

    from instrument.store.upkeep.compaction import compact

    folder = tmp_path_factory.mktemp("parquet") / targets.DAY
    folder.mkdir()
    (folder / "100000-1-cccccccc.jsonl").write_bytes(encode_lines(targets.GOOD[:1]))
    compact(folder.parent, now=datetime(2025, 10, 17, tzinfo=UTC), retention_days=30)
    [file] = folder.glob("*.parquet")
    return file.read_bytes()


@given(data=st.data())
@settings(ON_DISK, max_examples=6)
def test_no_damaged_parquet_hides_the_records_of_other_files(parquet: bytes, data: st.DataObject) -> None:
    """Its header, its footer or its end are damaged, cut off, or somebody else's."""
    content = bytearray(parquet)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(footer, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.sampled_from([len(content), len(content), len(content) - 4, footer, 4, 0]))]
    targets.read_beside(bytes(content), ".parquet")
    targets.imported(bytes(content))


SETTINGS = [
    *("directory", "formats", "metrics_file", "retention_days", "default_report_hours", "enabled", "flush_interval_ms"),
    *("buffer_size", "on_full", "sample_rate", "always_keep", "capture_input", "hash_key", "max_input_chars", "redact"),
]
SETTING = st.one_of(st.sampled_from(SETTINGS), st.text("abcdefgh_", min_size=1, max_size=12))
VARIABLE = st.text(st.characters(exclude_characters="\x00"), max_size=20)


@given(st.dictionaries(SETTING.map(lambda name: f"INSTRUMENT_{name.upper()}"), st.one_of(VARIABLE, NUMBER.map(str))))
@example({"INSTRUMENT_REDACT": "(?P<secret>"})
@example({"INSTRUMENT_REDACT": "a{99999999999}"})
@example({"INSTRUMENT_REDACT": "(" * 5000})
@example({"INSTRUMENT_RETENTION_DAYS": "9" * 5000})
@QUICK
def test_any_environment_is_taken_or_refused_by_name(environ: dict[str, str]) -> None:
    targets.configured(environ)


TOML_VALUE = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.booleans().map(lambda value: str(value).lower()),
    TEXT.map(lambda text: json.dumps(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))),
    st.lists(st.sampled_from(['"email"', '"("', "1", "true", "[]"]), max_size=3).map(
        lambda all_: f"[{', '.join(all_)}]"
    ),
    st.sampled_from(["{ a = 1 }", "2025-10-15", "1e999", "'", "[", '"\\u0000"', "0x1F", "-0", "inf", "[[1]]"]),
)
TOML = st.lists(st.tuples(SETTING, TOML_VALUE), max_size=4).map(
    lambda lines: "\n".join(f"{name} = {value}" for name, value in lines)
)


@given(TOML, TOML, st.sampled_from(["", "[tool.agent-instrument]\n", "[tool]\nagent-instrument = 5\n", "tool = 1\n"]))
@example("[" * 3000, "", "")
@example("a = " + "[" * 3000, "", "")
@example("\ud800", "", "")
@example("directory = 'a\\u0000'\ndirectory = 1", "", "")
@QUICK
def test_any_file_of_settings_is_taken_or_refused_by_name(toml: str, lines: str, section: str) -> None:
    targets.configured({}, toml)
    targets.configured({}, "", section + lines)
    targets.configured({}, toml, section + lines)


@given(st.text(), st.dictionaries(st.sampled_from(["INSTRUMENT_ENABLED", "INSTRUMENT_FORMATS"]), VARIABLE))
@QUICK
def test_any_text_in_a_settings_file_is_taken_or_refused_by_name(text: str, environ: dict[str, str]) -> None:
    targets.configured(environ, text)
    targets.configured(environ, "", "[tool.agent-instrument]\n" + text)


PIECES = [
    *(
        "ana@example.com",
        "+91 98765 43210",
        "4111 1111 1111 1111",
        "password=",
        "sk-abcdefghijklmnop1",
        "@",
        ":",
        "://",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "(",
        ")",
        "0",
        "1",
        "call ",
        "\x00",
        "\ud800",
        "é",
        "[redacted]",
        " ",
        "\n",
        "'",
    ),
]
SECRETIVE = st.lists(st.one_of(st.sampled_from(PIECES), TEXT), max_size=12).map("".join)
RULES = st.lists(st.sampled_from(["email", "phone", "card", "token", r"\d+", "x*", r"(?P<secret>a)|b"]), max_size=4)


@given(SECRETIVE, RULES, st.integers(0, 200))
@settings(QUICK, max_examples=200)
def test_redaction_of_any_text_keeps_the_rest_of_it(text: str, rules: list[str], most: int) -> None:
    targets.redacted(text, tuple(rules), most)


class Awkward(str):
    """A text that does not like to be looked at."""

    __slots__ = ()

    def __getitem__(self, key: object) -> str:
        raise RuntimeError


def raising(text: str) -> str:
    raise BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError(text)])


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "function",
    [
        raising,
        lambda text: None,
        lambda text: 5,
        lambda text: text * 100,
        Awkward,
        lambda text: Unspeakable(),
        list,
        str.encode,
    ],
)
@given(text=SECRETIVE)
@settings(QUICK, max_examples=20)
def test_whatever_a_redaction_function_does_harms_nobody(function: object, text: str) -> None:
    targets.redacted_by(function, text)  # type: ignore[arg-type]


@given(SECRETIVE)
@example("\x1b]8;;http://x\x07y\x1b]8;;\x07")
@example("[/]" * 10)
@QUICK
def test_a_record_with_any_text_is_drawn_without_what_a_terminal_obeys(text: str) -> None:
    targets.drawn(text)


FORMULAS = st.lists(st.one_of(st.sampled_from([*"=+-@\t\r'\",\n\\ ", "|"]), TEXT), max_size=6).map("".join)


@given(FORMULAS, st.lists(st.text(max_size=5), max_size=3))
@settings(QUICK, max_examples=200)
def test_csv_runs_no_text_and_gives_every_one_back(text: str, more: list[str]) -> None:
    targets.through_csv(text, more)
