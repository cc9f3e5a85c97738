"""The auth objects against oidc-provider, with an API that asks it about every single token."""

import secrets
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from video_oauth_auth import ClientCredentials

from .callers import OPENERS, all_together, open_caller
from .exchange import Exchange, current
from .oidc_provider import OidcProvider, RegisteredClient

Register = Callable[..., RegisteredClient]

# What RFC 6749 allows in a client_id (VSCHAR) beside letters and digits; oidc-provider allows nothing else.
PRINTABLE_SPECIALS = ": %+/ &=?#~!*'();,@$[]{}|\\^`\"<>-._%41"

in_every_client = pytest.mark.parametrize("library", OPENERS)


@in_every_client
def test_client_credentials_outlive_several_access_tokens(library: str, exchange: Exchange, register: Register) -> None:
    client = register(access_token_lifetime=3)
    auth = exchange.auth(client, ClientCredentials())
    with open_caller(library, auth) as caller:
        answers = [caller.get(exchange.url) for _ in range(3)]
        for _ in range(2):
            exchange.wait_until_expired(current(auth))
            answers += [caller.get(exchange.url) for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 9
    assert len(exchange.access_tokens()) >= 3
    statistics = exchange.provider.statistics(client.client_id)
    assert statistics.granted == {"client_credentials": len(exchange.access_tokens())}
    assert statistics.refused == {}


@in_every_client
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_client_id_and_a_secret_full_of_special_characters_authenticate(
    library: str, method: str, exchange: Exchange, register: Register
) -> None:
    client = register(
        client_id=f"{PRINTABLE_SPECIALS}{secrets.token_hex(8)}",
        client_secret=f"{secrets.token_hex(8)}{PRINTABLE_SPECIALS}",
        token_endpoint_auth_method=method,
    )
    with open_caller(library, exchange.auth(client, ClientCredentials())) as caller:
        assert caller.get(exchange.url).status == 200

    statistics = exchange.provider.statistics(client.client_id)
    assert statistics.granted == {"client_credentials": 1}
    assert statistics.refused == {}


def test_oidc_provider_refuses_such_a_client_id_and_secret_when_they_are_not_encoded(
    provider: OidcProvider, register: Register
) -> None:
    """Shows that the test above can fail."""
    client = register(client_id=f"{PRINTABLE_SPECIALS}{secrets.token_hex(8)}")
    answer = httpx.post(
        provider.token_endpoint,
        data={"grant_type": "client_credentials"},
        auth=(client.client_id, client.client_secret),
    )
    assert answer.status_code in {400, 401}


@in_every_client
def test_each_refresh_spends_the_refresh_token_that_the_last_one_brought(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register(access_token_lifetime=3)
    given = exchange.provider.sign_in(client.client_id, account_id="viewer")
    auth = exchange.auth(client, None, token=given)
    refresh_tokens = [given["refresh_token"]]
    with open_caller(library, auth) as caller:
        assert caller.get(exchange.url).status == 200
        assert exchange.provider.statistics(client.client_id).granted == {}
        for _ in range(2):
            exchange.wait_until_expired(current(auth))
            assert caller.get(exchange.url).status == 200
            refresh_tokens.append(current(auth).refresh_token)

    assert exchange.access_tokens()[0] == given["access_token"]
    assert len(set(refresh_tokens)) == 3
    exchange.assert_refreshed_without_reuse(client, times=len(exchange.access_tokens()) - 1)


@in_every_client
def test_a_revoked_access_token_of_client_credentials_is_replaced_without_the_caller_noticing(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register()
    auth = exchange.auth(client, ClientCredentials())
    with open_caller(library, auth) as caller:
        assert caller.get(exchange.url).status == 200
        exchange.revoke(client, current(auth))
        assert caller.get(exchange.url).status == 200

    assert exchange.statuses() == [200, 401, 200]
    assert len(exchange.access_tokens()) == 2
    assert exchange.provider.statistics(client.client_id).granted == {"client_credentials": 2}


@in_every_client
def test_a_revoked_access_token_is_replaced_by_the_refresh_token_without_the_caller_noticing(
    library: str, exchange: Exchange, register: Register
) -> None:
    client = register()
    given = exchange.provider.sign_in(client.client_id, account_id="viewer")
    with open_caller(library, exchange.auth(client, None, token=given)) as caller:
        for _ in range(2):
            assert caller.get(exchange.url).status == 200
            assert exchange.provider.revoke_access_tokens(client.client_id) == 1
        assert caller.get(exchange.url).status == 200

    assert exchange.statuses() == [200, 401, 200, 401, 200]
    assert len(exchange.access_tokens()) == 3
    exchange.assert_refreshed_without_reuse(client, times=2)


@pytest.mark.parametrize(
    ("of_threads", "of_tasks"),
    [("requests", "httpx-async"), ("httpx", "httpx2-async"), ("httpx2", "httpx-async")],
)
def test_50_threads_and_200_tasks_spend_each_rotating_refresh_token_once(
    of_threads: str, of_tasks: str, exchange: Exchange, register: Register
) -> None:
    """One auth object in two libraries: at an expiry, at a revocation on the server, at another expiry."""
    client = register(access_token_lifetime=3)
    auth = exchange.auth(client, None, token=exchange.provider.sign_in(client.client_id, account_id="viewer"))
    # Long enough that a crowd on a slow machine is through before the next expiry, which would add a refresh.
    exchange.provider.register(replace(client, access_token_lifetime=12))
    with open_caller(of_threads, auth) as threads, open_caller(of_tasks, auth) as tasks:

        def crowd() -> list[int]:
            answers = all_together(
                [
                    lambda: threads.get_together(exchange.url, 50),
                    lambda: tasks.get_together(exchange.url, 200),
                ]
            )
            return [answer.status for answer in answers]

        assert threads.get(exchange.url).status == 200
        exchange.wait_until_expired(current(auth))
        assert crowd() == [200] * 250
        exchange.assert_refreshed_without_reuse(client, times=1)
        assert 401 not in exchange.statuses()

        assert exchange.provider.revoke_access_tokens(client.client_id) == 1
        assert crowd() == [200] * 250
        exchange.assert_refreshed_without_reuse(client, times=2)
        assert 401 in exchange.statuses()

        exchange.wait_until_expired(current(auth))
        assert crowd() == [200] * 250
        exchange.assert_refreshed_without_reuse(client, times=3)


def test_oidc_provider_notices_a_refresh_token_that_is_spent_twice(exchange: Exchange, register: Register) -> None:
    """Shows that the assertion on reuse can fail, and what reuse costs: the whole family."""
    client = register()
    given = exchange.provider.sign_in(client.client_id, account_id="viewer")
    spend = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    credentials = (client.client_id, client.client_secret)
    first, second = (httpx.post(exchange.provider.token_endpoint, data=spend, auth=credentials) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 400)
    assert not exchange.api.accepts(first.json()["access_token"])
    with pytest.raises(AssertionError):
        exchange.assert_refreshed_without_reuse(client, times=1)
