"""What the overview shows, as the analysis gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.charts import bucket_length
from instrument.analysis.front_page import FrontPage
from instrument.analysis.periods import Period
from instrument.reading import Store
from instrument.store.tables import microseconds

if TYPE_CHECKING:
    from instrument_cli.web.view import View

COLUMNS, ROWS = 88, 16
"""Of the heat map."""


def found(store: Store, view: View) -> FrontPage:
    """Work all of it out."""
    return store.front_page(view.where, columns=_columns(store.period), rows=ROWS, worse=("tool", "agent"))


def _columns(period: Period) -> int:
    """How many columns make each a round length: a day's rhythm does not show in columns of ten hours."""
    first, last = (microseconds(moment) for moment in (period.since or period.until, period.until))
    return max(2, round((last - first) / bucket_length(first, last, COLUMNS)) + 1)
