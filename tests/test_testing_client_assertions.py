"""Client assertions at the bundled server: a signature by the right key, for this server, once."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from joserfc import jwk, jwt

from video_oauth_auth import ClientCredentials, OAuthClient, TokenSource
from video_oauth_auth.testing import Drop, OAuthServer

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RSA = jwk.RSAKey.generate_key(2048)
KEYS = {
    "RS256": RSA,
    "PS256": RSA,
    "ES256": jwk.ECKey.generate_key("P-256"),
    "Ed25519": jwk.OKPKey.generate_key("Ed25519"),
}
SECRET = "a client secret that is long enough for HS256"
METHODS = ("client_secret_jwt", "private_key_jwt")


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    public = RSA.as_dict(private=False)
    with OAuthServer(client_secret=SECRET, client_jwk=public, token_endpoint_auth_methods=METHODS) as running:
        yield running


def claims(server: OAuthServer, **others: Any) -> dict[str, Any]:
    now = int(time.time())
    members = {"iss": server.client_id, "sub": server.client_id, "aud": server.issuer, "iat": now, "exp": now + 60}
    members |= {"jti": f"{uuid.uuid4()}", **others}
    return {name: value for name, value in members.items() if value is not None}


def signed(members: dict[str, Any], *, key: Any = RSA, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm}, members, key, algorithms=[algorithm])


def with_public_key_as_secret(members: dict[str, Any]) -> str:
    """The old trick: HS256 with what everybody knows."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, members)]
    signing_input = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    digest = hmac.digest(RSA.as_pem(private=False), signing_input, "sha256")
    return (signing_input + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


def asked(server: OAuthServer, assertion: str, **others: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return httpx.post(server.token_endpoint, data={**form, **others})


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("algorithm", KEYS)
def test_an_assertion_signed_with_the_registered_key_is_a_client_authentication(server, algorithm):
    key = KEYS[algorithm]
    server.client_jwk = key.as_dict(private=False)
    assert "access_token" in asked(server, signed(claims(server), key=key, algorithm=algorithm)).json()


def test_an_assertion_signed_with_the_secret_is_one_too(server):
    key = jwk.OctKey.import_key(SECRET)
    assert "access_token" in asked(server, signed(claims(server), key=key, algorithm="HS256")).json()
    server.change_secret("another secret that is long enough for HS256")
    assert refusal(asked(server, signed(claims(server), key=key, algorithm="HS256"))) == (401, "invalid_client")


@pytest.mark.parametrize(
    "audience",
    [
        lambda server: server.issuer,
        lambda server: server.token_endpoint,
        lambda server: ["https://other.example", server.issuer],
    ],
    ids=["issuer", "token endpoint", "one of several"],
)
def test_it_is_for_the_issuer_or_the_token_endpoint(server, audience):
    server.issuer_path = "/tenant"
    assert asked(server, signed(claims(server, aud=audience(server)))).status_code == 200


WRONG: dict[str, Callable[[OAuthServer], dict[str, Any]]] = {
    "no iss": lambda _: {"iss": None},
    "another iss": lambda _: {"iss": "somebody"},
    "no sub": lambda _: {"sub": None},
    "another sub": lambda _: {"sub": "somebody"},
    "no aud": lambda _: {"aud": None},
    "another server": lambda _: {"aud": "https://other.example"},
    "almost the issuer": lambda server: {"aud": server.issuer + "/"},
    "no exp": lambda _: {"exp": None},
    "expired": lambda _: {"exp": int(time.time()) - 60},
    "no iat": lambda _: {"iat": None},
    "from the future": lambda _: {"iat": int(time.time()) + 60},
    "no jti": lambda _: {"jti": None},
    "an empty jti": lambda _: {"jti": ""},
    "a number for jti": lambda _: {"jti": 7},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_an_assertion_with_a_wrong_claim_is_refused(server, change):
    assert refusal(asked(server, signed(claims(server, **change(server))))) == (401, "invalid_client")
    assert server.failures == []


@pytest.mark.parametrize(
    "forged",
    [
        lambda members: signed(members, key=jwk.RSAKey.generate_key(2048)),
        lambda members: signed(members, key=jwk.OctKey.import_key("x" * 40), algorithm="HS256"),
        lambda members: with_public_key_as_secret(members),
        lambda members: signed(members)[:-8] + "AAAAAAAA",
        lambda members: signed(members).rpartition(".")[0] + ".",
        lambda members: "eyJhbGciOiJub25lIn0." + signed(members).split(".")[1] + ".",
        lambda _: "no JWT",
        lambda _: "é.é.é",
        lambda _: "",
    ],
    ids=["another key", "another secret", "public key as secret", "broken", "unsigned", "none", "text", "é", "empty"],
)
def test_a_forged_assertion_is_refused(server, forged):
    assert refusal(asked(server, forged(claims(server)))) == (401, "invalid_client")
    assert server.failures == []


def test_only_the_named_algorithms_are_taken(server):
    server.token_endpoint_auth_signing_algs = ("PS256", "HS256")
    assert asked(server, signed(claims(server))).status_code == 401
    assert asked(server, signed(claims(server), algorithm="PS256")).status_code == 200


@pytest.mark.parametrize("method", METHODS)
def test_only_the_registered_method_is_taken(server, method):
    server.token_endpoint_auth_methods = (method,)
    by_key = asked(server, signed(claims(server))).status_code
    secret = jwk.OctKey.import_key(SECRET)
    by_secret = asked(server, signed(claims(server), key=secret, algorithm="HS256")).status_code
    assert (by_secret, by_key) == ((200, 401) if method == "client_secret_jwt" else (401, 200))


def test_without_a_registered_key_no_signature_is_right(server):
    server.client_jwk = None
    assert refusal(asked(server, signed(claims(server)))) == (401, "invalid_client")


def test_a_jti_is_taken_once(server):
    assertion = signed(claims(server))
    assert [asked(server, assertion).status_code for _ in range(3)] == [200, 401, 401]
    same_jti = claims(server, jti="once")
    assert asked(server, signed(same_jti)).status_code == 200
    assert asked(server, signed({**same_jti, "exp": same_jti["exp"] + 1})).status_code == 401


def test_a_jti_is_spent_by_a_call_whose_answer_is_lost_but_not_by_one_that_never_came(server):
    before, after = signed(claims(server)), signed(claims(server))
    server.token_faults.add(Drop("before"))
    server.token_faults.add(Drop("after"))
    for assertion in (before, after):
        with pytest.raises(httpx.TransportError):
            asked(server, assertion)
    assert [asked(server, assertion).status_code for assertion in (before, after)] == [200, 401]


def test_of_many_at_once_with_one_assertion_exactly_one_is_let_in(server):
    assertion = signed(claims(server))
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: asked(server, assertion).status_code, range(20)))
    assert sorted(statuses) == [200] + 19 * [401]


def test_the_client_id_may_be_sent_along_and_has_to_be_the_same(server):
    assert asked(server, signed(claims(server)), client_id=server.client_id).status_code == 200
    assert asked(server, signed(claims(server)), client_id="somebody").status_code == 401


@pytest.mark.parametrize("other", [{"client_secret": SECRET}, {"client_assertion_type": "another"}])
def test_one_assertion_of_the_right_type_and_nothing_else(server, other):
    assert asked(server, signed(claims(server)), **other).status_code in (400, 401)


def test_advancing_the_server_does_not_make_assertions_old(server):
    server.advance(10_000)
    assert asked(server, signed(claims(server))).status_code == 200


def test_assertions_are_secrets(server):
    assertion = signed(claims(server))
    asked(server, assertion)
    assert assertion in server.secrets()
    assert assertion not in repr(server.requests)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_library_authenticates_by_private_key(server, algorithm):
    key = KEYS[algorithm]
    server.client_jwk = key.as_dict(private=False)
    client = OAuthClient(server.client_id, private_key=key.as_dict(private=True))
    source = TokenSource(server.issuer, client, ClientCredentials())
    source.get_token()
    source.get_token(rejected=source.get_token())
    calls = [call.form for call in server.token_calls]
    assert len({call["client_assertion"] for call in calls}) == 2
    assert not any("client_secret" in call for call in calls)


def test_the_library_authenticates_by_its_secret_without_sending_it(server):
    client = OAuthClient(server.client_id, SECRET, token_endpoint_auth_method="client_secret_jwt")
    TokenSource(server.issuer, client, ClientCredentials()).get_token()
    (call,) = server.token_calls
    assert SECRET.encode() not in call.body
    assert call.header("Authorization") is None
