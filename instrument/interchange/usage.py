"""Counts of tokens, under whatever names a provider or a tool gives them.

Some count what a cache had, what was spent on reasoning, or what was audio beside the input and the output, others
among them. Where there is a total, it decides; where there is none, the name does.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from instrument.interchange.json_values import number
from instrument.interchange.semconv import Tokens

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[._\-\s]+")
_EMPTY_WORDS = frozenset(("token", "tokens", "count", "usage"))
_INPUT = frozenset(("input", "prompt"))
_OUTPUT = frozenset(("output", "completion", "candidates"))
_REASONING = frozenset(("reasoning", "thinking", "thoughts"))
_NO_TOKENS = frozenset(("cost", "price"))


def tokens_in(usage: Mapping[str, Any]) -> Tokens | None:
    """Count the tokens of what is said of a model's usage; None where nothing is counted.

    Reasoning that was counted neither as input nor as output, which only a total shows, is output.
    """
    counts: dict[tuple[str, ...], int] = {}
    for words, count in _counts(usage):
        counts[words] = max(count, counts.get(words, 0))
    if not counts:
        return None
    cached = [count for words, count in counts.items() if _is_cached(words)]
    reasoning = [count for words, count in counts.items() if _REASONING & set(words)]
    total = counts.get(("total",))
    given, gave = _base(counts, _INPUT), _base(counts, _OUTPUT)
    more_given = sum(count for words, count in counts.items() if _is_beside_input(words))
    more_gave = sum(count for words, count in counts.items() if _is_beside_output(words))
    if total is None:
        given_all, gave_all = (given or 0) + more_given, (gave or 0) + more_gave
    else:
        given_all, gave_all = _split(total, given, gave, more_given, more_gave)
    rest = gave_all - (gave or 0) - more_gave if gave is not None and not reasoning else 0
    return Tokens(
        given_all,
        gave_all,
        max(cached) if cached else None,
        max(reasoning) if reasoning else rest if rest > 0 else None,
    )


def _split(total: int, given: int | None, gave: int | None, more_given: int, more_gave: int) -> tuple[int, int]:
    """The input and the output that make up a total."""
    for beside_input, beside_output in itertools.product((more_given, 0), (more_gave, 0)):
        if (given or 0) + beside_input + (gave or 0) + beside_output == total:
            return (given or 0) + beside_input, (gave or 0) + beside_output
    if given is None and not more_given:
        return max(total - (gave or 0) - more_gave, 0), (gave or 0) + more_gave
    known = (given or 0) + more_given
    if known > total - (gave or 0):
        known = max(given or 0, min(more_given, total))
    return known, max(total - known, gave or 0)


def _counts(usage: Mapping[str, Any], around: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every count with the words of its name."""
    for key, value in usage.items():
        words = (*around, *(word.lower() for word in _WORDS.split(str(key)) if word.lower() not in _EMPTY_WORDS | {""}))
        if isinstance(value, Mapping) and len(around) < 8:
            yield from _counts(value, words)
        elif (count := number(value)) is not None and not isinstance(value, bool) and not _NO_TOKENS & set(words):
            yield words, int(count)


def _base(counts: Mapping[tuple[str, ...], int], names: frozenset[str]) -> int | None:
    return next((count for words, count in counts.items() if len(words) == 1 and words[0] in names), None)


def _is_cached(words: tuple[str, ...]) -> bool:
    """Whether a count is of input that a cache had, and not of what was put there."""
    return "cached" in words or ("cache" in words and not {"creation", "write", "written", "miss"} & set(words))


def _is_beside_input(words: tuple[str, ...]) -> bool:
    named = len(words) > 1 and (words[0] in _INPUT or words[0] in ("cache", "cached"))
    return named and not {"details", "content"} & set(words)


def _is_beside_output(words: tuple[str, ...]) -> bool:
    named = words[0] == "thoughts" if len(words) == 1 else words[0] in _OUTPUT if words else False
    return named and "details" not in words
