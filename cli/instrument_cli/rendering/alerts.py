"""Draw alerts: each rule with its state, what it showed, and what waits to be sent; and a rule's past."""

from __future__ import annotations

from instrument.alerting.listing import Alert, Listed, condition
from instrument.alerting.past import Past
from instrument.alerting.rules import Rule, length
from instrument.analysis.wording import ago, count, duration, several, span
from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import paragraph
from instrument_cli.rendering.text import plain

_STYLES: dict[str, Style] = {"firing": "bad", "pending": "slow", "resolved": "good", "inactive": "quiet"}

_EXAMPLE = """\
[[alerts]]
name = "failures"
figure = "failure_rate"
above = 0.1
window = "15m"
"""


def draw_alerts(listed: Listed, page: Page) -> list[Line]:
    """A few lines for each alert, those that fire first."""
    if not listed.alerts:
        drawn = [*paragraph("There is no alert yet. Write one into instrument.toml, such as this:", page), line()]
        return [*drawn, *(line(f"   {each}") for each in _EXAMPLE.splitlines())]
    drawn = [line(" metrics alerts", "title"), line()]
    for name in dict.fromkeys(alert.name for alert in listed.alerts):
        drawn += [*_rule([alert for alert in listed.alerts if alert.name == name], listed, page), line()]
    for each in listed.waiting:
        text = f"{several(each.events, 'event')} for {each.target}"
        text += f" after {several(each.attempts, 'failed attempt')}: {each.problem}" if each.attempts else ""
        if each.next_try is not None and each.attempts:
            text += f"; next try in {duration(max((each.next_try - listed.at).total_seconds(), 0.0) * 1000)}"
        drawn += paragraph(f"Waiting: {text}", page, style="slow")
    for note in listed.notes:
        drawn += paragraph(f"Note: {note}", page, style="slow")
    return drawn if drawn[-1].width else drawn[:-1]


def _rule(alerts: list[Alert], listed: Listed, page: Page) -> list[Line]:
    """A rule with each of its groups; one without groups has its state beside its name."""
    first = alerts[0]
    name = line(f" {plain(first.name)}", "strong")
    grouped = any(alert.group is not None for alert in alerts)
    head = [name, *([] if grouped else [_state(first, listed)]), line(first.severity, "quiet")]
    drawn = [joined(head, "  "), *paragraph(first.condition, page, 3)]
    for alert in alerts:
        if grouped:
            drawn.append(joined([line(f"   {plain(alert.group or '(all)')}"), _state(alert, listed)], "  "))
        if alert.detail:
            drawn += paragraph(alert.detail, page, 5 if grouped else 3, style="quiet")
        elif alert.evaluated is None:
            drawn += paragraph("not evaluated yet: metrics alerts check, or metrics serve", page, 3, style="quiet")
    if first.silenced_until is not None:
        until = f"{first.silenced_until.astimezone(page.zone):%Y-%m-%d %H:%M %Z}"
        drawn += paragraph(f"silent until {until}" + (f" ({first.comment})" if first.comment else ""), page, 3)
    targets = f"to {', '.join(first.targets)}" if first.targets else "to nobody: name targets in notify"
    return [*drawn, *paragraph(targets, page, 3, style="quiet")]


def _state(alert: Alert, listed: Listed) -> Line:
    return line(alert.state + _since(alert, listed), _STYLES[alert.state])


def _since(alert: Alert, listed: Listed) -> str:
    return "" if alert.since is None or alert.state == "inactive" else f" {ago(alert.since, listed.at)}"


def draw_past(found: Past, rule: Rule, page: Page) -> list[Line]:
    """When a rule would have fired, a few lines for each time."""
    period = span(found.since.astimezone(page.zone), found.until.astimezone(page.zone))
    drawn = [line(f" metrics alerts test {found.rule}", "title"), *paragraph(period, page, style="quiet"), line()]
    drawn += [*paragraph(condition(rule), page), line()]
    for one in found.firings:
        end = found.until if one.end is None else one.end
        lasted = duration((end - one.start).total_seconds() * 1000)
        when = span(one.start.astimezone(page.zone), end.astimezone(page.zone))
        still = ", still firing" if one.end is None else ""
        group = f"[{one.group}] " if one.group is not None else ""
        drawn += paragraph(f"{group}{when} ({lasted}{still})", page, style="bad")
        drawn += paragraph(one.detail, page, 3, style="quiet")
    fired = several(len(found.firings), "time")
    looked = f"looked at every {length(found.step)}: {count(found.beyond)} times beyond the limit"
    looked += f", {count(found.within)} within, {unjudged(found, rule)}"
    drawn += [line()] if found.firings else []
    would = f"It would have fired {fired}" if found.firings else "It would never have fired"
    drawn += paragraph(f"{would}; {looked}.", page)
    if found.problem:
        drawn += paragraph(found.problem, page, style="slow")
    return drawn


def unjudged(found: Past, rule: Rule) -> str:
    """How many moments could not be judged, and why."""
    least = several(rule.least_queries, "query", "queries")
    few = f"{count(found.too_few)} with fewer than {least}, " if rule.least_queries else ""
    return f"{few}{count(found.no_data)} without data"
