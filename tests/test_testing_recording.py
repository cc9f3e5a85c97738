"""The bundled server stops promptly, and records what it received."""

import contextlib
import hashlib
import os
import resource
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from video_oauth_auth.testing import Drop, Hold, Mutate, OAuthServer


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


def ask(server: OAuthServer) -> httpx.Response:
    form = {"client_id": server.client_id, "client_secret": server.client_secret}
    return httpx.post(server.token_endpoint, data={**form, "grant_type": "client_credentials"}, timeout=30)


# Stopping


def test_stop_ends_every_connection_promptly(server):
    server.token_faults.always(Hold(timeout=600))
    with ThreadPoolExecutor(50) as pool, httpx.Client() as idle:
        idle.get(server.api_url + "/me")
        answers: list[Future[object]] = [pool.submit(ask, server) for _ in range(50)]
        server.wait_for(lambda: server.held == 50)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10
        assert {type(answer.exception(10)) for answer in answers} <= {
            httpx.ReadError,
            httpx.RemoteProtocolError,
        }
        with pytest.raises(httpx.TransportError):
            idle.get(server.api_url + "/me")
    assert not any(request.processed for request in server.token_calls)
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name.startswith("oauth-server")] == []


def test_a_stopped_server_can_be_started_again_at_the_same_place(server):
    url = server.token_endpoint
    server.stop()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        ask(server)
    server.start()
    assert (server.token_endpoint, ask(server).status_code) == (url, 200)


def test_an_error_in_a_change_is_a_500_and_is_raised_at_the_end():
    server = OAuthServer().start()
    server.token_faults.add(Mutate(lambda _: {"never": 1 / 0}))
    assert ask(server).status_code == 500
    with pytest.raises(ZeroDivisionError):
        server.__exit__(None, None, None)


def test_1000_connections_are_served_at_once(server):
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    server.foreign_faults.add(Hold(1000, timeout=30))
    host, port = server.foreign_url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        connect = partial(socket.create_connection, (host, int(port)), 30)
        connections = [stack.enter_context(connect()) for _ in range(1000)]
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert {connection.recv(12) for connection in connections} == {b"HTTP/1.1 200"}
    assert len({request.connection for request in server.requests}) == 1000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_keeps_neither_ports_nor_connections_open(server):
    """The child lives until it is told to end; a dropped connection and a stopped port must not wait for it."""
    server.token_faults.add(Hold(), Drop("before"))
    read_end, write_end = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server)
        server.wait_for(lambda: server.held == 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: a fork of several threads
            child = os.fork()
        if not child:
            os.close(write_end)
            os.read(read_end, 1)
            os._exit(0)
        server.release()
        assert isinstance(answer.exception(10), (httpx.ReadError, httpx.RemoteProtocolError))
    server.stop()
    with pytest.raises(httpx.ConnectError):
        ask(server)
    os.close(write_end)
    assert os.waitpid(child, 0)[1] == 0
    os.close(read_end)


# Recording


def test_large_bodies_are_recorded_by_digest_only(server):
    large, small = b"x" * 65_537, b"y" * 65_536
    for body in (large, small):
        httpx.post(server.foreign_url, content=body)
    first, second = server.requests
    assert (first.body, first.size, first.sha256) == (b"", 65_537, hashlib.sha256(large).hexdigest())
    assert (second.body, second.size, second.sha256) == (small, 65_536, hashlib.sha256(small).hexdigest())


def test_a_body_that_ends_too_early_is_recorded_as_incomplete(server):
    host, port = server.api_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfour")
    server.wait_for(lambda: server.requests)
    (record,) = server.requests
    assert (record.complete, record.size, record.status) == (False, 4, None)


def test_records_tell_connections_apart_and_can_be_cleared(server):
    with httpx.Client() as one, httpx.Client() as other:
        for client in (one, one, other):
            client.get(server.foreign_url)
    first, second, third = server.requests
    assert first.connection == second.connection != third.connection
    assert first.elapsed <= second.elapsed <= third.elapsed
    server.clear()
    assert server.requests == ()


def test_waiting_in_vain_says_what_came_instead(server):
    httpx.get(server.foreign_url + "/here?secret=1")
    with pytest.raises(TimeoutError, match="foreign: GET /here") as caught:
        server.wait_for(lambda: server.token_calls, timeout=0.01)
    assert "secret" not in str(caught.value)
