"""MovingimageAuth against a Keycloak with realms like movingimage's, and an API that asks it about every token."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from video_oauth_auth import (
    ClientCredentials,
    LoginRequired,
    MovingimageAuth,
    OAuth2Auth,
    OAuthClient,
    ResponseError,
    Token,
    TokenSource,
    discover,
)

from .callers import OPENERS, TIMEOUT, all_together, open_caller
from .exchange import current
from .keycloak import ANONYMOUS, WEB_APP, Realm
from .video_manager_api import VIDEO_MANAGER, VIDEO_MANAGERS, VideoManagerApi

DEAD_AFTER = 30.0

in_every_client = pytest.mark.parametrize("library", OPENERS)
# Where the test waits for the end of a session.
in_two_clients = pytest.mark.parametrize("library", ["requests", "httpx2-async"])


def by_password(api: VideoManagerApi, username: str = "alice", **about: Any) -> MovingimageAuth:
    """The vendor's way for scripts: the public client `anonymous`."""
    password = {"password": api.realm.settings.passwords[username]}
    return MovingimageAuth(**{"username": username, "api_url": api.url} | password | about)


def from_elsewhere(api: VideoManagerApi, token: dict[str, Any]) -> MovingimageAuth:
    """The same client with tokens, and without the password."""
    return MovingimageAuth(api_url=api.url, token=token)


def signed_in(realm: Realm, username: str = "alice") -> dict[str, Any]:
    """The token answer to somebody who has signed in without this library."""
    form = {"grant_type": "password", "client_id": ANONYMOUS, "username": username, "scope": "openid"}
    password = {"password": realm.settings.passwords[username]}
    answer = httpx.post(realm.token_endpoint, data=form | password, timeout=TIMEOUT).raise_for_status()
    realm.forget_events()
    found: dict[str, Any] = answer.json()
    return found


def refreshed(realm: Realm, refresh_token: str | None) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": ANONYMOUS, "refresh_token": refresh_token or ""}
    return httpx.post(realm.token_endpoint, data=form, timeout=TIMEOUT)


def wait_until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEAD_AFTER
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def wait_until_expired(api: VideoManagerApi, token: Token) -> None:
    """Returns when both hold the access token for expired: the API and the one who uses it."""
    wait_until(
        lambda: time.time() >= (token.expires_at or 0) and not api.accepts(token.access_token), "no token expires"
    )


def wait_until_over(token: Token) -> None:
    """Returns when nobody has used a session for so long that it is over."""
    wait_until(lambda: time.time() > (token.refresh_expires_at or 0) + 1, "no session ends")


# --- name and password ------------------------------------------------------------------------------------------------


@in_every_client
def test_a_script_finds_the_platform_and_lists_its_video_managers(
    library: str, platform: Realm, platform_api: VideoManagerApi
) -> None:
    auth = by_password(platform_api)
    with open_caller(library, auth) as caller:
        answers = [caller.get(platform_api.video_managers_url) for _ in range(3)]

    assert [answer.json for answer in answers] == [[VIDEO_MANAGER]] * 3
    assert platform.events() == {"LOGIN": 1}
    token = current(auth)
    assert token.expires_at == pytest.approx(time.time() + 300, abs=20)
    assert token.refresh_expires_at == pytest.approx(time.time() + 3600, abs=20)
    assert set((token.scope or "").split()) == {"openid", "profile", "email"}


@in_two_clients
def test_after_the_end_of_a_session_the_password_is_sent_again_and_no_refresh(
    library: str, short: Realm, short_api: VideoManagerApi
) -> None:
    auth = by_password(short_api)
    with open_caller(library, auth) as caller:
        assert caller.get(short_api.video_managers_url).status == 200
        wait_until_over(current(auth))
        assert caller.get(short_api.video_managers_url).status == 200

    assert short.events() == {"LOGIN": 2}


@in_every_client
def test_a_session_that_the_admin_ended_is_replaced_without_the_caller_noticing(
    library: str, platform: Realm, platform_api: VideoManagerApi
) -> None:
    with open_caller(library, by_password(platform_api)) as caller:
        assert caller.get(platform_api.video_managers_url).status == 200
        platform.sign_out("alice")
        assert caller.get(platform_api.video_managers_url).status == 200

    assert platform.events() == {"LOGIN": 2, "REFRESH_TOKEN_ERROR": 1}


