"""Starts a Redis of its own on loopback, stops it for a while, and ends it by its process id."""

import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0
STARTS = 5  # tries: a port that was free may be taken when Redis asks for it


class RedisServer:
    """A Redis with a password, which keeps nothing on disk.

    Args:
        folder: an empty folder with a short path, for its log and its socket.
        tls: a folder with `server.pem`, `server.key` and `ca.pem`: it speaks TLS only, and nobody needs a certificate.
        settings: what stands in its configuration beside that.
    """

    def __init__(self, folder: Path, *, tls: Path | None = None, settings: Mapping[str, str]) -> None:
        self.password = secrets.token_urlsafe()
        self.port = 0
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._tls = tls
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        if self._tls:
            return f"rediss://:{self.password}@localhost:{self.port}/0?ssl_ca_certs={self._tls / 'ca.pem'}"
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def address(self) -> str:
        """The URL without the password."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url, socket_timeout=START_TIMEOUT)

    def start(self) -> None:
        """Runs it, empty; on the same port as before."""
        for _ in range(STARTS):
            self.port = self.port or _free_port()
            self._process = self._run()
            if self._is_ready():
                return
            self.stop()
            if "Address already in use" not in self._said():
                break
            self.port = 0
        raise RuntimeError(f"Redis does not start:\n{self._said()}")

    def stop(self) -> None:
        """Ends it; what it held is gone."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait(STOP_TIMEOUT)

    def make_cluster(self) -> None:
        """Gives it all slots of the cluster that it was started as a node of."""
        with self.client as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            deadline = time.monotonic() + START_TIMEOUT
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def pause(self) -> None:
        """Lets it hang: connections stay, and new ones are taken by the kernel, but nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _run(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("wb") as log:
            process = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert process.stdin is not None
        process.stdin.write("".join(f"{name} {value}\n" for name, value in self._configuration().items()).encode())
        process.stdin.close()
        return process

    def _configuration(self) -> dict[str, str]:
        plain = {"port": str(self.port)}
        if self._tls:
            plain = {
                "port": "0",
                "tls-port": str(self.port),
                "tls-cert-file": str(self._tls / "server.pem"),
                "tls-key-file": str(self._tls / "server.key"),
                "tls-ca-cert-file": str(self._tls / "ca.pem"),
                "tls-auth-clients": "no",
            }
        fixed = {
            "bind": "127.0.0.1",
            "requirepass": self.password,
            "unixsocket": str(self.socket),
            "dir": str(self._folder),
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
            "cluster-port": str(_free_port()),  # by default 10,000 above the other one, where there may be none
        }
        return fixed | plain | dict(self._settings)

    def _is_ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(redis.RedisError), self.client as client:
                client.ping()
                return True
            time.sleep(0.02)
        return False

    def _said(self) -> str:
        return (self._folder / "log").read_text(errors="replace")


@contextmanager
def running_redis(folder: Path, *, tls: Path | None = None, **settings: Any) -> Iterator[RedisServer]:
    """Runs a Redis until the block ends; `settings` as in its configuration, with `_` for `-`."""
    server = RedisServer(folder, tls=tls, settings={name.replace("_", "-"): value for name, value in settings.items()})
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
