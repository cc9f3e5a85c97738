"""`video-oauth-auth proxy`: what it refuses, and a real run with streams, callers that leave, and SIGTERM."""

from __future__ import annotations

import contextlib
import hashlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from video_oauth_auth.testing import Answer, BrightcoveServer, Drop, Hold, OAuthServer

from . import command_line
from .command_line import SECRET_VARIABLE, Home, brightcove, check_silent

home = command_line.home

PATIENCE = 30.0
KEY = "an-invented-key-of-a-proxy"


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrightcoveServer]:
    """A server, and a profile for it: acme."""
    with OAuthServer.brightcove(client_secret="an-invented-client-secret") as running:
        monkeypatch.setenv(SECRET_VARIABLE, running.client_secret)
        home.profiles(acme=brightcove(running))
        yield running


@contextlib.contextmanager
def proxy(home: Home, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the proxy on a free port; give the process and its URL."""
    with home.process("proxy", "acme", "--port", "0", *arguments) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.match(r"http://[^/]+:(\d+)/HOST/PATH is https://HOST/PATH, for http://127", line)
        assert found, line + process.stderr.read()
        yield process, f"http://127.0.0.1:{found[1]}"


def end(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(how)
    out, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, out + errors


def host_of(server: BrightcoveServer) -> str:
    return server.api_url.removeprefix("http://")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_it_does_not_listen_for_others_without_a_key(home, server, host):
    result = home.run("proxy", "acme", "--host", host)
    assert result.exit_code == 2
    assert "--key-env or --key-file" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--key-env", "NOT_SET"), "NOT_SET"),
        (("--key-env", "SHORT_KEY"), "16 characters"),
        (("--key-env", "SHORT_KEY", "--key-file", "x"), "give one"),
        (("--allowed-origin", "*"), "allowed_origins="),
        (("--max-concurrency", "0"), "max_concurrency="),
    ],
)
def test_settings_that_cannot_work_end_with_2(home, server, monkeypatch, arguments, said):
    monkeypatch.setenv("SHORT_KEY", "k-e-y")
    result = home.run("proxy", "acme", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "k-e-y" not in result.stderr


def test_a_port_that_is_taken_is_told(home, server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = home.run("proxy", "acme", "--port", str(port))
    assert result.exit_code == 1
    assert f"127.0.0.1:{port} cannot be listened on" in result.stderr


def test_it_forwards_and_ends_when_its_requests_are_done(home, server):
    server.add_video("123", "Summer")
    film = bytes(range(256)) * 16 * 1024  # 4 MiB
    with proxy(home) as (process, url), httpx.Client(base_url=f"{url}/{host_of(server)}", timeout=PATIENCE) as client:
        assert [video["name"] for video in client.get("/v1/accounts/123/videos?q=in-a-query").json()] == ["Summer"]
        server.revoke_access_tokens()
        assert client.post("/upload", content=b"small").status_code == 200
        told = client.post("/upload", content=film).json()
        assert told == {"size": len(film), "sha256": hashlib.sha256(film).hexdigest()}
        answer = client.get("/stream")
        assert answer.text.splitlines() == [f"chunk {number}" for number in range(8)]
        assert "server" not in answer.headers or "uvicorn" not in answer.headers["server"]
        assert client.get(f"{url}/example.com/").status_code == 404
        server.api_faults.add(Hold())
        request = subprocess.Popen(
            [*command_line.COMMAND[:1], "-c", SLOW, f"{url}/{host_of(server)}/me"], stdout=subprocess.PIPE, text=True
        )
        server.wait_for(lambda: server.api_faults.held, PATIENCE)
        process.send_signal(signal.SIGTERM)
        wait_until_closed(url)
        server.release()
        assert request.communicate(timeout=PATIENCE)[0] == "200\n"
        out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, errors) == (0, "", "")
    assert len(server.token_calls) == 2


SLOW = "import httpx, sys; print(httpx.get(sys.argv[1], timeout=30).status_code)"


def wait_until_closed(url: str) -> None:
    """Wait until nobody listens any more."""
    for _ in range(10_000):
        try:
            httpx.get(f"{url}/health", timeout=PATIENCE)
        except httpx.TransportError:
            return
    raise AssertionError("it still listens")


WITH_LITTLE_GRACE = (
    "import video_oauth_auth.cli.proxy as it; it.GRACE = 1; from video_oauth_auth.cli import main; main()"
)


def test_it_ends_in_time_though_an_answer_does_not(home, server, monkeypatch):
    monkeypatch.setattr(command_line, "COMMAND", [sys.executable, "-c", WITH_LITTLE_GRACE])
    server.api_faults.add(Hold())
    with proxy(home) as (process, url), socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
        caller.sendall(f"GET /{host_of(server)}/me HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        server.wait_for(lambda: server.api_faults.held, PATIENCE)
        status, said = end(process)
        server.release()
    assert status == 0
    assert "graceful shutdown exceeded" in said
    assert "Traceback" not in said
    check_silent(server, said)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such setting")
def test_a_caller_that_takes_nothing_is_cut_off(home, server):
    """Nothing is kept for it: neither what it has not taken nor the connection."""
    server.api_faults.add(Answer(200, body=bytes(64 * 1024 * 1024)))
    with proxy(home, "--timeout", "1") as (_, url), socket.socket() as caller:
        port = int(url.rpartition(":")[2])
        caller.connect(("127.0.0.1", port))
        caller.sendall(f"GET /{host_of(server)}/film HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert caller.recv(1) == b"H"
        kept = f":{port:04X} 0100007F:{caller.getsockname()[1]:04X} "
        connections = Path("/proc/net/tcp")
        assert kept in connections.read_text()
        end_of_patience = time.monotonic() + PATIENCE
        while kept in connections.read_text():
            assert time.monotonic() < end_of_patience
            time.sleep(0.05)


def test_with_a_key_it_serves_others_and_shows_no_secret(home, server, tmp_path):
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "key").chmod(0o600)
    with proxy(home, "--host", "0.0.0.0", "--key-file", str(tmp_path / "key")) as (process, url):
        target = f"{url}/{host_of(server)}/me?secret=in-a-query"
        assert httpx.get(target, timeout=PATIENCE).status_code == 401
        assert httpx.get(target, headers={"X-Proxy-Key": KEY}, timeout=PATIENCE).status_code == 200
        server.revoke_access_tokens()
        server.change_secret("another-invented-client-secret")
        answer = httpx.get(target, headers={"X-Proxy-Key": KEY}, timeout=PATIENCE)
        assert (answer.status_code, answer.json()["error"]) == (502, "no_token")
        status, said = end(process)
    assert status == 0
    assert "invalid_client" in said
    assert "in-a-query" not in said
    assert KEY not in said + answer.text
    check_silent(server, said, answer.text)


def test_an_answer_that_breaks_off_breaks_off_for_the_caller_too(home, server):
    with proxy(home) as (process, url):
        target = f"{url}/{host_of(server)}/stream?secret=in-a-query"
        assert httpx.get(target, timeout=PATIENCE).status_code == 200
        server.api_faults.add(Drop("midway"))
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(target, timeout=PATIENCE)
        assert httpx.get(target, timeout=PATIENCE).status_code == 200
        status, said = end(process)
    assert status == 0
    assert "broke off" in said
    assert "Traceback" not in said
    assert "in-a-query" not in said
    check_silent(server, said)


def test_without_uvicorn_it_says_what_to_install(home, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = home.run("proxy", "acme")
    assert result.exit_code == 2
    assert result.stderr.endswith("pip install 'video-oauth-auth[cli,proxy]'\n")


def test_without_starlette_it_says_what_to_install_and_the_rest_works(home, server, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("video_oauth_auth.proxy")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    for name in [name for name in sys.modules if name.startswith("starlette.")]:
        monkeypatch.delitem(sys.modules, name)
    result = home.run("proxy", "acme")
    assert result.exit_code == 2
    assert result.stderr.endswith("pip install 'video-oauth-auth[proxy]'\n")
    assert home.run("token", "acme").exit_code == 0


def test_a_sigterm_that_comes_at_once_is_not_lost(home, server):
    with proxy(home) as (process, _):
        assert end(process) == (0, "")


def test_ctrl_c_ends_it(home, server):
    with proxy(home) as (process, url):
        assert httpx.get(f"{url}/health", timeout=PATIENCE).json() == {"status": "ok"}
        status, said = end(process, signal.SIGINT)
    assert (status, said) == (130, "")


def test_help_has_examples(home):
    result = home.run("proxy", "--help")
    assert result.exit_code == 0
    assert "Examples:\n  video-oauth-auth proxy brightcove" in result.stdout
