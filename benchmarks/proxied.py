"""The proxy as a process of its own, as `video-oauth-auth proxy` runs it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .site import ROOT, Site

__all__ = ["RunningProxy", "running_proxy"]

logger = logging.getLogger("benchmarks")

COMMAND = (sys.executable, "-m", "video_oauth_auth.cli", "proxy", "benchmark", "--port", "0")
PATIENCE = 30.0  # seconds to start or to end
PROFILE = """\
[benchmark]
platform = "brightcove"
client_id = "{client_id}"
client_secret_env = "BENCHMARK_SECRET"
origins = [{origins}]
server = {{ token_endpoint = "{token_endpoint}" }}
"""
WHERE = "from video_oauth_auth.profiles import profiles_path; print(profiles_path())"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProxy:
    """Where it listens, and which process it is."""

    port: int
    process_id: int

    def url(self, port: int, path: str) -> str:
        """Give the URL by which it forwards to this path of the server at that port."""
        return f"http://127.0.0.1:{self.port}/127.0.0.1:{port}{path}"

    def memory(self, which: str) -> float | None:
        """Give MiB of memory: VmRSS for now, VmHWM for the most so far; None where there is no /proc."""
        try:
            status = Path(f"/proc/{self.process_id}/status").read_text()
        except OSError:
            return None
        found = re.search(rf"^{which}:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) / 1024 if found else None


@contextmanager
def running_proxy(site: Site, ports: Sequence[int]) -> Iterator[RunningProxy]:
    """Run it with an empty store, for the servers at these ports of this machine.

    Raises:
        RuntimeError: it does not start.
    """
    with tempfile.TemporaryDirectory() as home, Path(home, "log").open("w+") as log:
        variables = _variables(site, home)
        _write_profile(site, ports, variables)
        process = subprocess.Popen(COMMAND, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stderr=log)
        try:
            yield RunningProxy(port=_port(process, Path(log.name)), process_id=process.pid)
        finally:
            _end(process)
            if said := Path(log.name).read_text().partition("\n")[2]:
                logger.error("the proxy said: %s", said[:5000])


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.match(r"http://127\.0\.0\.1:(\d+)/.*\n", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(f"the proxy does not start: {log.read_text()}")


def _variables(site: Site, home: str) -> dict[str, str]:
    places = {"HOME": home, "XDG_CONFIG_HOME": f"{home}/config", "XDG_STATE_HOME": f"{home}/state"}
    return {**os.environ, **places, "LOCALAPPDATA": home, "BENCHMARK_SECRET": site.client_secret}


def _write_profile(site: Site, ports: Sequence[int], variables: Mapping[str, str]) -> None:
    command = [sys.executable, "-c", WHERE]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=60)
    path = Path(run.stdout.strip())
    path.parent.mkdir(parents=True, exist_ok=True)
    origins = ", ".join(f'"http://127.0.0.1:{port}"' for port in ports)
    path.write_text(PROFILE.format(client_id=site.client_id, origins=origins, token_endpoint=site.token_endpoint))
    path.chmod(0o600)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
