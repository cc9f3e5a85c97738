"""How much is measured: everything, or just enough to see that nothing is broken."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Scale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes of all measurements.

    Attributes:
        rounds: interleaved rounds of what is compared by ratio.
        batch: requests per round, over no network.
        threads, tasks: how many meet an expired token.
        meetings: how often they meet, and how often requests go on steadily.
        lifetime: seconds that a token lives while requests go on steadily.
        expiries: how many such lifetimes.
        slow: seconds that the token endpoint takes meanwhile.
        hang: seconds that the token endpoint hangs while a ticker watches the event loop.
        fleet: sources that expire together.
        objects: auth objects whose memory is measured.
        imports: fresh interpreters per import.
        short: seconds that a token lives which is to have expired.
        fresh_processes: whether measurements have processes of their own.
        load: requests per throughput run; a run has 16 threads.
        load_rounds: interleaved throughput runs.
        duration: seconds of one load on the proxy.
        brief: seconds that a token lives while the proxy is under load.
        body: MiB that are sent through the proxy at once.
        sharing: seconds for which processes share a file of tokens.
        shared_lifetime: seconds that a token lives meanwhile.
        renewals: renewals with each store.
        redis: whether a Redis is started, for its store.
    """

    rounds: int
    batch: int
    threads: int
    tasks: int
    meetings: int
    lifetime: int
    expiries: int
    slow: float
    hang: float
    fleet: int
    objects: int
    imports: int
    short: float
    fresh_processes: bool
    load: int
    load_rounds: int
    duration: int
    brief: float
    body: int
    sharing: float
    shared_lifetime: float
    renewals: int
    redis: bool


FULL = Scale(
    rounds=60,
    batch=300,
    threads=200,
    tasks=1000,
    meetings=3,
    lifetime=3,
    expiries=5,
    slow=0.3,
    hang=2,
    fleet=10_000,
    objects=10_000,
    imports=25,
    short=1,
    fresh_processes=True,
    load=640,
    load_rounds=60,
    duration=10,
    brief=2,
    body=64,
    sharing=60,
    shared_lifetime=20,
    renewals=300,
    redis=True,
)
QUICK = Scale(
    rounds=2,
    batch=5,
    threads=8,
    tasks=12,
    meetings=1,
    lifetime=1,
    expiries=1,
    slow=0.05,
    hang=0.2,
    fleet=40,
    objects=20,
    imports=1,
    short=0.3,
    fresh_processes=False,
    load=32,
    load_rounds=2,
    duration=1,
    brief=0.3,
    body=2,
    sharing=1,
    shared_lifetime=20,
    renewals=3,
    redis=False,
)
