"""Logins of people at the bundled server: the authorization endpoint, and what codes are good for."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from video_oauth_auth.testing import BrightcoveServer, OAuthServer, unavailable

from .login_steps import (
    BACK,
    CHALLENGE,
    NAME,
    PASSWORD,
    PKCE,
    VERIFIER,
    ask,
    authorization_url,
    call,
    code,
    redeem,
    submit,
    tokens,
    told,
)

# httpx logs every URL that it requests; here it is the browser.
pytestmark = pytest.mark.shows_secrets

NO_PKCE = dict.fromkeys(PKCE)


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={NAME: PASSWORD}, refresh_tokens=True, public_client_id="an app") as running:
        yield running


# The form, and the way back


def test_whoever_signs_in_comes_back_with_a_code_the_state_and_the_issuer(server):
    form = ask(server)
    assert (form.status_code, form.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert form.headers["Cache-Control"] == "no-store"
    back = submit(form)
    assert back.status_code == 303
    answer = told(back)
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("the state", server.issuer)
    assert [(request.role, request.method, request.status) for request in server.requests] == [
        ("authorization", "GET", 200),
        ("authorization", "POST", 303),
    ]


@pytest.mark.parametrize("typed", [{"password": "wrong"}, {"username": "bob"}, {"password": ""}])
def test_a_wrong_name_or_password_shows_the_form_again(server, typed):
    again = submit(ask(server), **typed)
    assert again.status_code == 200
    assert "The name or the password is wrong." in again.text
    assert told(submit(again)).keys() == {"code", "state", "iss"}


def test_whoever_denies_comes_back_with_an_error(server):
    answer = told(submit(ask(server), username="", password="", decision="deny"))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "the state", server.issuer)
    assert "code" not in answer


def test_the_form_may_be_asked_for_by_post(server):
    url = authorization_url(server)
    form = httpx.post(url.copy_with(query=None), data=dict(url.params))
    assert form.status_code == 200
    assert "code" in told(submit(form))
    assert httpx.put(url).status_code == 405


def test_a_password_in_the_url_signs_nobody_in(server):
    answer = ask(server, username=NAME, password=PASSWORD, decision="allow")
    assert answer.status_code == 200


def test_a_login_hint_is_filled_in_and_whatever_is_shown_is_escaped(server):
    nasty = '"><script>alert(1)</script>'
    form = ask(server, login_hint=nasty, state=nasty)
    assert "<script" not in form.text
    assert "&lt;script&gt;" in form.text
    assert told(submit(form))["state"] == nasty


@pytest.mark.parametrize("state", [None, "", "ä&b=c#d e+f%20"])
def test_the_state_comes_back_exactly_as_it_was(server, state):
    assert told(submit(ask(server, state=state))).get("state") == state


def test_parameters_in_the_redirect_uri_stay(server):
    back = submit(ask(server, redirect_uri=f"{BACK}?tenant=1&x=%2F"))
    assert back.headers["Location"].startswith(f"{BACK}?tenant=1&x=%2F&code=")


def test_the_issuer_in_the_answer_is_a_setting(server):
    server.authorization_response_iss_parameter_supported = False
    assert told(submit(ask(server))).keys() == {"code", "state"}


@pytest.mark.parametrize(
    ("response_mode", "always_fragment", "part"),
    [
        (None, False, "query"),
        ("query", False, "query"),
        ("fragment", False, "fragment"),
        (None, True, "fragment"),
        ("query", True, "fragment"),
    ],
)
def test_the_answer_is_in_the_query_or_the_fragment(server, response_mode, always_fragment, part):
    server.always_fragment = always_fragment
    form = ask(server, response_mode=response_mode)
    assert "code" in told(submit(form), part=part)
    assert "error" in told(submit(form, decision="deny"), part=part)


# Requests that are wrong


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": "http://evil.example@127.0.0.1/callback"},
        {"redirect_uri": "http://127.0.0.1:8765@evil.example/callback"},
        {"redirect_uri": "https://127.0.0.1:8765/callback"},
        {"redirect_uri": "http://127.0.0.1:8765/callback#fragment"},
        {"redirect_uri": "http://127.0.0.1:x/callback"},
        {"redirect_uri": "http://127.0.0.1:8765/ callback"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "//127.0.0.1/callback"},
    ],
    ids=lambda changes: f"{changes}",
)
def test_a_wrong_client_or_redirect_uri_is_told_on_a_page_and_nobody_is_sent_there(server, changes):
    answer = ask(server, **changes)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "Location" not in answer.headers
    assert "<form" not in answer.text


def test_a_form_that_was_changed_on_the_way_is_checked_again(server):
    form = ask(server)
    assert submit(form, redirect_uri="https://evil.example/callback").status_code == 400
    assert told(submit(form, response_type="token"))["error"] == "unsupported_response_type"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "too short"}, "invalid_request"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
    ],
    ids=lambda changes: f"{changes}",
)
def test_other_mistakes_are_told_to_the_client(server, changes, error):
    answer = told(ask(server, **changes))
    assert (answer["error"], answer["state"], answer["iss"]) == (error, "the state", server.issuer)


@pytest.mark.parametrize(("name", "status"), [("client_id", 400), ("redirect_uri", 400), ("scope", 302)])
def test_a_repeated_parameter_is_a_mistake(server, name, status):
    url = authorization_url(server)
    answer = httpx.get(url.copy_add_param(name, url.params[name]))
    assert answer.status_code == status


def test_whether_there_are_logins_at_all_is_a_setting(server):
    server.grant_types = ("client_credentials",)
    assert told(ask(server))["error"] == "unauthorized_client"
    members = httpx.get(f"{server.url}/.well-known/openid-configuration").json()
    assert members["response_types_supported"] == []
    assert "code_challenge_methods_supported" not in members


# Redirect URIs


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1/", "http://127.0.0.1/a?b=c", "http://[::1]:9/callback", "http://localhost:65535"]
)
def test_any_port_and_path_on_loopback_is_registered(server, uri):
    assert ask(server, redirect_uri=uri).status_code == 200


def test_other_uris_are_registered_whole(server):
    server.redirect_uris = ("https://app.example/callback", "com.example.app:/callback")
    for uri in server.redirect_uris:
        assert submit(ask(server, redirect_uri=uri)).headers["Location"].startswith(f"{uri}?code=")
    for uri in ("https://app.example/callback/", "https://app.example/callback?x=y", "https://app.example/"):
        assert ask(server, redirect_uri=uri).status_code == 400


# Codes


def test_a_code_gives_tokens_of_the_user_and_only_once(server):
    text = code(server, scope="openid films")
    token = redeem(server, text).json()
    assert token.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
    assert call(server, token).json() == {"sub": NAME, "client_id": server.client_id, "scope": "openid films"}

    again = redeem(server, text)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert call(server, token).status_code == 401  # RFC 6749 section 4.1.2


def test_a_code_that_comes_again_revokes_what_was_refreshed_meanwhile(server):
    text = code(server)
    token = redeem(server, text).json()
    form = {"client_id": server.client_id, "client_secret": server.client_secret, "grant_type": "refresh_token"}
    token = httpx.post(server.token_endpoint, data={**form, "refresh_token": token["refresh_token"]}).json()
    assert call(server, token).status_code == 200
    redeem(server, text)
    assert call(server, token).status_code == 401
    refused = httpx.post(server.token_endpoint, data={**form, "refresh_token": token["refresh_token"]})
    assert refused.json()["error"] == "invalid_grant"


def test_of_many_token_requests_at_once_for_a_code_one_succeeds(server):
    text = code(server)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: redeem(server, text).status_code, range(16)))
    assert sorted(statuses) == [200] + 15 * [400]


def test_a_code_lives_for_a_minute(server):
    early, late = code(server), code(server)
    server.advance(59)
    assert redeem(server, early).status_code == 200
    server.advance(1)
    assert redeem(server, late).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "http://127.0.0.1:8766/callback"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"code": "another"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": VERIFIER[:-1] + "x"}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"client_id": "an app", "client_secret": None}, "invalid_grant"),
    ],
    ids=lambda changes: f"{changes}",
)
def test_a_token_request_has_to_fit_the_authorization_request(server, changes, error):
    answer = redeem(server, code(server), **changes)
    assert (answer.status_code, answer.json()["error"]) == (401 if error == "invalid_client" else 400, error)


def test_a_code_that_was_guessed_at_is_spent_but_not_by_another_client(server):
    text = code(server)
    redeem(server, text, client_id="an app", client_secret=None)
    assert redeem(server, text).status_code == 200
    text = code(server)
    redeem(server, text, code_verifier=43 * "x")
    assert redeem(server, text).json()["error"] == "invalid_grant"


def test_the_public_client_needs_no_secret(server):
    text = code(server, client_id="an app")
    token = redeem(server, text, client_id="an app", client_secret=None).json()
    assert call(server, token).json()["client_id"] == "an app"


def test_a_verifier_without_a_challenge_is_refused(server):
    assert redeem(server, code(server, **NO_PKCE)).json()["error"] in ("invalid_request", "invalid_grant")
    assert redeem(server, code(server, **NO_PKCE), code_verifier=None).status_code == 200


@pytest.mark.parametrize("method", ["plain", None])
def test_plain_is_the_default_of_code_challenges(server, method):
    pkce = {"code_challenge": VERIFIER, "code_challenge_method": method}
    assert redeem(server, code(server, **pkce)).status_code == 200
    assert redeem(server, code(server, **pkce), code_verifier=CHALLENGE).json()["error"] == "invalid_grant"


def test_what_is_demanded_of_pkce_is_a_setting(server):
    server.pkce_required, server.code_challenge_methods = True, ("S256",)
    assert told(ask(server, **NO_PKCE))["error"] == "invalid_request"
    assert told(ask(server, code_challenge_method="plain"))["error"] == "invalid_request"
    assert told(ask(server, code_challenge_method=None))["error"] == "invalid_request"
    assert redeem(server, code(server)).status_code == 200


# What is told about it, and what is secret


def test_the_metadata_tell_how_people_sign_in(server):
    members = httpx.get(f"{server.url}/.well-known/openid-configuration").json()
    assert members["authorization_endpoint"] == f"{server.url}/authorize"
    assert members["response_types_supported"] == ["code"]
    assert members["response_modes_supported"] == ["query", "fragment"]
    assert members["code_challenge_methods_supported"] == ["S256", "plain"]
    assert members["authorization_response_iss_parameter_supported"] is True
    assert "authorization_code" in members["grant_types_supported"]


def test_brightcove_has_no_logins():
    with BrightcoveServer() as server:
        assert httpx.get(f"{server.url}/authorize").status_code == 401  # as anything that its API does not know
        value = server.authorization_server
        assert (value.authorization_endpoint, value.code_challenge_methods_supported) == (None, None)


def test_codes_and_what_the_client_made_are_secrets(server, caplog):
    caplog.set_level(logging.DEBUG)
    text = code(server)
    token = redeem(server, text).json()
    plain = 43 * "p"
    ask(server, code_challenge=plain, code_challenge_method="plain")
    wanted = {text, "the state", "the nonce", VERIFIER, plain, token["id_token"], token["access_token"], PASSWORD}
    assert wanted <= server.secrets()
    ask(server, state="", nonce="")
    assert "" not in server.secrets()
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    shown = "\n".join([repr(server), repr(server.requests), *logged])
    assert [secret for secret in server.secrets() if secret in shown] == []


def test_the_authorization_endpoint_can_misbehave(server):
    server.authorization_faults.add(unavailable())
    assert [ask(server).status_code for _ in range(2)] == [503, 200]


def test_two_logins_of_one_user_are_two_sessions(server):
    first, second = tokens(server), tokens(server)
    redeem(server, code(server))
    assert server.revoke_access_token(first["access_token"])
    assert call(server, second).status_code == 200
