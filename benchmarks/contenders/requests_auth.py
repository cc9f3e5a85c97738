"""requests_auth: an auth object of requests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import requests
from requests_auth import OAuth2ClientCredentials, OAuth2ResourceOwnerPasswordCredentials

from ..site import Site
from .clients import over_requests
from .contender import Contender, Fetch, Terms

__all__ = ["CONTENDERS"]


def _auth_at(site: Site, terms: Terms) -> Any:
    """Give the object for the grant; refresh tokens are known to its grants for people only."""
    leeway = {} if terms.leeway is None else {"early_expiry": terms.leeway}
    if terms.grant_type == "refresh_token":
        return OAuth2ResourceOwnerPasswordCredentials(
            site.token_endpoint,
            site.username,
            site.password,
            session_auth=(site.client_id, site.client_secret),
            **leeway,
        )
    return OAuth2ClientCredentials(site.token_endpoint, site.client_id, site.client_secret, **leeway)


def _in_requests(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    session = requests.Session()
    session.auth = _auth_at(site, terms)
    return over_requests(session, site, terms)


def _authenticate(site: Site) -> Callable[[requests.PreparedRequest], Any]:
    auth: Callable[[requests.PreparedRequest], Any] = _auth_at(site, Terms())
    return auth


def _make(number: int) -> object:
    return OAuth2ClientCredentials("https://login.example.com/token", f"client-{number}", f"secret-{number}")


CONTENDERS = (
    Contender(
        package="requests_auth",
        client="requests",
        open=_in_requests,
        authenticate=_authenticate,
        make=_make,
    ),
)
