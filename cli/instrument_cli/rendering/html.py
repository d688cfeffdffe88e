"""A report as one HTML page: no script, no other file, light or dark as the reader's system is, fit to print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, tzinfo
from html import escape

from instrument.analysis.results import Limits, Report
from instrument.analysis.standing_out import standing_out
from instrument.analysis.wording import clock, count, hours, percent, threshold
from instrument_cli.rendering.charts import log_labels, time_labels
from instrument_cli.rendering.report_sections import Table, headline, losses, period_text, tables
from instrument_cli.rendering.text import plain

_WIDTH, _HEIGHT, _BAND, _AXIS = 960, 120, 28, 22
_BAR = 120
_LABELS = 100
"""Columns that an axis is thought to have, so that its labels do not touch."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --quiet: #667085; --line: #e3e7ee; --paper: #ffffff;
  --bar: #2f7d95; --bad: #c0362c; --slow: #b7791f; }
@media screen and (prefers-color-scheme: dark) { :root {
  --ink: #e6e9ef; --quiet: #98a2b3; --line: #2c3442; --paper: #12161d;
  --bar: #5fb3cc; --bad: #f47c6f; --slow: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1.25rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 2rem 0 .4rem; }
p { margin: .25rem 0; } .quiet, figcaption { color: var(--quiet); font-size: .85rem; }
.notice { border-left: 3px solid var(--slow); padding-left: .75rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.25rem; margin: 1.5rem 0; } dl div { display: flex;
  flex-direction: column-reverse; } dd { margin: 0; font-size: 1.5rem; font-weight: 600;
  font-variant-numeric: tabular-nums; } dt { color: var(--quiet); font-size: .85rem; }
figure { margin: 0; } svg { display: block; } .chart { width: 100%; height: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 500; font-size: .85rem; } th:first-child, td:first-child { text-align: left;
  padding-left: 0; white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
tr.bad td { color: var(--bad); } rect.bar { fill: var(--bar); } rect.bad { fill: var(--bad); }
rect.slow { fill: var(--slow); } rect.quiet { fill: var(--quiet); opacity: .55; } rect.all { fill: var(--line); }
text { fill: var(--quiet); font-size: 12px; } line { stroke: var(--line); }
@page { margin: 14mm; }
@media print { body { max-width: none; padding: 0; font-size: 10.5px; } .scroll { overflow: visible; }
  th, .quiet, figcaption { font-size: 9.5px; } th, td { padding: 3px 5px; } td svg { width: 84px; height: auto; }
  section, tr, figure { break-inside: avoid; } section:has(tr:nth-child(20)) { break-inside: auto; }
  h2 { break-after: avoid; margin-top: 1.4rem; } }
"""


def html_report(report: Report, limits: Limits, zone: tzinfo) -> str:
    """A report as a page."""
    title = f"Report, {period_text(report, zone)}"
    figures = "".join(
        f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>" for value, label in headline(report, limits)
    )
    body = [
        f"<header><h1>Report</h1><p class=quiet>{_text(period_text(report, zone))}</p></header>",
        *(f"<p class=notice>{_text(notice)}</p>" for notice in report.notices),
        f"<dl>{figures}</dl>",
        _activity(report, zone),
        _histogram(report, limits),
        *map(_table, tables(report, limits)),
        f"<footer><h2>Data</h2><p>{_text(losses(report))}</p></footer>",
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape(plain(text))


def _table(table: Table) -> str:
    scale = f'<th class=quiet scope="col">{_text("full bar: " + table.scale)}</th>' if table.bars else ""
    heads = "".join(f'<th scope="col">{_text(head)}</th>' for head in table.heads) + scale
    rows = "".join(_row(table, place) for place in range(len(table.rows)))
    return (
        f"<section><h2>{_text(table.title)}</h2><div class=scroll><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _row(table: Table, place: int) -> str:
    cells = "".join(f"<td>{_text(cell)}</td>" for cell in table.rows[place])
    if table.bars:
        length = max(table.bars[place] * _BAR, 1)
        cells += (
            f'<td><svg width="{_BAR}" height="10" aria-hidden="true"><rect class=all width="{_BAR}" height="10"/>'
            f'<rect class=bar width="{length:.1f}" height="10"/></svg></td>'
        )
    return f"<tr class=bad>{cells}</tr>" if place in table.marked else f"<tr>{cells}</tr>"


def _chart(title: str, caption: str, height: int, marks: Sequence[str]) -> str:
    return (
        f"<section><h2>{_text(title)}</h2><figure>"
        f'<svg class=chart viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_text(caption)}">'
        f"{''.join(marks)}</svg><figcaption>{_text(caption)}</figcaption></figure></section>"
    )


def _column(place: int, number: int, height: float, foot: float, style: str, label: str) -> str:
    step = _WIDTH / number
    return (
        f'<rect class={style} x="{place * step + 0.5:.1f}" y="{foot - height:.1f}" width="{max(step - 1, 0.5):.1f}"'
        f' height="{height:.1f}"><title>{_text(label)}</title></rect>'
    )


def _axis(labels: Sequence[tuple[float, str]], foot: float) -> list[str]:
    marks = [f'<line x1="0" x2="{_WIDTH}" y1="{foot}" y2="{foot}"/>']
    reached = 0.0
    for column, label in labels:
        x = column / _LABELS * _WIDTH
        if x >= reached and x + 7 * len(label) < _WIDTH:
            marks.append(f'<text x="{x:.1f}" y="{foot + 16}">{_text(label)}</text>')
            reached = x + 7 * len(label) + 14
    return marks


def _activity(report: Report, zone: tzinfo) -> str:
    """Queries over time, and below them the share that failed, red where it stands out."""
    activity = report.activity
    number, most = len(activity.queries), max(activity.queries, default=0)
    if not most:
        return ""
    length = timedelta(minutes=activity.bucket_minutes)
    start = activity.start.astimezone(zone)
    shares = [bad / all_ if all_ else 0.0 for bad, all_ in zip(activity.failed, activity.queries, strict=True)]
    full = max(0.1, *shares)
    flags = standing_out(activity.failed, activity.queries)
    marks = []
    for place, (queries, share) in enumerate(zip(activity.queries, shares, strict=True)):
        label = f"{clock(start + length * place)}: {count(queries)} queries, {percent(share)} failed"
        marks.append(_column(place, number, queries / most * _HEIGHT, _HEIGHT, "bar", label))
        if share:
            style = "bad" if flags[place] else "quiet"
            marks.append(_column(place, number, share / full * _BAND, _HEIGHT + 6 + _BAND, style, label))
    foot = _HEIGHT + 8 + _BAND
    marks += _axis(time_labels(start, start + length * number, _LABELS), foot)
    each = hours(activity.bucket_minutes / 60)
    caption = (
        f"queries in each {each}, at most {count(most)}; below, the share that failed: full height is {percent(full)}"
    )
    return _chart("Activity", caption, foot + _AXIS, marks)


def _histogram(report: Report, limits: Limits) -> str:
    """Queries by their duration, on a logarithmic axis."""
    histogram = report.histogram
    most = max(histogram.queries, default=0)
    if not most:
        return ""
    marks = []
    for place, queries in enumerate(histogram.queries):
        low, high = histogram.bounds_ms[place : place + 2]
        style = "bad" if low >= limits.very_slow_ms else "slow" if low >= limits.slow_ms else "bar"
        label = f"{threshold(float(f'{low:.3g}'))} to {threshold(float(f'{high:.3g}'))}: {count(queries)} queries"
        marks.append(_column(place, len(histogram.queries), queries / most * _HEIGHT, _HEIGHT, style, label))
    marks += _axis(log_labels(histogram.bounds_ms, _LABELS), _HEIGHT + 2)
    caption = f"queries by duration on a logarithmic axis, at most {count(most)} in a column"
    return _chart("Durations", caption, _HEIGHT + 2 + _AXIS, marks)
