"""What is new, sent to who watches a page: new queries at once, figures as often as they are cheap.

One follower of the store serves all watchers, and ends with the last of them; a database or a lake is looked at again
every few seconds instead. Each view that is watched is drawn once for all who watch it; only the parts that changed
are sent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from instrument.analysis.filters import parsed
from instrument.analysis.matching import matches
from instrument.analysis.periods import zone_of
from instrument.errors import InstrumentError
from instrument.records import QueryRecord, Record
from instrument.store.tail import Follower, follow
from instrument_cli.web import pages, rows
from instrument_cli.web.figures import Used, metered, used
from instrument_cli.web.pages.queries import where_of
from instrument_cli.web.view import View

if TYPE_CHECKING:
    from starlette.requests import Request

    from instrument_cli.web.site import Site

LEAST_SECONDS = 1.0
"""How long the figures of a page stand at the least."""

DRAWN_FOR = 20.0
"""How many times as long as drawing a page took it stands."""

IDLE_SECONDS, IDLE_FOR = 60.0, 300.0
"""How often a page is drawn anew without a new record, as the period moves on; and times what drawing it took."""

LOOKED_AGAIN = 5.0
"""Seconds after which a page over a database or a lake, which cannot be followed, is drawn anew."""

HEARTBEAT = 15.0
MOST_ROWS = 12
"""New rows in one message: of more, the newest."""

_LISTS = frozenset({"latest", "rows"})
"""Parts that list queries: they are sent only when they know every query that was sent before."""

_WAITING = 64
"""Messages that wait for a slow watcher; it is then sent away, and comes back for all parts anew."""


class Channel:
    """One view that is watched: who watches it, what was sent of it, and when the last record came since then."""

    def __init__(self, site: Site, view: View) -> None:
        self.view = view
        self.watchers: set[asyncio.Queue[str | None]] = set()
        self.sent: dict[str, tuple[bytes, str]] = {}
        self.is_dirty = asyncio.Event()
        self.came_at: float | None = None
        self._site = site
        self._filters = parsed(where_of(view))
        self._zone = zone_of(view.zone_name(site))[0]

    def take(self, records: Sequence[Record]) -> None:
        """Send the new queries that belong to the view, and have the figures worked out anew."""
        new = [one for one in records if isinstance(one, QueryRecord) and one.parent_id is None and self._picks(one)]
        self.came_at = time.monotonic()
        self.is_dirty.set()
        draw = {"/": rows.short_row, "/queries": rows.row}.get(self.view.path)
        if new and draw is not None:
            new.sort(key=lambda one: one.start_time, reverse=True)
            html = "".join(draw(self.view, one, self._zone) for one in new[:MOST_ROWS])
            self.send("rows", {"count": len(new), "html": html})

    def _picks(self, query: QueryRecord) -> bool:
        try:
            return matches(self._filters, query)
        except InstrumentError:
            return False

    def send(self, event: str, content: object) -> None:
        """Send a message to every watcher."""
        message = f"event: {event}\nid: 1\ndata: {msgspec.json.encode(content).decode()}\n\n"
        for queue in list(self.watchers):
            if queue.qsize() < _WAITING:
                queue.put_nowait(message)
            else:
                self.watchers.discard(queue)
                queue.put_nowait(None)

    def whole(self) -> str:
        """All parts in one message, for who comes back."""
        parts = {key: html for key, (_, html) in self.sent.items()}
        return f"event: parts\nid: 1\ndata: {msgspec.json.encode(parts).decode()}\n\n"

    async def keep_up(self) -> None:
        """Draw the view when something changed, but not too often, for as long as it is watched."""
        took = 0.0
        while self.watchers:
            idle = max(IDLE_SECONDS, took * IDLE_FOR)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.is_dirty.wait(), idle)
            self.is_dirty.clear()
            changed, behind, took = await run_in_threadpool(self._changed)
            if changed:
                self.send("parts", changed)
            wait = max(LEAST_SECONDS, took * DRAWN_FOR)
            if behind:
                self.is_dirty.set()
                wait = max(wait, min(one.due_at for one in behind) - time.monotonic())
            await asyncio.sleep(wait)

    def _changed(self) -> tuple[dict[str, str], list[Used], float]:
        """The parts that are others than those sent, results that miss the newest records, and what that cost."""
        came_at, spent = self.came_at, metered(self._site)
        try:
            with used() as collected:
                drawn = pages.draw(self._site, self.view)
            mark = self._site.live.mark() if came_at is None else None
        except InstrumentError:
            return {}, [], 0.0  # the store is away, or a filter's name is: the next record tells
        # Before the first record since somebody watches, the store itself says whether there is anything new.
        behind = [one for one in collected if (one.mark != mark if came_at is None else one.at < came_at)]
        changed = {}
        for key, element in (drawn.live or {}).items():
            digest = blake2b(element.encode(), digest_size=12).digest()
            if self.sent.get(key, (b"", ""))[0] != digest and not (behind and key in _LISTS):
                self.sent[key] = digest, str(element)
                changed[key] = str(element)
        return changed, behind, spent()


class Hub:
    """All channels of a site, and the thread that follows its store."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._channels: dict[View, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop: threading.Event | None = None

    async def watch(self, view: View, *, again: bool) -> AsyncIterator[str]:
        """The messages of a view, for as long as somebody reads them."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        channel = self._joined(view, queue)
        try:
            yield "retry: 1000\n\n"
            if again and channel.sent:
                yield channel.whole()
            while True:
                try:
                    message = await asyncio.wait_for(queue.get(), HEARTBEAT)
                except TimeoutError:
                    message = ": still here\n\n"
                if message is None:
                    return
                yield message
        finally:
            channel.watchers.discard(queue)
            self._left(channel)

    def _joined(self, view: View, queue: asyncio.Queue[str | None]) -> Channel:
        channel = self._channels.get(view)
        if channel is None:
            channel = self._channels[view] = Channel(self._site, view)
        channel.watchers.add(queue)
        channel.is_dirty.set()
        if len(channel.watchers) == 1:
            task = asyncio.create_task(channel.keep_up())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._stop is None:
            self._stop = threading.Event()
            loop = asyncio.get_running_loop()
            threading.Thread(
                target=self._follow, args=(self._stop, loop), name="metrics serve: live", daemon=True
            ).start()
        return channel

    def _left(self, channel: Channel) -> None:
        if not channel.watchers:
            self._channels.pop(channel.view, None)
            channel.is_dirty.set()
        if not self._channels and self._stop is not None:
            self._stop.set()
            self._stop = None

    def _follow(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Hand new records on until nobody watches; whatever ends the following, it begins again."""
        if self._site.is_elsewhere:
            self._look_again(stop, loop)
            return
        while not stop.is_set():
            try:
                with follow(self._site.directory, wait=1.0) as follower:
                    follower.skip()
                    self._hand_on(follower, stop, loop)
            except InstrumentError:
                stop.wait(1.0)
            except RuntimeError:
                return  # the server's loop is closed

    def _look_again(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Have every page drawn anew now and then, where new records do not come by themselves."""
        while not stop.wait(LOOKED_AGAIN):
            for channel in list(self._channels.values()):
                with suppress(RuntimeError):  # the server's loop is closed
                    loop.call_soon_threadsafe(channel.is_dirty.set)

    def _hand_on(self, follower: Follower, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        while not stop.is_set():
            for batch in follower.batches():
                loop.call_soon_threadsafe(self._take, batch)
                if stop.is_set():
                    return

    def _take(self, records: Sequence[Record]) -> None:
        for channel in list(self._channels.values()):
            channel.take(records)


def routes(site: Site) -> list[BaseRoute]:
    """The route of the stream."""
    hub = Hub(site)

    async def stream(request: Request) -> Response:
        given = request.query_params
        path = given.get("path", "/")
        kept = [(key, value) for key, value in given.multi_items() if key not in ("path", "again")]
        view = View.of(path, type(given)(kept))
        if not view.is_live or path not in pages.ROUTES:
            return PlainTextResponse("this page stands still\n", status_code=204)
        try:
            parsed(where_of(view))
            view.worked_out(site)
        except InstrumentError as error:
            return PlainTextResponse(f"{error}\n", status_code=204)
        again = bool(given.get("again")) or "last-event-id" in request.headers
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(hub.watch(view, again=again), media_type="text/event-stream", headers=headers)

    return [Route("/live", stream)]
