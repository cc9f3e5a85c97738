"""Device authorization at the bundled server (RFC 8628)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from video_oauth_auth.testing import FormFiller, LoopbackServer, OAuthServer, unavailable

from .login_steps import NAME, PASSWORD, call, submit

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={NAME: PASSWORD}, refresh_tokens=True, public_client_id="a television") as running:
        yield running


def credentials(server: LoopbackServer) -> dict[str, str]:
    return {"client_id": server.client_id, "client_secret": server.client_secret}


def ask(server: LoopbackServer, **changes: str) -> httpx.Response:
    url = f"{server.authorization_server.device_authorization_endpoint}"
    return httpx.post(url, data={**credentials(server), "scope": "openid", **changes})


def codes(server: LoopbackServer, **changes: str) -> dict[str, Any]:
    answer = ask(server, **changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def poll(server: LoopbackServer, device: dict[str, Any], **changes: str) -> httpx.Response:
    form = {**credentials(server), "grant_type": GRANT, "device_code": device["device_code"], **changes}
    return httpx.post(server.token_endpoint, data=form)


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


def approve(device: dict[str, Any], **typed: str) -> httpx.Response:
    return submit(httpx.get(device["verification_uri"]), **{"user_code": device["user_code"], **typed})


def test_a_device_gets_tokens_once_a_person_has_signed_in(server):
    device = codes(server)
    assert (device["interval"], device["expires_in"]) == (5, 600)
    assert device["verification_uri"] == f"{server.url}/device"
    assert device["verification_uri_complete"] == f"{server.url}/device?user_code={device['user_code']}"
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", device["user_code"])
    assert refusal(poll(server, device)) == "authorization_pending"

    assert "signed in" in approve(device).text
    server.advance(5)
    token = poll(server, device).json()
    assert call(server, token).json() == {"sub": NAME, "client_id": server.client_id, "scope": "openid"}
    assert token.keys() >= {"refresh_token", "id_token"}
    server.advance(5)
    assert refusal(poll(server, device)) == "invalid_grant"
    roles = [request.role for request in server.requests if request.role != "api"]
    assert roles == ["device", "token", "authorization", "authorization", "token", "token"]


def test_whoever_polls_too_fast_is_told_to_slow_down_and_by_how_much(server):
    device = codes(server)
    assert refusal(poll(server, device)) == "authorization_pending"
    assert refusal(poll(server, device)) == "slow_down"  # from now on 10 s
    server.advance(6)
    assert refusal(poll(server, device)) == "slow_down"  # from now on 15 s
    server.advance(15)
    assert refusal(poll(server, device)) == "authorization_pending"


def test_a_short_interval_is_told_as_it_is(server):
    server.device_interval = 0.05
    device = codes(server)
    assert device["interval"] == 0.05
    poll(server, device)
    server.advance(0.05)
    assert refusal(poll(server, device)) == "authorization_pending"


def test_codes_expire(server):
    server.device_expires_in = 30
    approved, pending = codes(server), codes(server)
    approve(approved)
    server.advance(30)
    assert pending["expires_in"] == 30
    for device in (approved, pending):
        assert refusal(poll(server, device)) == "expired_token"
    assert "There is no such code" in approve(pending).text


def test_a_person_can_deny(server):
    device = codes(server)
    assert "no access" in approve(device, decision="deny").text
    assert refusal(poll(server, device)) == "access_denied"


def test_the_page_is_shown_again_until_everything_is_right(server):
    device = codes(server)
    assert "name or the password is wrong" in approve(device, password="wrong").text
    again = approve(device, user_code="BBBB-BBBB")
    assert "There is no such code" in again.text
    assert refusal(poll(server, device)) == "authorization_pending"
    typed = device["user_code"].lower().replace("-", " ")
    assert "signed in" in submit(again, user_code=typed).text
    assert "There is no such code" in approve(device).text  # it was used
    assert httpx.put(device["verification_uri"]).status_code == 405


def test_the_complete_uri_has_the_code_filled_in(server):
    page = httpx.get(codes(server)["verification_uri_complete"])
    assert re.search(r'name="user_code" value="[A-Z]{4}-[A-Z]{4}"', page.text)
    nasty = httpx.get(f"{server.url}/device", params={"user_code": '"><script>'})
    assert "<script" not in nasty.text


@pytest.mark.parametrize("complete", ["", "_complete"])
def test_a_form_filler_approves_and_denies(server, complete):
    approved, denied = codes(server), codes(server)
    page = FormFiller(NAME, PASSWORD).approve_device(approved[f"verification_uri{complete}"], approved["user_code"])
    assert (page.status, "signed in" in page.text) == (200, True)
    person = FormFiller(NAME, PASSWORD, deny=True)
    person.approve_device(denied[f"verification_uri{complete}"], denied["user_code"])
    assert poll(server, approved).status_code == 200
    assert refusal(poll(server, denied)) == "access_denied"


def test_a_form_filler_says_what_went_wrong(server):
    device = codes(server)
    with pytest.raises(RuntimeError, match="still a form"):
        FormFiller(NAME, "wrong").approve_device(device["verification_uri"], device["user_code"])
    with pytest.raises(RuntimeError, match="status 404"):
        FormFiller(NAME, PASSWORD).approve_device(f"{server.url}/nowhere", device["user_code"])


def test_the_client_has_to_be_the_same_and_who_it_is(server):
    url = f"{server.url}/device_authorization"
    device = httpx.post(url, data={"client_id": "a television"}).json()
    approve(device)
    assert refusal(poll(server, device)) == "invalid_grant"
    own = {"client_id": "a television", "grant_type": GRANT, "device_code": device["device_code"]}
    token = httpx.post(server.token_endpoint, data=own).json()
    assert call(server, token).json()["client_id"] == "a television"
    assert ask(server, client_secret="wrong").json()["error"] == "invalid_client"
    assert httpx.post(url, data={"scope": "openid"}).json()["error"] == "invalid_client"
    assert httpx.get(url).status_code == 405


def test_wrong_token_requests(server):
    codes(server)
    assert refusal(poll(server, {"device_code": "another"})) == "invalid_grant"
    form = {**credentials(server), "grant_type": GRANT}
    assert refusal(httpx.post(server.token_endpoint, data=form)) == "invalid_request"


def test_of_many_polls_at_once_one_gets_tokens(server):
    server.device_interval = 0
    device = codes(server)
    approve(device)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: poll(server, device).status_code, range(8)))
    assert sorted(statuses) == [200] + 7 * [400]


def test_whether_there_are_devices_at_all_is_a_setting(server):
    assert GRANT in httpx.get(f"{server.url}/.well-known/openid-configuration").json()["grant_types_supported"]
    server.grant_types = ("authorization_code",)
    assert refusal(ask(server)) == "unauthorized_client"


def test_the_endpoint_can_misbehave_and_its_codes_are_secrets(server):
    server.device_faults.add(unavailable())
    assert ask(server).status_code == 503
    device = codes(server)
    assert device["device_code"] in server.secrets()
    assert device["user_code"] not in server.secrets()  # it is there to be shown


@pytest.mark.parametrize("platform", ["brightcove", "ibm_video_streaming"])
def test_platforms_without_devices(platform):
    with getattr(OAuthServer, platform)() as server:
        assert server.authorization_server.device_authorization_endpoint is None
        for path in ("/device_authorization", "/device"):
            assert httpx.get(server.url + path).status_code in (401, 404)  # Brightcove's API is there too
