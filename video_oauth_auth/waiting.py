"""Waiting for a renewal without blocking an event loop, on asyncio and on trio.

The future belongs to nobody: whoever stops waiting, for whatever reason, leaves it as it is.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

__all__ = ["done_within"]


async def done_within(future: Future[Any], seconds: float) -> bool:
    """Wait until the future is done, at most that many seconds; tell whether it is."""
    trio = sys.modules.get("trio")
    lowlevel = getattr(trio, "lowlevel", None)  # none yet where another thread is just importing it
    if trio is not None and lowlevel is not None and lowlevel.in_trio_run():
        await _wait_in_trio(trio, future, seconds)
    else:
        await _wait_in_asyncio(future, seconds)
    return future.done()


async def _wait_in_asyncio(future: Future[Any], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()


async def _wait_in_trio(trio: Any, future: Future[Any], seconds: float) -> None:
    token = trio.lowlevel.current_trio_token()
    done = trio.Event()

    def wake(_: Future[Any]) -> None:
        with suppress(trio.RunFinishedError):  # the run is over: nobody waits any more
            token.run_sync_soon(done.set)

    future.add_done_callback(wake)
    with trio.move_on_after(seconds):
        await done.wait()
