"""The guard that keeps token calls on loopback: no test talks to a real authorization server by mistake."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar
from unittest import mock
from urllib.parse import urlsplit

Result = TypeVar("Result")


class LeavesLoopbackError(socket.gaierror):
    """A token call was about to leave loopback; raised instead of resolving the name or connecting.

    An error of name resolution, because that is what code under test would meet without a network: it is
    taken for final, and not tried again until a time-out.
    """

    def __init__(self, host: str) -> None:
        super().__init__(socket.EAI_NONAME, f"a token call tried to reach {host}, which is not loopback")


class LoopbackGuard:
    """Knows which threads make a token call, and what left loopback meanwhile.

    Attributes:
        attempts: The hosts that token calls tried to reach, as `host (token call to host of the URL)`.
    """

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._call = threading.local()

    def watch(self, send: Callable[..., Result]) -> Callable[..., Result]:
        """Wrap a function that makes token calls; its first argument has the URL as `.url`."""

        @wraps(send)
        def watched(request: Any, *args: Any, **kwargs: Any) -> Result:
            outer = getattr(self._call, "url", None)
            self._call.url = request.url
            try:
                return send(request, *args, **kwargs)
            finally:
                self._call.url = outer

        return watched

    def check(self, host: object) -> None:
        """Refuse this host if a token call is under way on this thread and the host is not loopback."""
        url = getattr(self._call, "url", None)
        if url is None or is_loopback(host):
            return
        name = _text(host)
        self.attempts.append(f"{name} (token call to {urlsplit(url).hostname})")
        raise LeavesLoopbackError(name)


@contextmanager
def loopback_only() -> Iterator[LoopbackGuard]:
    """Let the functions that `watch` wraps reach nothing but loopback while the block runs.

    It looks at name resolution and at connecting, on the thread of the wrapped function only. Mocks that
    open no socket are not disturbed.
    """
    guard = LoopbackGuard()
    getaddrinfo = socket.getaddrinfo
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def checked_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        guard.check(host)
        return getaddrinfo(host, *args, **kwargs)

    def checked_connect(connection: socket.socket, address: Any) -> None:
        _check_address(guard, connection, address)
        connect(connection, address)

    def checked_connect_ex(connection: socket.socket, address: Any) -> int:
        _check_address(guard, connection, address)
        return connect_ex(connection, address)

    with (
        mock.patch.object(socket, "getaddrinfo", checked_getaddrinfo),
        mock.patch.object(socket.socket, "connect", checked_connect),
        mock.patch.object(socket.socket, "connect_ex", checked_connect_ex),
    ):
        yield guard


def is_loopback(host: object) -> bool:
    """Whether this host, as socket functions take it, is this machine: a loopback address, or `localhost`."""
    name = _text(host).rstrip(".").lower()
    if name in ("", "localhost") or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def _text(host: object) -> str:
    if isinstance(host, (bytes, bytearray)):
        return host.decode("ascii", "replace")
    return host if isinstance(host, str) else ""


def _check_address(guard: LoopbackGuard, connection: socket.socket, address: Any) -> None:
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        guard.check(address[0])
