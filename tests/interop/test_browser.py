"""A person in Chromium signs in at Keycloak and at oidc-provider, by requests that are made by hand.

Shows that the servers, the pages and the browser do what the tests of the auth objects rely on.
"""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome

from video_oauth_auth import AuthorizationServer, discover

from .authorization import TIMEOUT, AuthorizationRequest, device_answer, unverified_header
from .browser.landing import Landing
from .browser.pages import Refused, sign_in, sign_out
from .keycloak import NATIVE_APP, TELEVISION, WEB_APP, Realm
from .oidc_provider import OidcProvider, RegisteredClient, native

Register = Callable[..., RegisteredClient]

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def at_keycloak(platform: Realm, landing: Landing, **about: Any) -> AuthorizationRequest:
    return AuthorizationRequest(
        authorization_endpoint=platform.authorization_endpoint,
        token_endpoint=platform.token_endpoint,
        **{"client_id": NATIVE_APP, "redirect_uri": landing.url} | about,
    )


def at_oidc_provider(provider: OidcProvider, client: RegisteredClient, landing: Landing) -> AuthorizationRequest:
    return AuthorizationRequest(
        authorization_endpoint=provider.authorization_endpoint,
        token_endpoint=provider.token_endpoint,
        client_id=client.client_id,
        client_secret=client.client_secret,
        redirect_uri=landing.url,
    )


def device_endpoint(server: AuthorizationServer) -> str:
    assert server.device_authorization_endpoint is not None
    return server.device_authorization_endpoint


@pytest.mark.parametrize("client_id", [NATIVE_APP, WEB_APP])
def test_alice_signs_in_at_keycloak(client_id: str, browser: Chrome, platform: Realm, landing: Landing) -> None:
    secret = platform.settings.web_app_secret if client_id == WEB_APP else None
    request = at_keycloak(platform, landing, client_id=client_id, client_secret=secret)
    sign_in(browser, request.url, "alice", platform.settings.passwords["alice"])
    answer = landing.parameters()

    assert (answer["state"], answer["iss"]) == (request.state, platform.issuer)
    token = request.token_answer(answer["code"]).raise_for_status().json()
    lifetimes = token["expires_in"], token["refresh_expires_in"]  # whole seconds, and the session began before
    assert lifetimes == pytest.approx((300, 3600), abs=10)
    assert unverified_header(token["id_token"])["alg"] == "RS256"
    assert platform.events() == {"LOGIN": 1, "CODE_TO_TOKEN": 1}


def test_keycloak_refuses_a_code_with_the_verifier_of_another_request(
    browser: Chrome, platform: Realm, landing: Landing
) -> None:
    request = at_keycloak(platform, landing)
    sign_in(browser, request.url, "alice", platform.settings.passwords["alice"])
    answer = request.token_answer(landing.parameters()["code"], code_verifier="a" * 43)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_keycloak_says_no_to_a_wrong_password_and_to_an_unknown_redirect_uri(
    browser: Chrome, platform: Realm, landing: Landing
) -> None:
    with pytest.raises(Refused, match="Invalid username or password"):
        sign_in(browser, at_keycloak(platform, landing).url, "alice", "wrong")
    elsewhere = at_keycloak(platform, landing, redirect_uri="http://192.0.2.1/callback")
    with pytest.raises(Refused, match="redirect_uri"):
        sign_in(browser, elsewhere.url, "alice", platform.settings.passwords["alice"])
    assert landing.visits.empty()


@pytest.mark.parametrize("complete", [True, False], ids=["with its code in the URL", "with its code typed in"])
def test_bob_signs_a_television_in_at_keycloak(complete: bool, browser: Chrome, platform: Realm) -> None:
    device = device_answer(device_endpoint(discover(platform.issuer)), TELEVISION)
    spend = {"grant_type": DEVICE_CODE, "client_id": TELEVISION, "device_code": device["device_code"]}
    assert httpx.post(platform.token_endpoint, data=spend, timeout=TIMEOUT).json()["error"] == "authorization_pending"
    url = device["verification_uri_complete"] if complete else device["verification_uri"]
    sign_in(browser, url, "bob", platform.settings.passwords["bob"], user_code=device["user_code"])
    time.sleep(device["interval"])  # RFC 8628, section 3.5: Keycloak answers slow_down where it is asked sooner

    answer = httpx.post(platform.token_endpoint, data=spend, timeout=TIMEOUT).json()
    assert (answer.get("error"), "refresh_token" in answer) == (None, True)


