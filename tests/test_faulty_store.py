"""Stores that fail, hang, or are held by somebody else: what still works, and what is never risked."""

import logging
import time

import pytest

from video_oauth_auth import (
    StoreError,
    TransportError,
)
from video_oauth_auth.events import TokenRenewed

from . import engine
from .engine import Events, aged, grant_types, in_threads, refresh_token_works, settle, source_of
from .faulty_store import FaultyStore, ForeignError, seeded

clock = engine.clock

STEPS = ("load", "lock", "read", "save", "unlock")


@pytest.fixture
def store():
    return FaultyStore()


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "video_oauth_auth")
    return caplog


# --- failing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [ForeignError("canary"), StoreError("broken"), OSError(28, "canary")], ids=repr)
def test_a_grant_that_needs_no_person_goes_on_without_the_store(oauth_server, store, warnings, step, error):
    store.fail(step, error)
    source = source_of(oauth_server, store=store)
    tokens = {source.get_token() for _ in range(100)}
    assert len(tokens) == 1
    assert len(oauth_server.token_calls) == 1
    assert len(warnings.records) == 1
    assert "canary" not in warnings.text
    assert not any(secret in warnings.text for secret in oauth_server.secrets())


@pytest.mark.parametrize("step", ["load", "lock", "save"])
def test_a_store_that_stays_broken_costs_one_warning_a_minute_and_no_token_calls(
    oauth_server, store, clock, warnings, step
):
    oauth_server.expires_in = 3600
    store.fail(step, ForeignError())
    source = source_of(oauth_server, store=store)
    for _ in range(600):  # ten minutes
        source.get_token()
        settle()
        clock.advance(1)
    assert len(oauth_server.token_calls) == 1
    assert 1 <= len(warnings.records) <= 11


def test_what_could_not_be_saved_is_saved_when_the_store_works_again(oauth_server, store, clock, warnings):
    store.fail("save", ForeignError())
    source = source_of(oauth_server, store=store)
    token = source.get_token()
    assert store.tokens == {}
    store.work()
    clock.advance(6)
    assert source.get_token() == token
    settle()
    assert store.tokens == {source.key: token}
    assert source.status().state == "fresh"
    assert len(oauth_server.token_calls) == 1


def test_a_store_that_could_not_be_locked_gets_the_token_when_it_works_again(oauth_server, store, clock, warnings):
    store.fail("lock", ForeignError())
    source = source_of(oauth_server, store=store)
    token = source.get_token()
    store.work()
    clock.advance(6)
    assert source.get_token() == token
    settle()
    assert store.tokens == {source.key: token}
    assert len(oauth_server.token_calls) == 1


def test_events_tell_whether_a_token_was_saved(oauth_server, store, warnings):
    events = Events()
    store.fail("save", ForeignError())
    source = source_of(oauth_server, store=store, on_event=events)
    token = source.get_token()
    store.work()
    source.get_token(rejected=token)
    assert [event.saved for event in events.of(TokenRenewed)] == [False, True]


def test_a_rotated_refresh_token_that_could_not_be_saved_is_the_one_that_is_used(oauth_server, store, clock, warnings):
    source = seeded(oauth_server, store, 301)
    first = store.tokens[source.key]
    store.fail("save", ForeignError())
    for _ in range(3):
        assert source.get_token() != first
        clock.advance(301)
    assert store.tokens[source.key] == first  # long spent
    store.work()
    last = source.get_token()
    assert store.tokens[source.key] == last
    assert grant_types(oauth_server) == ["refresh_token"] * 4
    assert oauth_server.reuse_detected == 0
    assert refresh_token_works(oauth_server, store.tokens[source.key])


def test_what_a_sibling_saved_wins_over_what_could_not_be_saved(oauth_server, store, clock, warnings):
    store.fail("save", ForeignError())
    source = source_of(oauth_server, store=store)
    source.get_token()
    newer = aged(oauth_server, 0)
    store.tokens[source.key] = newer
    store.work()
    clock.advance(6)
    source.get_token()
    settle()
    assert source.get_token() == newer
    assert store.tokens[source.key] == newer


@pytest.mark.parametrize("step", ["lock", "read"])
def test_a_refresh_token_is_never_spent_unlocked(oauth_server, store, clock, warnings, step):
    source = seeded(oauth_server, store, 230)
    token = source.get_token()
    store.fail(step, ForeignError("canary"))
    clock.advance(30)  # stale
    for _ in range(20):
        assert source.get_token() == token
        settle()
    clock.advance(50)  # expired
    for _ in range(5):
        with pytest.raises(StoreError) as caught:
            source.get_token()
        assert "canary" not in str(caught.value)
    assert not oauth_server.token_calls
    store.work()
    assert source.get_token() != token
    assert grant_types(oauth_server) == ["refresh_token"]


def test_a_refresh_token_is_not_spent_where_only_the_grant_can_go_on_without_the_store(oauth_server, store, warnings):
    oauth_server.refresh_tokens = True
    source = source_of(oauth_server, store=store)
    store.tokens[source.key] = aged(oauth_server, 301)
    store.fail("lock", ForeignError())
    assert source.get_token()
    assert grant_types(oauth_server) == ["client_credentials"]


def test_a_store_that_cannot_be_read_does_not_make_a_person_sign_in(oauth_server, store, warnings):
    source = seeded(oauth_server, store, 301)
    store.fail("load", ForeignError())
    store.fail("read", ForeignError())
    with pytest.raises(StoreError):
        source.get_token()
    store.work()
    assert source.get_token()


# --- hanging ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["load", "lock", "save"])
def test_a_store_that_hangs_ends_for_the_callers_at_token_timeout(oauth_server, store, step):
    source = source_of(oauth_server, store=store, token_timeout=1.0)
    gate = store.hold(step)
    started_at = time.monotonic()
    errors = in_threads(5, source.get_token)
    assert time.monotonic() - started_at < 10
    assert {type(error) for error in errors} == {TransportError}
    assert all("store" in str(error) or "saving" in str(error) for error in errors)
    gate.open()
    settle()
    assert source_of(oauth_server, store=store).get_token()


def test_a_store_that_is_slow_to_save_loses_nothing(oauth_server, store):
    source = seeded(oauth_server, store, 301, token_timeout=1.0)
    gate = store.hold("save")
    with pytest.raises(TransportError, match="saving"):
        source.get_token()
    gate.open()
    settle()
    assert source.get_token() == store.tokens[source.key]
    assert grant_types(oauth_server) == ["refresh_token"]
    assert refresh_token_works(oauth_server, store.tokens[source.key])


def test_nobody_waits_for_a_slow_store_while_the_token_is_good(oauth_server, store):
    source = source_of(oauth_server, store=store, token_timeout=20)
    store.tokens[source.key] = aged(oauth_server, 270)
    token = source.get_token()
    settle()
    gate = store.hold("lock")
    source = source_of(oauth_server, store=store, token_timeout=20)
    oauth_server.clear()
    assert token in (source.get_token(), source.peek())
    gate.open()
    settle()
