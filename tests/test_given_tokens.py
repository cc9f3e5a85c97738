"""Tokens that come from the user: `token=`, `set()`, `reset()`; and what `status()` and `peek()` tell."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from video_oauth_auth import (
    ConfigurationError,
    InvalidResponseError,
    LoginRequired,
    MemoryStore,
    ResponseError,
    StoreError,
    Token,
)
from video_oauth_auth.testing import Hold, json_answer

from . import engine
from .engine import aged, grant_types, refreshing, settle, source_of
from .faulty_store import FaultyStore

clock = engine.clock


def test_a_token_can_be_given_as_a_token_a_mapping_or_a_text(oauth_server):
    members = oauth_server.issue_token()
    for given in (Token.from_response(members), members, members["access_token"]):
        source = source_of(oauth_server, token=given)
        assert source.get_token().access_token == members["access_token"]
    assert not oauth_server.token_calls


def test_a_text_is_used_until_a_401(oauth_server, clock):
    source = source_of(oauth_server, token="given")
    clock.advance(1e6)
    token = source.get_token()
    assert token.access_token == "given"
    assert source.get_token(rejected=token).access_token != "given"
    assert grant_types(oauth_server) == ["client_credentials"]


def test_a_mapping_of_another_program_counts_from_its_expires_at(oauth_server):
    """requests-oauthlib and Authlib write both; what expires_in counts from is not known any more."""
    oauth_server.refresh_tokens = True
    saved = {**oauth_server.issue_token(), "expires_in": 300, "expires_at": time.time() - 3600}
    source = source_of(oauth_server, None, token=saved)
    assert source.get_token().access_token != saved["access_token"]
    assert oauth_server.token_calls[0].form["refresh_token"] == saved["refresh_token"]


def test_a_refresh_token_is_enough(oauth_server):
    """What a person has who brings a sign-in along: the first request renews it."""
    oauth_server.refresh_tokens = True
    refresh_token = oauth_server.issue_token()["refresh_token"]
    source = source_of(oauth_server, None, token={"refresh_token": refresh_token})
    assert source.status().state == "expired"
    assert source.get_token().access_token in oauth_server.secrets()
    assert [call.form["refresh_token"] for call in oauth_server.token_calls] == [refresh_token]


@pytest.mark.parametrize("given", ["", "two\nlines", {"token": "x"}, {}, {"access_token": 7}], ids=repr)
def test_what_holds_no_access_token_is_refused(oauth_server, given):
    with pytest.raises(InvalidResponseError):
        source_of(oauth_server, token=given)


@pytest.mark.parametrize("given", [7, b"bytes", ["x"]], ids=repr)
def test_what_is_no_token_is_refused(oauth_server, given):
    with pytest.raises(ConfigurationError):
        source_of(oauth_server, token=given)


@pytest.mark.parametrize("store", [None, MemoryStore()], ids=["private", "shared"])
def test_a_token_that_is_set_is_used_and_stored(oauth_server, store):
    source = source_of(oauth_server, store=store)
    given = Token.from_response(oauth_server.issue_token())
    source.set(given)
    assert source.peek() == source.get_token() == given
    assert source.status().state == "fresh"
    if store is not None:
        assert store.load(source.key) == given
        assert source_of(oauth_server, store=store).get_token() == given
    assert not oauth_server.token_calls


def test_set_ends_a_sign_in_that_is_missing(oauth_server):
    source = refreshing(oauth_server)
    oauth_server.revoke_refresh_tokens()
    with pytest.raises(LoginRequired):
        source.get_token()
    source.set(aged(oauth_server, 301))
    assert source.status().last_error is None
    assert source.get_token()
    assert grant_types(oauth_server) == ["refresh_token", "refresh_token"]


def test_reset_forgets_the_token_in_the_store_too(oauth_server):
    store = MemoryStore()
    source = source_of(oauth_server, store=store)
    old = source.get_token()
    source.reset()
    assert source.peek() is None
    assert store.load(source.key) is None
    assert list(store.entries()) == []
    assert source.status().state == "none"
    assert source.get_token() != old
    assert len(oauth_server.token_calls) == 2


def test_reset_ends_remembered_refusals(oauth_server):
    source = source_of(oauth_server)
    oauth_server.token_faults.add(json_answer(400, {"error": "unauthorized_client"}))
    for _ in range(10):
        with pytest.raises(ResponseError):
            source.get_token()
    source.reset()
    assert source.get_token()
    assert len(oauth_server.token_calls) == 2


def test_reset_forgets_the_seed(oauth_server):
    """A refresh token that was given as `token=` must not come back."""
    source = refreshing(oauth_server, store=MemoryStore())
    source.reset()
    with pytest.raises(LoginRequired) as caught:
        source.get_token()
    assert caught.value.reason == "never_signed_in"
    assert not oauth_server.token_calls


@pytest.mark.parametrize("change", [lambda source, token: source.set(token), lambda source, _: source.reset()])
def test_a_token_cannot_be_replaced_while_the_lock_is_taken(oauth_server, change):
    store = MemoryStore()
    source = source_of(oauth_server, store=store, token_timeout=0.1)
    with store.transaction(source.key, timeout=0), pytest.raises(StoreError):
        change(source, aged(oauth_server, 0))


def test_what_is_set_during_a_renewal_wins_over_its_outcome(oauth_server):
    source = refreshing(oauth_server, age=270)
    oauth_server.token_faults.add(Hold())
    source.get_token()
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    given = aged(oauth_server, 0)
    with ThreadPoolExecutor(1) as pool:
        setting = pool.submit(source.set, given)
        oauth_server.release()
        setting.result(10)
    settle()
    assert source.get_token() == given


def test_reset_fails_where_the_store_cannot_forget(oauth_server):
    store = FaultyStore()
    source = source_of(oauth_server, store=store)
    token = source.get_token()
    store.fail("delete", OSError("read-only"))
    with pytest.raises(StoreError) as caught:
        source.reset()
    assert "read-only" not in str(caught.value)
    assert store.tokens[source.key] == token


# --- looking ----------------------------------------------------------------------------------------------------


def test_peek_does_no_io(oauth_server):
    store = FaultyStore()
    source = source_of(oauth_server, store=store)
    assert source.peek() is None
    assert store.steps == []
    assert not oauth_server.token_calls


def test_status_tells_how_it_is_going(oauth_server, clock):
    source = source_of(oauth_server)
    status = source.status()
    assert (status.state, status.expires_at, status.last_renewal_at, status.last_error) == ("none", None, None, None)
    before = time.time()
    token = source.get_token()
    status = source.status()
    assert (status.state, status.expires_at, status.last_error) == ("fresh", token.expires_at, None)
    assert status.last_renewal_at == pytest.approx(before, abs=10)
    clock.advance(270)
    assert source.status().state == "stale"
    clock.advance(31)
    assert source.status().state == "expired"
    oauth_server.token_faults.add(json_answer(400, {"error": "invalid_scope"}))
    with pytest.raises(ResponseError):
        source.get_token()
    error = source.status().last_error
    assert isinstance(error, ResponseError)
    assert error.error == "invalid_scope"
    assert len(oauth_server.token_calls) == 2


def test_status_looks_into_the_store_without_asking_the_server(oauth_server):
    store = MemoryStore()
    token = source_of(oauth_server, store=store).get_token()
    oauth_server.clear()
    status = source_of(oauth_server, store=store).status()
    assert (status.state, status.expires_at) == ("fresh", token.expires_at)
    assert not oauth_server.token_calls


def test_nothing_that_a_source_shows_holds_a_secret(oauth_server):
    source = refreshing(oauth_server)
    source.get_token()
    with pytest.raises(ResponseError):
        source_of(oauth_server, secret="canary-secret").get_token()
    shown = [repr(source), repr(source.status()), repr(source.key), repr(source.peek()), str(source.peek())]
    for secret in [*oauth_server.secrets(), "canary-secret"]:
        assert not any(secret in text for text in shown)
