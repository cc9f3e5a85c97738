"""Threads and tasks that meet an expired token at the same moment."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..contenders import OURS, AsyncFetch, Contender, Fetch, GrantType, Terms
from ..fresh import run_fresh
from ..scale import Scale
from ..site import Site
from ..tables import Column, Goal, Row, Table

__all__ = ["measure_tasks", "measure_threads"]

DELAY = 0.02  # seconds that the token endpoint takes
METHOD = (
    "{many} share one auth object (or session) whose token has just expired, and make one request each at the same "
    "moment{how}. Counted by the server, in another process: token calls, and requests that raised or were not "
    "answered with 200. Once with the client credentials; once with a refresh token that rotates, where the server "
    "takes a second use for theft and ends the whole family of tokens. Each in a fresh process, {meetings} times; "
    "shown are the largest counts and the median time until all have their answer. '-': the library does not renew "
    "by this grant on its own. The rows of the static header, which needs no token call, show what the same burst of "
    "requests takes in the client's pool of connections alone."
)
COLUMNS = (
    Column(name="token calls", unit="count"),
    Column(name="failed requests", unit="count"),
    Column(name="until all are answered", unit="s"),
    Column(name="with rotation: token calls", unit="count"),
    Column(name="with rotation: failed requests", unit="count"),
    Column(name="with rotation: until all are answered", unit="s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """How they meet: by which grant tokens are renewed, how many meet, seconds that the first token lives."""

    grant_type: GrantType
    many: int
    short: float

    @property
    def rotation(self) -> bool:
        return self.grant_type == "refresh_token"

    def terms(self) -> Terms:
        return Terms(grant_type=self.grant_type, connections=self.many)

    def prepare(self, site: Site) -> None:
        """Let the server issue short-lived tokens."""
        site.behave(expires_in=self.short, refresh_tokens=self.rotation)

    def let_it_expire(self, site: Site) -> None:
        """Wait until the short-lived token has ended; the next ones last."""
        time.sleep(self.short + 0.1)
        site.behave(delay=DELAY, refresh_tokens=self.rotation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """How one meeting went."""

    token_calls: int
    failures: int
    seconds: float


Meet = Callable[[Site, Contender, Occasion], Meeting]


def measure_threads(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:
    """Let threads meet an expired token."""
    many = f"{scale.threads:,} threads"
    method = METHOD.format(many=many, how=" (a barrier)", meetings=scale.meetings)
    rows = [_row(one, meet_in_threads, site, scale.threads, scale) for one in contenders]
    return _table(f"Token calls when {many} meet an expired token", method, rows, many)


def measure_tasks(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:
    """Let tasks of one event loop meet an expired token."""
    many = f"{scale.tasks:,} tasks"
    method = METHOD.format(many=many, how=" in one event loop", meetings=scale.meetings)
    able = [one for one in contenders if one.open_async is not None]
    rows = [_row(one, meet_in_tasks, site, scale.tasks, scale) for one in able]
    return _table(f"Token calls when {many} meet an expired token", method, rows, many)


def _table(title: str, method: str, rows: Sequence[Row], many: str) -> Table:
    ours = [row.values for row in rows if row.name.startswith(OURS)]
    goals = tuple(
        Goal(
            what=f"{many} meet an expired token: {what}",
            sense="at most",
            limit=limit,
            measured=max(_count(values[column]) for values in ours),
            unit="count",
        )
        for what, column, limit in (
            ("token calls", 0, 1),
            ("failed requests", 1, 0),
            ("token calls with rotation", 3, 1),
            ("failed requests with rotation", 4, 0),
        )
    )
    return Table(title=title, method=method, columns=COLUMNS, rows=tuple(rows), goals=goals)


def _count(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def _row(contender: Contender, meet: Meet, site: Site, many: int, scale: Scale) -> Row:
    grant_types: tuple[GrantType, ...] = ("client_credentials", "refresh_token")
    values: list[float | None] = []
    for grant_type in grant_types:
        if grant_type not in contender.grant_types:
            values += [None, None, None]
            continue
        occasion = Occasion(grant_type=grant_type, many=many, short=scale.short)
        meetings = [run_fresh(scale, meet, site, contender, occasion) for _ in range(scale.meetings)]
        values += [
            max(one.token_calls for one in meetings),
            max(one.failures for one in meetings),
            statistics.median(one.seconds for one in meetings),
        ]
    return Row(name=contender.name, values=tuple(values))


def meet_in_threads(site: Site, contender: Contender, occasion: Occasion) -> Meeting:
    """Run one meeting of threads; in a process of its own."""
    many = occasion.many
    occasion.prepare(site)
    with contender.open(site, occasion.terms()) as fetch, ThreadPoolExecutor(many) as pool:
        fetch()
        occasion.let_it_expire(site)
        barrier = threading.Barrier(many + 1)
        answers = [pool.submit(_fetched, fetch, barrier) for _ in range(many)]
        barrier.wait()
        begin = time.perf_counter()
        good = sum(answer.result() for answer in answers)
        seconds = time.perf_counter() - begin
    return Meeting(token_calls=site.counts().token_calls, failures=many - good, seconds=seconds)


def _fetched(fetch: Fetch, barrier: threading.Barrier) -> bool:
    barrier.wait()
    try:
        return fetch() == 200
    except Exception:  # noqa: BLE001 - counted, whatever it is
        return False


def meet_in_tasks(site: Site, contender: Contender, occasion: Occasion) -> Meeting:
    """Run one meeting of tasks; in a process of its own."""
    return asyncio.run(_meet_in_tasks(site, contender, occasion))


async def _meet_in_tasks(site: Site, contender: Contender, occasion: Occasion) -> Meeting:
    assert contender.open_async is not None
    occasion.prepare(site)
    async with contender.open_async(site, occasion.terms()) as fetch:
        await fetch()
        await asyncio.to_thread(occasion.let_it_expire, site)
        begin = time.perf_counter()
        good = sum(await asyncio.gather(*[_async_fetched(fetch) for _ in range(occasion.many)]))
        seconds = time.perf_counter() - begin
    return Meeting(token_calls=site.counts().token_calls, failures=occasion.many - good, seconds=seconds)


async def _async_fetched(fetch: AsyncFetch) -> bool:
    try:
        return await fetch() == 200
    except Exception:  # noqa: BLE001 - counted, whatever it is
        return False
