"""Ends network exchanges at their deadline, however slowly the other side still talks.

Time-outs of sockets start anew with every byte; an absolute end needs somebody else who shuts the connection down.
One thread does that for the whole process, and it lives only while an exchange is under way.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from . import forks
from .budget import Budget, now

__all__ = ["Connections", "connections"]


class Connections:
    """The connections of one exchange, so that they can be shut down from outside.

    Attributes:
        budget: when they are shut down.
        ended: True once they were.
        blind: True if a mock or somebody's own transport makes the exchange: it does not tell how far it is.
    """

    __slots__ = ("_closed", "_sockets", "blind", "budget", "ended")

    def __init__(self, budget: Budget) -> None:
        self.budget: Budget = budget
        self.ended: bool = False
        self.blind: bool = False
        self._closed = False
        self._sockets: list[socket.socket] = []

    def add(self, connected: object) -> None:
        """Remember a connection by a descriptor of our own: TLS moves the original into another object."""
        if not isinstance(connected, socket.socket):
            return
        # socket.dup would make a TLS socket again, which Python refuses.
        self._sockets.append(socket.fromfd(connected.fileno(), connected.family, connected.type, connected.proto))
        if self.ended:
            self.shut_down()

    def shut_down(self) -> None:
        """Wake the thread that reads or writes; it finds the connection at its end."""
        self.ended = True
        for connection in self._sockets:
            with suppress(OSError):  # it has ended by itself, or the exchange is over
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        for connection in self._sockets:
            connection.close()

    @property
    def over(self) -> bool:
        return self._closed


class _Watchdog:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, Connections]] = []
        self._order = itertools.count()
        self._running = False

    def watch(self, watched: Connections) -> None:
        with self._condition:
            heapq.heappush(self._heap, (watched.budget.ends_at, next(self._order), watched))
            self._condition.notify()
            if not self._running:
                thread = threading.Thread(target=self._run, name="video-oauth-auth-deadlines", daemon=True)
                with suppress(RuntimeError):  # no thread to be had: the time-outs of the sockets remain
                    thread.start()
                    self._running = True

    def _run(self) -> None:
        while (due := self._next_due()) is not None:
            due.shut_down()

    def _next_due(self) -> Connections | None:
        with self._condition:
            while self._heap:
                ends_at, _, watched = self._heap[0]
                if watched.over:
                    heapq.heappop(self._heap)
                elif (wait := ends_at - now()) <= 0:
                    return heapq.heappop(self._heap)[2]
                else:
                    self._condition.wait(wait)
            self._running = False
            return None

    def forget(self, watched: Connections) -> None:
        with self._condition:
            watched.close()
            self._condition.notify()


_watchdog = _Watchdog()


def _forget() -> None:
    global _watchdog
    _watchdog = _Watchdog()


forks.reset_in_child(_forget)


@contextmanager
def connections(budget: Budget) -> Iterator[Connections]:
    """Give a collection of connections that are shut down when the budget is used up."""
    watchdog = _watchdog
    watched = Connections(budget)
    watchdog.watch(watched)
    try:
        yield watched
    finally:
        watchdog.forget(watched)
