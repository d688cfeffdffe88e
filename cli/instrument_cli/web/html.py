"""Elements of a page, as text: every text is escaped, but what is an element already."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from instrument_cli.rendering.text import plain

Child = Any
"""A text, a number, an element, None for nothing, or any nesting of lists of these."""

_VOID = frozenset({"br", "img", "input", "link", "meta", "rect", "path", "line", "polyline", "circle", "use"})
_SELF_CLOSED = frozenset({"rect", "path", "line", "polyline", "circle", "use"})


class Element(str):
    """HTML that is safe to put into a page as it stands."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: Any) -> Element:
    """One element. `class_` is written `class`, `data_x` `data-x`; None and False leave an attribute out."""
    written = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in _VOID:
        end = "</rect>" if name == "rect" and children else ""
        return Element(
            f"<{name}{written}>{joined(children)}{end}"
            if end
            else f"<{name}{written}{'/' if name in _SELF_CLOSED else ''}>"
        )
    return Element(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Element:
    """Elements one after the other."""
    return Element("".join(map(_child, children)))


def text(words: str) -> Element:
    """A text of somebody else's, which may run in either direction and may hold anything."""
    return Element(f"<bdi>{escape(plain(words))}</bdi>")


def _child(child: Child) -> str:
    if isinstance(child, Element):
        return child
    if child is None or child is False:
        return ""
    if isinstance(child, str):
        return escape(plain(child))
    return "".join(map(_child, child)) if isinstance(child, Iterable) else escape(str(child))


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    name = {"viewbox": "viewBox", "preserveaspectratio": "preserveAspectRatio"}.get(name, name)
    return (
        f" {name}"
        if value is True
        else f' {name}="{escape(plain(f"{value:.6g}" if isinstance(value, float) else str(value)))}"'
    )
