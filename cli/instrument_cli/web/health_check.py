"""`/healthz`: whether the server answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from instrument_cli.web.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """The route of the health check."""
    return [Route("/healthz", _healthy)]


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok\n")
