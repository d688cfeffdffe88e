"""The alerts: rules, which of them fire, and what fired before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument_cli.web.html import tag
from instrument_cli.web.layout import empty
from instrument_cli.web.pages import Drawn

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View


def draw(site: Site, view: View) -> Drawn:
    """Say where alerts come from."""
    words = tag("span", "What was unusual stands on ", tag("a", "Trends", href=view.href("/trends")), ".")
    return Drawn("Alerts", empty("No alert rules", words), bar=False)
