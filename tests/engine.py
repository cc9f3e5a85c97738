"""What the tests of the renewal engine share: sources, tokens of any age, clocks that can be moved, crowds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from video_oauth_auth import ClientCredentials, OAuthClient, Token, TokenSource, budget
from video_oauth_auth.events import Event
from video_oauth_auth.testing import OAuthServer

BY_CLIENT_CREDENTIALS = ClientCredentials()


def source_of(
    server: OAuthServer, grant: Any = BY_CLIENT_CREDENTIALS, *, secret: Any = None, **settings: Any
) -> TokenSource:
    """Make a token source for a bundled server; `secret` instead of the one that the server knows."""
    client = OAuthClient(server.client_id, server.client_secret if secret is None else secret)
    return TokenSource(server.authorization_server, client, grant, **settings)


def refreshing(server: OAuthServer, *, age: float = 301.0, **settings: Any) -> TokenSource:
    """Make a source that can only refresh: its first token is that many of its 300 seconds old."""
    server.refresh_tokens = True
    return source_of(server, None, token=aged(server, age), **settings)


def aged(server: OAuthServer, age: float) -> Token:
    """Let the server issue a token that the client takes for that many seconds old (fresh for 240, good for 300)."""
    return Token.from_response(server.issue_token(), issued_at=time.time() - age)


def grant_types(server: OAuthServer) -> list[str]:
    """Give what each token call so far asked with."""
    return [call.form["grant_type"] for call in server.token_calls]


def refresh_token_works(server: OAuthServer, token: Token | None) -> bool:
    """Tell whether this token's refresh token is the one that the server takes now; it is spent by that."""
    assert token is not None
    assert token.refresh_token is not None
    expired = Token(access_token="x", issued_at=0.0, expires_at=1.0, refresh_token=token.refresh_token)
    before = server.reuse_detected
    renewed = source_of(server, None, token=expired).get_token()
    return renewed.access_token != "x" and server.reuse_detected == before


class Clock:
    """The clocks as the library sees them; every one can be moved while a test runs.

    Attributes:
        wall: seconds by which only the wall clock is wrong.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._passed = 0.0
        self.wall = 0.0
        real_now, real_time = budget.now, time.time

        def now() -> float:
            return real_now() + self._passed

        for name, module in list(sys.modules.items()):
            if name.startswith("video_oauth_auth.") and getattr(module, "now", None) is real_now:
                patch.setattr(module, "now", now)
        patch.setattr(time, "time", lambda: real_time() + self._passed + self.wall)

    def advance(self, seconds: float) -> None:
        """Let time pass, on all clocks."""
        self._passed += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clocks of the library, in the hand of the test."""
    return Clock(monkeypatch)


class Events:
    """Collects events, and lets a test wait for them; given as `on_event=`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.seen.append(event)
            self._changed.notify_all()

    def of(self, kind: type[Event]) -> list[Any]:
        """Give the events of a kind so far."""
        with self._changed:
            return [event for event in self.seen if isinstance(event, kind)]

    def wait_for(self, kind: type[Event], *, count: int = 1, timeout: float = 10.0) -> Any:
        """Wait until there are that many events of a kind, and give the last of them."""
        with self._changed:
            came = self._changed.wait_for(lambda: len([e for e in self.seen if isinstance(e, kind)]) >= count, timeout)
            assert came, f"no {kind.__name__} within {timeout} s, only {self.seen}"
        return self.of(kind)[count - 1]


def library_threads() -> list[threading.Thread]:
    """Give the threads of the library that live now."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("video-oauth-auth")]


def settle(timeout: float = 10.0) -> None:
    """Wait until no renewal is under way: until the library has no thread any more."""
    for thread in library_threads():
        thread.join(timeout)
        assert not thread.is_alive(), f"{thread.name} still lives after {timeout} s"


def in_threads(count: int, function: Callable[[], Any]) -> list[Any]:
    """Run a function in that many threads at once; give what each returned or raised."""
    barrier = threading.Barrier(count)

    def run() -> Any:
        barrier.wait(30)
        try:
            return function()
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return [future.result(60) for future in [pool.submit(run) for _ in range(count)]]
