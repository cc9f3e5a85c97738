"""The bundled server as movingimage: Keycloak's token endpoint, WebFinger, and the API of VideoManagers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from joserfc import jwk, jwt

from video_oauth_auth import OAuth2Auth, OAuthClient, ResourceOwnerPassword, TokenSource, discover
from video_oauth_auth.testing import MovingimageServer, OAuthServer

REALM = "/auth/realms/platform"
TOKEN = f"{REALM}/protocol/openid-connect/token"
CONFIGURATION = f"{REALM}/.well-known/openid-configuration"


@pytest.fixture
def server() -> Iterator[MovingimageServer]:
    with OAuthServer.movingimage(users={"ann": "her password"}) as running:
        yield running


def asked(server: MovingimageServer, **form: str) -> httpx.Response:
    return httpx.post(server.token_endpoint, data=form)


def signed_in(server: MovingimageServer, **form: str) -> dict[str, Any]:
    """What the vendor's page shows for scripts: the public client, and a password."""
    wanted = {"client_id": "anonymous", "grant_type": "password", "response_type": "token", "scope": "openid"}
    answer = asked(server, **wanted, username="ann", password="her password", **form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refreshed(server: MovingimageServer, refresh_token: str, **form: str) -> httpx.Response:
    wanted = {"client_id": "anonymous", "grant_type": "refresh_token", "refresh_token": refresh_token}
    return asked(server, **wanted, **form)


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["error"], answer.json()["error_description"]


def call(server: MovingimageServer, token: dict[str, Any], path: str, **query: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    return httpx.get(server.api_url + path, headers=headers, params=query)


# Discovery


def test_webfinger_at_the_api_links_to_the_configuration_itself(server):
    resource = server.api_url + "/v1/"
    answer = httpx.get(server.api_url + "/.well-known/webfinger", params={"resource": resource})
    assert answer.headers["Content-Type"] == "application/jrd+json"
    assert answer.headers["Cache-Control"] == "max-age=600"
    assert answer.headers["Expires"].endswith(" GMT")
    configuration = server.url + CONFIGURATION
    assert answer.json() == {
        "subject": resource,
        "properties": {
            f"{resource}keycloak/realm": "platform",
            f"{resource}keycloak/auth-server-url": f"{server.url}/auth/",
        },
        "links": [{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": configuration}],
    }
    members = httpx.get(configuration).json()
    assert (members["issuer"], members["token_endpoint"]) == (server.url + REALM, server.url + TOKEN)
    assert httpx.get(configuration + "/.well-known/openid-configuration").status_code == 404
    assert {request.role for request in server.requests} == {"metadata"}


@pytest.mark.parametrize(("query", "status"), [({}, 400), ({"resource": "https://api.video-cdn.net/v1/"}, 404)])
def test_webfinger_knows_no_other_resource(server, query, status):
    assert httpx.get(server.api_url + "/.well-known/webfinger", params=query).status_code == status


def test_webfinger_is_at_the_api_and_nowhere_else(server):
    query = {"resource": server.api_url + "/v1/"}
    assert httpx.get(server.url + "/.well-known/webfinger", params=query).status_code == 404


def test_a_realm_elsewhere_is_found_in_the_same_way(server):
    server.issuer_path = "/auth/realms/customer"
    server.public_origins = {"api": "https://api.customer.example", "token": "https://login.customer.example"}
    resource = "https://api.customer.example/v1/"
    found = httpx.get(server.api_url + "/.well-known/webfinger", params={"resource": resource}).json()
    assert found["properties"][f"{resource}keycloak/realm"] == "customer"
    assert found["links"][0]["href"].startswith("https://login.customer.example/auth/realms/customer/.well-known/")


def test_the_library_discovers_the_realm(server):
    assert discover(server.issuer) == server.authorization_server


# Tokens


def test_a_script_signs_in_with_the_public_client_and_gets_what_keycloak_sends(server):
    token = signed_in(server)
    assert {name: token[name] for name in ("expires_in", "refresh_expires_in", "token_type", "not-before-policy")} == {
        "expires_in": 300,
        "refresh_expires_in": 3600,
        "token_type": "bearer",
        "not-before-policy": 0,
    }
    assert token["scope"] == "openid profile email"
    assert token.keys() >= {"access_token", "refresh_token", "id_token", "session_state"}


def test_the_tokens_are_signed_by_the_realm(server):
    token = signed_in(server)
    keys = jwk.KeySet.import_key_set(httpx.get(f"{server.url}{REALM}/protocol/openid-connect/certs").json())
    read = {name: jwt.decode(token[name], keys, algorithms=["RS256"]).claims for name in ("access_token", "id_token")}
    access, identity = read["access_token"], read["id_token"]
    assert access["iss"] == identity["iss"] == server.issuer
    assert (access["azp"], identity["aud"]) == ("anonymous", "anonymous")
    assert access["exp"] - access["iat"] == 300
    assert access["session_state"] == token["session_state"]
    assert access["sub"] == identity["sub"] == call(server, token, "/me").json()["sub"]


def test_without_openid_there_is_no_id_token(server):
    form = {"client_id": "anonymous", "grant_type": "password", "username": "ann", "password": "her password"}
    token = asked(server, **form).json()
    assert token["scope"] == "profile email"
    assert "id_token" not in token


def test_the_confidential_client_has_its_secret_in_the_body(server):
    client = {"client_id": server.client_id, "client_secret": server.client_secret}
    token = asked(server, **client, grant_type="password", username="ann", password="her password").json()
    answer = asked(server, **client, grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert answer.json()["refresh_token"] != token["refresh_token"]
    wrong = asked(server, client_id=server.client_id, grant_type="refresh_token", refresh_token="x")
    assert refusal(wrong) == (401, "unauthorized_client", "Invalid client or Invalid client credentials")


REFUSED = {
    "wrong password": ({"password": "wrong"}, (401, "invalid_grant", "Invalid user credentials")),
    "unknown user": ({"username": "bob"}, (401, "invalid_grant", "Invalid user credentials")),
    "unknown client": (
        {"client_id": "nobody"},
        (401, "invalid_client", "Invalid client or Invalid client credentials"),
    ),
    "a secret where there is none": (
        {"client_secret": "x"},
        (401, "unauthorized_client", "Invalid client or Invalid client credentials"),
    ),
}


@pytest.mark.parametrize(("change", "wanted"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_sign_in_reads_like_keycloaks(server, change, wanted):
    form = {"client_id": "anonymous", "grant_type": "password", "username": "ann", "password": "her password"}
    assert refusal(asked(server, **{**form, **change})) == wanted


@pytest.mark.parametrize("grant_type", ["client_credentials", "authorization_code"])
def test_other_grants_are_not_enabled(server, grant_type):
    client = {"client_id": server.client_id, "client_secret": server.client_secret}
    assert asked(server, **client, grant_type=grant_type).status_code == 400


# Refresh


def test_a_refresh_takes_the_parameters_of_the_vendors_page(server):
    first = signed_in(server)
    more = {"response_type": "token", "redirect_uri": "https://client.example/callback", "scope": "openid"}
    second = refreshed(server, first["refresh_token"], **more).json()
    assert second.keys() == first.keys()
    assert second["scope"] == first["scope"]
    assert second["session_state"] == first["session_state"]
    assert second["refresh_token"] != first["refresh_token"]


def test_each_refresh_begins_the_hour_again(server):
    token = signed_in(server)
    for _ in range(3):
        server.advance(3599)
        token = refreshed(server, token["refresh_token"]).json()
        assert token["refresh_expires_in"] == 3600
    server.advance(3600)
    expired = refreshed(server, token["refresh_token"])
    assert refusal(expired) == (400, "invalid_grant", "Token is not active")


def test_a_spent_refresh_token_is_stale_and_ends_the_session(server):
    first = signed_in(server)
    second = refreshed(server, first["refresh_token"]).json()
    assert refusal(refreshed(server, first["refresh_token"])) == (400, "invalid_grant", "Stale token")
    assert server.reuse_detected == 1
    assert refusal(refreshed(server, second["refresh_token"])) == (400, "invalid_grant", "Session not active")
    assert call(server, second, "/v1/vms").status_code == 401


def test_of_twenty_refreshes_at_once_one_succeeds_and_nineteen_are_stale(server):
    token = signed_in(server)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: refreshed(server, token["refresh_token"]), range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + 19 * [400]
    assert {answer.json().get("error_description") for answer in answers} == {None, "Stale token"}


def test_a_session_that_was_ended_and_a_token_that_never_was(server):
    token = signed_in(server)
    assert server.revoke_refresh_tokens() == 1
    assert refusal(refreshed(server, token["refresh_token"]))[2] == "Session not active"
    assert refusal(refreshed(server, "never issued"))[2] == "Invalid refresh token"
    assert server.reuse_detected == 0


def test_a_refresh_token_belongs_to_its_client(server):
    client = {"client_id": server.client_id, "client_secret": server.client_secret}
    foreign = signed_in(server)["refresh_token"]
    answer = asked(server, **client, grant_type="refresh_token", refresh_token=foreign)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_offline_tokens_tell_0_and_do_not_expire():
    with OAuthServer.movingimage(users={"ann": "her password"}, refresh_expires_in=0) as server:
        token = signed_in(server)
        assert token["refresh_expires_in"] == 0
        server.advance(10**9)
        assert refreshed(server, token["refresh_token"]).status_code == 200


def test_a_token_made_without_a_request_is_as_full_as_the_others(server):
    token = dict(server.issue_token(subject="ann", scope="openid"))
    assert token.keys() == signed_in(server).keys()
    assert call(server, token, "/v1/vms").json() == []


def test_every_token_is_a_known_secret(server):
    token = signed_in(server)
    assert {token["access_token"], token["refresh_token"], token["id_token"], "her password"} <= server.secrets()


# The API


def test_the_api_answers_without_a_live_token_with_a_page(server):
    answer = httpx.get(server.api_url + "/v1/vms", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert "<title>Error</title>" in answer.text
    assert "WWW-Authenticate" not in answer.headers


def test_keycloaks_userinfo_has_a_challenge_and_knows_the_user(server):
    url = f"{server.url}{REALM}/protocol/openid-connect/userinfo"
    assert httpx.get(url).headers["WWW-Authenticate"].startswith("Bearer ")
    token = signed_in(server)
    told = httpx.get(url, headers={"Authorization": f"Bearer {token['access_token']}"}).json()
    assert told["preferred_username"] == "ann"


def test_video_managers_and_their_videos_are_listed_in_pages(server):
    token = signed_in(server)
    films, empty = server.add_video_manager("Films"), server.add_video_manager("Empty")
    for number in range(5):
        server.add_video(films, f"film {number}")
    assert call(server, token, "/v1/vms").json() == [{"id": films, "name": "Films"}, {"id": empty, "name": "Empty"}]

    order = {"order_property": "title", "order": "asc", "limit": 2}
    pages = [call(server, token, f"/v1/vms/{films}/videos", **order, offset=at).json() for at in (0, 2, 4, 6)]
    assert [page["total"] for page in pages] == [5, 5, 5, 5]
    assert [[video["title"][-1] for video in page["videos"]] for page in pages] == [["0", "1"], ["2", "3"], ["4"], []]
    assert pages[0]["videos"][0].keys() == {"id", "videoManagerId", "title", "createdDate", "published"}
    falling = call(server, token, f"/v1/vms/{films}/videos", order_property="title", order="desc").json()
    assert [video["title"][-1] for video in falling["videos"]] == ["4", "3", "2", "1", "0"]
    assert call(server, token, f"/v1/vms/{empty}/videos").json() == {"total": 0, "videos": []}


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/v1/vms/1/videos", {}, 404),
        ("/v1/nothing", {}, 404),
        ("/v1/vms/{}/videos", {"limit": 0}, 400),
        ("/v1/vms/{}/videos", {"offset": "x"}, 400),
        ("/v1/vms/{}/videos", {"order": "up"}, 400),
        ("/v1/vms/{}/videos", {"order_property": "secret"}, 400),
    ],
)
def test_errors_of_the_api_have_a_message(server, path, query, status):
    path = path.format(server.add_video_manager("Films"))
    answer = call(server, signed_in(server), path, **query)
    assert (answer.status_code, list(answer.json())) == (status, ["message"])


def test_the_library_works_through_expiry_rotation_and_the_end_of_the_session(server):
    films = server.add_video_manager("Films")
    grant = ResourceOwnerPassword("ann", "her password", scope="openid")
    source = TokenSource(server.issuer, OAuthClient("anonymous"), grant)
    with httpx.Client(auth=OAuth2Auth(source, origins=[server.api_url])) as client:
        for seconds in (0, 301, 301, 3601):
            server.advance(seconds)
            assert client.get(server.api_url + "/v1/vms").json() == [{"id": films, "name": "Films"}]
    grants = [(request.form["grant_type"], request.status) for request in server.token_calls]
    assert grants == [("password", 200), *2 * [("refresh_token", 200)], ("refresh_token", 400), ("password", 200)]
    assert server.reuse_detected == 0
