"""What a sign-in has brought, and what a sign-out has ended, stays so beside renewals, other threads and full disks."""

import gc
import threading
from dataclasses import replace

import pytest

from video_oauth_auth import (
    ClientCredentials,
    ConfigurationError,
    LoginRequired,
    MemoryStore,
    OAuthClient,
    TokenSource,
    source,
)
from video_oauth_auth.keeping import Keeper
from video_oauth_auth.login import people
from video_oauth_auth.testing import Hold, Mutate

from . import engine, sign_ins
from .faulty_store import FaultyStore, ForeignError, Gate
from .sign_ins import auth_of, begun, codes_sent, people_server, sign_in, whose

clock, server = engine.clock, sign_ins.server


@pytest.fixture
def started():
    """Start threads that have to end before the test does: `started(function)`."""
    threads = []

    def start(function):
        thread = threading.Thread(target=function)
        thread.start()
        threads.append(thread)
        return thread

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


# --- beside a renewal ---------------------------------------------------------------------------------------------


def test_a_sign_in_waits_for_the_renewal_that_has_the_lock(server, clock, monkeypatch, started):
    """However little of its own time is left: that renewal ends within its time, and would overwrite the sign-in."""
    monkeypatch.setattr(source, "LOCK_AT_LEAST", 0.05)
    store = MemoryStore()
    auth = auth_of(server, store=store)
    old = sign_in(auth)
    ann = auth.for_user("ann").source
    pending, back = begun(auth)
    code = Gate()
    server.token_faults.add(Mutate(lambda members: (code.pass_through(), members)[1]))
    server.token_faults.add(Hold())
    signed_in = []
    signing_in = started(lambda: signed_in.append(auth.complete_login(pending, back)))
    assert code.reached.wait(30)
    clock.advance(ann.settings.token_timeout - 0.5)
    started(lambda: ann.get_token(rejected=old))
    server.wait_for(lambda: server.held == 1)
    code.open()
    signing_in.join(0.8)
    assert signing_in.is_alive()
    server.release()
    signing_in.join(30)
    assert store.load(ann.key) == ann.peek() == signed_in[0]
    assert not ann.has_unsaved()
    assert len(codes_sent(server)) == 2


def test_what_could_not_be_saved_goes_only_over_what_was_there(server):
    """Not over what another process has written since, and not over a sign-out; no clock is asked."""
    store = FaultyStore()
    auth = auth_of(server)
    token = sign_in(auth)
    key, hold = auth.source.key, auth.source.settings.hold
    keeper = Keeper(store, key)
    rotated = replace(token, refresh_token="another")
    newer = replace(token, access_token="newer", issued_at=token.issued_at + 1)
    with store.transaction(key, timeout=1) as entry:
        entry.save(rotated)
    store.fail("save", OSError(28, "No space left on device"))
    with store.transaction(key, timeout=1) as entry:
        keeper.save(hold(token), entry)
    assert [keeper.may_save(stored) for stored in (rotated, token, newer, None)] == [True, False, False, False]
    store.work()
    with store.transaction(key, timeout=1) as entry:
        keeper.save(hold(token), entry)
    assert keeper.unsaved is None
    keeper.save(hold(token), None)  # a sign-in, past a lock that could not be had
    assert [keeper.may_save(stored) for stored in (rotated, token, newer, None)] == [True, True, False, True]


def test_a_lease_that_is_too_short_for_the_time_out_is_refused():
    class Leased(MemoryStore):
        lease = 45.0

    client, server = OAuthClient("id", "secret"), "https://login.example"
    TokenSource(server, client, ClientCredentials(), store=Leased(), token_timeout=35)
    with pytest.raises(ConfigurationError, match="lease"):
        TokenSource(server, client, ClientCredentials(), store=Leased(), token_timeout=36)


# --- published inside the transaction -----------------------------------------------------------------------------


def test_a_sign_in_is_published_before_the_lock_is_free(server, started):
    """Else a sign-out that comes second is undone in memory."""
    store = FaultyStore()
    auth = auth_of(server, store=store)
    ann = auth.for_user("ann")
    pending, back = begun(auth)
    gate = store.hold("unlock")
    completing = started(lambda: auth.complete_login(pending, back))
    try:
        assert gate.reached.wait(30)
        assert ann.source.peek() == store.tokens[ann.source.key]
    finally:
        gate.open()
    completing.join(30)
    assert ann.logout()
    assert ann.source.peek() is None
    with pytest.raises(LoginRequired):
        ann.source.get_token()


def test_a_sign_out_is_published_before_the_lock_is_free(server, started):
    """Else a sign-in that comes second is undone in memory."""
    store = FaultyStore()
    auth = auth_of(server, store=store)
    sign_in(auth)
    ann = auth.for_user("ann")
    gate = store.hold("unlock")
    ending = started(ann.logout)
    try:
        assert gate.reached.wait(30)
        assert ann.source.peek() is None
        assert store.tokens == {}
    finally:
        gate.open()
    ending.join(30)
    token = sign_in(auth)
    assert ann.source.peek() == token


@pytest.mark.parametrize("given", ["x", None])
def test_a_token_from_elsewhere_is_published_before_the_lock_is_free(server, started, given):
    store = FaultyStore()
    auth = auth_of(server, store=store)
    sign_in(auth)
    ann = auth.for_user("ann").source
    gate = store.hold("unlock")
    started(ann.reset if given is None else lambda: ann.set(given))
    try:
        assert gate.reached.wait(30)
        assert (ann.peek() and ann.peek().access_token) == given
    finally:
        gate.open()


# --- many people --------------------------------------------------------------------------------------------------


def test_the_object_with_a_token_that_could_not_be_saved_outlives_a_crowd(monkeypatch):
    monkeypatch.setattr(people, "KEPT", 3)
    store = FaultyStore()
    with people_server() as server:
        auth = auth_of(server, store=store)
        store.fail("save", ForeignError("the disk is full"))
        token = sign_in(auth)
        assert auth.for_user("ann").source.has_unsaved()
        for number in range(5):
            auth.for_user(f"somebody {number}")
        gc.collect()
        store.work()
        ann = auth.for_user("ann")
        assert ann.source.peek() == token
        assert whose(ann, server) == "ann"
        assert server.reuse_detected == 0


def test_objects_that_nobody_needs_do_not_outlive_a_crowd(monkeypatch, server):
    monkeypatch.setattr(people, "KEPT", 3)
    auth = auth_of(server)
    auth.for_user("first")
    for number in range(5):
        auth.for_user(f"somebody {number}")
    gc.collect()
    alive = [one for one in gc.get_objects() if isinstance(one, source.TokenSource) and one.key.user == "first"]
    assert alive == []
    assert not auth.source.has_unsaved()
