"""Discovery: where an issuer's endpoints are (RFC 8414, OpenID Connect Discovery 1.0, RFC 7033).

A document is used only if it names exactly the issuer that it was asked for. It is fetched when first needed, kept as
long as the server says, and a little longer while the server is down.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from . import transport
from .budget import Budget, now
from .endpoints import HTTPRequest, HTTPResponse
from .errors import ConfigurationError, InvalidResponseError, OAuthError, TransportError, cleaned
from .origin import Origin, checked_endpoint, insecure_members, origin_of, written
from .server import AuthorizationServer

__all__ = ["Directory", "WebFinger", "discover"]

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
KEPT_AT_LEAST, KEPT_IF_NOT_SAID, KEPT_AT_MOST = 60.0, 3600.0, 86400.0  # seconds
LOOKED_AGAIN_AFTER = 60.0  # seconds until the next try where the server is down and an old document is used
STALE_AT_MOST = 86400.0  # seconds that an old document is used while the server is down


@dataclass(frozen=True, slots=True)
class WebFinger:
    """A resource whose WebFinger document (RFC 7033) links to its issuer, as movingimage's API hosts have it.

    Args:
        resource: the resource, an URL; the document is asked for at its host.
    """

    resource: str


def discover(
    issuer: str, *, http_client: object | None = None, timeout: float = 30.0, insecure_origins: tuple[str, ...] = ()
) -> AuthorizationServer:
    """Fetch an issuer's metadata.

    Args:
        issuer: the issuer identifier, exactly as the server writes it.
        http_client: a `requests.Session`, `httpx.Client` or `httpx2.Client` whose transports are used.
        timeout: seconds that it may take, everything included.
        insecure_origins: origins that may be used without TLS.

    Raises:
        ConfigurationError: the issuer is no URL.
        InsecureTransportError: it is neither https, nor loopback, nor listed.
        TransportError: the server cannot be reached.
        InvalidResponseError: there are no metadata of this issuer.

    Source: RFC 8414, section 3; OpenID Connect Discovery 1.0, section 4
    """
    directory = Directory(issuer, insecure_members(insecure_origins))
    via = (
        transport.Via("httpx") if http_client is None else transport.Via(transport.via_client(http_client), http_client)
    )
    return directory.current(via, Budget(timeout))


class Directory:
    """Knows the authorization server of one source.

    Args:
        server: an issuer, a `WebFinger`, or the metadata themselves; metadata that name an issuer and no token
            endpoint are completed by discovery.
        insecure_origins: origins that may be used without TLS.

    Attributes:
        name: what tokens are filed under; known without I/O.
    """

    __slots__ = ("_at", "_fresh_until", "_insecure", "_server", "_stale_until", "name")

    def __init__(self, server: AuthorizationServer | WebFinger | str, insecure_origins: frozenset[Origin]) -> None:
        self._insecure = insecure_origins
        self._server: AuthorizationServer | None = None
        self._at: str | WebFinger = ""
        self._fresh_until = self._stale_until = 0.0
        if isinstance(server, AuthorizationServer):
            if server.token_endpoint:
                checked_endpoint(server.token_endpoint, "token_endpoint", insecure_origins)
                self._server, self._fresh_until, self.name = server, math.inf, server.name
                return
            server = server.issuer or ""
        if isinstance(server, WebFinger):
            self.name = checked_endpoint(server.resource, "api_url", insecure_origins)
        elif isinstance(server, str):
            self.name = _checked_issuer(server, insecure_origins)
        else:
            raise ConfigurationError(
                f"server has to be an issuer URL or an AuthorizationServer, not {type(server).__name__}"
            )
        self._at = server

    def current(self, via: transport.Via, budget: Budget) -> AuthorizationServer:
        """Give the metadata, and fetch them where they are not known or too old; for one caller at a time.

        Raises:
            TransportError, InvalidResponseError: there are none.
        """
        if self._server is not None and now() < self._fresh_until:
            return self._server
        failure: OAuthError
        try:
            self._server, kept = self._fetch(via, budget)
        except OAuthError as error:
            if self._server is not None and now() < self._stale_until:
                self._fresh_until = now() + LOOKED_AGAIN_AFTER
                return self._server
            failure = error.copied()
        else:
            self._fresh_until = now() + kept
            self._stale_until = self._fresh_until + STALE_AT_MOST
            return self._server
        if isinstance(failure, TransportError):
            failure.sent = False  # no secret has left; a refresh token certainly not
        raise failure

    def _fetch(self, via: transport.Via, budget: Budget) -> tuple[AuthorizationServer, float]:
        if isinstance(self._at, WebFinger):
            configuration, kept = self._finger(self._at, via, budget)
            # The link of movingimage names the configuration's URL, not the issuer; what is before the suffix is it.
            server, longer = self._read([configuration], configuration.removesuffix(OPENID), via, budget)
            return server, min(kept, longer)
        return self._read(_well_known(self._at), self._at, via, budget)

    def _read(
        self, urls: list[str], issuer: str, via: transport.Via, budget: Budget
    ) -> tuple[AuthorizationServer, float]:
        for url in urls:
            response = _get(url, via, budget)
            if response.status == 200:
                return _metadata(response, url, issuer, self._insecure), _lifetime(response.headers)
            if response.status == 429 or response.status >= 500:
                raise TransportError(f"{url} answered {response.status}; try later", status=response.status, sent=False)
        hint = ""
        if re.search(r"/(access_)?token/?$", urlsplit(issuer).path):
            hint = f". This looks like a token endpoint: give it as AuthorizationServer(token_endpoint={issuer!r})"
        raise InvalidResponseError(
            f"the issuer {issuer} has no metadata: {' and '.join(urls)} answered {response.status}{hint}",
            status=response.status,
        )

    def _finger(self, finger: WebFinger, via: transport.Via, budget: Budget) -> tuple[str, float]:
        origin = origin_of(finger.resource)
        assert origin is not None  # noqa: S101 - checked when it was made
        url = f"{written(origin)}/.well-known/webfinger?{urlencode({'resource': finger.resource})}"
        response = _get(url, via, budget)
        links = (_object(response, url).get("links") if response.status == 200 else None) or []
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == "http://openid.net/specs/connect/1.0/issuer":
                href = link.get("href")
                if isinstance(href, str):
                    href = _usable(href, "issuer link", url, self._insecure)
                    return href if href.endswith(OPENID) else href.rstrip("/") + OPENID, _lifetime(response.headers)
        raise InvalidResponseError(f"{url} (status {response.status}) links to no issuer", status=response.status)


def _checked_issuer(issuer: str, insecure_origins: frozenset[Origin]) -> str:
    checked_endpoint(issuer, "issuer", insecure_origins)
    if "?" in issuer:
        raise ConfigurationError("an issuer has no query (RFC 8414, section 2)")
    if issuer.endswith(OPENID):
        raise ConfigurationError(f"give the issuer without {OPENID}: {cleaned(issuer.removesuffix(OPENID))}")
    return issuer


def _well_known(issuer: str) -> list[str]:
    """Give the places of an issuer's metadata: appended (OpenID Connect), and inserted before the path (RFC 8414)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    base = f"{parts.scheme}://{parts.netloc}"
    return [f"{base}{path}{OPENID}", f"{base}{OAUTH}{path}"]


