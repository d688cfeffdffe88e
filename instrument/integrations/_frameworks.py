"""The frameworks that can be hooked in: what is awaited, and which versions were tried."""

from __future__ import annotations

from typing import NamedTuple


class Framework(NamedTuple):
    """A framework: hooked in by `hook_in` in the file of its name, once `module` has been imported.

    `distribution` is whose version is asked, empty for the standard library; versions from `since` up to, not
    including, `before` were tried.
    """

    module: str
    distribution: str = ""
    since: str = ""
    before: str = ""


FRAMEWORKS = {
    "anthropic": Framework("anthropic", "anthropic", "2.13", "3"),
    "crewai": Framework("crewai", "crewai", "1.15", "1.16"),
    "gql": Framework("gql", "gql", "4.0", "5"),
    "graphql": Framework("graphql", "graphql-core", "3.2", "3.4"),
    "httpx": Framework("httpx", "httpx", "0.28", "0.29"),
    "httpx2": Framework("httpx2", "httpx2", "2.16", "3"),
    "langchain": Framework("langchain_core.tracers.context", "langchain-core", "1.7", "1.9"),
    "litellm": Framework("litellm", "litellm", "1.110", "2"),
    "openai": Framework("openai", "openai", "2.54", "4"),
    "openai_agents": Framework("agents", "openai-agents", "0.20", "0.21"),
    "opentelemetry": Framework("opentelemetry.sdk.trace", "opentelemetry-sdk", "1.45", "1.46"),
    "pydantic_ai": Framework("pydantic_ai", "pydantic-ai-slim", "2.68", "2.69"),
    "requests": Framework("requests", "requests", "2.32", "3"),
    "strawberry": Framework("strawberry", "strawberry-graphql", "0.300", "0.400"),
    "threads": Framework("threading"),
}
