"""private_key_jwt and client_secret_jwt: what is signed, with what, for whom, and that nothing is sent twice."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwk

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    ConfigurationError,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
)
from video_oauth_auth.testing import Drop, OAuthServer, unavailable

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECRET = "a client secret that is long enough for HS256"
KEYS = {
    "RSA": jwk.RSAKey.generate_key(2048),
    "EC": jwk.ECKey.generate_key("P-256"),
    "Ed25519": jwk.OKPKey.generate_key("Ed25519"),
}
RSA = KEYS["RSA"]


def pem(key: Any) -> str:
    return key.as_pem(private=True).decode()


def traditional_pem(key: Any) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    nothing = serialization.NoEncryption()
    return key.private_key.private_bytes(serialization.Encoding.PEM, form, nothing).decode()


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    public = RSA.as_dict(private=False)
    methods = ("client_secret_jwt", "private_key_jwt")
    with OAuthServer(client_secret=SECRET, client_jwk=public, token_endpoint_auth_methods=methods) as running:
        yield running


def source_at(server: OAuthServer, private_key: Any = None, **keywords: Any) -> TokenSource:
    client = OAuthClient(server.client_id, private_key=pem(RSA) if private_key is None else private_key)
    return TokenSource(server.issuer, client, ClientCredentials(), **{"token_timeout": 10.0} | keywords)


def by_secret(server: OAuthServer, **keywords: Any) -> TokenSource:
    client = OAuthClient(server.client_id, SECRET, token_endpoint_auth_method="client_secret_jwt")
    return TokenSource(server.issuer, client, ClientCredentials(), **{"token_timeout": 10.0} | keywords)


def parts(call: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of the assertion in a token request."""
    texts = call.form["client_assertion"].split(".")[:2]
    header, claims = (json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) for text in texts)
    return header, claims


# --- keys -----------------------------------------------------------------------------------------------------------

WRITTEN = {"PEM": pem, "traditional PEM": traditional_pem, "JWK": lambda key: key.as_dict(private=True)}
FORMS = [(kind, form) for kind in KEYS for form in WRITTEN if (kind, form) != ("Ed25519", "traditional PEM")]
EXPECTED = {"RSA": "RS256", "EC": "ES256", "Ed25519": "Ed25519"}


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_a_key_of_each_kind_in_each_form_is_taken(server, kind, form):
    key = KEYS[kind]
    server.client_jwk = key.as_dict(private=False)
    source_at(server, WRITTEN[form](key)).get_token()
    (call,) = server.token_calls
    assert call.status == 200
    assert parts(call)[0]["alg"] == EXPECTED[kind]


def test_all_five_clients_sign(client, server):
    source = source_at(server)
    answer = client.send(OAuth2Auth(source, origins=[server.api_url]), "GET", f"{server.api_url}/me")
    assert answer.json()["sub"] == server.client_id
    assert parts(server.token_calls[0])[1]["sub"] == server.client_id


@pytest.mark.parametrize("make", [source_at, by_secret])
def test_what_is_signed_and_nothing_else_proves_who_asks(server, make):
    make(server).get_token()
    (call,) = server.token_calls
    header, claims = parts(call)
    assert header["alg"] == ("RS256" if make is source_at else "HS256")
    assert claims["iss"] == claims["sub"] == server.client_id
    assert claims["aud"] == server.issuer
    assert 0 < claims["exp"] - claims["iat"] <= 60
    assert len(claims["jti"]) >= 16
    assert call.header("Authorization") is None
    assert set(call.form) == {"grant_type", "client_id", "client_assertion_type", "client_assertion"}
    assert call.form["client_assertion_type"] == ASSERTION_TYPE
    assert SECRET not in call.body.decode()


def test_the_id_of_a_jwk_is_told(server):
    source_at(server, RSA.as_dict(private=True) | {"kid": "key-2"}).get_token()
    source_at(server, {name: value for name, value in RSA.as_dict(private=True).items() if name != "kid"}).get_token()
    assert [parts(call)[0].get("kid") for call in server.token_calls] == ["key-2", None]


# --- never twice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [source_at, by_secret])
def test_each_try_has_a_jti_of_its_own(server, make):
    server.token_faults.add(unavailable())
    server.token_faults.add(Drop("after"))  # the server has seen that jti
    source = make(server)
    first = source.get_token()
    source.get_token(rejected=first)
    assert [call.status for call in server.token_calls] == [503, None, 200, 200]
    identifiers = [parts(call)[1]["jti"] for call in server.token_calls]
    assert len(set(identifiers)) == 4


