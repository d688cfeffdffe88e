"""Which agent a question goes to: keyword rules, where a product would ask a model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from instrument import track_complexity, track_entities, track_selection
from instrument_cli.demo.simple_agent import SimpleAgent

ENTITY_WORDS = {
    "customers": ("customer", "subscriber", "who "),
    "bills": ("bill", "owe", "overdue", "unpaid", "revenue"),
    "payments": ("payment", "paid", "pay ", "receipt"),
    "plans": ("plan", "subscription"),
    "networks": ("network", "mast"),
}
_DEMANDING = ("compare", "history", "risk", "and their", "trend", "likely", "worst", "remind", "why")
_COMPLEX_FROM = 0.6


@dataclass(frozen=True, slots=True)
class Selection:
    """The agent chosen, and why."""

    agent: str
    reason: str


class AgentSelector:
    """Chooses between the simple, the listing and the multi-step agent."""

    @track_selection
    def select_agent(self, user_input: str) -> Selection:
        """Choose the agent for a question."""
        entities = self.detect_entities(user_input)
        score = self.complexity(user_input, entities)
        if user_input.lower().startswith("list "):
            return Selection("listing", "a list is asked for")
        if score >= _COMPLEX_FROM:
            return Selection("multi_step", "several things are asked at once")
        if SimpleAgent.understands(user_input):
            return Selection("simple", "one look-up answers it")
        return Selection("multi_step", "no single look-up answers it")

    @track_entities
    def detect_entities(self, user_input: str) -> list[str]:
        """Return what the question is about."""
        text = user_input.lower() + " "
        return [entity for entity, words in ENTITY_WORDS.items() if any(word in text for word in words)]

    @track_complexity
    def complexity(self, user_input: str, entities: list[str]) -> float:
        """Return how demanding the question is, 0 to 1."""
        demanding = sum(word in user_input.lower() for word in _DEMANDING)
        clauses = len(re.findall(r"\band\b|,", user_input))
        score = 0.12 * len(entities) + 0.16 * demanding + 0.08 * clauses + len(user_input.split()) / 100
        return round(min(score, 1.0), 3)
