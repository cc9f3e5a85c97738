"""What many auth objects cost that have nothing to do."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from video_oauth_auth import AuthorizationServer, BrightcoveAuth, OAuth2Auth

from ..contenders import OURS, STATIC, Contender
from ..fresh import run_fresh
from ..scale import Scale
from ..site import Site
from ..tables import Column, Goal, Row, Table

__all__ = ["measure"]

METHOD = (
    "Bytes that tracemalloc counts for {objects:,} objects, divided by their number, each with its own client id and "
    "secret (whose texts count too), and threads that run beside the main thread when they have been made. Those of "
    "the other libraries are {fewer:,}: the auth object where there is one, else the session that takes its place. "
    "'with a token' holds one of {token} characters."
)
COLUMNS = (
    Column(name="each", unit="KiB"),
    Column(name="objects", unit="count"),
    Column(name="threads", unit="count"),
)
TOKEN = "t" * 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What they weighed: KiB of one object, and threads."""

    each: float
    threads: int


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - no server is needed
    """Make them and weigh them."""
    fewer = max(scale.objects // 10, 1)
    makers = [
        (f"{OURS}.OAuth2Auth", oauth2_auth, scale.objects),
        (f"{OURS}.OAuth2Auth with a token", oauth2_auth_with_token, scale.objects),
        (f"{OURS}.BrightcoveAuth", brightcove_auth, scale.objects),
        *((one.package, one.make, fewer) for one in contenders if one.make and one.package not in (OURS, STATIC)),
    ]
    weights = [(name, number, run_fresh(scale, weigh, make, number)) for name, make, number in makers]
    rows = tuple(Row(name=name, values=(one.each, number, one.threads)) for name, number, one in weights)
    ours = [one for name, _, one in weights if name.startswith(OURS)]
    what = f"{scale.objects:,} auth objects: "
    goals = (
        Goal(what=f"{what}KiB each", sense="under", limit=4.0, measured=max(one.each for one in ours), unit="KiB"),
        Goal(what=f"{what}threads", sense="at most", limit=0, measured=max(one.threads for one in ours), unit="count"),
    )
    method = METHOD.format(objects=scale.objects, fewer=fewer, token=len(TOKEN))
    return Table(title=f"{scale.objects:,} auth objects", method=method, columns=COLUMNS, rows=rows, goals=goals)


def oauth2_auth(number: int) -> OAuth2Auth:
    server = AuthorizationServer(token_endpoint="https://login.example.com/token")
    return OAuth2Auth.client_credentials(
        server, f"client-{number}", f"secret-{number}", origins=["https://api.example.com"]
    )


def oauth2_auth_with_token(number: int) -> OAuth2Auth:
    server = AuthorizationServer(token_endpoint="https://login.example.com/token")
    return OAuth2Auth.client_credentials(
        server,
        f"client-{number}",
        f"secret-{number}",
        origins=["https://api.example.com"],
        token={"access_token": f"{TOKEN}{number}", "token_type": "Bearer", "expires_in": 300},
    )


def brightcove_auth(number: int) -> OAuth2Auth:
    return BrightcoveAuth(f"client-{number}", f"secret-{number}")


def weigh(make: Callable[[int], object], number: int) -> Weight:
    """Weigh as many objects; in a process of its own."""
    first = make(-1)  # imports and caches that come once
    threads = threading.active_count()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    made = [make(one) for one in range(number)]
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    beside = threading.active_count() - threads
    del made, first
    return Weight(each=(after - before) / number / 1024, threads=beside)
