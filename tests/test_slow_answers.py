"""Token endpoints that talk too slowly, or not at all: `token_timeout` is the absolute end."""

import socket
import threading
import time

import pytest

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    MemoryStore,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
    TransportError,
)
from video_oauth_auth.testing import Delay, Drip, Hold, unavailable
from video_oauth_auth.watchdog import Connections

from .engine import aged, in_threads, settle, source_of

token_libraries = pytest.mark.parametrize("client", ["requests", "httpx", "httpx2"], indirect=True)

SLOW = {
    "status line": Drip("status", interval=0.15),
    "headers": Drip("headers", interval=0.15),
    "body": Drip("body", interval=0.15),
    "nothing": Hold(),
}


@token_libraries
@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_an_answer_that_drips_ends_at_token_timeout(oauth_server, auth_for, client, fault):
    store = MemoryStore()
    auth = auth_for(oauth_server, token_timeout=0.5, store=store)
    oauth_server.token_faults.add(fault)
    started_at = time.monotonic()
    with pytest.raises(TransportError) as caught:
        client.send(auth, "GET", f"{oauth_server.api_url}/me")
    assert time.monotonic() - started_at < 5  # it would drip for 30 seconds
    assert "token_timeout" in str(caught.value)
    assert "waiting for the answer of 127.0.0.1" in str(caught.value)
    assert caught.value.sent
    assert caught.value.status is None

    settle(5)  # the worker is free
    with store.transaction(auth.source.key, timeout=0) as entry:  # and so is the lock
        assert entry.token is None
    another = auth_for(oauth_server, store=store)
    assert client.send(another, "GET", f"{oauth_server.api_url}/me").status_code == 200
    oauth_server.release()


@token_libraries
def test_the_message_is_the_same_where_the_library_is_first_to_see_the_end(oauth_server, auth_for, client, monkeypatch):
    monkeypatch.setattr(Connections, "shut_down", lambda _: None)
    auth = auth_for(oauth_server, token_timeout=0.5)
    oauth_server.token_faults.add(Hold())
    with pytest.raises(TransportError, match=r"no complete answer within 0\.5 s \(token_timeout\)"):
        client.send(auth, "GET", f"{oauth_server.api_url}/me")
    oauth_server.release()


@token_libraries
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_accepts_and_says_nothing_ends_at_token_timeout(client, scheme, oauth_server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/token"
        source = TokenSource(
            AuthorizationServer(token_endpoint=endpoint),
            OAuthClient("id", "secret"),
            ClientCredentials(),
            token_timeout=0.4,
        )
        with pytest.raises(TransportError) as caught:
            client.send(OAuth2Auth(source, origins=[oauth_server.api_url]), "GET", f"{oauth_server.api_url}/me")
    assert caught.value.sent is (scheme == "http")
    phase = "waiting for the answer of" if scheme == "http" else "connecting to"
    assert phase in str(caught.value)
    settle(5)


def test_slow_answers_are_not_noticed_while_the_token_is_good(oauth_server):
    token = aged(oauth_server, 270)
    source = source_of(oauth_server, token=token, token_timeout=0.4)
    oauth_server.token_faults.always(Drip("body", interval=0.15))
    assert {source.get_token() for _ in range(50)} == {token}
    settle(5)
    assert source.get_token() == token


def test_an_answer_that_is_only_late_is_used(oauth_server):
    oauth_server.token_faults.add(Delay(0.3), Drip("headers", interval=0.001))
    assert source_of(oauth_server, token_timeout=10).get_token()
    assert len(oauth_server.token_calls) == 1


def test_all_tries_together_have_one_budget(oauth_server):
    """Each try alone would be in time."""
    source = source_of(oauth_server, token_timeout=1.0)
    oauth_server.token_faults.always(Delay(0.4), unavailable())
    started_at = time.monotonic()
    with pytest.raises(TransportError) as caught:
        source.get_token()
    assert time.monotonic() - started_at < 2.5
    assert caught.value.transient
    settle(5)


def test_slow_sources_do_not_slow_down_others(oauth_server):
    """A worker that waits for a slow server is none of those that serve the others."""
    slow = [source_of(oauth_server, token_timeout=20, user=str(number)) for number in range(10)]
    oauth_server.token_faults.add(Hold(), times=10)
    waiting = [threading.Thread(target=source.get_token) for source in slow]
    for thread in waiting:
        thread.start()
    oauth_server.wait_for(lambda: oauth_server.held == 10)
    quick = source_of(oauth_server, token_timeout=20)
    assert len(set(in_threads(5, quick.get_token))) == 1
    assert oauth_server.held == 10
    oauth_server.release()
    for thread in waiting:
        thread.join(10)
