"""How long an event loop stands still while the token endpoint hangs."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..contenders import OURS, STATIC, AsyncFetch, Contender, Terms, find
from ..fresh import run_fresh
from ..scale import Scale
from ..site import Site
from ..tables import Column, Goal, Row, Table
from .ticker import ticking

__all__ = ["measure"]

METHOD = (
    "Largest gap between two ticks of a task that wakes every millisecond in the event loop where a request waits for "
    "a token, while the token endpoint hangs {hang:g} s: once for the first token of the process (for Authlib, which "
    "wants one to begin with, the first renewal), once for a token that expired later. Each in a fresh process, "
    "{meetings} times; shown are the largest and the median. The client has made a request before, so its own first "
    "imports do not count. The rows of the static header show what the machine and the client add by themselves."
)
COLUMNS = (
    Column(name="first token: largest", unit="ms"),
    Column(name="first token: median", unit="ms"),
    Column(name="expired token: largest", unit="ms"),
    Column(name="expired token: median", unit="ms"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The largest gaps in seconds."""

    first: float
    expired: float


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:
    """Let the token endpoint hang for each."""
    rows = []
    for contender in contenders:
        if contender.open_async is None:
            continue
        warm_up = find(contenders, STATIC, contender.client)
        stalls = [run_fresh(scale, stall, site, contender, warm_up, scale.hang) for _ in range(scale.meetings)]
        rows.append(_row(contender.name, stalls))
    goal = Goal(
        what="event-loop stall while the token endpoint hangs",
        sense="under",
        limit=20.0,
        measured=max(max(_number(row.values[0]), _number(row.values[2])) for row in rows if row.name.startswith(OURS)),
        unit="ms",
    )
    method = METHOD.format(hang=scale.hang, meetings=scale.meetings)
    return Table(title="Event-loop stall", method=method, columns=COLUMNS, rows=tuple(rows), goals=(goal,))


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def _row(name: str, stalls: Sequence[Stall]) -> Row:
    first, expired = [one.first * 1000 for one in stalls], [one.expired * 1000 for one in stalls]
    return Row(name=name, values=(max(first), statistics.median(first), max(expired), statistics.median(expired)))


def stall(site: Site, contender: Contender, warm_up: Contender, hang: float) -> Stall:
    """Watch two token calls; in a process of its own."""
    return asyncio.run(_stall(site, contender, warm_up, hang))


async def _stall(site: Site, contender: Contender, warm_up: Contender, hang: float) -> Stall:
    assert contender.open_async is not None
    assert warm_up.open_async is not None
    async with warm_up.open_async(site, Terms()) as fetch:
        await fetch()
    lifetime = 2 * hang  # it counts from the request on, half of which the endpoint hangs
    site.behave(expires_in=lifetime)
    async with contender.open_async(site, Terms()) as fetch:
        site.behave(expires_in=lifetime, delay=hang)
        first = await _largest_gap(fetch, hang)
        await asyncio.sleep(lifetime)
        site.behave(delay=hang)
        expired = await _largest_gap(fetch, hang)
    return Stall(first=first, expired=expired)


async def _largest_gap(fetch: AsyncFetch, hang: float) -> float:
    async with ticking() as ticker:
        status = await fetch()
        await asyncio.sleep(hang / 2)  # for those that fetch nothing: there has to be something to see
    if status != 200:
        raise RuntimeError(f"answered {status}")
    return ticker.largest_gap
