"""How long a token is used, when it is renewed, and what clocks that jump do to that."""

import itertools
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_oauth_auth import AuthorizationServer, ClientCredentials, MemoryStore, OAuthClient, Token, TokenSource
from video_oauth_auth.events import TokenRenewed
from video_oauth_auth.testing import Hold, Mutate, with_members, without

from . import engine
from .engine import Events, aged, grant_types, settle, source_of

clock = engine.clock

NOWHERE = AuthorizationServer(token_endpoint="https://login.example.com/token")
CLIENT = OAuthClient("id", "secret")


def state_of(*, age, lifetime, renew_ahead):
    """Tell the state of a token that was issued `age` seconds ago."""
    issued_at = time.time() - age
    token = Token(access_token="x", issued_at=issued_at, expires_at=issued_at + lifetime)
    return TokenSource(NOWHERE, CLIENT, None, token=token, renew_ahead=renew_ahead).status().state


@given(lifetime=st.floats(100, 1e6), renew_ahead=st.floats(0, 1e6))
def test_a_token_is_fresh_until_renew_ahead_but_never_for_less_than_four_fifths(lifetime, renew_ahead):
    ahead = min(renew_ahead, lifetime / 5)
    tolerance = 3.0  # seconds: time goes on while this test looks
    assert state_of(age=lifetime - ahead - tolerance, lifetime=lifetime, renew_ahead=renew_ahead) == "fresh"
    assert state_of(age=lifetime + tolerance, lifetime=lifetime, renew_ahead=renew_ahead) == "expired"
    if ahead > 10:
        # Up to a tenth of jitter, so that a fleet does not renew in step.
        latest = lifetime - 0.9 * ahead + tolerance
        assert state_of(age=latest, lifetime=lifetime, renew_ahead=renew_ahead) == "stale"


def test_members_of_a_fleet_renew_at_different_moments(clock):
    issued_at = time.time()
    token = Token(access_token="x", issued_at=issued_at, expires_at=issued_at + 3600)
    fleet = [TokenSource(NOWHERE, CLIENT, None, token=token) for _ in range(100)]
    clock.advance(3600 - 57)
    states = [source.status().state for source in fleet]
    assert states.count("fresh") + states.count("stale") == 100
    assert {"fresh", "stale"} == set(states)


def test_a_fresh_token_costs_no_token_call(oauth_server):
    source = source_of(oauth_server, token=aged(oauth_server, 200))
    assert {source.get_token() for _ in range(100)} == {source.peek()}
    assert not oauth_server.token_calls


def test_a_stale_token_is_used_while_a_newer_one_is_fetched(oauth_server):
    events = Events()
    old = aged(oauth_server, 270)
    source = source_of(oauth_server, token=old, on_event=events)
    oauth_server.token_faults.add(Hold())
    assert source.get_token() == old
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    assert {source.get_token() for _ in range(20)} == {old}  # nobody waits, nobody asks once more
    oauth_server.release()
    assert events.wait_for(TokenRenewed).reason == "stale"
    assert source.get_token() != old
    assert len(oauth_server.token_calls) == 1


def test_an_expired_token_is_never_given_out(oauth_server):
    old = aged(oauth_server, 301)
    new = source_of(oauth_server, token=old).get_token()
    assert new != old
    assert len(oauth_server.token_calls) == 1


def test_the_age_counts_from_when_the_token_was_asked_for(oauth_server, clock):
    """The answer may take long; what the server counts began when it wrote the answer, at the latest."""

    def slowly(members):
        clock.advance(100)
        return members

    oauth_server.token_faults.add(Mutate(slowly))
    source = source_of(oauth_server, token_timeout=200)
    before = time.time()
    token = source.get_token()
    assert token.issued_at == pytest.approx(before, abs=10)
    clock.advance(150)  # 250 seconds after the request
    assert source.status().state == "stale"


def test_a_token_of_20_seconds_is_not_renewed_at_every_request(oauth_server, clock):
    oauth_server.expires_in = 20
    events = Events()
    source = source_of(oauth_server, on_event=events)
    source.get_token()
    for _ in range(100):  # a request each second
        clock.advance(1)
        source.get_token()
        settle()
    assert 5 <= len(oauth_server.token_calls) <= 8  # one in about 16 seconds
    assert {event.reason for event in events.of(TokenRenewed)[1:]} == {"stale"}


LIFETIMES_THAT_SAY_NOTHING = {
    "none": without("expires_in"),
    "null": with_members(expires_in=None),
    "zero": with_members(expires_in=0),
    "negative": with_members(expires_in=-300),
    "milliseconds": with_members(expires_in=1e12),
    "words": with_members(expires_in="soon"),
    "not a number": with_members(expires_in="NaN"),
    "a truth": with_members(expires_in=True),
}


