"""Many processes that share one token by a file."""

from __future__ import annotations

import logging
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import requests

from ..contenders import OURS, Contender
from ..scale import Scale
from ..site import Site, running_site
from ..tables import Column, Goal, Row, Table, Value

__all__ = ["measure"]

COUNTS = (1, 4, 16)
PERIOD = 0.5  # seconds between two requests of a process, in the mean
START = 60.0  # seconds that a process may take to start
MSAL_AHEAD = 300  # seconds before its end from which MSAL takes a token for expired, whatever it is told
METHOD = (
    "For {seconds} s, {counts} processes that share a file of tokens make a request every {period} s each. A library "
    "uses a token for {usable:g} s, a fifth less than it lives, so one token call every {usable:g} s is enough for "
    "all processes. MSAL takes every token for expired {ahead} s before its end, so its tokens live that much longer. "
    "The three libraries have a server of their own each, and run at the same time. Failed requests are those without "
    "a 200."
)


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - each has its own
    """Let them share."""
    counts = COUNTS if scale.fresh_processes else COUNTS[:1]
    libraries = LIBRARIES if len({one.package for one in contenders}) > 2 else {OURS: LIBRARIES[OURS]}
    shared = {count: _shared(count, libraries, scale) for count in counts}
    columns = [Column(name=f"token calls, {count} processes", unit="count") for count in counts]
    rows = [_row(name, [shared[count][name] for count in counts]) for name in libraries]
    title = "Processes that share a file of tokens"
    usable = _usable(scale)
    enough = scale.sharing / usable + 1
    calls = max(shared[count][OURS][0] for count in counts)
    failed = sum(shared[count][OURS][1] for count in counts)
    goals = (
        Goal(what=f"{title}: token calls", sense="at most", limit=int(enough), measured=calls, unit="count"),
        Goal(what=f"{title}: failed requests", sense="at most", limit=0, measured=failed, unit="count"),
    )
    return Table(
        title=title,
        method=METHOD.format(
            seconds=scale.sharing,
            counts=" or ".join(map(str, counts)),
            period=PERIOD,
            usable=usable,
            ahead=MSAL_AHEAD,
        ),
        columns=(*columns, Column(name="failed requests", unit="count"), Column(name="requests", unit="count")),
        rows=tuple(rows),
        goals=goals,
    )


def _usable(scale: Scale) -> float:
    return scale.shared_lifetime * 0.8


def _row(name: str, outcomes: Sequence[tuple[int, int, int]]) -> Row:
    values: list[Value] = [calls for calls, _, _ in outcomes]
    return Row(name=name, values=(*values, sum(one[1] for one in outcomes), sum(one[2] for one in outcomes)))


def _shared(count: int, libraries: dict[str, Open], scale: Scale) -> dict[str, tuple[int, int, int]]:
    """Give token calls, failed requests and requests of each library."""
    with ThreadPoolExecutor(len(libraries)) as pool:
        running = {name: pool.submit(_run, name, count, scale) for name in libraries}
        return {name: one.result() for name, one in running.items()}


def _run(library: str, count: int, scale: Scale) -> tuple[int, int, int]:
    with tempfile.TemporaryDirectory() as folder, running_site() as site:
        site.behave(expires_in=_usable(scale) + MSAL_AHEAD if library == MSAL else scale.shared_lifetime)
        with _processes(count, (site, library, Path(folder) / "tokens", scale)) as pipes:
            for pipe in pipes:
                assert pipe.poll(START), f"{library}: a process does not start"
                pipe.recv()
            for pipe in pipes:
                pipe.send("go")
            done = [pipe.recv() for pipe in pipes]
        calls = site.counts().token_calls
    return calls, sum(failed for _, failed in done), sum(made for made, _ in done)


@contextmanager
def _processes(count: int, arguments: tuple[Any, ...]) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=share, args=(theirs, *arguments), daemon=True) for _, theirs in pairs]
    try:
        for process in processes:
            process.start()
        yield [ours for ours, _ in pairs]
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def share(pipe: Connection, site: Site, library: str, path: Path, scale: Scale) -> None:
    """Make requests; tell how many there were, and how many of them failed. The life of one process."""
    logging.disable()  # httpx-auth tells of each file that it reads half-written
    fetch = LIBRARIES[library](site, path, scale)
    pipe.send("ready")
    pipe.recv()
    ends_at = time.monotonic() + scale.sharing
    made = failed = 0
    while time.monotonic() < ends_at:
        try:
            good = fetch() == 200
        except Exception:  # noqa: BLE001 - counted, whatever it is
            good = False
        made, failed = made + 1, failed + (not good)
        time.sleep(random.uniform(0, 2 * PERIOD))
    pipe.send((made, failed))


# --- the libraries ------------------------------------------------------------------------------------------------

Open = Callable[[Site, Path, Scale], Callable[[], int]]


def _ours(site: Site, path: Path, scale: Scale) -> Callable[[], int]:  # noqa: ARG001 - needs no telling
    from video_oauth_auth import AuthorizationServer, OAuth2Auth
    from video_oauth_auth.stores import FileStore

    auth = OAuth2Auth.client_credentials(
        AuthorizationServer(token_endpoint=site.token_endpoint),
        site.client_id,
        site.client_secret,
        store=FileStore(path),
        origins=[site.url],
    )
    client = httpx.Client(auth=auth)
    return lambda: client.get(site.api).status_code


def _httpx_auth(site: Site, path: Path, scale: Scale) -> Callable[[], int]:
    from httpx_auth import JsonTokenFileCache, OAuth2, OAuth2ClientCredentials

    OAuth2.token_cache = JsonTokenFileCache(path)
    ahead = scale.shared_lifetime - _usable(scale)
    auth = OAuth2ClientCredentials(site.token_endpoint, site.client_id, site.client_secret, early_expiry=ahead)
    client = httpx.Client(auth=auth)
    return lambda: client.get(site.api).status_code


class _Https:
    """What MSAL asks its server by: it wants https, which leads to the plain server here."""

    HOST = "https://login.example.com/tenant"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._session = requests.Session()

    def get(self, url: str, **_: Any) -> Any:
        assert url == f"{self.HOST}/.well-known/openid-configuration"
        answer = requests.Response()
        answer.status_code = 200
        answer._content = (  # what comes over a network otherwise
            f'{{"issuer": "{self.HOST}", "authorization_endpoint": "{self.HOST}/authorize", '
            f'"token_endpoint": "{self.HOST}/token"}}'
        ).encode()
        return answer

    def post(self, url: str, **keywords: Any) -> Any:
        assert url == f"{self.HOST}/token"
        return self._session.post(self._site.token_endpoint, **keywords)


def _msal(site: Site, path: Path, scale: Scale) -> Callable[[], int]:  # noqa: ARG001 - cannot be told
    import msal
    from msal_extensions import FilePersistence, PersistedTokenCache

    application = msal.ConfidentialClientApplication(
        site.client_id,
        client_credential=site.client_secret,
        oidc_authority=_Https.HOST,
        http_client=_Https(site),
        token_cache=PersistedTokenCache(FilePersistence(str(path))),
    )
    client = httpx.Client()

    def fetch() -> int:
        token = application.acquire_token_for_client(["videos"])["access_token"]
        return client.get(site.api, headers={"Authorization": f"Bearer {token}"}).status_code

    return fetch


MSAL = "msal-extensions"
LIBRARIES: dict[str, Open] = {OURS: _ours, "httpx-auth": _httpx_auth, MSAL: _msal}
