"""httpx2: the client that followed httpx; what is hooked in is the same."""

from __future__ import annotations

from instrument.integrations.httpx import hook_in

__all__ = ["hook_in"]
