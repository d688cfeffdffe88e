"""The overview: six figures, one panel over time, and what the time and the failures went to."""

from instrument_cli.web.pages.overview.page import draw

__all__ = ["draw"]
