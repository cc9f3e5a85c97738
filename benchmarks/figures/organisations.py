"""Very many organisations served by one program, each with a credential and a token of its own."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import statistics
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from video_oauth_auth import AuthorizationServer, BrightcoveAuth
from video_oauth_auth.organisations import Organisations

from ..contenders import OURS, Contender
from ..fresh import run_fresh
from ..scale import Scale
from ..site import Site
from ..tables import Column, Goal, Row, Table
from .ticker import ticking

__all__ = ["measure"]

logger = logging.getLogger("benchmarks")

OUR_THREADS = "video-oauth-auth"  # how the names of its threads begin
CALLERS = 8  # threads that go through all organisations, beside the tasks
ROUNDS = 5  # of looking up each organisation, when everything is there
METHOD = (
    "One object, `auths`, gives the auth object of each of {number:,} organisations: `auths[name]`; credentials come "
    "from a callable. 'Served' means that each organisation is asked for a token by a task, all in one event loop, and "
    "by {callers} threads at the same time, which go through all of them in an order of their own. It counts the token "
    "calls at the server (one for each organisation is enough), callers without a token, and pairs of callers who were "
    "given different tokens for one organisation, or the same for two. A look-up is then timed with all of them there, "
    "by name and in a mixed-up order. The weight is what tracemalloc counts after {number:,} have been asked for, "
    "divided by how many of them are alive then: all of them, or the tenth that `kept=` allows."
)
COLUMNS = (
    Column(name="alive", unit="count"),
    Column(name="weight of each", unit="KiB"),
    Column(name="look-up", unit="µs"),
    Column(name="token calls", unit="count"),
    Column(name="without a token", unit="count"),
    Column(name="mixed up", unit="count"),
    Column(name="threads of this library", unit="count"),
    Column(name="until all have a token", unit="s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What came of asking for all of them; times in seconds."""

    token_calls: int
    failures: int
    mixed_up: int
    threads: int
    seconds: float
    look_up: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How many auth objects live, and KiB for each."""

    alive: int
    each: float


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - only ours has it
    """Serve them, and weigh them."""
    number, tenth = scale.fleet, max(scale.fleet // 10, 1)
    served = run_fresh(scale, serve, site, scale)
    everybody, few = (run_fresh(scale, weigh, number, kept) for kept in (number, tenth))
    title = f"{number:,} organisations"
    told = (served.token_calls, served.failures, served.mixed_up, served.threads, served.seconds)
    rows = (
        Row(name=f"{OURS}, all kept", values=(everybody.alive, everybody.each, served.look_up * 1e6, *told)),
        Row(name=f"{OURS}, a tenth kept", values=(few.alive, few.each, *[None] * 6)),
    )
    return Table(
        title=title,
        method=METHOD.format(number=number, callers=CALLERS),
        columns=COLUMNS,
        rows=rows,
        goals=tuple(_goals(f"{title}: ", served, everybody, few, number=number, tenth=tenth)),
    )


def _goals(what: str, served: Served, everybody: Weight, few: Weight, *, number: int, tenth: int) -> Iterator[Goal]:
    yield Goal(what=f"{what}token calls", sense="at most", limit=number, measured=served.token_calls, unit="count")
    yield Goal(what=f"{what}without a token", sense="at most", limit=0, measured=served.failures, unit="count")
    yield Goal(what=f"{what}mixed up", sense="at most", limit=0, measured=served.mixed_up, unit="count")
    yield Goal(what=f"{what}threads", sense="at most", limit=40, measured=served.threads, unit="count")
    yield Goal(what=f"{what}alive, a tenth kept", sense="at most", limit=tenth, measured=few.alive, unit="count")
    yield Goal(what=f"{what}KiB each", sense="under", limit=4.0, measured=everybody.each, unit="KiB")
    yield Goal(what=f"{what}look-up", sense="under", limit=5.0, measured=served.look_up * 1e6, unit="µs")


def _names(number: int) -> list[str]:
    return [f"org-{one}" for one in range(number)]


def _credential(name: str) -> tuple[str, str]:
    return f"client of {name}", f"secret of {name}"


# --- serving ------------------------------------------------------------------------------------------------------


def serve(site: Site, scale: Scale) -> Served:
    """Ask for the tokens of all organisations; in a process of its own."""
    site.behave()
    server = AuthorizationServer(token_endpoint=site.token_endpoint)
    auths = BrightcoveAuth.for_organisations(_credential, kept=scale.fleet, server=server, origins=[site.url])
    names = _names(scale.fleet)
    seen: list[dict[str, str]] = []
    callers = [threading.Thread(target=_go_through, args=(auths, names, seen)) for _ in range(CALLERS)]
    begin = time.perf_counter()
    for caller in callers:
        caller.start()
    threads = asyncio.run(_ask_in_tasks(auths, names, seen))
    for caller in callers:
        caller.join()
    seconds = time.perf_counter() - begin
    return Served(
        token_calls=site.counts().token_calls,
        failures=sum(len(names) - len(tokens) for tokens in seen),
        mixed_up=_mixed_up(names, seen),
        threads=threads,
        seconds=seconds,
        look_up=_timed(auths, names),
    )


def _go_through(auths: Organisations[BrightcoveAuth], names: Sequence[str], seen: list[dict[str, str]]) -> None:
    tokens: dict[str, str] = {}
    seen.append(tokens)
    for name in random.sample(names, len(names)):
        try:
            tokens[name] = auths[name].source.get_token().access_token
        except Exception:
            logger.exception("%s has no token", name)  # none is expected, so it should be known why


async def _ask_in_tasks(auths: Organisations[BrightcoveAuth], names: Sequence[str], seen: list[dict[str, str]]) -> int:
    tokens: dict[str, str] = {}
    seen.append(tokens)
    threads = 0

    def count() -> None:
        nonlocal threads
        threads = max(threads, sum(one.name.startswith(OUR_THREADS) for one in threading.enumerate()))

    async def ask(name: str) -> None:
        token = await auths[name].source.aget_token()
        tokens[name] = token.access_token

    async with ticking(count):
        outcomes = await asyncio.gather(*map(ask, names), return_exceptions=True)
    for outcome in filter(None, outcomes):
        logger.error("a task has no token", exc_info=outcome)
    return threads


def _mixed_up(names: Sequence[str], seen: Sequence[dict[str, str]]) -> int:
    """Count the organisations whose callers did not all get one token that nobody else got."""
    tokens = {name: {one[name] for one in seen if name in one} for name in names}
    owners: dict[str, int] = {}
    for found in tokens.values():
        for token in found:
            owners[token] = owners.get(token, 0) + 1
    return sum(len(found) > 1 or any(owners[token] > 1 for token in found) for found in tokens.values())


def _timed(auths: Organisations[BrightcoveAuth], names: Sequence[str]) -> float:
    """Give the seconds of one look-up: the median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        order = random.sample(names, len(names))
        gc.collect()
        gc.disable()
        begin = time.perf_counter()
        for name in order:
            auths[name]
        rounds.append((time.perf_counter() - begin) / len(order))
        gc.enable()
    return statistics.median(rounds)


# --- weighing -----------------------------------------------------------------------------------------------------


def weigh(number: int, kept: int) -> Weight:
    """Ask for all of them, and weigh what stays; in a process of its own."""
    names = _names(number)
    BrightcoveAuth.for_organisations(_credential)["imports and caches that come once"]
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    auths = BrightcoveAuth.for_organisations(_credential, kept=kept)
    for name in names:
        auths[name]
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    alive = sum(isinstance(one, BrightcoveAuth) for one in gc.get_objects())
    return Weight(alive=alive, each=(after - before) / alive / 1024)
