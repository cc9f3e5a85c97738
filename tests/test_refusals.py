"""The server has said no: it is not asked again before something has changed."""

import itertools
import logging

import pytest

from video_oauth_auth import ClientCredentials, LoginRequired, MemoryStore, OAuthClient, ResponseError, TokenSource
from video_oauth_auth.testing import json_answer

from . import engine
from .engine import aged, in_threads, refreshing, settle, source_of

clock = engine.clock

TERMINAL = (
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_request",
    "invalid_target",
    "access_denied",
    "invalid_grant",
)


def refused(source):
    """Ask for a token that is refused; give the error."""
    with pytest.raises(ResponseError) as caught:
        source.get_token()
    return caught.value


@pytest.mark.parametrize("code", TERMINAL)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_terminal_error_costs_one_token_call(oauth_server, code, status):
    oauth_server.token_faults.always(json_answer(status, {"error": code, "error_description": "because"}))
    source = source_of(oauth_server)
    for _ in range(100):
        error = refused(source)
        assert (error.error, error.error_description, error.status) == (code, "because", status)
        assert not error.transient
    assert len(oauth_server.token_calls) == 1


def test_a_crowd_that_is_refused_makes_one_token_call(oauth_server):
    source = source_of(oauth_server, secret="wrong")
    errors = in_threads(50, source.get_token) + in_threads(50, source.get_token)
    assert {error.error for error in errors} == {"invalid_client"}
    assert len(oauth_server.token_calls) == 1


@pytest.mark.parametrize("code", [code for code in TERMINAL if code != "invalid_grant"])
def test_a_terminal_error_of_a_refresh_costs_one_token_call_and_keeps_the_refresh_token(oauth_server, code):
    store = MemoryStore()
    source = refreshing(oauth_server, store=store)
    first = aged(oauth_server, 301)
    source.set(first)
    oauth_server.token_faults.always(json_answer(400, {"error": code}))
    for _ in range(20):
        assert refused(source).error == code
    assert len(oauth_server.token_calls) == 1
    assert store.load(source.key).refresh_token == first.refresh_token


def test_it_is_tried_again_after_a_minute_then_at_doubling_distances_up_to_ten_minutes(oauth_server, clock):
    source = source_of(oauth_server, secret="wrong")
    asked_after = []
    for second in range(0, 3600, 5):
        calls = len(oauth_server.token_calls)
        refused(source)
        if len(oauth_server.token_calls) > calls:
            asked_after.append(second)
        clock.advance(5)
    distances = [later - earlier for earlier, later in itertools.pairwise(asked_after)]
    assert distances == pytest.approx([60, 120, 240, 480, 600, 600, 600, 600], abs=6)


def test_a_probe_that_succeeds_ends_it(oauth_server, clock):
    oauth_server.token_faults.add(json_answer(400, {"error": "unauthorized_client"}))
    source = source_of(oauth_server)
    refused(source)
    clock.advance(59)
    refused(source)
    clock.advance(2)
    assert source.get_token()
    assert len(oauth_server.token_calls) == 2


def test_a_probe_is_one_call_however_many_wait(oauth_server, clock):
    source = source_of(oauth_server, secret="wrong")
    refused(source)
    clock.advance(61)
    in_threads(50, source.get_token)
    assert len(oauth_server.token_calls) == 2


def test_a_secret_that_has_changed_is_used_at_once(oauth_server):
    secret = oauth_server.client_secret
    source = source_of(oauth_server, secret=lambda: secret)
    oauth_server.change_secret("new-secret")
    for _ in range(10):
        refused(source)
    assert len(oauth_server.token_calls) == 1
    secret = "new-secret"
    assert source.get_token()
    assert len(oauth_server.token_calls) == 2


def test_on_invalid_client_the_secret_callable_is_asked_once_more_at_once(oauth_server):
    """A secret that is rotated between two calls costs nobody an error."""
    oauth_server.change_secret("rotated")
    secrets = iter(["old-secret", "rotated", "rotated"])
    assert source_of(oauth_server, secret=lambda: next(secrets)).get_token()
    assert [call.status for call in oauth_server.token_calls] == [401, 200]


def test_a_secret_callable_that_always_gives_something_else_makes_no_stream_of_calls(oauth_server):
    numbers = iter(range(1000))
    source = source_of(oauth_server, secret=lambda: f"wrong-{next(numbers)}")
    refused(source)
    assert len(oauth_server.token_calls) <= 2


def test_a_pair_that_has_changed_is_used_at_once(oauth_server):
    pair = (oauth_server.client_id, "wrong")
    client = OAuthClient(credentials=lambda: pair)
    source = TokenSource(oauth_server.authorization_server, client, ClientCredentials())
    for _ in range(10):
        refused(source)
    pair = (oauth_server.client_id, oauth_server.client_secret)
    assert source.get_token()
    assert len(oauth_server.token_calls) == 2


@pytest.mark.parametrize("change", [lambda source, token: source.set(token), lambda source, _: source.reset()])
def test_it_ends_when_a_token_is_set_or_everything_is_reset(oauth_server, change):
    oauth_server.token_faults.add(json_answer(400, {"error": "invalid_scope"}))
    source = source_of(oauth_server)
    refused(source)
    change(source, aged(oauth_server, 301))
    assert source.get_token()
    assert len(oauth_server.token_calls) == 2


def test_it_ends_when_the_store_has_another_refresh_token(oauth_server):
    store = MemoryStore()
    source = refreshing(oauth_server, store=store)
    oauth_server.token_faults.add(json_answer(400, {"error": "invalid_scope"}))
    refused(source)
    with store.transaction(source.key, timeout=0) as entry:
        entry.save(aged(oauth_server, 301))
    assert source.get_token()
    assert len(oauth_server.token_calls) == 2


def test_it_ends_when_somebody_else_has_signed_in_again(oauth_server):
    store = MemoryStore()
    source = refreshing(oauth_server, store=store)
    oauth_server.revoke_refresh_tokens()
    with pytest.raises(LoginRequired):
        source.get_token()
    sibling = source_of(oauth_server, None, store=store)
    sibling.set(aged(oauth_server, 0))
    assert source.get_token() == sibling.peek()
    assert len(oauth_server.token_calls) == 1


def test_a_refusal_is_not_noticed_while_the_token_is_good_and_costs_one_token_call(oauth_server, clock, caplog):
    token = aged(oauth_server, 245)
    source = source_of(oauth_server, secret="wrong", token=token)
    with caplog.at_level(logging.WARNING, "video_oauth_auth"):
        for _ in range(50):
            assert source.get_token() == token
            settle()
            clock.advance(1)
    assert len(oauth_server.token_calls) == 1
    assert "invalid_client" in caplog.text
    assert "wrong" not in caplog.text


def test_one_refusal_does_not_stop_other_sources(oauth_server):
    refused(source_of(oauth_server, secret="wrong"))
    assert source_of(oauth_server).get_token()
