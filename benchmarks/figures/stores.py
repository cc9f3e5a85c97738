"""What a store costs: a renewal with it, and taking over what another process has stored."""

from __future__ import annotations

import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from video_oauth_auth import AuthorizationServer, ClientCredentials, OAuthClient, TokenSource, TokenStore
from video_oauth_auth.stores import EncryptedStore, FileStore, MemoryStore, RedisStore

from ..contenders import OURS, Contender
from ..scale import Scale
from ..site import Site
from ..tables import Column, Goal, Row, Table

__all__ = ["measure"]

ENDED = 0.001  # seconds that a token lives which is renewed at each use
START = 20.0  # seconds that Redis may take to start
METHOD = (
    "One source, whose token has always ended, is asked for a token {renewals} times with each store; the stores take "
    "turns, in another order each round. A renewal is the store's lock, a look into it, the token call to a server in "
    "another process, and the save; files are flushed to the disk. Adopting is the first use of a new source for which "
    "another one has stored a good token: no token call is made. Redis is a server on this machine, at a Unix socket, "
    "which does not write to the disk. The ratio is taken per round; '{memory}' keeps nothing beyond the process."
)
MEMORY = "MemoryStore"
COLUMNS = (
    Column(name="renewal, against MemoryStore", unit="ratio"),
    Column(name="middle half", unit="ratio"),
    Column(name="renewal", unit="ms"),
    Column(name="adopting", unit="ms"),
    Column(name="token calls by adopting", unit="count"),
)

Make = Callable[[], TokenStore]


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - only ours
    """Renew and adopt with each store."""
    with ExitStack() as stack:
        makers = _makers(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        if scale.redis:
            url = stack.enter_context(_redis())
            makers["RedisStore"] = lambda: RedisStore(url)
        stores = {name: make() for name, make in makers.items()}
        renewals = _renewals(site, stores, scale)
        adoptions, calls = _adoptions(site, stores, makers, scale)
    rows = tuple(_row(name, renewals, adoptions, calls) for name in stores)
    title = "A renewal with each store"
    most = max(calls.values())
    return Table(
        title=title,
        method=METHOD.format(renewals=scale.renewals, memory=MEMORY),
        columns=COLUMNS,
        rows=rows,
        goals=(Goal(what=f"{title}: token calls by adopting", sense="at most", limit=0, measured=most, unit="count"),),
    )


def _makers(folder: Path) -> dict[str, Make]:
    key = EncryptedStore.new_key()
    return {
        MEMORY: MemoryStore,
        "FileStore": lambda: FileStore(folder / "plain"),
        "EncryptedStore(FileStore)": lambda: EncryptedStore(FileStore(folder / "sealed"), key=key),
    }


def _row(
    name: str, renewals: Mapping[str, list[float]], adoptions: Mapping[str, list[float]], calls: Mapping[str, int]
) -> Row:
    ratios = [one / memory for one, memory in zip(renewals[name], renewals[MEMORY], strict=True)]
    lower, middle, upper = statistics.quantiles(ratios, n=4)
    values = (
        middle,
        (lower, upper),
        statistics.median(renewals[name]) * 1000,
        statistics.median(adoptions[name]) * 1000 if name in calls else None,
        calls.get(name),
    )
    return Row(name=f"{OURS}, {name}", values=values)


def _source(site: Site, store: TokenStore) -> TokenSource:
    server = AuthorizationServer(token_endpoint=site.token_endpoint)
    return TokenSource(server, OAuthClient(site.client_id, site.client_secret), ClientCredentials(), store=store)


def _renewals(site: Site, stores: Mapping[str, TokenStore], scale: Scale) -> dict[str, list[float]]:
    site.behave(expires_in=ENDED)
    sources = {name: _source(site, store) for name, store in stores.items()}
    measured: dict[str, list[float]] = {name: [] for name in stores}
    for source in sources.values():
        source.get_token()  # connections
    for _ in range(scale.renewals):
        for name in random.sample(list(sources), len(sources)):
            time.sleep(2 * ENDED)
            measured[name].append(_timed(sources[name]))
    return measured


def _adoptions(
    site: Site, stores: Mapping[str, TokenStore], makers: Mapping[str, Make], scale: Scale
) -> tuple[dict[str, list[float]], dict[str, int]]:
    site.behave()
    measured: dict[str, list[float]] = {name: [] for name in stores}
    calls: dict[str, int] = {}
    for name, store in stores.items():
        if name == MEMORY:  # nobody else can look into it
            continue
        time.sleep(2 * ENDED)
        _source(site, store).get_token()
        before = site.counts().token_calls
        for _ in range(scale.renewals):
            measured[name].append(_timed(_source(site, makers[name]())))
        calls[name] = site.counts().token_calls - before
    return measured, calls


def _timed(source: TokenSource) -> float:
    begin = time.perf_counter()
    source.get_token()
    return time.perf_counter() - begin


@contextmanager
def _redis() -> Iterator[str]:
    """Run a Redis for this measurement; gives its URL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "redis"
        command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            try:
                ends_at = time.monotonic() + START
                while not path.exists():
                    if process.poll() is not None or time.monotonic() > ends_at:
                        raise RuntimeError("redis-server does not start")
                    time.sleep(0.02)
                yield f"unix://{path}"
            finally:
                process.terminate()
