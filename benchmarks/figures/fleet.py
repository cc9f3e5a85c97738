"""Very many sources of one process whose tokens expire together."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import statistics
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from video_oauth_auth import AuthorizationServer, ClientCredentials, OAuthClient, Token, TokenSource

from ..contenders import OURS, Contender
from ..fresh import run_fresh
from ..scale import Scale
from ..site import Site
from ..tables import Column, Goal, Row, Table
from .ticker import ticking

__all__ = ["measure"]

logger = logging.getLogger("benchmarks")

Job = Callable[[TokenSource], Coroutine[Any, Any, bool]]

ASLEEP = "sleeping tasks"
A_TASK_EACH = "a task each"
FEW = 200  # tasks that go through all sources
BY_FEW = f"{FEW} tasks"
EXPIRED = "expired-"
OUR_THREADS = "video-oauth-auth"  # how the names of its threads begin
BURST = 25  # tasks that are started in one turn of the event loop
METHOD = (
    "{fleet:,} token sources in one process, each with its own client id and an expired token, are asked for a token "
    "in one event loop: by {few} tasks, each of which goes through its share of them, and by a task each, so that all "
    "wait at once; those are started {burst} at a time, since starting them all in one turn would itself hold the "
    "loop. Every source makes its own token call (the server, in another process, answers at once). Threads of the "
    "library and the largest gap between two ticks of a millisecond ticker are watched meanwhile; {meetings} fresh "
    "processes, shown are the largest values and the median time. 'Sleeping tasks' are as many tasks beside as many "
    "sources, which sleep a few seconds and ask for nothing: where {fleet:,} tasks are made at once, Python's cyclic "
    "garbage collector looks at every object of sources and tasks, and holds the loop for longer than the 20 ms that "
    "are the goal, whatever the tasks do. Therefore that is measured twice: with the collector running, where the goal "
    "is to hold the loop not much longer than the sleeping tasks do, and with it paused (`gc.disable()`), where the "
    "goal is the 20 ms. Nothing is subtracted."
)
COLUMNS = (
    Column(name="threads of this library", unit="count"),
    Column(name="event-loop stall", unit="ms"),
    Column(name="failures", unit="count"),
    Column(name="token calls", unit="count"),
    Column(name="until all have a token", unit="s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sortie:
    """What one fleet did; times in seconds."""

    threads: int
    stall: float
    failures: int
    token_calls: int
    seconds: float


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - only ours can
    """Let the fleet renew."""

    def measured(job: Job, tasks: int, *, collecting: bool = True) -> list[Sortie]:
        return [run_fresh(scale, sortie, site, scale, job, tasks, collecting=collecting) for _ in range(scale.meetings)]

    by_few = measured(_renewed, FEW)
    running, paused = (measured(_renewed, scale.fleet, collecting=collecting) for collecting in (True, False))
    beside, beside_paused = (measured(_asleep, scale.fleet, collecting=collecting) for collecting in (True, False))
    rows = (
        _row(f"{OURS}, {BY_FEW}, collector running", by_few),
        _row(f"{ASLEEP}, collector running", beside),
        _row(f"{OURS}, {A_TASK_EACH}, collector running", running),
        _row(f"{ASLEEP}, collector paused", beside_paused),
        _row(f"{OURS}, {A_TASK_EACH}, collector paused", paused),
    )
    title = f"{scale.fleet:,} sources expire together"
    return Table(
        title=title,
        method=METHOD.format(fleet=scale.fleet, few=FEW, burst=BURST, meetings=scale.meetings),
        columns=COLUMNS,
        rows=rows,
        goals=tuple(_goals(f"{title}: ", by_few, running, paused, beside=beside)),
    )


def _goals(
    what: str,
    by_few: Sequence[Sortie],
    running: Sequence[Sortie],
    paused: Sequence[Sortie],
    *,
    beside: Sequence[Sortie],
) -> Iterator[Goal]:
    every = [*by_few, *running, *paused]
    threads, failures = max(one.threads for one in every), max(one.failures for one in every)
    yield Goal(what=f"{what}threads", sense="at most", limit=40, measured=threads, unit="count")
    yield Goal(what=f"{what}failures", sense="at most", limit=0, measured=failures, unit="count")
    what = f"{what}event-loop stall, "
    stall = _stall(by_few) * 1000
    yield Goal(what=f"{what}{BY_FEW}", sense="under", limit=20.0, measured=stall, unit="ms")
    stall = _stall(paused) * 1000
    yield Goal(what=f"{what}{A_TASK_EACH}, collector paused", sense="under", limit=20.0, measured=stall, unit="ms")
    ratio = _stall(running) / _stall(beside)
    what = f"{what}{A_TASK_EACH}, collector running: against {ASLEEP}"
    yield Goal(what=what, sense="under", limit=1.5, measured=ratio, unit="ratio")


def _stall(sorties: Sequence[Sortie]) -> float:
    return max(one.stall for one in sorties)


def _row(name: str, sorties: Sequence[Sortie]) -> Row:
    values = (
        max(one.threads for one in sorties),
        _stall(sorties) * 1000,
        max(one.failures for one in sorties),
        max(one.token_calls for one in sorties),
        statistics.median(one.seconds for one in sorties),
    )
    return Row(name=name, values=values)


def _source(site: Site, number: int) -> TokenSource:
    moment = time.time()
    return TokenSource(
        AuthorizationServer(token_endpoint=site.token_endpoint),
        OAuthClient(f"client-{number}", f"secret-{number}"),
        ClientCredentials(),
        token=Token(access_token=f"{EXPIRED}{number}", issued_at=moment - 10, expires_at=moment - 5),
    )


def sortie(site: Site, scale: Scale, job: Job, tasks: int, *, collecting: bool) -> Sortie:
    """Run the job once for each source, in so many tasks; in a process of its own."""
    site.behave()
    sources = [_source(site, number) for number in range(scale.fleet)]
    gc.collect()
    if not collecting:
        gc.disable()
    try:
        return asyncio.run(_watched(site, job, [sources[first::tasks] for first in range(tasks)]))
    finally:
        gc.enable()


async def _asleep(source: TokenSource) -> bool:  # noqa: ARG001 - it is only there
    async with asyncio.timeout(30):
        await asyncio.sleep(random.uniform(0.5, 2.0))
    return True


async def _renewed(source: TokenSource) -> bool:
    try:
        token = await source.aget_token()
    except Exception:
        logger.exception("a source failed")  # none is expected, so it should be known why
        return False
    return not token.access_token.startswith(EXPIRED)


async def _failures(job: Job, sources: Sequence[TokenSource]) -> int:
    return [await job(source) for source in sources].count(False)


async def _watched(site: Site, job: Job, shares: Sequence[Sequence[TokenSource]]) -> Sortie:
    threads = 0

    def count() -> None:
        nonlocal threads
        threads = max(threads, sum(one.name.startswith(OUR_THREADS) for one in threading.enumerate()))

    async with ticking(count) as ticker:
        begin = time.perf_counter()
        tasks = []
        for start in range(0, len(shares), BURST):
            tasks += [asyncio.create_task(_failures(job, share)) for share in shares[start : start + BURST]]
            await asyncio.sleep(0)
        failures = sum([await task for task in tasks])
        seconds = time.perf_counter() - begin
    return Sortie(
        threads=threads,
        stall=ticker.largest_gap,
        failures=failures,
        token_calls=site.counts().token_calls,
        seconds=seconds,
    )
