"""BrightcoveAuth: what it sends where, how it takes its credential, and what it says when a 401 stays."""

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import requests
import requests_mock
import respx

from video_oauth_auth import (
    AuthorizationServer,
    BrightcoveAuth,
    InsecureTransportError,
    ResponseError,
)
from video_oauth_auth.testing import CHALLENGES, Answer, OAuthServer, json_answer

TOKEN_ENDPOINT = "https://oauth.brightcove.com/v4/access_token"
TOKEN_ANSWER = {"access_token": "an-invented-token", "token_type": "Bearer", "expires_in": 300}
VIDEOS = "https://cms.api.brightcove.com/v1/accounts/1234/videos"
CLIENT_ID, CLIENT_SECRET = "a3c5e8d0-0000-4000-8000-5f1e2d3c4b5a", "an_invented-Secret-of-64_characters"
BASIC = b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()


def auth_at(server: OAuthServer, **keywords: Any) -> BrightcoveAuth:
    settings: dict[str, Any] = {"client_id": server.client_id, "client_secret": server.client_secret}
    settings |= {"server": server.authorization_server, "origins": [server.api_url], "token_timeout": 10.0}
    return BrightcoveAuth(**settings | keywords)


# --- the first token request --------------------------------------------------------------------------------------


@contextmanager
def one_answer(body: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that keeps the bytes of one request and answers it."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(20)
                request = b""
                while not request.endswith(b"grant_type=client_credentials") and (more := connection.recv(65536)):
                    request += more
                received.append(request)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {len(body)}"
                connection.sendall(head.encode() + b"\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n" + body)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1], received
        thread.join(20)


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_the_first_token_request_byte_for_byte(library):
    with one_answer(b'{"access_token":"at","token_type":"Bearer","expires_in":300}') as (port, received):
        server = AuthorizationServer(token_endpoint=f"http://127.0.0.1:{port}/v4/access_token")
        auth = BrightcoveAuth(CLIENT_ID, CLIENT_SECRET, server=server)
        assert auth.source.wait(library=library).access_token == "at"  # type: ignore[attr-defined]
    head, _, body = received[0].partition(b"\r\n\r\n")
    line, *headers = head.decode("ascii").split("\r\n")
    assert line == "POST /v4/access_token HTTP/1.1"
    assert sorted((name.lower(), value) for name, _, value in (header.partition(": ") for header in headers)) == [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", f"Basic {BASIC}"),
        ("connection", "close"),
        ("content-length", "29"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", f"127.0.0.1:{port}"),
        ("user-agent", "video-oauth-auth"),
    ]
    assert body == b"grant_type=client_credentials"


def test_requests_asks_brightcoves_own_token_endpoint_and_sends_the_token_to_the_cms_api():
    with requests_mock.Mocker() as mock, requests.Session() as session:
        mock.post(TOKEN_ENDPOINT, json=TOKEN_ANSWER)
        mock.get(VIDEOS, json=[])
        session.auth = BrightcoveAuth(CLIENT_ID, CLIENT_SECRET)
        assert session.get(VIDEOS).json() == []
        token_call, api_call = mock.request_history
    assert (token_call.url, token_call.text) == (TOKEN_ENDPOINT, "grant_type=client_credentials")
    assert token_call.headers["Authorization"] == f"Basic {BASIC}"
    assert api_call.headers["Authorization"] == "Bearer an-invented-token"


def test_httpx_does_the_same():
    with respx.mock as mock:
        token_route = mock.post(TOKEN_ENDPOINT).respond(json=TOKEN_ANSWER)
        api_route = mock.get(VIDEOS).respond(json=[])
        with httpx.Client(auth=BrightcoveAuth(CLIENT_ID, CLIENT_SECRET)) as client:
            assert client.get(VIDEOS).json() == []
    assert token_route.calls.last.request.content == b"grant_type=client_credentials"
    assert token_route.calls.last.request.headers["Authorization"] == f"Basic {BASIC}"
    assert api_route.calls.last.request.headers["Authorization"] == "Bearer an-invented-token"


# --- where the token goes -----------------------------------------------------------------------------------------

API_HOSTS = [
    *("cms.api", "ingest.api", "ingestion.api", "analytics.api", "players.api", "policy.api", "social.api"),
    *("edge.social.api", "audience.api", "delivery-rules.api", "repos.api", "playback-rights.api", "playback-auth.api"),
    *("experiences.api", "data", "cm.cloudplayout", "sm.cloudplayout", "api.live"),
]
NOT_FOR_THE_TOKEN = [
    "https://ingestion-upload-production.s3.amazonaws.com/1234/5/film.mp4?AWSAccessKeyId=k&Expires=1&Signature=s",
    "https://s3.amazonaws.com/ingestion-upload-production/1234/film.mp4",
    "https://edge.api.brightcove.com/playback/v1/accounts/1234/videos/5",
    "https://edge-elb.api.brightcove.com/playback/v1/accounts/1234/videos/5",
    "https://api.bcovlive.io/v1/jobs",
    "https://manifest.prod.boltdns.net/manifest/v1/hls",
    "https://cf-images.eu-west-1.prod.boltdns.net/v1/static/1234/image.jpg",
    "https://house-fastly-signed-eu-west-1-prod.brightcovecdn.com/media/v1",
    "https://oauth.brightcove.com/v4/client_credentials",
    "https://api.brightcove.com/services/library",
    "https://brightcove.com/",
    "https://cms.api.brightcove.com.evil.example/v1",
    "https://evil.example/cms.api.brightcove.com",
    "https://x.cms.api.brightcove.com/",
    "https://cms.api.brightcove.com:8443/",
    "http://cms.api.brightcove.com/v1/accounts/1234/videos",
]


def test_the_origins_are_brightcoves_apis_and_nothing_else():
    assert set(BrightcoveAuth.ORIGINS) == {f"https://{name}.brightcove.com" for name in API_HOSTS}


@pytest.mark.parametrize("url", [f"https://{name}.brightcove.com/v1/x" for name in API_HOSTS])
def test_every_api_gets_the_token(url):
    assert BrightcoveAuth("id", "secret", token="at").headers(url) == {"Authorization": "Bearer at"}


@pytest.mark.parametrize("url", NOT_FOR_THE_TOKEN)
def test_uploads_playback_and_foreign_hosts_never_get_it(url):
    auth = BrightcoveAuth("id", "secret", token="an-invented-token")
    assert auth.headers(url) == {}
    with requests_mock.Mocker() as mock:
        mock.put(requests_mock.ANY, status_code=200)
        requests.put(url, data=b"film", auth=auth, headers={"BCOV-Policy": "key"}, timeout=5)
        (sent,) = mock.request_history
    assert "Authorization" not in sent.headers
    with respx.mock as respx_mock:
        route = respx_mock.put(url).respond(200)
        httpx.put(url, content=b"film", auth=auth)
    assert "Authorization" not in route.calls.last.request.headers


def test_given_origins_replace_brightcoves():
    auth = BrightcoveAuth("id", "secret", origins=["https://proxy.example.com"], token="at")
    assert auth.headers("https://proxy.example.com/v1") == {"Authorization": "Bearer at"}
    assert auth.headers(VIDEOS) == {}
    with pytest.raises(InsecureTransportError):
        BrightcoveAuth("id", "secret", origins=["http://proxy.example.com"])
    insecure = BrightcoveAuth("id", "secret", insecure_origins=["http://proxy.example.com"], token="at")
    assert insecure.headers("http://proxy.example.com/v1") == insecure.headers(VIDEOS) == {"Authorization": "Bearer at"}


# --- against a server that speaks like it -------------------------------------------------------------------------


def test_it_works_through_a_revocation_with_real_exchanges(client, brightcove_server):
    brightcove_server.add_video("1234", "Summer")
    url = f"{brightcove_server.api_url}/v1/accounts/1234/videos"
    with client.session(auth_at(brightcove_server)) as send:
        assert [video["name"] for video in send("GET", url).json()] == ["Summer"]
        brightcove_server.revoke_access_tokens()
        assert send("POST", url, json={"name": "Winter"}).status_code == 201
    first, second = brightcove_server.token_calls
    assert first.form == second.form == {"grant_type": "client_credentials"}
    assert len(brightcove_server.videos("1234")) == 2


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            json_answer(401, [{"error_code": "UNAUTHORIZED", "message": "Permission denied."}]),
            "UNAUTHORIZED",
            "Permiss",
        ),
        (json_answer(401, [{"error_code": "UNAUTHORIZED"}]), "UNAUTHORIZED", "401"),
        (json_answer(401, {"error": "invalid_client", "error_description": "Nope."}), "invalid_client", "Nope."),
        (json_answer(400, {"error": "invalid_client"}), "invalid_client", "400"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words_whether_list_or_object(client, brightcove_server, answer, error, said):
    brightcove_server.token_faults.always(answer)
    with pytest.raises(ResponseError, match=said) as caught:
        client.send(auth_at(brightcove_server), "GET", f"{brightcove_server.api_url}/v1/accounts/1/videos")
    assert caught.value.error == error
    assert brightcove_server.client_secret not in str(caught.value)
    assert len(brightcove_server.token_calls) == 1


def test_a_wrong_secret_is_an_error_of_the_caller_and_makes_one_token_call(client, brightcove_server):
    auth = auth_at(brightcove_server, client_secret="a-wrong-secret")
    for _ in range(3):
        with pytest.raises(ResponseError) as caught:
            client.send(auth, "GET", f"{brightcove_server.api_url}/v1/accounts/1/videos")
        assert "a-wrong-secret" not in str(caught.value)
    assert len(brightcove_server.token_calls) == 1


def test_a_401_that_stays_comes_with_the_hint_that_an_operation_may_be_missing(client, brightcove_server, caplog):
    brightcove_server.api_faults.always(CHALLENGES["brightcove"])
    url = f"{brightcove_server.api_url}/v1/accounts/1234/videos"
    with client.session(auth_at(brightcove_server)) as send:
        answers = [send("GET", url) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {401}
    assert answers[-1].json() == [{"error_code": "UNAUTHORIZED", "message": "Permission denied."}]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "operation" in warnings[0]
    assert BrightcoveAuth.hint in warnings[0]
    assert len(brightcove_server.token_calls) <= 3


def test_a_busy_api_is_not_taken_for_an_expired_token(client, brightcove_server):
    busy = json_answer(500, [{"error_code": "TIMEOUT", "message": "The server is likely too busy."}])
    brightcove_server.api_faults.add(busy)
    brightcove_server.api_faults.add(Answer(429, body='[{"error_code": "TOO_MANY_REQUESTS"}]'))
    with client.session(auth_at(brightcove_server)) as send:
        url = f"{brightcove_server.api_url}/v1/accounts/1234/videos"
        assert [send("GET", url).status_code for _ in range(3)] == [500, 429, 200]
    assert len(brightcove_server.token_calls) == 1
