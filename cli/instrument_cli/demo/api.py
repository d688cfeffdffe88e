"""The company's GraphQL API over its books: what the demo's agents ask."""

from __future__ import annotations

import asyncio
import zlib
from bisect import bisect_right
from collections import Counter, defaultdict

import strawberry
from strawberry.asgi import GraphQL
from strawberry.types import Info

from instrument_cli.demo import data
from instrument_cli.demo.api_types import (
    Bill,
    BillStatus,
    Customer,
    CustomerPage,
    FailureCount,
    Month,
    PaymentSummary,
    Plan,
    Probe,
    books,
    in_country,
    outside,
)

SILENT_REGION = "Norway"
"""The region whose masts never answer a probe."""

_NO_ANSWER_S = 30.0
_PAGE_LIMIT = 200


@strawberry.type
class Query:
    """What can be asked."""

    @strawberry.field
    async def customer(self, info: Info, id: strawberry.ID) -> Customer | None:
        """Look a customer up."""
        await outside("directory", id, 60)
        found = books(info).customers.get(id)
        return Customer.of(found) if found else None

    @strawberry.field
    def newest_customer(self, info: Info) -> Customer:
        """Look up who joined last."""
        return Customer.of(max(books(info).customers.values(), key=lambda customer: (customer.joined, customer.id)))

    @strawberry.field
    async def customers(
        self,
        info: Info,
        country: str | None = None,
        plan: str | None = None,
        contract: str | None = None,
        first: int = 20,
        after: strawberry.ID | None = None,
    ) -> CustomerPage:
        """List customers in order of id, a page at a time."""
        await outside("directory", f"{country}{plan}{after}", 90)
        wanted = [
            customer
            for customer in in_country(books(info), country)
            if plan in (None, customer.plan.name) and contract in (None, customer.contract)
        ]
        begin = 0 if after is None else bisect_right(wanted, after, key=lambda customer: strawberry.ID(customer.id))
        end = begin + _page_size(first)
        return CustomerPage(
            total=len(wanted),
            items=[Customer.of(customer) for customer in wanted[begin:end]],
            next=strawberry.ID(wanted[end - 1].id) if end < len(wanted) else None,
        )

    @strawberry.field
    async def bills(
        self, info: Info, status: BillStatus, country: str | None = None, min_days_overdue: int = 0, first: int = 20
    ) -> list[Bill]:
        """List bills, the largest first."""
        await outside("ledger", f"{status}{country}", 150)
        ledger = books(info)
        wanted = [
            bill
            for bill in ledger.bills.values()
            if bill.status == status.value
            and bill.days_overdue >= min_days_overdue
            and country in (None, ledger.customers[bill.customer_id].country)
        ]
        wanted.sort(key=lambda bill: (-bill.amount, bill.id))
        return [Bill.of(bill) for bill in wanted[: _page_size(first)]]

    @strawberry.field
    async def plans(self) -> list[Plan]:
        """List what is on offer."""
        return [Plan.of(plan) for plan in data.PLANS]

    @strawberry.field
    async def payments(self, info: Info, country: str | None = None, method: str | None = None) -> PaymentSummary:
        """Sum payments up."""
        await outside("bank", f"{country}{method}", 170)
        payments = [
            payment
            for customer in in_country(books(info), country)
            for bill in customer.bills
            for payment in bill.payments
            if method in (None, payment.method)
        ]
        failures = Counter(payment.failure_reason for payment in payments if payment.failure_reason)
        return PaymentSummary(
            attempts=len(payments),
            failed=failures.total(),
            collected=round(sum(payment.amount for payment in payments if not payment.failure_reason), 2),
            failures=[FailureCount(reason=reason, count=count) for reason, count in failures.most_common()],
        )

    @strawberry.field
    async def revenue(self, info: Info, country: str | None = None) -> list[Month]:
        """Sum bills up by month."""
        await outside("ledger", f"revenue{country}", 220)
        billed: defaultdict[str, float] = defaultdict(float)
        paid: defaultdict[str, float] = defaultdict(float)
        for customer in in_country(books(info), country):
            for bill in customer.bills:
                month = bill.issued.isoformat()[:7]
                billed[month] += bill.amount
                paid[month] += bill.amount if bill.status == "PAID" else 0
        return [
            Month(month=month, billed=round(billed[month], 2), paid=round(paid[month], 2)) for month in sorted(billed)
        ]

    @strawberry.field
    async def network_probe(self, region: str) -> Probe:
        """Ask the masts of a region how they are."""
        if region == SILENT_REGION:
            await asyncio.sleep(_NO_ANSWER_S)
        await outside("masts", region, 260)
        return Probe(region=region, latency_ms=8 + zlib.crc32(region.encode()) % 40, masts=40 + len(region) * 7)


@strawberry.type
class Mutation:
    """What can be done."""

    @strawberry.mutation
    async def send_reminder(self, info: Info, bill_id: strawberry.ID) -> str:
        """Remind a customer of a bill that is overdue, and give the reminder's number."""
        await outside("post", bill_id, 70)
        bill = books(info).bills.get(bill_id)
        if bill is None or bill.status != "OVERDUE":
            raise ValueError(f"bill {bill_id} is not overdue")
        return f"R-{zlib.crc32(bill_id.encode()) % 10**6:06d}"


class _Api(GraphQL[dict[str, data.Books], None]):
    def __init__(self, served: data.Books) -> None:
        super().__init__(strawberry.Schema(Query, Mutation), graphql_ide=None)
        self._books = served

    async def get_context(self, request: object, response: object) -> dict[str, data.Books]:
        return {"books": self._books}


def application(served: data.Books) -> _Api:
    """Make the ASGI application that serves these books."""
    return _Api(served)


def _page_size(first: int) -> int:
    if not 0 < first <= _PAGE_LIMIT:
        raise ValueError(f"a page holds 1 to {_PAGE_LIMIT}, not {first}")
    return first
