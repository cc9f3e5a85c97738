"""The listening sockets: several ports on loopback, one thread that accepts, one thread per connection."""

import os
import selectors
import socket
import socketserver
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .connection import Connection, reset_on_close
from .exchange import Endpoint, Exchange

LOOPBACK = "127.0.0.1"
THREADS_END_WITHIN = 5.0


class Port(socketserver.ThreadingTCPServer):
    """One origin: a port, and the endpoints behind its paths."""

    request_queue_size = 1024  # hundreds of clients connect at once
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        name: str,
        *,
        port: int,
        endpoint: Callable[[str], Endpoint],
        exchange: Exchange,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.exchange = exchange
        self._lock = threading.Lock()  # guards the three below
        self._open: dict[socket.socket, tuple[int, threading.Thread]] = {}
        self._resets: set[socket.socket] = set()
        self._accepted = 0
        super().__init__((LOOPBACK, port), Connection)

    @property
    def url(self) -> str:
        """The origin, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.server_address[1]}"

    def number_of(self, connection: Any) -> int:
        """The number of this connection, from 1, in the order they were accepted."""
        with self._lock:
            return self._open[connection][0]

    def reset(self, connection: socket.socket) -> None:
        """Let this connection end with a TCP reset when its thread is done."""
        reset_on_close(connection)
        with self._lock:
            self._resets.add(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a new connection on a thread of its own, and remember both until they end."""
        with self._lock:
            self._accepted += 1
            name = f"oauth-server-{self.name}-{self._accepted}"
            arguments = (request, client_address)
            thread = threading.Thread(target=self.process_request_thread, args=arguments, name=name, daemon=True)
            self._open[request] = (self._accepted, thread)
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one that is to be reset without the FIN that would come first."""
        with self._lock:
            self._open.pop(request, None)
            is_reset = request in self._resets
            self._resets.discard(request)
        if is_reset:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the inherited signature
        """Keep an error of the server itself; a client that went away is none."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, (ConnectionError, TimeoutError)):
            self.exchange.failures.append(error)

    def sockets(self) -> list[socket.socket]:
        """The listening socket and the open connections."""
        return [self.socket, *tuple(self._open)]

    def close_connections(self) -> list[threading.Thread]:
        """End every open connection at once; gives the threads that are about to end."""
        with self._lock:
            open_now = list(self._open.items())
        for connection, _ in open_now:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # ended by itself meanwhile
        return [thread for _, (_, thread) in open_now]


_listeners: "weakref.WeakSet[Listener]" = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    """Close, in a forked child, its copies of the sockets: they would keep ports and connections open.

    Takes no lock: the thread that may have held one does not exist in the child.
    """
    for listener in tuple(_listeners):
        for connection in [connection for port in listener.ports for connection in port.sockets()]:
            descriptor = connection.detach()
            if descriptor >= 0:
                os.close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


class Listener:
    """Accepts connections for several ports on one thread, and ends them all promptly."""

    def __init__(self, ports: Iterable[Port]) -> None:
        self.ports: tuple[Port, ...] = tuple(ports)
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="oauth-server-accept", daemon=True)
        self._thread.start()
        _listeners.add(self)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            for port in self.ports:
                selector.register(port, selectors.EVENT_READ, port)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    key.data.handle_request()

    def close(self) -> None:
        """Accept nothing more, end all connections, and wait until their threads have ended."""
        _listeners.discard(self)
        self._waker.send(b"x")
        self._thread.join()
        for port in self.ports:
            port.server_close()
        self._wake.close()
        self._waker.close()
        deadline = time.monotonic() + THREADS_END_WITHIN
        for thread in [thread for port in self.ports for thread in port.close_connections()]:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
