"""An agent that answers with a list, page by page, while its reader reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from instrument import current_query, track_query, track_tool
from instrument_cli.demo import data, documents
from instrument_cli.demo.client import Api
from instrument_cli.demo.model import SMALL, ask

_PAGE = 100


class ListingAgent:
    """Streams customers: a page is fetched only when the one before it has been read."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @track_query(agent="listing")
    def process_query(self, user_input: str) -> Iterator[str]:
        """Yield the list, a page of lines at a time."""
        wanted = ask(SMALL, user_input, _criteria(user_input))
        current_query().set_attributes(**wanted)
        after: str | None = None
        while True:
            page = self.customer_page(after=after, **wanted)
            yield "".join(f"{customer['id']}  {customer['name']}\n" for customer in page["items"])
            after = page["next"]
            if after is None:
                return

    @track_tool("customer_page")
    def customer_page(self, country: str | None, plan: str | None, first: int, after: str | None) -> dict[str, Any]:
        """Fetch one page of customers."""
        answer = self._api.execute(documents.CUSTOMER_PAGE, country=country, plan=plan, first=first, after=after)
        page: dict[str, Any] = answer["customers"]
        return page


def _criteria(user_input: str) -> dict[str, Any]:
    size = re.search(r"(\d+) a page", user_input)
    return {
        "country": next((country for country in data.COUNTRIES if country in user_input), None),
        "plan": next((plan.name for plan in data.PLANS if plan.name in user_input), None),
        "first": int(size[1]) if size else _PAGE,
    }
