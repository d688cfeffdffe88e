"""The application that uvicorn runs: the routes of every room, behind the guards that all of them share.

A new page or endpoint is a module with a function `routes(site)`, named in `ROOMS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from instrument_cli.web.guards import Guards, refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from instrument_cli.web.site import Site

ROOMS = ("health_check", "prometheus", "api", "assets", "live", "page_routes")
"""The modules of `instrument_cli.web` that have routes, in the order in which a path is matched."""


def application(site: Site) -> Starlette:
    """Put the site's rooms together as one Starlette application."""
    _ = site.live  # before threads could make two of it
    routes: list[BaseRoute] = []
    for room in ROOMS:
        routes += import_module(f"instrument_cli.web.{room}").routes(site)
    return Starlette(routes=routes, middleware=[Middleware(Guards, site)], exception_handlers={HTTPException: _said})


async def _said(request: Request, error: Exception) -> Response:
    """An unknown path or method, said as every other error."""
    assert isinstance(error, HTTPException)
    return refused(request.scope, error.status_code, error.detail, error.headers)
