"""A token endpoint and an API in a process of their own: `python -m benchmarks.server`.

It does as little as it can, so that what is measured is the client: raw asyncio, one port, no check of client
credentials. What it does check are tokens, and the reuse of refresh tokens. It prints its port and runs until its
standard input is closed. `/control` sets how it behaves and tells what it has counted.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

FIXED_TOKEN = "fixed-token"  # the token of the static header: never ends
Answer = tuple[int, Mapping[str, object]]


@dataclass(slots=True)
class Family:
    """What was granted at one time: a reused refresh token ends all of it."""

    refresh_token: str = ""
    revoked: bool = False


@dataclass(slots=True)
class State:
    """How the server behaves, what it has issued, and what it has counted."""

    expires_in: float = 3600.0
    delay: float = 0.0
    refresh_tokens: bool = False
    rotate: bool = True
    token_calls: int = 0
    reuse_detected: int = 0
    access: dict[str, tuple[float, Family]] = field(default_factory=lambda: {FIXED_TOKEN: (float("inf"), Family())})
    refresh: dict[str, Family] = field(default_factory=dict)

    def set(self, settings: Mapping[str, Any]) -> Answer:
        """Behave so from now on, and count from zero."""
        self.expires_in, self.delay = float(settings["expires_in"]), settings["delay"]
        self.refresh_tokens, self.rotate = settings["refresh_tokens"], settings["rotate"]
        self.token_calls = self.reuse_detected = 0
        return 200, {}

    def counts(self) -> Answer:
        return 200, {"token_calls": self.token_calls, "reuse_detected": self.reuse_detected}

    def token(self, form: Mapping[str, str]) -> Answer:
        """Answer a token request (RFC 6749, sections 4.3, 4.4 and 6)."""
        self.token_calls += 1
        if form.get("grant_type") != "refresh_token":
            return self._issue(Family())
        spent = form.get("refresh_token", "")
        family = self.refresh.get(spent)
        if family is None or family.revoked:
            return 400, {"error": "invalid_grant"}
        if family.refresh_token != spent:  # RFC 9700, section 4.14.2: taken for theft
            family.revoked = True
            self.reuse_detected += 1
            return 400, {"error": "invalid_grant"}
        return self._issue(family)

    def _issue(self, family: Family) -> Answer:
        access_token = secrets.token_urlsafe(16)
        self.access[access_token] = time.monotonic() + self.delay + self.expires_in, family  # from the answer on
        # RFC 6749, appendix A.14, wants digits; some libraries take anything else for a token that never ends.
        expires_in = int(self.expires_in) if self.expires_in.is_integer() else self.expires_in
        members = {"access_token": access_token, "token_type": "Bearer", "expires_in": expires_in}
        if family.refresh_token and not self.rotate:
            members["refresh_token"] = family.refresh_token
        elif self.refresh_tokens:
            family.refresh_token = members["refresh_token"] = secrets.token_urlsafe(16)
            self.refresh[family.refresh_token] = family
        return 200, members

    def api(self, authorization: str) -> Answer:
        """Answer an API request."""
        ends_at, family = self.access.get(authorization.removeprefix("Bearer "), (0.0, None))
        if family is None or family.revoked or time.monotonic() >= ends_at:
            return 401, {"error": "invalid_token"}
        return 200, {"videos": []}


class Connection(asyncio.Protocol):
    """One connection: requests come one after the other, with a length."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, rest = self._received.split(b"\r\n\r\n", 1)
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self._received = rest[length:]
            self._answer(first.split(" ")[1], headers, rest[:length])

    def _answer(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        if path == "/api":
            self._send(self._state.api(headers.get("authorization", "")))
        elif path == "/token":
            answer = self._state.token(dict(parse_qsl(body.decode())))
            if self._state.delay:
                asyncio.get_running_loop().call_later(self._state.delay, self._send, answer)
            else:
                self._send(answer)
        elif path == "/control":
            self._send(self._state.set(json.loads(body)) if body else self._state.counts())
        else:
            self._send((404, {}))

    def _send(self, answer: Answer) -> None:
        status, members = answer
        body = json.dumps(members).encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve() -> None:
    """Serve until standard input is closed."""
    state = State()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
