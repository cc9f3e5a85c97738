"""The messages of ASGI: bodies that come in, answers that go out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from .headers import Pairs

__all__ = ["Answer", "CallerGone", "IncomingBody", "Receive", "Scope", "Send", "disconnected", "too_large"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class CallerGone(Exception):
    """The caller has closed its connection."""


class Answer(Exception):
    """An answer of the proxy itself, raised where nothing is forwarded.

    Args:
        status: the HTTP status.
        error: a code for programs.
        message: a sentence for people.
        headers: further headers.
    """

    def __init__(self, status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.headers = headers or {}

    async def send(self, send: Send, extra: Pairs, *, body: bytes | None = None) -> None:
        """Send it, with these headers besides its own."""
        if body is None:
            body = json.dumps({"error": self.error, "message": str(self)}).encode() + b"\n"
        pairs = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *((name.lower().encode(), value.encode()) for name, value in self.headers.items()),
            *extra,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


def too_large(limit: int) -> Answer:
    """Give the answer to a body of more bytes than allowed."""
    return Answer(413, "body_too_large", f"This proxy forwards bodies of {limit} bytes and less.")


class IncomingBody:
    """The body of a caller's request, read as it is forwarded.

    Args:
        receive: gives the messages of the caller.
        limit: bytes that it may have.
        patience: seconds to wait for the next piece of it.
    """

    def __init__(self, receive: Receive, *, limit: int, patience: float) -> None:
        self._receive = receive
        self._limit = limit
        self._patience = patience
        self._size = 0
        self._start = bytearray()
        self._ended = False

    async def start(self, most: int) -> bytes | None:
        """Give the whole body if it has no more bytes than that; else None, and `chunks` has it.

        Raises:
            Answer: it has more bytes than allowed, or does not come.
            CallerGone: the caller left while it sent it.
        """
        while not self._ended and len(self._start) <= most:
            self._start += await self._next()
        return bytes(self._start) if self._ended and len(self._start) <= most else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body in pieces, none of which is kept; raises what `start` raises."""
        start, self._start = self._start, bytearray()
        yield bytes(start)
        while not self._ended:
            yield await self._next()

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                message = await self._receive()
        except TimeoutError:
            raise Answer(408, "body_timeout", "The body of the request did not come.") from None
        if message["type"] == "http.disconnect":
            raise CallerGone
        body: bytes = message.get("body", b"")
        self._ended = not message.get("more_body", False)
        self._size += len(body)
        if self._size > self._limit:
            raise too_large(self._limit)
        return body


async def disconnected(receive: Receive) -> None:
    """Wait until the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
