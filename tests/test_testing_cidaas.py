"""The bundled server as a cidaas tenant: discovery, forms and JSON, errors in three shapes, services."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwk, jwt

from video_oauth_auth import OAuth2Auth, discover
from video_oauth_auth.testing import CidaasServer, OAuthServer, text_answer
from video_oauth_auth.testing.cidaas import access_denied, service_error

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
REFERENCE = re.compile(rf"\d{{13}}-{UUID}")
DAY = 86_400


@pytest.fixture
def server() -> Iterator[CidaasServer]:
    with OAuthServer.cidaas(users={"ann@example.com": "her password"}) as running:
        yield running


def asked(server: CidaasServer, **form: str) -> httpx.Response:
    known = {"client_id": server.client_id, "client_secret": server.client_secret}
    return httpx.post(server.token_endpoint, data={"grant_type": "client_credentials", **known, **form})


def signed_in(server: CidaasServer, scope: str = "openid offline_access") -> dict[str, Any]:
    form = {"grant_type": "password", "username": "ann@example.com", "password": "her password"}
    return dict(asked(server, **form, scope=scope).json())


def bearer(token: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token['access_token']}"}


# Discovery


def test_the_configuration_has_every_member_of_a_tenant(server):
    members = httpx.get(server.url + "/.well-known/openid-configuration").json()
    assert members["issuer"] == server.url
    paths = {name: url.removeprefix(server.url) for name, url in members.items() if f"{url}".startswith(server.url)}
    assert paths == {
        "issuer": "",
        "authorization_endpoint": "/authz-srv/authz",
        "token_endpoint": "/token-srv/token",
        "revocation_endpoint": "/token-srv/revoke",
        "introspection_endpoint": "/token-srv/introspect",
        "introspection_async_update_endpoint": "/token-srv/introspect/async/tokenusage",
        "userinfo_endpoint": "/users-srv/userinfo",
        "jwks_uri": "/.well-known/jwks.json",
        "end_session_endpoint": "/session/end_session",
        "check_session_iframe": "/session/check_session",
        "device_authorization_endpoint": "/authz-srv/device/authz",
        "registration_endpoint": "/apps-srv/clients/register",
        "social_provider_token_resolver_endpoint": "/login-srv/social/token",
    }
    methods = ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]
    assert members["token_endpoint_auth_methods_supported"] == methods
    assert "client_credentials" in members["grant_types_supported"]
    assert members["code_challenge_methods_supported"] == ["plain", "S256"]
    for path in ("/.well-known/oauth-authorization-server", "/session/check_session"):  # not there, not served
        assert httpx.get(server.url + path).status_code == 404


def test_the_library_discovers_the_tenant(server):
    assert discover(server.issuer) == server.authorization_server


def test_a_custom_domain_is_another_public_origin(server):
    server.public_origins = {"token": "https://accounts.example.com"}
    members = httpx.get(server.url + "/.well-known/openid-configuration").json()
    assert members["token_endpoint"] == "https://accounts.example.com/token-srv/token"


# Tokens


def test_basic_body_and_json_are_all_taken(server):
    known = {"client_id": server.client_id, "client_secret": server.client_secret}
    form = {"grant_type": "client_credentials"}
    answers = [
        httpx.post(server.token_endpoint, data=form, auth=(server.client_id, server.client_secret)),
        httpx.post(server.token_endpoint, data={**form, **known}),
        httpx.post(server.token_endpoint, json={**form, **known}),
        httpx.post(server.token_endpoint, json=form, auth=(server.client_id, server.client_secret)),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    token = answers[0].json()
    assert {**token, "access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": DAY,
        "sub": "ANONYMOUS",
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"{", b"\xff", b"7"])
def test_json_that_is_no_object_is_refused(server, body):
    answer = httpx.post(server.token_endpoint, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert server.failures == []


def test_an_app_may_be_registered_for_less_than_the_tenant_supports(server):
    server.token_endpoint_auth_methods = ("client_secret_post",)
    form, auth = {"grant_type": "client_credentials"}, (server.client_id, server.client_secret)
    assert httpx.post(server.token_endpoint, data=form, auth=auth).json()["error"] == "invalid_client"
    assert asked(server).status_code == 200


def test_access_tokens_are_signed_and_their_scopes_are_a_list(server):
    token = asked(server, scope="cidaas:users_read profile").json()
    keys = jwk.KeySet.import_key_set(httpx.get(server.url + "/.well-known/jwks.json").json())
    claims = jwt.decode(token["access_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (server.url, "ANONYMOUS", server.client_id)
    assert claims["scopes"] == ["cidaas:users_read", "profile"]
    assert "scope" not in claims


def test_a_user_gets_an_id_token_an_identity_and_for_offline_access_a_refresh_token(server):
    token = signed_in(server)
    assert token.keys() >= {"sub", "identity_id", "id_token", "refresh_token", "access_token"}
    assert token["id_token_expires_in"] == DAY
    assert re.fullmatch(UUID, token["refresh_token"])
    assert not {"refresh_token", "id_token"} & signed_in(server, scope="profile").keys()
    assert {token["id_token"], token["refresh_token"]} <= server.secrets()


@pytest.mark.parametrize("start", [signed_in, lambda server: asked(server, scope="offline_access").json()])
def test_each_refresh_gives_a_new_refresh_token(server, start):
    first = start(server)
    second = asked(server, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["sub"] == first["sub"]
    spent = asked(server, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (spent.status_code, spent.json()["error"]) == (400, "invalid_grant")
    assert "expired or already used or revoked" in spent.json()["error_description"]


# Errors


def test_errors_of_the_token_endpoint_are_codes(server):
    answer = asked(server, client_secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert asked(server, grant_type="something").json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("path", ["/users-srv/userinfo", "/groups-srv/usergroups/x", "/me"])
@pytest.mark.parametrize("origin", ["url", "api_url"])
def test_without_a_live_token_the_error_is_a_sentence_with_a_number_of_its_own(server, origin, path):
    answers = [httpx.get(getattr(server, origin) + path, headers={"Authorization": "Bearer x"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert {answer.json()["error"] for answer in answers} == {"Access denied for this resource"}
    numbers = [answer.json()["refnumber"] for answer in answers]
    assert all(REFERENCE.fullmatch(number) for number in numbers)
    assert len(set(numbers)) == 2


def test_an_error_of_a_service_is_an_object_with_417(server):
    answer = httpx.post(server.url + "/groups-srv/usergroups", json={}, headers=bearer(asked(server).json()))
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (417, False, 417)
    assert body["error"].keys() == {"code", "moreInfo", "type", "status", "referenceNumber", "error"}
    assert REFERENCE.fullmatch(body["error"]["referenceNumber"])


def test_the_shapes_can_be_given_by_the_token_endpoint_too(server):
    shapes = [access_denied(400), service_error(417, code=7, type="X", error="no"), text_answer(404, "not found")]
    for shape in shapes:
        server.token_faults.add(shape)
    answers = [asked(server) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [400, 417, 404, 200]
    assert answers[1].json()["error"]["error"] == "no"
    assert answers[2].headers["Content-Type"].startswith("text/plain")


def test_revocation_says_ok_in_plain_text_to_everybody(server):
    token = signed_in(server)
    url = server.url + "/token-srv/revoke"
    for text in (token["access_token"], "unknown"):
        answer = httpx.post(url, data={"token": text, "token_type_hint": "access_token"})
        assert (answer.status_code, answer.text) == (200, "OK")
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert httpx.get(server.url + "/users-srv/userinfo", headers=bearer(token)).status_code == 401
    assert len(server.requests_to("revocation")) == 2


# Services


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_is_told_without_an_envelope(server, method):
    url, token = server.url + "/users-srv/userinfo", signed_in(server)
    told = httpx.request(method, url, headers=bearer(token)).json()
    assert (told["sub"], told["email"]) == (token["sub"], "ann@example.com")
    (identity,) = told["identities"]
    assert identity == {
        "provider": "self",
        "identityId": token["identity_id"],
        "email": "ann@example.com",
        "email_verified": True,
    }
    nobody = httpx.request(method, url, headers=bearer(asked(server).json()))
    assert nobody.json() == {"sub": "ANONYMOUS"}


@pytest.mark.parametrize("origin", ["url", "api_url"])
def test_groups_come_in_the_envelope_of_success(server, origin):
    base, headers = getattr(server, origin) + "/groups-srv", bearer(asked(server).json())
    made = httpx.post(f"{base}/usergroups", json={"groupId": "crew", "groupName": "Crew"}, headers=headers)
    group = {"groupId": "crew", "groupName": "Crew", "groupType": "team", "parentId": "root"}
    assert made.json() == {"success": True, "status": 200, "data": group}
    assert httpx.get(f"{base}/usergroups/crew", headers=headers).json()["data"] == group

    server.add_group("camera", "Camera", "crew")
    found = httpx.post(f"{base}/graph/usergroups", json={"parentId": "crew"}, headers=headers).json()
    assert [group["groupId"] for group in found["data"]["groups"]] == ["camera"]
    assert httpx.post(f"{base}/graph/usergroups", json={"parentId": "x"}, headers=headers).status_code == 204
    assert httpx.get(f"{base}/usergroups/nobody", headers=headers).status_code == 204
    assert httpx.get(f"{base}/nothing", headers=headers).status_code == 404


def test_the_library_works_with_the_tenant_and_with_a_service_of_the_customers_own(server):
    auth = OAuth2Auth.client_credentials(
        server.issuer, server.client_id, server.client_secret, origins=[server.url, server.api_url]
    )
    server.add_group("crew", "Crew")
    with httpx.Client(auth=auth) as client:
        assert client.get(server.url + "/groups-srv/usergroups/crew").json()["success"] is True
        server.revoke_access_tokens()
        assert client.post(server.api_url + "/upload", content=b"film").json()["size"] == 4
    assert [request.role for request in server.requests] == ["metadata", "token", "api", "api", "token", "api"]
