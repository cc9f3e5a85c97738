"""The protected API, the storage and the foreign site of the bundled server, and its Brightcove dialect."""

import hashlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
import requests

from video_oauth_auth.testing import BrightcoveServer, OAuthServer, redirect

DATA = bytes(range(256)) * 400
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def api(server: OAuthServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.issue_token()['access_token']}"}
    with httpx.Client(base_url=server.api_url, headers=headers) as client:
        yield client


# The API


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"])
def test_echo_tells_what_arrived_but_not_the_token(api, method):
    answer = api.request(method, "/echo?a=1", content=DATA, headers={"X-Own": "mine"}).json()
    assert (answer["method"], answer["query"], answer["size"], answer["sha256"]) == (
        method,
        "a=1",
        len(DATA),
        SHA256,
    )
    assert ["X-Own", "mine"] in answer["headers"]
    assert "Bearer" not in json.dumps(answer)


def test_a_head_request_gets_no_body(api):
    answer = api.head("/me")
    assert (answer.status_code, answer.content) == (200, b"")
    assert api.get("/me").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", [DATA, [DATA[:1000], DATA[1000:]]], ids=["with a length", "chunked"])
def test_an_upload_is_answered_with_its_digest(server, api, method, body):
    content = body if isinstance(body, bytes) else iter(body)
    assert api.request(method, "/upload", content=content).json() == {"size": len(DATA), "sha256": SHA256}
    assert server.requests[0].sha256 == SHA256
    assert api.get("/upload").status_code == 405


def test_a_refused_upload_is_read_to_its_end_so_that_the_connection_can_be_used_again(server, api):
    server.revoke_access_tokens()
    for _ in range(2):
        assert api.put("/upload", content=iter([DATA])).status_code == 401
    first, second = server.requests
    assert (first.sha256, first.connection) == (SHA256, second.connection)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_api_redirects_where_it_is_told(api, server, status):
    answer = api.post("/redirect", params={"to": server.foreign_url, "status": status})
    assert (answer.status_code, answer.headers["Location"]) == (status, server.foreign_url)


@pytest.mark.parametrize("query", ["", "?to=http://x&status=200", "?status=303", "?to=http://x&status=abc"])
def test_a_redirect_without_a_sensible_query_is_a_bad_request(api, query):
    assert api.get(f"/redirect{query}").status_code == 400


def test_a_stream_comes_in_chunks(api):
    with api.stream("GET", "/stream") as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.read().count(b"chunk") == 8


def test_one_path_always_says_401_and_one_sets_a_cookie_even_then(server, api):
    assert api.get("/always-401").status_code == 401
    server.revoke_access_tokens()
    answer = api.get("/cookie")
    assert (answer.status_code, answer.cookies["visited"]) == (401, "yes")
    assert api.get("/nothing").status_code == 401


@pytest.mark.parametrize("path", ["/me", "/echo", "/upload", "/redirect", "/stream", "/cookie", "/nothing"])
def test_no_path_is_served_without_a_token(server, path):
    assert httpx.get(server.api_url + path).status_code == 401


def test_a_repeated_authorization_header_is_a_bad_request(server, api):
    headers = [("Authorization", api.headers["Authorization"])] * 2
    assert httpx.get(server.api_url + "/me", headers=headers).status_code == 400


def test_a_client_that_asks_first_is_told_to_go_on(server):
    where = urlsplit(server.foreign_url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"body")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert server.requests[0].body == b"body"


# The storage


def test_a_presigned_url_takes_the_upload(server):
    url = server.presigned_url("films/summer 1.mp4")
    assert urlsplit(url).netloc != urlsplit(server.api_url).netloc
    assert requests.put(url, data=DATA, timeout=10).status_code == 200
    upload = server.uploads["films/summer 1.mp4"]
    assert (upload.size, upload.sha256) == (len(DATA), SHA256)


@pytest.mark.parametrize(
    ("change", "headers", "status"),
    [
        (lambda url: url, {"Authorization": "Bearer x"}, 400),
        (lambda url: url.partition("?")[0], {}, 403),
        (lambda url: url.replace("film", "other"), {}, 403),
        (lambda url: url.replace("Expires=1", "Expires=2"), {}, 403),
        (lambda url: url.replace("Expires=1", "Expires=%C3%A9"), {}, 403),
    ],
    ids=["an Authorization header", "no signature", "another object", "another time", "nonsense"],
)
def test_the_storage_refuses_what_s3_refuses(server, change, headers, status):
    url = change(server.presigned_url("film"))
    assert httpx.put(url, content=DATA, headers=headers).status_code == status
    assert server.uploads == {}


def test_the_storage_takes_nothing_but_put(server):
    assert httpx.get(server.presigned_url("film")).status_code == 405


# The foreign site


