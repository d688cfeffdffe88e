"""What the company's people ask: sixty questions, of which seven run into real trouble."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from instrument_cli.demo import data

_PLAIN = (
    "What is the email of customer {customer}?",
    "What is the contract of customer {customer}?",
    "What is the payment method of customer {customer}?",
    "What is the churn risk of customer {customer}?",
    "What is the country of customer {customer}?",
    "What is the balance of customer {customer}?",
    "What does customer {customer} owe?",
    "What does customer {customer} owe us today?",
    "Please tell me: what does customer {customer} owe?",
    "Which plan does customer {customer} have?",
    "Which plan does customer {customer} have now?",
    "Show the bills of customer {customer}",
    "Show the bills of customer {customer}, please",
    "How many customers live in {country}?",
    "How many customers live in {country} today?",
    "How many customers live in India?",
    "Which plans are on offer?",
    "Which plans are on offer this month?",
    "How is the network in {country}?",
    "How is the network in {country} this morning?",
    "How is the network in Brazil?",
    "List all customers in {country}",
    "List the customers in {country} on {plan}",
    "List everybody on {plan}",
    "List the customers in Kenya, 20 a page",
    "List the customers in India",
    "List the customers in Germany on Boundless",
    "List all customers on Machines",
    "Show unpaid bills in {country} and the payment history of their customers",
    "Show me all customers in India with unpaid bills and their payment history",
    "Who has bills overdue for more than 90 days in {country}, and their payment history?",
    "Who in {country} owes most, and how likely are they to leave?",
    "Which overdue bills in {country} are older than 60 days?",
    "Which bills are overdue in {country}, and why do payments fail there?",
    "Compare payments by card and wallet in {country}",
    "Compare payments by card, direct debit and voucher in {country}",
    "Compare payments by bank transfer and direct debit, and the trend of revenue in {country}",
    "Why do payments fail in {country}?",
    "Why do so many card payments fail in {country}, and what is overdue?",
    "What is the revenue trend in {country}?",
    "What is the revenue trend of the whole company, and which plans carry it?",
    "Revenue in Mexico, and which customers are a churn risk there",
    "Which customers in {country} are likely to leave?",
    "Which customers in {country} are a churn risk, and what do they owe?",
    "Which plans have the most subscribers in {country}?",
    "Compare plans and revenue in {country}",
    "What are the credit scores of customers in {country}?",
    "Compare credit scores, churn risk and unpaid bills in {country}",
    "Remind customers in {country} of their worst unpaid bills",
    "Remind whoever has unpaid bills in Spain, and show the trend of revenue",
    "Compare subscribers of all plans in {country} with revenue and payments by card, and their churn risk",
    "Worst unpaid bills in Nigeria, the payment history of their customers, churn risk and the revenue trend",
    "How is the network in {country}, and are customers there likely to leave?",
)

# What each of these runs into is the error that ends it.
_TROUBLED = (
    ("What is the fax number of customer {customer}?", "TransportQueryError"),
    ("What is the credit score of the newest customer?", "TransportQueryError"),
    ("List the customers in Brazil, 500 a page", "TransportQueryError"),
    ("What does customer C00000 owe?", "UnknownCustomerError"),
    ("What is the average bill of the newest customer?", "ZeroDivisionError"),
    ("How is the network in Norway?", "TransportConnectionFailed"),
    ("How is the network in Norway, and what are the plans and the churn risk there?", "TimeoutError"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `trouble` names the error it is bound to end in, None for none."""

    text: str
    trouble: str | None = None


def questions(seed: int, count: int, customers: int) -> list[Question]:
    """Return so many questions about so many customers, the same for the same seed; over sixty, they come again."""
    random = Random(seed)
    templates = [Question(text) for text in _PLAIN] + [Question(text, trouble) for text, trouble in _TROUBLED]
    asked: list[Question] = []
    while len(asked) < count:
        asked += [
            _about_something(random, question, customers) for question in random.sample(templates, len(templates))
        ]
    return asked[:count]


def _about_something(random: Random, question: Question, customers: int) -> Question:
    text = question.text.format(
        customer=data.customer_id(random.randint(1, customers)),
        country=random.choice([country for country in data.COUNTRIES if country != "Norway"]),
        plan=random.choice(data.PLANS).name,
    )
    return Question(text, question.trouble)
