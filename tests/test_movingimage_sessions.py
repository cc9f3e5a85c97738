"""MovingimageAuth with tokens from elsewhere: somebody has signed in, and at the end has to do so again."""

from typing import Any

import pytest

from video_oauth_auth import LoginRequired, MovingimageAuth

from . import engine
from .test_movingimage import ANN, VIDEO_MANAGERS, Server, by_password, pass_time

clock = engine.clock


@pytest.fixture
def server(movingimage_server: Server) -> Server:
    movingimage_server.users = {ANN: "her password"}
    movingimage_server.add_video_manager("Films")
    return movingimage_server


def from_elsewhere(server: Server, **keywords: Any) -> MovingimageAuth:
    """What a program has whose user has signed in somewhere else: the registered client, and the tokens."""
    settings: dict[str, Any] = {"api_url": f"{server.api_url}/v1/", "redirect_uri": "https://app.example.com/cb"}
    settings |= {"token": server.issue_token(subject=ANN), "token_timeout": 10.0}
    return MovingimageAuth(server.client_id, server.client_secret, **settings | keywords)


def test_tokens_from_elsewhere_are_refreshed_as_the_vendors_page_says(client, server):
    with client.session(from_elsewhere(server)) as send:
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
        assert server.token_calls == ()
        server.advance(301)
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
    (call,) = server.token_calls
    assert call.header("Authorization") is None
    assert call.form == {
        "grant_type": "refresh_token",
        "refresh_token": call.form["refresh_token"],
        "client_id": server.client_id,
        "client_secret": server.client_secret,
        "response_type": "token",
        "redirect_uri": "https://app.example.com/cb",
    }


@pytest.mark.parametrize(
    ("keywords", "more"),
    [
        ({"refresh_extra": {}}, {}),
        ({"refresh_extra": {"scope_hint": "x"}}, {"scope_hint": "x"}),
        ({"redirect_uri": None}, {"response_type": "token"}),
    ],
)
def test_what_a_refresh_sends_besides_can_be_switched(server, keywords, more):
    auth = from_elsewhere(server, **keywords)
    auth.source.get_token(rejected=auth.source.peek())
    standard = {"grant_type", "refresh_token", "client_id", "client_secret"}
    assert {name: value for name, value in server.token_calls[0].form.items() if name not in standard} == more


def test_the_password_grant_can_leave_out_the_parameter_too(server):
    auth = by_password(server, refresh_extra={})
    auth.source.get_token(rejected=auth.source.get_token())
    assert ["response_type" in call.form for call in server.token_calls] == [False, False]


def test_other_client_authentications_can_be_named(server):
    auth = from_elsewhere(server, token_endpoint_auth_method="client_secret_basic")
    auth.source.get_token(rejected=auth.source.peek())
    (call,) = server.token_calls
    assert call.header("Authorization").startswith("Basic ")
    assert "client_secret" not in call.form


def test_a_public_client_refreshes_without_a_secret(server):
    first = by_password(server).source.get_token()
    auth = MovingimageAuth(api_url=f"{server.api_url}/v1/", token=first, token_timeout=10.0)
    auth.source.get_token(rejected=first)
    assert server.token_calls[-1].status == 200
    assert server.token_calls[-1].form["client_id"] == "anonymous"
    assert "client_secret" not in server.token_calls[-1].form


def test_the_end_of_a_session_is_a_login_required_without_a_doomed_refresh(client, server, clock):
    with client.session(from_elsewhere(server, user="ann")) as send:
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
        pass_time(server, clock, 3601)
        for _ in range(2):
            with pytest.raises(LoginRequired, match="set") as caught:
                send("GET", server.api_url + VIDEO_MANAGERS)
            assert (caught.value.reason, caught.value.user) == ("refresh_expired", "ann")
    assert server.token_calls == ()


@pytest.mark.parametrize("ended", ["expired", "revoked", "used by somebody else"])
def test_a_session_that_the_server_ended_is_a_login_required_after_one_refresh(client, server, ended):
    auth = from_elsewhere(server)
    if ended == "used by somebody else":
        thief = from_elsewhere(server, token=auth.source.peek())
        thief.source.get_token(rejected=thief.source.peek())
        server.clear()
    server.advance(3601 if ended == "expired" else 301)
    if ended == "revoked":
        server.revoke_refresh_tokens()
    with client.session(auth) as send:
        for _ in range(3):
            with pytest.raises(LoginRequired) as caught:
                send("GET", server.api_url + VIDEO_MANAGERS)
            assert caught.value.reason == "revoked"
        assert isinstance(auth.source.status().last_error, LoginRequired)
        auth.source.set(server.issue_token(subject=ANN))
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
        assert (auth.source.status().state, auth.source.status().last_error) == ("fresh", None)
    assert [call.status for call in server.token_calls] == [400]


def test_nobody_has_signed_in_yet(client, server):
    auth = MovingimageAuth(server.client_id, server.client_secret, api_url=f"{server.api_url}/v1/")
    with client.session(auth) as send:
        with pytest.raises(LoginRequired) as caught:
            send("GET", server.api_url + VIDEO_MANAGERS)
        assert caught.value.reason == "never_signed_in"
        assert server.requests == ()
        auth.source.set(server.issue_token(subject=ANN))
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
    assert [request.role for request in server.requests] == ["api"]


def test_an_access_token_as_text_serves_until_a_401(client, server):
    auth = from_elsewhere(server, token=server.issue_token(subject=ANN)["access_token"])
    with client.session(auth) as send:
        assert send("GET", server.api_url + VIDEO_MANAGERS).status_code == 200
        server.revoke_access_tokens()
        with pytest.raises(LoginRequired) as caught:
            send("GET", server.api_url + VIDEO_MANAGERS)
    assert caught.value.reason == "refresh_expired"
    assert server.token_calls == ()


def test_twenty_threads_at_the_end_of_a_session_are_all_told(client, server):
    auth = from_elsewhere(server)
    server.advance(301)
    server.revoke_refresh_tokens()
    answers = engine.in_threads(20, lambda: client.send(auth, "GET", server.api_url + VIDEO_MANAGERS))
    assert {type(answer).__name__ for answer in answers} == {"LoginRequired"}
    assert {answer.reason for answer in answers} == {"revoked"}
    assert len({id(answer) for answer in answers}) == 20
    assert len(server.token_calls) == 1