def test_the_foreign_site_answers_what_it_is_told_and_records_everything(server):
    server.foreign_answer = redirect(302, server.api_url + "/me")
    answer = httpx.get(server.foreign_url + "/a?b=c", headers={"Authorization": "Bearer leaked"})
    assert answer.headers["Location"] == server.api_url + "/me"
    (record,) = server.requests_to("foreign")
    assert (record.path, record.query, record.header("authorization")) == ("/a", "b=c", "Bearer leaked")


# Brightcove


@pytest.fixture
def brightcove() -> Iterator[BrightcoveServer]:
    with OAuthServer.brightcove() as running:
        yield running


@pytest.fixture
def cms(brightcove: BrightcoveServer) -> Iterator[httpx.Client]:
    answer = httpx.post(
        brightcove.token_endpoint,
        auth=(brightcove.client_id, brightcove.client_secret),
        data={"grant_type": "client_credentials"},
    )
    token = answer.json()
    assert {**token, "access_token": ""} == {"access_token": "", "token_type": "Bearer", "expires_in": 300}
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    with httpx.Client(base_url=brightcove.api_url, headers=headers) as client:
        yield client


def test_brightcoves_token_endpoint_takes_the_grant_type_in_the_query_too(brightcove):
    assert brightcove.token_endpoint.endswith("/v4/access_token")
    auth = (brightcove.client_id, brightcove.client_secret)
    url = brightcove.token_endpoint + "?grant_type=client_credentials"
    assert "access_token" in httpx.post(url, auth=auth).json()
    assert httpx.get(brightcove.url + "/.well-known/oauth-authorization-server").status_code == 404
    assert brightcove.authorization_server.issuer is None


def test_brightcove_takes_the_secret_by_basic_only(brightcove):
    form = {"client_id": brightcove.client_id, "client_secret": brightcove.client_secret}
    answer = httpx.post(brightcove.token_endpoint, data={**form, "grant_type": "client_credentials"})
    assert answer.status_code == 401


def test_brightcove_says_401_as_a_list_without_a_challenge(brightcove, cms):
    brightcove.revoke_access_tokens()
    answer = cms.get("/v1/accounts/1/videos")
    assert (answer.status_code, answer.json()[0]["error_code"]) == (401, "UNAUTHORIZED")
    assert "WWW-Authenticate" not in answer.headers


def test_brightcove_lists_videos_in_pages(brightcove, cms):
    for number in range(45):
        brightcove.add_video("1", f"video {number:02}")
    sizes = [len(cms.get("/v1/accounts/1/videos", params={"offset": at}).json()) for at in (0, 20, 40, 60)]
    assert sizes == [20, 20, 5, 0]
    page = cms.get("/v1/accounts/1/videos", params={"limit": 2, "offset": 1, "sort": "-name"}).json()
    assert [video["name"] for video in page] == ["video 43", "video 42"]
    assert cms.get("/v1/accounts/1/counts/videos").json() == {"count": 45}
    assert cms.get("/v1/accounts/2/counts/videos").json() == {"count": 0}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/accounts/1/videos?limit=101", 400, "ILLEGAL_QUERY"),
        ("GET", "/v1/accounts/1/videos?sort=secret", 400, "INVALID_SORT"),
        ("GET", "/v1/accounts/1/videos/999", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/v1/accounts/1/videos/999/upload-urls/a.mp4", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/v1/nothing", 404, "RESOURCE_NOT_FOUND"),
        ("DELETE", "/v1/accounts/1/videos", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/accounts/1/videos", 422, "VALIDATION_ERROR"),
        ("POST", "/v1/accounts/1/videos/999/ingest-requests", 422, "ILLEGAL_FIELD"),
    ],
)
def test_brightcoves_errors_are_lists(cms, method, path, status, code):
    answer = cms.request(method, path)
    assert (answer.status_code, answer.json()[0]["error_code"]) == (status, code)


def test_the_way_of_an_upload_at_brightcove(brightcove, cms):
    created = cms.post("/v1/accounts/1/videos", json={"name": "Summer"})
    assert created.status_code == 201
    video = f"/v1/accounts/1/videos/{created.json()['id']}"
    assert cms.get(video).json()["state"] == "INACTIVE"
    urls = cms.get(f"{video}/upload-urls/summer.mp4").json()
    master = {"master": {"url": urls["api_request_url"]}}

    cms.post(f"{video}/ingest-requests", json=master)
    assert cms.get(video).json()["complete"] is False  # nothing has been put there yet
    assert httpx.put(urls["signed_url"], content=DATA).status_code == 200
    assert "id" in cms.post(f"{video}/ingest-requests", json=master).json()
    assert cms.get(video).json()["state"] == "ACTIVE"
    assert brightcove.uploads[urls["object_key"]].sha256 == SHA256
