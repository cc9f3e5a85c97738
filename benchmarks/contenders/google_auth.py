"""google-auth: a session of requests; it renews tokens by a refresh token, 225 seconds before their end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.credentials import Credentials

from ..site import Site
from .clients import over_requests
from .contender import Contender, Fetch, Terms

__all__ = ["CONTENDERS"]


def _credentials(site: Site, token: dict[str, Any]) -> Any:
    expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=token["expires_in"])  # it wants it naive
    return Credentials(
        token["access_token"],
        refresh_token=token.get("refresh_token"),
        token_uri=site.token_endpoint,
        client_id=site.client_id,
        client_secret=site.client_secret,
        expiry=expiry,
    )


def _in_requests(site: Site, terms: Terms) -> AbstractContextManager[Fetch]:
    session = AuthorizedSession(_credentials(site, dict(site.token("password"))))
    return over_requests(session, site, terms)


def _authenticate(site: Site) -> Callable[[requests.PreparedRequest], Any]:
    """Give what its session does before each request; it has no auth object."""
    credentials, transport = _credentials(site, dict(site.token("password"))), Request()

    def before_request(request: requests.PreparedRequest) -> None:
        credentials.before_request(transport, request.method, request.url, request.headers)

    return before_request


def _make(number: int) -> object:
    return Credentials(
        None,
        refresh_token=f"refresh-{number}",
        token_uri="https://login.example.com/token",
        client_id=f"client-{number}",
        client_secret=f"secret-{number}",
    )


CONTENDERS = (
    Contender(
        package="google-auth",
        client="requests",
        open=_in_requests,
        authenticate=_authenticate,
        make=_make,
        grant_types=frozenset({"refresh_token"}),
        has_leeway=False,
    ),
)
