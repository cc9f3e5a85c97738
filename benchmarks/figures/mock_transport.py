"""A whole request of httpx and httpx2 that ends in a mock transport, sync and async."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack

from ..contenders import OURS, STATIC, AsyncFetch, Client, Contender, Fetch, Terms
from ..scale import Scale
from ..site import Site
from ..spread import interleaved, middle_half, ratios
from ..tables import Column, Goal, Row, Table

__all__ = ["measure"]

METHOD = (
    "Time of `client.get(url)` with a fresh token where `MockTransport` answers at once, so that no network hides what "
    "the auth object costs. All take turns in one process, in another order each round; the ratio is to the static "
    "header in the same client and the same round. Authlib brings clients of its own for httpx2."
)
TERMS = Terms(mocked=True)
Times = dict[str, list[float]]


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:
    """Compare whole requests."""
    site.behave()
    rows: list[Row] = []
    goals: list[Goal] = []
    clients: tuple[Client, ...] = ("httpx", "httpx2")
    for client in clients:
        taking_part = [one for one in contenders if one.client == client]
        for kind, times in (
            (f"{client}.Client", _sync(site, taking_part, scale)),
            (f"{client}.AsyncClient", asyncio.run(_async(site, taking_part, scale))),
        ):
            rows += [_row(name, kind, times) for name in times]
            goals.append(_goal(kind, times))
    columns = (
        Column(name="against a static header", unit="ratio"),
        Column(name="middle half", unit="ratio"),
        Column(name="per request", unit="µs"),
    )
    return Table(
        title="Whole request over a mock transport, httpx and httpx2",
        method=METHOD,
        columns=columns,
        rows=tuple(rows),
        goals=tuple(goals),
    )


def _sync(site: Site, contenders: Sequence[Contender], scale: Scale) -> Times:
    with ExitStack() as stack:
        fetches = {one.package: stack.enter_context(one.open(site, TERMS)) for one in contenders}
        for fetch in fetches.values():
            fetch()
        return interleaved({name: _batch(fetch, scale.batch) for name, fetch in fetches.items()}, scale.rounds)


def _batch(fetch: Fetch, size: int) -> Callable[[], float]:
    def run() -> float:
        """Give the microseconds per request."""
        gc.collect()
        gc.disable()
        begin = time.perf_counter()
        for _ in range(size):
            fetch()
        end = time.perf_counter()
        gc.enable()
        return (end - begin) / size * 1e6

    return run


async def _async(site: Site, contenders: Sequence[Contender], scale: Scale) -> Times:
    async with AsyncExitStack() as stack:
        fetches = {
            one.package: await stack.enter_async_context(one.open_async(site, TERMS))
            for one in contenders
            if one.open_async is not None
        }
        for fetch in fetches.values():
            await fetch()
        runs = {name: _async_batch(fetch, scale.batch) for name, fetch in fetches.items()}
        return await asyncio.to_thread(interleaved, runs, scale.rounds)


def _async_batch(fetch: AsyncFetch, size: int) -> Callable[[], float]:
    """Give what is called on a thread beside the loop, so that the rounds are made in one place."""
    loop = asyncio.get_running_loop()

    async def batch() -> float:
        gc.collect()
        gc.disable()
        begin = time.perf_counter()
        for _ in range(size):
            await fetch()
        end = time.perf_counter()
        gc.enable()
        return (end - begin) / size * 1e6

    return lambda: asyncio.run_coroutine_threadsafe(batch(), loop).result()


def _row(name: str, kind: str, times: Times) -> Row:
    against = ratios(times[name], times[STATIC])
    values = (statistics.median(against), middle_half(against), statistics.median(times[name]))
    return Row(name=f"{name} in {kind}", values=values)


def _goal(kind: str, times: Times) -> Goal:
    measured = statistics.median(ratios(times[OURS], times[STATIC]))
    what = f"whole request over a mock transport, {kind}: against a static header"
    return Goal(what=what, sense="under", limit=1.10, measured=measured, unit="ratio")