@in_every_client
def test_a_wrong_password_is_told_and_not_sent_again_and_again(
    library: str, platform: Realm, platform_api: VideoManagerApi
) -> None:
    with open_caller(library, by_password(platform_api, password="wrong")) as caller:
        for _ in range(3):
            with pytest.raises(ResponseError) as told:
                caller.get(platform_api.video_managers_url)
            assert (told.value.status, told.value.error) == (400, "invalid_grant")
            assert "wrong" not in str(told.value)

    assert platform.events() == {"LOGIN_ERROR": 1}


def test_the_environment_is_enough(
    platform: Realm, platform_api: VideoManagerApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVINGIMAGE_USERNAME", "bob")
    monkeypatch.setenv("MOVINGIMAGE_PASSWORD", platform.settings.passwords["bob"])
    monkeypatch.setenv("MOVINGIMAGE_API_URL", platform_api.url)
    with open_caller("requests", MovingimageAuth.from_env()) as caller:
        assert caller.get(platform_api.video_managers_url).json == [VIDEO_MANAGER]


# --- tokens from elsewhere --------------------------------------------------------------------------------------------


@in_two_clients
def test_tokens_from_elsewhere_are_refreshed_until_their_session_is_over(
    library: str, short: Realm, short_api: VideoManagerApi
) -> None:
    auth = from_elsewhere(short_api, signed_in(short))
    with open_caller(library, auth) as caller:
        wait_until_expired(short_api, current(auth))
        assert caller.get(short_api.video_managers_url).status == 200
        wait_until_over(current(auth))
        with pytest.raises(LoginRequired) as told:
            caller.get(short_api.video_managers_url)

    assert told.value.reason == "refresh_expired"
    assert short.events() == {"REFRESH_TOKEN": 1}


@in_every_client
def test_a_session_that_the_admin_ended_needs_a_new_sign_in_which_can_be_given(
    library: str, platform: Realm, platform_api: VideoManagerApi
) -> None:
    auth = from_elsewhere(platform_api, signed_in(platform))
    with open_caller(library, auth) as caller:
        assert caller.get(platform_api.video_managers_url).status == 200
        platform.sign_out("alice")
        for _ in range(2):
            with pytest.raises(LoginRequired) as told:
                caller.get(platform_api.video_managers_url)
            assert told.value.reason == "revoked"
        assert platform.events() == {"REFRESH_TOKEN_ERROR": 1}

        auth.source.set(signed_in(platform))
        assert caller.get(platform_api.video_managers_url).status == 200


def test_two_objects_that_do_not_share_their_tokens_end_the_session(short: Realm, short_api: VideoManagerApi) -> None:
    given = signed_in(short)
    first, second = from_elsewhere(short_api, given), from_elsewhere(short_api, given)
    wait_until_expired(short_api, current(first))
    with open_caller("requests", first) as caller:
        assert caller.get(short_api.video_managers_url).status == 200
    with open_caller("requests", second) as caller, pytest.raises(LoginRequired) as told:
        caller.get(short_api.video_managers_url)

    assert told.value.reason == "revoked"
    assert short.events() == {"REFRESH_TOKEN": 1, "REFRESH_TOKEN_ERROR": 1}


def test_offline_access_outlives_the_session(short: Realm, short_api: VideoManagerApi) -> None:
    auth = by_password(short_api, scope="openid offline_access")
    with open_caller("httpx", auth) as caller:
        assert caller.get(short_api.video_managers_url).status == 200
        assert current(auth).refresh_expires_at is None
        over_at = time.time() + short.settings.session_idle + 1
        wait_until(lambda: time.time() > over_at, "time stands still")
        assert caller.get(short_api.video_managers_url).status == 200

    assert short.events() == {"LOGIN": 1, "REFRESH_TOKEN": 1}


# --- many callers -----------------------------------------------------------------------------------------------------


@in_every_client
def test_20_callers_outlive_several_access_tokens_and_spend_each_refresh_token_once(
    library: str, short: Realm, short_api: VideoManagerApi
) -> None:
    auth = by_password(short_api)
    with open_caller(library, auth) as caller:
        assert caller.get(short_api.video_managers_url).status == 200
        refresh_tokens = {current(auth).refresh_token}
        for number in (1, 2):
            wait_until_expired(short_api, current(auth))
            answers = caller.get_together(short_api.video_managers_url, 20)
            assert [answer.status for answer in answers] == [200] * 20
            assert short.events() == {"LOGIN": 1, "REFRESH_TOKEN": number}
            refresh_tokens.add(current(auth).refresh_token)

    assert len(refresh_tokens) == 3


@pytest.mark.parametrize(
    ("of_threads", "of_tasks"),
    [("requests", "httpx-async"), ("httpx", "httpx2-async"), ("httpx2", "httpx-async")],
)
def test_threads_and_tasks_that_come_first_together_need_one_sign_in(
    of_threads: str, of_tasks: str, platform: Realm, platform_api: VideoManagerApi
) -> None:
    auth = by_password(platform_api)
    url = platform_api.video_managers_url
    with open_caller(of_threads, auth) as threads, open_caller(of_tasks, auth) as tasks:
        answers = all_together([lambda: threads.get_together(url, 20), lambda: tasks.get_together(url, 40)])

    assert [answer.status for answer in answers] == [200] * 60
    assert platform.events() == {"LOGIN": 1}


def test_keycloak_notices_a_refresh_token_that_is_spent_twice(platform: Realm, platform_api: VideoManagerApi) -> None:
    """Shows that the assertions on events can fail, and what reuse costs: the whole session."""
    given = signed_in(platform)
    first = refreshed(platform, given["refresh_token"])
    assert first.status_code == 200
    assert refreshed(platform, given["refresh_token"]).json()["error"] == "invalid_grant"

    assert platform.events() == {"REFRESH_TOKEN": 1, "REFRESH_TOKEN_ERROR": 1}
    assert refreshed(platform, first.json()["refresh_token"]).json()["error"] == "invalid_grant"
    assert not platform_api.accepts(first.json()["access_token"])


# --- from the issuer --------------------------------------------------------------------------------------------------


def test_discover_reads_what_keycloak_writes(platform: Realm) -> None:
    server = discover(platform.issuer)
    document = httpx.get(f"{platform.issuer}/.well-known/openid-configuration").json()

    assert server.issuer == platform.issuer
    assert server.token_endpoint == platform.token_endpoint == document["token_endpoint"]
    assert server.authorization_endpoint == platform.authorization_endpoint
    assert server.revocation_endpoint == document["revocation_endpoint"]
    assert server.end_session_endpoint == document["end_session_endpoint"]
    assert server.device_authorization_endpoint == document["device_authorization_endpoint"]


@in_every_client
@pytest.mark.parametrize("method", [None, "client_secret_basic", "client_secret_post"])
def test_a_confidential_client_is_known_to_a_realm_by_its_issuer_alone(
    library: str, method: str | None, platform: Realm, platform_api: VideoManagerApi
) -> None:
    client = OAuthClient(WEB_APP, platform.settings.web_app_secret, token_endpoint_auth_method=method)
    auth = OAuth2Auth(TokenSource(platform.issuer, client, ClientCredentials()), origins=[platform_api.origin])
    with open_caller(library, auth) as caller:
        assert caller.get(platform_api.video_managers_url).json == [VIDEO_MANAGER]

    assert platform.events() == {"CLIENT_LOGIN": 1}


@in_every_client
def test_the_token_goes_to_the_customers_api_only(
    library: str, platform: Realm, platform_api: VideoManagerApi, short_api: VideoManagerApi
) -> None:
    before = len(short_api.received(VIDEO_MANAGERS))
    with open_caller(library, by_password(platform_api)) as caller:
        assert caller.get(platform_api.video_managers_url).status == 200
        assert caller.get(short_api.video_managers_url).status == 401

    assert [one.access_token for one in short_api.received(VIDEO_MANAGERS)[before:]] == [None]
