"""Waiting for a renewal without blocking an event loop, on asyncio and on trio."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

__all__ = ["Shared", "done_within"]

T = TypeVar("T")


class Shared(Future[T]):
    """A future that belongs to nobody: whoever stops waiting for it, for whatever reason, leaves it as it is.

    It runs from its birth, so that nobody can cancel it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.wake_ups: dict[object, Any] = {}  # one for each event loop whose tasks wait


async def done_within(future: Shared[Any], seconds: float) -> bool:
    """Wait until the future is done, at most that many seconds; tell whether it is."""
    trio = sys.modules.get("trio")
    lowlevel = getattr(trio, "lowlevel", None)  # none yet where another thread is just importing it
    if trio is not None and lowlevel is not None and lowlevel.in_trio_run():
        await _wait_in_trio(trio, future, seconds)
    else:
        await _wait_in_asyncio(future, seconds)
    return future.done()


class _WakeUp:
    """The tasks of one asyncio event loop that wait for one future, the first first: one call wakes all of them.

    A call for each would take turns with the tasks that are awake already, and lose 5 ms at each (the switch interval
    of the interpreter). Plain futures and timers keep small what the garbage collector finds where thousands wait.
    """

    __slots__ = ("_loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waiting: dict[asyncio.Future[None], None] = {}

    def __call__(self, _: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for waiter in self.waiting:
            _end(waiter)


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _wait_in_asyncio(future: Shared[Any], seconds: float) -> None:
    import asyncio  # whoever waits here has it already; others need not pay for it

    loop = asyncio.get_running_loop()
    wake_up = future.wake_ups.get(loop)
    if wake_up is None:
        wake_up = future.wake_ups[loop] = _WakeUp(loop)
        future.add_done_callback(wake_up)
    waiter = loop.create_future()
    timer = loop.call_later(seconds, _end, waiter)
    wake_up.waiting[waiter] = None
    try:
        if not future.done():  # if it is, all may have been woken before
            await waiter
    finally:
        timer.cancel()
        del wake_up.waiting[waiter]


async def _wait_in_trio(trio: Any, future: Shared[Any], seconds: float) -> None:
    token = trio.lowlevel.current_trio_token()
    done = future.wake_ups.get(token)
    if done is None:
        done = future.wake_ups[token] = trio.Event()

        def wake(_: Future[Any]) -> None:
            with suppress(trio.RunFinishedError):  # the run is over: nobody waits any more
                token.run_sync_soon(done.set)

        future.add_done_callback(wake)
    with trio.move_on_after(seconds):
        await done.wait()
