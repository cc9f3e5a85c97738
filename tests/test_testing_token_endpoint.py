"""The token endpoint of the bundled server: how the client authenticates, and what a token request is."""

import base64
from collections.abc import Iterator
from urllib.parse import quote_plus

import httpx
import pytest

from video_oauth_auth.testing import OAuthServer

STRANGE_ID = "client:1 %/é"
STRANGE_SECRET = "s e+c%r:t/é~&="


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={"ann": "her password"}) as running:
        yield running


def ask(server: OAuthServer, **form: str) -> httpx.Response:
    """One token request, authenticated in the body."""
    secret = {"client_id": server.client_id, "client_secret": server.client_secret}
    return httpx.post(server.token_endpoint, data={**secret, **form})


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()}


# How the client authenticates


@pytest.mark.parametrize(
    ("encode", "status"),
    [(quote_plus, 200), (lambda text: text, 400)],
    ids=["form-encoded, as RFC 6749 says", "as it is"],
)
def test_basic_credentials_are_form_decoded(server, encode, status):
    server.client_id, server.client_secret = STRANGE_ID, STRANGE_SECRET
    answer = httpx.post(
        server.token_endpoint,
        data={"grant_type": "client_credentials"},
        headers=basic(encode(STRANGE_ID), encode(STRANGE_SECRET)),
    )
    assert answer.status_code == status
    assert ("access_token" in answer.json()) == (status == 200)


def test_a_plus_sign_in_basic_credentials_is_a_space(server):
    server.client_secret = "a b"
    form = {"grant_type": "client_credentials"}
    answer = httpx.post(server.token_endpoint, data=form, headers=basic(server.client_id, "a+b"))
    assert answer.status_code == 200


def test_credentials_in_the_body_may_hold_any_characters(server):
    server.client_id, server.client_secret = STRANGE_ID, STRANGE_SECRET
    assert ask(server, grant_type="client_credentials").json()["access_token"]


REFUSED = [
    ("wrong secret in Basic", {}, basic("test-client", "wrong"), 401, "invalid_client"),
    ("unknown client in Basic", {}, basic("nobody", "test-client-secret"), 401, "invalid_client"),
    ("no base64", {}, {"Authorization": "Basic ???"}, 401, "invalid_client"),
    ("no credentials", {}, {}, 401, "invalid_client"),
    (
        "wrong secret in the body",
        {"client_id": "test-client", "client_secret": "x"},
        {},
        401,
        "invalid_client",
    ),
    ("only the id, though it has a secret", {"client_id": "test-client"}, {}, 401, "invalid_client"),
    (
        "two authentications",
        {"client_secret": "test-client-secret"},
        basic("test-client", "test-client-secret"),
        400,
        "invalid_request",
    ),
]


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_client_that_does_not_authenticate_in_exactly_one_way_gets_no_token(server, form, headers, status, error):
    form = {"grant_type": "client_credentials", **form}
    answer = httpx.post(server.token_endpoint, data=form, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert not [text for text in server.secrets() if text.startswith("access-")]


def test_repeated_credentials_are_refused(server):
    headers = [*basic(server.client_id, server.client_secret).items()] * 2
    answer = httpx.post(server.token_endpoint, data={"grant_type": "client_credentials"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_method_that_is_not_allowed_is_refused(server):
    server.token_endpoint_auth_methods = ("client_secret_basic",)
    assert ask(server, grant_type="client_credentials").status_code == 401


def test_a_public_client_may_use_a_password_but_not_client_credentials(server):
    server.token_endpoint_auth_methods = ("none",)
    form = {"client_id": server.client_id, "username": "ann", "password": "her password"}
    answer = httpx.post(server.token_endpoint, data={**form, "grant_type": "password"})
    assert answer.status_code == 200
    answer = httpx.post(server.token_endpoint, data={**form, "grant_type": "client_credentials"})
    assert answer.json()["error"] == "unauthorized_client"


def test_a_changed_secret_replaces_the_old_one_which_is_still_known(server):
    old = server.client_secret
    server.change_secret("another secret")
    form = {"grant_type": "client_credentials"}
    assert httpx.post(server.token_endpoint, data=form, headers=basic("test-client", old)).status_code == 401
    assert ask(server, **form).status_code == 200
    assert {old, "another secret"} <= server.secrets()


# What a token request must look like


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"method": "GET", "params": {"grant_type": "client_credentials"}}, 405),
        ({"method": "POST", "json": {"grant_type": "client_credentials"}}, 400),
        ({"method": "POST", "params": {"grant_type": "client_credentials"}}, 400),
        ({"method": "POST", "data": {"grant_type": ["client_credentials"] * 2}}, 400),
        ({"method": "POST", "data": {"grant_type": "something"}}, 400),
        ({"method": "POST", "data": {}}, 400),
    ],
    ids=["GET", "JSON", "query", "repeated", "unknown grant", "empty"],
)
def test_what_is_no_token_request_is_refused(server, request_, status):
    headers = basic(server.client_id, server.client_secret)
    answer = httpx.request(url=server.token_endpoint, headers=headers, **request_)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("username", "password"),
    [("ann", "wrong"), ("bob", "her password"), ("ann", ""), ("ann", "her  password")],
)
def test_a_wrong_password_is_an_invalid_grant(server, username, password):
    answer = ask(server, grant_type="password", username=username, password=password)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
