"""Who may call the proxy, and what a browser is told about it."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from ..errors import ConfigurationError
from ..origin import is_loopback, listed, origin_of, written
from .asgi import Answer, Scope
from .headers import KEY, Pairs, first

__all__ = ["Callers"]

SHORTEST_KEY = 16  # characters
_KEY = re.compile(r"[\x21-\x7e]+")
_BEARER = b"bearer "
PREFLIGHT_AGE = 600  # seconds


class Callers:
    """Decides who may call.

    Args:
        key: what callers have to show; None lets only this machine call.
        allowed_origins: the web pages that may call, as origins.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(self, key: str | None, allowed_origins: Iterable[str]) -> None:
        if key is not None and (len(key) < SHORTEST_KEY or not _KEY.fullmatch(key)):
            raise ConfigurationError(
                f"key= has to have {SHORTEST_KEY} characters or more, of ASCII and without blanks; "
                'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
            )
        self._key = None if key is None else key.encode()
        self._origins = frozenset(_page(url).encode() for url in listed(allowed_origins, "allowed_origins"))

    def check(self, scope: Scope) -> None:
        """Raise an `Answer` if this caller may not call."""
        headers: Pairs = scope["headers"]
        if self._key is None:
            _check_local(scope)
        origin = first(headers, b"origin")
        foreign = first(headers, b"sec-fetch-site") in (b"cross-site", b"same-site")
        if (origin is not None or foreign) and origin not in self._origins:
            raise Answer(403, "origin_not_allowed", "Web pages of this origin may not call this proxy.")
        if scope["method"] == "OPTIONS" and origin and first(headers, b"access-control-request-method"):
            raise _preflight(headers)
        if self._key is not None and not self._shown(headers):
            raise Answer(
                401, "key_required", "Send the key of this proxy as X-Proxy-Key.", {"WWW-Authenticate": "Bearer"}
            )

    def headers(self, scope: Scope) -> Pairs:
        """Give what a browser has to know about the answer."""
        if not self._origins:
            return []
        origin = first(scope["headers"], b"origin")
        if origin not in self._origins or origin is None:
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"*"),
        ]

    def _shown(self, headers: Pairs) -> bool:
        assert self._key is not None  # noqa: S101 - asked for only where there is one
        given = [value for name, value in headers if name.lower() == KEY]
        given += [
            value[len(_BEARER) :].strip()
            for name, value in headers
            if name.lower() == b"authorization" and value[: len(_BEARER)].lower() == _BEARER
        ]
        return any(hmac.compare_digest(one, self._key) for one in given)


def _check_local(scope: Scope) -> None:
    """Let only this machine in, under a name that no foreign DNS can point here."""
    client = scope.get("client")
    host = origin_of("http://" + (first(scope["headers"], b"host") or b"").decode("latin-1"))
    if host is None or not is_loopback(host[1]) or (client and not is_loopback(client[0])):
        raise Answer(403, "not_local", "Without a key, this proxy serves its own machine only, as 127.0.0.1.")


def _preflight(headers: Pairs) -> Answer:
    """Tell a browser that its page may send what it asks about."""
    allowed = {"Access-Control-Max-Age": str(PREFLIGHT_AGE)}
    for asked in ("Method", "Headers"):
        value = first(headers, f"access-control-request-{asked}".lower().encode())
        if value:
            name = "Methods" if asked == "Method" else asked
            allowed[f"Access-Control-Allow-{name}"] = value.decode("latin-1")
    return Answer(200, "", "", allowed)


def _page(url: str) -> str:
    origin = origin_of(url)
    if origin is None or url.rstrip("/") != written(origin):
        raise ConfigurationError(
            "allowed_origins= takes origins as browsers write them: https://host or https://host:port"
        )
    return written(origin)
