"""Clients that prove with a signature who they are: oidc-provider verifies it, and takes each assertion once."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from joserfc import jwk

from video_oauth_auth import AuthorizationServer, ClientCredentials, OAuthClient, ResponseError

from .callers import OPENERS, open_caller
from .exchange import Exchange, current
from .oidc_provider import RegisteredClient

Register = Callable[..., RegisteredClient]

USED_TWICE = "client assertion tokens must only be used once"

KEYS: dict[str, Any] = {
    "RSA": jwk.RSAKey.generate_key(2048),
    "EC": jwk.ECKey.generate_key("P-256"),
    "Ed25519": jwk.OKPKey.generate_key("Ed25519"),
}


def public(key: Any) -> Mapping[str, object]:
    """The key as a client registers it."""
    return {"keys": [key.as_dict(private=False, kid="camera-7", use="sig")]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a client proves with who it is.

    It may sign with any of `algs` where the server takes them all; the tenants leave `narrow_alg` only.
    """

    form: str
    algs: frozenset[str]
    narrow_alg: str
    key: Any = None

    def register(self, register: Register, **about: Any) -> RegisteredClient:
        if self.key is None:
            return register(token_endpoint_auth_method="client_secret_jwt", **about)
        return register(token_endpoint_auth_method="private_key_jwt", jwks=public(self.key), **about)

    def client(self, registered: RegisteredClient, *, method: str | None = None) -> OAuthClient:
        """The client as its user makes it; without `method` the server's metadata choose one."""
        if self.key is None:
            secret = registered.client_secret
            return OAuthClient(registered.client_id, secret, token_endpoint_auth_method=method)
        pem = self.form == "PEM"
        private = self.key.as_pem(private=True).decode() if pem else self.key.as_dict(private=True, kid="camera-7")
        return OAuthClient(registered.client_id, private_key=private, token_endpoint_auth_method=method)

    @property
    def method(self) -> str | None:
        """What has to be said where a server takes secrets in every way: the usual one is not an assertion."""
        return "client_secret_jwt" if self.key is None else None

    @property
    def kid(self) -> str | None:
        return "camera-7" if self.form == "JWK" else None


# Ed25519 is EdDSA's name since RFC 9864; oidc-provider takes both.
ALGORITHMS = {"RSA": ({"RS256"}, "PS256"), "EC": ({"ES256"}, "ES256"), "Ed25519": ({"EdDSA", "Ed25519"}, "Ed25519")}
PROOFS = {
    f"{kind}-{form}": Proof(form=form, algs=frozenset(algs), narrow_alg=narrow, key=KEYS[kind])
    for kind, (algs, narrow) in ALGORITHMS.items()
    for form in ("PEM", "JWK")
} | {"secret": Proof(form="secret", algs=frozenset({"HS256"}), narrow_alg="HS512")}

in_every_client = pytest.mark.parametrize("library", OPENERS)
with_every_proof = pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS)


@with_every_proof
def test_every_access_token_is_asked_for_with_an_assertion_of_its_own(
    proof: Proof, exchange: Exchange, register: Register
) -> None:
    """In all five clients at once, so that their tokens expire together."""
    issuer = exchange.provider.issuer
    registered = {library: proof.register(register, access_token_lifetime=3) for library in OPENERS}
    auths = {
        library: exchange.auth_at(issuer, proof.client(client, method=proof.method), ClientCredentials())
        for library, client in registered.items()
    }
    with ExitStack() as open_callers:
        callers = {library: open_callers.enter_context(open_caller(library, auth)) for library, auth in auths.items()}
        for library in OPENERS:
            assert callers[library].get(exchange.url).status == 200
        for library in [*OPENERS, *OPENERS]:
            exchange.wait_until_expired(current(auths[library]))
            assert callers[library].get(exchange.url).status == 200

    for client in registered.values():
        statistics = exchange.provider.statistics(client.client_id)
        assert statistics.refused == {}
        assert statistics.granted == {"client_credentials": len(statistics.assertions)}
        assert len({assertion.jti for assertion in statistics.assertions}) == len(statistics.assertions) >= 3
        assert {assertion.alg for assertion in statistics.assertions} <= proof.algs
        assert {(assertion.kid, assertion.aud) for assertion in statistics.assertions} == {(proof.kid, issuer)}


