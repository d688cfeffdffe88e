"""The filters at the left of the list: the values of each name, with how many queries have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.facets import Facet
from instrument.analysis.filters import Filter
from instrument.analysis.wording import count, short
from instrument_cli.web import rows
from instrument_cli.web.html import Element, joined, tag, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from instrument_cli.web.view import View

_TITLES = {
    "outcome": "Outcome",
    "duration": "Took longer than",
    "agent": "Agent",
    "error": "Error",
    "model": "Model",
    "host": "Host",
    "tool": "Tool",
}


def facets(view: View, found: Sequence[Facet]) -> Element:
    """Draw them."""
    boxes = [_facet(view, facet) for facet in found]
    return tag(
        "details",
        tag("summary", "Filters"),
        *boxes,
        id="f-facets",
        data_key="facets",
        class_="facets",
        open=True,
        data_keep="open",
    )


def _facet(view: View, facet: Facet) -> Element:
    title = _TITLES.get(facet.name, facet.name.removeprefix("attribute:"))
    heading = tag("h2", text(title) if facet.name not in _TITLES else title)
    if facet.values is None:
        return tag(
            "div",
            heading,
            tag("a", "count the values", href=view.href(facet=[*view.all("facet"), facet.name]), class_="quiet"),
            class_="facet",
        )
    chosen = {
        each.value if facet.name != "duration" else f"{each.operator}{each.value}"
        for each in _filters_on(view, facet.name)
    }
    lines = [_value(view, facet, value, number, value in chosen) for value, number in facet.values]
    lines += [_value(view, facet, value, None, True) for value in sorted(chosen - {value for value, _ in facet.values})]
    more = tag("li", f"and {count(facet.more)} more", class_="quiet") if facet.more else None
    return tag("div", heading, tag("ul", *lines, more), class_="facet")


def _filters_on(view: View, name: str) -> list[Filter]:
    return [each for each in view.filters if each.name in (name, name.removeprefix("attribute:"))]


def _value(view: View, facet: Facet, value: str, number: float | None, is_chosen: bool) -> Element:
    if facet.name == "duration":
        written, shown = f"duration{value}", joined([value[1:].replace("s", " s")])
        href = (
            view.href(where=view.without("duration"), after=None, before=None)
            if is_chosen
            else view.with_filter(written)
        )
    else:
        shown = text(rows.cut(value, 60))
        other = facet.name.removeprefix("attribute:")
        kept = [
            each
            for each in view.without(facet.name)
            if each in view.moved(where=tuple(view.without(facet.name))).without(other)
        ]
        href = view.href(
            where=kept if is_chosen else [*kept, str(Filter(facet.name, "=", value))], after=None, before=None
        )
    counted = tag("span", short(number), class_="number quiet") if number is not None else None
    return tag(
        "li",
        tag(
            "a",
            tag("span", class_="tick", aria_hidden="true"),
            tag("span", shown, class_="name"),
            counted,
            href=href,
            aria_current="true" if is_chosen else None,
        ),
    )
