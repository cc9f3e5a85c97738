"""requests-oauthlib: a session of requests; it renews tokens on its own by a refresh token only."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import requests
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2, OAuth2Session

from ..site import Site
from .clients import over_requests
from .contender import Contender, Fetch, Terms

__all__ = ["CONTENDERS"]

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the server of the benchmark is http on loopback


def _ignored(_: object) -> None:
    """Take note of a new token: without this function the session raises instead of going on."""


def _in_requests(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    session = OAuth2Session(
        site.client_id,
        token=dict(site.token("password")),
        auto_refresh_url=site.token_endpoint,
        auto_refresh_kwargs={"client_id": site.client_id, "client_secret": site.client_secret},
        token_updater=_ignored,
    )
    return over_requests(session, site, terms)


def _authenticate(site: Site) -> Callable[[requests.PreparedRequest], Any]:
    token = dict(site.token("client_credentials"))
    auth: Callable[[requests.PreparedRequest], Any] = OAuth2(
        client=BackendApplicationClient(site.client_id, token=token), token=token
    )
    return auth


def _make(number: int) -> object:
    return OAuth2Session(client=BackendApplicationClient(f"client-{number}"))


CONTENDERS = (
    Contender(
        package="requests-oauthlib",
        client="requests",
        open=_in_requests,
        authenticate=_authenticate,
        make=_make,
        grant_types=frozenset({"refresh_token"}),
    ),
)
