"""Five HTTP clients behind one face, so that a behaviour is written once and seen in all of them."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2
import pytest
import requests
from hypothesis import HealthCheck, settings

from video_oauth_auth import AuthorizationServer, OAuth2Auth, OAuthClient, TokenSource
from video_oauth_auth.grants import ClientCredentials
from video_oauth_auth.testing import OAuthServer

pytest_plugins = ["video_oauth_auth.testing.plugin", "tests.secrets_canary", "pytester"]

# A busy machine may stop an example for a while; the time limit of the whole test is the safety net.
settings.register_profile("any machine", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A job in the background is started with Ctrl-C ignored, and so would be the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_BY_CLIENT_CREDENTIALS = ClientCredentials()

CLIENTS = ("requests", "httpx", "httpx-async", "httpx2", "httpx2-async")


class Client:
    """One of the five, with blocking calls; every response has status_code, headers, content, text, json() and history.

    `send` takes the library's own keywords: `data=`/`content=` differ, `json=` and `files=` are the same.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.library = name.removesuffix("-async")
        self.is_async = name.endswith("-async")
        self.module: Any = {"requests": requests, "httpx": httpx, "httpx2": httpx2}[self.library]

    @contextmanager
    def session(self, auth: Any = None, **settings: Any) -> Iterator[Callable[..., Any]]:
        """Give a function `send(method, url, **keywords)` over one session or client that has this auth object."""
        if self.library == "requests":
            with requests.Session() as session:
                session.auth = auth
                for name, value in settings.items():
                    setattr(session, name, value)
                yield lambda method, url, **keywords: session.request(method, url, timeout=30, **keywords)
        elif not self.is_async:
            with self.module.Client(auth=auth, timeout=30, **settings) as client:
                yield client.request
        else:
            with asyncio.Runner() as runner:
                client = self.module.AsyncClient(auth=auth, timeout=30, **settings)

                def send(method: str, url: str, **keywords: Any) -> Any:
                    return runner.run(client.request(method, url, **keywords))

                try:
                    yield send
                finally:
                    runner.run(client.aclose())

    def send(self, auth: Any, method: str, url: str, **keywords: Any) -> Any:
        """Make one request with this auth object."""
        with self.session(auth) as send:
            return send(method, url, **keywords)

    def raw(self, body: Any) -> dict[str, Any]:
        """Give the keyword under which this library takes a raw body."""
        return {"data" if self.library == "requests" else "content": body}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """Each of the five clients in turn."""
    return Client(request.param)


@pytest.fixture
def auth_for() -> Callable[..., OAuth2Auth]:
    """Make an auth object for a bundled server: `auth_for(server, **keywords of TokenSource)`."""

    def make(
        server: OAuthServer, *, grant: Any = _BY_CLIENT_CREDENTIALS, origins: Any = None, **settings: Any
    ) -> OAuth2Auth:
        source = TokenSource(
            AuthorizationServer(token_endpoint=server.token_endpoint),
            OAuthClient(server.client_id, server.client_secret),
            grant,
            **settings,
        )
        return OAuth2Auth(source, origins=[server.api_url] if origins is None else origins)

    return make


def sha256(body: bytes) -> str:
    """Give the digest that the bundled server's /upload and /echo answer with."""
    return hashlib.sha256(body).hexdigest()
