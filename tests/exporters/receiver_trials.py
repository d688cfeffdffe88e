"""An application of which every value is known, and where its values must stand in a receiver of traces.

python tests/exporters/receiver_trials.py STORE
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from instrument import configure, current_query, flush, model_span, track_graphql, track_query, track_tool
from instrument.reading import open_store

GOOD, BAD = "unpaid bills in India", "the score of customer C00001"
Check = tuple[str, Any, Any]
"""What is looked at, what should stand there, what stands there."""


class Shop:
    """Two agents with a tool, a GraphQL call, two models, and a failure."""

    @track_tool
    def find_customers(self, country: str) -> dict[str, Any]:
        return self.execute("query Customers($c: String) { customers(country: $c) { id } }", {"c": country})

    @track_graphql
    def execute(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        return {"data": {"customers": [1, 2]}}

    @track_tool
    def newest_score(self, customer: str) -> float:
        raise LookupError(f"no score of {customer}")

    @track_query(agent="writer")
    def summarize(self, user_input: str) -> str:
        return "two customers"

    @track_query(agent="planner")
    def answer(self, user_input: str) -> str:
        query = current_query()
        query.set_attributes(session="session-1", user="user-1", tenant="north")
        query.add_entities("customers")
        with model_span("nobody-sells-this-1", provider="local") as call:
            call.record_tokens(1200, 30, cached=1000)
            call.record_cost(0.25)
            call.record_content(input="what now?", output="find customers")
        self.find_customers("India")
        with model_span("gpt-4o-mini", provider="openai") as call:
            call.record_tokens(100, 50)
        return self.summarize("sum up")

    @track_query(agent="planner")
    def score(self, user_input: str) -> float:
        return self.newest_score("C00001")


class Seen(Struct):
    """What a receiver shows: all spans, all tokens of the project, and the project's id."""

    receiver: str
    spans: list[dict[str, Any]]
    tokens: int
    project: str

    @property
    def trace(self) -> str:
        """The trace of the query that went well."""
        found: str = self.root(GOOD)["trace"]
        return found

    def root(self, user_input: str) -> dict[str, Any]:
        """The span without a parent that has this input."""
        [found] = [span for span in self.spans if not span["parent"] and text_of(span["input"]) == user_input]
        return found

    def below(self, root: dict[str, Any], name: str) -> dict[str, Any]:
        """The span of that name in the trace of `root`."""
        [found] = [span for span in self.spans if span["trace"] == root["trace"] and span["name"] == name]
        return found


def text_of(value: Any) -> str:
    """A value as text, without the quotes that JSON sets around it."""
    return str(value if value is not None else "").strip('"')


def checks(store: Path, expected: int, first: Seen, seen: Seen) -> Iterator[Check]:
    """What stands where. `first` was seen after shipping once, `seen` after shipping everything again."""
    with open_store(store, hours=1) as opened:
        report = opened.report()
    tokens = sum((model.input_tokens or 0) + (model.output_tokens or 0) for model in report.models.values())
    yield "spans", expected, len(first.spans)
    yield "spans after shipping again", expected, len(seen.spans)
    yield "tokens of everything, none twice", tokens, seen.tokens
    kinds = {span["kind"] for span in seen.spans}
    yield "kinds of spans", {"AGENT", "TOOL", "LLM"}, kinds
    yield from _good(seen)
    yield from _bad(seen)


def _good(seen: Seen) -> Iterator[Check]:
    root = seen.root(GOOD)
    tool, graphql, helper = (
        seen.below(root, name)
        for name in ("execute_tool Shop.find_customers", "query Customers", "invoke_agent writer")
    )
    own, sold = (seen.below(root, f"chat {name}") for name in ("nobody-sells-this-1", "gpt-4o-mini"))
    yield "agent", ("invoke_agent planner", "AGENT", False), (root["name"], root["kind"], root["failed"])
    yield "session and user", ("session-1", "user-1"), (root["session"], root["user"])
    yield "an attribute of the application", "north", root["attributes"].get("tenant")
    yield "the agent's own tokens", (None, None), root["tokens"]
    yield "tool below the agent", ("TOOL", root["id"]), (tool["kind"], tool["parent"])
    yield "GraphQL below the tool", ("TOOL", tool["id"]), (graphql["kind"], graphql["parent"])
    yield "an agent inside the agent", ("AGENT", root["id"]), (helper["kind"], helper["parent"])
    yield "model below the agent", ("LLM", root["id"]), (own["kind"], own["parent"])
    yield "models", ("nobody-sells-this-1", "gpt-4o-mini"), (own["model"], sold["model"])
    yield "tokens in and out", ((1200, 30), (100, 50)), (tuple(own["tokens"]), tuple(sold["tokens"]))
    yield "prompt and answer", ("what now?", "find customers"), (text_of(own["input"]), text_of(own["output"]))
    yield "no answer where none was kept", "", text_of(sold["output"])
    # Phoenix works out costs from its own prices alone.
    cost = own["attributes"]["llm"]["cost"]["total"] if seen.receiver == "phoenix" else own["cost"]
    yield "cost of a model without a list price", 0.25, cost
    yield "cost of a model with a list price is worked out there", True, bool(sold["cost"])


def _bad(seen: Seen) -> Iterator[Check]:
    root = seen.root(BAD)
    tool = seen.below(root, "execute_tool Shop.newest_score")
    message = "no score of C00001"
    yield "failure of the agent", (True, message), (root["failed"], root["message"])
    yield "failure of the tool", (True, message), (tool["failed"], tool["message"])


def main() -> None:
    """Record into the store that is named."""
    configure(directory=sys.argv[1], capture_model_content=True)
    shop = Shop()
    shop.answer(GOOD)
    with suppress(LookupError):
        shop.score(BAD)
    flush()


if __name__ == "__main__":
    main()
