"""The books of a made-up telecom company: customers, plans, bills, payments, the same for the same seed.

Amounts are euros, sizes gigabytes. The books are closed on `TODAY`, so that what is overdue does not change with the
day the demo is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

TODAY = date(2025, 10, 15)
MONTHS_KEPT = 6

COUNTRIES = {
    "India": 24,
    "Brazil": 14,
    "Germany": 12,
    "Nigeria": 10,
    "Mexico": 9,
    "Japan": 8,
    "Spain": 8,
    "Kenya": 6,
    "Canada": 5,
    "Norway": 4,
}
"""Where customers live, and how many of a hundred."""

CONTRACTS = {"MONTHLY": 55, "YEARLY": 24, "TWO_YEARS": 21}
METHODS = {"CARD": 34, "DIRECT_DEBIT": 28, "BANK_TRANSFER": 18, "WALLET": 14, "VOUCHER": 6}
FAILURES = {
    "insufficient funds": 46,
    "card expired": 22,
    "mandate revoked": 12,
    "declined by the bank": 12,
    "no answer": 8,
}

_FAILURE_RATE = {"CARD": 0.06, "DIRECT_DEBIT": 0.03, "BANK_TRANSFER": 0.01, "WALLET": 0.04, "VOUCHER": 0.0}
_UNPAID_RATE = {"MONTHLY": 0.09, "YEARLY": 0.045, "TWO_YEARS": 0.025}
_GIVEN = """
    Anders Asha Beatriz Bruno Carlos Chidi Daniela Devi Elif Emeka Farah Femi Greta Hiro Ines Jonas Kavya Luis Mei Nadia
    Oskar Priya Rafael Sofia Tariq Uma Valentina Wanjiru Yuki Zola
"""
_FAMILY = """
    Adeyemi Becker Brandt Castillo Costa Dahl Eze Gagnon Hansen Iyer Kamau Kruger Lunde Moreno Mori Navarro Nwosu Okafor
    Otieno Patel Pereira Ramos Rao Sato Sharma Silva Tanaka Tremblay Vogel Wafula
"""
_NAMES = [f"{given} {family}" for given in _GIVEN.split() for family in _FAMILY.split()]


@dataclass(slots=True)
class Plan:
    """What a customer subscribes to; `price` is monthly, `data_gb` None is without limit."""

    id: str
    name: str
    price: float
    data_gb: int | None
    share: int


PLANS = (
    Plan("P1", "Pocket", 9.9, 3, 18),
    Plan("P2", "Everyday", 19.9, 20, 34),
    Plan("P3", "Family", 44.9, 80, 16),
    Plan("P4", "Boundless", 39.9, None, 15),
    Plan("P5", "Home Fibre", 34.9, None, 13),
    Plan("P6", "Machines", 4.9, 1, 4),
)


@dataclass(slots=True)
class Payment:
    """One attempt to pay a bill; a failed one has a reason."""

    id: str
    bill_id: str
    paid_on: date
    amount: float
    method: str
    failure_reason: str | None


@dataclass(slots=True)
class Bill:
    """One month's bill; its status is `PAID`, `OPEN` (not due yet) or `OVERDUE`."""

    id: str
    customer_id: str
    issued: date
    due: date
    amount: float
    status: str
    payments: list[Payment] = field(default_factory=list)

    @property
    def days_overdue(self) -> int:
        """Days since it was due, 0 unless overdue."""
        return (TODAY - self.due).days if self.status == "OVERDUE" else 0


@dataclass(slots=True)
class Customer:
    """Who is billed; one who has only just joined has no bill yet."""

    id: str
    name: str
    country: str
    plan: Plan
    contract: str
    method: str
    joined: date
    bills: list[Bill] = field(default_factory=list)

    @property
    def tenure_months(self) -> int:
        """Whole months since joining."""
        months = (TODAY.year - self.joined.year) * 12 + TODAY.month - self.joined.month
        return months - (TODAY.day < self.joined.day)


class Books:
    """Everything the company knows, by id and in order of id."""

    def __init__(self, customers: list[Customer]) -> None:
        self.customers = {customer.id: customer for customer in customers}
        self.bills = {bill.id: bill for customer in customers for bill in customer.bills}


def customer_id(number: int) -> str:
    """Return the id of the n-th customer, counted from 1."""
    return f"C{number:05d}"


def generate(seed: int, customers: int) -> Books:
    """Make the books of so many customers, the last of whom joined today; the same seed gives the same books."""
    random = Random(seed)
    tenures = [min(int(random.expovariate(1 / 700)), 2190) for _ in range(customers - 1)]
    return Books([_customer(random, number, days) for number, days in enumerate([*tenures, 0], start=1)])


def _customer(random: Random, number: int, tenure_days: int) -> Customer:
    customer = Customer(
        id=customer_id(number),
        name=random.choice(_NAMES),
        country=_pick(random, COUNTRIES),
        plan=random.choices(PLANS, [plan.share for plan in PLANS])[0],
        contract=_pick(random, CONTRACTS),
        method=_pick(random, METHODS),
        joined=TODAY - timedelta(days=tenure_days),
    )
    # One who stayed long has seldom left bills unpaid, and nearly everybody who leaves one leaves another.
    careless = random.random() < 0.35
    for issued in _billing_days(customer.joined):
        customer.bills.append(_bill(random, customer, issued, careless))
    return customer


def _billing_days(joined: date) -> list[date]:
    firsts = [date(TODAY.year, TODAY.month - back, 1) for back in range(MONTHS_KEPT)]
    return [first for first in reversed(firsts) if first > joined]


def _bill(random: Random, customer: Customer, issued: date, careless: bool) -> Bill:
    extra = random.expovariate(1 / 4) if random.random() < 0.4 else 0.0
    bill = Bill(
        id=f"B{customer.id[1:]}-{issued.month:02d}",
        customer_id=customer.id,
        issued=issued,
        due=issued + timedelta(days=21),
        amount=round(customer.plan.price + extra, 2),
        status="PAID",
    )
    _settle(random, bill, customer, careless)
    return bill


def _settle(random: Random, bill: Bill, customer: Customer, careless: bool) -> None:
    paid_on = bill.issued + timedelta(days=random.randint(1, 20))
    if random.random() < _FAILURE_RATE[customer.method]:
        bill.payments.append(_payment(bill, paid_on, customer.method, _pick(random, FAILURES)))
        paid_on += timedelta(days=random.randint(2, 12))
    if paid_on > TODAY or random.random() < _UNPAID_RATE[customer.contract] * (2.4 if careless else 0.25):
        bill.status = "OVERDUE" if bill.due < TODAY else "OPEN"
    else:
        bill.payments.append(_payment(bill, paid_on, customer.method, None))


def _payment(bill: Bill, paid_on: date, method: str, failure: str | None) -> Payment:
    number = len(bill.payments) + 1
    return Payment(f"T{bill.id[1:]}-{number}", bill.id, paid_on, bill.amount, method, failure)


def _pick(random: Random, shares: dict[str, int]) -> str:
    return random.choices(list(shares), list(shares.values()))[0]
