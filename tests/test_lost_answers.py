"""The server has spent the refresh token, and its answer never arrived: the worst moment of rotation."""

import itertools
import socketserver
import threading
import time

import httpx
import httpx2
import pytest
import requests

from video_oauth_auth import (
    AuthorizationServer,
    LoginRequired,
    MemoryStore,
    OAuthClient,
    Token,
    TokenSource,
    TransportError,
    token_calls,
)
from video_oauth_auth.testing import Answer, Drip, Drop

from . import engine
from .engine import grant_types, refresh_token_works, refreshing, settle

clock = engine.clock

LOSSES = {
    "reset after the refresh": Drop("after"),
    "closed after the refresh": Drop("after", how="close"),
    "reset in the middle of the answer": Drop("midway"),
    "closed in the middle of the answer": Drop("midway", how="close"),
}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(token_calls, "FIRST_DELAY", 0.01)


def presented(server):
    """Give the refresh tokens that the server has received so far."""
    return [call.form["refresh_token"] for call in server.token_calls]


@losses
@pytest.mark.parametrize("times", [1, 2])
def test_a_server_with_a_grace_period_gives_the_same_tokens_again(oauth_server, loss, times):
    oauth_server.reuse_grace = 30
    store = MemoryStore()
    source = refreshing(oauth_server, store=store)
    oauth_server.token_faults.add(loss, times=times)
    assert source.get_token() == store.load(source.key)
    assert len(oauth_server.token_calls) == 1 + times
    assert len(set(presented(oauth_server))) == 1
    assert oauth_server.reuse_detected == 0
    assert refresh_token_works(oauth_server, store.load(source.key))


@losses
def test_a_strict_server_leads_to_one_login_and_to_no_loop(oauth_server, loss):
    source = refreshing(oauth_server)
    oauth_server.token_faults.add(loss)
    for _ in range(50):
        with pytest.raises(LoginRequired) as caught:
            source.get_token()
        assert caught.value.reason == "revoked"
    assert len(oauth_server.token_calls) == 2


@losses
def test_a_refresh_token_is_presented_three_times_and_then_once_for_each_step_of_back_off(oauth_server, clock, loss):
    oauth_server.reuse_grace = 1e6
    store = MemoryStore()
    source = refreshing(oauth_server, store=store)
    oauth_server.token_faults.always(loss)
    counts = []
    for _ in range(1200):  # somebody asks each second for 20 minutes
        with pytest.raises(TransportError) as caught:
            source.get_token()
        assert caught.value.transient
        counts.append(len(oauth_server.token_calls))
        clock.advance(1)
    assert counts[0] == 3
    assert counts[13] == 3  # nothing more within the first back-off step of 15 seconds
    assert counts[-1] <= 3 + 8  # after 15, 30, 60, 120, 240, 300 ... seconds
    steps = [later - earlier for earlier, later in itertools.pairwise(counts)]
    assert set(steps) == {0, 1}
    assert len(set(presented(oauth_server))) == 1

    oauth_server.token_faults.clear()
    clock.advance(301)
    assert source.get_token() == store.load(source.key)
    assert oauth_server.reuse_detected == 0


def test_the_error_of_a_lost_answer_says_when_the_next_try_is_made(oauth_server):
    source = refreshing(oauth_server)
    oauth_server.token_faults.add(Drop("after"))
    oauth_server.token_faults.always(Drop("before"))
    with pytest.raises(TransportError) as caught:
        source.get_token()
    assert caught.value.sent
    with pytest.raises(TransportError, match="refresh token is kept") as caught:
        source.get_token()
    assert 0 < caught.value.retry_after <= 15
    assert len(oauth_server.token_calls) == 3


def test_a_refresh_token_is_not_presented_again_after_15_seconds(oauth_server, clock):
    source = refreshing(oauth_server, token_timeout=60)
    oauth_server.token_faults.always(Drop("after"), when=lambda call: clock.advance(16) or True)
    with pytest.raises(TransportError):
        source.get_token()
    assert len(oauth_server.token_calls) <= 2


