"""One query: what was asked, how it ended, where its time went, and where it lies among its agent's."""

from instrument_cli.web.pages.query.page import draw

__all__ = ["draw"]
