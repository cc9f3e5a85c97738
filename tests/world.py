"""Lets code that was written for real hosts run against bundled servers: their names lead to loopback.

There is a person too, with a browser that finds these servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
from joserfc.jwk import RSAKey
from requests.adapters import HTTPAdapter

from video_oauth_auth import BrightcoveAuth
from video_oauth_auth.testing import (
    BrightcoveServer,
    CidaasServer,
    FormFiller,
    IBMVideoStreamingServer,
    MovingimageServer,
    OAuthServer,
)

USER, PASSWORD = "ann", "her invented password"
NATIVE_CLIENT = "an app without a secret"
WEB_CALLBACK = "https://app.example.com/callback"
DEVICE_INTERVAL = 0.2  # seconds; a test does not wait for five


@dataclass(frozen=True, kw_only=True)
class World:
    """The platforms at their real hosts, and `example.com`. The client is the same everywhere."""

    brightcove: BrightcoveServer
    movingimage: MovingimageServer
    ibm_video_streaming: IBMVideoStreamingServer
    cidaas: CidaasServer  # tenant.cidaas.de
    example: OAuthServer  # login.example.com and api.example.com
    private_key: str
    person: Person

    def names(self) -> dict[str, object]:
        """What the blocks of the documents take as given."""
        return {
            "client_id": self.example.client_id,
            "client_secret": self.example.client_secret,
            "bc_token": self.brightcove.bc_token,
            "username": USER,
            "password": PASSWORD,
            "pem": self.private_key,
            "native_client_id": NATIVE_CLIENT,
            "visit": self.person.visit,
            "show": self.person.approve,
        }

    def environment(self) -> dict[str, str]:
        """The variables for `from_env()` of every platform."""
        client = {"CLIENT_ID": self.example.client_id, "CLIENT_SECRET": self.example.client_secret}
        person = {"USERNAME": USER, "PASSWORD": PASSWORD}
        variables = {
            "BRIGHTCOVE": client,
            "MOVINGIMAGE": person,
            "IBM_VIDEO_STREAMING": client,
            "CIDAAS": {**client, "ISSUER": "https://tenant.cidaas.de"},
        }
        return {f"{prefix}_{name}": value for prefix, values in variables.items() for name, value in values.items()}


class Person:
    """Signs in wherever a URL leads, in a browser for which the real hosts lead to the servers.

    Args:
        local: gives where a URL of a real host leads to, or None.
    """

    def __init__(self, local: Callable[[str], str | None]) -> None:
        self._local = local
        self._browser = FormFiller(USER, PASSWORD)

    def visit(self, url: str) -> str:
        """Sign in at the URL of a sign-in that has begun; gives the URL that it ends at."""
        return self._browser.authorize(self._local(url) or url)

    def open(self, url: str, new: int = 0) -> bool:
        """Do what `webbrowser.open` does, and sign in there."""
        return self._browser.open_in_background(self._local(url) or url)

    def approve(self, text: str) -> None:
        """Read what a device shows, and sign in for it."""
        if found := re.search(r"open\n\n    (\S+)\n\nand enter the code\n\n    (\S+)", text):
            self._browser.approve_device(self._local(found[1]) or found[1], found[2])

    def leave(self) -> None:
        """Wait until the browser is done, and raise what went wrong in it."""
        self._browser.join()


@contextmanager
def world() -> Iterator[World]:
    """Start all servers, and lead the real hosts to them."""
    key = RSAKey.generate_key(2048)
    users = {USER: PASSWORD}
    with ExitStack() as stack:
        servers: dict[str, Any] = {
            "brightcove": OAuthServer.brightcove(),
            "movingimage": OAuthServer.movingimage(users=users),
            "ibm_video_streaming": OAuthServer.ibm_video_streaming(users=users),
            "cidaas": OAuthServer.cidaas(users=users),
            "example": OAuthServer(token_endpoint_auth_methods=("client_secret_basic", "private_key_jwt")),
        }
        for server in servers.values():
            stack.enter_context(server)
        hosts = _real_hosts(servers)
        made = World(**servers, private_key=key.as_pem(private=True).decode(), person=Person(_leading(hosts)))
        made.ibm_video_streaming.public_client_id = made.cidaas.public_client_id = NATIVE_CLIENT
        made.cidaas.device_interval = DEVICE_INTERVAL
        made.movingimage.redirect_uris = made.cidaas.redirect_uris = (WEB_CALLBACK,)
        made.cidaas.client_jwk = made.example.client_jwk = key.as_dict(private=False)
        made.movingimage.public_origins = {"token": "https://login.movingimage.com", "api": "https://api.video-cdn.net"}
        made.ibm_video_streaming.public_origins = {"token": "https://video.ibm.com", "api": "https://api.video.ibm.com"}
        made.cidaas.public_origins = {"token": "https://tenant.cidaas.de"}
        made.example.public_origins = {"token": "https://login.example.com"}
        stack.enter_context(hosts_lead_to(hosts))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("video_oauth_auth.login.browser.has_browser", lambda: True)
        patch.setattr("webbrowser.open", made.person.open)
        yield made
        made.person.leave()


def _real_hosts(servers: Mapping[str, Any]) -> dict[str, str]:
    ibm = servers["ibm_video_streaming"]
    return {
        "https://oauth.brightcove.com": servers["brightcove"].url,
        **dict.fromkeys(BrightcoveAuth.ORIGINS, servers["brightcove"].api_url),
        "https://login.movingimage.com": servers["movingimage"].url,
        "https://api.video-cdn.net": servers["movingimage"].api_url,
        "https://authentication.video.ibm.com": ibm.url,
        "https://video.ibm.com": ibm.url,
        "https://api.video.ibm.com": ibm.api_url,
        "https://analytics-api.video.ibm.com": ibm.analytics_url,
        "https://tenant.cidaas.de": servers["cidaas"].url,
        "https://films.example.com": servers["cidaas"].api_url,
        "https://login.example.com": servers["example"].url,
        "https://api.example.com": servers["example"].api_url,
    }


def _leading(servers: Mapping[str, str]) -> Callable[[str], str | None]:
    def local(url: str) -> str | None:
        parts = urlsplit(url)
        base = servers.get(f"{parts.scheme}://{parts.netloc}")
        return None if base is None else base + url.removeprefix(f"{parts.scheme}://{parts.netloc}")

    return local


@contextmanager
def hosts_lead_to(servers: Mapping[str, str]) -> Iterator[None]:
    """Send what goes to these origins (`https://host`) to those servers (`http://127.0.0.1:port`)."""
    local = _leading(servers)
    with pytest.MonkeyPatch.context() as patch:
        _lead_requests(patch, local)
        for module in (httpx, httpx2):
            _lead_httpx(patch, module, local)
        yield


def _lead_requests(patch: pytest.MonkeyPatch, local: Any) -> None:
    real = HTTPAdapter.send

    def send(adapter: HTTPAdapter, request: Any, *args: Any, **keywords: Any) -> Any:
        url = request.url
        request.url = local(url) or url
        try:
            response = real(adapter, request, *args, **keywords)
        finally:
            request.url = url
        response.url = url
        return response

    patch.setattr(HTTPAdapter, "send", send)


def _lead_httpx(patch: pytest.MonkeyPatch, module: Any, local: Any) -> None:
    real, real_async = module.HTTPTransport.handle_request, module.AsyncHTTPTransport.handle_async_request

    def led(request: Any) -> Any:
        url = local(str(request.url))
        if url is None:
            return request
        return module.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )

    def handle(transport: Any, request: Any) -> Any:
        return real(transport, led(request))

    async def handle_async(transport: Any, request: Any) -> Any:
        return await real_async(transport, led(request))

    patch.setattr(module.HTTPTransport, "handle_request", handle)
    patch.setattr(module.AsyncHTTPTransport, "handle_async_request", handle_async)
