"""ID tokens of the bundled server, its keys, userinfo, and signing out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from video_oauth_auth.testing import LoopbackServer, Mutate, OAuthServer, unavailable

from .login_steps import BACK, NAME, PASSWORD, at_hash, call, code, redeem, tokens, told

pytestmark = pytest.mark.shows_secrets  # httpx logs every URL that it requests; here it is the browser


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={NAME: PASSWORD}, refresh_tokens=True, public_client_id="an app") as running:
        yield running


def keys(server: LoopbackServer) -> jwk.KeySet:
    return jwk.KeySet.import_key_set(httpx.get(f"{server.authorization_server.jwks_uri}").json())


def claims(server: LoopbackServer, token: dict[str, Any]) -> dict[str, Any]:
    """What the ID token says, verified with the keys that the server publishes."""
    return dict(jwt.decode(token["id_token"], keys(server), algorithms=["RS256"]).claims)


def refreshed(server: LoopbackServer, token: dict[str, Any]) -> httpx.Response:
    form = {"client_id": server.client_id, "client_secret": server.client_secret, "grant_type": "refresh_token"}
    return httpx.post(server.token_endpoint, data={**form, "refresh_token": token["refresh_token"]})


def end_session(server: LoopbackServer, **asked: str) -> httpx.Response:
    return httpx.get(f"{server.authorization_server.end_session_endpoint}", params=asked)


# ID tokens


def test_an_id_token_says_who_signed_in_when_and_for_whom(server):
    before = int(time.time())
    token = tokens(server)
    said = claims(server, token)
    after = int(time.time())
    assert {name: said[name] for name in ("iss", "sub", "aud", "azp", "nonce", "at_hash")} == {
        "iss": server.issuer,
        "sub": NAME,
        "aud": server.client_id,
        "azp": server.client_id,
        "nonce": "the nonce",
        "at_hash": at_hash(token),
    }
    assert before <= said["auth_time"] <= said["iat"] <= after
    assert said["exp"] - said["iat"] == 300
    assert said["sid"]


def test_there_is_one_only_where_openid_was_asked_for(server):
    assert "id_token" not in tokens(server, scope="films")
    assert "id_token" not in tokens(server, scope=None)
    form = {"client_id": server.client_id, "client_secret": server.client_secret, "scope": "openid"}
    own = httpx.post(server.token_endpoint, data={"grant_type": "client_credentials", **form})
    assert "id_token" not in own.json()


def test_without_a_nonce_there_is_none_in_it(server):
    assert "nonce" not in claims(server, tokens(server, nonce=None))


def test_a_refresh_gives_a_new_one_for_the_same_session_without_the_nonce(server):
    first = tokens(server)
    second = refreshed(server, first).json()
    old, new = claims(server, first), claims(server, second)
    assert "nonce" not in new
    assert new["at_hash"] == at_hash(second) != old["at_hash"]
    for name in ("sub", "aud", "auth_time", "sid"):
        assert new[name] == old[name]


def test_the_public_client_is_its_audience(server):
    text = code(server, client_id="an app")
    token = redeem(server, text, client_id="an app", client_secret=None).json()
    assert claims(server, token)["aud"] == "an app"


def test_it_is_for_the_issuer_that_clients_know(server):
    server.issuer_path, server.public_origins = "/realm", {"token": "https://login.example"}
    text = code(server)
    token = redeem(server, text).json()
    server.public_origins = {}
    assert claims(server, token)["iss"] == "https://login.example/realm"


# Keys


def test_after_a_rotation_only_the_new_key_is_known(server):
    old, before = tokens(server), httpx.get(f"{server.url}/jwks").json()
    server.rotate_keys()
    after = httpx.get(f"{server.url}/jwks").json()
    assert before["keys"][0]["kid"] != after["keys"][0]["kid"]
    assert (len(before["keys"]), len(after["keys"])) == (1, 1)
    assert claims(server, tokens(server))["sub"] == NAME
    with pytest.raises((JoseError, ValueError)):
        claims(server, old)


def test_requests_for_keys_are_counted_and_can_fail(server):
    server.metadata_faults.add(unavailable(), path="/jwks")
    assert [httpx.get(f"{server.url}/jwks").status_code for _ in range(2)] == [503, 200]
    asked = [request.status for request in server.requests_to("metadata") if request.path == "/jwks"]
    assert asked == [503, 200]


def test_a_test_can_sign_what_it_likes(server):
    wrong = server.sign({"iss": "https://evil.example", "sub": NAME, "jti": None})
    server.token_faults.add(Mutate(lambda members: {**members, "id_token": wrong}))
    token = tokens(server)
    said = claims(server, token)
    assert said.keys() == {"iss", "sub", "iat", "exp"}
    assert said["iss"] == "https://evil.example"
    assert claims(server, {"id_token": server.sign({"exp": 1})})["exp"] == 1
    assert wrong in server.secrets()


# Userinfo


def test_userinfo_knows_the_user_of_the_id_token(server):
    token = tokens(server)
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    for method in ("GET", "POST"):
        answer = httpx.request(method, f"{server.url}/userinfo", headers=bearer)
        assert answer.json()["sub"] == claims(server, token)["sub"]
    refused = httpx.get(f"{server.url}/userinfo", headers={"Authorization": "Bearer x"})
    assert (refused.status_code, "invalid_token" in refused.headers["WWW-Authenticate"]) == (401, True)


# Signing out


def test_signing_out_ends_every_token_of_the_session_and_no_other(server):
    first, other = tokens(server), tokens(server)
    second = refreshed(server, first).json()
    asked = {"id_token_hint": first["id_token"], "post_logout_redirect_uri": BACK, "state": "a&b"}
    back = end_session(server, **asked, client_id=server.client_id)
    assert (back.status_code, told(back)) == (302, {"state": "a&b"})
    assert call(server, second).status_code == 401
    assert refreshed(server, second).json()["error"] == "invalid_grant"
    assert call(server, other).status_code == 200
    assert server.requests_to("authorization")[-1].path == "/end_session"


def test_an_id_token_that_has_expired_still_says_whose_session_it_is(server):
    token = tokens(server)
    old = server.sign({**claims(server, token), "exp": 1})
    assert end_session(server, id_token_hint=old).status_code == 200
    assert call(server, token).status_code == 401


@pytest.mark.parametrize("uri", [None, "https://evil.example/"])
def test_without_a_registered_uri_there_is_a_page(server, uri):
    token = tokens(server)
    asked = {} if uri is None else {"post_logout_redirect_uri": uri}
    page = end_session(server, id_token_hint=token["id_token"], **asked)
    assert (page.status_code, "You are signed out." in page.text) == (200, True)
    assert call(server, token).status_code == 401


def test_without_a_hint_nobody_is_sent_anywhere_and_nothing_is_ended(server):
    token = tokens(server)
    page = end_session(server, post_logout_redirect_uri=BACK, client_id=server.client_id)
    assert (page.status_code, "Signed out" in page.text) == (200, True)
    assert call(server, token).status_code == 200


def test_a_wrong_hint_ends_nothing(server):
    token = tokens(server)
    said = claims(server, token)
    hints = [
        "no token",
        token["id_token"][:-4] + "AAAA",
        server.sign({**said, "iss": "https://evil.example"}),
        server.sign({**said, "sid": None}),
    ]
    answers = [end_session(server, id_token_hint=hint, post_logout_redirect_uri=BACK) for hint in hints]
    answers.append(end_session(server, id_token_hint=token["id_token"], client_id="an app"))
    assert [answer.status_code for answer in answers] == 5 * [400]
    assert call(server, token).status_code == 200


def test_signing_out_by_post(server):
    token = tokens(server)
    form = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": BACK}
    back = httpx.post(f"{server.url}/end_session", data=form)
    assert (back.status_code, back.headers["Location"]) == (303, BACK)
    assert call(server, token).status_code == 401
    assert httpx.put(f"{server.url}/end_session").status_code == 405