def test_alice_signs_out_at_keycloak_in_the_browser(browser: Chrome, platform: Realm, landing: Landing) -> None:
    request = at_keycloak(platform, landing)
    sign_in(browser, request.url, "alice", platform.settings.passwords["alice"])
    token = request.token_answer(landing.parameters()["code"]).raise_for_status().json()
    end_session_endpoint = discover(platform.issuer).end_session_endpoint
    hint = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": landing.url, "state": "out"}
    sign_out(browser, str(httpx.URL(str(end_session_endpoint), params=hint)))

    assert landing.parameters() == {"state": "out"}
    spend = {"grant_type": "refresh_token", "client_id": NATIVE_APP, "refresh_token": token["refresh_token"]}
    assert httpx.post(platform.token_endpoint, data=spend, timeout=TIMEOUT).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize("kind", ["public", "confidential"])
def test_a_person_signs_in_and_consents_at_oidc_provider(
    kind: str, algorithm: str, browser: Chrome, provider: OidcProvider, register: Register, landing: Landing
) -> None:
    if kind == "public":
        client = native(register, id_token_signed_response_alg=algorithm)
    else:
        client = register(
            redirect_uris=[landing.url],
            token_endpoint_auth_method="client_secret_post",
            id_token_signed_response_alg=algorithm,
        )
    request = at_oidc_provider(provider, client, landing)
    sign_in(browser, request.url, "carol", "any password")
    answer = landing.parameters()

    assert (answer["state"], answer["iss"]) == (request.state, provider.issuer)
    token = request.token_answer(answer["code"]).raise_for_status().json()
    assert token["refresh_token"]
    assert unverified_header(token["id_token"])["alg"] == algorithm
    userinfo = httpx.get(
        str(discover(provider.issuer).userinfo_endpoint), headers={"Authorization": f"Bearer {token['access_token']}"}
    )
    assert userinfo.json()["sub"] == "carol"


@pytest.mark.parametrize("complete", [True, False], ids=["with its code in the URL", "with its code typed in"])
def test_a_person_signs_a_television_in_at_oidc_provider(
    complete: bool, browser: Chrome, provider: OidcProvider, register: Register
) -> None:
    client = native(register)
    device = device_answer(device_endpoint(discover(provider.issuer)), client.client_id)
    spend = {"grant_type": DEVICE_CODE, "client_id": client.client_id, "device_code": device["device_code"]}
    assert httpx.post(provider.token_endpoint, data=spend, timeout=TIMEOUT).json()["error"] == "authorization_pending"
    url = device["verification_uri_complete"] if complete else device["verification_uri"]
    sign_in(browser, url, "carol", "any password", user_code=device["user_code"])

    answer = httpx.post(provider.token_endpoint, data=spend, timeout=TIMEOUT).json()
    assert (answer.get("error"), "refresh_token" in answer) == (None, True)


def test_a_person_signs_out_at_oidc_provider_in_the_browser(
    browser: Chrome, provider: OidcProvider, register: Register, landing: Landing
) -> None:
    client = native(register, post_logout_redirect_uris=[landing.url])
    request = at_oidc_provider(provider, client, landing)
    sign_in(browser, request.url, "carol", "any password")
    token = request.token_answer(landing.parameters()["code"]).raise_for_status().json()
    end_session_endpoint = discover(provider.issuer).end_session_endpoint
    hint = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": landing.url, "state": "out"}
    sign_out(browser, str(httpx.URL(str(end_session_endpoint), params=hint)))

    assert landing.parameters() == {"state": "out"}
    spend = {"grant_type": "refresh_token", "client_id": client.client_id, "refresh_token": token["refresh_token"]}
    assert httpx.post(provider.token_endpoint, data=spend, timeout=TIMEOUT).json()["error"] == "invalid_grant"
