"""What got worse since the period before, in a strip: each with the page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from instrument.analysis.side_by_side import Kind
from instrument.analysis.wording import count, duration, percent
from instrument.analysis.worse import Worse
from instrument_cli.web.html import Element, tag, text

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_MOST = 3
"""Of each kind that are named."""

_CALLED: dict[Kind, str] = {"agent": "Agent", "tool": "Tool", "operation": "Operation", "model": "Model"}
_KINDS: tuple[Kind, ...] = ("tool", "agent", "operation", "model")


def strip(view: View, found: Sequence[Worse], *, more: Element | None = None) -> Element:
    """Name the worst of each kind; nothing where nothing got worse. `more` stands at the end."""
    shown = [one for kind in _KINDS for one in [each for each in found if each.kind == kind][:_MOST]]
    lines = [_line(view, one) for one in shown]
    rest = len(found) - len(shown)
    lines += [tag("li", f"and {count(rest)} more", class_="quiet")] if rest > 0 else []
    lines += [tag("li", more, class_="quiet")] if more else []
    content = [tag("h2", "Worse than in the period before"), tag("ul", *lines)] if shown else []
    return tag("section", *content, id="f-worse", data_key="worse", class_="worse")


def _line(view: View, one: Worse) -> Element:
    fails = one.how == "failing"
    before, after = (percent(each) if fails else duration(each) for each in (one.before, one.after))
    view_of_it = view.moved(where=(*view.without("outcome"), "outcome=failed")) if fails else view
    href = view_of_it.narrowed(one.kind, one.name, "/queries") + ("" if fails else "&sort=duration")
    return tag(
        "li",
        tag("span", "▲ ", class_="mark", aria_hidden="true"),
        f"{_CALLED[one.kind]} ",
        tag("a", text(one.name), href=href),
        f" {'fails more' if fails else 'is slower'}: {'' if fails else 'median '}{before} → ",
        tag("strong", after),
    )
