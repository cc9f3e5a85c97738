"""A ticker: a task that wakes every millisecond and sees for how long the event loop did nothing for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Ticker", "ticking"]

TICK = 0.001  # seconds


@dataclass(slots=True)
class Ticker:
    """What it has seen: the largest gap between two ticks, in seconds."""

    largest_gap: float = 0.0
    ticks: int = 0


@asynccontextmanager
async def ticking(at_each_tick: Callable[[], object] = lambda: None) -> AsyncIterator[Ticker]:
    """Let a ticker run beside the body."""
    ticker = Ticker()
    over = False

    async def tick() -> None:
        last = time.perf_counter()
        while not over:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            ticker.largest_gap = max(ticker.largest_gap, now - last)
            ticker.ticks += 1
            at_each_tick()
            last = now

    task = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield ticker
    finally:
        over = True
        await task
