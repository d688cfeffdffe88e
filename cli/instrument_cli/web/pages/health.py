"""Whether the store is healthy: what `metrics doctor` finds."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from instrument.analysis.health import examine
from instrument_cli.web.html import joined, tag, text
from instrument_cli.web.layout import empty, panel, table
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

_MARKS = {
    "good": ("●", "ok", "in order"),
    "note": ("■", "stopped", "worth knowing"),
    "bad": ("▲", "failed", "needs you"),
}


def draw(site: Site, view: View) -> Drawn:
    """Draw the findings, the bad ones first."""
    if "://" in str(site.source):
        return Drawn(
            "Store health",
            empty("This store is another machine's", "Run metrics doctor where its records are written."),
            bar=False,
        )
    findings = list(examine({"directory": str(site.directory)}, dict(os.environ), Path.cwd(), datetime.now(UTC)))
    order = {"bad": 0, "note": 1, "good": 2}
    is_advised = any(one.advice for one in findings)
    lines = []
    for one in sorted(findings, key=lambda each: order[each.state]):
        mark, style, meaning = _MARKS[one.state]
        state = tag(
            "span", tag("span", mark, class_="mark", aria_hidden="true"), f" {meaning}", class_=f"outcome {style}"
        )
        lines.append(
            tag(
                "tr",
                tag("td", state),
                tag("td", one.name, class_="name"),
                tag("td", text(one.message), class_="wide prose"),
                tag("td", text(one.advice), class_="prose quiet") if is_advised else None,
            )
        )
    bad = sum(one.state == "bad" for one in findings)
    title = "Nothing needs you" if not bad else f"{bad} {'thing needs' if bad == 1 else 'things need'} you"
    heads = [("State", ""), ("Looked at", ""), ("Found", "wide"), *([("What to do", "")] if is_advised else [])]
    return Drawn(
        "Store health",
        joined([panel(title, table(heads, lines, class_="stacks", caption="What was looked at"))]),
        bar=False,
    )
