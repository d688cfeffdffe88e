"""What the company's API shows: its types, and what each field has to do to be answered.

Some of it waits for systems of other people (a bank, a credit bureau, a ledger), for as long as those usually take;
some of it fails, as they do. Which of them does is settled by the question, not by chance.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Iterable
from enum import Enum

import strawberry
from strawberry.types import Info

from instrument_cli.demo import data

_HISTORY_FOR_SCORE_MONTHS = 6


async def outside(system: str, key: str, typical_ms: int) -> None:
    """Wait as long as this outside system takes for this key: half to one and a half times the typical time."""
    share = zlib.crc32(f"{system}:{key}".encode()) / 2**32
    await asyncio.sleep(typical_ms * (0.5 + share) / 1000)


def books(info: Info) -> data.Books:
    """Return the books that are served."""
    served: data.Books = info.context["books"]
    return served


@strawberry.enum
class BillStatus(Enum):
    """Where a bill stands."""

    PAID = "PAID"
    OPEN = "OPEN"
    OVERDUE = "OVERDUE"


@strawberry.type
class Plan:
    """What a customer subscribes to."""

    id: strawberry.ID
    name: str
    price: float
    data_gb: int | None

    @classmethod
    def of(cls, plan: data.Plan) -> Plan:
        """Show a plan of the books."""
        return cls(id=strawberry.ID(plan.id), name=plan.name, price=plan.price, data_gb=plan.data_gb)

    @strawberry.field
    def subscribers(self, info: Info, country: str | None = None) -> int:
        """Count who has it."""
        return sum(customer.plan.id == self.id for customer in in_country(books(info), country))


@strawberry.type
class Payment:
    """One attempt to pay."""

    id: strawberry.ID
    paid_on: str
    amount: float
    method: str
    failure_reason: str | None

    @classmethod
    def of(cls, payment: data.Payment) -> Payment:
        """Show a payment of the books."""
        return cls(
            id=strawberry.ID(payment.id),
            paid_on=payment.paid_on.isoformat(),
            amount=payment.amount,
            method=payment.method,
            failure_reason=payment.failure_reason,
        )

    @strawberry.field
    async def receipt(self) -> str | None:
        """Fetch the bank's receipt; there is none for a payment that failed."""
        await outside("bank", self.id, 40)
        if self.failure_reason:
            raise LookupError(f"the bank has no receipt for {self.id}: {self.failure_reason}")
        return f"RCPT-{zlib.crc32(self.id.encode()):08X}"


@strawberry.type
class Bill:
    """One month's bill."""

    source: strawberry.Private[data.Bill]
    id: strawberry.ID
    customer_id: strawberry.ID
    issued: str
    due: str
    amount: float
    status: BillStatus
    days_overdue: int

    @classmethod
    def of(cls, bill: data.Bill) -> Bill:
        """Show a bill of the books."""
        return cls(
            source=bill,
            id=strawberry.ID(bill.id),
            customer_id=strawberry.ID(bill.customer_id),
            issued=bill.issued.isoformat(),
            due=bill.due.isoformat(),
            amount=bill.amount,
            status=BillStatus(bill.status),
            days_overdue=bill.days_overdue,
        )

    @strawberry.field
    def payments(self) -> list[Payment]:
        """List the attempts to pay it."""
        return [Payment.of(payment) for payment in self.source.payments]

    @strawberry.field
    def customer(self, info: Info) -> Customer:
        """Look up who owes it."""
        return Customer.of(books(info).customers[self.source.customer_id])

    @strawberry.field
    async def seal(self) -> str:
        """Compute the archive's seal, which is slow on purpose."""
        digest = await asyncio.to_thread(hashlib.pbkdf2_hmac, "sha256", self.id.encode(), b"archive", 12_000)
        return digest.hex()[:16]


@strawberry.type
class Customer:
    """Who is billed."""

    source: strawberry.Private[data.Customer]
    id: strawberry.ID
    name: str
    country: str
    contract: str
    payment_method: str
    joined: str
    tenure_months: int

    @classmethod
    def of(cls, customer: data.Customer) -> Customer:
        """Show a customer of the books."""
        return cls(
            source=customer,
            id=strawberry.ID(customer.id),
            name=customer.name,
            country=customer.country,
            contract=customer.contract,
            payment_method=customer.method,
            joined=customer.joined.isoformat(),
            tenure_months=customer.tenure_months,
        )

    @strawberry.field
    def plan(self) -> Plan:
        """Show the plan."""
        return Plan.of(self.source.plan)

    @strawberry.field
    def email(self) -> str:
        """Show where bills are sent."""
        return f"{self.name.lower().replace(' ', '.')}.{self.id[1:]}@example.com"

    @strawberry.field
    async def bills(self, status: BillStatus | None = None) -> list[Bill]:
        """List the bills kept, oldest first."""
        await outside("ledger", self.id, 30)
        return [Bill.of(bill) for bill in self.source.bills if status is None or bill.status == status.value]

    @strawberry.field
    def balance(self) -> float:
        """Sum what is not paid yet, in euros."""
        return round(sum(bill.amount for bill in self.source.bills if bill.status != "PAID"), 2)

    @strawberry.field
    async def credit_score(self) -> int | None:
        """Ask the credit bureau, which knows nobody who joined a short while ago."""
        await outside("bureau", self.id, 200)
        if self.tenure_months < _HISTORY_FOR_SCORE_MONTHS:
            raise PermissionError(f"the bureau has no history of {self.id}")
        return 450 + zlib.crc32(self.id.encode()) % 400

    @strawberry.field
    async def churn_risk(self) -> float:
        """Estimate how likely the customer leaves, 0 to 1."""
        await outside("model", self.id, 60)
        return churn_risk(self.source)


@strawberry.type
class CustomerPage:
    """Some customers, how many there are, and where to go on."""

    total: int
    items: list[Customer]
    next: strawberry.ID | None


@strawberry.type
class FailureCount:
    """How often payments failed for one reason."""

    reason: str
    count: int


@strawberry.type
class PaymentSummary:
    """Payments of one country by how they went."""

    attempts: int
    failed: int
    collected: float
    failures: list[FailureCount]


@strawberry.type
class Month:
    """What was billed and what was paid for a month."""

    month: str
    billed: float
    paid: float


@strawberry.type
class Probe:
    """What the masts of a region say."""

    region: str
    latency_ms: float
    masts: int


def churn_risk(customer: data.Customer) -> float:
    """Return how likely a customer leaves, from contract, tenure and bills left unpaid: 0 to 1."""
    base = {"MONTHLY": 0.34, "YEARLY": 0.12, "TWO_YEARS": 0.05}[customer.contract]
    loyalty = 1 / (1 + customer.tenure_months / 12)
    overdue = sum(bill.status == "OVERDUE" for bill in customer.bills)
    return round(min(base * (0.4 + loyalty) + 0.09 * overdue, 1.0), 3)


def in_country(served: data.Books, country: str | None) -> Iterable[data.Customer]:
    """Return the customers of a country, or all of them."""
    return (customer for customer in served.customers.values() if country in (None, customer.country))
