"""The style and the script of the pages: files named by their content, which browsers keep for good."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from instrument_cli.web.compressing import compressed, smaller

if TYPE_CHECKING:
    from starlette.requests import Request

    from instrument_cli.web.site import Site

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_FOR_GOOD = "public, max-age=31536000, immutable"


class _Asset(NamedTuple):
    content: bytes
    kind: str
    address: str
    small: bytes


@lru_cache(maxsize=1)
def _assets() -> dict[str, _Asset]:
    found = {}
    for file in files("instrument_cli.web").joinpath("static").iterdir():
        stem, _, ending = file.name.rpartition(".")
        if ending in _TYPES:
            content = file.read_bytes()
            address = f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
            found[file.name] = _Asset(content, _TYPES[ending], address, smaller(content))
    return found


def address(name: str) -> str:
    """Where a file is served."""
    return _assets()[name].address


def routes(site: Site) -> list[BaseRoute]:
    """The route of the files."""
    return [Route("/static/{name}", _asset), Route("/favicon.ico", _icon)]


async def _asset(request: Request) -> Response:
    asked = request.url.path
    for asset in _assets().values():
        if asset.address == asked:
            headers = {"cache-control": _FOR_GOOD, "x-content-type-options": "nosniff"}
            response = Response(asset.content, media_type=asset.kind, headers=headers)
            return compressed(request, response, asset.small)
    return PlainTextResponse("no such file\n", status_code=404)


async def _icon(request: Request) -> Response:
    icon = _assets()["icon.svg"]
    return Response(icon.content, media_type=icon.kind, headers={"cache-control": "public, max-age=86400"})
