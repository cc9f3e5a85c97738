"""A code is sent once; where nothing comes of it, all stays as it was."""

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from types import SimpleNamespace

import pytest

from video_oauth_auth import (
    AuthorizationRequest,
    ConfigurationError,
    InvalidResponseError,
    MemoryStore,
    OAuthClient,
    OAuthError,
    ResponseError,
    TransportError,
)
from video_oauth_auth.login import redeemed
from video_oauth_auth.login import sign_in as sign_in_module
from video_oauth_auth.testing import Answer, Drop, Hold, html_page, json_answer, unavailable

from . import engine, sign_ins
from .engine import settle
from .sign_ins import auth_of, begun, callback, codes_sent, forged, sign_in, told, whose

clock, server = engine.clock, sign_ins.server


# --- once ---------------------------------------------------------------------------------------------------------


def test_a_reloaded_callback_page_sends_no_code_and_what_the_first_gave_stays(server):
    auth = auth_of(server)
    pending, back = begun(auth)
    token = auth.complete_login(pending, back)
    again = AuthorizationRequest.from_dict(pending.to_dict())
    for one, completing in ((pending, auth), (again, auth), (again, auth.for_user("bob")), (again, auth)):
        with pytest.raises(InvalidResponseError, match="used already; a code is sent once"):
            completing.complete_login(one, back)
    assert len(codes_sent(server)) == 1
    assert auth.for_user("ann").source.get_token() == token
    assert whose(auth.for_user("ann"), server) == "ann"


def test_an_application_that_makes_an_object_for_each_request_sends_the_code_once_too(server):
    store = MemoryStore()
    pending, back = begun(auth_of(server, store=store))
    token = auth_of(server, store=store).complete_login(pending, back)
    with pytest.raises(InvalidResponseError, match="used already"):
        auth_of(server, store=store).complete_login(pending, back)
    assert auth_of(server, store=store).for_user("ann").source.get_token() == token
    assert whose(auth_of(server, store=store).for_user("ann"), server) == "ann"


def test_what_has_been_redeemed_does_not_pile_up(server, monkeypatch):
    monkeypatch.setattr(redeemed, "REMEMBERED", 3)
    monkeypatch.setattr(redeemed, "_redeemed", OrderedDict())
    auth = auth_of(server)
    for _ in range(6):
        sign_in(auth)
    pending, back = begun(auth)
    auth.complete_login(pending, back)
    assert len(redeemed._redeemed) == 3
    with pytest.raises(InvalidResponseError, match="used already"):
        auth.complete_login(pending, back)


def test_another_code_for_the_same_sign_in_is_not_sent_either(server):
    auth = auth_of(server)
    pending, back = begun(auth)
    other = callback(pending, "bob")
    auth.complete_login(pending, back)
    with pytest.raises(InvalidResponseError, match="used already"):
        auth.complete_login(pending, other)
    assert whose(auth.for_user("ann"), server) == "ann"


def test_two_requests_with_one_callback_send_its_code_once(server):
    auth = auth_of(server)
    pending, back = begun(auth)
    server.token_faults.add(Hold())
    results = []

    def complete():
        try:
            results.append(auth.complete_login(pending, back))
        except OAuthError as error:
            results.append(error)

    threads = [threading.Thread(target=complete) for _ in range(8)]
    for thread in threads:
        thread.start()
    server.wait_for(lambda: server.held == 1)
    while len(results) < 7:  # those that lost do not wait for the one that goes on
        time.sleep(0.01)
    server.release()
    for thread in threads:
        thread.join()
    *lost, token = results
    assert all(isinstance(error, InvalidResponseError) and "used already" in str(error) for error in lost)
    assert len(codes_sent(server)) == 1
    assert auth.for_user("ann").source.get_token() == token
    assert whose(auth.for_user("ann"), server) == "ann"


LOSSES = [Drop("before"), Drop("after"), Drop("midway"), Drop("after", how="close"), *map(Answer, (429, 500, 503))]


@pytest.mark.parametrize("fault", LOSSES)
def test_a_lost_answer_is_one_error_and_the_code_is_not_sent_again(server, fault):
    auth = auth_of(server)
    before = sign_in(auth)
    pending, back = begun(auth)
    server.token_faults.add(fault)
    with pytest.raises(TransportError) as caught:
        auth.complete_login(pending, back)
    assert caught.value.sent
    with pytest.raises(InvalidResponseError, match="used already"):
        auth.complete_login(pending, back)
    assert codes_sent(server).count(told(back)["code"]) == 1
    assert auth.for_user("ann").source.get_token() == before


def test_a_token_endpoint_that_cannot_be_reached_at_first_is_tried_again(server, monkeypatch):
    auth = auth_of(server)
    pending, back = begun(auth)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            server.start()

    monkeypatch.setattr(sign_in_module, "time", SimpleNamespace(sleep=sleep, time=time.time))
    server.stop()
    assert auth.complete_login(pending, back).claims["sub"] == "ann"
    assert len(pauses) == 2
    assert codes_sent(server) == [told(back)["code"]]


def test_a_code_that_never_left_can_be_sent_later(server):
    auth = auth_of(server)
    pending, back = begun(auth)
    server.stop()
    with pytest.raises(TransportError) as caught:
        auth.complete_login(pending, back)
    assert not caught.value.sent
    server.start()
    assert auth.complete_login(pending, back).claims["sub"] == "ann"
    assert len(codes_sent(server)) == 1


