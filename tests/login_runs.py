"""A call of `auth.login()` that runs beside the test, and what a person or a stranger sees of it meanwhile."""

from __future__ import annotations

import re
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from video_oauth_auth import AuthorizationCode, OAuth2Auth, OAuthClient, Token, TokenSource
from video_oauth_auth.testing import FormFiller, LoopbackServer
from video_oauth_auth.testing.browser import WebPage

NAME, PASSWORD = "ann", "the password of ann"
FREE = "http://127.0.0.1:0/callback"
PATIENCE = 20.0  # seconds
URL = re.compile(r"^    (https?://\S+)$", re.MULTILINE)
THREADS = ("video-oauth-auth-login", "video-oauth-auth-worker")


def machine_without_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no screen; the real browser of this machine must not open in any case."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda *_, **__: pytest.fail("a browser was opened"))


def auth_at(
    server: LoopbackServer, redirect_uri: str | None = FREE, *, grant: Any = None, **settings: Any
) -> OAuth2Auth:
    """An auth object for people who sign in at a bundled server."""
    source = TokenSource(
        server.issuer,
        OAuthClient(server.client_id, server.client_secret),
        grant or AuthorizationCode(redirect_uri, scope="openid"),
        **settings,
    )
    return OAuth2Auth(source, origins=[server.api_url])


def eventually(condition: Callable[[], Any], what: str, within: float = PATIENCE) -> Any:
    """Wait until a condition holds, and give what it gave."""
    ends_at = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < ends_at, f"not within {within} s: {what}"
        time.sleep(0.01)
    return found


def parameters(url: str) -> dict[str, str]:
    """The parameters in the query of a URL, each of which stands there once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def is_open(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def no_thread_is_left() -> None:
    """Wait until nothing of a sign-in runs any more."""
    eventually(lambda: not [one for one in threading.enumerate() if one.name in THREADS], "no thread of a sign-in")


class Tab:
    """A browser as `open_browser=` takes one: a person signs in, and the page that the browser comes back to is kept.

    Attributes:
        urls: what was opened.
    """

    def __init__(self, *, deny: bool = False) -> None:
        self.urls: list[str] = []
        self._pages: list[WebPage] = []
        self._person = FormFiller(NAME, PASSWORD, deny=deny)

    def __call__(self, url: str) -> None:
        self.urls.append(url)
        threading.Thread(target=self.blocking, args=(url,), daemon=True).start()

    def blocking(self, url: str) -> None:
        """Open a URL as a browser does that belongs to the program: it returns when the last page has come."""
        self._pages.append(self._person.open(url))

    def page(self) -> WebPage:
        """The first page that the browser came back to."""
        eventually(lambda: self._pages, "the page at the end of the sign-in")
        return self._pages[0]


class Run:
    """A call of `login()` on a thread of its own.

    Args:
        auth: what is signed in for.
        arguments: those of `login()`. If not given, `open_browser` opens nothing and `notify` keeps the lines.

    Attributes:
        lines: what was said to the person.
        opened: the URLs that a browser was asked to open.
    """

    def __init__(self, auth: OAuth2Auth, **arguments: Any) -> None:
        self.lines: list[str] = []
        self.opened: list[str] = []
        self.cancel = threading.Event()
        self._arguments = {
            "timeout": PATIENCE,
            "cancel": self.cancel,
            "notify": self.lines.append,
            "open_browser": self.opened.append,
            **arguments,
        }
        self._outcome: Token | BaseException | None = None
        self._thread = threading.Thread(target=self._login, args=(auth,), daemon=True)
        self._thread.start()

    def _login(self, auth: OAuth2Auth) -> None:
        try:
            self._outcome = auth.login(**self._arguments)
        except BaseException as error:
            self._outcome = error

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def url(self) -> str:
        """The authorization request, as soon as it was opened or shown."""

        def found() -> str | None:
            if not self.runs:
                self.ends()
            return self.opened[0] if self.opened else self.shown()

        return str(eventually(found, "an authorization request"))

    def shown(self) -> str | None:
        """The first URL that was shown."""
        shown = URL.search(self.text)
        return None if shown is None else shown[1]

    @property
    def redirect_uri(self) -> str:
        return parameters(self.url())["redirect_uri"]

    @property
    def port(self) -> int:
        return urlsplit(self.redirect_uri).port or 80

    def come_back(self, query: str) -> httpx.Response:
        """Request the redirect URI with this query, whoever that is."""
        return httpx.get(f"{self.redirect_uri}?{query}", trust_env=False)

    def sign_in(self) -> WebPage:
        """Let Ann sign in with her browser; gives the last page."""
        return FormFiller(NAME, PASSWORD).open(self.url())

    def ends(self) -> Token:
        """Wait until it has ended, and give what it gave, or raise what it raised."""
        self._thread.join(PATIENCE + 10)
        assert not self.runs
        assert self._outcome is not None
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def stop(self) -> None:
        """End it if it still runs; for the end of a test."""
        self.cancel.set()
        self._thread.join(PATIENCE)


def runs() -> Iterator[Callable[..., Run]]:
    """Start logins and end them with the test; what the fixtures of the test files yield from."""
    started: list[Run] = []

    def start(auth: OAuth2Auth, **arguments: Any) -> Run:
        started.append(Run(auth, **arguments))
        return started[-1]

    yield start
    for one in started:
        one.stop()
