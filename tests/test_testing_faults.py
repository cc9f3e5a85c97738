"""The bundled server misbehaves as told, seen by plain HTTP clients; what it received is recorded."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests

from video_oauth_auth.testing import (
    CHALLENGES,
    Answer,
    Delay,
    Drip,
    Drop,
    Hold,
    Mutate,
    OAuthServer,
    form_encoded,
    gzip_bomb,
    html_page,
    json_answer,
    oversized,
    redirect,
    too_many_requests,
    unavailable,
    with_members,
    without,
)

BROKEN = {
    "requests": (requests.ConnectionError, requests.exceptions.ChunkedEncodingError),
    "httpx": (httpx.ReadError, httpx.RemoteProtocolError),
}


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture(params=["requests", "httpx"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(server: OAuthServer, library: str = "httpx", *, timeout: float = 30.0):
    form = {"client_id": server.client_id, "client_secret": server.client_secret}
    form["grant_type"] = "client_credentials"
    post = requests.post if library == "requests" else httpx.post
    return post(server.token_endpoint, data=form, timeout=timeout)


def issued(server: OAuthServer) -> int:
    return len([text for text in server.secrets() if text.startswith("access-")])


@pytest.mark.parametrize(
    ("fault", "processed"),
    [
        (Drop("before"), False),
        (Drop("before", how="close"), False),
        (Drop("after"), True),
        (Drop("after", how="close"), True),
        (Drop("midway"), True),
        (Drop("midway", how="close"), True),
    ],
    ids=str,
)
def test_a_dropped_connection_tells_in_the_record_whether_the_grant_was_processed(server, library, fault, processed):
    server.token_faults.add(fault)
    with pytest.raises(BROKEN[library]):
        ask(server, library)
    (record,) = server.token_calls
    assert (record.processed, record.status, issued(server)) == (processed, None, int(processed))
    assert ask(server, library).status_code == 200


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_is_reset_or_closed_as_told(server, when):
    def last_word() -> bytes:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            return connection.recv(100)

    server.token_faults.add(Drop(when, how="close"))
    assert last_word() == b""
    server.token_faults.add(Drop(when))
    with pytest.raises(ConnectionResetError):
        last_word()


@pytest.mark.parametrize(
    ("fault", "status", "headers", "body"),
    [
        (too_many_requests(7), 429, {"Retry-After": "7"}, "too_many_requests"),
        (
            unavailable("Wed, 21 Oct 2065 07:28:00 GMT"),
            503,
            {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"},
            "<",
        ),
        (unavailable(), 503, {"Content-Type": "text/html; charset=utf-8"}, "Service Unavailable"),
        (html_page(), 200, {"Content-Type": "text/html; charset=utf-8"}, "<title>Sign in"),
        (json_answer(200, ["odd"]), 200, {"Content-Type": "application/json"}, '["odd"]'),
        (oversized(), 200, {"Content-Type": "application/json"}, "xxxx"),
        (gzip_bomb(2**22), 200, {"Content-Encoding": "gzip"}, "    "),
        (Answer(418, headers=(("A", "1"), ("A", "2")), body="tea"), 418, {}, "tea"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_answer_is_given_instead_of_processing(server, library, fault, status, headers, body):
    server.token_faults.add(fault)
    answer = ask(server, library)
    assert (answer.status_code, body in answer.text) == (status, True)
    assert {name: answer.headers[name] for name in headers} == headers
    (record,) = server.token_calls
    assert (record.processed, record.status, issued(server)) == (False, status, 0)


def test_oversized_and_compressed_answers_are_as_large_as_they_say(server):
    server.token_faults.add(oversized(3_000_000))
    assert len(ask(server).content) > 3_000_000
    server.token_faults.add(gzip_bomb(3_000_000))
    answer = ask(server)
    assert len(answer.content) == 3_000_000
    assert int(answer.headers["Content-Length"]) < 10_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_request_can_be_redirected(server, status):
    server.token_faults.add(redirect(status, server.foreign_url + "/steal"))
    answer = ask(server)
    assert (answer.status_code, answer.headers["Location"]) == (status, server.foreign_url + "/steal")


def test_members_can_be_added_changed_and_left_out(server):
    server.token_faults.add(with_members(expires_in="300", odd=[1]), without("token_type"))
    members = ask(server).json()
    assert (members["expires_in"], members["odd"], "token_type" in members) == ("300", [1], False)
    assert server.token_calls[0].processed


def test_a_token_answer_can_be_form_encoded_or_replaced_after_processing(server):
    server.token_faults.add(Mutate(form_encoded))
    server.token_faults.add(Mutate(lambda _: Answer(504)))
    encoded, lost = ask(server), ask(server)
    assert encoded.text.startswith("access_token=access-1-")
    assert (lost.status_code, server.token_calls[1].processed, issued(server)) == (504, True, 2)


@pytest.mark.parametrize("part", ["status", "headers", "body"])
def test_a_part_of_the_answer_drips(server, part):
    server.token_faults.add(Drip(part, interval=0.001))
    assert ask(server).status_code == 200


@pytest.mark.parametrize("part", ["status", "headers", "body"])
def test_a_client_with_a_deadline_of_its_own_can_leave_a_drip(server, part):
    """No read time-out ever fires, since a byte comes every 20 ms."""
    server.token_faults.add(Drip(part, interval=0.02))
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(5)
        connection.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        pieces = [connection.recv(65536) for _ in range(20)]
    assert [len(piece) for piece in pieces].count(1) >= 15


def test_after_its_total_a_drip_sends_the_rest_at_once(server):
    server.token_faults.add(Drip("body", interval=0.01, total=0.05))
    assert "access_token" in ask(server).json()


# Time


@pytest.mark.parametrize(("when", "processed"), [("before", False), ("after", True)])
def test_a_delay_outlasts_the_client_and_ends_with_the_server(server, when, processed):
    server.token_faults.add(Delay(600, when=when))
    with pytest.raises(httpx.ReadTimeout):
        ask(server, timeout=0.3)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 10
    assert server.token_calls[0].processed is processed


def test_300_token_calls_are_held_and_released_together(server):
    server.token_faults.add(Hold(), times=300)
    with ThreadPoolExecutor(300) as pool:
        answers = [pool.submit(ask, server, "requests") for _ in range(300)]
        server.wait_for(lambda: server.held == 300, timeout=30)
        assert len(server.token_calls) == 300
        assert not any(request.processed for request in server.token_calls)
        server.release()
        assert {answer.result(30).status_code for answer in answers} == {200}
    assert server.held == 0
    assert issued(server) == 300


@pytest.mark.parametrize(("when", "processed"), [("before", 0), ("after", 3)])
def test_a_hold_waits_until_enough_are_in(server, when, processed):
    server.token_faults.add(Hold(4, when=when), unavailable())
    server.token_faults.add(Hold(4, when=when))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            pool.submit(ask, server)
        server.wait_for(lambda: [call.status for call in server.token_calls] == [503] * 4)
        answers = [pool.submit(ask, server) for _ in range(3)]
        server.wait_for(lambda: server.held == 3)
        assert sum(call.processed for call in server.token_calls) == processed
        assert not any(answer.done() for answer in answers)
        answers.append(pool.submit(ask, server))
        assert [answer.result(30).status_code for answer in answers] == [200] * 4


def test_a_hold_is_bounded(server):
    server.token_faults.add(Hold(timeout=0.05))
    assert ask(server).status_code == 200


def test_clear_lets_go_and_behaves_again(server):
    server.token_faults.always(Hold())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server)
        server.wait_for(lambda: server.held == 1)
        server.token_faults.clear()
        assert answer.result(30).status_code == 200
    assert ask(server).status_code == 200


# Which requests


def test_faults_come_in_order_and_always_holds_for_the_rest(server):
    server.token_faults.always(unavailable())
    server.token_faults.add(too_many_requests(), times=2)
    server.token_faults.add(json_answer(400, {"error": "invalid_grant"}))
    assert [ask(server).status_code for _ in range(5)] == [429, 429, 400, 503, 503]


def test_faults_can_be_limited_to_a_path_or_by_a_condition(server):
    server.api_faults.always(CHALLENGES["bearer"], path="/me")
    server.api_faults.add(unavailable(), when=lambda request: request.method == "DELETE", times=5)
    headers = {"Authorization": f"Bearer {server.issue_token()['access_token']}"}
    with httpx.Client(base_url=server.api_url, headers=headers) as client:
        assert client.get("/me").status_code == 401
        assert client.get("/echo").status_code == 200
        assert client.delete("/echo").status_code == 503
    assert [request.token_state for request in server.requests] == ["live"] * 3
