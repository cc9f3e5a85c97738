"""One caller: the body that it sends, and whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.requests import Request

from .refusals import Refusal, too_large

__all__ = ["Caller"]


class Caller:
    """Who has sent a request.

    Args:
        request: the request; nothing of its body has been read.
        limit: bytes that its body may have.
        patience: seconds to wait for the next piece of it.
    """

    def __init__(self, request: Request, *, limit: int, patience: float) -> None:
        self._request = request
        self._stream = request.stream()
        self._limit = limit
        self._patience = patience
        self._size = 0
        self._start = bytearray()
        self._sent_all = asyncio.Event()

    async def start(self, most: int) -> bytes | None:
        """Give the whole body if it has no more bytes than that; else None, and `chunks` has it.

        Raises:
            Refusal: it has more bytes than allowed, or does not come.
            ClientDisconnect: the caller left while it sent it.
        """
        while piece := await self._next():
            self._start += piece
            if len(self._start) > most:
                return None
        return bytes(self._start)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body in pieces, none of which is kept; raises what `start` raises."""
        start, self._start = self._start, bytearray()
        yield bytes(start)
        while piece := await self._next():
            yield piece

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                piece = await anext(self._stream)
        except TimeoutError:
            raise Refusal(408, "body_timeout", "The body of the request did not come.") from None
        if not piece:  # Starlette ends with it
            self._sent_all.set()
        self._size += len(piece)
        if self._size > self._limit:
            raise too_large(self._limit)
        return piece

    async def served(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this for the caller; stop it when the caller leaves.

        It takes the place of what StreamingResponse does about it, which begins only when there is an answer.
        """
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self._left())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)
        if not working.cancelled():
            working.result()

    async def _left(self) -> None:
        await self._sent_all.wait()
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
