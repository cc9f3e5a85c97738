"""CidaasAuth against a server that speaks like a tenant: discovery, tokens of a day, and four shapes of errors."""

import json
from typing import Any

import pytest

from video_oauth_auth import CidaasAuth, InvalidResponseError, LoginRequired, MemoryStore, ResponseError
from video_oauth_auth.testing import Drop, OAuthServer, json_answer, redirect, text_answer
from video_oauth_auth.testing.cidaas import access_denied, service_error

from . import engine

clock = engine.clock
Server = Any  # the class behind OAuthServer.cidaas()

GROUP = "/groups-srv/usergroups/crew"
DAY = 86_400


@pytest.fixture
def server(cidaas_server: Server) -> Server:
    cidaas_server.add_group("crew", "Crew")
    return cidaas_server


def auth_at(server: Server, *, secret: str | None = None, **keywords: Any) -> CidaasAuth:
    settings: dict[str, Any] = {"token_timeout": 10.0} | keywords
    return CidaasAuth(server.url, server.client_id, secret or server.client_secret, **settings)


def signed_in(server: Server, **keywords: Any) -> CidaasAuth:
    """The tokens of somebody who has signed in elsewhere."""
    token = server.issue_token(subject="ann@example.com", scope="openid offline_access")
    return auth_at(server, **{"redirect_uri": "https://app.example.com/cb", "token": token} | keywords)


# --- the main way: a service asks in its own name -------------------------------------------------------------------


def test_a_service_call_with_an_issuer_and_nothing_else_to_configure(client, server):
    with client.session(auth_at(server)) as send:
        answer = send("GET", server.url + GROUP)
        assert answer.json()["data"]["groupName"] == "Crew"
        server.advance(DAY + 1)
        assert send("GET", server.url + GROUP).status_code == 200
    assert engine.grant_types(server) == ["client_credentials", "client_credentials"]
    assert [request.status for request in server.requests_to("api")] == [200, 401, 200]
    assert len(server.requests_to("metadata")) == 1


def test_a_day_that_has_passed_is_known_before_the_request(client, server, clock):
    with client.session(auth_at(server)) as send:
        assert send("GET", server.url + GROUP).status_code == 200
        clock.advance(DAY + 1)
        server.advance(DAY + 1)
        assert send("GET", server.url + GROUP).status_code == 200
    assert [request.status for request in server.requests_to("api")] == [200, 200]


def test_offline_access_gives_a_refresh_token_that_each_use_replaces(client, server):
    with client.session(auth_at(server, scope="offline_access")) as send:
        for _ in range(3):
            assert send("GET", server.url + GROUP).status_code == 200
            server.advance(DAY + 1)
    assert engine.grant_types(server) == ["client_credentials", "refresh_token", "refresh_token"]
    assert "scope" not in server.token_calls[1].form
    assert server.reuse_detected == 0


def test_twenty_threads_make_one_discovery_and_spend_one_refresh_token(client, server):
    auth = auth_at(server, scope="offline_access")
    answers = engine.in_threads(20, lambda: client.send(auth, "GET", server.url + GROUP).status_code)
    server.advance(DAY + 1)
    answers += engine.in_threads(20, lambda: client.send(auth, "GET", server.url + GROUP).status_code)
    assert answers == [200] * 40
    assert engine.grant_types(server) == ["client_credentials", "refresh_token"]
    assert len(server.requests_to("metadata")) == 1
    assert server.reuse_detected == 0


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
def test_every_client_authentication_that_an_app_may_be_set_to(client, method):
    with OAuthServer.cidaas(client_secret="a secret that is long enough for HS256") as server:
        server.token_endpoint_auth_methods = (method,)
        server.add_group("crew", "Crew")
        auth = auth_at(server, token_endpoint_auth_method=method)
        assert client.send(auth, "GET", server.url + GROUP).status_code == 200
        (call,) = server.token_calls
    shown = {"authorization": call.header("Authorization") is not None}
    shown |= {name: name in call.form for name in ("client_secret", "client_assertion")}
    assert [name for name, given in shown.items() if given] == [
        {"client_secret_basic": "authorization", "client_secret_post": "client_secret"}.get(method, "client_assertion")
    ]


def test_services_of_ones_own_get_the_token_when_they_are_named(client, server):
    with client.session(auth_at(server)) as send:
        assert send("GET", f"{server.api_url}/me").status_code == 401
    with client.session(auth_at(server, origins=[server.api_url])) as send:
        assert send("GET", f"{server.api_url}/me").json()["sub"] == "ANONYMOUS"
    assert server.requests_to("api")[0].header("Authorization") is None


def test_other_tenants_never_get_the_token():
    auth = CidaasAuth("https://tenant.cidaas.de/", "id", "secret", token="an-invented-token")
    assert auth.headers("https://tenant.cidaas.de/users-srv/userinfo") == {"Authorization": "Bearer an-invented-token"}
    for foreign in (
        "https://other.cidaas.de/",
        "https://cidaas.de/",
        "https://x.tenant.cidaas.de/",
        "http://tenant.cidaas.de/",
    ):
        assert auth.headers(foreign) == {}


# --- error shapes ---------------------------------------------------------------------------------------------------


def test_a_code_and_a_description(client, server):
    auth = auth_at(server, secret="a-wrong-secret")
    for _ in range(3):
        with pytest.raises(ResponseError) as caught:
            client.send(auth, "GET", server.url + GROUP)
        assert caught.value.error == "invalid_client"
        assert "a-wrong-secret" not in str(caught.value)
    assert len(server.token_calls) == 1


