"""One store, many sources: siblings that hold its lock, what they save, what they share and what not."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from video_oauth_auth import (
    ClientCredentials,
    LoginRequired,
    MemoryStore,
    OAuthClient,
    ResourceOwnerPassword,
    StoreError,
    Token,
    TokenSource,
)
from video_oauth_auth.events import TokenAdopted, TokenRenewed
from video_oauth_auth.testing import Hold, json_answer

from . import engine
from .engine import Events, aged, grant_types, in_threads, settle, source_of
from .faulty_store import FaultyStore, ForeignError, seeded

clock = engine.clock


@pytest.fixture
def store():
    return FaultyStore()


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "video_oauth_auth")
    return caplog


def test_two_sources_with_one_store_make_one_token_call(oauth_server):
    store, events = MemoryStore(), Events()
    sources = [source_of(oauth_server, store=store, on_event=events) for _ in range(10)]
    oauth_server.token_faults.add(Hold())
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(source.get_token) for source in sources]
        oauth_server.wait_for(lambda: oauth_server.held == 1)
        oauth_server.release()
        assert len({future.result(10) for future in waiting}) == 1
    settle()
    assert len(oauth_server.token_calls) == 1
    assert (len(events.of(TokenRenewed)), len(events.of(TokenAdopted))) == (1, 9)


def test_many_sources_with_one_store_never_spend_a_refresh_token_twice(oauth_server, clock):
    oauth_server.refresh_tokens = True
    store = MemoryStore()
    sources = iter([source_of(oauth_server, None, store=store) for _ in range(20)] * 5)
    first = source_of(oauth_server, None, store=store)
    first.set(aged(oauth_server, 0))
    for _ in range(5):
        clock.advance(301)
        assert len(set(in_threads(20, lambda: next(sources).get_token()))) == 1
    assert grant_types(oauth_server) == ["refresh_token"] * 5
    assert oauth_server.reuse_detected == 0


def test_what_a_sibling_saves_is_adopted_while_it_still_holds_the_lock(oauth_server, store):
    source = seeded(oauth_server, store, 301, token_timeout=20)
    newer = aged(oauth_server, 0)
    with ThreadPoolExecutor(1) as pool, store.transaction(source.key, timeout=0) as entry:
        waiting = pool.submit(source.get_token)
        entry.save(newer)
        assert waiting.result(10) == newer
    assert not oauth_server.token_calls


def test_a_rejected_token_that_a_sibling_has_replaced_costs_nothing(oauth_server):
    store = MemoryStore()
    one, another = (source_of(oauth_server, store=store) for _ in range(2))
    old = one.get_token()
    assert another.get_token() == old
    new = one.get_token(rejected=old)
    assert another.get_token(rejected=old) == new
    assert len(oauth_server.token_calls) == 2


def test_a_stale_token_only_tries_the_lock(oauth_server, store):
    source = seeded(oauth_server, store, 270)
    token = source.get_token()
    assert token == store.tokens[source.key]
    with store.transaction(source.key, timeout=0):
        for _ in range(20):
            assert source.get_token() == token
            settle(2)
        assert not oauth_server.token_calls
    with store.transaction(source.key, timeout=0) as entry:
        newer = aged(oauth_server, 0)
        entry.save(newer)  # the sibling that held the lock has got a newer one
        while source.get_token() != newer:
            settle(2)
    assert not oauth_server.token_calls


def test_a_lock_that_is_never_freed_is_a_store_error_for_an_expired_token(oauth_server, store, warnings):
    source = seeded(oauth_server, store, 301, token_timeout=2.0)
    with store.transaction(source.key, timeout=0), pytest.raises(StoreError, match="lock") as told:
        source.get_token()
    assert told.value.transient
    assert "serve this process" not in warnings.text
    assert not oauth_server.token_calls
    assert source.get_token()


def test_a_token_of_a_sibling_that_came_past_the_lock_is_told_as_adopted(oauth_server):
    """It rotated the refresh token while ours was under way, so ours is refused."""
    oauth_server.refresh_tokens = True
    store, events = MemoryStore(), Events()
    source = source_of(oauth_server, None, store=store, on_event=events)
    source.set(aged(oauth_server, 301))
    newer = Token.from_response(oauth_server.issue_token())

    def rotated(_):
        store._slots[source.key].token = newer
        return True

    oauth_server.token_faults.add(json_answer(400, {"error": "invalid_grant"}), when=rotated)
    assert source.get_token() == newer
    settle()
    assert [type(event) for event in events.seen] == [TokenAdopted]
    assert source.status().last_renewal_at is None


def test_a_lock_that_is_never_freed_does_not_stop_a_grant_that_needs_no_person(oauth_server, store, warnings):
    source = source_of(oauth_server, store=store, token_timeout=2.0)
    with store.transaction(source.key, timeout=0):
        assert source.get_token()
    assert grant_types(oauth_server) == ["client_credentials"]


# --- seeds and keys -----------------------------------------------------------------------------------------------


def test_what_the_store_has_wins_over_the_seed(oauth_server, store):
    """Else every restart would present a refresh token that was spent long ago."""
    oauth_server.refresh_tokens = True
    seed = aged(oauth_server, 301)
    token = source_of(oauth_server, None, store=store, token=seed).get_token()
    for _ in range(3):  # restarts
        assert source_of(oauth_server, None, store=store, token=seed).get_token() == token
    assert grant_types(oauth_server) == ["refresh_token"]
    store.tokens = {key: Token(**{**_members(stored), "expires_at": 1.0}) for key, stored in store.tokens.items()}
    assert source_of(oauth_server, None, store=store, token=seed).get_token()
    assert oauth_server.reuse_detected == 0


def _members(token):
    return {name: getattr(token, name) for name in Token.__dataclass_fields__}


def test_a_seed_that_is_fresh_is_used_and_stored(oauth_server, store):
    seed = aged(oauth_server, 0)
    source = source_of(oauth_server, store=store, token=seed)
    assert source.get_token() == seed
    assert store.tokens[source.key] == seed
    assert not oauth_server.token_calls


def test_a_seed_that_is_stale_is_used_while_a_newer_one_is_fetched(oauth_server, store):
    seed = aged(oauth_server, 270)
    source = source_of(oauth_server, store=store, token=seed, token_timeout=0.3)
    oauth_server.token_faults.always(Hold())
    assert source.get_token() == seed
    oauth_server.release()


def test_a_seed_is_used_even_if_the_store_cannot_be_locked(oauth_server, store, warnings):
    seed = aged(oauth_server, 0)
    store.fail("lock", ForeignError())
    assert source_of(oauth_server, None, store=store, token=seed).get_token() == seed
    assert not oauth_server.token_calls


DIFFERENT = {
    "scope": {"grant": ClientCredentials(scope="a")},
    "audience": {"grant": ClientCredentials(audience="a")},
    "resource": {"grant": ClientCredentials(resource="https://a.example.com")},
    "extra": {"grant": ClientCredentials(extra={"tenant": "a"})},
    "grant type": {"grant": ResourceOwnerPassword("ann", "pass")},
    "user": {"user": "ann"},
}


@pytest.mark.parametrize("difference", DIFFERENT.values(), ids=DIFFERENT)
def test_sources_that_differ_in_one_input_do_not_share(oauth_server, difference):
    oauth_server.users = {"ann": "pass"}
    store = MemoryStore()
    one, another = source_of(oauth_server, store=store), source_of(oauth_server, store=store, **difference)
    assert one.key != another.key
    assert one.get_token() != another.get_token()
    assert set(store.entries()) == {one.key, another.key}


def test_sources_of_two_servers_or_clients_do_not_share(oauth_server, brightcove_server):
    store = MemoryStore()
    oauth_server.refresh_tokens = True
    one = source_of(oauth_server, store=store, token=aged(oauth_server, 301))
    one.get_token()
    another = source_of(brightcove_server, None, store=store)
    with pytest.raises(LoginRequired):
        another.get_token()  # the refresh token of the other server is never tried here
    assert not brightcove_server.token_calls
    client = OAuthClient("another", "secret")
    third = TokenSource(oauth_server.authorization_server, client, ClientCredentials(), store=store)
    assert len({one.key, another.key, third.key}) == 3


def test_a_private_memory_is_shared_with_nobody(oauth_server):
    assert source_of(oauth_server).get_token() != source_of(oauth_server).get_token()


def test_a_rejected_token_does_not_come_back_from_the_store(oauth_server):
    """To a program that makes an auth object for each request."""
    store = MemoryStore()
    first = source_of(oauth_server, store=store).get_token()
    newer = source_of(oauth_server, store=store).get_token(rejected=first)
    assert newer != first
    assert source_of(oauth_server, store=store).get_token(rejected=first) == newer
