"""Large bodies through the proxy: how fast they stream, and how much memory they take."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection

from ..bulk import REST, SLOW
from ..contenders import Contender
from ..proxied import RunningProxy, running_proxy
from ..scale import Scale
from ..server import FIXED_TOKEN
from ..site import Site, running
from ..spread import interleaved, ratios
from ..tables import Column, Goal, Row, Table
from .proxy import DIRECT, PROXY

__all__ = ["measure"]

MIB = 2**20
PIECE = b"\0" * 65536
METHOD = (
    "One request with a body of {body} MiB at a time, through `video-oauth-auth proxy` and, in turns, directly to a "
    "server of uvicorn on the same machine; medians of {rounds} rounds. Memory is measured before that, for each "
    "direction in a fresh process: how much the resident memory of the proxy grows at most while one such body passes "
    "whose receiver rests half a second when it has the first MiB, so that a proxy which takes more than it can pass "
    "on would be seen."
)
COLUMNS = (
    Column(name="against direct", unit="ratio"),
    Column(name="MiB per second", unit="MiB per second"),
    Column(name="memory growth", unit="MiB"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a body goes: to this port, with this before the path, and whether its receiver rests in the middle."""

    port: int
    before: str = ""
    rests: bool = False


Transfer = Callable[[Way, int], float]


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - only ours has one
    """Send bodies in both directions."""
    site.behave()
    rows: list[Row] = []
    transfers: dict[str, Transfer] = {"download": download, "upload": upload}
    with running("benchmarks.bulk") as port:
        for name, transfer in transfers.items():
            with running_proxy(site, [port]) as proxy:
                rows += _rows(name, transfer, Way(port=port), proxy, scale)
    return Table(
        title="Large bodies through the proxy",
        method=METHOD.format(body=scale.body, rounds=scale.meetings),
        columns=COLUMNS,
        rows=tuple(rows),
        goals=tuple(_goals(rows)),
    )


def _rows(name: str, transfer: Transfer, direct: Way, proxy: RunningProxy, scale: Scale) -> Iterator[Row]:
    through = Way(port=proxy.port, before=f"/127.0.0.1:{direct.port}")
    size = scale.body * MIB
    transfer(through, MIB)  # imports, connections and the token
    before = proxy.memory("VmRSS")
    transfer(replace(through, rests=True), size)
    most = proxy.memory("VmHWM")
    growth = None if before is None or most is None else max(most - before, 0.0)
    ways = {DIRECT: direct, PROXY: through}
    speeds = interleaved({one: partial(transfer, way, size) for one, way in ways.items()}, scale.meetings)
    for one in ways:
        against = statistics.median(ratios(speeds[one], speeds[DIRECT]))
        grown = growth if one == PROXY else None
        yield Row(name=f"{one}, {name}", values=(against, statistics.median(speeds[one]), grown))


def _goals(rows: Sequence[Row]) -> Iterator[Goal]:
    for row in rows:
        growth = row.values[2]
        if isinstance(growth, float):
            yield Goal(what=f"{row.name}: memory growth", sense="under", limit=32.0, measured=growth, unit="MiB")


def download(way: Way, size: int) -> float:
    """Fetch so many bytes; give MiB per second."""
    connection = HTTPConnection("127.0.0.1", way.port, timeout=60)
    begin = time.perf_counter()
    try:
        connection.request("GET", f"{way.before}/{size}", headers={"Authorization": f"Bearer {FIXED_TOKEN}"})
        answer = connection.getresponse()
        received = len(answer.read(min(size, MIB)))
        if way.rests:
            time.sleep(REST)
        while piece := answer.read(len(PIECE)):
            received += len(piece)
    finally:
        connection.close()
    _check(answer.status, received, size)
    return size / MIB / (time.perf_counter() - begin)


def upload(way: Way, size: int) -> float:
    """Send so many bytes; give MiB per second."""
    connection = HTTPConnection("127.0.0.1", way.port, timeout=60)
    headers = {"Authorization": f"Bearer {FIXED_TOKEN}", "Content-Length": str(size)}
    pieces = (PIECE for _ in range(size // len(PIECE)))
    begin = time.perf_counter()
    try:
        connection.request("POST", f"{way.before}{SLOW if way.rests else ''}/", pieces, headers)
        answer = connection.getresponse()
        body = json.load(answer)
    finally:
        connection.close()
    _check(answer.status, body.get("received"), size)
    return size / MIB / (time.perf_counter() - begin)


def _check(status: int, received: object, size: int) -> None:
    if status != 200 or received != size:
        raise RuntimeError(f"{received} of {size} bytes have arrived, with the status {status}")
