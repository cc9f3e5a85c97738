"""What the bundled server says about itself: metadata in both forms, issuers with a path, keys, revocation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from joserfc import jwk

from video_oauth_auth import OAuth2Auth, discover
from video_oauth_auth.testing import OAuthServer, unavailable, with_members

OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


def asked(server: OAuthServer, **form: str) -> httpx.Response:
    """One token request, authenticated in the body."""
    secret = {"client_id": server.client_id, "client_secret": server.client_secret}
    return httpx.post(server.token_endpoint, data={**secret, "grant_type": "client_credentials", **form})


# Metadata


@pytest.mark.parametrize("path", [OPENID, OAUTH])
def test_the_metadata_name_everything_that_is_there(server, path):
    members = httpx.get(server.url + path).json()
    assert members["issuer"] == server.issuer == server.url
    assert members["token_endpoint"] == server.token_endpoint
    assert members["revocation_endpoint"] == server.url + "/revoke"
    assert members["userinfo_endpoint"] == server.url + "/userinfo"
    assert members["device_authorization_endpoint"] == server.url + "/device_authorization"
    assert members["end_session_endpoint"] == server.url + "/end_session"
    grants = ["client_credentials", "password", "refresh_token", "authorization_code"]
    assert members["grant_types_supported"] == [*grants, "urn:ietf:params:oauth:grant-type:device_code"]
    assert members["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    assert members["response_types_supported"] == ["code"]
    assert members["subject_types_supported"] == ["public"]
    assert members["id_token_signing_alg_values_supported"] == ["RS256"]
    assert "token_endpoint_auth_signing_alg_values_supported" not in members


def test_the_algorithms_for_assertions_are_named_where_assertions_are_taken(server):
    server.token_endpoint_auth_methods = ("private_key_jwt",)
    server.token_endpoint_auth_signing_algs = ("ES256",)
    members = httpx.get(server.url + OPENID).json()
    assert members["token_endpoint_auth_signing_alg_values_supported"] == ["ES256"]


@pytest.mark.parametrize(
    ("documents", "statuses"),
    [
        (("openid-configuration",), [200, 404]),
        (("oauth-authorization-server",), [404, 200]),
        ((), [404, 404]),
    ],
)
def test_which_documents_there_are_is_a_setting(server, documents, statuses):
    server.discovery_documents = documents
    assert [httpx.get(server.url + path).status_code for path in (OPENID, OAUTH)] == statuses
    assert server.authorization_server.issuer == (server.url if documents else None)


def test_an_issuer_with_a_path_has_its_documents_behind_and_before_the_path(server):
    server.issuer_path = "/realms/films"
    places = {path: httpx.get(server.url + path) for path in (f"/realms/films{OPENID}", f"{OAUTH}/realms/films")}
    assert {answer.json()["issuer"] for answer in places.values()} == {server.url + "/realms/films"}
    assert [httpx.get(server.url + path).status_code for path in (OPENID, OAUTH)] == [404, 404]
    assert {request.role for request in server.requests} == {"metadata"}


@pytest.mark.parametrize("document", ["openid-configuration", "oauth-authorization-server"])
@pytest.mark.parametrize("path", ["", "/realms/films"])
def test_the_library_discovers_the_server(server, document, path):
    server.issuer_path, server.discovery_documents = path, (document,)
    found = discover(server.issuer)
    assert (found.issuer, found.token_endpoint) == (server.issuer, server.token_endpoint)
    assert found == server.authorization_server


def test_a_whole_token_call_after_discovery(server):
    server.issuer_path = "/tenant"
    auth = OAuth2Auth.client_credentials(
        server.issuer, server.client_id, server.client_secret, origins=[server.api_url]
    )
    assert httpx.get(server.api_url + "/me", auth=auth).json()["sub"] == server.client_id
    assert [request.role for request in server.requests] == ["metadata", "token", "api"]


def test_metadata_can_name_another_issuer_by_a_fault(server):
    server.metadata_faults.add(with_members(issuer="https://other.example"))
    assert httpx.get(server.url + OPENID).json()["issuer"] == "https://other.example"
    assert httpx.get(server.url + OPENID).json()["issuer"] == server.url


def test_documents_say_how_long_they_may_be_kept_only_if_that_is_set(server):
    headers = httpx.get(server.url + OPENID).headers
    assert not {"cache-control", "expires"} & headers.keys()
    server.metadata_max_age = 90
    headers = httpx.get(server.url + OPENID).headers
    assert headers["Cache-Control"] == "max-age=90"
    left = parsedate_to_datetime(headers["Expires"]) - datetime.now(UTC)
    assert timedelta(seconds=80) < left <= timedelta(seconds=90)


def test_public_origins_are_written_wherever_the_server_names_itself(server):
    server.public_origins = {"token": "https://login.example.com"}
    members = httpx.get(server.url + OPENID).json()
    assert (members["issuer"], members["token_endpoint"]) == (
        "https://login.example.com",
        "https://login.example.com/token",
    )
    assert server.issuer == "https://login.example.com"
    assert server.token_endpoint == server.url + "/token"  # where it really is


def test_the_keys_are_public_and_stay_the_same(server):
    sets = [httpx.get(server.url + "/jwks").json() for _ in range(2)]
    assert sets[0] == sets[1]
    (key,) = sets[0]["keys"]
    assert "d" not in key
    assert not jwk.import_key(key).is_private


@pytest.mark.parametrize("path", [OPENID, "/jwks"])
def test_documents_can_only_be_read(server, path):
    assert httpx.post(server.url + path).status_code == 405
    assert httpx.head(server.url + path).status_code == 200


# Userinfo


def test_the_userinfo_endpoint_wants_a_token_and_tells_whose_it_is(server):
    token = server.issue_token(subject="ann")["access_token"]
    answer = httpx.get(server.url + "/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.json() == {"sub": "ann"}
    assert httpx.get(server.url + "/userinfo").status_code == 401
    assert [request.role for request in server.requests] == ["api", "api"]


# Revocation


def revoked(server: OAuthServer, token: str, **form: str) -> httpx.Response:
    secret = {"client_id": server.client_id, "client_secret": server.client_secret}
    return httpx.post(server.url + "/revoke", data={**secret, "token": token, **form})


def test_a_revoked_access_token_is_dead_and_others_live(server):
    first, second = (asked(server).json()["access_token"] for _ in range(2))
    answer = revoked(server, first)
    assert (answer.status_code, answer.content) == (200, b"")
    states = []
    for token in (first, second):
        httpx.get(server.api_url + "/me", headers={"Authorization": f"Bearer {token}"})
        states.append(server.requests[-1].token_state)
    assert states == ["revoked", "live"]
    assert [request.path for request in server.requests_to("revocation")] == ["/revoke"]


def test_with_a_refresh_token_goes_all_that_stems_from_its_grant(server):
    server.refresh_tokens = True
    token = asked(server).json()
    assert revoked(server, token["refresh_token"]).status_code == 200
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert httpx.get(server.api_url + "/me", headers=headers).status_code == 401
    answer = asked(server, grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert answer.json()["error"] == "invalid_grant"
    assert server.reuse_detected == 0


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"token": "unknown"}, 200, None),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
    ],
)
def test_a_revocation_wants_a_client_but_no_known_token(server, form, status, error):
    answer = revoked(server, **{"token": "unknown", **form})
    assert (answer.status_code, answer.json()["error"] if error else None) == (status, error)


def test_a_revocation_without_a_token_is_refused(server):
    secret = {"client_id": server.client_id, "client_secret": server.client_secret}
    answer = httpx.post(server.url + "/revoke", data=secret)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_revocations_have_faults_of_their_own(server):
    token = asked(server).json()["access_token"]
    server.revocation_faults.add(unavailable())
    assert revoked(server, token).status_code == 503
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(server.api_url + "/me", headers=headers).status_code == 200
    assert len(server.token_calls) == 1
