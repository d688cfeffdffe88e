"""Agents, tools, GraphQL operations and models side by side, their durations on an axis that all rows share."""

from instrument_cli.web.pages.groups.page import draw

__all__ = ["draw"]
