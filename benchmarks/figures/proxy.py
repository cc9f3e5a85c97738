"""The proxy under load, beside connections that go to the server directly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http.client import HTTPConnection

from ..contenders import OURS, Contender
from ..machine import machine
from ..proxied import RunningProxy, running_proxy
from ..scale import Scale
from ..server import FIXED_TOKEN
from ..site import Site
from ..tables import Column, Goal, Row, Table
from ..wrk import Load, put_under_load

__all__ = ["CONNECTIONS", "DIRECT", "EXPIRING", "PROXY", "measure"]

DIRECT = "direct"
PROXY = f"{OURS} proxy"
EXPIRING = "tokens expire"
CONNECTIONS = (1, 16, 64)
DELAY = 0.1  # seconds that the token endpoint takes while tokens expire
METHOD = (
    "`video-oauth-auth proxy`, run as a process, forwards GET requests for a small JSON document to the server on the "
    "same machine. wrk sends them from one thread over so many connections, {seconds} s each, in turns directly to the "
    "server (with a fixed token) and through the proxy (which attaches its own, and it is fresh). Failed are answers "
    "that are no 2xx or 3xx, that break off, or that take over 10 s. In the last row tokens live {brief:g} s, and the "
    "token endpoint takes {delay:.0f} ms; the server answers 401 to a token that has ended. wrk, the proxy and the "
    "server share the {cores} cores of the machine: with more of them, and with a platform as far away as most "
    "are, the ratio is another. What 'direct' reaches is what this server and wrk can do."
)
COLUMNS = (
    Column(name="against direct", unit="ratio"),
    Column(name="requests per second", unit="per second"),
    Column(name="median latency", unit="ms"),
    Column(name="99th percentile", unit="ms"),
    Column(name="requests", unit="count"),
    Column(name="failed requests", unit="count"),
    Column(name="token calls", unit="count"),
)


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - only ours has one
    """Put the server and the proxy under load in turns."""
    site.behave()
    rows = []
    with running_proxy(site, [site.port]) as proxy:
        _warm_up(proxy, site)
        for connections in CONNECTIONS:
            direct = _load(site.api, connections, scale)
            through = _load(proxy.url(site.port, "/api"), connections, scale)
            rows.append(_row(f"{DIRECT}, {_written(connections)}", direct, direct))
            rows.append(_row(f"{PROXY}, {_written(connections)}", through, direct, site.counts().token_calls))
    return _table([*rows, _expiring(site, scale)], scale)


def _expiring(site: Site, scale: Scale) -> Row:
    """Put a proxy under load while its tokens expire."""
    site.behave(expires_in=scale.brief, delay=DELAY)
    connections = CONNECTIONS[1]
    with running_proxy(site, [site.port]) as proxy:
        _warm_up(proxy, site)
        load = _load(proxy.url(site.port, "/api"), connections, scale)
        return _row(f"{PROXY}, {_written(connections)}, {EXPIRING}", load, None, site.counts().token_calls)


def _warm_up(proxy: RunningProxy, site: Site) -> None:
    """Let it import what it imports late, and fetch its token."""
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    try:
        connection.request("GET", f"/127.0.0.1:{site.port}/api")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the proxy answered {answer.status}: {body.decode(errors='replace')}")


def _load(url: str, connections: int, scale: Scale) -> Load:
    return put_under_load(url, FIXED_TOKEN, connections=connections, seconds=scale.duration)


def _written(connections: int) -> str:
    return f"{connections} connection{'s' if connections > 1 else ''}"


def _row(name: str, load: Load, direct: Load | None, token_calls: int | None = None) -> Row:
    values = (
        None if direct is None else load.per_second / direct.per_second,
        load.per_second,
        load.median * 1000,
        load.p99 * 1000,
        load.requests,
        load.failed,
        token_calls,
    )
    return Row(name=name, values=values)


def _table(rows: Sequence[Row], scale: Scale) -> Table:
    return Table(
        title="The proxy under load",
        method=METHOD.format(seconds=scale.duration, brief=scale.brief, delay=DELAY * 1000, cores=machine()["cores"]),
        columns=COLUMNS,
        rows=tuple(rows),
        goals=tuple(_goals(rows, scale)),
    )


def _goals(rows: Sequence[Row], scale: Scale) -> Iterator[Goal]:
    *fresh, expiring = (row for row in rows if row.name.startswith(PROXY))
    what = "proxy under load"
    for occasion, measured in ((what, fresh), (f"{what}, {EXPIRING}", [expiring])):
        yield Goal(
            what=f"{occasion}: failed requests",
            sense="at most",
            limit=0,
            measured=max(_count(row, 5) for row in measured),
            unit="count",
        )
    yield Goal(
        what=f"{what}, {EXPIRING}: token calls",
        sense="at least",
        limit=scale.duration // (scale.brief + DELAY),
        measured=_count(expiring, 6),
        unit="count",
    )


def _count(row: Row, column: int) -> float:
    value = row.values[column]
    assert isinstance(value, int | float)
    return value