def test_lost_answers_are_not_noticed_while_the_access_token_is_good(oauth_server, clock):
    source = refreshing(oauth_server, age=270)
    token = source.peek()
    oauth_server.token_faults.always(Drop("after"))
    for _ in range(20):
        assert source.get_token() == token
        settle()
        clock.advance(1)
    assert len(oauth_server.token_calls) <= 4


def test_the_refresh_token_of_a_lost_answer_stays_in_the_store(oauth_server):
    store = MemoryStore()
    source = refreshing(oauth_server, store=store)
    oauth_server.token_faults.always(Drop("after"))
    with pytest.raises(TransportError):
        source.get_token()
    # The seed was never saved, or is still what was given: nothing is in the store that the server did not give.
    stored = store.load(source.key)
    assert stored is None or stored.refresh_token == presented(oauth_server)[0]


def test_a_request_that_never_left_is_no_lost_answer(oauth_server, monkeypatch):
    for name in ("FIRST_DELAY", "LONGEST_DELAY"):
        monkeypatch.setattr(token_calls, name, 1000.0)  # the second try would come too late
    source = refreshing(oauth_server)
    refresh_token = source.peek()
    oauth_server.stop()
    for _ in range(3):
        with pytest.raises(TransportError) as caught:
            source.get_token()
        assert not caught.value.sent
    oauth_server.start()
    assert source.get_token() != refresh_token
    assert grant_types(oauth_server) == ["refresh_token"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_answer_that_says_later_is_no_lost_answer(oauth_server, status):
    """It may be asked as often as the budget allows."""
    source = refreshing(oauth_server)
    oauth_server.token_faults.add(Answer(status), times=5)
    assert source.get_token()
    assert len(oauth_server.token_calls) == 6
    assert oauth_server.reuse_detected == 0


def test_an_answer_that_comes_too_slowly_is_a_lost_answer(oauth_server, clock):
    oauth_server.reuse_grace = 1e6
    source = refreshing(oauth_server, token_timeout=1.5)
    oauth_server.token_faults.add(Drip("body"))
    started_at = time.monotonic()
    with pytest.raises(TransportError) as caught:
        source.get_token()
    assert caught.value.sent
    assert time.monotonic() - started_at < 10
    settle()
    clock.advance(16)
    assert source.get_token()
    assert len(set(presented(oauth_server))) == 1


CUT = {
    "inside the status line": b"HTTP/1.1 20",
    "inside the headers": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le",
    "between headers and body": b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n",
    "inside the body": b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"access_token": "x", "refresh_tok',
    "inside a chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5a\r\n{"access_token": "x", "refresh_tok',
    "between two chunks": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{"access_token":"x"\r\n',
}


class CuttingServer(socketserver.ThreadingTCPServer):
    """Reads a request and answers with a part of an answer."""

    daemon_threads = True

    def __init__(self, part):
        self.part = part
        self.received = []
        super().__init__(("127.0.0.1", 0), CutAnswer)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class CutAnswer(socketserver.StreamRequestHandler):
    def handle(self):
        length = 0
        while (line := self.rfile.readline()).strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.server.received.append(self.rfile.read(length))
        self.wfile.write(self.server.part)


@pytest.mark.parametrize("make", [requests.Session, httpx.Client, httpx2.Client], ids=["requests", "httpx", "httpx2"])
@pytest.mark.parametrize("part", CUT.values(), ids=CUT)
def test_an_answer_that_ends_early_is_a_lost_answer(make, part):
    with CuttingServer(part) as server, make() as session:
        source = TokenSource(
            AuthorizationServer(token_endpoint=f"http://127.0.0.1:{server.server_address[1]}/token"),
            OAuthClient("id", "secret"),
            None,
            token=Token(access_token="x", issued_at=0.0, expires_at=1.0, refresh_token="r"),
            http_client=session,
        )
        for _ in range(5):
            with pytest.raises(TransportError) as caught:
                source.get_token()
            assert caught.value.sent
    assert len(server.received) == 3
