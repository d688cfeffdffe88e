"""An agent for questions that one look-up answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gql import gql

from instrument import current_query, track_query, track_tool
from instrument_cli.demo import documents
from instrument_cli.demo.client import Api
from instrument_cli.demo.model import SMALL, ask

_RULES = {
    "average_bill": r"average bill of the newest customer",
    "newest_score": r"credit score of the newest customer",
    "customer_fact": r"what is the ([a-z ]+) of customer (C\d+)",
    "balance": r"what does customer (C\d+) owe",
    "plan_of": r"which plan does customer (C\d+) have",
    "count_customers": r"how many customers live in (\w+)",
    "bill_history": r"show the bills of customer (C\d+)",
    "plans_on_offer": r"which plans are on offer",
    "network": r"how is the network in (\w+)",
}


class UnknownCustomerError(LookupError):
    """There is no customer of this id."""


class SimpleAgent:
    """Picks one tool by the words of the question and puts its result into a sentence."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @staticmethod
    def understands(user_input: str) -> bool:
        """Whether one of its tools answers the question."""
        return any(re.search(pattern, user_input, re.IGNORECASE) for pattern in _RULES.values())

    @track_query(agent="simple")
    def process_query(self, user_input: str) -> str:
        """Answer a question in a sentence."""
        tool, arguments = ask(SMALL, user_input, _chosen(user_input))
        if not tool:
            return "I do not know how to find that out."
        current_query().set_attributes(tool=tool)
        answer: Callable[..., str] = getattr(self, tool)
        return answer(*arguments)

    @track_tool("customer_fact")
    def customer_fact(self, fact: str, customer_id: str) -> str:
        """Look up whatever the question names: a field the API does not have is the API's to refuse."""
        first, *rest = fact.split()
        field = first + "".join(word.title() for word in rest)
        data = self._api.execute(
            gql(f"query CustomerFact($id: ID!) {{ customer(id: $id) {{ name fact: {field} }} }}"), id=customer_id
        )
        customer = _known(data["customer"], customer_id)
        return f"The {fact} of {customer['name']} is {customer['fact']}."

    @track_tool("balance")
    def balance(self, customer_id: str) -> str:
        """Look up what is not paid."""
        customer = _known(self._api.execute(documents.BALANCE, id=customer_id)["customer"], customer_id)
        return f"{customer['name']} owes {customer['balance']:.2f} €, {len(customer['bills'])} bills of it overdue."

    @track_tool("plan_of")
    def plan_of(self, customer_id: str) -> str:
        """Look up a customer's plan."""
        customer = _known(self._api.execute(documents.CUSTOMER_PLAN, id=customer_id)["customer"], customer_id)
        return f"{customer['name']} has {customer['plan']['name']} for {customer['plan']['price']} € a month."

    @track_tool("bill_history")
    def bill_history(self, customer_id: str) -> str:
        """Look up the bills kept, each with its seal."""
        customer = _known(self._api.execute(documents.BILL_HISTORY, id=customer_id)["customer"], customer_id)
        bills = [
            f"{bill['issued'][:7]}: {bill['amount']:.2f} €, {bill['status'].lower()}" for bill in customer["bills"]
        ]
        current_query().record_metric("bills_read", len(bills))
        return f"Bills of {customer['name']}:\n" + "\n".join(bills)

    @track_tool("average_bill")
    def average_bill(self) -> str:
        """Average the newest customer's bills. Who has joined today has none: a bug to be found in the report."""
        customer = self._api.execute(documents.NEWEST_CUSTOMER)["newestCustomer"]
        amounts = [bill["amount"] for bill in customer["bills"]]
        return f"{customer['name']} pays {sum(amounts) / len(amounts):.2f} € a month."

    @track_tool("newest_score")
    def newest_score(self) -> str:
        """Look up the newest customer's credit score."""
        customer = self._api.execute(documents.NEWEST_SCORE)["newestCustomer"]
        return f"{customer['name']} has a score of {customer['creditScore']}."

    @track_tool("count_customers")
    def count_customers(self, country: str) -> str:
        """Count the customers of a country."""
        return f"{self._api.execute(documents.COUNT_CUSTOMERS, country=country)['customers']['total']} in {country}."

    @track_tool("plans_on_offer")
    def plans_on_offer(self) -> str:
        """List the plans."""
        plans = self._api.execute(documents.PLANS)["plans"]
        return "\n".join(f"{plan['name']}: {plan['price']} €, {plan['dataGb'] or 'unlimited'} GB" for plan in plans)

    @track_tool("network")
    def network(self, region: str) -> str:
        """Probe the masts of a region."""
        probe = self._api.execute(documents.NETWORK_PROBE, region=region)["networkProbe"]
        return f"{probe['masts']} masts in {region} answer in {probe['latencyMs']} ms."


def _chosen(user_input: str) -> tuple[str, tuple[str, ...]]:
    """The tool that the words of a question ask for, and its arguments."""
    for tool, pattern in _RULES.items():
        if found := re.search(pattern, user_input, re.IGNORECASE):
            return tool, found.groups()
    return "", ()


def _known(customer: dict[str, Any] | None, customer_id: str) -> dict[str, Any]:
    if customer is None:
        raise UnknownCustomerError(f"there is no customer {customer_id}")
    return customer
