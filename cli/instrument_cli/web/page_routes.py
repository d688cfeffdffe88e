"""The routes of the pages: each is drawn in a thread, so that a slow one holds nobody else up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from instrument.analysis.wording import clock, span, zone_name
from instrument.errors import InstrumentError, NotFoundError, StoreError, UsageError
from instrument_cli.rendering.text import plain
from instrument_cli.web import frame, pages
from instrument_cli.web.charts import file
from instrument_cli.web.compressing import compressed
from instrument_cli.web.html import Element, tag, text
from instrument_cli.web.layout import empty
from instrument_cli.web.pages import sql
from instrument_cli.web.view import View

if TYPE_CHECKING:
    from starlette.requests import Request

    from instrument.analysis.periods import Period
    from instrument_cli.web.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """A route for each page, and one for what is none."""
    answer = partial(_answered, site)
    listed: list[BaseRoute] = [Route("/sql.csv", partial(_csv, site)), Route("/svg/{path:path}", partial(_svg, site))]
    listed += [Route("/queries/{query_id}", answer)]
    listed += [Route(path, answer) for path in pages.ROUTES]
    return [*listed, Route("/{path:path}", partial(_missing, site))]


async def _answered(site: Site, request: Request) -> Response:
    view = View.of(request.url.path, request.query_params)
    return await run_in_threadpool(lambda: compressed(request, answered(site, view)))


def answered(site: Site, view: View) -> HTMLResponse:
    """The page of a view; what is wrong is said on a page, too."""
    try:
        drawn = pages.draw(site, view)
    except NotFoundError as error:
        said = str(error).partition(";")[0]  # without the command that lists them
        return _problem(site, view, "There is no such query", f"{said[0].upper()}{said[1:]}.", 404)
    except UsageError as error:
        return _problem(site, view, "This cannot be shown", str(error), 400)
    except StoreError as error:
        return _problem(
            site, view, "There is nothing to read", str(error), 200 if "no store here yet" in str(error) else 503
        )
    except InstrumentError as error:
        return _problem(site, view, "This cannot be worked out", str(error), 422)
    body = tag("div", drawn.body, class_="content", data_live="yes" if drawn.live is not None else None)
    return frame.page(site, view, drawn.title, body, period=drawn.period, bar=drawn.bar)


def _problem(site: Site, view: View, title: str, message: str, status: int) -> HTMLResponse:
    name = next((name for path, name, _ in frame.PAGES if path == view.path), "Query")
    words: list[Element] = [tag("span", text(message.removeprefix("--where ").removeprefix("--")))]
    if status == 404:
        words.append(tag("a", "All queries", href=view.href("/queries")))
    elif view.where:
        words.append(tag("a", "Show it without filters", href=view.href(where=None)))
    body = tag("div", empty(title, *words), class_="content", data_live="yes" if status == 200 else None)
    return frame.page(site, view, name, body, bar=status != 404, status=status)


async def _missing(site: Site, request: Request) -> Response:
    """The page for an address that is none; below /api/ it is an error as any other."""
    if request.url.path.startswith("/api/"):
        raise HTTPException(404)
    view = View.of("/", request.query_params)
    words = tag("span", "The pages stand at the side."), tag("a", "To the overview", href="/")
    body = tag("div", empty("There is no page here", *words), class_="content")
    return frame.page(site, view.moved(path=request.url.path), "Not found", body, bar=False, status=404)


async def _csv(site: Site, request: Request) -> Response:
    view = View.of("/sql", request.query_params)
    return await run_in_threadpool(sql.csv, site, view)


async def _svg(site: Site, request: Request) -> Response:
    page, _, name = str(request.path_params["path"]).rpartition("/")
    view = View.of(f"/{page}", request.query_params)
    return await run_in_threadpool(_chart, site, view, name.removesuffix(".svg"))


def _chart(site: Site, view: View, name: str) -> Response:
    """One chart of a page as a file."""
    headers = frame.HEADERS | {"content-security-policy": file.policy()}
    try:
        drawn = pages.draw(site, view)
    except InstrumentError as error:
        status = 404 if isinstance(error, NotFoundError) else 400
        return PlainTextResponse(f"{plain(str(error))}\n", status_code=status, headers=headers)
    chart = drawn.charts.get(name)
    if chart is None:
        return PlainTextResponse("this page has no such chart\n", status_code=404, headers=headers)
    headers["content-disposition"] = f'attachment; filename="{name}.svg"'
    return Response(file.written(chart, _covered(drawn.period)), media_type="image/svg+xml", headers=headers)


def _covered(period: Period | None) -> str:
    """The time that a page covers, in words; a query's is a moment."""
    if period is None or period.since is None:
        return ""
    since, until = (each.astimezone(period.zone) for each in (period.since, period.until))
    return span(since, until) if since < until else f"{clock(until)} {zone_name(until)}"
