"""What is kept of the texts in a row, by the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instrument.config import Config
from instrument.redaction.bounds import CUT
from instrument.redaction.rules import MASK, compiled, hashed
from instrument.rows.live import ModelFacts
from instrument.rows.stored import AnyQuery

_SHORTEST_QUOTE = 4
"""A shorter input is not looked for in other texts: it would be found in innocent words."""


class _RedactionError(Exception):
    """Stands for what a redaction function raised: its own message may quote the text."""


class Texts:
    """The settings `capture_input`, `max_input_chars` and `redact`, applied."""

    def __init__(self, config: Config, trouble: Callable[[str, BaseException], None]) -> None:
        self._capture = config.capture_input
        self._key = config.hash_key
        self._longest = config.max_input_chars
        self._trouble = trouble
        self._own = config.redact if callable(config.redact) else None
        self._redact = compiled(config.redact) if isinstance(config.redact, tuple) and config.redact else None
        self.as_is = config.redact == () and config.capture_input == "full"
        if self._capture == "hash":
            import hashlib  # noqa: F401 - here, where no fork can come between, and not at the first text

    def of_query(self, row: AnyQuery) -> None:
        """Apply them to every text of a query, in place."""
        given = row.user_input
        if not self.as_is or len(given) > self._longest:
            row.user_input = self.input(given)
        if row.message:
            row.message = self.message(row.message, given)
        if row.attributes:
            row.attributes = {key: self._attribute(value, given) for key, value in row.attributes.items()}
        if row.entities and not self.as_is:
            row.entities = [self._text(name) for name in row.entities]
        if (choice := row.selection) is not None:
            choice.why = self.message(choice.why, given)
            if choice.user_input is not None:
                choice.user_input = self.input(choice.user_input)

        for call in row.calls:
            self.of_facts(call.facts, given)

    def of_facts(self, facts: ModelFacts | None, given: str = "") -> None:
        """Apply them to what is kept of a prompt and a model's answer, in which the input `given` may be quoted."""
        if facts is not None and (facts.input is not None or facts.output is not None):
            facts.input, facts.output = self.message(facts.input, given), self.message(facts.output, given)

    def input(self, text: str) -> str:
        """What is kept of a user's input."""
        if self._capture == "none" or not text:
            return ""
        if self._capture == "hash":
            return hashed(text, self._key)
        return self._text(text)

    def message(self, text: str | None, given: str = "") -> str | None:
        """What is kept of a message, in which the input `given` may be quoted."""
        if not text:
            return text
        if self._capture != "full" and len(given) >= _SHORTEST_QUOTE:
            text = text.replace(given, MASK)
        return self._text(text)

    def _attribute(self, value: Any, given: str) -> Any:
        if isinstance(value, str):
            return self.message(value, given)
        if isinstance(value, int) and not isinstance(value, bool) and not self.as_is:
            digits = str(value)  # a phone or card number is one without its quotes, too
            kept = self._text(digits)
            return value if kept == digits else kept
        return value

    def _text(self, text: str) -> str:
        if self._own is not None:
            return self._cut(self._redacted(self._own, text))
        if self._redact is None:
            return self._cut(text)
        return self._cut(self._redact(text, self._longest), was_longer=len(text) > self._longest)

    def _cut(self, text: str, *, was_longer: bool = False) -> str:
        """The text within its bound; what is missing is said by its last character."""
        if len(text) <= self._longest and not was_longer:
            return text
        return text[: max(0, self._longest - len(CUT))] + CUT[: self._longest]

    def _redacted(self, redact: Callable[[str], str], text: str) -> str:
        try:
            return str(redact(text))
        except BaseException as error:  # noqa: BLE001 - a user's function: whatever it raises, the text is not kept
            self._trouble("redaction", _RedactionError(f"the redact function raised {type(error).__name__}"))
            return ""
