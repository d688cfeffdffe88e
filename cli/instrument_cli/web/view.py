"""What a page is asked for, read out of its address and written back into one: all of a page's state is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from instrument.analysis.filters import Filter, parsed
from instrument.analysis.periods import Period, period
from instrument.errors import UsageError

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from instrument_cli.web.site import Site

PERIODS = {"15m": 0.25, "1h": 1.0, "24h": 24.0, "7d": 168.0, "30d": 720.0}
"""The periods that a page offers, in hours; all of them end now."""

DEFAULT = "24h"

_OWN_DEFAULTS = {"/trends": "30d"}
"""Pages that show another period where the address names none."""

_SHARED = ("period", "since", "until", "tz", "where")
"""The parameters that every page has, and links between pages keep."""

_PLACES = ("after", "before", "page")
"""The parameters that say how far down a list is; whoever changes the list begins at its top."""


def default_of(path: str) -> str:
    """The period that a page shows where its address names none."""
    return _OWN_DEFAULTS.get(path, DEFAULT)


class View(Struct, frozen=True):
    """A page's state: its path, the period, the zone, the filters, and whatever else its address says."""

    path: str
    period: str = DEFAULT
    since: str = ""
    until: str = ""
    tz: str = ""
    where: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, path: str, parameters: QueryParams) -> View:
        """Read a view out of an address; an unknown period is the page's own."""
        given = parameters.get("period", "")
        since, until = parameters.get("since", ""), parameters.get("until", "")
        where = tuple(dict.fromkeys(each for each in parameters.getlist("where") if each.strip()))
        more = tuple((key, value) for key, value in parameters.multi_items() if key not in _SHARED and value)
        return cls(
            path, given if given in PERIODS else default_of(path), since, until, parameters.get("tz", ""), where, more
        )

    def get(self, name: str, default: str = "") -> str:
        """One further parameter."""
        return next((value for key, value in self.more if key == name), default)

    def all(self, name: str) -> list[str]:
        """Every value of a further parameter."""
        return [value for key, value in self.more if key == name]

    @property
    def is_live(self) -> bool:
        """Whether the period reaches up to now, so that new queries belong to it."""
        return not self.until and self.get("still") != "1"

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The filters. Raises UsageError for one that is none."""
        return parsed(self.where)

    def zone_name(self, site: Site) -> str:
        """The name of the zone that times are shown in."""
        return self.tz or site.config.time_zone or "UTC"

    def worked_out(self, site: Site) -> Period:
        """The period as of now. Raises UsageError for what makes none."""
        name = self.zone_name(site)
        if self.since:
            return period(since=self.since, until=self.until or None, time_zone=name)
        return period(hours=PERIODS[self.period], until=self.until or None, time_zone=name)

    def href(self, path: str | None = None, **changes: str | Iterable[str] | None) -> str:
        """The address of this view with some parameters changed; None takes one away.

        Another path keeps the period, the zone and the filters, and nothing else.
        """
        values: dict[str, list[str]] = {}
        for key, value in self._parameters(everything=path is None):
            values.setdefault(key, []).append(value)
        for key, change in changes.items():
            values[key] = [] if change is None else [change] if isinstance(change, str) else list(change)
        listed = [(key, value) for key, given in values.items() for value in given]
        return (path or self.path) + (f"?{urlencode(listed)}" if listed else "")

    def fields(self, *own: str) -> list[tuple[str, str]]:
        """What a form of this page hands on: every parameter but its `own` ones and the place in a list."""
        return [(key, value) for key, value in self._parameters(everything=True) if key not in (*own, *_PLACES)]

    def _parameters(self, *, everything: bool) -> list[tuple[str, str]]:
        is_chosen = not self.since and self.period != default_of(self.path)
        plain = [("period", self.period if is_chosen else ""), ("since", self.since)]
        plain += [("until", self.until), ("tz", self.tz), *(("where", each) for each in self.where)]
        return [(key, value) for key, value in plain if value] + (list(self.more) if everything else [])

    def narrowed(self, name: str, value: str, path: str | None = None) -> str:
        """The address with one more filter, in place of any other on that name."""
        kept = self.without(name)
        return self._from_the_top(path, where=[*kept, str(Filter(name, "=", value))])

    def with_filter(self, written: str, path: str | None = None) -> str:
        """The address with a filter as written, in place of any other on its name."""
        name = parsed(written)[0].name
        return self._from_the_top(path, where=[*self.without(name), written])

    def widened(self, written: str) -> str:
        """The address without a filter."""
        return self._from_the_top(where=[each for each in self.where if each != written])

    def _from_the_top(self, path: str | None = None, *, where: list[str]) -> str:
        return self.href(path, where=where, **dict.fromkeys(_PLACES))

    def without(self, name: str) -> list[str]:
        """The filters that are not on a name."""
        return [written for written in self.where if _name_of(written) != name]

    def moved(self, **changes: Any) -> View:
        """The same view with other fields."""
        return msgspec.structs.replace(self, **changes)


def _name_of(written: str) -> str:
    try:
        return parsed(written)[0].name
    except UsageError:
        return ""
