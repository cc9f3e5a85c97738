"""Lets code that was written for real hosts run against the bundled server: their names lead to loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
from requests.adapters import HTTPAdapter


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
