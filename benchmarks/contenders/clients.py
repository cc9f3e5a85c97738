"""The HTTP clients, set up the same for everybody."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from ..site import Site
from .contender import AsyncFetch, Client, Fetch, Terms

__all__ = ["over_httpx", "over_httpx_async", "over_requests", "settings"]

PATIENCE = 120.0  # seconds: nobody shall fail because a queue is long


@contextmanager
def over_requests(session: requests.Session, site: Site, terms: Terms) -> Iterator[Fetch]:
    """Use a session; its auth has been set, or it is one that brings its own."""
    session.mount("http://", HTTPAdapter(pool_maxsize=terms.connections))
    session.trust_env = False  # no look at netrc and proxies: that is the same work for everybody
    with session:
        yield lambda: session.get(site.api, timeout=PATIENCE).status_code


def settings(client: Client, terms: Terms) -> dict[str, Any]:
    """Give the arguments for a client of httpx or httpx2."""
    module: Any = importlib.import_module(client)
    limits = module.Limits(max_connections=terms.connections, max_keepalive_connections=terms.connections)
    given = {"timeout": PATIENCE, "limits": limits, "trust_env": False}
    if terms.mocked:
        given["transport"] = module.MockTransport(lambda _: module.Response(200))
    return given


@contextmanager
def over_httpx(client: Any, site: Site) -> Iterator[Fetch]:
    """Use a client of httpx or httpx2."""
    with client:
        yield lambda: int(client.get(site.api).status_code)


@asynccontextmanager
async def over_httpx_async(client: Any, site: Site) -> AsyncIterator[AsyncFetch]:
    """Use an asyncio client of httpx or httpx2."""

    async def fetch() -> int:
        return int((await client.get(site.api)).status_code)

    async with client:
        yield fetch
