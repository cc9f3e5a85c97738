"""People sign in at Keycloak and at oidc-provider, in Chromium, and the auth objects do the rest."""

import re
import time
from collections.abc import Callable
from functools import partial

import pytest
from selenium.webdriver import Chrome

from video_oauth_auth import (
    AuthorizationCode,
    DeviceCode,
    LoginRequired,
    MovingimageAuth,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
)

from .browser.landing import Landing
from .browser.pages import deny, forget_cookies, heading, sign_in, sign_out
from .callers import open_caller
from .exchange import Exchange, current
from .keycloak import NATIVE_APP, TELEVISION, WEB_APP, Realm
from .oidc_provider import RegisteredClient, native
from .video_manager_api import VIDEO_MANAGER, VideoManagerApi

Register = Callable[..., RegisteredClient]

LOGIN_TIMEOUT = 60.0
ANY_PORT = "http://127.0.0.1:0/callback"

in_two_clients = pytest.mark.parametrize("library", ["requests", "httpx2-async"])


def opened_by(browser: Chrome, realm: Realm, username: str) -> Callable[[str], None]:
    """What opens a URL as this person, for `login(open_browser=)`."""
    return partial(sign_in, browser, username=username, password=realm.settings.passwords[username])


def native_app(api: VideoManagerApi) -> MovingimageAuth:
    return MovingimageAuth(NATIVE_APP, redirect_uri=ANY_PORT, api_url=api.url)


def television(api: VideoManagerApi) -> OAuth2Auth:
    source = TokenSource(api.realm.issuer, OAuthClient(TELEVISION), DeviceCode(scope="openid"))
    return OAuth2Auth(source, origins=[api.origin])


# --- at Keycloak ------------------------------------------------------------------------------------------------------


@in_two_clients
def test_alice_signs_in_once_works_past_an_expiry_and_signs_out(
    library: str, browser: Chrome, short: Realm, short_api: VideoManagerApi
) -> None:
    auth = native_app(short_api)
    token = auth.login(open_browser=opened_by(browser, short, "alice"), timeout=LOGIN_TIMEOUT)
    assert token.claims is not None
    assert token.claims["preferred_username"] == "alice"
    with open_caller(library, auth) as caller:
        answers = []
        while time.time() < (token.expires_at or 0) + 1:
            answers.append(caller.get(short_api.video_managers_url))
        assert {answer.status for answer in answers} == {200}
        assert current(auth).refresh_token != token.refresh_token
        assert short.events()["LOGIN"] == short.events()["CODE_TO_TOKEN"] == 1

        ended = current(auth)
        assert auth.logout()
        assert not short_api.accepts(ended.access_token)
        with pytest.raises(LoginRequired):
            caller.get(short_api.video_managers_url)
    assert "REFRESH_TOKEN_ERROR" not in short.events()


@pytest.mark.parametrize("response_mode", ["query", "fragment"])
def test_the_page_at_the_end_says_so_wherever_the_answer_comes(
    response_mode: str, browser: Chrome, platform: Realm, platform_api: VideoManagerApi
) -> None:
    auth = native_app(platform_api)
    opener = opened_by(browser, platform, "alice")
    token = auth.login(open_browser=opener, timeout=LOGIN_TIMEOUT, response_mode=response_mode)
    assert token.claims is not None
    assert heading(browser, mark="yes") == "Your sign-in has arrived"


@in_two_clients
def test_a_web_application_with_a_secret_works_past_an_expiry(
    library: str, browser: Chrome, short: Realm, short_api: VideoManagerApi, landing: Landing
) -> None:
    """Its refreshes have the parameters of the vendor's page: response_type, and the redirect URI."""
    auth = web_app(short_api, landing)
    pending = auth.begin_login(user="alice")
    opened_by(browser, short, "alice")(pending.url)
    token = auth.complete_login(pending, landing.visited())
    with open_caller(library, auth.for_user("alice")) as caller:
        while time.time() < (token.expires_at or 0) + 1:
            assert caller.get(short_api.video_managers_url).json == [VIDEO_MANAGER]

    assert current(auth.for_user("alice")).refresh_token != token.refresh_token
    assert short.events()["REFRESH_TOKEN"] >= 1
    assert "REFRESH_TOKEN_ERROR" not in short.events()


def web_app(api: VideoManagerApi, landing: Landing) -> MovingimageAuth:
    secret = api.realm.settings.web_app_secret
    return MovingimageAuth(WEB_APP, secret, redirect_uri=landing.url, api_url=api.url)


def test_a_web_application_keeps_alice_and_bob_apart(
    browser: Chrome, platform: Realm, platform_api: VideoManagerApi, landing: Landing
) -> None:
    auth = web_app(platform_api, landing)
    for name in ("alice", "bob"):
        pending = auth.begin_login(user=name)
        opened_by(browser, platform, name)(pending.url)
        auth.complete_login(pending, landing.visited())
        forget_cookies(browser)

    assert auth.users() == ["alice", "bob"]
    for name in ("alice", "bob"):
        assert auth.for_user(name).userinfo()["preferred_username"] == name
    assert auth.for_user("alice").logout()
    assert auth.users() == ["bob"]
    with open_caller("httpx", auth.for_user("bob")) as caller:
        assert caller.get(platform_api.video_managers_url).json == [VIDEO_MANAGER]


