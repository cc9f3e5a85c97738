"""Who may call the proxy."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.requests import Request

from ..errors import ConfigurationError
from ..origin import is_loopback, listed, origin_of, written
from .headers import KEY
from .refusals import Refusal

__all__ = ["Callers"]

SHORTEST_KEY = 16  # characters
_KEY = re.compile(r"[\x21-\x7e]+")
_BEARER = "bearer "
_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


class Callers:
    """Decides who may call.

    Args:
        key: what callers have to show; None lets only this machine call.
        allowed_origins: the web pages that may call, as origins.

    Attributes:
        pages: these web pages, as browsers name them.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(self, key: str | None, allowed_origins: Iterable[str]) -> None:
        if key is not None and (len(key) < SHORTEST_KEY or not _KEY.fullmatch(key)):
            raise ConfigurationError(
                f"key= has to have {SHORTEST_KEY} characters or more, of ASCII and without blanks; "
                'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
            )
        self._key = key
        self.pages = frozenset(_page(url) for url in listed(allowed_origins, "allowed_origins"))

    def check(self, request: Request) -> None:
        """Raise a `Refusal` if this caller may not call."""
        headers = request.headers
        if self._key is None:
            _check_local(request)
        origin = headers.get("origin")
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if (origin is not None or foreign) and origin not in self.pages:
            raise Refusal(403, "origin_not_allowed", "Web pages of this origin may not call this proxy.")
        if self._key is not None and not _shows(headers, self._key):
            message = "Send the key of this proxy as X-Proxy-Key."
            raise Refusal(401, "key_required", message, {"WWW-Authenticate": "Bearer"})


def _shows(headers: Headers, key: str) -> bool:
    given = headers.getlist(KEY.decode())
    given += [
        value[len(_BEARER) :].strip()
        for value in headers.getlist("authorization")
        if value[: len(_BEARER)].lower() == _BEARER
    ]
    return any(hmac.compare_digest(one.encode("latin-1"), key.encode()) for one in given)


def _check_local(request: Request) -> None:
    """Let only this machine in, under a name that no foreign DNS can point here, and nobody else through it."""
    client = request.client
    host = origin_of("http://" + request.headers.get("host", ""))
    is_passed_on = any(name in request.headers for name in _OF_PROXIES)
    if host is None or not is_loopback(host[1]) or (client and not is_loopback(client.host)) or is_passed_on:
        raise Refusal(403, "not_local", "Without a key, this proxy serves its own machine only, as 127.0.0.1.")


def _page(url: str) -> str:
    origin = origin_of(url)
    if origin is None or url.rstrip("/") != written(origin):
        raise ConfigurationError(
            "allowed_origins= takes origins as browsers write them: https://host or https://host:port"
        )
    return written(origin)
