"""What the agents for questions of several parts can do, step by step, whoever plans the steps."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from gql.transport.exceptions import TransportQueryError

from instrument import current_query, track_tool
from instrument_cli.demo import data, documents
from instrument_cli.demo.client import AsyncApi

Findings = list[str]
Step = Callable[[str, str | None], Awaitable[Findings]]

LAST = "send_reminders"
"""The step that is taken once all others are."""

_MOST_REMINDERS = 3


class Steps:
    """The steps by name, each from the question and the country it names to a few lines of findings."""

    def __init__(self, api: AsyncApi) -> None:
        self._api = api
        self._steps: dict[str, tuple[Step, tuple[str, ...]]] = {
            "overdue_bills": (self.overdue_bills, ("overdue", "unpaid", "owe")),
            "payment_summary": (self.payment_summary, ("payments", "fail")),
            "plan_popularity": (self.plan_popularity, ("plans", "subscri")),
            "revenue": (self.revenue, ("revenue", "trend", "billed")),
            "churn_risk": (self.churn_risk, ("churn", "leave", "risk")),
            "credit_scores": (self.credit_scores, ("credit",)),
            "network": (self.network, ("network",)),
        }

    def planned(self, user_input: str) -> list[str]:
        """Name the steps that the words of a question ask for; they need nothing of each other."""
        text = user_input.lower()
        return [name for name, (_, words) in self._steps.items() if any(word in text for word in words)]

    def planned_last(self, user_input: str) -> list[str]:
        """Name the steps to be taken after those."""
        return [LAST] if "remind" in user_input.lower() else []

    def names(self) -> list[str]:
        """Name every step there is."""
        return [*self._steps, LAST]

    async def take(self, name: str, user_input: str) -> Findings:
        """Take a step."""
        step = self.send_reminders if name == LAST else self._steps[name][0]
        return await step(user_input, country_in(user_input))

    async def overdue_bills(self, user_input: str, country: str | None) -> Findings:
        """Find the largest overdue bills, and with "history" how each of their customers has paid so far."""
        bills = await self._overdue(country, _days(user_input))
        current_query().record_metric("bills_read", len(bills))
        findings = [f"{bill['customer']['name']} owes {bill['amount']:.2f} €" for bill in bills]
        if "history" not in user_input:
            return findings
        customers = {bill["customer"]["id"]: bill["customer"]["name"] for bill in bills[:4]}
        histories = await asyncio.gather(*(self.payment_history(key, name) for key, name in customers.items()))
        return findings + [line for history in histories for line in history]

    @track_tool("payment_history")
    async def payment_history(self, customer_id: str, name: str) -> Findings:
        """Find how a customer has paid. A payment that failed has no receipt: the API says so beside the rest."""
        try:
            answer = await self._api.execute(documents.PAYMENT_HISTORY, id=customer_id)
        except TransportQueryError as error:
            if not error.data:
                raise
            answer = error.data
        payments = [payment for bill in answer["customer"]["bills"] for payment in bill["payments"]]
        failed = sum(payment["failureReason"] is not None for payment in payments)
        return [f"{name}: {len(payments)} payments, {failed} failed"]

    async def payment_summary(self, user_input: str, country: str | None) -> Findings:
        """Find how payments went, by each method the question names."""
        asked = user_input.lower().replace(" ", "_")
        methods = [method for method in data.METHODS if method.lower() in asked]
        answers = await asyncio.gather(*(self._payments(country, method) for method in methods or (None,)))
        return [_payments_line(answer) for answer in answers]

    async def plan_popularity(self, user_input: str, country: str | None) -> Findings:
        """Find how many have which plan."""
        plans = (await self._api.execute(documents.PLANS, country=country))["plans"]
        plans.sort(key=lambda plan: -plan["subscribers"])
        return [f"{plan['name']}: {plan['subscribers']} subscribers" for plan in plans]

    async def revenue(self, user_input: str, country: str | None) -> Findings:
        """Find what was billed and paid by month."""
        months = (await self._api.execute(documents.REVENUE, country=country))["revenue"]
        return [f"{month['month']}: billed {month['billed']:.0f} €, paid {month['paid']:.0f} €" for month in months]

    async def churn_risk(self, user_input: str, country: str | None) -> Findings:
        """Find who is most likely to leave."""
        customers = (await self._api.execute(documents.CHURN_RISK, country=country))["customers"]["items"]
        customers.sort(key=lambda customer: -customer["churnRisk"])
        return [f"{customer['name']}: {customer['churnRisk']:.0%}" for customer in customers[:5]]

    async def credit_scores(self, user_input: str, country: str | None) -> Findings:
        """Find credit scores; the bureau does not know everybody."""
        try:
            answer = await self._api.execute(documents.CREDIT_SCORES, country=country)
        except TransportQueryError as error:
            if not error.data:
                raise
            answer = error.data
        customers = answer["customers"]["items"]
        return [f"{customer['name']}: {customer['creditScore'] or 'unknown'}" for customer in customers]

    async def network(self, user_input: str, country: str | None) -> Findings:
        """Probe the masts of a country."""
        probe = (await self._api.execute(documents.NETWORK_PROBE, region=country))["networkProbe"]
        return [f"{probe['masts']} masts answer in {probe['latencyMs']} ms"]

    async def send_reminders(self, user_input: str, country: str | None) -> Findings:
        """Remind who owes most."""
        bills = await self._overdue(country, 0)
        sent = [await self._api.execute(documents.SEND_REMINDER, bill=bill["id"]) for bill in bills[:_MOST_REMINDERS]]
        return [f"Reminder {reminder['sendReminder']} is on its way" for reminder in sent]

    async def _payments(self, country: str | None, method: str | None) -> dict[str, Any]:
        answer = await self._api.execute(documents.PAYMENT_SUMMARY, country=country, method=method)
        summary: dict[str, Any] = answer["payments"]
        return summary

    async def _overdue(self, country: str | None, days: int) -> list[dict[str, Any]]:
        answer = await self._api.execute(documents.OVERDUE_BILLS, country=country, days=days)
        bills: list[dict[str, Any]] = answer["bills"]
        return bills


def country_in(user_input: str) -> str | None:
    """The country that a question names."""
    return next((country for country in data.COUNTRIES if country in user_input), None)


def _days(user_input: str) -> int:
    found = re.search(r"(\d+) days", user_input)
    return int(found[1]) if found else 0


def _payments_line(summary: dict[str, Any]) -> str:
    commonest = next((failure["reason"] for failure in summary["failures"]), "none")
    return f"{summary['attempts']} payments, {summary['failed']} failed (most often: {commonest})"