def test_who_signs_out_in_the_browser_has_no_living_tokens(
    browser: Chrome, platform: Realm, platform_api: VideoManagerApi, landing: Landing
) -> None:
    auth = web_app(platform_api, landing)
    pending = auth.begin_login(user="alice")
    opened_by(browser, platform, "alice")(pending.url)
    auth.complete_login(pending, landing.visited())
    alice = auth.for_user("alice")
    with open_caller("httpx", alice) as caller:
        assert caller.get(platform_api.video_managers_url).status == 200
        sign_out(browser, alice.end_session_url(post_logout_redirect_uri=landing.url, state="out"))
        assert landing.parameters() == {"state": "out"}
        with pytest.raises(LoginRequired) as told:
            caller.get(platform_api.video_managers_url)

    assert told.value.reason == "revoked"


def test_userinfo_tells_who_signed_in(browser: Chrome, platform: Realm, platform_api: VideoManagerApi) -> None:
    auth = native_app(platform_api)
    auth.login(open_browser=opened_by(browser, platform, "alice"), timeout=LOGIN_TIMEOUT)

    assert auth.userinfo()["email"] == "alice@example.com"


def test_a_television_waits_until_bob_has_typed_its_code(
    browser: Chrome, platform: Realm, platform_api: VideoManagerApi
) -> None:
    auth = television(platform_api)
    auth.login(open_browser=opened_by(browser, platform, "bob"), timeout=LOGIN_TIMEOUT)
    with open_caller("requests", auth) as caller:
        assert caller.get(platform_api.video_managers_url).json == [VIDEO_MANAGER]

    assert platform.events()["OAUTH2_DEVICE_CODE_TO_TOKEN"] == 1


def test_a_television_that_bob_does_not_want_is_told(
    browser: Chrome, platform: Realm, platform_api: VideoManagerApi
) -> None:
    says_no = partial(deny, browser, username="bob", password=platform.settings.passwords["bob"])
    with pytest.raises(LoginRequired) as told:
        television(platform_api).login(open_browser=says_no, timeout=LOGIN_TIMEOUT)

    assert told.value.reason == "denied"


def test_what_the_person_is_shown_is_enough_to_sign_a_television_in(
    browser: Chrome, platform: Realm, platform_api: VideoManagerApi
) -> None:
    def read_and_sign_in(text: str) -> None:
        if found := re.search(r"open\s+(\S+)\s+and enter the code\s+(\S+)", text):
            sign_in(browser, found[1], "bob", platform.settings.passwords["bob"], user_code=found[2])

    television(platform_api).login(open_browser=False, notify=read_and_sign_in, timeout=LOGIN_TIMEOUT)


# --- at oidc-provider -------------------------------------------------------------------------------------------------


@in_two_clients
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_carol_signs_in_at_oidc_provider_by_its_issuer_alone(
    library: str, algorithm: str, browser: Chrome, exchange: Exchange, register: Register
) -> None:
    client = native(register, access_token_lifetime=5, id_token_signed_response_alg=algorithm)
    auth = exchange.auth_at(
        exchange.provider.issuer, OAuthClient(client.client_id), AuthorizationCode(ANY_PORT, scope="openid email")
    )
    signs_in = partial(sign_in, browser, username="carol", password="any password")
    token = auth.login(open_browser=signs_in, timeout=LOGIN_TIMEOUT)
    assert token.claims is not None
    assert token.claims["sub"] == "carol"
    assert auth.userinfo()["email"] == "carol@example.com"
    with open_caller(library, auth) as caller:
        assert caller.get(exchange.url).status == 200
        exchange.wait_until_expired(current(auth))
        assert caller.get(exchange.url).status == 200
        assert auth.logout()
        with pytest.raises(LoginRequired):
            caller.get(exchange.url)

    statistics = exchange.provider.statistics(client.client_id)
    assert statistics.granted.keys() == {"authorization_code", "refresh_token"}
    assert statistics.granted["authorization_code"] == 1
    assert statistics.refused == {}


def test_carol_says_no_at_oidc_provider(browser: Chrome, exchange: Exchange, register: Register) -> None:
    client = native(register)
    auth = exchange.auth_at(exchange.provider.issuer, OAuthClient(client.client_id), AuthorizationCode(ANY_PORT))
    says_no = partial(deny, browser, username="carol", password="any password")
    with pytest.raises(LoginRequired) as told:
        auth.login(open_browser=says_no, timeout=LOGIN_TIMEOUT)

    assert told.value.reason == "denied"


def test_carol_signs_a_television_in_at_oidc_provider(browser: Chrome, exchange: Exchange, register: Register) -> None:
    client = native(register)
    auth = exchange.auth_at(exchange.provider.issuer, OAuthClient(client.client_id), DeviceCode(scope="openid"))
    signs_in = partial(sign_in, browser, username="carol", password="any password")
    auth.login(open_browser=signs_in, timeout=LOGIN_TIMEOUT)
    with open_caller("requests", auth) as caller:
        assert caller.get(exchange.url).status == 200


def test_who_signs_out_at_oidc_provider_in_the_browser_has_no_living_tokens(
    browser: Chrome, exchange: Exchange, register: Register, landing: Landing
) -> None:
    client = native(register, post_logout_redirect_uris=[landing.url], access_token_lifetime=3)
    auth = exchange.auth_at(
        exchange.provider.issuer, OAuthClient(client.client_id), AuthorizationCode(ANY_PORT, scope="openid")
    )
    auth.login(open_browser=partial(sign_in, browser, username="carol", password="any password"), timeout=LOGIN_TIMEOUT)
    sign_out(browser, auth.end_session_url(post_logout_redirect_uri=landing.url, state="out"))
    assert landing.parameters() == {"state": "out"}
    with open_caller("httpx", auth) as caller, pytest.raises(LoginRequired) as told:
        caller.get(exchange.url)
    assert told.value.reason == "revoked"
