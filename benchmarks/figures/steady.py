"""Requests that go on steadily while tokens expire and the token endpoint is slow."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from ..contenders import OURS, AsyncFetch, Contender, Fetch, GrantType, Terms
from ..fresh import run_fresh
from ..scale import Scale
from ..site import Site
from ..tables import Column, Goal, Row, Series, Table

__all__ = ["measure"]

CALLERS = 4
PERIOD = 0.04  # seconds between two requests of a caller
WAITED = 0.02  # seconds of added latency that count as having waited
STEP = 0.1  # seconds, of which the plot shows the slowest request
METHOD = (
    "Four callers (threads, or tasks of one event loop) make 25 requests per second each over real sockets, while "
    "tokens live {lifetime} s and the token endpoint takes {slow:.0f} ms, for {expiries} lifetimes. Added latency is "
    "a request's time minus that of the fastest tenth of its run. Each runs {meetings} times, in a fresh process; "
    "shown are the median and the largest of the runs' slowest requests (one odd moment of the machine is in the "
    "largest, a wait for the token endpoint in both), and the largest counts. What the imports have left is taken "
    "out of the sight of Python's garbage collector before (`gc.freeze()`): one pass over it takes 20 to 35 ms, with "
    "every library. The other libraries are told to take a token for expired a fifth of its life before its end; "
    "video_oauth_auth has its defaults. requests-oauthlib, which cannot be told so, renews at the very end, by a "
    "refresh token (without rotation). google-auth does not take part: it takes any token for expired 225 s before "
    "its end. The rows of the static header show what the machine and the client add by themselves."
)
COLUMNS = (
    Column(name="slowest added latency: median", unit="ms"),
    Column(name="slowest added latency: largest", unit="ms"),
    Column(name="requests that waited over 20 ms", unit="count"),
    Column(name="failed requests", unit="count"),
    Column(name="requests", unit="count"),
    Column(name="token calls", unit="count"),
    Column(name="median latency", unit="ms"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: seconds from the begin of the run until it was sent, and until it was answered, with 200 or not."""

    sent: float
    latency: float
    good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one run went: its requests, and the token calls."""

    requests: tuple[Request, ...]
    token_calls: int

    def added(self) -> list[float]:
        """Give how many seconds each request took longer than the fastest tenth did."""
        latencies = [one.latency for one in self.requests]
        usual = statistics.quantiles(latencies, n=10)[0]
        return [latency - usual for latency in latencies]

    def slowest(self) -> float:
        return max(self.added())


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:
    """Run them one after the other."""
    courses: dict[str, list[Course]] = defaultdict(list)
    for _ in range(scale.meetings):
        for contender in contenders:
            if not contender.has_leeway:
                continue
            courses[contender.name].append(run_fresh(scale, run_threads, site, contender, scale))
            if contender.open_async is not None:
                courses[f"{contender.name}, asyncio"].append(run_fresh(scale, run_tasks, site, contender, scale))
    for runs in courses.values():
        runs.sort(key=Course.slowest)
    rows = [_row(name, runs) for name, runs in courses.items()]
    ours = [row.values for row in rows if row.name.startswith(OURS)]
    slowest, failed = (max(_number(values[column]) for values in ours) for column in (1, 3))
    what = "steady requests through expiries, slow token endpoint: "
    goals = (
        Goal(
            what=f"{what}slowest added latency",
            sense="under",
            limit=20.0,
            measured=slowest,
            unit="ms",
        ),
        Goal(what=f"{what}failed requests", sense="at most", limit=0, measured=failed, unit="count"),
    )
    method = METHOD.format(
        lifetime=scale.lifetime, slow=scale.slow * 1000, expiries=scale.expiries, meetings=scale.meetings
    )
    return Table(
        title="Steady requests through expiries",
        method=method,
        columns=COLUMNS,
        rows=tuple(rows),
        goals=goals,
        series=tuple(_series(name, _middle(runs)) for name, runs in courses.items()),
    )


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def _middle(runs: Sequence[Course]) -> Course:
    return runs[len(runs) // 2]


def _row(name: str, runs: Sequence[Course]) -> Row:
    values = (
        _middle(runs).slowest() * 1000,
        runs[-1].slowest() * 1000,
        max(sum(one > WAITED for one in run.added()) for run in runs),
        max(sum(not one.good for one in run.requests) for run in runs),
        max(len(run.requests) for run in runs),
        max(run.token_calls for run in runs),
        statistics.median(one.latency for run in runs for one in run.requests) * 1000,
    )
    return Row(name=name, values=values)


def _series(name: str, course: Course) -> Series:
    """Give the milliseconds of the slowest request that was sent in each step."""
    ordered = sorted(course.requests, key=lambda one: one.sent)
    slowest = {
        step: max(one.latency for one in group) for step, group in groupby(ordered, lambda one: int(one.sent / STEP))
    }
    values = tuple(round(slowest.get(step, 0.0) * 1000, 1) for step in range(max(slowest) + 1))
    return Series(row=name, step=STEP, values=values)


def _terms(site: Site, contender: Contender, scale: Scale) -> Terms:
    """Let the server issue short tokens, quickly as long as nobody is measured."""
    grant_type: GrantType = "client_credentials"
    if grant_type not in contender.grant_types:
        grant_type = "refresh_token"
    site.behave(expires_in=scale.lifetime, refresh_tokens=grant_type == "refresh_token", rotate=False)
    leeway = None if contender.package == OURS else scale.lifetime / 5
    return Terms(grant_type=grant_type, leeway=leeway)


def _begin(site: Site, scale: Scale, terms: Terms) -> float:
    refresh_tokens = terms.grant_type == "refresh_token"
    site.behave(expires_in=scale.lifetime, delay=scale.slow, refresh_tokens=refresh_tokens, rotate=False)
    gc.collect()
    gc.freeze()  # one pass over what the imports have left takes 20 to 35 ms, with a static header too
    return time.perf_counter()


def run_threads(site: Site, contender: Contender, scale: Scale) -> Course:
    """Run the callers as threads; in a process of its own."""
    terms = _terms(site, contender, scale)
    requests: list[Request] = []
    with contender.open(site, terms) as fetch, ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda _: fetch(), range(CALLERS)))  # connections and the first token
        begin = _begin(site, scale, terms)
        calls = [pool.submit(_call_steadily, fetch, begin, caller, scale) for caller in range(CALLERS)]
        for call in calls:
            requests += call.result()
    return Course(requests=tuple(requests), token_calls=site.counts().token_calls)


def _call_steadily(fetch: Fetch, begin: float, caller: int, scale: Scale) -> list[Request]:
    course: list[Request] = []
    due = begin + PERIOD * caller / CALLERS
    while due < begin + scale.lifetime * scale.expiries:
        time.sleep(max(due - time.perf_counter(), 0.0))
        sent = time.perf_counter()
        try:
            good = fetch() == 200
        except Exception:  # noqa: BLE001 - counted, whatever it is
            good = False
        course.append(Request(sent - begin, time.perf_counter() - sent, good))
        due += PERIOD
    return course


def run_tasks(site: Site, contender: Contender, scale: Scale) -> Course:
    """Run the callers as tasks of one event loop; in a process of its own."""
    return asyncio.run(_run_tasks(site, contender, scale))


async def _run_tasks(site: Site, contender: Contender, scale: Scale) -> Course:
    terms = _terms(site, contender, scale)
    assert contender.open_async is not None
    async with contender.open_async(site, terms) as fetch:
        await asyncio.gather(*[fetch() for _ in range(CALLERS)])
        begin = _begin(site, scale, terms)
        courses = await asyncio.gather(*[_await_steadily(fetch, begin, caller, scale) for caller in range(CALLERS)])
    requests = tuple(request for course in courses for request in course)
    return Course(requests=requests, token_calls=site.counts().token_calls)


async def _await_steadily(fetch: AsyncFetch, begin: float, caller: int, scale: Scale) -> list[Request]:
    course: list[Request] = []
    due = begin + PERIOD * caller / CALLERS
    while due < begin + scale.lifetime * scale.expiries:
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        sent = time.perf_counter()
        try:
            good = await fetch() == 200
        except Exception:  # noqa: BLE001 - counted, whatever it is
            good = False
        course.append(Request(sent - begin, time.perf_counter() - sent, good))
        due += PERIOD
    return course
