"""How long the import takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec

from ..contenders import OURS, Contender
from ..scale import Scale
from ..site import Site
from ..spread import interleaved, middle_half
from ..tables import Column, Goal, Row, Table

__all__ = ["measure"]

WITHOUT_HTTPX2 = "import sys; sys.modules['httpx2'] = None"  # as if it were not installed
IMPORTS = {  # name: what is done before, what is measured
    "httpx": ("", "import httpx"),
    f"{OURS} without httpx2": (WITHOUT_HTTPX2, f"import {OURS}"),
    "httpx and httpx2": ("", "import httpx, httpx2"),
    OURS: ("", f"import {OURS}"),
    "requests": ("", "import requests"),
    "requests-oauth2client": ("", "import requests_oauth2client"),
    "requests_auth": ("", "import requests_auth"),
    "httpx-auth": ("", "import httpx_auth"),
    "Authlib for requests": ("", "import authlib.integrations.requests_client"),
    "Authlib for httpx2": ("", "import authlib.integrations.httpx_client"),
    "requests-oauthlib": ("", "import requests_oauthlib"),
    "google-auth": ("", "import google.oauth2.credentials, google.auth.transport.requests"),
}
METHOD = (
    "Time of the import statement, measured inside of a fresh interpreter; all imports take turns, {imports} times "
    "each. One interpreter finds httpx2 missing, as most installations do; where it is installed, {ours} imports it "
    "too and is compared with httpx and httpx2 together."
)
COLUMNS = (
    Column(name="against httpx", unit="ratio"),
    Column(name="import time", unit="ms"),
    Column(name="middle half", unit="ms"),
)


def measure(site: Site, contenders: Sequence[Contender], scale: Scale) -> Table:  # noqa: ARG001 - no server is needed
    """Import each in fresh interpreters."""
    wanted = {name: code for name, code in IMPORTS.items() if _installed(code[1])}
    measures: dict[str, Callable[[], float]] = {name: partial(_import_time, *code) for name, code in wanted.items()}
    for run in measures.values():
        run()  # writes the byte code
    times = interleaved(measures, scale.imports)
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = tuple(
        Row(name=name, values=(medians[name] / medians["httpx"], medians[name], middle_half(times[name])))
        for name in wanted
    )
    goals = [_goal(medians, f"{OURS} without httpx2", "httpx")]
    if "httpx and httpx2" in wanted:
        goals.append(_goal(medians, OURS, "httpx and httpx2"))
    method = METHOD.format(imports=scale.imports, ours=OURS)
    return Table(title="Import time", method=method, columns=COLUMNS, rows=rows, goals=tuple(goals))


def _goal(medians: dict[str, float], ours: str, others: str) -> Goal:
    what = f"import of {ours}: beyond that of {others}"
    return Goal(what=what, sense="under", limit=40.0, measured=medians[ours] - medians[others], unit="ms")


def _installed(code: str) -> bool:
    names = code.removeprefix("import ").split(", ")
    return all(find_spec(name.partition(".")[0]) is not None and find_spec(name) is not None for name in names)


def _import_time(before: str, code: str) -> float:
    """Give the milliseconds of one import."""
    program = (
        f"import time; {before or 'pass'}\nbegin = time.perf_counter()\n{code}\nprint(time.perf_counter() - begin)"
    )
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return float(run.stdout) * 1000
