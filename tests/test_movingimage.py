"""MovingimageAuth against a server that speaks like movingimage: sessions, rotation, and what ends them."""

from itertools import pairwise
from typing import Any

import pytest

from video_oauth_auth import (
    InvalidResponseError,
    MovingimageAuth,
    ResponseError,
)
from video_oauth_auth.testing import CHALLENGES, Answer, json_answer

from . import engine

clock = engine.clock
Server = Any  # the class behind OAuthServer.movingimage()

ANN = "ann@example.com"
VIDEO_MANAGERS = "/v1/vms"


@pytest.fixture
def server(movingimage_server: Server) -> Server:
    movingimage_server.users = {ANN: "her password"}
    movingimage_server.add_video_manager("Films")
    return movingimage_server


def by_password(server: Server, **keywords: Any) -> MovingimageAuth:
    settings: dict[str, Any] = {"username": ANN, "password": "her password", "token_timeout": 10.0}
    return MovingimageAuth(**settings | {"api_url": f"{server.api_url}/v1/"} | keywords)


def pass_time(server: Server, clock: engine.Clock, seconds: float) -> None:
    clock.advance(seconds)
    server.advance(seconds)


# --- the main way: name and password --------------------------------------------------------------------------------


def test_a_session_outlives_many_tokens_with_one_password_grant(client, server):
    with client.session(by_password(server)) as send:
        for _ in range(4):
            assert send("GET", server.api_url + VIDEO_MANAGERS).json()[0]["name"] == "Films"
            server.advance(301)  # unknown to the client, which learns it from the HTML page with the 401
        assert send("POST", f"{server.api_url}/upload", **client.raw(b"film")).json()["size"] == 4
    assert engine.grant_types(server) == ["password", *["refresh_token"] * 4]
    presented = [call.form["refresh_token"] for call in server.token_calls[1:]]
    assert len(set(presented)) == 4, "a refresh token was used twice"
    assert server.reuse_detected == 0
    assert len(server.requests_to("metadata")) == 2


def test_an_expired_token_is_renewed_before_the_request_and_costs_no_401(client, server, clock):
    with client.session(by_password(server)) as send:
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
        pass_time(server, clock, 301)
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
    assert [request.status for request in server.requests_to("api") if request.path == VIDEO_MANAGERS] == [200, 200]
    assert engine.grant_types(server) == ["password", "refresh_token"]


def test_twenty_threads_with_an_expired_token_spend_one_refresh_token(client, server):
    auth = by_password(server)
    assert client.send(auth, "GET", server.api_url + VIDEO_MANAGERS).status_code == 200
    server.advance(301)
    answers = engine.in_threads(20, lambda: client.send(auth, "GET", server.api_url + VIDEO_MANAGERS).status_code)
    assert answers == [200] * 20
    assert engine.grant_types(server) == ["password", "refresh_token"]
    assert server.reuse_detected == 0


def test_twenty_threads_begin_with_one_discovery_and_one_password_grant(client, server):
    auth = by_password(server)
    answers = engine.in_threads(20, lambda: client.send(auth, "GET", server.api_url + VIDEO_MANAGERS).status_code)
    assert answers == [200] * 20
    assert [request.role for request in server.requests if request.role != "api"] == ["metadata", "metadata", "token"]


def test_after_the_end_of_the_session_the_password_is_asked_with_again(client, server, clock):
    with client.session(by_password(server)) as send:
        send("GET", server.api_url + VIDEO_MANAGERS)
        pass_time(server, clock, 3601)
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
    assert engine.grant_types(server) == ["password", "password"], "a refresh token that has expired was sent"


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_session_that_the_server_has_ended_costs_one_refused_refresh(client, server, end):
    with client.session(by_password(server)) as send:
        send("GET", server.api_url + VIDEO_MANAGERS)
        server.advance(3601 if end == "expired" else 301)
        server.revoke_refresh_tokens()
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
    assert engine.grant_types(server) == ["password", "refresh_token", "password"]
    assert [call.status for call in server.token_calls] == [200, 400, 200]


