"""Who may come in, for every room: the names that the server answers to, the token, and no changes from other sites.

A page on the internet can make a browser ask a server on loopback. With a name of its own that leads to 127.0.0.1 it
could also read the answer (DNS rebinding), so a Host header that is not ours gets no answer. A request that changes
something must come from a page of ours.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import blake2b
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from instrument_cli.web.site import Site

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every answer says unless its room says otherwise."""

_READING = ("GET", "HEAD", "OPTIONS")
_OWN_SITES = ("same-origin", "none")


class Guards:
    """The guards around an application."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in site.hosts)
        self._token = site.token.encode() if site.token else b""
        self._key = blake2b(self._token, digest_size=32, person=b"metrics serve").hexdigest()
        self._cookie = f"metrics_{blake2b(self._key.encode(), digest_size=4).hexdigest()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            await (self._refusal(scope) or self._app)(scope, receive, _with_security_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            known = "pass --allow-host NAME to metrics serve to let it answer to that name"
            return refused(scope, 421, f"the Host header {host!r} is not a name of this server; {known}")
        if scope["method"] not in _READING and not _is_from_own_page(headers, host):
            return refused(scope, 403, "this request comes from a page of another site")
        if self._token and not self._knows(headers):
            return self._with_token_in_address(scope) or refused(
                scope, 401, "show the token: Authorization: Bearer TOKEN, or open the address with ?token=TOKEN once"
            )
        return None

    def _knows(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode("latin-1"), self._token):
            return True
        return hmac.compare_digest(_cookie(headers, self._cookie).encode(), self._key.encode())

    def _with_token_in_address(self, scope: Scope) -> Response | None:
        """Keep a token out of the address bar: a cookie takes its place."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = [value for name, value in pairs if name == "token"]
        if scope["method"] not in ("GET", "HEAD") or not shown:
            return None
        if not hmac.compare_digest(shown[0].encode("utf-8", "replace"), self._token):
            return None
        rest = urlencode([(name, value) for name, value in pairs if name != "token"])
        # One slash in front: two would lead to another host.
        answer = RedirectResponse("/" + scope["path"].lstrip("/") + f"?{rest}" * bool(rest), 303)
        answer.set_cookie(self._cookie, self._key, httponly=True, samesite="strict", path="/")
        return answer


def refused(scope: Scope, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as one sentence: JSON below /api/, plain text anywhere else."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else headers
    if scope["path"].startswith("/api/"):
        return JSONResponse({"error": message}, status, headers)
    return PlainTextResponse(message + "\n", status, headers)


def _is_from_own_page(headers: Headers, host: str) -> bool:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _OWN_SITES:
        return False
    return origin is None or urlsplit(origin).netloc.lower() == host


def _cookie(headers: Headers, name: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


def _with_security_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
