"""The loopback receiver: waits on a port of this machine for the browser to come back (RFC 8252, section 7.3).

Everything happens on the thread that calls `receive`, so nothing is left over when the caller stops. Whoever can open
a connection to the port may be hostile: another user of the machine, or any page in the user's browser.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from ..errors import ConfigurationError, cleaned
from . import page
from .page import Page
from .port import opened

__all__ = ["LoopbackReceiver", "is_loopback_redirect"]

_REDIRECT_URI = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1]|localhost)(?::(?P<port>0|[1-9][0-9]{0,4}))?"
    r"(?P<path>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?"
)
_REQUEST_LINE = re.compile(r"([A-Z]+) ([!-~]+) HTTP/1\.[01]")
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:.*")

LONGEST_LINE = 8 * 1024  # bytes of the request line
LARGEST_HEAD = 32 * 1024  # bytes of the request line and the header fields
MOST_FIELDS = 100
MOST_CONNECTIONS = 32  # one more takes the place of the oldest: a browser talks at once, who idles does not
CONNECTION_ENDS_AFTER = 10.0  # seconds, however slowly it talks
DELIVERED_WITHIN = 1.0  # seconds that `close` waits for the browser to have read the last page
_CHUNK = 64 * 1024


def is_loopback_redirect(redirect_uri: str) -> bool:
    """Tell whether the receiver can serve a redirect URI: http, a loopback host, and no query or fragment."""
    return _parsed(redirect_uri) is not None


class LoopbackReceiver:
    """Waits on a loopback port for the browser to come back (RFC 8252, section 7.3).

    The port is open from the start until `close()`. It is for one thread at a time.

    Args:
        redirect_uri: `http://127.0.0.1:0/callback` or alike. Port 0 means a free one. The host may also be `[::1]`, or
            `localhost`, which is served on both addresses where the machine has both.

    Attributes:
        redirect_uri: the same, with the port that is open.

    Raises:
        ConfigurationError: it is no such URI, or its port cannot be opened.
    """

    def __init__(self, redirect_uri: str) -> None:
        parsed = _parsed(redirect_uri)
        if parsed is None:
            shown = cleaned(str(redirect_uri).partition("?")[0])
            raise ConfigurationError(
                f"redirect_uri: {shown!r} cannot be served by this program. It serves http://127.0.0.1:0/callback "
                "(port 0: a free one), also with another port or path or with the host [::1] or localhost, but https, "
                "other hosts, a query and a fragment it does not"
            )
        host, asked_port, path = parsed
        self._selector = selectors.DefaultSelector()
        self._listeners = opened(host, asked_port)
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ, listener)
        port: int = self._listeners[0].getsockname()[1]
        self.redirect_uri: str = redirect_uri if asked_port else f"http://{host}:{port}{path}"
        self._path = path or "/"
        self._hosts = {f"{host}:{port}", *([host] if port == 80 else [])}
        self._connections: dict[socket.socket, _Connection] = {}  # the oldest first
        self._delivering: _Connection | None = None

    def receive(self, is_answer: Callable[[str], bool], timeout: float) -> str | None:
        """Wait for the answer; what arrives between two calls is seen by the next one.

        Args:
            is_answer: tells whether a query, encoded as it came, is the answer: whether it has the right state. It is
                asked for each well-formed request; one that is not the answer gets a page that says so.
            timeout: how many seconds to wait.

        Returns:
            The query of the first request that is the answer, or None where none came in that time.
        """
        ends_at = time.monotonic() + timeout
        while True:
            query = self._turn(ends_at, is_answer)
            if query is not None or time.monotonic() >= ends_at:
                return query

    def close(self) -> None:
        """Close the port at once, and all connections as soon as the browser has read how the sign-in ended."""
        try:
            self._close_listeners()
            ends_at = time.monotonic() + DELIVERED_WITHIN
            while self._delivering in self._connections.values() and time.monotonic() < ends_at:
                self._turn(ends_at, lambda _: False)
        finally:
            self._close_listeners()
            for connection in tuple(self._connections.values()):
                self._drop(connection)
            self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _turn(self, ends_at: float, is_answer: Callable[[str], bool]) -> str | None:
        """Wait until there is something to do, at most until then, and do it; gives the answer if it came."""
        wake_at = min([ends_at, *(connection.ends_at for connection in self._connections.values())])
        for key, _ in self._selector.select(max(0.0, wake_at - time.monotonic())):
            if isinstance(key.data, socket.socket):
                self._accept(key.data)
            elif key.data.socket in self._connections:  # not dropped meanwhile
                query = self._serve(key.data, is_answer)
                if query is not None:
                    return query
        for connection in tuple(self._connections.values()):
            if connection.ends_at <= time.monotonic():
                self._drop(connection)
        return None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it has gone again
            accepted, _ = listener.accept()
            accepted.settimeout(0)
            if len(self._connections) >= MOST_CONNECTIONS:
                self._drop(next(iter(self._connections.values())))
            self._connections[accepted] = connection = _Connection(accepted)
            self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _serve(self, connection: _Connection, is_answer: Callable[[str], bool]) -> str | None:
        """Read or write what is possible now; gives the answer if it was read."""
        head = None if connection.unsent else self._read(connection)
        query = None
        if head is not None:
            shown, query = self._page_for(head, is_answer)
            connection.unsent += shown.response(with_body=not head.startswith("HEAD "))
            if query is not None:
                self._delivering = connection
        if connection.unsent:
            self._send(connection)
        return query

    def _read(self, connection: _Connection) -> str | None:
        """Read what came; gives the head of the request if that completes it."""
        try:
            data = connection.socket.recv(_CHUNK)
        except BlockingIOError:  # nothing there after all
            return None
        except OSError:  # the other side has gone
            data = b""
        if not data:
            self._drop(connection)
        return connection.head_with(data)

    def _send(self, connection: _Connection) -> None:
        """Send what is possible now. Then the other side closes first: what it has not read could be lost otherwise."""
        try:
            del connection.unsent[: connection.socket.send(connection.unsent)]
            if not connection.unsent:
                connection.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:  # the other side has gone
            self._drop(connection)
            return
        events = selectors.EVENT_WRITE if connection.unsent else selectors.EVENT_READ
        self._selector.modify(connection.socket, events, connection)

    def _page_for(self, head: str, is_answer: Callable[[str], bool]) -> tuple[Page, str | None]:
        """Give the page for a request, and the query if it is the answer."""
        request_line, *fields = head.split("\r\n")
        if len(request_line) > LONGEST_LINE or len(head) > LARGEST_HEAD or len(fields) > MOST_FIELDS:
            return page.TOO_LARGE, None
        asked = _REQUEST_LINE.fullmatch(request_line)
        if asked is None or not all(map(_FIELD.fullmatch, fields)):
            return page.BAD_REQUEST, None
        hosts = [field[len("host:") :].strip(" \t") for field in fields if field.lower().startswith("host:")]
        if len(hosts) != 1 or hosts[0] not in self._hosts:  # another name for this machine: DNS rebinding
            return page.BAD_REQUEST, None
        method, target = asked.groups()
        path, _, query = target.partition("?")
        if path != self._path:
            return page.NOT_FOUND, None
        if method != "GET":
            return page.METHOD_NOT_ALLOWED, None
        if not query:
            return page.FRAGMENT, None
        if not is_answer(query):
            return page.NOT_THE_ANSWER, None
        names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        return page.SIGNED_IN if names.count("code") == 1 and "error" not in names else page.NOT_SIGNED_IN, query

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.socket]
        self._end(connection.socket)

    def _close_listeners(self) -> None:
        while self._listeners:
            self._end(self._listeners.pop())

    def _end(self, one: socket.socket) -> None:
        with suppress(KeyError):  # Ctrl-C came before it was registered
            self._selector.unregister(one)
        one.close()


class _Connection:
    """One connection: one request, then one page."""

    __slots__ = ("_head", "ends_at", "socket", "unsent")

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.ends_at = time.monotonic() + CONNECTION_ENDS_AFTER
        self.unsent = bytearray()
        self._head: bytearray | None = bytearray()  # None: it is complete, and what follows is thrown away

    def head_with(self, data: bytes) -> str | None:
        """Give request line and header fields when these bytes complete them, or make them too large."""
        if self._head is None:
            return None
        self._head += data
        if b"\r\n\r\n" not in self._head and len(self._head) <= LARGEST_HEAD:
            return None
        head, self._head = self._head.partition(b"\r\n\r\n")[0], None
        return head.decode("latin-1")


def _parsed(redirect_uri: str) -> tuple[str, int, str] | None:
    """Give host, port and path of a redirect URI that the receiver can serve."""
    parts = _REDIRECT_URI.fullmatch(redirect_uri)
    if parts is None or int(parts["port"] or 80) > 65535:
        return None
    return parts["host"], int(parts["port"] or 80), parts["path"] or ""
