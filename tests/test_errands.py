"""Sign-ins run on workers: none waits for another for ever, and none is sent too late."""

import asyncio
import threading
import time

import pytest

from video_oauth_auth import OAuthClient, TransportError, errands, workers

from . import sign_ins
from .engine import in_threads, settle, source_of
from .sign_ins import auth_of, begun, codes_sent
from .test_login_secrets import complete

server = sign_ins.server


@pytest.fixture
def no_threads(monkeypatch):
    """A machine that has no thread left."""
    monkeypatch.setattr(workers, "submit", lambda _: False)


# --- errands that need errands ------------------------------------------------------------------------------------


def test_sign_ins_whose_client_secret_needs_a_token_of_its_own_do_not_wait_for_each_other(server, monkeypatch):
    """All workers are busy with sign-ins then; the token that these wait for would need one more."""
    settle()
    monkeypatch.setattr(workers, "MOST_AT_ONCE", 3)
    vault = source_of(server, token_timeout=3.0)
    busy, all_busy = [], threading.Event()

    def secret():
        busy.append(None)
        if len(busy) == 3:
            all_busy.set()
        assert all_busy.wait(10)
        vault.get_token()
        return server.client_secret

    auth = auth_of(server, client=OAuthClient(server.client_id, secret), token_timeout=10.0)
    sign_ins_of_five = [begun(auth) for _ in range(5)]
    begun_at = time.monotonic()
    tokens = in_threads(5, lambda: auth.complete_login(*sign_ins_of_five.pop()))
    assert [token.claims["sub"] for token in tokens] == ["ann"] * 5
    assert time.monotonic() - begun_at < 3
    assert len(server.token_calls) == 5 + 1


def test_an_errand_inside_an_errand_needs_no_second_worker(server, monkeypatch):
    settle()
    monkeypatch.setattr(workers, "MOST_AT_ONCE", 1)
    vault = auth_of(server)

    def secret():
        assert vault.begin_login(user="the vault").url
        return server.client_secret

    auth = auth_of(server, client=OAuthClient(server.client_id, secret), token_timeout=2.0)
    monkeypatch.setattr(errands, "GRACE", 0.0)
    assert auth.complete_login(*begun(auth)).claims["sub"] == "ann"


# --- no thread can be had -----------------------------------------------------------------------------------------


def test_without_threads_an_event_loop_is_not_blocked_but_told(server, no_threads):
    auth = auth_of(server, metadata=server.issuer)
    with pytest.raises(TransportError, match="no thread could be started for this call; nothing was sent") as caught:
        asyncio.run(auth.abegin_login(user="ann"))
    assert (caught.value.sent, caught.value.transient) == (False, True)
    assert server.requests == ()


def test_without_threads_the_caller_does_the_work(server, no_threads):
    auth = auth_of(server, metadata=server.issuer)
    assert auth.complete_login(*begun(auth)).claims["sub"] == "ann"


def test_without_threads_ctrl_c_goes_to_the_caller(server, no_threads):
    def secret():
        raise KeyboardInterrupt

    auth = auth_of(server, client=OAuthClient(server.client_id, secret))
    pending, back = begun(auth)
    with pytest.raises(KeyboardInterrupt):
        auth.complete_login(pending, back)
    assert codes_sent(server) == []


# --- too late -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["threads", "asyncio"])
def test_an_errand_that_a_worker_comes_to_too_late_sends_nothing(server, monkeypatch, library):
    used, queue = [], []

    def secret():
        used.append(None)
        return server.client_secret

    auth = auth_of(server, client=OAuthClient(server.client_id, secret), scope="video", token_timeout=0.1)
    pending, back = begun(auth_of(server))
    monkeypatch.setattr(workers, "submit", lambda job: queue.append(job) or True)
    monkeypatch.setattr(errands, "GRACE", 0.0)  # callers wait no longer than the time that errands have
    with pytest.raises(TransportError, match=r"not done within 0\.1 s: still waiting for a worker") as caught:
        complete(auth, pending, back, library)
    assert caught.value.sent is False
    (job,) = queue
    job()
    assert used == []
    assert codes_sent(server) == []
