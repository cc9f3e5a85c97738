"""Where the benchmark's server is, and how to start, steer and question it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

__all__ = ["ROOT", "Counts", "Site", "running", "running_site"]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the server has counted since it was last told how to behave."""

    token_calls: int
    reuse_detected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The authorization server and the API, on one origin, and who asks there."""

    port: int
    client_id: str = "benchmark"
    client_secret: str = "benchmark-secret"
    username: str = "somebody"
    password: str = "benchmark-password"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}/token"

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    def behave(
        self, *, expires_in: float = 3600.0, delay: float = 0.0, refresh_tokens: bool = False, rotate: bool = True
    ) -> None:
        """Tell the server how to answer token calls from now on, and to count from zero.

        Args:
            expires_in: seconds that tokens live.
            delay: seconds that a token call takes.
            refresh_tokens: whether there are any.
            rotate: whether each can be used only once.
        """
        settings = {"expires_in": expires_in, "delay": delay, "refresh_tokens": refresh_tokens, "rotate": rotate}
        self._ask("/control", json.dumps(settings))

    def counts(self) -> Counts:
        return Counts(**self._ask("/control"))

    def token(self, grant_type: str) -> Mapping[str, Any]:
        """Fetch a token for those that have to be given their first one."""
        return self._ask("/token", urlencode({"grant_type": grant_type}))

    def _ask(self, path: str, body: str | None = None) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET" if body is None else "POST", path, body)
            answer: dict[str, Any] = json.load(connection.getresponse())
        finally:
            connection.close()
        return answer


@contextmanager
def running_site() -> Iterator[Site]:
    """Run the server in another process: its work must not compete for the interpreter lock that is measured."""
    with running("benchmarks.server") as port:
        yield Site(port=port)


@contextmanager
def running(module: str) -> Iterator[int]:
    """Run a module that prints its port and ends when its standard input is closed."""
    command = [sys.executable, "-m", module]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
