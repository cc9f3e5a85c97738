"""Many requests at once, and what users are told: one renewal for all, a pause where it is futile, their own errors."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from video_oauth_auth import (
    BrightcoveAuth,
    rejections,
)
from video_oauth_auth.testing import CHALLENGES, Hold, json_answer


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


def at_once(client, auth, url, count):
    """Send that many GET requests at the same time over one session or client; give their status codes."""
    if client.is_async:

        async def main():
            async with client.module.AsyncClient(auth=auth, timeout=30) as sending:
                answers = await asyncio.gather(*(sending.get(url) for _ in range(count)))
            return [answer.status_code for answer in answers]

        return asyncio.run(asyncio.wait_for(main(), 60))
    make = requests.Session if client.library == "requests" else client.module.Client
    with make() as session, ThreadPoolExecutor(count) as pool:
        session.auth = auth
        answers = [pool.submit(session.get, url, timeout=30) for _ in range(count)]
        return [answer.result(timeout=60).status_code for answer in answers]


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Together


def test_sixteen_401s_that_arrive_together_cost_one_renewal_and_sixteen_replays(client, oauth_server, auth):
    url = f"{oauth_server.api_url}/me"
    assert client.send(auth, "GET", url).status_code == 200
    oauth_server.revoke_access_tokens()
    oauth_server.clear()
    oauth_server.api_faults.add(Hold(until=16))
    assert at_once(client, auth, url, 16) == [200] * 16
    states = [request.token_state for request in oauth_server.requests_to("api")]
    assert states == ["revoked"] * 16 + ["live"] * 16
    assert len(oauth_server.token_calls) == 1


def test_401s_that_arrive_after_the_renewal_take_the_token_that_is_there(client, oauth_server, auth):
    """Eight requests are under way with the old token, while another caller has met the 401 and renewed."""
    url = f"{oauth_server.api_url}/me"
    assert client.send(auth, "GET", url).status_code == 200
    oauth_server.api_faults.add(Hold(), times=8)
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(at_once, client, auth, url, 8)
        oauth_server.wait_for(lambda: oauth_server.held == 8)
        oauth_server.revoke_access_tokens()
        assert client.send(auth, "GET", f"{oauth_server.api_url}/echo").status_code == 200
        oauth_server.release()
        assert answers.result(timeout=60) == [200] * 8
    assert len(oauth_server.token_calls) == 2


def test_waiters_for_a_renewal_that_fails_all_get_the_error_after_one_token_call(client, oauth_server, auth):
    url = f"{oauth_server.api_url}/me"
    assert client.send(auth, "GET", url).status_code == 200
    oauth_server.revoke_access_tokens()
    oauth_server.change_secret("another")
    oauth_server.clear()
    oauth_server.api_faults.add(Hold(until=16))
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(client.send, auth, "GET", url) for _ in range(16)]
        errors = [answer.exception(timeout=60) for answer in answers]
    assert {error.error for error in errors} == {"invalid_client"}
    assert len({id(error) for error in errors}) == 16
    assert len(oauth_server.token_calls) == 1


# Futile renewals


def test_an_api_that_always_says_401_does_not_hammer_the_token_endpoint(client, oauth_server, auth, caplog):
    with client.session(auth) as send:
        for _ in range(100):
            assert send("GET", f"{oauth_server.api_url}/always-401").status_code == 401
    assert len(oauth_server.token_calls) <= 5
    (warning,) = [warning for warning in warnings_in(caplog) if "401" in warning]
    assert oauth_server.api_url in warning


def test_many_callers_of_an_api_that_always_says_401_do_not_hammer_the_token_endpoint(
    client, oauth_server, auth, caplog
):
    for _ in range(4):
        assert at_once(client, auth, f"{oauth_server.api_url}/always-401", 16) == [401] * 16
    assert len(oauth_server.token_calls) <= 5
    assert len([warning for warning in warnings_in(caplog) if "401" in warning]) == 1


def test_a_server_that_gives_a_rejected_token_again_is_told_once(client, oauth_server, auth, caplog):
    """There is no replay then, and nobody else would tell why each answer is a 401."""
    oauth_server.token_faults.always(json_answer(200, {"access_token": "always-the-same", "expires_in": 300}))
    with client.session(auth) as send:
        for _ in range(3):
            assert send("GET", f"{oauth_server.api_url}/me").status_code == 401
    (warning,) = [warning for warning in warnings_in(caplog) if "401" in warning]
    assert "gives the same token again" in warning
    assert "always-the-same" not in caplog.text
    assert len(oauth_server.token_calls) == 2
    assert len(oauth_server.requests_to("api")) == 3


def test_the_warning_says_what_a_401_may_mean_on_brightcove(client, brightcove_server, caplog):
    server = brightcove_server
    auth = BrightcoveAuth(
        server.client_id, server.client_secret, server=server.authorization_server, origins=[server.api_url]
    )
    server.api_faults.always(CHALLENGES["brightcove"])
    for _ in range(3):
        assert client.send(auth, "GET", f"{server.api_url}/v1/accounts/1/videos").status_code == 401
    (warning,) = [warning for warning in warnings_in(caplog) if "401" in warning]
    assert "permission" in warning
    assert "operation" in warning
    assert not [secret for secret in server.secrets() if secret in caplog.text]


def test_after_a_revocation_a_healthy_endpoint_recovers_beside_one_that_always_says_401(
    client, oauth_server, auth, monkeypatch
):
    monkeypatch.setattr(rejections, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(rejections, "LONGEST_PAUSE", 0.4)
    healthy, sick = f"{oauth_server.api_url}/me", f"{oauth_server.api_url}/always-401"
    with client.session(auth) as send:
        for _ in range(3):
            assert (send("GET", healthy).status_code, send("GET", sick).status_code) == (200, 401)
        oauth_server.revoke_access_tokens()
        deadline = time.monotonic() + 10
        while send("GET", healthy).status_code != 200:
            assert send("GET", sick).status_code == 401
            assert time.monotonic() < deadline
        for _ in range(3):
            assert (send("GET", healthy).status_code, send("GET", sick).status_code) == (200, 401)


def test_a_pause_ends_with_the_first_replay_that_succeeds(client, oauth_server, auth, monkeypatch):
    monkeypatch.setattr(rejections, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(rejections, "LONGEST_PAUSE", 60.0)
    url = f"{oauth_server.api_url}/me"
    with client.session(auth) as send:
        assert send("GET", f"{oauth_server.api_url}/always-401").status_code == 401
        oauth_server.revoke_access_tokens()
        deadline = time.monotonic() + 10
        while send("GET", url).status_code != 200:
            assert time.monotonic() < deadline
        for _ in range(10):  # renewing helps again, so that no revocation is noticed
            oauth_server.revoke_access_tokens()
            assert send("GET", url).status_code == 200


def test_a_pause_does_not_keep_an_ageing_token_from_being_renewed(client, oauth_server, auth_for):
    oauth_server.expires_in = 1
    auth, url = auth_for(oauth_server), oauth_server.api_url
    with client.session(auth) as send:
        assert send("GET", f"{url}/always-401").status_code == 401
        first = auth.source.peek()
        deadline = time.monotonic() + 10
        while send("GET", f"{url}/me").status_code == 200 and auth.source.peek() == first:
            assert time.monotonic() < deadline
        assert send("GET", f"{url}/me").status_code == 200
    assert auth.source.peek() != first
