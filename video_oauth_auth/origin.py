"""Origins (RFC 6454): where a token or a secret may be sent."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from .errors import ConfigurationError, InsecureTransportError, cleaned

__all__ = [
    "Origin",
    "Origins",
    "checked_endpoint",
    "has_any_port",
    "insecure_members",
    "is_loopback",
    "listed",
    "origin_of",
    "shared_origins",
    "written",
]

Origin = tuple[str, str, int]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.%]+")
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")


def origin_of(url: str) -> Origin | None:
    """Give scheme, host and port of a URL, or None where it has none."""
    if _NOT_IN_A_URL.search(url):  # two parsers may find two different hosts in it
        return None
    try:
        parts = urlsplit(url)
        port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def written(origin: Origin) -> str:
    """Give an origin as a person writes it."""
    scheme, host, port = origin
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


@lru_cache(maxsize=256)  # thousands of auth objects for one platform share one list
def shared_origins(origins: tuple[str, ...], insecure_origins: tuple[str, ...]) -> Origins:
    """Give the origins that a token may be sent to."""
    return Origins(origins, insecure_origins)


class Origins:
    """The origins that a token may be sent to: exact scheme, host and port, nothing else."""

    __slots__ = ("_members", "_prefixes")

    def __init__(self, origins: Iterable[str], insecure_origins: Iterable[str] = ()) -> None:
        insecure = insecure_members(insecure_origins)
        members = {_parsed(url, "origins") for url in listed(origins, "origins")}
        for origin in members - insecure:
            _check_secure(origin)
        members |= insecure
        # From http://host to https://host both libraries keep the header in a redirect, and the hop is a safer one.
        members |= {("https", host, 443) for scheme, host, port in members if (scheme, port) == ("http", 80)}
        self._members = frozenset(members)
        if not members:
            raise ConfigurationError("origins= is empty: name the origins that the token is for, as https://host")
        # A URL that starts with one of these has exactly that authority: the quick way for almost every request.
        self._prefixes = tuple(written(origin) + "/" for origin in self._members)

    def holds(self, url: str) -> bool:
        return url.startswith(self._prefixes) or origin_of(url) in self._members

    def holds_parts(self, scheme: str, host: str, port: int | None) -> bool:
        return (scheme, host, _DEFAULT_PORTS.get(scheme, 0) if port is None else port) in self._members

    def written(self) -> tuple[str, ...]:
        """Give them as a person writes them, sorted."""
        return tuple(sorted(map(written, self._members)))

    def __str__(self) -> str:
        return ", ".join(self.written())


def checked_endpoint(url: str, name: str, insecure_origins: frozenset[Origin] = frozenset()) -> str:
    """Give an endpoint's URL back if secrets may be sent to it.

    Args:
        url: the URL.
        name: what it is, for the message.
        insecure_origins: origins that may be used without TLS.

    Raises:
        ConfigurationError: it is not an absolute URL, or holds user information, a fragment or odd characters.
        InsecureTransportError: it is not https, not loopback and not listed.
    """
    origin = _parsed(url, name, path=True)
    if origin not in insecure_origins:
        _check_secure(origin)
    return url


def insecure_members(insecure_origins: Iterable[str]) -> frozenset[Origin]:
    """Read what the user gave as `insecure_origins=`."""
    return frozenset(_parsed(url, "insecure_origins") for url in listed(insecure_origins, "insecure_origins"))


def listed(urls: Iterable[str], name: str) -> tuple[str, ...]:
    """Give what the user gave as a list of origins.

    Raises:
        ConfigurationError: it is no list of texts.
    """
    if not isinstance(urls, Iterable):
        raise ConfigurationError(f"{name}= takes a list of origins, not {type(urls).__name__}")
    if isinstance(urls, str):
        raise ConfigurationError(f"{name}= takes a list of origins, not one text: {name}=[{cleaned(urls)!r}]")
    found = tuple(urls)
    if not all(isinstance(url, str) for url in found):
        raise ConfigurationError(f"{name}= takes origins as text")
    return found


def _parsed(url: str, name: str, *, path: bool = False) -> Origin:
    if not isinstance(url, str):
        raise ConfigurationError(f"{name}: an URL as text is needed, not {type(url).__name__}")
    shown = cleaned(re.sub(r"//[^/@]*@", "//…@", url.split("?")[0]))
    if _NOT_IN_A_URL.search(url) or url.startswith("-"):
        raise ConfigurationError(f"{name}: {shown!r} holds characters that no URL has")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigurationError(f"{name}: {shown!r} is no URL ({cleaned(str(error))})") from None
    if parsed.scheme not in _DEFAULT_PORTS or not parsed.host:
        raise ConfigurationError(f"{name}: {shown!r} is no absolute URL; write it as https://host")
    host = parsed.raw_host.decode("ascii")
    if not _HOST.fullmatch(host) or (parsed.port is not None and not 0 < parsed.port < 65536):
        raise ConfigurationError(f"{name}: {shown!r} is no host and port to send a secret to; wildcards are not known")
    if parsed.userinfo or parsed.fragment or "#" in url:
        raise ConfigurationError(f"{name}: {shown!r} must not hold user information or a fragment")
    if not path and (parsed.path not in ("", "/") or parsed.query or "?" in url):
        raise ConfigurationError(f"{name}: {shown!r} has a path; an origin is scheme, host and port only")
    return parsed.scheme, host, parsed.port or _DEFAULT_PORTS[parsed.scheme]


def has_any_port(url: str) -> bool:
    """Tell whether an URL has port 0, which stands for any free one."""
    return re.match(r"https?://[^/?#]*:0+(?:[/?#]|$)", url) is not None


def _check_secure(origin: Origin) -> None:
    if origin[0] != "https" and not is_loopback(origin[1]):
        raise InsecureTransportError(
            f"{written(origin)} is not https: tokens and secrets would travel readable. Use https, or name it in "
            f"insecure_origins= if the network between is yours"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host name or literal address means this machine itself (RFC 8252, section 8.3)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