def test_a_refresh_is_signed_too(server):
    server.refresh_tokens = True
    source = source_at(server)
    source.get_token(rejected=source.get_token())
    assert [call.form["grant_type"] for call in server.token_calls] == ["client_credentials", "refresh_token"]
    assert len({parts(call)[1]["jti"] for call in server.token_calls}) == 2


# --- for whom -------------------------------------------------------------------------------------------------------


def test_where_no_issuer_is_known_it_is_for_the_token_endpoint(server):
    client = OAuthClient(server.client_id, private_key=pem(RSA))
    place = AuthorizationServer(token_endpoint=server.token_endpoint)
    TokenSource(place, client, ClientCredentials(), token_timeout=10.0).get_token()
    assert parts(server.token_calls[0])[1]["aud"] == server.token_endpoint


def test_an_issuer_with_a_path_is_named_to_the_letter(server):
    server.issuer_path = "/realms/films"
    source_at(server).get_token()
    assert parts(server.token_calls[0])[1]["aud"] == f"{server.url}/realms/films"


# --- with which algorithm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("supported", "chosen"),
    [(("PS256",), "PS256"), (("ES256", "PS256", "RS256"), "RS256"), (("HS256", "RS384"), "RS384")],
)
def test_the_algorithm_is_one_that_the_server_names(server, supported, chosen):
    server.token_endpoint_auth_signing_algs = supported
    source = source_at(server)
    source.get_token()
    assert parts(server.token_calls[0])[0]["alg"] == chosen


def test_the_algorithm_that_a_jwk_names_is_kept_to(server):
    source_at(server, RSA.as_dict(private=True) | {"alg": "PS256"}).get_token()
    assert parts(server.token_calls[0])[0]["alg"] == "PS256"
    server.token_endpoint_auth_signing_algs = ("RS256",)
    with pytest.raises(ConfigurationError, match="PS256"):
        source_at(server, RSA.as_dict(private=True) | {"alg": "PS256"}).get_token()


@pytest.mark.parametrize("kind", ["EC", "Ed25519"])
def test_no_common_algorithm_is_a_configuration_error_that_names_both_sides(server, kind):
    server.token_endpoint_auth_signing_algs = ("RS256", "HS256")
    with pytest.raises(ConfigurationError, match=r"(ES256|Ed25519).*RS256, HS256"):
        source_at(server, pem(KEYS[kind])).get_token()
    assert server.token_calls == ()


def test_the_method_is_chosen_from_the_metadata(server):
    client = OAuthClient(server.client_id, SECRET)
    TokenSource(server.issuer, client, ClientCredentials(), token_timeout=10.0).get_token()
    assert parts(server.token_calls[0])[0]["alg"] == "HS256"
    server.token_endpoint_auth_methods = ("client_secret_basic",)
    with pytest.raises(ConfigurationError, match="private_key_jwt"):
        source_at(server).get_token()
    assert len(server.token_calls) == 1


# --- callables ------------------------------------------------------------------------------------------------------


def test_a_callable_is_asked_at_each_token_call(server):
    asked = []

    def key() -> str:
        asked.append(1)
        return pem(RSA)

    source = source_at(server, key)
    assert asked == []
    source.get_token(rejected=source.get_token())
    assert len(asked) == len(server.token_calls) == 2


def test_a_key_that_was_replaced_meanwhile_is_asked_for_once_more(server):
    keys = [pem(RSA), pem(RSA), pem(KEYS["EC"])]
    source = source_at(server, lambda: keys.pop(0))
    first = source.get_token()
    server.client_jwk = KEYS["EC"].as_dict(private=False)
    source.get_token(rejected=first)
    assert [call.status for call in server.token_calls] == [200, 401, 200]


def fails() -> str:
    raise OSError("a-secret-in-a-text")


@pytest.mark.parametrize("key", [fails, lambda: "a-secret-in-a-text", lambda: None, lambda: b"a-secret-in-a-text"])
def test_a_callable_that_fails_or_gives_nonsense_is_told_without_its_text(server, key):
    with pytest.raises(ConfigurationError, match="private_key") as caught:
        source_at(server, key).get_token()
    assert "a-secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert server.token_calls == ()
