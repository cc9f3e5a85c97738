"""The auth objects find oidc-provider's endpoints from its issuer, wherever its metadata are."""

import re
from collections.abc import Callable

import httpx
import pytest

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    InvalidResponseError,
    OAuthClient,
    ResponseError,
    discover,
)

from .callers import OPENERS, open_caller
from .exchange import Exchange, current
from .oidc_provider import OidcProvider, RegisteredClient

Register = Callable[..., RegisteredClient]

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"

in_every_client = pytest.mark.parametrize("library", OPENERS)


def known_by_its_secret(client: RegisteredClient) -> OAuthClient:
    """Says nothing about the client authentication method."""
    return OAuthClient(client.client_id, client.client_secret)


@in_every_client
def test_the_metadata_are_fetched_once_for_several_access_tokens(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register(access_token_lifetime=3)
    auth = exchange.auth_at(exchange.provider.issuer, known_by_its_secret(client), ClientCredentials())
    before = exchange.provider.documents()
    with open_caller(library, auth) as caller:
        assert exchange.provider.documents() == before  # nothing was asked for before it was needed
        answers = [caller.get(exchange.url)]
        for _ in range(2):
            exchange.wait_until_expired(current(auth))
            answers.append(caller.get(exchange.url))

    assert [answer.status for answer in answers] == [200] * 3
    statistics = exchange.provider.statistics(client.client_id)
    assert statistics.granted_to_header == statistics.granted["client_credentials"] >= 3
    assert statistics.refused == {}
    assert exchange.provider.documents() - before == {OPENID: 1}


@in_every_client
def test_50_callers_who_come_first_together_need_one_document_and_one_token(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register()
    auth = exchange.auth_at(exchange.provider.issuer, known_by_its_secret(client), ClientCredentials())
    before = exchange.provider.documents()
    with open_caller(library, auth) as caller:
        answers = caller.get_together(exchange.url, 50)

    assert [answer.status for answer in answers] == [200] * 50
    assert exchange.provider.documents() - before == {OPENID: 1}
    assert exchange.provider.statistics(client.client_id).granted == {"client_credentials": 1}


@in_every_client
def test_an_issuer_with_a_path_has_its_metadata_after_the_path_and_they_choose_client_secret_post(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register(token_endpoint_auth_method="client_secret_post")
    tenant = exchange.provider.openid_tenant
    before = exchange.provider.documents()
    with open_caller(library, exchange.auth_at(tenant, known_by_its_secret(client), ClientCredentials())) as caller:
        assert caller.get(exchange.url).status == 200

    assert exchange.provider.documents() - before == {f"/openid/tv{OPENID}": 1}
    statistics = exchange.provider.statistics(client.client_id)
    assert (statistics.granted, statistics.refused) == ({"client_credentials": 1}, {})
    assert statistics.granted_to_header == 0


@in_every_client
def test_an_issuer_with_a_path_has_its_metadata_before_the_path_and_they_choose_client_secret_jwt(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register(token_endpoint_auth_method="client_secret_jwt")
    tenant = exchange.provider.oauth_tenant
    before = exchange.provider.documents()
    with open_caller(library, exchange.auth_at(tenant, known_by_its_secret(client), ClientCredentials())) as caller:
        assert caller.get(exchange.url).status == 200

    assert exchange.provider.documents() - before == {f"/oauth/tv{OPENID}": 1, f"{OAUTH}/oauth/tv": 1}
    statistics = exchange.provider.statistics(client.client_id)
    assert (statistics.granted, statistics.refused) == ({"client_credentials": 1}, {})


@in_every_client
def test_without_these_metadata_the_secret_itself_is_sent_and_refused(
    library: str, exchange: Exchange, register: Register
) -> None:
    """Shows that the test above can fail."""
    client = register(token_endpoint_auth_method="client_secret_jwt")
    server = AuthorizationServer(token_endpoint=f"{exchange.provider.oauth_tenant}/token")
    auth = exchange.auth_at(server, known_by_its_secret(client), ClientCredentials())
    with open_caller(library, auth) as caller, pytest.raises(ResponseError) as told:
        caller.get(exchange.url)

    assert (told.value.status, told.value.error) == (401, "invalid_client")
    assert exchange.provider.statistics(client.client_id).granted == {}


@in_every_client
def test_a_token_endpoint_given_as_issuer_is_told_and_the_advice_works(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register()
    url = exchange.provider.token_endpoint
    oauth_client = known_by_its_secret(client)
    auth = exchange.auth_at(url, oauth_client, ClientCredentials())
    with open_caller(library, auth) as caller, pytest.raises(InvalidResponseError) as told:
        caller.get(exchange.url)

    assert exchange.received() == []
    advice = f"This looks like a token endpoint: give it as AuthorizationServer(token_endpoint={url!r})"
    assert advice in str(told.value)
    advised = exchange.auth_at(AuthorizationServer(token_endpoint=url), oauth_client, ClientCredentials())
    with open_caller(library, advised) as caller:
        assert caller.get(exchange.url).status == 200


@in_every_client
def test_an_issuer_that_is_not_written_as_the_server_writes_it_is_not_trusted(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register()
    issuer = exchange.provider.issuer
    auth = exchange.auth_at(f"{issuer}/", known_by_its_secret(client), ClientCredentials())
    difference = f"the issuer {issuer!r}, not of {issuer + '/'!r}"
    with open_caller(library, auth) as caller, pytest.raises(InvalidResponseError, match=re.escape(difference)):
        caller.get(exchange.url)

    assert exchange.received() == []
    statistics = exchange.provider.statistics(client.client_id)
    assert (statistics.granted, statistics.refused) == ({}, {})


@pytest.mark.parametrize(
    ("name", "place"),
    [("issuer", OPENID), ("openid_tenant", f"/openid/tv{OPENID}"), ("oauth_tenant", f"{OAUTH}/oauth/tv")],
)
def test_discover_reads_what_oidc_provider_writes(name: str, place: str, provider: OidcProvider) -> None:
    issuer: str = getattr(provider, name)
    document = httpx.get(provider.issuer + place).json()
    server = discover(issuer)

    assert server.issuer == issuer
    assert server.token_endpoint == f"{issuer}/token" == document["token_endpoint"]
    assert server.authorization_endpoint == document["authorization_endpoint"]
    assert server.revocation_endpoint == f"{issuer}/token/revocation" == document["revocation_endpoint"]
    assert server.token_endpoint_auth_methods_supported == tuple(document["token_endpoint_auth_methods_supported"])
    algorithms = tuple(document["token_endpoint_auth_signing_alg_values_supported"])
    assert server.token_endpoint_auth_signing_alg_values_supported == algorithms
    assert server.jwks_uri == document["jwks_uri"]


@in_every_client
def test_what_discover_returned_can_be_given_instead_of_the_issuer(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register(token_endpoint_auth_method="client_secret_jwt")
    server = discover(exchange.provider.oauth_tenant)
    before = exchange.provider.documents()
    with open_caller(library, exchange.auth_at(server, known_by_its_secret(client), ClientCredentials())) as caller:
        assert caller.get(exchange.url).status == 200

    assert exchange.provider.documents() == before
    assert exchange.provider.statistics(client.client_id).granted == {"client_credentials": 1}


def test_discover_tells_that_an_issuer_is_a_token_endpoint(provider: OidcProvider) -> None:
    with pytest.raises(InvalidResponseError, match="This looks like a token endpoint"):
        discover(provider.token_endpoint)
