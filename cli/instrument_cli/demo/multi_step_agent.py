"""An agent for questions of several parts: it plans, asks for everything at once, and puts the findings together."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from gql.transport.exceptions import TransportQueryError

from instrument import current_query, tool_span, track_query, track_tool
from instrument_cli.demo import data, documents
from instrument_cli.demo.client import AsyncApi

Findings = list[str]
Tool = Callable[[str, str | None], Awaitable[Findings]]

_MOST_REMINDERS = 3


class MultiStepAgent:
    """Plans its steps by the words of the question and runs those that need nothing of each other side by side."""

    def __init__(self, api: AsyncApi) -> None:
        self._api = api
        self._tools: dict[str, tuple[Tool, tuple[str, ...]]] = {
            "overdue_bills": (self.overdue_bills, ("overdue", "unpaid", "owe")),
            "payment_summary": (self.payment_summary, ("payments", "fail")),
            "plan_popularity": (self.plan_popularity, ("plans", "subscri")),
            "revenue": (self.revenue, ("revenue", "trend", "billed")),
            "churn_risk": (self.churn_risk, ("churn", "leave", "risk")),
            "credit_scores": (self.credit_scores, ("credit",)),
            "network": (self.network, ("network",)),
        }

    @track_query(agent="multi_step")
    async def process_query(self, user_input: str) -> str:
        """Answer a question in some lines."""
        country = next((country for country in data.COUNTRIES if country in user_input), None)
        with tool_span("plan"):
            steps = self._plan(user_input)
        current_query().set_attributes(country=country, steps=len(steps))
        findings = await asyncio.gather(*(step(user_input, country) for step in steps))
        if "remind" in user_input.lower():
            findings.append(await self.send_reminders(country))
        with tool_span("compose_answer"):
            return "\n".join(line for part in findings for line in part)

    def _plan(self, user_input: str) -> list[Tool]:
        text = user_input.lower()
        return [tool for tool, words in self._tools.values() if any(word in text for word in words)]

    @track_tool("overdue_bills")
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

    @track_tool("payment_summary")
    async def payment_summary(self, user_input: str, country: str | None) -> Findings:
        """Find how payments went, by each method the question names."""
        asked = user_input.lower().replace(" ", "_")
        methods = [method for method in data.METHODS if method.lower() in asked]
        answers = await asyncio.gather(*(self._payments(country, method) for method in methods or (None,)))
        return [_payments_line(answer) for answer in answers]

    @track_tool("plan_popularity")
    async def plan_popularity(self, user_input: str, country: str | None) -> Findings:
        """Find how many have which plan."""
        plans = (await self._api.execute(documents.PLANS, country=country))["plans"]
        plans.sort(key=lambda plan: -plan["subscribers"])
        return [f"{plan['name']}: {plan['subscribers']} subscribers" for plan in plans]

    @track_tool("revenue")
    async def revenue(self, user_input: str, country: str | None) -> Findings:
        """Find what was billed and paid by month."""
        months = (await self._api.execute(documents.REVENUE, country=country))["revenue"]
        return [f"{month['month']}: billed {month['billed']:.0f} €, paid {month['paid']:.0f} €" for month in months]

    @track_tool("churn_risk")
    async def churn_risk(self, user_input: str, country: str | None) -> Findings:
        """Find who is most likely to leave."""
        customers = (await self._api.execute(documents.CHURN_RISK, country=country))["customers"]["items"]
        customers.sort(key=lambda customer: -customer["churnRisk"])
        return [f"{customer['name']}: {customer['churnRisk']:.0%}" for customer in customers[:5]]

    @track_tool("credit_scores")
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

    @track_tool("network")
    async def network(self, user_input: str, country: str | None) -> Findings:
        """Probe the masts of a country."""
        probe = (await self._api.execute(documents.NETWORK_PROBE, region=country))["networkProbe"]
        return [f"{probe['masts']} masts answer in {probe['latencyMs']} ms"]

    @track_tool("send_reminders")
    async def send_reminders(self, country: str | None) -> Findings:
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


def _days(user_input: str) -> int:
    found = re.search(r"(\d+) days", user_input)
    return int(found[1]) if found else 0


def _payments_line(summary: dict[str, Any]) -> str:
    commonest = next((failure["reason"] for failure in summary["failures"]), "none")
    return f"{summary['attempts']} payments, {summary['failed']} failed (most often: {commonest})"
