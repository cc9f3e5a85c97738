"""The bundled authorization server: what its tokens are worth, rotation, revocation, secrets."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from video_oauth_auth.testing import CHALLENGES, Answer, OAuthServer, with_members


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={"ann": "her password"}, refresh_tokens=True) as running:
        yield running


def ask(server: OAuthServer, **form: str) -> httpx.Response:
    """One token request, authenticated in the body."""
    secret = {"client_id": server.client_id, "client_secret": server.client_secret}
    return httpx.post(server.token_endpoint, data={**secret, **form})


def granted(server: OAuthServer, **form: str) -> dict[str, str]:
    answer = ask(server, **{"grant_type": "client_credentials", **form})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refreshed(server: OAuthServer, token: dict[str, str]) -> httpx.Response:
    return ask(server, grant_type="refresh_token", refresh_token=token["refresh_token"])


def call(server: OAuthServer, token: dict[str, str], path: str = "/me") -> httpx.Response:
    return httpx.get(server.api_url + path, headers={"Authorization": f"Bearer {token['access_token']}"})


# What the token answer tells, and the API's check of it


@pytest.mark.parametrize(("expires_in", "told"), [(300, 300), (0.5, 0.5), (7.0, 7), (None, None)])
def test_the_lifetime_is_told_as_it_was_set(server, expires_in, told):
    server.expires_in = expires_in
    assert granted(server).get("expires_in") == told


def test_the_api_tells_live_expired_revoked_and_unknown_tokens_apart(server):
    expired, revoked = granted(server), granted(server)
    server.advance(299)
    assert call(server, expired).status_code == 200
    server.advance(1)
    server.expires_in = None
    live = granted(server)
    assert server.revoke_access_token(revoked["access_token"]) is False  # it has expired: nothing to revoke
    revoked = granted(server)
    assert server.revoke_access_token(revoked["access_token"]) is True
    for token in (expired, live, revoked, {"access_token": "unknown"}):
        call(server, token)
    httpx.get(server.api_url + "/me")
    httpx.get(server.api_url + "/me", headers={"Authorization": live["access_token"]})
    seen = [(request.token_state, request.status) for request in server.requests_to("api")][1:]
    wanted = [
        ("expired", 401),
        ("live", 200),
        ("revoked", 401),
        ("unknown", 401),
        ("none", 401),
        ("none", 401),
    ]
    assert seen == wanted


def test_the_api_knows_whose_token_it_is(server):
    form = {"grant_type": "password", "username": "ann", "password": "her password", "scope": "videos:read"}
    token = dict(ask(server, **form).json())
    assert token["scope"] == "videos:read"
    assert call(server, token).json() == {"sub": "ann", "client_id": "test-client", "scope": "videos:read"}


def test_a_bare_token_is_accepted_where_the_api_expects_no_scheme(server):
    server.authorization_scheme = None
    headers = {"Authorization": granted(server)["access_token"]}
    assert httpx.get(server.api_url + "/me", headers=headers).status_code == 200


def test_all_live_tokens_can_be_revoked_at_once(server):
    tokens = [granted(server) for _ in range(3)]
    assert server.revoke_access_tokens() == 3
    assert [call(server, token).status_code for token in tokens] == [401, 401, 401]
    assert server.revoke_access_tokens() == 0


def test_a_token_can_be_issued_without_a_token_request(server):
    token = dict(server.issue_token(subject="ann", scope="a b"))
    assert call(server, token).json()["sub"] == "ann"
    assert refreshed(server, token).json()["scope"] == "a b"
    assert len(server.token_calls) == 1


@pytest.mark.parametrize("name", CHALLENGES)
def test_a_401_looks_as_it_was_set(server, name):
    server.challenge = name
    answer, wanted = httpx.get(server.api_url + "/me"), CHALLENGES[name]
    assert (answer.status_code, answer.content) == (wanted.status, wanted.content)
    assert answer.headers.get("WWW-Authenticate") == dict(wanted.header_pairs).get("WWW-Authenticate")


def test_a_challenge_may_be_given_whole(server):
    server.challenge = Answer(401, headers={"WWW-Authenticate": "DPoP"}, body="no")
    answer = httpx.get(server.api_url + "/me")
    assert (answer.headers["WWW-Authenticate"], answer.text) == ("DPoP", "no")


# Refresh tokens


def test_rotation_spends_the_old_refresh_token_and_its_reuse_revokes_the_family(server):
    first = granted(server)
    second = refreshed(server, first).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert call(server, first).status_code == call(server, second).status_code == 200
    other_family = granted(server)

    reuse = refreshed(server, first)
    assert (reuse.status_code, reuse.json()["error"]) == (400, "invalid_grant")
    assert server.reuse_detected == 1
    assert call(server, first).status_code == call(server, second).status_code == 401
    assert refreshed(server, second).json()["error"] == "invalid_grant"
    assert refreshed(server, other_family).status_code == 200
    assert server.reuse_detected == 1


def test_reuse_revokes_nothing_where_the_server_is_told_so(server):
    server.revoke_family_on_reuse = False
    first = granted(server)
    second = refreshed(server, first).json()
    assert refreshed(server, first).status_code == 400
    assert server.reuse_detected == 1
    assert call(server, second).status_code == refreshed(server, second).status_code == 200


def test_within_the_grace_a_spent_refresh_token_gives_the_same_new_tokens(server):
    server.reuse_grace = 10
    first = granted(server)
    second = refreshed(server, first).json()
    server.advance(9)
    again = refreshed(server, first).json()
    assert again == {**second, "expires_in": 291}
    assert server.reuse_detected == 0
    server.advance(2)
    assert refreshed(server, first).status_code == 400
    assert server.reuse_detected == 1


def test_without_rotation_a_refresh_token_is_used_again_and_not_sent_again(server):
    server.rotate = False
    first = granted(server)
    answers = [refreshed(server, first).json() for _ in range(2)]
    assert not any("refresh_token" in answer for answer in answers)
    assert answers[0]["access_token"] != answers[1]["access_token"]


def test_a_refresh_token_expires_as_told(server):
    server.refresh_expires_in = 3600
    token = granted(server)
    assert token["refresh_expires_in"] == 3600
    server.advance(3600)
    answer = refreshed(server, token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert server.reuse_detected == 0


def test_a_refresh_lifetime_of_0_is_told_and_means_that_it_does_not_expire(server):
    server.refresh_expires_in = 0
    token = granted(server)
    assert token["refresh_expires_in"] == 0
    server.advance(10**9)
    assert refreshed(server, token).status_code == 200


def test_revoked_refresh_tokens_are_refused(server):
    token = granted(server)
    assert server.revoke_refresh_tokens() == 1
    assert refreshed(server, token).json()["error"] == "invalid_grant"


def test_a_refresh_never_widens_the_scope(server):
    token = granted(server, scope="a b")
    form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    assert ask(server, **form, scope="a c").json()["error"] == "invalid_scope"
    assert ask(server, **form, scope="a").json()["scope"] == "a"


def test_of_many_refreshes_at_once_with_one_token_exactly_one_succeeds(server):
    token = granted(server)
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: refreshed(server, token).status_code, range(30)))
    assert sorted(answers) == [200] + 29 * [400]
    assert server.reuse_detected == 29


# Discovery


@pytest.mark.parametrize("path", ["oauth-authorization-server", "openid-configuration"])
def test_the_metadata_names_the_token_endpoint(server, path):
    members = httpx.get(f"{server.url}/.well-known/{path}").json()
    assert (members["issuer"], members["token_endpoint"]) == (server.url, server.token_endpoint)
    assert [request.role for request in server.requests] == ["metadata"]
    assert server.token_calls == ()


def test_the_server_as_the_value_that_a_token_source_takes(server):
    value = server.authorization_server
    assert (value.issuer, value.token_endpoint) == (server.url, server.token_endpoint)


# Secrets


def test_every_secret_is_known_and_none_is_shown(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.token_faults.add(with_members(access_token="a token of the test's own"))
    own = granted(server)
    token = dict(ask(server, grant_type="password", username="ann", password="her password").json())
    new = refreshed(server, token).json()
    call(server, new)
    wanted = {own["access_token"], own["refresh_token"], token["access_token"], token["refresh_token"]}
    wanted |= {new["access_token"], new["refresh_token"], server.client_secret, "her password"}
    assert wanted <= server.secrets()
    shown = caplog.text + repr(server) + repr(server.requests) + repr(server.token_calls)
    assert [secret for secret in server.secrets() if secret in shown] == []


def test_importing_it_imports_no_pytest():
    code = "import sys, video_oauth_auth.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
