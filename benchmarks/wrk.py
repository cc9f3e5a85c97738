"""wrk: many connections that ask for one URL as fast as they are answered."""

from __future__ import annotations

import logging
import re
import subprocess
from dataclasses import dataclass

__all__ = ["Load", "put_under_load"]

logger = logging.getLogger("benchmarks")

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
PATIENCE = 10  # seconds for one answer; an answer that comes later has failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What wrk saw; latencies in seconds, failed are answers that are none, come too late, or are no 2xx or 3xx."""

    per_second: float
    median: float
    p99: float
    requests: int
    failed: int

    @classmethod
    def from_output(cls, text: str) -> Load:
        """Read what wrk prints with --latency.

        Raises:
            ValueError: it is something else.
        """
        failed = re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text)
        return cls(
            per_second=float(_found(r"^Requests/sec:\s+([\d.]+)", text)[0]),
            median=_latency("50", text),
            p99=_latency("99", text),
            requests=int(_found(r"^\s*(\d+) requests in", text)[0]),
            failed=sum(map(int, failed)),
        )


def put_under_load(url: str, token: str, *, connections: int, seconds: int) -> Load:
    """Ask for the URL over so many connections for so many seconds.

    Raises:
        RuntimeError: wrk is not there, or ended otherwise than it should.
    """
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--latency"]
    command += [f"--timeout={PATIENCE}s", "--header", f"Authorization: Bearer {token}", url]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 3 * PATIENCE, check=False)
    except FileNotFoundError:
        raise RuntimeError("wrk is not installed: install the package wrk (apt-get install wrk)") from None
    if run.returncode:
        raise RuntimeError(f"wrk ended with {run.returncode}: {run.stdout}{run.stderr}")
    load = Load.from_output(run.stdout)
    if load.failed:
        logger.error("requests failed: %s", run.stdout)  # none is expected, so it should be known why
    return load


def _latency(percent: str, text: str) -> float:
    number, unit = _found(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text)
    return float(number) * SECONDS[unit]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"this is not what wrk prints: {text}")
    return match.groups()