@pytest.mark.parametrize("status", [400, 401])
def test_a_sentence_with_a_reference_number(client, server, status):
    answer = access_denied(status)
    server.token_faults.always(answer)
    with pytest.raises(ResponseError, match="Access denied for this resource") as caught:
        client.send(auth_at(server), "GET", server.url + GROUP)
    assert caught.value.error == "Access denied for this resource"
    assert caught.value.status == status
    assert dict(caught.value.extra) == {"refnumber": json.loads(answer.body)["refnumber"]}


def test_an_object_with_status_417(client, server):
    answer = service_error(417, code=10009, type="TokenException", error="client_id is wrong")
    server.token_faults.always(answer)
    with pytest.raises(ResponseError, match="10009: client_id is wrong") as caught:
        client.send(auth_at(server), "GET", server.url + GROUP)
    assert (caught.value.error, caught.value.error_description) == ("10009", "client_id is wrong")
    assert caught.value.status == 417
    assert caught.value.extra["type"] == "TokenException"
    assert caught.value.extra["referenceNumber"] == json.loads(answer.body)["error"]["referenceNumber"]
    assert len(server.token_calls) == 1


def test_a_redirect_at_the_token_endpoint_is_refused(server):
    server.token_faults.always(redirect(301, f"{server.url}/proxy/token"))
    with pytest.raises(InvalidResponseError, match="redirect") as caught:
        auth_at(server).source.get_token()
    assert caught.value.status == 301
    assert not [request for request in server.requests if request.path == "/proxy/token"]


@pytest.mark.parametrize("body", ["OK", "null"])
def test_an_answer_that_is_no_token_is_told_as_that(server, body):
    server.token_faults.always(text_answer(200, body))
    with pytest.raises(InvalidResponseError) as caught:
        auth_at(server).source.get_token()
    assert caught.value.status in (200, None)


def test_answers_in_text_are_read_if_they_hold_a_token(server):
    body = '{"access_token": "an-invented-token", "token_type": "Bearer", "expires_in": "86400", "sub": "ANONYMOUS"}'
    server.token_faults.add(text_answer(200, body))
    token = auth_at(server).source.get_token()
    assert token.access_token == "an-invented-token"
    assert token.expires_at == token.issued_at + DAY
    assert token.extra == {"sub": "ANONYMOUS"}


@pytest.mark.parametrize(
    "answer",
    [access_denied(403), service_error(417, code=1, type="T", error="x"), json_answer(404, {}), text_answer(200, "OK")],
    ids=["403", "417", "404", "text"],
)
def test_what_a_service_says_reaches_the_program_and_renews_nothing(client, server, answer):
    server.api_faults.always(answer)
    assert client.send(auth_at(server), "GET", server.url + GROUP).status_code == answer.status
    assert len(server.token_calls) == 1


def test_a_401_that_stays_comes_with_the_hint(client, server, caplog):
    server.api_faults.always(access_denied())
    with client.session(auth_at(server)) as send:
        answers = [send("GET", server.url + GROUP) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {401}
    assert answers[-1].json()["refnumber"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert CidaasAuth.hint in warning
    assert len(server.token_calls) <= 3


# --- somebody has signed in elsewhere -------------------------------------------------------------------------------


def test_tokens_from_elsewhere_are_refreshed_until_their_end(client, server):
    with client.session(signed_in(server)) as send:
        for _ in range(2):
            assert send("GET", f"{server.url}/users-srv/userinfo").json()["email"] == "ann@example.com"
            server.advance(DAY + 1)
        server.revoke_refresh_tokens()
        for _ in range(2):
            with pytest.raises(LoginRequired) as caught:
                send("GET", f"{server.url}/users-srv/userinfo")
            assert caught.value.reason == "revoked"
    assert [call.status for call in server.token_calls] == [200, 400]


def test_a_lost_answer_to_a_refresh_is_not_the_end(client, server):
    server.reuse_grace = 60
    server.token_faults.add(Drop("after"))
    with client.session(signed_in(server)) as send:
        server.advance(DAY + 1)
        assert send("GET", f"{server.url}/users-srv/userinfo").status_code == 200
    assert [call.form["refresh_token"] for call in server.token_calls] == [
        server.token_calls[0].form["refresh_token"]
    ] * 2
    assert server.reuse_detected == 0


def test_the_members_of_a_users_token_are_kept(server):
    auth = signed_in(server)
    token = auth.source.get_token(rejected=auth.source.peek())
    assert token.id_token
    assert set(token.extra) >= {"sub", "identity_id", "id_token_expires_in"}
    assert token.expires_at == token.issued_at + DAY


@pytest.mark.parametrize("given", [{}, {"user": "ann"}])
def test_nobody_has_signed_in_yet_and_set_ends_that(client, server, given):
    auth = signed_in(server, token=None, **given)
    with client.session(auth) as send:
        with pytest.raises(LoginRequired) as caught:
            send("GET", server.url + GROUP)
        assert (caught.value.reason, caught.value.user) == ("never_signed_in", given.get("user", ""))
        assert server.requests == ()
        auth.source.set(server.issue_token(subject="ann@example.com"))
        assert send("GET", server.url + GROUP).status_code == 200
    assert server.token_calls == ()


def test_tokens_in_a_shared_store_are_found_by_the_issuer_however_it_was_typed(server):
    store = MemoryStore()
    first = auth_at(server, store=store).source.get_token()
    again = CidaasAuth(f"{server.url}/", server.client_id, server.client_secret, store=store)
    assert again.source.get_token() == first
    assert len(server.token_calls) == 1


def test_a_custom_domain_that_names_another_issuer_is_told(server):
    server.public_origins = {"token": "https://tenant.cidaas.de"}
    with pytest.raises(InvalidResponseError, match=r"tenant\.cidaas\.de"):
        auth_at(server).source.get_token()
    assert server.token_calls == ()
