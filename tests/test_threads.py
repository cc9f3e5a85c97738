"""How many threads the library has: few while it renews, none between renewals."""

import asyncio
import gc
import os
import threading
from pathlib import Path

import pytest

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
    TransportError,
)
from video_oauth_auth.testing import Hold

from .engine import aged, in_threads, library_threads, settle, source_of

MOST = 40


def test_no_thread_lives_between_renewals(oauth_server):
    source = source_of(oauth_server)
    token = source.get_token()
    settle()
    assert library_threads() == []
    source.get_token(rejected=token)
    settle()
    assert library_threads() == []


def test_importing_and_making_objects_starts_no_thread_and_opens_nothing():
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir())) if os.path.isdir("/proc/self/fd") else 0

    gc.collect()  # what earlier tests have left is not closed meanwhile
    threads, files = set(threading.enumerate()), open_files()
    server = AuthorizationServer(token_endpoint="https://login.example.com/token")
    client = OAuthClient("id", "secret")
    objects = [
        OAuth2Auth(TokenSource(server, client, ClientCredentials(), user=str(number)), origins=["https://a.example"])
        for number in range(10_000)
    ]
    assert len(objects) == 10_000
    assert not set(threading.enumerate()) - threads
    assert open_files() == files


@pytest.mark.parametrize("kind", ["tasks", "stale"])
def test_a_thousand_sources_that_expire_together_need_few_threads(oauth_server, kind):
    counts = []

    def count(_):
        counts.append(len(library_threads()))

    token = aged(oauth_server, 301 if kind == "tasks" else 270)
    sources = [source_of(oauth_server, token=token, on_event=count, token_timeout=60) for _ in range(1000)]

    async def all_at_once():
        return await asyncio.gather(*(source.aget_token() for source in sources))

    given = asyncio.run(all_at_once())
    settle(60)
    assert len(oauth_server.token_calls) == 1000
    assert len(counts) == 1000
    assert 2 <= max(counts) < MOST
    assert all(source.peek() != token for source in sources)
    assert (set(given) == {token}) == (kind == "stale")


def test_what_waits_for_a_worker_waits_inside_its_deadline(oauth_server):
    """32 renewals that hang take all workers; the 33rd is told so, and later ones work again."""
    oauth_server.token_faults.always(Hold(timeout=60))
    hanging = [source_of(oauth_server, token=aged(oauth_server, 270), token_timeout=20) for _ in range(32)]
    for source in hanging:
        source.get_token()
    oauth_server.wait_for(lambda: oauth_server.held == 32)
    source = source_of(oauth_server, token_timeout=0.3)
    errors = in_threads(3, source.get_token)
    assert {type(error) for error in errors} == {TransportError}
    assert all("worker" in str(error) for error in errors)
    assert not any(error.sent for error in errors)
    assert oauth_server.held == 32
    oauth_server.token_faults.clear()
    settle()
    assert source_of(oauth_server).get_token()


# --- where no thread can be had -------------------------------------------------------------------------------------


@pytest.fixture
def no_threads(monkeypatch):
    """Let every start of a thread fail as it does at a process limit; only the test server keeps its own."""
    start = threading.Thread.start

    def refuse(thread):
        if not thread.name.startswith("oauth-server-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_a_blocking_caller_renews_on_its_own_thread(oauth_server, no_threads):
    source = source_of(oauth_server)
    old = source.get_token()
    assert source.get_token(rejected=old) != old
    assert len(oauth_server.token_calls) == 2


@pytest.mark.parametrize("client", ["requests", "httpx", "httpx2"], indirect=True)
def test_blocking_requests_go_through(oauth_server, auth_for, client, no_threads):
    auth = auth_for(oauth_server)
    with client.session(auth) as send:
        for _ in range(2):
            assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
            oauth_server.revoke_access_tokens()


def test_a_good_token_is_used(oauth_server, no_threads):
    token = aged(oauth_server, 270)
    source = source_of(oauth_server, token=token)
    assert {source.get_token() for _ in range(20)} == {token}


def test_a_task_gets_an_error_at_once_instead_of_blocking_its_loop(oauth_server, no_threads):
    source = source_of(oauth_server)
    with pytest.raises(TransportError, match="thread"):
        asyncio.run(source.aget_token())
    assert not oauth_server.token_calls


def test_everything_works_again_when_threads_can_be_had(oauth_server, monkeypatch):
    source = source_of(oauth_server)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
        with pytest.raises(TransportError):
            asyncio.run(source.aget_token())
    assert asyncio.run(source.aget_token()) == source.get_token()
