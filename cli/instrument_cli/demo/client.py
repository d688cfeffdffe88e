"""The company's API as the agents ask it: gql over httpx, once for threads and once for asyncio."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from gql import Client, GraphQLRequest
from gql.transport.httpx import HTTPXAsyncTransport, HTTPXTransport

from instrument import track_graphql

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gql.client import AsyncClientSession, SyncClientSession

TIMEOUT_S = 1.5

# Plain HTTP on loopback: no certificates to load, and no proxy in between.
_OPTIONS: dict[str, Any] = {"verify": False, "trust_env": False}


class Api:
    """The API for code that runs in threads; one connection pool for all of them."""

    def __init__(self, session: SyncClientSession) -> None:
        self._session = session

    @track_graphql
    def execute(self, query: GraphQLRequest, **variables: object) -> dict[str, Any]:
        """Ask, and return the data; raises TransportQueryError for errors in the answer."""
        return self._session.execute(GraphQLRequest(query, variable_values=variables))


class AsyncApi:
    """The API for code that runs on an event loop."""

    def __init__(self, session: AsyncClientSession) -> None:
        self._session = session

    @track_graphql
    async def execute(self, query: GraphQLRequest, **variables: object) -> dict[str, Any]:
        """Ask, and return the data; raises TransportQueryError for errors in the answer, TimeoutError for none."""
        try:
            return await self._session.execute(GraphQLRequest(query, variable_values=variables))
        except TimeoutError:
            raise TimeoutError(f"the API did not answer within {TIMEOUT_S} s") from None


@contextmanager
def connected(url: str) -> Iterator[Api]:
    """Connect for threads."""
    with Client(transport=HTTPXTransport(url, timeout=TIMEOUT_S, **_OPTIONS)) as session:
        yield Api(session)


@asynccontextmanager
async def connected_async(url: str) -> AsyncIterator[AsyncApi]:
    """Connect for an event loop."""
    transport = HTTPXAsyncTransport(url, timeout=None, **_OPTIONS)
    async with Client(transport=transport, execute_timeout=TIMEOUT_S) as session:
        yield AsyncApi(session)