def test_each_refresh_begins_the_hour_again(server, clock):
    auth = by_password(server)
    ends = [auth.source.get_token().refresh_expires_at]
    for _ in range(3):
        pass_time(server, clock, 1800)
        ends.append(auth.source.get_token().refresh_expires_at)
    assert engine.grant_types(server) == ["password", *["refresh_token"] * 3]
    assert all(later - earlier == pytest.approx(1800, abs=60) for earlier, later in pairwise(ends))


def test_offline_tokens_have_no_end(server, clock):
    server.refresh_expires_in = 0
    auth = by_password(server)
    assert auth.source.get_token().refresh_expires_at is None
    pass_time(server, clock, 90 * 86_400)
    auth.source.get_token()
    assert engine.grant_types(server) == ["password", "refresh_token"]


def test_what_keycloak_tells_besides_is_kept(server):
    token = by_password(server).source.get_token()
    assert token.token_type == "bearer"
    assert token.scope == "openid profile email"
    assert token.id_token
    assert token.extra["not-before-policy"] == 0
    assert token.extra["session_state"]
    assert token.claims is None, "nobody has verified the ID token"
    assert token.expires_at - token.issued_at == 300
    assert token.refresh_expires_at - token.issued_at == 3600


def test_a_wrong_password_is_told_in_keycloaks_words_and_tried_once(client, server):
    auth = by_password(server, password="a-wrong-password")
    for _ in range(3):
        with pytest.raises(ResponseError, match="Invalid user credentials") as caught:
            client.send(auth, "GET", server.api_url + VIDEO_MANAGERS)
        assert (caught.value.error, caught.value.status) == ("invalid_grant", 401)
        assert "a-wrong-password" not in str(caught.value)
    assert len(server.token_calls) == 1


def test_a_server_error_in_keycloaks_shape_is_tried_again(server):
    server.token_faults.add(json_answer(503, {"error": "unknown_error", "error_description": "For more on this error"}))
    by_password(server).source.get_token()
    assert [call.status for call in server.token_calls] == [503, 200]


def test_a_401_that_stays_comes_with_movingimages_hint_and_ends_no_session(client, server, caplog):
    server.api_faults.always(CHALLENGES["html"])
    with client.session(by_password(server)) as send:
        assert {send("GET", server.api_url + VIDEO_MANAGERS).status_code for _ in range(4)} == {401}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert MovingimageAuth.hint in warnings[0]
    assert len(server.token_calls) <= 3
    assert server.reuse_detected == 0


def test_a_presigned_upload_gets_no_token(client, server):
    with client.session(by_password(server)) as send:
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
        assert send("PUT", server.presigned_url("film.mp4"), **client.raw(b"film")).status_code in (200, 201, 204)
    assert server.requests_to("storage")[0].header("Authorization") is None


# --- where to ask ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_an_api_is_found_however_its_url_was_typed(server, path):
    auth = by_password(server, api_url=f"{server.api_url}{path}")
    assert auth.source.get_token().token_type == "bearer"
    assert auth.source.key == by_password(server).source.key


def test_an_api_that_webfinger_does_not_know_is_told(server):
    auth = by_password(server, api_url=f"{server.api_url}/v2/")
    with pytest.raises(InvalidResponseError, match="webfinger"):
        auth.source.get_token()
    assert server.token_calls == ()


def test_webfinger_may_be_down_for_a_moment(server):
    server.metadata_faults.add(Answer(503))
    by_password(server).source.get_token()
    assert [request.status for request in server.requests_to("metadata")] == [503, 200, 200]


def test_discovery_is_repeated_when_its_documents_are_too_old(server, clock):
    auth = by_password(server)
    auth.source.get_token()
    pass_time(server, clock, 599)
    auth.source.get_token()
    assert len(server.requests_to("metadata")) == 2
    pass_time(server, clock, 301)
    auth.source.get_token()
    assert len(server.requests_to("metadata")) == 4


def test_a_given_server_is_used_instead_of_webfinger(client, server):
    given = {"server": server.authorization_server, "origins": [server.api_url]}
    auth = MovingimageAuth(username=ANN, password="her password", **given)
    assert client.send(auth, "GET", server.api_url + VIDEO_MANAGERS).status_code == 200
    assert [request.role for request in server.requests] == ["token", "api"]