def _get(url: str, via: transport.Via, budget: Budget) -> HTTPResponse:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "video-oauth-auth"}
    try:
        return transport.send(HTTPRequest(method="GET", url=url, headers=headers), via=via, budget=budget)
    finally:
        budget.sent = False


def _object(response: HTTPResponse, url: str) -> Mapping[str, Any]:
    try:
        members = json.loads(response.body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise InvalidResponseError(f"{url} gave no JSON object", status=response.status)
    return members


def _metadata(response: HTTPResponse, url: str, issuer: str, insecure: frozenset[Origin]) -> AuthorizationServer:
    members = _object(response, url)
    named = members.get("issuer")
    if named != issuer:
        shown = cleaned(named) if isinstance(named, str) else type(named).__name__
        raise InvalidResponseError(
            f"{url} has the metadata of the issuer {shown!r}, not of {issuer!r}. They have to be the same to "
            f"the letter (RFC 8414, section 3.3); if the server is yours, write the issuer as it does"
        )
    endpoint = members.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise InvalidResponseError(f"the metadata of {issuer} name no token_endpoint")
    _usable(endpoint, "token_endpoint", url, insecure)
    return AuthorizationServer.from_metadata(members)


def _usable(url: str, name: str, where: str, insecure: frozenset[Origin]) -> str:
    """Check an URL that comes from a document."""
    failure = None
    try:
        return checked_endpoint(url, name, insecure)
    except OAuthError as error:
        failure = str(error)
    raise InvalidResponseError(f"{where} names an URL that cannot be used: {failure}")


def _lifetime(headers: Mapping[str, str]) -> float:
    """Give the seconds that a document may be kept (RFC 9111), within bounds."""
    kept = KEPT_IF_NOT_SAID
    control = headers.get("cache-control", "").lower()
    if age := re.search(r"max-age\s*=\s*\"?(\d{1,9})", control):
        kept = float(age[1])
    elif "no-store" in control or "no-cache" in control:
        kept = 0.0
    elif expires := headers.get("expires"):
        try:
            kept = parsedate_to_datetime(expires).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            kept = 0.0
    return min(max(kept, KEPT_AT_LEAST), KEPT_AT_MOST)
