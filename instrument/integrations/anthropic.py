"""Anthropic's client: messages, created or streamed.

Each request is a model call, retries included; a stream's call ends with the stream. The input's tokens are all of
them, those from the cache and into the cache included.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from instrument.integrations._patches import Patches
from instrument.integrations._sdk_clients import Sdk

_PATHS = ("/v1/messages", "/v1/complete")
_PROMPTS = ("messages", "prompt")
_HOSTS = {"anthropic.com": "anthropic"}


def hook_in(patches: Patches, anthropic: ModuleType) -> None:
    """Record each request to a model."""
    sdk = Sdk(_PATHS, _PROMPTS, _HOSTS)
    sdk.hook_in(patches, import_module("anthropic._base_client"), import_module("anthropic._streaming"))
