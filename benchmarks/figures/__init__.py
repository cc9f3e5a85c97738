"""One module per figure: each measures and gives a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..contenders import Contender
from ..scale import Scale
from ..site import Site
from ..tables import Table
from . import (
    auth_work,
    contention,
    fleet,
    import_time,
    loop_stall,
    memory,
    mock_transport,
    organisations,
    processes,
    proxy,
    proxy_bodies,
    steady,
    stores,
    throughput,
)

__all__ = ["FIGURES", "Measure"]

Measure = Callable[[Site, Sequence[Contender], Scale], Table]

FIGURES: Mapping[str, Measure] = {
    "auth-work": auth_work.measure,
    "mock-transport": mock_transport.measure,
    "threads": contention.measure_threads,
    "tasks": contention.measure_tasks,
    "steady": steady.measure,
    "loop-stall": loop_stall.measure,
    "fleet": fleet.measure,
    "import-time": import_time.measure,
    "memory": memory.measure,
    "organisations": organisations.measure,
    "throughput": throughput.measure,
    "processes": processes.measure,
    "stores": stores.measure,
    "proxy": proxy.measure,
    "proxy-bodies": proxy_bodies.measure,
}
