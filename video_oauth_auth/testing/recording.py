"""What the servers received, as frozen values, and waiting for it without sleeping."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

Role = Literal["authorization", "device", "token", "revocation", "metadata", "api", "analytics", "storage", "foreign"]
TokenState = Literal["none", "live", "expired", "revoked", "unknown"]

KEPT_BODY = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecordedRequest:
    """One request as a server saw it.

    Its `repr` shows neither headers, query nor body, so that it can stand in a failing assertion.

    Attributes:
        role: Which server: `authorization` (where people sign in and out, and the form for the codes of devices),
            `device` (where devices get these), `token`, `revocation`, `metadata` (discovery and keys), `api`,
            `analytics` (IBM Video Streaming), `storage` or `foreign`.
        number: The position in the order of arrival, from 1, over all roles.
        connection: The number of the TCP connection among those of this role.
        elapsed: Seconds from the start of the recording to the arrival, on a clock that never jumps.
        method: As received.
        path: As received, without the query.
        query: As received, without the question mark.
        headers: As received, in pairs.
        body: The body, or `b""` if it was larger than 64 KiB.
        size: Bytes of the whole body, however large.
        sha256: Of the whole body, however large.
        complete: False if the connection ended inside the body.
        status: The status that was answered; None while no answer, or no whole answer, has been sent.
        processed: Whether the request reached the server's logic (a token was issued, a resource was served).
            False if a fault answered or dropped before.
        token_state: API requests only: what the token was worth when the request was looked at.
    """

    role: Role
    number: int
    connection: int
    elapsed: float
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    size: int
    sha256: str
    complete: bool = True
    status: int | None = None
    processed: bool = False
    token_state: TokenState | None = None

    def __repr__(self) -> str:
        token = f" token={self.token_state}" if self.token_state else ""
        what = f"{self.method} {self.path} {self.size} bytes{token}"
        return f"<{self.number} {self.role}: {what} -> {self.status}>"

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def form(self) -> dict[str, str]:
        """The body read as `application/x-www-form-urlencoded`; of a repeated name the last value."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """The body read as JSON. Raises `ValueError` if it is not."""
        return json.loads(self.body)


class Recording:
    """The requests so far, and a condition that is notified with each change."""

    def __init__(self) -> None:
        # Guards _entries and _arrived. Re-entrant: a predicate reads `requests` while it is held.
        self._changed = threading.Condition(threading.RLock())
        self._entries: dict[int, RecordedRequest] = {}
        self._arrived = 0
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since this recording began."""
        return time.monotonic() - self._started

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """All requests in the order of their arrival."""
        with self._changed:
            return tuple(self._entries.values())

    def next_number(self) -> int:
        """The number of a request that has just arrived."""
        with self._changed:
            self._arrived += 1
            return self._arrived

    def arrived(self, request: RecordedRequest) -> None:
        """Add a request."""
        with self._changed:
            self._entries[request.number] = request
            self._changed.notify_all()

    def update(self, request: RecordedRequest) -> None:
        """Put the newer state of a request in its place, unless it has been cleared meanwhile."""
        with self._changed:
            if request.number in self._entries:
                self._entries[request.number] = request
            self._changed.notify_all()

    def notify(self) -> None:
        """Let waiting predicates look again."""
        with self._changed:
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._changed:
            self._entries.clear()
            self._changed.notify_all()

    def wait_for(self, predicate: Callable[[], object], timeout: float) -> None:
        """Wait until the predicate is true; it is asked again after each change.

        Raises:
            TimeoutError: It did not become true within `timeout` seconds; the text lists the last requests.
        """
        with self._changed:
            if not self._changed.wait_for(predicate, timeout):
                last = "\n".join(f"  {request!r}" for request in self.requests[-20:])
                raise TimeoutError(f"not true after {timeout} s; the last requests were:\n{last or '  none'}")
