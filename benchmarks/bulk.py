"""A server for large bodies in a process of its own: `python -m benchmarks.bulk`.

`GET /BYTES` is answered with so many bytes, `POST` with how many have come; `/slow` before the path lets it rest in the
middle of what it receives. It wants a bearer token, and does not look at it. It prints its port and runs until its
standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

__all__ = ["REST", "SLOW"]

PIECE = b"\0" * 65536
REST = 0.5  # seconds
SLOW = "/slow"
RESTS_AT = 2**20  # bytes

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def answer(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one request (ASGI)."""
    authorization = dict(scope["headers"]).get(b"authorization", b"")
    if not authorization.startswith(b"Bearer "):
        await _start(send, 401, 0)
        await send({"type": "http.response.body"})
    elif scope["method"] == "GET":
        await _send_bytes(send, int(scope["path"].rpartition("/")[2]))
    else:
        body = json.dumps({"received": await _received(receive, rests=scope["path"].startswith(SLOW))}).encode()
        await _start(send, 200, len(body))
        await send({"type": "http.response.body", "body": body})


async def _start(send: Send, status: int, length: int) -> None:
    headers = [(b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send_bytes(send: Send, left: int) -> None:
    await _start(send, 200, left)
    while left > 0:
        piece = PIECE[:left]
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


async def _received(receive: Receive, *, rests: bool) -> int:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if rests and size >= RESTS_AT:
            rests = False
            await asyncio.sleep(REST)
    return size


async def serve() -> None:
    """Serve until standard input is closed."""
    server = uvicorn.Server(uvicorn.Config(answer, access_log=False, log_level="warning", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it on its own sockets only
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(serve())