@with_every_proof
@in_every_client
def test_the_metadata_choose_the_method_and_the_algorithm(
    library: str, proof: Proof, exchange: Exchange, register: Register
) -> None:
    registered = proof.register(register)
    tenant = exchange.provider.oauth_tenant
    with open_caller(library, exchange.auth_at(tenant, proof.client(registered), ClientCredentials())) as caller:
        assert caller.get(exchange.url).status == 200

    statistics = exchange.provider.statistics(registered.client_id)
    assert (statistics.granted, statistics.refused) == ({"client_credentials": 1}, {})
    [assertion] = statistics.assertions
    assert (assertion.alg, assertion.kid, assertion.aud) == (proof.narrow_alg, proof.kid, tenant)


@with_every_proof
@in_every_client
def test_an_assertion_is_for_the_token_endpoint_where_no_issuer_is_known(
    library: str, proof: Proof, exchange: Exchange, register: Register
) -> None:
    registered = proof.register(register)
    server = AuthorizationServer(token_endpoint=exchange.provider.token_endpoint)
    client = proof.client(registered, method=proof.method)
    with open_caller(library, exchange.auth_at(server, client, ClientCredentials())) as caller:
        assert caller.get(exchange.url).status == 200

    [assertion] = exchange.provider.statistics(registered.client_id).assertions
    assert assertion.aud == exchange.provider.token_endpoint


@in_every_client
@pytest.mark.parametrize("name", ["Ed25519-JWK", "secret"])
def test_each_rotating_refresh_token_is_spent_with_an_assertion_of_its_own(
    library: str, name: str, exchange: Exchange, register: Register
) -> None:
    proof = PROOFS[name]
    registered = proof.register(register)
    given = exchange.provider.sign_in(registered.client_id, account_id="viewer")
    client = proof.client(registered)
    with open_caller(library, exchange.auth_at(exchange.provider.oauth_tenant, client, None, token=given)) as caller:
        for _ in range(3):
            assert caller.get(exchange.url).status == 200
            assert exchange.provider.revoke_access_tokens(registered.client_id) == 1
        assert caller.get(exchange.url).status == 200

    exchange.assert_refreshed_without_reuse(registered, times=3)
    assertions = exchange.provider.statistics(registered.client_id).assertions
    assert len({assertion.jti for assertion in assertions}) == len(assertions) == 3


@in_every_client
def test_a_key_that_is_not_registered_is_refused_and_asked_with_once(
    library: str, exchange: Exchange, register: Register
) -> None:
    registered = PROOFS["RSA-PEM"].register(register)
    another = OAuthClient(registered.client_id, private_key=jwk.RSAKey.generate_key(2048).as_dict(private=True))
    auth = exchange.auth_at(exchange.provider.issuer, another, ClientCredentials())
    with open_caller(library, auth) as caller, pytest.raises(ResponseError) as told:
        caller.get(exchange.url)

    assert told.value.error == "invalid_client"
    statistics = exchange.provider.statistics(registered.client_id)
    assert (statistics.granted, statistics.assertions) == ({}, [])
    assert sum(statistics.refused.values()) == 1


class Wire(httpx.HTTPTransport):
    """Keeps the forms that were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.forms.append(request.read())
        return super().handle_request(request)


@with_every_proof
def test_oidc_provider_refuses_an_assertion_that_was_sent_before(
    proof: Proof, exchange: Exchange, register: Register
) -> None:
    """Shows that the tests above can fail: the library's own request, sent again, is a reuse of the `jti`."""
    registered = proof.register(register)
    wire = Wire()
    with httpx.Client(transport=wire) as http_client:
        client = proof.client(registered)
        tenant = exchange.provider.oauth_tenant
        auth = exchange.auth_at(tenant, client, ClientCredentials(), http_client=http_client)
        with open_caller("httpx", auth) as caller:
            assert caller.get(exchange.url).status == 200
    [form] = wire.forms
    assert set(parse_qs(form.decode())) == {"grant_type", "client_id", "client_assertion_type", "client_assertion"}

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    again = httpx.post(f"{tenant}/token", content=form, headers=headers)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    statistics = exchange.provider.statistics(registered.client_id)
    assert (statistics.granted, statistics.refused) == ({"client_credentials": 1}, {USED_TWICE: 1})
    first, second = statistics.assertions
    assert first == second
