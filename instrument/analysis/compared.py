"""The two sides of a comparison: a period and an earlier one, or two values of a name."""

from __future__ import annotations

import msgspec

from instrument.analysis.compare import Comparison, Side, compare
from instrument.analysis.filters import Filter, Where, parsed, picked
from instrument.analysis.periods import BEGINNING, Period, time_of
from instrument.analysis.results import Limits
from instrument.analysis.results import Period as Covered
from instrument.analysis.wording import span
from instrument.errors import UsageError
from instrument.store.tables import Tables


def earlier(period: Period, against: str) -> Period:
    """The period that `against` names: `previous`, a distance back such as `-7d`, or `SINCE..UNTIL`.

    Raises UsageError for what names none.
    """
    if period.since is None:
        raise UsageError("a comparison needs a period with a beginning; give --hours or --since")
    since, separator, until = against.partition("..")
    if separator:
        begin = time_of(since, period.zone, period.now, "--against")
        end = time_of(until, period.zone, period.now, "--against") if until else period.since
        if begin >= end:
            raise UsageError(f"--against {against}: {since} is not before {until or 'the period'}")
        return msgspec.structs.replace(period, since=begin, until=end)
    length = period.until - period.since
    if against == "previous":
        begin = period.since - length
    elif against.startswith("-"):
        begin = time_of(against, period.zone, period.since, "--against")
    else:
        raise UsageError(f"--against {against!r} names no period; write previous, -7d or SINCE..UNTIL")
    begin = max(begin, BEGINNING)
    return msgspec.structs.replace(period, since=begin, until=begin + length)


def periods(
    before: Tables, after: Tables, earlier: Covered, later: Covered, limits: Limits, filters: list[Filter]
) -> Comparison:
    """Compare the queries of two periods that the filters pick."""
    sides = Side(span(earlier.start, earlier.end), earlier, 0), Side(span(later.start, later.end), later, 0)
    return compare(picked_if_any(before, filters), picked(after, filters), sides, limits)


def picked_if_any(tables: Tables, where: Where) -> Tables:
    """What filters pick of a period that may be empty, where nothing has the names that they ask for."""
    filters = parsed(where)
    return picked(tables, filters) if filters and tables.rows("SELECT 1 FROM queries LIMIT 1") else tables


def values(
    tables: Tables, period: Covered, limits: Limits, by: str, between: tuple[str, str], filters: list[Filter]
) -> Comparison:
    """Compare the queries with one value of a name with those that have another."""
    one, other = (Side(f"{by}={value}", period, 0) for value in between)
    before, after = (picked(tables, [*filters, Filter(by, "=", value)]) for value in between)
    return compare(before, after, (one, other), limits)
