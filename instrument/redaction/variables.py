"""A keyed hash stands for a GraphQL call's variables: equal ones can be told, their values cannot be found.

Without the key nobody can try likely values against a store's hashes. The key is the setting `hash_key`, else one that
is made for the store and lies in its folder.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable

_BYTES = 6
"""48 bits: among a million different values of one operation, two share a hash with a probability of 0.2 %."""

_MOST = 4096
"""Hashes that are remembered: an application that repeats its calls has most of them there, at a tenth of the cost."""

_process_key = b""


def process_key() -> bytes:
    """A key of this process, for what is never compared with what another process recorded."""
    global _process_key
    if not _process_key:
        _process_key = os.urandom(32)
    return _process_key


class VariablesHash:
    """Hashes encoded variables; `key` is called with the first of them."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        try:
            from _blake2 import blake2b  # hashlib's own, without OpenSSL, which costs 3 MB
        except ImportError:
            from hashlib import blake2b
        self._new = blake2b
        self._key = key
        self._keyed: blake2b | None = None
        self.known: dict[bytes | str, str] = {}

    def of(self, variables: bytes) -> str:
        """The hash of encoded variables, eight characters."""
        found = self.known.get(variables)
        if found is None:
            if self._keyed is None:
                self._keyed = self._new(key=self._new(self._key()).digest(), digest_size=_BYTES)
            hashing = self._keyed.copy()
            hashing.update(variables)
            found = urlsafe_b64encode(hashing.digest()).decode()
            if len(self.known) >= _MOST:
                self.known.clear()
            self.known[variables] = found
        return found
