"""Authlib: a session of requests and clients of httpx2, which bring their own auth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import requests
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from authlib.integrations.requests_client import OAuth2Session

from ..site import Site
from .clients import over_httpx, over_httpx_async, over_requests, settings
from .contender import AsyncFetch, Contender, Fetch, Terms

__all__ = ["CONTENDERS"]


def _given(site: Site, terms: Terms) -> dict[str, Any]:
    """Give the arguments: it wants a token before the first request, and renews it by the refresh token if it has one.

    Without `token=` the user calls `fetch_token` first, which is the same token call.
    """
    leeway = {} if terms.leeway is None else {"leeway": terms.leeway}
    grant_type = "password" if terms.grant_type == "refresh_token" else "client_credentials"
    return {
        "client_id": site.client_id,
        "client_secret": site.client_secret,
        "token_endpoint": site.token_endpoint,
        "grant_type": "client_credentials",
        "token": site.token(grant_type),
        **leeway,
    }


def _in_requests(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    return over_requests(OAuth2Session(**_given(site, terms)), site, terms)


def _in_httpx2(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    return over_httpx(OAuth2Client(**_given(site, terms), **settings("httpx2", terms)), site)


def _in_async_httpx2(site: Site, terms: Terms) -> AbstractAsyncContextManager[AsyncFetch]:
    return over_httpx_async(AsyncOAuth2Client(**_given(site, terms), **settings("httpx2", terms)), site)


def _authenticate(site: Site) -> Callable[[requests.PreparedRequest], Any]:
    auth: Callable[[requests.PreparedRequest], Any] = OAuth2Session(**_given(site, Terms())).token_auth
    return auth


def _make(number: int) -> object:
    return OAuth2Session(
        f"client-{number}",
        f"secret-{number}",
        token_endpoint="https://login.example.com/token",
        grant_type="client_credentials",
    )


CONTENDERS = (
    Contender(package="Authlib", client="requests", open=_in_requests, authenticate=_authenticate, make=_make),
    Contender(package="Authlib", client="httpx2", open=_in_httpx2, open_async=_in_async_httpx2),
)
