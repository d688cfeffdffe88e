"""The list of queries: facets, search, when the matches were, and pages that stay where they are."""

from instrument_cli.web.pages.queries.found import where_of
from instrument_cli.web.pages.queries.page import draw

__all__ = ["draw", "where_of"]
