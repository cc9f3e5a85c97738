"""Public documents of a server: fetching, reading JSON objects, how long they may be kept.

Metadata, WebFinger answers and keys are asked for without any secret, so nothing is lost where that fails.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from copy import copy
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

from . import forks, transport
from .budget import Budget, now
from .endpoints import HTTPRequest, HTTPResponse
from .errors import InvalidResponseError, OAuthError, TransportError
from .origin import Origin, checked_endpoint
from .server import AuthorizationServer

__all__ = ["Kept", "check_available", "endpoint_of", "get", "json_object", "lifetime", "read_object", "usable"]

KEPT_AT_LEAST, KEPT_IF_NOT_SAID, KEPT_AT_MOST = 60.0, 3600.0, 86400.0  # seconds
LOOKED_AGAIN_AFTER = 60.0  # seconds until the next try where the server is down and an old document is used
SHORT_LOOK = 3.0  # seconds that looking for a newer document may take while there is an old one
STALE_AT_MOST = 86400.0  # seconds that an old document is used while the server is down
MOST_LEVELS = 100  # of nesting; whatever writes the members somewhere must not run out of stack

T = TypeVar("T")


Fetch = Callable[[Budget], tuple[T, float]]  # gives a document and the seconds that it may be kept


class Kept(Generic[T]):
    """A document that is kept as long as its server says, and a little longer while the server is down.

    One caller fetches for all who ask meanwhile. An old document is only worth a short look for a newer one.
    """

    __slots__ = ("_failed", "_fresh_until", "_lock", "_stale_until", "_value")

    def __init__(self) -> None:
        self._lock = forks.ForkSafeLock()  # held while one fetches for all
        self._value: T | None = None
        self._fresh_until = self._stale_until = 0.0
        self._failed: tuple[float, OAuthError] | None = None  # when, and why

    def current(self, fetch: Fetch[T], budget: Budget) -> T:
        """Give the document, and fetch it where it is not known or too old.

        Args:
            fetch: fetches it.
            budget: the time that it may take.

        Raises:
            OAuthError: there is none, and `fetch` said why; or others were still fetching it at the end of the budget.
        """
        asked_at, old = now(), self._value
        if old is not None and asked_at < self._fresh_until:
            return old
        old = old if asked_at < self._stale_until else None
        lock = self._lock.here()
        if not lock.acquire(timeout=max(budget.remaining(), 0.0) if old is None else 0.0):
            if old is None:
                raise TransportError(f"not done within {budget.seconds:g} s: still {budget.phase}", sent=False)
            return old
        try:
            return self._fetched(fetch, budget, asked_at, old)
        finally:
            lock.release()

    def _fetched(self, fetch: Fetch[T], budget: Budget, asked_at: float, old: T | None) -> T:
        if self._value is not None and now() < self._fresh_until:  # by another, meanwhile
            return self._value
        if self._failed is not None and self._failed[0] > asked_at:
            raise self._failed[1].copied()
        try:
            return self.renewed(fetch, budget if old is None else Budget(min(SHORT_LOOK, budget.remaining())))
        except OAuthError as error:
            if old is None:
                self._failed = (now(), error.copied())
                raise
        self._fresh_until = now() + LOOKED_AGAIN_AFTER
        return old

    def renewed(self, fetch: Fetch[T], budget: Budget) -> T:
        """Fetch the document, however fresh it is; for one caller at a time. Arguments and errors as for `current`."""
        self._value, kept = fetch(budget)
        self._fresh_until = now() + kept
        self._stale_until = self._fresh_until + STALE_AT_MOST
        return self._value


def get(url: str, via: transport.Via, budget: Budget) -> HTTPResponse:
    """Fetch a document; gives the answer, whatever its status, if the server is available.

    Raises:
        TransportError: no complete answer, 429, or 5xx.
        InvalidResponseError: the answer is too large.
    """
    budget.phase = f"fetching {url}"
    own = copy(budget)  # the caller may have a token that is not saved yet: its `sent` stays what it is
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "video-oauth-auth"}
    try:
        response = transport.send(HTTPRequest(method="GET", url=url, headers=headers), via=via, budget=own)
    except TransportError as error:
        error.sent = False  # no secret has left; a refresh token certainly not
        raise
    check_available(response, url)
    return response


def check_available(response: HTTPResponse, url: str) -> None:
    """Raise a `TransportError` if the answer only says to come back later."""
    if response.status == 429 or response.status >= 500:
        raise TransportError(f"{url} answered {response.status}; try later", status=response.status, sent=False)


def read_object(response: HTTPResponse, url: str) -> dict[str, Any]:
    """Give the members of an answer that is a JSON object.

    Raises:
        InvalidResponseError: it is none, as `json_object` sees it.
    """
    members = json_object(response.body)
    if members is None:
        raise InvalidResponseError(
            f"{url} gave no JSON object (in UTF-8, with no member twice and finite numbers only)",
            status=response.status,
        )
    return members


def json_object(text: bytes) -> dict[str, Any] | None:
    """Give the members of a JSON object that everybody reads in the same way; None for anything else.

    That is UTF-8, with no member twice, finite numbers, whole characters and at most 100 levels.
    """
    try:
        members = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_unique)
        json.dumps(members, allow_nan=False, ensure_ascii=False).encode()  # tells of NaN, 1e999 and lone surrogates
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) and not _is_too_deep(members) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        nested = [item for item in level if isinstance(item, dict | list)]
        level = [inner for item in nested for inner in (item.values() if isinstance(item, dict) else item)]
    return any(isinstance(item, dict | list) for item in level)


def lifetime(headers: Mapping[str, str]) -> float:
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


def endpoint_of(server: AuthorizationServer, name: str, insecure_origins: frozenset[Origin]) -> str | None:
    """Give the URL of an endpoint that the metadata name; None where they name none.

    Checked here, when it is needed: a bad URL of an endpoint that nobody uses does no harm.

    Args:
        server: the metadata.
        name: the member, for example `userinfo_endpoint`.
        insecure_origins: origins that may be used without TLS.

    Raises:
        InvalidResponseError: nothing may be sent to that URL.
    """
    url: str | None = getattr(server, name)
    return usable(url, name, f"the metadata of {server.name}", insecure_origins) if url else None


def usable(url: str, name: str, where: str, insecure_origins: frozenset[Origin]) -> str:
    """Give back an URL that comes from a document, if it may be used.

    Raises:
        InvalidResponseError: it is not absolute, not https, or has odd parts; says `name` and `where` it stands.
    """
    failure = None
    try:
        return checked_endpoint(url, name, insecure_origins)
    except OAuthError as error:
        failure = str(error)
    raise InvalidResponseError(f"the {name} in {where} cannot be used: {failure}")
