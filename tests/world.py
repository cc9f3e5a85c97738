"""Lets code that was written for real hosts run against bundled servers: their names lead to loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    IBMVideoStreamingServer,
    MovingimageServer,
    OAuthServer,
)

USER, PASSWORD = "ann", "her invented password"


@dataclass(frozen=True, kw_only=True)
class World:
    """The platforms at their real hosts, and `example.com`. The client is the same everywhere."""

    brightcove: BrightcoveServer
    movingimage: MovingimageServer
    ibm_video_streaming: IBMVideoStreamingServer
    cidaas: CidaasServer  # tenant.cidaas.de
    example: OAuthServer  # login.example.com and api.example.com
    private_key: str

    def names(self) -> dict[str, object]:
        """What the blocks of the documents take as given."""
        return {
            "client_id": self.example.client_id,
            "client_secret": self.example.client_secret,
            "username": USER,
            "password": PASSWORD,
            "pem": self.private_key,
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


@contextmanager
def world() -> Iterator[World]:
    """Start all servers, and lead the real hosts to them."""
    key = RSAKey.generate_key(2048)
    users = {USER: PASSWORD}
    with ExitStack() as stack:
        servers: dict[str, Any] = {
            "brightcove": OAuthServer.brightcove(),
            "movingimage": OAuthServer.movingimage(users=users),
            "ibm_video_streaming": OAuthServer.ibm_video_streaming(),
            "cidaas": OAuthServer.cidaas(users=users),
            "example": OAuthServer(token_endpoint_auth_methods=("client_secret_basic", "private_key_jwt")),
        }
        made = World(
            **{name: stack.enter_context(server) for name, server in servers.items()},
            private_key=key.as_pem(private=True).decode(),
        )
        made.cidaas.client_jwk = made.example.client_jwk = key.as_dict(private=False)
        made.movingimage.public_origins = {"token": "https://login.movingimage.com", "api": "https://api.video-cdn.net"}
        made.ibm_video_streaming.public_origins = {"token": "https://video.ibm.com", "api": "https://api.video.ibm.com"}
        made.cidaas.public_origins = {"token": "https://tenant.cidaas.de"}
        made.example.public_origins = {"token": "https://login.example.com"}
        stack.enter_context(hosts_lead_to(_real_hosts(made)))
        yield made


def _real_hosts(made: World) -> dict[str, str]:
    return {
        "https://oauth.brightcove.com": made.brightcove.url,
        **dict.fromkeys(BrightcoveAuth.ORIGINS, made.brightcove.api_url),
        "https://login.movingimage.com": made.movingimage.url,
        "https://api.video-cdn.net": made.movingimage.api_url,
        "https://video.ibm.com": made.ibm_video_streaming.url,
        "https://api.video.ibm.com": made.ibm_video_streaming.api_url,
        "https://analytics-api.video.ibm.com": made.ibm_video_streaming.analytics_url,
        "https://tenant.cidaas.de": made.cidaas.url,
        "https://films.example.com": made.cidaas.api_url,
        "https://login.example.com": made.example.url,
        "https://api.example.com": made.example.api_url,
    }


@contextmanager
def hosts_lead_to(servers: Mapping[str, str]) -> Iterator[None]:
    """Send what goes to these origins (`https://host`) to those servers (`http://127.0.0.1:port`)."""

    def local(url: str) -> str | None:
        parts = urlsplit(url)
        base = servers.get(f"{parts.scheme}://{parts.netloc}")
        return None if base is None else base + url.removeprefix(f"{parts.scheme}://{parts.netloc}")

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
