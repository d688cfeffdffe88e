"""The alerts: rules with their state, those that fire first, and messages that wait to be sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from instrument.alerting import listing, state_file
from instrument.alerting.listing import Alert, Undelivered
from instrument.alerting.past import Firing, Past, past
from instrument.alerting.rules import read_rules
from instrument.analysis.periods import zone_of
from instrument.analysis.wording import count, span
from instrument_cli.rendering.alerts import unjudged
from instrument_cli.web import words
from instrument_cli.web.charts.firings import firing_lane
from instrument_cli.web.figures import figures_of
from instrument_cli.web.html import Element, joined, tag, text
from instrument_cli.web.layout import empty, panel, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from datetime import tzinfo

    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

_MARKS = {"firing": ("▲", "failed"), "pending": ("■", "stopped")}


def draw(site: Site, view: View) -> Drawn:
    """Draw the rules of the settings that are in force where the server was started."""
    now = datetime.now(UTC)
    listed = listing.listed(read_rules(Path.cwd()), state_file.read(site.directory), now)
    if not listed.alerts:
        hint = tag(
            "span", "Write them as ", tag("code", "[[alerts]]"), " into instrument.toml, where the server starts."
        )
        unusual = tag("span", "What was unusual stands on ", tag("a", "Trends", href=view.href("/trends")), ".")
        return Drawn("Alerts", empty("No alert rules", hint, unusual), bar=False)
    zone = zone_of(view.zone_name(site))[0]
    lines = [_row(view, one, zone, now) for one in listed.alerts]
    firing = sum(one.state == "firing" for one in listed.alerts)
    title = "Nothing fires" if not firing else f"{firing} {'alert fires' if firing == 1 else 'alerts fire'}"
    heads = [
        ("State", ""),
        ("Rule", ""),
        ("Fires on", "wide"),
        ("Showed last", ""),
        ("Since", ""),
        ("Tells", ""),
        ("", ""),
    ]
    notes = [tag("p", text(note), class_="quiet") for note in listed.notes]
    body = [panel(title, table(heads, lines, class_="stacks", caption="Alerts"), *notes, hint=text(listed.source))]
    body += [_past(site, view, zone)] if view.get("past") else []
    body += [_waiting(listed.waiting)] if listed.waiting else []
    return Drawn("Alerts", joined(body), bar=False)


def _row(view: View, one: Alert, zone: tzinfo, now: datetime) -> Element:
    mark, style = _MARKS.get(one.state, ("●", "ok"))
    state = tag(
        "span", tag("span", mark, class_="mark", aria_hidden="true"), f" {one.state}", class_=f"outcome {style}"
    )
    name = [text(one.name), *([" · ", text(one.group)] if one.group else [])]
    silenced = one.silenced_until is not None and one.silenced_until > now
    return tag(
        "tr",
        tag("td", state, tag("span", ", silenced", class_="quiet") if silenced else None),
        tag("td", *name, class_="name"),
        tag("td", text(one.condition), tag("span", f" ({one.severity})", class_="quiet"), class_="wide prose"),
        tag("td", text(one.detail), class_="prose quiet"),
        tag("td", words.moment(one.since, zone) if one.since else None, class_="quiet"),
        tag("td", text(", ".join(one.targets)), class_="prose quiet"),
        tag("td", tag("a", "past week", href=f"{view.href(past=one.name)}#f-past", class_="past")),
    )


_PAST = "7d"
_MOST_GROUPS, _MOST_FIRINGS = 12, 20


def _past(site: Site, view: View, zone: tzinfo) -> Element:
    """When the rule that the address names would have fired, by group, and the newest firings."""
    name = view.get("past")
    rule = next((one for one in read_rules(Path.cwd()).rules if one.name == name), None)
    if rule is None:
        return panel("Past", tag("p", "No rule has the name ", text(name), ".", class_="quiet"), key="past")
    asked = view if view.since else view.moved(period=_PAST)
    found: Past = figures_of(site).apart(
        asked, f"past of {rule}", lambda store: past(site.directory, site.config, rule, store.period)
    )
    covered = span(found.since.astimezone(zone), found.until.astimezone(zone))
    by_group: dict[str | None, list[Firing]] = {}
    for one in found.firings:
        by_group.setdefault(one.group, []).append(one)
    if not by_group:
        looked = (
            f"{count(found.within)} moments within the limit, {count(found.beyond)} beyond it but not for long enough"
        )
        said = f"It would not have fired: {looked}, {unjudged(found, rule)}. {found.problem}".strip()
        return panel(f"When {name} would have fired", tag("p", said, class_="quiet"), hint=covered, key="past")
    groups = sorted(by_group.items(), key=lambda one: (-len(one[1]), one[0] or ""))[:_MOST_GROUPS]
    lanes = [
        tag(
            "tr",
            tag("td", text(group or name), class_="name"),
            tag(
                "td", firing_lane(firings, found.since, found.until, zone, axis=group == groups[-1][0]), class_="lanes"
            ),
            tag("td", f"{len(firings):,}", class_="number"),
        )
        for group, firings in groups
    ]
    newest = sorted(found.firings, key=lambda one: one.start, reverse=True)[:_MOST_FIRINGS]
    lines = [_firing(view, one, zone) for one in newest]
    heads = [
        ("Began", ""),
        ("Ended", "opt2"),
        *([("Group", "")] if None not in by_group else []),
        ("Showed", "wide"),
        ("", ""),
    ]
    return panel(
        f"When {name} would have fired",
        table([("Group", ""), ("", "lanes"), ("Times", "number")], lanes, caption="Firings over time"),
        table(heads, lines, caption="Firings, the newest first"),
        hint=covered,
        key="past",
    )


def _firing(view: View, one: Firing, zone: tzinfo) -> Element:
    until = one.end or one.start + timedelta(hours=1)
    href = view.href("/queries", period=None, since=one.start.isoformat(), until=until.isoformat())
    return tag(
        "tr",
        tag("td", words.moment(one.start, zone, seconds=False), class_="quiet"),
        tag("td", words.moment(one.end, zone, seconds=False) if one.end else "still fires", class_="quiet opt2"),
        tag("td", text(one.group), class_="name") if one.group is not None else None,
        tag("td", text(one.detail), class_="wide prose"),
        tag("td", tag("a", "queries", href=href, class_="past")),
    )


def _waiting(waiting: list[Undelivered]) -> Element:
    lines = [
        tag(
            "tr",
            tag("td", text(one.target), class_="name"),
            tag("td", f"{one.events:,}", class_="number"),
            tag("td", f"{one.attempts:,}", class_="number"),
            tag("td", text(one.problem), class_="wide prose"),
        )
        for one in waiting
    ]
    heads = [("Target", ""), ("Events", "number"), ("Tried", "number"), ("What was wrong", "wide")]
    return panel("Messages that wait", table(heads, lines, caption="Messages that wait"))
