"""OpenAI's client, and whatever else it talks to: chat completions, responses, completions and embeddings.

Each request is a model call, retries included; a stream's call ends with the stream. Tokens of a streamed chat
completion are known only if the application asks for them (`stream_options={"include_usage": True}`).
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from instrument.integrations._patches import Patches
from instrument.integrations._sdk_clients import Sdk

_PATHS = ("/chat/completions", "/responses", "/completions", "/embeddings")
_PROMPTS = ("messages", "input", "prompt")
_HOSTS = {"openai.com": "openai", "azure.com": "azure"}


def hook_in(patches: Patches, openai: ModuleType) -> None:
    """Record each request to a model."""
    sdk = Sdk(_PATHS, _PROMPTS, _HOSTS)
    sdk.hook_in(patches, import_module("openai._base_client"), import_module("openai._streaming"))
