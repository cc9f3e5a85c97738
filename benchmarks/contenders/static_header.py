"""A header that never changes: the least that an auth object can do, and so the limit."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Any

import requests
from requests.auth import AuthBase

from ..server import FIXED_TOKEN
from ..site import Site
from .clients import over_httpx, over_httpx_async, over_requests, settings
from .contender import STATIC, AsyncFetch, Client, Contender, Fetch, Terms

__all__ = ["CONTENDERS"]

HEADER = f"Bearer {FIXED_TOKEN}"


class StaticHeader(AuthBase):
    """Sets the header of a request of requests."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = HEADER
        return r


def _for_httpx(module: Any) -> Any:
    class StaticFlow(module.Auth):  # type: ignore[misc]  # of httpx or of httpx2
        def auth_flow(self, request: Any) -> Any:
            request.headers["Authorization"] = HEADER
            yield request

    return StaticFlow()


def _in_requests(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    session = requests.Session()
    session.auth = StaticHeader()
    return over_requests(session, site, terms)


def _in_httpx(client: Client, site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    module: Any = importlib.import_module(client)
    return over_httpx(module.Client(auth=_for_httpx(module), **settings(client, terms)), site)


def _in_async_httpx(client: Client, site: Site, terms: Terms) -> AbstractAsyncContextManager[AsyncFetch]:
    module: Any = importlib.import_module(client)
    return over_httpx_async(module.AsyncClient(auth=_for_httpx(module), **settings(client, terms)), site)


def _authenticate(_: Site) -> Callable[[requests.PreparedRequest], Any]:
    return StaticHeader()


CONTENDERS = (
    Contender(package=STATIC, client="requests", open=_in_requests, authenticate=_authenticate),
    Contender(
        package=STATIC, client="httpx", open=partial(_in_httpx, "httpx"), open_async=partial(_in_async_httpx, "httpx")
    ),
    Contender(
        package=STATIC,
        client="httpx2",
        open=partial(_in_httpx, "httpx2"),
        open_async=partial(_in_async_httpx, "httpx2"),
    ),
)