@pytest.mark.parametrize("answer", LIFETIMES_THAT_SAY_NOTHING.values(), ids=LIFETIMES_THAT_SAY_NOTHING)
def test_a_token_of_unknown_life_is_used_until_a_401(oauth_server, clock, answer):
    oauth_server.token_faults.always(answer)
    source = source_of(oauth_server)
    token = source.get_token()
    assert token.expires_at is None
    clock.advance(9 * 365 * 86400)
    assert source.get_token() == token
    assert source.status().state == "fresh"
    assert len(oauth_server.token_calls) == 1
    assert source.get_token(rejected=token) != token
    assert len(oauth_server.token_calls) == 2


def test_renewals_that_bring_no_later_end_become_no_stream(oauth_server, clock):
    """Some servers give an ending session's token again with what is left of it."""
    ends_at = time.time() + 300
    oauth_server.token_faults.always(Mutate(lambda members: {**members, "expires_in": ends_at - time.time()}))
    source = source_of(oauth_server)
    source.get_token()
    asked_at = []
    for _ in range(298):
        clock.advance(1)
        calls = len(oauth_server.token_calls)
        source.get_token()
        settle()
        if len(oauth_server.token_calls) > calls:
            asked_at.append(time.time())
    assert len(asked_at) <= 6
    for earlier, later in itertools.pairwise(asked_at):
        assert later - earlier >= (ends_at - earlier) / 2 - 0.5


@pytest.mark.parametrize("days", [1, -1])
def test_a_wall_clock_that_jumps_by_a_day_costs_at_most_one_renewal(oauth_server, clock, days):
    source = source_of(oauth_server)
    source.get_token()
    clock.wall = days * 86400.0
    for _ in range(200):
        source.get_token()
        settle()
    assert len(oauth_server.token_calls) <= 2
    clock.wall = 0.0
    for _ in range(200):
        source.get_token()
        settle()
    assert len(oauth_server.token_calls) <= 3


@pytest.mark.parametrize("days", [1, -1])
def test_a_wall_clock_that_jumps_does_not_lengthen_the_life_of_a_token(oauth_server, clock, days):
    source = source_of(oauth_server)
    old = source.get_token()
    clock.wall = days * 86400.0
    clock.advance(301)
    assert source.get_token() != old
    clock.advance(100)
    source.get_token()
    settle()
    assert len(oauth_server.token_calls) == 2


@pytest.mark.parametrize("days", [1, -1])
def test_sources_that_share_a_store_do_not_renew_in_turns_when_the_wall_clock_jumps(oauth_server, clock, days):
    store = MemoryStore()
    sources = [source_of(oauth_server, store=store) for _ in range(3)]
    for source in sources:
        source.get_token()
    clock.wall = days * 86400.0
    sources += [source_of(oauth_server, store=store) for _ in range(3)]
    for _ in range(50):
        for source in sources:
            source.get_token()
            settle()
    assert len(oauth_server.token_calls) <= 2


ODD_TIMES = {
    "issued tomorrow": lambda moment: (moment + 86400, moment + 86700),
    "issued in a thousand years": lambda moment: (moment + 3.2e10, moment + 3.2e10 + 300),
    "ends at 0": lambda moment: (moment, 0.0),
    "ended in 1970": lambda moment: (moment, 86400.0),
    "ended before it was issued": lambda moment: (moment, moment - 1),
    "ends in milliseconds": lambda moment: (moment, (moment + 300) * 1000),
    "ends never": lambda moment: (moment, math.inf),
    "issued at no number": lambda moment: (math.nan, moment + 300),
    "ends at no number": lambda moment: (moment, math.nan),
    "issued at the beginning of time": lambda moment: (0.0, moment + 300),
}


@pytest.mark.parametrize("times", ODD_TIMES.values(), ids=ODD_TIMES)
def test_a_stored_token_with_odd_times_counts_as_expired_and_keeps_its_refresh_token(oauth_server, times):
    oauth_server.refresh_tokens = True
    store = MemoryStore()
    source = source_of(oauth_server, None, store=store)
    issued_at, expires_at = times(time.time())
    good = Token.from_response(oauth_server.issue_token())
    with store.transaction(source.key, timeout=0) as entry:
        entry.save(
            Token(
                access_token=good.access_token,
                issued_at=issued_at,
                expires_at=expires_at,
                refresh_token=good.refresh_token,
            )
        )
    assert source.get_token() != good
    assert grant_types(oauth_server) == ["refresh_token"]
    assert oauth_server.token_calls[0].form["refresh_token"] == good.refresh_token


def test_small_differences_between_the_clocks_of_machines_do_not_matter(oauth_server):
    store = MemoryStore()
    source = source_of(oauth_server, store=store)
    ahead = aged(oauth_server, -30)  # a machine whose clock is half a minute ahead has saved it
    with store.transaction(source.key, timeout=0) as entry:
        entry.save(ahead)
    assert source.get_token() == ahead
    assert not oauth_server.token_calls


def test_renew_ahead_of_zero_means_at_the_end_only(oauth_server):
    source = source_of(oauth_server, ClientCredentials(), token=aged(oauth_server, 295), renew_ahead=0)
    source.get_token()
    settle()
    assert not oauth_server.token_calls
