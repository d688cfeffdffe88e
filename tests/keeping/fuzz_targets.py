"""What must hold for any input: each target takes one, and raises where it does not.

test_fuzzing.py feeds them with what hypothesis makes up, ../fuzz.py with what atheris finds by coverage.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from instrument.config import Config, settle
from instrument.errors import ConfigError, InstrumentError
from instrument.interchange import metrics_csv
from instrument.interchange.metrics_csv import joined, neutralised, parted, restored
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.redaction.policy import Texts
from instrument.redaction.rules import MASK, compiled
from instrument.rows.stored import QueryRow, encode_lines, id_of
from instrument.store.importing import import_files
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact

START = 1_760_509_800_000_000
GOOD = [QueryRow(START + number, 1000 + number, "a", f"good {number}", "n", [], duration=5) for number in range(3)]
GOOD_IDS = sorted(id_of(row) for row in GOOD)
DAY = "2025-10-15"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@contextmanager
def _place() -> Iterator[Path]:
    folder = tempfile.mkdtemp(prefix="fuzz-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


def imported(content: bytes) -> None:
    """A file of any content is imported or refused in a line, and the store reads in both cases."""
    with _place() as place:
        (place / "in").write_bytes(content)
        taken = import_again(place)
        if (place / "store").exists():
            with open_store(place / "store") as tables:
                found = list(tables.records())
                assert len(found) == taken
                [*tables.loose_selections()], [*tables.loose_calls()]
            assert import_again(place) == 0
        assert {entry.name for entry in place.iterdir()} <= {"in", "store"}


def import_again(place: Path) -> int:
    """How many queries a file adds to the store."""
    added = 0

    def take() -> None:
        nonlocal added
        added = import_files([place / "in"], place / "store").queries

    _refused(take)
    return added


def read_beside(content: bytes, suffix: str = ".jsonl") -> None:
    """A file of any content in a store hides no record of the files beside it, before compaction and after.

    Parquet that is damaged where only a question to that column shows it may be refused, in a line.
    """
    with _place() as place:
        folder = place / "store" / DAY
        folder.mkdir(parents=True)
        (folder / "120000-1-aaaaaaaa.jsonl").write_bytes(encode_lines(GOOD))
        (folder / f"110000-1-bbbbbbbb{suffix}").write_bytes(content)
        for step in (lambda: None, lambda: _compact(place / "store")):
            _refused(step)
            if not (suffix == ".parquet" and _refused(lambda: _have_all(place / "store"))):
                _have_all(place / "store")


def _compact(store: Path) -> None:
    compact(store, now=datetime(2025, 10, 17, tzinfo=UTC), retention_days=30)


def _have_all(store: Path) -> None:
    assert set(GOOD_IDS) <= set(_ids(store))


def _refused(step: Callable[[], object]) -> bool:
    """Whether a step was refused, in one line."""
    try:
        step()
    except InstrumentError as error:
        told = str(error)
        if "\n" in told:
            raise AssertionError(told) from None
        return True
    return False


def _ids(store: Path) -> list[str]:
    from instrument.analysis.report import report
    from instrument.analysis.results import Limits, Period

    with open_store(store) as tables:
        now = datetime(2025, 10, 16, tzinfo=UTC)
        report(tables, Period(24, now - timedelta(days=1), now, now), Limits(5e3, 3e4))
        return [record.query_id for record in tables.records()]


def configured(environ: dict[str, str], toml: str = "", pyproject: str = "") -> None:
    """Any settings are taken or refused, each refusal with its key and where it came from; the rest is in force."""
    with _place() as place:
        for name, text in (("instrument.toml", toml), ("pyproject.toml", pyproject)):
            if text:
                (place / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        values, sources, wrong = settle({}, environ, place)
        Config(**values)
        for error in wrong:
            assert isinstance(error, ConfigError)
            assert error.key == "*" or repr(error.key) in str(error)  # *: the file as a whole
            assert error.source in str(error)
            assert error.source in environ or str(place) in error.source
        assert all(source == "default" or source in environ or str(place) in source for source in sources.values())


def redacted(text: str, rules: tuple[str, ...], most: int) -> None:
    """What is kept of a text is the text, in order, with masks in it, and no longer than wanted but for those."""
    kept = compiled(rules)(text, most)
    place = 0
    for piece in kept.split(MASK):
        found = text.find(piece, place)
        assert found >= 0 or not piece, (text, kept)
        place = max(found, place) + len(piece)
    assert len(kept.replace(MASK, "")) <= most


def redacted_by(function: Callable[[str], object], text: str) -> None:
    """Whatever a function of the user's does, what is kept is a text within bounds, and nothing is raised."""
    texts = Texts(Config(redact=function, max_input_chars=50), lambda kind, error: None)  # type: ignore[arg-type]
    for kept in (texts.input(text), texts.message(text, text) or ""):
        assert isinstance(kept, str)
        assert len(kept) <= 50


def storable(text: str) -> str:
    """The text as a store has it: without lone surrogates."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def record_of(text: str) -> QueryRecord:
    """A record with a text wherever one may be."""
    call = CallRecord(kind="tool", name=text, start_ms=0, duration_ms=1, success=False, status="error", error_type=text)
    return QueryRecord(
        query_id=text or "id",
        user_input=text,
        agent_type=text,
        start_time="2025-10-15T06:30:00.000000Z",
        end_time="2025-10-15T06:30:00.001000Z",
        duration_ms=1,
        success=False,
        status="error",
        error_type=text,
        error_message=text,
        result_size_bytes=None,
        tool_calls=1,
        graphql_queries=0,
        entities_detected=[text or "e", "x"],
        name=text,
        model=text,
        attributes={text: text, "deep": [text]},
        metrics={text: 1.0},
        calls=[call],
        selection=SelectionRecord(
            query_id="", selected_agent=text, complexity_score=0.5, selection_reason=text, timestamp=""
        ),
    )


def drawn(text: str) -> None:
    """A record with any text is drawn without anything that a terminal would obey."""
    from instrument_cli.rendering.page import Page
    from instrument_cli.rendering.query import draw_query
    from instrument_cli.rendering.report import Limits

    record = record_of(storable(text))
    for page in (Page(80), Page(40, bounded=True)):
        for line in draw_query(record, Limits.of(Config()), page):
            assert not CONTROL.search(line.plain), line.plain
            if page.bounded:
                assert line.cut(page.width).width <= page.width


def through_csv(text: str, more: list[str]) -> None:
    """A line of CSV holds no formula, and gives the text back."""
    text = storable(text)
    assert restored(neutralised(text)) == text
    assert not re.match(r"[=+@\t\r-]", neutralised(text))
    entities = [name for name in more if name]
    assert parted(joined(entities)) == entities
    record = record_of(text)
    record.query_id = record.query_id.replace("\x00", "0")
    written = metrics_csv.line(record).decode()
    [cells] = csv.reader(io.StringIO(written, newline=""))
    assert not [cell for cell in cells if re.match(r"[=+@\t\r-]", cell)]
    assert restored(cells[2]) == text
    assert parted(restored(cells[5])) == record.entities_detected


logging.getLogger("instrument").addHandler(logging.NullHandler())
