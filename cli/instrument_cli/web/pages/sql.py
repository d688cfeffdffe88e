"""One SELECT over the store: an editor, the columns, the answer as a table and a chart, CSV, a link to share."""

from __future__ import annotations

import csv as csv_format
import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import PlainTextResponse, Response, StreamingResponse

from instrument.errors import InstrumentError
from instrument.store.public_tables import TABLES
from instrument_cli.rendering.text import plain
from instrument_cli.web.charts import small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.figures import figures_of
from instrument_cli.web.frame import HEADERS
from instrument_cli.web.html import Element, joined, tag, text
from instrument_cli.web.layout import chart_link, hidden, panel, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

TIMEOUT = 20.0
"""Seconds that a statement may take."""

MOST_ROWS = 1000
"""Rows that are shown; the CSV has all of them."""

MOST_TEXT = 10_000
"""Characters of a statement."""

EXAMPLES = (
    (
        "Slowest agents",
        "SELECT agent_type, count(*) AS queries, quantile_cont(duration_ms, 0.95) AS p95_ms\n"
        "FROM queries GROUP BY ALL ORDER BY p95_ms DESC",
    ),
    (
        "Queries an hour",
        "SELECT date_trunc('hour', start_time) AS hour, count(*) AS queries\nFROM queries GROUP BY ALL ORDER BY hour",
    ),
    (
        "Failing tools",
        "SELECT name, count(*) AS calls, count(*) FILTER (NOT success) AS failed\n"
        "FROM calls WHERE kind = 'tool' GROUP BY ALL ORDER BY failed DESC LIMIT 20",
    ),
)
"""What a reader may begin with: names and statements."""


class _Answer(NamedTuple):
    names: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]
    is_cut: bool


def draw(site: Site, view: View) -> Drawn:
    """Draw the editor, and the answer to the statement in the address."""
    statement = view.get("sql")[:MOST_TEXT]
    period = view.worked_out(site)
    answer: list[Element] = []
    charts = {}
    if statement.strip():
        try:
            found = _run(site, view, statement)
            answer = [_answer(view, found)]
            if chart := _chart(found):
                charts["answer"] = chart
        except InstrumentError as error:
            answer = [tag("p", text(str(error)), class_="error", role="alert")]
    hint = "read only; within the period above" + ("; the filters are not applied" if view.where else "")
    editor = panel("One SELECT over your records", _editor(view, statement), _examples(view), hint=hint)
    main = tag("div", editor, *answer, class_="column")
    return Drawn("SQL", tag("div", main, _schema(), class_="grid two wide-left"), period, charts=charts)


def _editor(view: View, statement: str) -> Element:
    lines = statement or EXAMPLES[0][1]
    field = tag(
        "textarea",
        lines,
        name="sql",
        rows=str(min(max(lines.count("\n") + 2, 5), 18)),
        id="sql",
        spellcheck="false",
        autocomplete="off",
        maxlength=str(MOST_TEXT),
        aria_label="One SELECT",
    )
    keys = tag("span", tag("kbd", "Ctrl"), " ", tag("kbd", "Enter"), class_="script quiet")
    run = tag("p", tag("button", "Run", type="submit", class_="main"), keys, class_="under")
    return tag("form", *hidden(view, "sql"), field, run, action="/sql", method="get", id="sql-form")


def _examples(view: View) -> Element:
    links = (
        joined([" · " if place else "", tag("a", name, href=view.href(sql=each))])
        for place, (name, each) in enumerate(EXAMPLES)
    )
    return tag("p", "Examples: ", *links, class_="quiet")


def csv(site: Site, view: View) -> Response:
    """The whole answer as CSV."""
    try:
        answer = _run(site, view, view.get("sql")[:MOST_TEXT], None)
    except InstrumentError as error:
        return PlainTextResponse(f"{plain(str(error))}\n", status_code=400, headers=HEADERS)
    headers = HEADERS | {"content-disposition": 'attachment; filename="answer.csv"'}
    return StreamingResponse(_written(answer), media_type="text/csv; charset=utf-8", headers=headers)


def _run(site: Site, view: View, statement: str, most: int | None = MOST_ROWS) -> _Answer:
    with figures_of(site).opened(view.worked_out(site)) as store:
        found = store.own_sql().answer(statement, TIMEOUT)
        rows: list[tuple[Any, ...]] = []
        for row in found.rows():
            if most is not None and len(rows) == most:
                return _Answer(found.names, found.types, rows, True)
            rows.append(row)
        return _Answer(found.names, found.types, rows, False)


def _written(answer: _Answer) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv_format.writer(buffer)
    for row in ([*map(_harmless, answer.names)], *([_harmless(value) for value in row] for row in answer.rows)):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _harmless(value: Any) -> Any:
    """A cell that no spreadsheet runs as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _answer(view: View, answer: _Answer) -> Element:
    numbers = [_is_number(kind) for kind in answer.types]
    heads = [(name, "number" if number else "") for name, number in zip(answer.names, numbers, strict=True)]
    lines = [
        tag(
            "tr",
            *(
                tag("td", _cell(value), class_="number" if number else None)
                for value, number in zip(row, numbers, strict=True)
            ),
        )
        for row in answer.rows
    ]
    said = f"{len(answer.rows):,} {'row' if len(answer.rows) == 1 else 'rows'}" + (" of more" if answer.is_cut else "")
    chart = _chart(answer)
    more = [tag("a", "CSV", href=view.href("/sql.csv", sql=view.get("sql")), download="answer.csv")]
    more += [chart_link(view, "answer")] if chart else []
    return panel(
        "Answer",
        chart.picture if chart else None,
        table(heads, lines, class_="answer", caption="Answer"),
        more=more,
        hint=said,
    )


def _is_number(kind: str) -> bool:
    return kind.split("(")[0] in (
        "BIGINT",
        "INTEGER",
        "DOUBLE",
        "FLOAT",
        "HUGEINT",
        "UBIGINT",
        "UINTEGER",
        "SMALLINT",
        "TINYINT",
        "DECIMAL",
    )


def _cell(value: Any) -> Element | str:
    if value is None:
        return tag("span", "NULL", class_="quiet")
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else text(str(value)[:2000])


def _chart(answer: _Answer) -> Chart | None:
    """Columns where one number stands behind each time or name."""
    numbers = [_is_number(kind) for kind in answer.types]
    if len(answer.names) < 2 or not any(numbers[1:]) or numbers[0] or not 2 <= len(answer.rows) <= 400:
        return None
    place = next(at for at in range(1, len(numbers)) if numbers[at])
    values = [float(row[place] or 0) for row in answer.rows]
    if any(value < 0 or not math.isfinite(value) for value in values):
        return None
    ends = [(0.0, str(answer.rows[0][0])[:24]), (1.0, str(answer.rows[-1][0])[:24])]
    title = f"{answer.names[place]} by {answer.names[0]}"
    return Chart(title, small.columns(values, width=640, height=90, labels=ends, title=title))


def _schema() -> Element:
    boxes = [
        tag(
            "details",
            tag("summary", tag("code", name)),
            tag(
                "dl",
                *(
                    tag("div", tag("dt", tag("code", column.name)), tag("dd", column.type, class_="quiet"))
                    for column in columns
                ),
                class_="facts",
            ),
            open=name == "queries",
        )
        for name, columns in TABLES.items()
    ]
    return panel("Tables", *boxes, class_="schema")
