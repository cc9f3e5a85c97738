"""Discovery: where an issuer's endpoints are (RFC 8414, OpenID Connect Discovery 1.0, RFC 7033).

A document is used only if it names exactly the issuer that it was asked for. It is fetched when first needed, kept as
long as the server says, and a little longer while the server is down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from . import transport
from .budget import Budget
from .documents import Kept, get, lifetime, read_object, usable
from .endpoints import HTTPResponse
from .errors import ConfigurationError, InvalidResponseError, TransportError, cleaned
from .origin import Origin, checked_endpoint, insecure_members, is_loopback, origin_of, written
from .server import ENDPOINTS, AuthorizationServer

__all__ = ["Directory", "WebFinger", "discover"]

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
_TOKEN_ENDPOINT = re.compile(r"/(access_)?token/?$")


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
        insecure_origins: as given; for the other URLs in the metadata, which are checked when they are needed.
    """

    __slots__ = ("_at", "_given", "_kept", "insecure_origins", "name")

    def __init__(self, server: AuthorizationServer | WebFinger | str, insecure_origins: frozenset[Origin]) -> None:
        self.insecure_origins: frozenset[Origin] = insecure_origins
        self.name: str
        self._given: AuthorizationServer | None = None
        self._at: str | WebFinger = ""
        if isinstance(server, AuthorizationServer):
            if server.token_endpoint:
                checked_endpoint(server.token_endpoint, "token_endpoint", insecure_origins)
                self._given, self.name = server, server.name
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
        self._kept: Kept[AuthorizationServer] = Kept()

    def current(self, via: transport.Via, budget: Budget) -> AuthorizationServer:
        """Give the metadata, and fetch them where they are not known or too old; once for all who ask meanwhile.

        Raises:
            TransportError, InvalidResponseError: there are none.
        """
        if self._given is not None:
            return self._given
        return self._kept.current(lambda budget: self._fetch(via, budget), budget)

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
        try:
            return self._found(urls, issuer, via, budget)
        except (InvalidResponseError, TransportError) as error:
            if _TOKEN_ENDPOINT.search(urlsplit(issuer).path):
                advice = f"This looks like a token endpoint: give it as AuthorizationServer(token_endpoint={issuer!r})"
                error.args = (f"{error}. {advice}",)
            raise

    def _found(
        self, urls: list[str], issuer: str, via: transport.Via, budget: Budget
    ) -> tuple[AuthorizationServer, float]:
        for url in urls:
            response = get(url, via, budget)
            if response.status == 200:
                return _metadata(response, url, issuer, self.insecure_origins), lifetime(response.headers)
        raise InvalidResponseError(
            f"the issuer {issuer} has no metadata: {' and '.join(urls)} answered {response.status}",
            status=response.status,
        )

    def _finger(self, finger: WebFinger, via: transport.Via, budget: Budget) -> tuple[str, float]:
        origin = origin_of(finger.resource)
        assert origin is not None  # noqa: S101 - checked when it was made
        url = f"{written(origin)}/.well-known/webfinger?{urlencode({'resource': finger.resource})}"
        response = get(url, via, budget)
        links = (read_object(response, url).get("links") if response.status == 200 else None) or []
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == "http://openid.net/specs/connect/1.0/issuer":
                href = link.get("href")
                if isinstance(href, str):
                    href = usable(href, "issuer link", url, self.insecure_origins)
                    _check_not_this_machine(href, "issuer link", url, self.insecure_origins)
                    return href if href.endswith(OPENID) else href.rstrip("/") + OPENID, lifetime(response.headers)
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


def _metadata(response: HTTPResponse, url: str, issuer: str, insecure: frozenset[Origin]) -> AuthorizationServer:
    members = read_object(response, url)
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
    usable(endpoint, "token_endpoint", url, insecure)
    server = AuthorizationServer.from_metadata(members)
    for name in ENDPOINTS:
        _check_not_this_machine(getattr(server, name), name, url, insecure)
    return server


def _check_not_this_machine(link: str | None, name: str, where: str, insecure: frozenset[Origin]) -> None:
    """Refuse a link from elsewhere to a program on this machine: it would get secrets, and without TLS."""
    origin, source = origin_of(link or ""), origin_of(where)
    if origin is None or origin[0] == "https" or not is_loopback(origin[1]) or origin in insecure:
        return
    if source is None or not is_loopback(source[1]):
        raise InvalidResponseError(
            f"{where} names a program on this machine as its {name}, {written(origin)}: if that is meant, name it in "
            f"insecure_origins="
        )
