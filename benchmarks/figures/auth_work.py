"""What an auth object adds to one request of requests while its token is fresh."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import requests

from ..contenders import OURS, STATIC, Contender
from ..scale import Scale
from ..site import Site
from ..spread import interleaved, middle_half, ratios
from ..tables import Column, Goal, Row, Table

__all__ = ["measure"]

Authenticate = Callable[[requests.PreparedRequest], Any]
Times = dict[str, list[float]]

METHOD = (
    "Time of the auth callable on a prepared GET request, in batches over fresh copies of the request; the token is "
    "fresh. All libraries take turns in one process, in another order each round; the ratio is taken per round. "
    "'With its hook' adds the response hooks that the callable registered, run on an answer of 200, which is what "
    "answering a 401 costs when there is none. google-auth has no auth callable: its `before_request` is called, "
    "which is what its session does."
)


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:
    """Compare all auth callables for requests."""
    site.behave()
    callables = {one.package: one.authenticate(site) for one in contenders if one.authenticate is not None}
    prepared = requests.Request("GET", site.api).prepare()
    for authenticate in callables.values():
        authenticate(_copy(prepared))  # fetches the token
    batches = {name: _Batch(authenticate, prepared, scale.batch) for name, authenticate in callables.items()}
    times = interleaved({name: batch.run for name, batch in batches.items()}, scale.rounds)
    whole = {name: batch.with_hooks for name, batch in batches.items()}
    rows = sorted((_row(name, times, whole) for name in times), key=lambda row: statistics.median(times[row.name]))
    columns = (
        Column(name="against a static header", unit="ratio"),
        Column(name="middle half", unit="ratio"),
        Column(name="per request", unit="µs"),
        Column(name="with its hook", unit="ratio"),
        Column(name="with its hook, per request", unit="µs"),
    )
    title = "Auth work per request, requests"
    return Table(title=title, method=METHOD, columns=columns, rows=tuple(rows), goals=tuple(_goals(times)))


def _goals(times: Times) -> Iterator[Goal]:
    yield _goal("ours against a static header", 4.0, statistics.median(ratios(times[OURS], times[STATIC])))
    peers = [statistics.median(ratios(times[OURS], times[name])) for name in times if name not in (OURS, STATIC)]
    if peers:
        yield _goal("ours against the fastest other library", 1.0, max(peers))


class _Batch:
    """Runs one auth callable on many requests; times are microseconds per request."""

    def __init__(self, authenticate: Authenticate, prepared: requests.PreparedRequest, size: int) -> None:
        self._authenticate, self._prepared, self._size = authenticate, prepared, size
        self._answer = requests.Response()
        self._answer.status_code = 200
        self.with_hooks: list[float] = []

    def run(self) -> float:
        """Give the time of the callable, and keep that of callable and hooks."""
        copies = [_copy(self._prepared) for _ in range(self._size)]
        gc.collect()
        gc.disable()
        begin = time.perf_counter()
        self._authenticate_all(copies)
        middle = time.perf_counter()
        self._run_hooks_of(copies)
        end = time.perf_counter()
        gc.enable()
        self.with_hooks.append((end - begin) / self._size * 1e6)
        return (middle - begin) / self._size * 1e6

    def _authenticate_all(self, requests_: Sequence[requests.PreparedRequest]) -> None:
        authenticate = self._authenticate
        for request in requests_:
            authenticate(request)

    def _run_hooks_of(self, requests_: Sequence[requests.PreparedRequest]) -> None:
        answer = self._answer
        for request in requests_:
            for hook in request.hooks["response"]:
                hook(answer)


def _copy(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Copy with hooks of its own: `copy` shares them, so every request would run the hooks of all before it."""
    one = prepared.copy()
    one.hooks = {"response": []}
    return one


def _row(name: str, times: Times, whole: Times) -> Row:
    against, hooked = ratios(times[name], times[STATIC]), ratios(whole[name], whole[STATIC])
    values = (
        statistics.median(against),
        middle_half(against),
        statistics.median(times[name]),
        statistics.median(hooked),
        statistics.median(whole[name]),
    )
    return Row(name=name, values=values)


def _goal(what: str, limit: float, measured: float) -> Goal:
    return Goal(what=f"auth work per request: {what}", sense="under", limit=limit, measured=measured, unit="ratio")
