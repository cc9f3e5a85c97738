"""Logins of people at the bundled servers that speak like movingimage, IBM Video Streaming and cidaas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwk, jwt

from video_oauth_auth.testing import (
    CidaasServer,
    FormFiller,
    IBMVideoStreamingServer,
    LoopbackServer,
    MovingimageServer,
    OAuthServer,
)

from .login_steps import (
    BACK,
    NAME,
    PASSWORD,
    PKCE,
    VERIFIER,
    ask,
    at_hash,
    authorization_url,
    code,
    redeem,
    submit,
    tokens,
    told,
)

# httpx logs every URL that it requests; here it is the browser.
pytestmark = pytest.mark.shows_secrets

HEX = re.compile(r"[0-9a-f]{40}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
USERS = {NAME: PASSWORD}
NO_PKCE = dict.fromkeys(PKCE)
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def movingimage() -> Iterator[MovingimageServer]:
    with OAuthServer.movingimage(users=USERS) as running:
        yield running


@pytest.fixture
def ibm() -> Iterator[IBMVideoStreamingServer]:
    with OAuthServer.ibm_video_streaming(users=USERS) as running:
        yield running


@pytest.fixture
def cidaas() -> Iterator[CidaasServer]:
    with OAuthServer.cidaas(users=USERS) as running:
        yield running


def claims(server: LoopbackServer, token: dict[str, Any]) -> dict[str, Any]:
    """What the ID token says, verified with the keys that the server publishes."""
    keys = jwk.KeySet.import_key_set(httpx.get(f"{server.authorization_server.jwks_uri}").json())
    return dict(jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims)


def userinfo(server: LoopbackServer, token: dict[str, Any]) -> dict[str, Any]:
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    return dict(httpx.get(f"{server.authorization_server.userinfo_endpoint}", headers=bearer).json())


def device_token(server: LoopbackServer, client: dict[str, str]) -> dict[str, Any]:
    """The token answer of a whole device authorization of Ann."""
    url = f"{server.authorization_server.device_authorization_endpoint}"
    device = httpx.post(url, data={**client, "scope": "openid"}).json()
    FormFiller(NAME, PASSWORD).approve_device(device["verification_uri_complete"], device["user_code"])
    form = {**client, "grant_type": GRANT, "device_code": device["device_code"]}
    return dict(httpx.post(server.token_endpoint, data=form).json())


# movingimage


def test_movingimage_sends_people_back_with_their_session(movingimage):
    back = told(submit(ask(movingimage)))
    assert back.keys() == {"code", "state", "iss", "session_state"}
    assert back["iss"] == movingimage.issuer
    assert re.fullmatch(rf"({UUID.pattern}\.){{2}}{UUID.pattern}", back["code"])
    token = redeem(movingimage, back["code"]).json()
    said = claims(movingimage, token)
    assert back["session_state"] == token["session_state"] == said["session_state"] == said["sid"]
    assert (said["typ"], said["nonce"], said["at_hash"]) == ("ID", "the nonce", at_hash(token))
    assert said["sub"] == userinfo(movingimage, token)["sub"] != NAME
    assert movingimage.requests[0].path == "/auth/realms/platform/protocol/openid-connect/auth"


def test_the_confidential_client_of_movingimage_needs_no_pkce(movingimage):
    movingimage.redirect_uris = ("https://films.example/callback",)
    asked = {**NO_PKCE, "redirect_uri": "https://films.example/callback", "response_mode": "query"}
    answer = submit(ask(movingimage, **asked))
    (text,) = parse_qs(urlsplit(answer.headers["Location"]).query)["code"]
    token = redeem(movingimage, text, redirect_uri=asked["redirect_uri"], code_verifier=None).json()
    assert (token["expires_in"], token["refresh_expires_in"], token["scope"]) == (300, 3600, "openid profile email")


def test_the_public_client_of_movingimage_signs_people_in_with_pkce(movingimage):
    text = code(movingimage, client_id="anonymous")
    token = redeem(movingimage, text, client_id="anonymous", client_secret=None).json()
    assert claims(movingimage, token)["aud"] == "anonymous"


def test_movingimage_can_answer_in_the_fragment_although_the_query_was_asked_for(movingimage):
    movingimage.always_fragment = True
    answer = submit(ask(movingimage, response_mode="query"))
    assert "code" in told(answer, part="fragment")
    back = FormFiller(NAME, PASSWORD).authorize(str(authorization_url(movingimage)))
    assert urlsplit(back).query == ""
    assert "code" in parse_qs(urlsplit(back).fragment)


def test_movingimage_signs_people_out(movingimage):
    token = tokens(movingimage)
    url = f"{movingimage.url}/auth/realms/platform/protocol/openid-connect/logout"
    asked = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": BACK}
    assert httpx.get(url, params=asked).headers["Location"] == BACK
    form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    client = {"client_id": movingimage.client_id, "client_secret": movingimage.client_secret}
    refused = httpx.post(movingimage.token_endpoint, data={**form, **client}).json()
    assert (refused["error"], refused["error_description"]) == ("invalid_grant", "Session not active")


def test_movingimage_knows_devices(movingimage):
    token = device_token(movingimage, {"client_id": "anonymous"})
    assert claims(movingimage, token)["preferred_username"] == NAME
    paths = [request.path.removeprefix("/auth/realms/platform") for request in movingimage.requests]
    assert paths[:2] == ["/protocol/openid-connect/auth/device", "/device"]


# IBM Video Streaming


def test_ibm_takes_its_own_parameters_and_sends_people_back_with_code_and_state_only(ibm):
    back = told(submit(ask(ibm, device_name="Studio", lang="en_US", scope="broadcaster")))
    assert back.keys() == {"code", "state"}
    assert HEX.fullmatch(back["code"])
    token = redeem(ibm, back["code"]).json()
    assert token.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert HEX.fullmatch(token["access_token"])


def test_ibm_shows_the_form_again_after_a_wrong_password_and_tells_a_denial_by_its_code(ibm):
    again = submit(ask(ibm), password="wrong")
    assert (again.status_code, "Location" in again.headers) == (200, False)
    assert told(submit(again, decision="deny")) == {"error": "access_denied", "state": "the state"}


def test_ibm_takes_a_challenge_without_a_method_for_the_verifier_itself(ibm):
    text = code(ibm, code_challenge_method=None)
    assert redeem(ibm, text).json() == {"error": "invalid_grant"}
    text = code(ibm, code_challenge_method=None, code_challenge=VERIFIER)
    assert redeem(ibm, text).status_code == 200


def test_a_native_app_of_ibm_has_no_secret(ibm):
    ibm.public_client_id = "an app"
    text = code(ibm, client_id="an app")
    assert redeem(ibm, text, client_id="an app", client_secret=None).status_code == 200


def test_redirect_uris_of_ibm_are_registered_by_their_beginning(ibm):
    ibm.redirect_uris = ("https://studio.example/",)
    assert ask(ibm, redirect_uri="https://studio.example/callback?x=y").status_code == 200
    assert ask(ibm, redirect_uri="https://studio.example.evil/").status_code == 400


def test_nobody_can_verify_the_id_token_of_ibm(ibm):
    token = tokens(ibm)
    assert token["id_token"].count(".") == 2
    server = ibm.authorization_server
    assert (server.jwks_uri, server.userinfo_endpoint, server.end_session_endpoint) == (None, None, None)
    assert server.id_token_signing_alg_values_supported is None
    assert server.code_challenge_methods_supported == ("S256", "plain")
    assert server.authorization_endpoint == f"{ibm.url}/authorize"


# cidaas


def test_cidaas_sends_people_back_with_parameters_of_its_own(cidaas):
    back = told(submit(ask(cidaas, view_type="login")))
    assert back.keys() == {"code", "state", "viewtype", "grant_type", "lang"}
    assert (UUID.fullmatch(back["code"]) is not None, back["grant_type"]) == (True, "login")
    assert cidaas.requests[0].path == "/authz-srv/authz"


def test_cidaas_gives_an_id_token_and_with_offline_access_a_refresh_token(cidaas):
    token = tokens(cidaas, scope="openid offline_access")
    said = claims(cidaas, token)
    assert said["sub"] == token["sub"] == userinfo(cidaas, token)["sub"]
    assert (said["nonce"], said["at_hash"]) == ("the nonce", at_hash(token))
    assert said["exp"] - said["iat"] == token["id_token_expires_in"] == 86_400
    assert UUID.fullmatch(token["refresh_token"])
    assert "refresh_token" not in tokens(cidaas)


def test_an_app_of_cidaas_needs_no_secret_with_pkce(cidaas):
    cidaas.public_client_id = "an app"
    text = code(cidaas, client_id="an app")
    assert redeem(cidaas, text, client_id="an app", client_secret=None).status_code == 200


def test_cidaas_refuses_a_code_that_comes_again(cidaas):
    text = code(cidaas)
    token = redeem(cidaas, text).json()
    again = redeem(cidaas, text)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert userinfo(cidaas, token)["error"] == "Access denied for this resource"


def test_cidaas_signs_people_out(cidaas):
    token = tokens(cidaas)
    asked = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": BACK, "state": "s"}
    assert told(httpx.get(f"{cidaas.url}/session/end_session", params=asked)) == {"state": "s"}
    assert userinfo(cidaas, token)["error"] == "Access denied for this resource"


def test_cidaas_knows_devices(cidaas):
    cidaas.public_client_id = "a television"
    token = device_token(cidaas, {"client_id": "a television"})
    assert claims(cidaas, token)["aud"] == "a television"
    paths = [request.path for request in cidaas.requests]
    assert paths[:2] == ["/authz-srv/device/authz", "/token-srv/device/verify"]
    assert {request.role for request in cidaas.requests} == {"device", "authorization", "token", "metadata"}