def test_a_secret_that_cannot_be_had_costs_no_code(server):
    secrets = iter([KeyError("the-vault"), server.client_secret])

    def secret():
        found = next(secrets)
        if isinstance(found, Exception):
            raise found
        return found

    auth = auth_of(server, client=OAuthClient(server.client_id, secret))
    pending, back = begun(auth)
    with pytest.raises(ConfigurationError, match="the callable given as client_secret= failed: KeyError"):
        auth.complete_login(pending, back)
    assert auth.complete_login(pending, back).claims["sub"] == "ann"


def test_a_server_that_does_not_answer_in_time_is_an_error_in_time(server):
    auth = auth_of(server, token_timeout=0.5)
    pending, back = begun(auth)
    server.token_faults.add(Hold())
    started_at = time.monotonic()
    with pytest.raises(TransportError) as caught:
        auth.complete_login(pending, back)
    assert caught.value.sent
    assert time.monotonic() - started_at < 8
    server.release()
    settle()
    assert len(codes_sent(server)) == 1


REFUSALS = {
    "a wrong verifier": lambda pending, server: replace(pending, code_verifier="another-verifier." * 3),
    "another redirect URI": lambda pending, server: replace(pending, redirect_uri="https://other.example/callback"),
    "a code that is too old": lambda pending, server: server.advance(61) or pending,
}


@pytest.mark.parametrize("wrong", REFUSALS.values(), ids=list(REFUSALS))
def test_a_refused_code_is_the_servers_no_and_the_old_sign_in_stays(server, wrong):
    auth = auth_of(server)
    before = sign_in(auth)
    pending, back = begun(auth)
    with pytest.raises(ResponseError) as caught:
        auth.complete_login(wrong(pending, server), back)
    assert caught.value.error == "invalid_grant"
    assert codes_sent(server).count(told(back)["code"]) == 1
    assert auth.for_user("ann").source.get_token() == before


def test_a_refused_code_names_redirect_uri_and_client(server):
    """Which of the two the server means by invalid_grant it seldom says."""
    auth = auth_of(server)
    pending, back = begun(auth)
    with pytest.raises(ResponseError, match=r"redirect_uri=https://other.example/callback.* test-client"):
        auth.complete_login(replace(pending, redirect_uri="https://other.example/callback"), back)


CAME_TO = {
    "another path": (lambda url: url.replace("/callback?", "/other?"), ", and came to https://films.example/other"),
    "another host": (
        lambda url: url.replace("https://films.example", "http://10.0.0.7:8000"),
        "//10.0.0.7:8000/callback",
    ),
    "a URL with a name and password": (
        lambda url: url.replace("//", "//x:canary@y."),
        ", and came to https://y.films.example/callback",
    ),
    "a URL with the fragment": (
        lambda url: url.replace("/callback?", "/other#"),
        ", and came to https://films.example/other",
    ),
    "where it was asked to": (lambda url: url, "by the client test-client"),
    "its query alone": (lambda url: url.partition("?")[2], "by the client test-client"),
    "parameters": (told, "by the client test-client"),
}


@pytest.mark.parametrize(("given", "named"), CAME_TO.values(), ids=list(CAME_TO))
def test_a_refused_code_names_both_where_it_was_asked_to_and_where_it_came(server, given, named):
    auth = auth_of(server)
    pending, back = begun(auth)
    server.token_faults.add(json_answer(400, {"error": "invalid_grant"}))
    with pytest.raises(ResponseError) as caught:
        auth.complete_login(pending, given(back))
    assert f"redirect_uri={pending.redirect_uri} by the client test-client" in str(caught.value)
    assert str(caught.value).endswith(named)
    assert told(back)["code"] not in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("answer", [html_page(), json_answer(200, {"token_type": "Bearer"}), Answer(302)])
def test_nonsense_instead_of_tokens_changes_nothing(server, answer):
    auth = auth_of(server)
    before = sign_in(auth)
    server.token_faults.add(answer)
    with pytest.raises(InvalidResponseError):
        sign_in(auth)
    assert auth.for_user("ann").source.get_token() == before


# --- the ID token that comes with it ------------------------------------------------------------------------------


CLAIMS = {
    "no nonce": ({"nonce": None}, "has no nonce"),
    "another nonce": ({"nonce": "x"}, "nonce is not that"),
    "iss": ({"iss": "https://evil.example"}, "issued by 'https://evil.example'"),
    "aud": ({"aud": "another-client"}, "not for the client test-client"),
    "a clock ten minutes ahead": ({"iat": lambda: int(time.time()) + 600}, "in the future. Is the clock"),
    "a clock ten minutes behind": ({"exp": lambda: int(time.time()) - 600}, "ended .* ago. Is the clock"),
}


@pytest.mark.parametrize(("changes", "message"), CLAIMS.values(), ids=list(CLAIMS))
def test_an_id_token_that_is_not_to_be_trusted_signs_nobody_in(server, changes, message):
    auth = auth_of(server)
    before = sign_in(auth)
    pending, back = begun(auth)
    claims = {name: value() if callable(value) else value for name, value in changes.items()}
    forged(server, **{"nonce": pending.nonce, **claims})
    with pytest.raises(InvalidResponseError, match=message):
        auth.complete_login(pending, back)
    assert auth.for_user("ann").source.get_token() == before
    assert auth.users() == ["ann"]


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_clock_that_is_off_by_a_minute_is_no_obstacle(server, seconds):
    auth = auth_of(server)
    pending, back = begun(auth)
    forged(server, nonce=pending.nonce, iat=int(time.time()) + seconds, exp=int(time.time()) + seconds + 30)
    assert auth.complete_login(pending, back).claims["sub"] == "ann"


def test_keys_that_cannot_be_fetched_sign_nobody_in(server):
    auth = auth_of(server)
    server.metadata_faults.always(unavailable(), path="/jwks")
    with pytest.raises(TransportError, match="/jwks answered 503"):
        sign_in(auth)
    assert auth.users() == []
