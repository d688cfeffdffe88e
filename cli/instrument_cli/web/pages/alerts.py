"""The alerts: rules with their state, those that fire first, and messages that wait to be sent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from instrument.alerting import listing, state_file
from instrument.alerting.listing import Alert, Undelivered
from instrument.alerting.rules import read_rules
from instrument.analysis.periods import zone_of
from instrument_cli.web import words
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
    lines = [_row(one, zone, now) for one in listed.alerts]
    firing = sum(one.state == "firing" for one in listed.alerts)
    title = "Nothing fires" if not firing else f"{firing} {'alert fires' if firing == 1 else 'alerts fire'}"
    heads = [("State", ""), ("Rule", ""), ("Fires on", "wide"), ("Showed last", ""), ("Since", ""), ("Tells", "")]
    notes = [tag("p", text(note), class_="quiet") for note in listed.notes]
    body = [panel(title, table(heads, lines, class_="stacks", caption="Alerts"), *notes, hint=text(listed.source))]
    body += [_waiting(listed.waiting)] if listed.waiting else []
    return Drawn("Alerts", joined(body), bar=False)


def _row(one: Alert, zone: tzinfo, now: datetime) -> Element:
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
