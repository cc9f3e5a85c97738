"""video_oauth_auth: the same object in every client."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Any

import requests

from video_oauth_auth import AuthorizationServer, ClientCredentials, OAuth2Auth, OAuthClient, TokenSource

from ..site import Site
from .clients import over_httpx, over_httpx_async, over_requests, settings
from .contender import OURS, AsyncFetch, Client, Contender, Fetch, Terms

__all__ = ["CONTENDERS", "auth_at"]


def auth_at(site: Site, terms: Terms) -> OAuth2Auth:
    """Make the auth object: for the refresh token one that has nothing else to fall back on."""
    server = AuthorizationServer(token_endpoint=site.token_endpoint)
    client = OAuthClient(site.client_id, site.client_secret)
    if terms.grant_type == "refresh_token":
        source = TokenSource(server, client, None, token=site.token("password"))
    else:
        source = TokenSource(server, client, ClientCredentials())
    return OAuth2Auth(source, origins=[site.url])


def _in_requests(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    session = requests.Session()
    session.auth = auth_at(site, terms)
    return over_requests(session, site, terms)


def _in_httpx(client: Client, site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    module: Any = importlib.import_module(client)
    return over_httpx(module.Client(auth=auth_at(site, terms), **settings(client, terms)), site)


def _in_async_httpx(client: Client, site: Site, terms: Terms) -> AbstractAsyncContextManager[AsyncFetch]:
    module: Any = importlib.import_module(client)
    return over_httpx_async(module.AsyncClient(auth=auth_at(site, terms), **settings(client, terms)), site)


def _authenticate(site: Site) -> Callable[[requests.PreparedRequest], Any]:
    return auth_at(site, Terms())


def _make(number: int) -> OAuth2Auth:
    server = AuthorizationServer(token_endpoint="https://login.example.com/token")
    return OAuth2Auth.client_credentials(
        server, f"client-{number}", f"secret-{number}", origins=["https://api.example.com"]
    )


CONTENDERS = (
    Contender(package=OURS, client="requests", open=_in_requests, authenticate=_authenticate, make=_make),
    Contender(
        package=OURS, client="httpx", open=partial(_in_httpx, "httpx"), open_async=partial(_in_async_httpx, "httpx")
    ),
    Contender(
        package=OURS, client="httpx2", open=partial(_in_httpx, "httpx2"), open_async=partial(_in_async_httpx, "httpx2")
    ),
)
