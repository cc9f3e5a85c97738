"""IBMVideoStreamingAuth against a server that speaks like it: a day, a rotation, odd statuses, and Analytics."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from video_oauth_auth import IBMVideoStreamingAuth, LoginRequired, MemoryStore, ResponseError, TransportError
from video_oauth_auth.testing import CHALLENGES, Answer, json_answer, rate_limited

from . import engine

clock = engine.clock
Server = Any  # the class behind OAuthServer.ibm_video_streaming()

CHANNELS = "/users/self/channels.json"
REPORT = "/v1/total-views/summary?date_time_from=2030-07-01T00%3A00%3A00Z&date_time_to=2030-08-01T00%3A00%3A00Z"
DAY = 86_400
METHODS = ("client_secret_post", "raw_secret_basic")


@pytest.fixture
def server(ibm_video_streaming_server: Server) -> Server:
    ibm_video_streaming_server.add_channel("News")
    ibm_video_streaming_server.add_views(datetime(2030, 7, 1, tzinfo=UTC), 11)
    return ibm_video_streaming_server


def auth_at(server: Server, *, secret: str | None = None, **keywords: Any) -> IBMVideoStreamingAuth:
    origin = server.analytics_url if keywords.get("token_type") == "jwt" else server.api_url
    settings: dict[str, Any] = {"server": server.authorization_server, "origins": [origin], "token_timeout": 10.0}
    return IBMVideoStreamingAuth(server.client_id, secret or server.client_secret, **settings | keywords)


def signed_in(server: Server, **keywords: Any) -> IBMVideoStreamingAuth:
    """A native application that was given the tokens of somebody who has signed in."""
    settings: dict[str, Any] = {"server": server.authorization_server, "origins": [server.api_url]}
    settings |= {"token": server.issue_token(subject="ann")}
    return IBMVideoStreamingAuth(server.client_id, server.client_secret, redirect_uri="app://cb", **settings | keywords)


def pass_time(server: Server, clock: engine.Clock, seconds: float) -> None:
    clock.advance(seconds)
    server.advance(seconds)


# --- the main way: client credentials -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, *METHODS])
def test_a_daemon_lives_through_days_with_either_client_authentication(client, server, method):
    with client.session(auth_at(server, token_endpoint_auth_method=method)) as send:
        for _ in range(3):
            assert send("GET", server.api_url + CHANNELS).json()["channels"]["0"]["title"] == "News"
            server.advance(DAY + 1)  # unknown to the client, which learns it from the 401
    assert engine.grant_types(server) == ["client_credentials", "refresh_token", "refresh_token"]
    raw = {call.header("Authorization") for call in server.token_calls}
    in_body = {call.form.get("client_secret") for call in server.token_calls}
    expected = ({f"Basic {server.client_secret}"}, {None}) if method == METHODS[1] else ({None}, {server.client_secret})
    assert (raw, in_body) == expected
    assert server.reuse_detected == 0


def test_a_day_that_has_passed_is_known_before_the_request(client, server, clock):
    with client.session(auth_at(server)) as send:
        assert send("GET", server.api_url + CHANNELS).status_code == 200
        pass_time(server, clock, DAY + 1)
        assert send("GET", server.api_url + CHANNELS).status_code == 200
    assert [request.status for request in server.requests_to("api")] == [200, 200]
    assert engine.grant_types(server) == ["client_credentials", "refresh_token"]


@pytest.mark.parametrize("path", [CHANNELS, "/users/self/videos.json", "/me"])
def test_every_401_of_the_api_is_understood_whatever_it_says(client, server, path):
    with client.session(auth_at(server)) as send:
        assert send("GET", server.api_url + path).status_code == 200
        server.revoke_access_tokens()
        assert send("GET", server.api_url + path).status_code == 200
    assert [request.status for request in server.requests_to("api")] == [200, 401, 200]


def test_twenty_threads_spend_one_refresh_token(client, server):
    auth = auth_at(server)
    assert client.send(auth, "GET", server.api_url + CHANNELS).status_code == 200
    server.advance(DAY + 1)
    answers = engine.in_threads(20, lambda: client.send(auth, "GET", server.api_url + CHANNELS).status_code)
    assert answers == [200] * 20
    assert engine.grant_types(server) == ["client_credentials", "refresh_token"]
    assert server.reuse_detected == 0


def test_a_refresh_token_that_is_refused_leads_to_client_credentials_again(client, server):
    with client.session(auth_at(server)) as send:
        assert send("GET", server.api_url + CHANNELS).status_code == 200
        server.revoke_access_tokens()
        server.revoke_refresh_tokens()
        assert send("GET", server.api_url + CHANNELS).status_code == 200
    assert engine.grant_types(server) == ["client_credentials", "refresh_token", "client_credentials"]
    assert [call.status for call in server.token_calls] == [200, 400, 200]


def test_the_standard_form_of_basic_is_refused_by_such_a_server(server):
    auth = auth_at(server, token_endpoint_auth_method="client_secret_basic")
    with pytest.raises(ResponseError) as caught:
        auth.source.get_token()
    assert (caught.value.error, caught.value.status) == ("invalid_client", 400)


# --- statuses and shapes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_secret_is_a_400_and_asked_with_once(client, server, method):
    auth = auth_at(server, secret="a-wrong-secret", token_endpoint_auth_method=method)
    for _ in range(3):
        with pytest.raises(ResponseError, match="invalid_client") as caught:
            client.send(auth, "GET", server.api_url + CHANNELS)
        assert (caught.value.error, caught.value.status) == ("invalid_client", 400)
        assert caught.value.error_description is None
        assert "a-wrong-secret" not in str(caught.value)
    assert len(server.token_calls) == 1


def test_501_is_told_with_the_code_that_it_carries(client, server):
    server.grant_types = ("refresh_token",)
    with pytest.raises(TransportError, match=r"501 \(unsupported_grant_type\)") as caught:
        client.send(auth_at(server, token_timeout=1.0), "GET", server.api_url + CHANNELS)
    assert caught.value.status == 501
    server.grant_types = ("client_credentials", "refresh_token")
    assert client.send(auth_at(server), "GET", server.api_url + CHANNELS).status_code == 200


def test_503_says_that_the_server_is_busy_and_is_asked_again(server):
    server.token_faults.add(json_answer(503, {"error": "server_error"}))
    auth_at(server).source.get_token()
    assert [call.status for call in server.token_calls] == [503, 200]


def test_a_503_that_stays_is_a_transport_error_with_its_status(client, server):
    server.token_faults.always(json_answer(503, {"error": "server_error"}))
    with pytest.raises(TransportError, match="server_error") as caught:
        client.send(auth_at(server, token_timeout=1.0), "GET", server.api_url + CHANNELS)
    assert caught.value.transient
    assert caught.value.status == 503


def test_a_hint_is_kept_beside_the_code(server):
    server.token_faults.always(json_answer(400, {"error": "invalid_request", "hint": "device_name is too long"}))
    with pytest.raises(ResponseError) as caught:
        auth_at(server).source.get_token()
    assert dict(caught.value.extra) == {"hint": "device_name is too long"}


def test_the_moment_in_x_ratelimit_reset_is_told_and_kept_to(client, server):
    server.token_faults.always(rate_limited(120))
    auth = auth_at(server)
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            client.send(auth, "GET", server.api_url + CHANNELS)
        assert 110 < caught.value.retry_after <= 121
    assert len(server.token_calls) == 1, "the server asked for a pause"


@pytest.mark.parametrize(
    ("ahead", "least", "most"),
    [(-10, 0.0, 0.0), (100_000, 300.0, 300.0), (30, 20.0, 30.0)],
    ids=["past", "far", "soon"],
)
def test_a_moment_that_is_past_or_far_away_is_bounded(server, ahead, least, most):
    headers = (("X-RateLimit-Reset", f"{int(time.time() + ahead)}"),)
    server.token_faults.always(Answer(429, headers=headers, body='{"error": "too_many_requests"}'))
    with pytest.raises(TransportError) as caught:
        auth_at(server, token_timeout=0.2).source.get_token()
    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize(
    ("status", "body"), [(403, {"error": "lack_of_ownership"}), (404, {"error": "not_found"}), (429, {"error": "x"})]
)
def test_what_the_api_says_with_other_statuses_reaches_the_program_and_no_token_is_renewed(
    server, client, status, body
):
    server.api_faults.always(json_answer(status, body))
    answer = client.send(auth_at(server), "GET", server.api_url + CHANNELS)
    assert (answer.status_code, answer.json()) == (status, body)
    assert engine.grant_types(server) == ["client_credentials"]


def test_a_401_that_stays_comes_with_the_hint(client, server, caplog):
    server.api_faults.always(CHALLENGES["ibm_unauthorized"])
    with client.session(auth_at(server)) as send:
        assert {send("GET", server.api_url + CHANNELS).status_code for _ in range(4)} == {401}
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert IBMVideoStreamingAuth.hint in warning
    assert len(server.token_calls) <= 3


# --- somebody has signed in elsewhere -------------------------------------------------------------------------------


def test_tokens_from_elsewhere_are_refreshed_until_their_end(client, server):
    with client.session(signed_in(server)) as send:
        for _ in range(3):
            assert send("GET", server.api_url + CHANNELS).status_code == 200
            server.advance(DAY + 1)
        server.revoke_refresh_tokens()
        for _ in range(2):
            with pytest.raises(LoginRequired) as caught:
                send("GET", server.api_url + CHANNELS)
            assert caught.value.reason == "revoked"
    assert [call.status for call in server.token_calls] == [200, 200, 400]


def test_a_native_application_has_no_secret_to_send(server):
    server.public_client_id = "native"
    first = server._ledger.grant(user="ann", client_id="native", scope=None)
    auth = IBMVideoStreamingAuth("native", server=server.authorization_server, token=first, token_timeout=10.0)
    auth.source.get_token(rejected=auth.source.peek())
    (call,) = server.token_calls
    assert call.form == {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": "native"}
    assert (call.header("Authorization"), call.status) == (None, 200)


def test_set_ends_the_need_to_sign_in(client, server):
    auth = signed_in(server, token=None)
    with client.session(auth) as send:
        with pytest.raises(LoginRequired) as caught:
            send("GET", server.api_url + CHANNELS)
        assert caught.value.reason == "never_signed_in"
        auth.source.set(server.issue_token(subject="ann"))
        assert send("GET", server.api_url + CHANNELS).status_code == 200
    assert server.token_calls == ()


# --- Analytics ------------------------------------------------------------------------------------------------------


def test_analytics_gets_the_bare_jwt_and_nobody_else_does(client, server):
    auth = auth_at(server, token_type="jwt")
    with client.session(auth) as send:
        report = send("GET", server.analytics_url + REPORT)
        assert report.json()["data"][0]["attributes"]["value"] == 11
        server.revoke_access_tokens()
        assert send("GET", server.analytics_url + REPORT).status_code == 200
        assert send("GET", server.api_url + CHANNELS).status_code == 401
    assert [call.form["token_type"] for call in server.token_calls] == ["jwt", "jwt"]
    assert engine.grant_types(server) == ["client_credentials", "refresh_token"]
    assert server.requests_to("analytics")[-1].header("Authorization") == auth.source.peek().access_token
    assert server.requests_to("api")[-1].header("Authorization") is None


def test_in_one_store_the_two_kinds_of_token_do_not_meet(client, server):
    store = MemoryStore()
    auth, analytics = auth_at(server, store=store), auth_at(server, store=store, token_type="jwt")
    assert auth.source.key.id != analytics.source.key.id
    for _ in range(2):
        assert client.send(auth, "GET", server.api_url + CHANNELS).status_code == 200
        assert client.send(analytics, "GET", server.analytics_url + REPORT).status_code == 200
    assert [call.form.get("token_type") for call in server.token_calls] == [None, "jwt"]
    assert {entry.id for entry in store.entries()} == {auth.source.key.id, analytics.source.key.id}
    sibling = auth_at(server, store=store, token_type="jwt")
    assert client.send(sibling, "GET", server.analytics_url + REPORT).status_code == 200
    assert len(server.token_calls) == 2


def test_a_signed_in_users_tokens_are_filed_apart_too(server):
    store = MemoryStore()
    keys = {
        signed_in(server, store=store).source.key.id,
        signed_in(server, store=store, token_type="jwt").source.key.id,
        signed_in(server, store=store, user="ann").source.key.id,
        auth_at(server, store=store).source.key.id,
        auth_at(server, store=store, scope="broadcaster").source.key.id,
    }
    assert len(keys) == 5
    assert signed_in(server).source.key.id == signed_in(server, token_endpoint_auth_method=METHODS[1]).source.key.id


def test_the_platforms_own_origins():
    token = {"access_token": "an-invented-token", "expires_in": 300}
    auth = IBMVideoStreamingAuth("id", "secret", token=token)
    analytics = IBMVideoStreamingAuth("id", "secret", token=token, token_type="jwt")
    bearer, bare = {"Authorization": "Bearer an-invented-token"}, {"Authorization": "an-invented-token"}
    assert auth.headers("https://api.video.ibm.com/x") == auth.headers("https://api.ustream.tv/x") == bearer
    assert analytics.headers("https://analytics-api.video.ibm.com/v1") == bare
    assert (
        auth.headers("https://analytics-api.video.ibm.com/v1") == analytics.headers("https://api.video.ibm.com/") == {}
    )
    for elsewhere in (
        "http://api.video.ibm.com/",
        "https://video.ibm.com/",
        "https://x-vod-upload.services.video.ibm.com",
    ):
        assert auth.headers(elsewhere) == analytics.headers(elsewhere) == {}
