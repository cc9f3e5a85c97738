"""What the platform answers: as httpx has it, and as the caller gets it."""

from __future__ import annotations

import http.cookiejar
from collections.abc import AsyncIterator

import httpx

from .headers import Pairs, for_caller

__all__ = ["body_of", "client_for", "headers_of"]

LONGEST_REFUSAL = 1024 * 1024  # bytes of a 401, which the auth object reads as a whole before it gets a new token
_HEADERS = "headers of the platform"


def client_for(max_concurrency: int) -> httpx.AsyncClient:
    """Make the client that calls the platform; it keeps no cookies."""
    return httpx.AsyncClient(
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=max_concurrency, max_keepalive_connections=max_concurrency),
        event_hooks={"response": [_prepare]},
    )


def headers_of(response: httpx.Response) -> Pairs:
    """Give the headers of an answer that a caller gets, names in lower case."""
    headers = for_caller(response.extensions[_HEADERS])
    if response.is_stream_consumed:
        return [pair for pair in headers if pair[0] not in (b"content-encoding", b"content-length")]
    return headers


async def body_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Give the body in pieces, in the encoding that it has."""
    if response.is_stream_consumed:  # a 401 to a body that could not be sent again: the auth object has read it
        yield response.content
        return
    async for chunk in response.aiter_raw():
        yield chunk


async def _prepare(response: httpx.Response) -> None:
    """Keep from httpx and the auth object what they need not read."""
    response.extensions[_HEADERS] = response.headers.raw
    if "location" in response.headers:  # httpx fails at those that are no URL for it, though it does not follow them
        del response.headers["location"]
    if response.status_code == httpx.codes.UNAUTHORIZED and isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Refusing(response.stream)


class _Refusing(httpx.AsyncByteStream):
    """The body of a 401, which breaks off where it is too long to be read as a whole."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > LONGEST_REFUSAL:
                raise httpx.RemoteProtocolError("a 401 that is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
