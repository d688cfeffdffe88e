"""Where requests go and how: the address that was given, and OpenTelemetry's own `OTEL_EXPORTER_OTLP_…` variables.

A variable for one signal, such as `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, comes before the one for all.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from instrument.errors import UsageError

SIGNALS = ("traces", "metrics", "logs")
PREFIX = "OTEL_EXPORTER_OTLP_"
DEFAULT_TIMEOUT_MS = 10_000
_EXAMPLE = "write http://localhost:4318"


class Target(Struct, frozen=True):
    """Where one signal goes: the address, headers, seconds to wait, whether to compress, and TLS where it is https."""

    address: str
    headers: dict[str, str]
    timeout: float
    gzip: bool
    tls: ssl.SSLContext | None


def target_of(signal: str, address: str, environ: Mapping[str, str]) -> Target:
    """Where a signal goes. `address` is what was given, empty for what the variables say.

    Raises UsageError that names the address or the variable that cannot be used.
    """
    url = _address(signal, address, environ)
    protocol = _variable(environ, signal, "PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        raise UsageError(f"{PREFIX}PROTOCOL is {protocol}; only http/protobuf is spoken here, mostly on port 4318")
    compression = _variable(environ, signal, "COMPRESSION") or "gzip"
    if compression not in ("gzip", "none"):
        raise UsageError(f"{PREFIX}COMPRESSION is {compression}; write gzip or none")
    secure = url.startswith("https:")
    return Target(
        url,
        _headers(_variable(environ, signal, "HEADERS") or ""),
        _timeout(_variable(environ, signal, "TIMEOUT")),
        compression == "gzip",
        _tls(environ, signal) if secure else None,
    )


def shown(address: str) -> str:
    """An address without user, password and query, for messages and names."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _address(signal: str, address: str, environ: Mapping[str, str]) -> str:
    if not address and (own := environ.get(f"{PREFIX}{signal.upper()}_ENDPOINT")):
        return _checked(own).geturl()
    base = address or environ.get(f"{PREFIX}ENDPOINT", "")
    if not base:
        raise UsageError(f"where to? {_EXAMPLE} behind --to otlp, or set {PREFIX}ENDPOINT")
    parts = _checked(base)
    path = parts.path.rstrip("/")
    for each in SIGNALS:
        path = path.removesuffix(f"/v1/{each}")
    return parts._replace(path=f"{path}/v1/{signal}").geturl()


def _checked(address: str) -> SplitResult:
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0):
            return parts
    raise UsageError(f"{address} is no address of a receiver; {_EXAMPLE}")


def _variable(environ: Mapping[str, str], signal: str, name: str) -> str:
    return environ.get(f"{PREFIX}{signal.upper()}_{name}") or environ.get(PREFIX + name, "")


def _headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, both as they stand in an address (`%20` for a space)."""
    found = {}
    for pair in text.split(","):
        name, separator, value = pair.partition("=")
        if not pair.strip():
            continue
        name, value = unquote(name.strip()), unquote(value.strip())
        if not separator or not name or not (name + value).isascii() or not (name + value).isprintable():
            raise UsageError(f"{PREFIX}HEADERS cannot be used; write name=value,name=value")
        found[name] = value
    return found


def _timeout(text: str) -> float:
    try:
        milliseconds = int(text or DEFAULT_TIMEOUT_MS)
    except ValueError:
        milliseconds = 0
    if milliseconds <= 0:
        raise UsageError(f"{PREFIX}TIMEOUT is {text}; write a whole number of milliseconds")
    return milliseconds / 1000


def _tls(environ: Mapping[str, str], signal: str) -> ssl.SSLContext:
    authority = _variable(environ, signal, "CERTIFICATE") or None
    certificate, key = (_variable(environ, signal, name) for name in ("CLIENT_CERTIFICATE", "CLIENT_KEY"))
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        names = f"{PREFIX}CERTIFICATE, …CLIENT_CERTIFICATE or …CLIENT_KEY"
        raise UsageError(f"{names} cannot be used: {error.strerror or error}") from None
    return context
