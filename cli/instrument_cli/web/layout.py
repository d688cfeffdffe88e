"""What pages are put together of: panels, tables, links that narrow a list down, forms."""

from __future__ import annotations

from collections.abc import Sequence

from instrument.analysis.filters import Filter
from instrument_cli.web.html import Child, Element, tag, text
from instrument_cli.web.view import View


def panel(
    title: str, *content: Child, more: Child = None, key: str = "", class_: str = "", hint: Child = None
) -> Element:
    """A panel with a heading; `more` stands at its right. One with a `key` is kept up to date while it is watched."""
    head = tag(
        "div",
        tag("h2", title),
        tag("span", hint, class_="hint") if hint else None,
        tag("div", more, class_="more") if more else None,
        class_="head",
    )
    return tag(
        "section",
        head,
        *content,
        class_=f"panel {class_}".rstrip(),
        id=f"f-{key}" if key else None,
        data_key=key or None,
    )


def table(heads: Sequence[tuple[str, str]], rows: list[Element], *, class_: str = "", caption: str = "") -> Element:
    """A table in a box that scrolls sideways by itself; each head is its text and the class of its column."""
    cells = [
        tag("th" if name else "td", name, scope="col" if name else None, class_=style or None) for name, style in heads
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="hidden") if caption else None,
            tag("thead", tag("tr", *cells)),
            tag("tbody", *rows),
            class_=class_ or None,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption or "Table",
    )


def filter_link(
    view: View, name: str, value: str, *, path: str | None = None, shown: Child = None, class_: str = ""
) -> Element:
    """A value that narrows the list down to itself."""
    return tag(
        "a",
        shown if shown is not None else text(value),
        href=view.narrowed(name, value, path),
        class_=class_ or None,
        title=str(Filter(name, "=", value)),
    )


def chart_link(view: View, name: str, *, what: str = "this chart") -> Element:
    """The chart of that name on this page as a file; `what` names it where it is not plain which one is meant."""
    page = "" if view.path == "/" else view.path
    href = view.moved(path=f"/svg{page}/{name}.svg").href()
    said = f"Save {what} as a file"
    label = None if what == "this chart" else f"SVG: {said.lower()}"
    return tag("a", "SVG", href=href, download=f"{name}.svg", class_="file", title=said, aria_label=label)


def empty(title: str, *words: Child) -> Element:
    """What stands where there is nothing to show, and what to do about it."""
    return tag("div", tag("p", title, class_="strong"), *(tag("p", each) for each in words), class_="empty")


def sort_link(view: View, name: str, by: str, *, default: str) -> Element:
    """The head of a column that sorts its table, the greatest first; marked where it does."""
    is_current = by == (view.get("sort") or default)
    return tag(
        "a",
        name,
        tag("span", " ↓", aria_hidden="true") if is_current else None,
        href=view.href(sort=None if by == default else by, after=None, before=None, page=None),
        aria_current="true" if is_current else None,
        title=f"Sort by {name.lower()}, the greatest first",
    )


def hidden(view: View, *own: str) -> list[Element]:
    """The fields of a form that hand the page's state on, but for the parameters that are the form's `own`."""
    return [tag("input", type="hidden", name=name, value=value) for name, value in view.fields(*own)]


def search(view: View, what: str) -> Element:
    """The page's search field, which `/` leads to."""
    field = tag(
        "input",
        type="search",
        name="q",
        value=view.get("q"),
        placeholder=f"Search {what}",
        aria_label=f"Search {what}",
        id="search",
        autocomplete="off",
        spellcheck="false",
    )
    return tag(
        "form",
        *hidden(view, "q"),
        field,
        tag("kbd", "/", title="Press / to search", class_="script"),
        tag("button", "Search", type="submit"),
        action=view.path,
        method="get",
        class_="search",
        role="search",
    )
