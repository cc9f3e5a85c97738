"""httpx-auth: an auth object of httpx, for Client and AsyncClient."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import httpx
from httpx_auth import OAuth2ClientCredentials, OAuth2ResourceOwnerPasswordCredentials

from ..site import Site
from .clients import over_httpx, over_httpx_async, settings
from .contender import AsyncFetch, Contender, Fetch, Terms

__all__ = ["CONTENDERS"]


def _auth_at(site: Site, terms: Terms) -> Any:
    """Give the object for the grant; refresh tokens are known to its grants for people only."""
    leeway = {} if terms.leeway is None else {"early_expiry": terms.leeway}
    if terms.grant_type == "refresh_token":
        return OAuth2ResourceOwnerPasswordCredentials(
            site.token_endpoint,
            site.username,
            site.password,
            client_auth=(site.client_id, site.client_secret),
            **leeway,
        )
    return OAuth2ClientCredentials(site.token_endpoint, site.client_id, site.client_secret, **leeway)


def _in_httpx(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    return over_httpx(httpx.Client(auth=_auth_at(site, terms), **settings("httpx", terms)), site)


def _in_async_httpx(site: Site, terms: Terms) -> AbstractAsyncContextManager[AsyncFetch]:
    return over_httpx_async(httpx.AsyncClient(auth=_auth_at(site, terms), **settings("httpx", terms)), site)


def _make(number: int) -> object:
    return OAuth2ClientCredentials("https://login.example.com/token", f"client-{number}", f"secret-{number}")


CONTENDERS = (Contender(package="httpx-auth", client="httpx", open=_in_httpx, open_async=_in_async_httpx, make=_make),)
