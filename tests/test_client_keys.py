"""Keys and arguments that no client assertion can be made with, and that neither keys nor assertions are shown."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwk

from video_oauth_auth import ConfigurationError, OAuthClient, ResponseError
from video_oauth_auth.endpoints import HTTPResponse, form_request, read_token

from . import test_client_assertions
from .test_client_assertions import KEYS, RSA, SECRET, pem, source_at

server = test_client_assertions.server


def encrypted_pem(key: Any) -> str:
    form = serialization.PrivateFormat.PKCS8
    password = serialization.BestAvailableEncryption(b"password")
    return key.private_key.private_bytes(serialization.Encoding.PEM, form, password).decode()


PRIVATE_PART = RSA.as_dict(private=True)["d"]
X25519 = jwk.OKPKey.generate_key("X25519")
UNUSABLE = {
    "public PEM": RSA.as_pem(private=False).decode(),
    "public JWK": RSA.as_dict(private=False),
    "public EC JWK": KEYS["EC"].as_dict(private=False),
    "symmetric JWK": {"kty": "oct", "k": "YW4taW52ZW50ZWQtc2VjcmV0"},
    "encrypted PEM": encrypted_pem(RSA),
    "cut PEM": pem(RSA)[:400],
    "PEM without frame": pem(RSA).split("-----")[2].strip(),
    "text": "an-invented-secret",
    "empty": "",
    "a JWK as text": json.dumps(RSA.as_dict(private=True)),
    "no JWK": {"d": PRIVATE_PART},
    "empty JWK": {},
    "JWK of an unknown kind": {"kty": "none", "d": PRIVATE_PART},
    "broken JWK": RSA.as_dict(private=True) | {"n": 7},
    "JWK without a modulus": {"kty": "RSA", "d": PRIVATE_PART},
    "bytes": pem(RSA).encode(),
    "joserfc key": RSA,
    "number": 7,
    "key agreement PEM": pem(X25519),
    "key agreement JWK": X25519.as_dict(private=True),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_that_cannot_sign_is_refused_at_once_without_a_byte_of_it(name):
    key = UNUSABLE[name]
    with pytest.raises(ConfigurationError, match="private_key") as caught:
        OAuthClient("client", private_key=key)
    told = repr(caught.value)
    text = key if isinstance(key, str) else json.dumps(key) if isinstance(key, dict) else ""
    assert PRIVATE_PART[:16] not in told
    assert not [piece for piece in text.split() if len(piece) >= 16 and piece in told]
    assert caught.value.__cause__ is None


def test_line_breaks_that_an_environment_variable_has_lost_are_named():
    with pytest.raises(ConfigurationError, match="line breaks") as caught:
        OAuthClient("client", private_key=pem(RSA).replace("\n", "\\n"))
    assert PRIVATE_PART[:16] not in repr(caught.value)


@pytest.mark.parametrize(
    "keywords",
    [
        {"private_key": pem(RSA), "client_secret": SECRET},
        {"private_key": pem(RSA), "credentials": lambda: ("client", SECRET)},
        {"private_key": pem(RSA), "token_endpoint_auth_method": "client_secret_basic"},
        {"private_key": pem(RSA), "token_endpoint_auth_method": "client_secret_jwt"},
        {"private_key": pem(RSA), "token_endpoint_auth_method": "none"},
        {"client_secret": SECRET, "token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
    ],
)
def test_there_is_exactly_one_way_to_authenticate(keywords):
    with pytest.raises(ConfigurationError) as caught:
        OAuthClient("client", **keywords)
    assert SECRET not in repr(caught.value)


def test_neither_key_nor_assertion_is_shown(server, caplog):
    server.client_jwk = KEYS["EC"].as_dict(private=False)
    source = source_at(server)
    with caplog.at_level("DEBUG"), pytest.raises(ResponseError) as caught:
        source.get_token()
    assertion = server.token_calls[0].form["client_assertion"]
    shown = f"{source!r} {caught.value!r} {OAuthClient('client', private_key=pem(RSA))!r} {caplog.text}"
    for hidden in (assertion, PRIVATE_PART, pem(RSA).splitlines()[3]):
        assert hidden not in shown


def test_a_server_that_repeats_the_assertion_is_not_quoted():
    credential = OAuthClient("client", private_key=pem(RSA)).current()
    place = "https://login.example.com/token"
    request = form_request(place, credential, "private_key_jwt", {"grant_type": "client_credentials"})
    (assertion,) = parse_qs(request.body.decode())["client_assertion"]
    body = json.dumps({"error": "invalid_client", "error_description": f"{assertion} is wrong", "hint": assertion})
    with pytest.raises(ResponseError, match="is wrong") as caught:
        read_token(HTTPResponse(status=401, headers={}, body=body.encode()), request, issued_at=0.0)
    assert assertion not in f"{caught.value!r} {caught.value.error_description} {caught.value.extra} {request!r}"
