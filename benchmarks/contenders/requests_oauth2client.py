"""requests-oauth2client: an auth object of requests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import requests
from requests_oauth2client import (
    BearerToken,
    OAuth2AccessTokenAuth,
    OAuth2Client,
    OAuth2ClientCredentialsAuth,
)

from ..site import Site
from .clients import over_requests
from .contender import Contender, Fetch, Terms

__all__ = ["CONTENDERS"]


def _auth_at(site: Site, terms: Terms) -> Any:
    client = OAuth2Client(  # testing: http on loopback
        site.token_endpoint, client_id=site.client_id, client_secret=site.client_secret, testing=True
    )
    leeway: dict[str, Any] = {} if terms.leeway is None else {"leeway": terms.leeway}
    if terms.grant_type == "refresh_token":
        return OAuth2AccessTokenAuth(client, BearerToken(**site.token("password")), **leeway)
    return OAuth2ClientCredentialsAuth(client, **leeway)


def _in_requests(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    session = requests.Session()
    session.auth = _auth_at(site, terms)
    return over_requests(session, site, terms)


def _authenticate(site: Site) -> Callable[[requests.PreparedRequest], Any]:
    auth: Callable[[requests.PreparedRequest], Any] = _auth_at(site, Terms())
    return auth


def _make(number: int) -> object:
    client = OAuth2Client(
        "https://login.example.com/token", client_id=f"client-{number}", client_secret=f"secret-{number}"
    )
    return OAuth2ClientCredentialsAuth(client)


CONTENDERS = (
    Contender(
        package="requests-oauth2client",
        client="requests",
        open=_in_requests,
        authenticate=_authenticate,
        make=_make,
    ),
)
