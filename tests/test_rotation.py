"""Refresh tokens: kept, rotated, ended; and what a person has to do then."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from video_oauth_auth import (
    ClientCredentials,
    InvalidResponseError,
    LoginRequired,
    MemoryStore,
    ResourceOwnerPassword,
    ResponseError,
    Token,
    TransportError,
)
from video_oauth_auth.events import LoginNeeded, TokenRenewed
from video_oauth_auth.testing import Drop, Hold, html_page, json_answer, unavailable, with_members, without

from . import engine
from .engine import Events, aged, grant_types, in_threads, refresh_token_works, refreshing, settle, source_of
from .faulty_store import FaultyStore

clock = engine.clock


def test_rotation_goes_on_for_as_long_as_tokens_are_used(oauth_server, clock):
    source = refreshing(oauth_server)
    tokens = []
    for _ in range(10):
        tokens.append(source.get_token())
        clock.advance(301)
    assert len({token.refresh_token for token in tokens}) == 10
    assert grant_types(oauth_server) == ["refresh_token"] * 10
    assert oauth_server.reuse_detected == 0


def test_a_crowd_that_meets_many_expiries_never_spends_a_refresh_token_twice(oauth_server, clock):
    source = refreshing(oauth_server)
    for _ in range(10):
        clock.advance(301)
        assert len(set(in_threads(20, source.get_token))) == 1
    assert grant_types(oauth_server) == ["refresh_token"] * 10
    assert oauth_server.reuse_detected == 0


def test_an_answer_without_a_refresh_token_or_scope_keeps_the_old_ones(oauth_server, clock):
    oauth_server.rotate = False
    oauth_server.refresh_tokens = True
    oauth_server.token_faults.always(without("refresh_token", "scope"))
    first = Token.from_response(
        {**oauth_server.issue_token(scope="videos:read"), "refresh_expires_in": 86400}, issued_at=time.time() - 301
    )
    store = MemoryStore()
    source = source_of(oauth_server, None, store=store, token=first)
    for _ in range(5):
        token = source.get_token()
        assert token.refresh_token == first.refresh_token
        assert token.scope == "videos:read"
        assert token.refresh_expires_at == first.refresh_expires_at
        assert store.load(source.key).refresh_token == first.refresh_token
        clock.advance(301)
    assert grant_types(oauth_server) == ["refresh_token"] * 5


def test_a_refresh_asks_for_the_same_resource_and_audience_and_never_for_a_wider_scope(oauth_server, clock):
    oauth_server.refresh_tokens = True
    grant = ClientCredentials(scope="a b", audience="videos", resource="https://api.example.com", extra={"tenant": "t"})
    source = source_of(oauth_server, grant)
    source.get_token()
    clock.advance(301)
    source.get_token()
    grant_call, refresh_call = (call.form for call in oauth_server.token_calls)
    assert grant_call["scope"] == "a b"
    assert refresh_call["grant_type"] == "refresh_token"
    assert set(refresh_call.get("scope", "").split()) <= {"a", "b"}
    for name in ("audience", "resource", "tenant"):
        assert refresh_call[name] == grant_call[name]


@pytest.mark.parametrize(
    "fault",
    [unavailable(retry_after=0), html_page(), json_answer(500, {"error": "invalid_grant"}), Drop("before")],
    ids=["503", "html", "500 with an OAuth code", "reset"],
)
def test_transient_errors_delete_nothing(oauth_server, clock, fault):
    store = MemoryStore()
    source = refreshing(oauth_server, store=store, token_timeout=1.0)
    first = aged(oauth_server, 301)
    source.set(first)
    oauth_server.token_faults.always(fault)
    for _ in range(3):
        with pytest.raises((TransportError, InvalidResponseError)):
            source.get_token()
        clock.advance(301)
        assert store.load(source.key).refresh_token == first.refresh_token
    oauth_server.token_faults.clear()
    source.get_token()
    assert set(grant_types(oauth_server)) == {"refresh_token"}
    assert oauth_server.reuse_detected == 0


# --- the end of a sign-in ---------------------------------------------------------------------------------------


def test_a_revoked_refresh_token_needs_a_person_and_costs_one_token_call(oauth_server, clock):
    events = Events()
    source = refreshing(oauth_server, user="ann", on_event=events)
    oauth_server.revoke_refresh_tokens()
    for _ in range(100):
        with pytest.raises(LoginRequired) as caught:
            source.get_token()
        assert (caught.value.reason, caught.value.user, caught.value.transient) == ("revoked", "ann", False)
        clock.advance(60)
    assert len(oauth_server.token_calls) == 1  # not even a probe: a dead refresh token stays dead
    assert source.status().state == "login_required"
    assert events.of(LoginNeeded)[0].reason == "revoked"


def test_a_revoked_refresh_token_is_not_noticed_while_the_access_token_is_good(oauth_server, clock):
    source = refreshing(oauth_server, age=0)
    token = source.peek()
    oauth_server.revoke_refresh_tokens()
    clock.advance(250)
    for _ in range(100):
        assert source.get_token() == token
        settle()
    assert len(oauth_server.token_calls) == 1
    clock.advance(51)
    with pytest.raises(LoginRequired) as caught:
        source.get_token()
    assert caught.value.reason == "revoked"
    assert len(oauth_server.token_calls) == 1


def test_a_grant_that_needs_no_person_is_asked_after_invalid_grant(oauth_server):
    oauth_server.users = {"ann": "pass"}
    oauth_server.refresh_tokens = True
    events = Events()
    grant = ResourceOwnerPassword("ann", "pass")
    source = source_of(oauth_server, grant, token=aged(oauth_server, 301), on_event=events)
    oauth_server.revoke_refresh_tokens()
    assert source.get_token()
    assert grant_types(oauth_server) == ["refresh_token", "password"]
    assert events.wait_for(TokenRenewed).grant_type == "password"


def test_a_grant_that_fails_too_tells_its_own_error_and_is_remembered(oauth_server):
    oauth_server.refresh_tokens = True
    source = source_of(oauth_server, ResourceOwnerPassword("ann", "wrong"), token=aged(oauth_server, 301))
    oauth_server.revoke_refresh_tokens()
    for _ in range(100):
        with pytest.raises(ResponseError) as caught:
            source.get_token()
        assert caught.value.error == "invalid_grant"
    assert grant_types(oauth_server) == ["refresh_token", "password"]


def test_a_refresh_token_that_has_ended_is_not_presented(oauth_server, clock):
    oauth_server.refresh_expires_in = 1800
    source = refreshing(oauth_server, age=0)
    assert source.peek().refresh_expires_at == pytest.approx(time.time() + 1800, abs=5)
    clock.advance(1801)
    with pytest.raises(LoginRequired) as caught:
        source.get_token()
    assert caught.value.reason == "refresh_expired"
    assert not oauth_server.token_calls


def test_a_grant_that_needs_no_person_replaces_a_refresh_token_that_has_ended(oauth_server, clock):
    oauth_server.refresh_tokens = True
    oauth_server.refresh_expires_in = 1800
    source = source_of(oauth_server)
    source.get_token()
    clock.advance(1801)
    assert source.get_token()
    assert grant_types(oauth_server) == ["client_credentials", "client_credentials"]


def test_keycloaks_zero_is_no_end_of_a_refresh_token(oauth_server, clock):
    oauth_server.refresh_expires_in = 0
    source = refreshing(oauth_server, age=0)
    assert source.peek().refresh_expires_at is None
    clock.advance(10 * 86400)
    assert source.get_token()
    assert grant_types(oauth_server) == ["refresh_token"]


def test_without_a_token_and_a_grant_somebody_has_to_sign_in(oauth_server):
    source = source_of(oauth_server, None)
    with pytest.raises(LoginRequired) as caught:
        source.get_token()
    assert caught.value.reason == "never_signed_in"
    assert not oauth_server.token_calls


def test_an_expired_token_without_a_refresh_token_needs_a_person(oauth_server):
    source = source_of(oauth_server, None, token=aged(oauth_server, 301))
    with pytest.raises(LoginRequired) as caught:
        source.get_token()
    assert caught.value.reason == "refresh_expired"
    assert not oauth_server.token_calls


# --- save, then publish -----------------------------------------------------------------------------------------


def test_the_rotated_refresh_token_is_in_the_store_before_anybody_gets_the_token(oauth_server):
    store, seen = MemoryStore(), []
    source = refreshing(oauth_server, store=store, on_event=lambda event: seen.append(store.load(source.key)))
    token = source.get_token()
    assert seen == [token]
    assert seen[0].refresh_token == token.refresh_token
    assert store.load(source.key).refresh_token == token.refresh_token


def test_what_a_server_adds_to_a_refresh_is_kept(oauth_server):
    oauth_server.token_faults.add(with_members(tenant="t-1"))
    store = MemoryStore()
    source = refreshing(oauth_server, store=store)
    assert source.get_token().extra == {"tenant": "t-1"}
    assert store.load(source.key).extra == {"tenant": "t-1"}


def test_a_sibling_that_rotates_without_our_lock_does_not_end_the_sign_in(oauth_server):
    """Its tokens are in the store when the server refuses our refresh token."""
    oauth_server.revoke_family_on_reuse = False
    store = FaultyStore()
    source = refreshing(oauth_server, store=store)
    first = aged(oauth_server, 301)
    store.tokens[source.key] = first
    oauth_server.token_faults.add(Hold())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(source.get_token)
        oauth_server.wait_for(lambda: oauth_server.held == 1)
        sibling = source_of(oauth_server, None, token=first).get_token()
        store.tokens[source.key] = sibling
        oauth_server.release()
        token = waiting.result(10)
    assert token != first
    assert store.tokens[source.key] == token
    assert refresh_token_works(oauth_server, store.tokens[source.key])
