"""Requests per second of 16 threads through a real server."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from ..contenders import OURS, STATIC, Client, Contender, Fetch, Terms
from ..fresh import run_fresh
from ..scale import Scale
from ..site import Site
from ..spread import interleaved, middle_half, ratios
from ..tables import Column, Goal, Row, Table

__all__ = ["measure"]

THREADS = 16
METHOD = (
    "Requests per second of 16 threads that share one session or client, over kept connections to the server in "
    "another process, with a fresh token: {load} requests per run. All libraries in the same client take turns, in "
    "another order each round, {rounds} rounds; the ratio is taken per round."
)
COLUMNS = (
    Column(name="against a static header", unit="ratio"),
    Column(name="middle half", unit="ratio"),
    Column(name="requests per second", unit="per second"),
)
Speeds = dict[str, list[float]]


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:
    """Run the load in each client."""
    rows: list[Row] = []
    goals: list[Goal] = []
    clients: tuple[Client, ...] = ("requests", "httpx", "httpx2")
    for client in clients:
        speeds = run_fresh(scale, load, site, [one for one in contenders if one.client == client], scale)
        rows += [_row(name, client, speeds) for name in speeds]
        measured = statistics.median(ratios(speeds[OURS], speeds[STATIC]))
        what = f"requests per second, 16 threads, {client}: against a static header"
        goals.append(Goal(what=what, sense="at least", limit=0.97, measured=measured, unit="ratio"))
    method = METHOD.format(load=scale.load, rounds=scale.load_rounds)
    return Table(title="Requests per second", method=method, columns=COLUMNS, rows=tuple(rows), goals=tuple(goals))


def _row(name: str, client: Client, speeds: Speeds) -> Row:
    against = ratios(speeds[name], speeds[STATIC])
    values = (statistics.median(against), middle_half(against), statistics.median(speeds[name]))
    return Row(name=f"{name} in {client}", values=values)


def load(site: Site, contenders: Sequence[Contender], scale: Scale) -> Speeds:
    """Run the rounds; in a process of its own."""
    with ExitStack() as stack, ThreadPoolExecutor(THREADS) as pool:
        runs: dict[str, Callable[[], float]] = {}
        for contender in contenders:
            with_refresh = "client_credentials" not in contender.grant_types
            site.behave(refresh_tokens=with_refresh)
            terms = Terms(grant_type="refresh_token" if with_refresh else "client_credentials", connections=THREADS)
            fetch = stack.enter_context(contender.open(site, terms))
            runs[contender.package] = _run(pool, fetch, scale.load // THREADS)
        for run in runs.values():
            run()  # opens the connections and fetches the token
        return interleaved(runs, scale.load_rounds)


def _run(pool: ThreadPoolExecutor, fetch: Fetch, each: int) -> Callable[[], float]:
    def fetch_all(_: int) -> int:
        return sum(fetch() == 200 for _ in range(each))

    def run() -> float:
        """Give the requests per second."""
        begin = time.perf_counter()
        good = sum(pool.map(fetch_all, range(THREADS)))
        seconds = time.perf_counter() - begin
        if good != THREADS * each:
            raise RuntimeError(f"{THREADS * each - good} requests were refused")
        return good / seconds

    return run
