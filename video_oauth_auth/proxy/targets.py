"""Where the proxy forwards to: the path of a request names the host, and only listed ones are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from starlette.types import Scope

from ..auth import OAuth2Auth
from ..errors import ConfigurationError
from ..origin import listed, origin_of, written
from .refusals import Refusal

__all__ = ["Target", "Targets"]

_IN_A_PATH = "/:@!$&'()*+,;=~"  # RFC 3986, section 3.3
_IN_A_FRAGMENT = _IN_A_PATH + "?%"


@dataclass(frozen=True)
class Target:
    """Where one request goes.

    Attributes:
        origin: scheme, host and port, as a person writes it.
        url: the whole URL.
        root: the path under which the proxy itself is mounted.
    """

    origin: str
    url: httpx.URL
    root: str


class Targets:
    """The origins that a proxy forwards to.

    Args:
        auth: whose token it attaches.
        origins: some of the origins of `auth`; None for all of them.

    Raises:
        ConfigurationError: one of them is no origin of `auth`.
    """

    def __init__(self, auth: OAuth2Auth, origins: Iterable[str] | None) -> None:
        found = auth.origins if origins is None else [_own(auth, url) for url in listed(origins, "origins")]
        if not found:
            raise ConfigurationError("origins= is empty: name the origins that the proxy forwards to")
        # http before https: where both have one host and port, the safer one stays
        self._by_authority = {_authority(origin): origin for origin in sorted(found)}

    def __str__(self) -> str:
        return ", ".join(sorted(self._by_authority.values()))

    def of(self, scope: Scope) -> Target:
        """Read the path of a request: `/host/path`, below where the proxy is mounted.

        Raises:
            Refusal: the host is not known, or the path is none.
        """
        root = scope.get("root_path", "").rstrip("/")
        start, _, below = _below(root, scope).partition(b"/")
        authority, _, path = below.partition(b"/")
        origin = self._by_authority.get(authority.decode("latin-1").lower())
        if start or origin is None:
            raise Refusal(404, "unknown_host", "This proxy forwards /HOST/PATH, for the hosts of its platform only.")
        query = scope.get("query_string", b"")
        try:
            url = httpx.URL(origin).copy_with(raw_path=b"/" + path + (b"?" + query if query else b""))
        except (httpx.InvalidURL, ValueError):
            url = httpx.URL()
        if _origin_of(url) != origin:
            raise Refusal(400, "invalid_path", "The path cannot be forwarded.")
        return Target(origin, url, root)

    def location(self, target: Target, location: bytes) -> bytes:
        """Let a redirect to a known host lead through the proxy; others stay as they are."""
        try:
            url = target.url.join(location.decode())
            known = _origin_of(url)
        except (httpx.InvalidURL, ValueError):
            return location
        if known is None or known not in self._by_authority.values() or url.userinfo:
            return location
        fragment = f"#{quote(url.fragment, safe=_IN_A_FRAGMENT)}" if url.fragment else ""
        return f"{quote(target.root, safe=_IN_A_PATH)}/{_authority(known)}".encode() + url.raw_path + fragment.encode()


def _below(root: str, scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe=_IN_A_PATH).encode()
    for start in (root.encode(), quote(root, safe=_IN_A_PATH).encode()):
        if start and raw.startswith(start + b"/"):
            return raw[len(start) :]
    return raw


def _own(auth: OAuth2Auth, url: str) -> str:
    origin = url.rstrip("/")
    if origin not in auth.origins:
        raise ConfigurationError("origins= takes origins that the auth object is for, as https://host")
    return origin


def _origin_of(url: httpx.URL) -> str | None:
    found = origin_of(str(url.copy_with(raw_path=b"/", fragment=None))) if url.host else None
    return None if found is None else written(found)


def _authority(origin: str) -> str:
    return origin.partition("://")[2]
