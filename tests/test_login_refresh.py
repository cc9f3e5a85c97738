"""Refreshes of a sign-in: a new ID token has to be about the same one; if it is not, nothing of it is used or lost."""

import time

import pytest
import requests

from video_oauth_auth import InvalidResponseError, LoginRequired, MemoryStore, OAuthError
from video_oauth_auth.events import RenewalFailed, TokenAdopted, TokenRejected
from video_oauth_auth.testing import Drop, OAuthServer, unavailable, without

from . import engine, sign_ins
from .engine import Events, grant_types, settle
from .sign_ins import auth_of, forged, movingimage_auth, sign_in, whose

clock, server = engine.clock, sign_ins.server


class Session:
    """Ann has signed in; her access token has ended, or the API rejects it.

    Attributes:
        first: what the sign-in gave.
    """

    def __init__(self, server, clock, *, age=301.0, **settings):
        self.server = server
        self.store, self.events = MemoryStore(), Events()
        self.auth = auth_of(server, store=self.store, on_event=self.events, **settings)
        self.first = sign_in(self.auth)
        self.ann = self.auth.for_user("ann")
        self.source = self.ann.source
        clock.advance(age)

    @property
    def stored(self):
        return self.store.load(self.source.key)

    def sent_to_the_api(self):
        """The access tokens that the API has seen, each once, in order."""
        seen = [request.header("Authorization") for request in self.server.requests_to("api")]
        return [text.removeprefix("Bearer ") for text in dict.fromkeys(seen) if text]


# --- what is taken ------------------------------------------------------------------------------------------------


def test_a_refreshed_id_token_brings_new_claims_of_the_same_person(server, clock):
    session = Session(server, clock)
    forged(server, x="new")
    token = session.source.get_token()
    assert token != session.first
    assert token.claims is not None
    assert (token.claims["sub"], token.claims["x"]) == ("ann", "new")
    assert token.id_token != session.first.id_token
    assert session.stored.claims == token.claims


def test_it_is_checked_at_every_refresh_not_only_at_the_first(server, clock):
    session = Session(server, clock)
    for _ in range(2):
        session.source.get_token()
        clock.advance(301)
    forged(server, sub="bob")
    with pytest.raises(InvalidResponseError, match="its sub is another one"):
        session.source.get_token()


def test_a_refresh_without_id_token_keeps_what_is_known(server, clock):
    session = Session(server, clock)
    server.token_faults.add(without("id_token"))
    token = session.source.get_token()
    assert token != session.first
    assert (token.id_token, token.claims) == (session.first.id_token, session.first.claims)
    assert (session.stored.id_token, session.stored.claims) == (token.id_token, token.claims)


def test_userinfo_is_still_compared_after_refreshes(server, clock):
    session = Session(server, clock)
    session.source.get_token()
    server.api_faults.add(sign_ins.with_members(sub="bob"), path="/userinfo")
    with pytest.raises(InvalidResponseError, match="about somebody else"):
        session.ann.userinfo()


def test_another_process_checks_it_too(server, clock):
    """The claims of the first ID token are in the store."""
    session = Session(server, clock)
    other = auth_of(server, store=session.store).for_user("ann")
    forged(server, sub="bob")
    with pytest.raises(InvalidResponseError, match="its sub is another one"):
        other.source.get_token()


def test_keys_that_cannot_be_fetched_just_now_do_not_end_a_session(server, clock):
    session = Session(server, clock)
    other = auth_of(server, store=session.store).for_user("ann")  # has fetched no keys yet
    server.metadata_faults.always(unavailable(), path="/jwks")
    token = other.source.get_token()
    assert token != session.first
    assert token.claims == session.first.claims
    assert session.stored == token


def test_the_keys_of_the_server_may_change(server, clock):
    session = Session(server, clock)
    server.rotate_keys()
    clock.advance(61)
    assert session.source.get_token().claims["sub"] == "ann"


def test_movingimage_refreshes_with_its_id_tokens(clock):
    with OAuthServer.movingimage(users=sign_ins.PEOPLE) as server:
        auth = movingimage_auth(server)
        first = sign_in(auth)
        clock.advance(301)
        again = auth.for_user("ann").source.get_token()
        assert again != first
        assert again.claims["sub"] == first.claims["sub"]
        assert auth.for_user("ann").userinfo()["sub"] == first.claims["sub"]


def test_where_nothing_could_be_verified_at_the_sign_in_nothing_is_at_a_refresh(server, clock):
    session = Session(server, clock, scope="video")
    forged(server, sub="somebody")
    token = session.source.get_token()
    assert token.claims is None
    assert whose(session.ann, server) == "ann"


# --- what is not --------------------------------------------------------------------------------------------------

WRONG = {
    "another person": ({"sub": "bob"}, "its sub is another one"),
    "another issuer": ({"iss": "https://evil.example"}, "issued by 'https://evil.example'"),
    "another client": ({"aud": "another-client"}, "not for the client test-client"),
    "another authorized party": ({"azp": "another-client"}, "its azp says so"),
    "another time of the sign-in": ({"auth_time": 5}, "its auth_time is another one"),
    "another nonce": ({"nonce": "x"}, "its nonce is another one"),
    "an old one": ({"iat": int(time.time()) - 6000}, "older than the first one"),
    "one that has ended": ({"exp": int(time.time()) - 6000}, "ended"),
    "the hash of another access token": ({"at_hash": "x"}, "its at_hash is another one"),
    "nobody": ({"sub": None}, "no sub"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=list(WRONG))
def test_an_id_token_of_another_sign_in_is_refused_and_the_rotated_refresh_token_is_kept(
    server, clock, changes, message
):
    session = Session(server, clock)
    forged(server, **changes)
    with pytest.raises(InvalidResponseError, match=message) as caught:
        whose(session.ann, server)
    assert caught.value.transient
    (refused,) = server.token_calls[1:]
    assert session.stored.refresh_token not in (None, refused.form["refresh_token"])
    assert session.stored.access_token == session.first.access_token
    assert session.sent_to_the_api() == []

    clock.advance(61)
    assert whose(session.ann, server) == "ann"
    assert server.reuse_detected == 0
    assert grant_types(server) == ["authorization_code", "refresh_token", "refresh_token"]
    assert session.stored.claims["sub"] == "ann"


@pytest.mark.parametrize("spoilt", ["", "x", "a.b.c", "a.b.c.d.e", "x" * 70_000])
def test_what_is_no_id_token_is_refused_likewise(server, clock, spoilt):
    session = Session(server, clock)
    server.token_faults.add(sign_ins.with_members(id_token=spoilt))
    if not spoilt:  # as if there were none
        assert session.source.get_token().claims["sub"] == "ann"
        return
    with pytest.raises(InvalidResponseError, match="ID token"):
        session.source.get_token()
    assert session.stored.refresh_token != session.first.refresh_token


def test_a_server_that_gives_no_new_refresh_token_keeps_the_old_one_good(server, clock):
    server.rotate = False
    session = Session(server, clock)
    forged(server, sub="bob")
    with pytest.raises(InvalidResponseError):
        session.source.get_token()
    assert session.stored.refresh_token == session.first.refresh_token
    clock.advance(61)
    assert whose(session.ann, server) == "ann"


def test_the_token_endpoint_is_not_asked_all_the_time(server, clock):
    """A minute of requests, each second one, from somebody whose ID tokens are always wrong."""
    session = Session(server, clock, token_timeout=3.0)
    wrong = server.sign({"iss": server.issuer, "sub": "bob", "aud": server.client_id})
    server.token_faults.always(sign_ins.with_members(id_token=wrong))
    for _ in range(60):
        with pytest.raises(OAuthError):
            whose(session.ann, server)
        clock.advance(1)
    assert len(server.token_calls) <= 3
    assert session.sent_to_the_api() == []
    assert server.reuse_detected == 0


def test_other_processes_do_not_use_the_refused_access_token_either(server, clock):
    session = Session(server, clock)
    forged(server, sub="bob")
    with pytest.raises(InvalidResponseError):
        session.source.get_token()
    other = auth_of(server, store=session.store).for_user("ann")
    assert whose(other, server) == "ann"
    assert server.reuse_detected == 0
    assert session.stored == other.source.peek()


def test_while_the_access_token_is_good_nobody_notices(server, clock):
    """A renewal ahead of time; the log tells of it."""
    session = Session(server, clock, age=250)
    forged(server, sub="bob")
    assert session.source.get_token() == session.first
    settle()
    (failed,) = session.events.of(RenewalFailed)
    assert (failed.error, failed.reason) == ("InvalidResponseError", "stale")
    assert whose(session.ann, server) == "ann"
    assert session.sent_to_the_api() == [session.first.access_token]


def test_a_token_that_the_api_has_rejected_is_not_taken_again_for_a_new_one(server, clock):
    """What is kept after such a refresh is the old access token with the new refresh token: nothing to adopt."""
    session = Session(server, clock, age=0)
    server.revoke_access_token(session.first.access_token)
    forged(server, sub="bob")
    with pytest.raises(InvalidResponseError):
        requests.get(f"{server.api_url}/me", auth=session.ann, timeout=30)
    for _ in range(3):
        with pytest.raises(OAuthError):
            requests.get(f"{server.api_url}/me", auth=session.ann, timeout=30)
    assert session.events.of(TokenAdopted) == []
    assert len(server.token_calls) == 2
    clock.advance(61)
    assert whose(session.ann, server) == "ann"
    assert len(session.events.of(TokenRejected)) >= 1


def test_a_refused_refresh_after_the_end_of_the_session_is_a_login_required(server, clock):
    session = Session(server, clock)
    forged(server, sub="bob")
    with pytest.raises(InvalidResponseError):
        session.source.get_token()
    server.revoke_refresh_tokens()
    clock.advance(61)
    with pytest.raises(LoginRequired):
        session.source.get_token()
    sign_in(session.auth)
    assert whose(session.ann, server) == "ann"


def test_a_new_sign_in_is_used_at_once_after_a_refused_refresh(server, clock):
    session = Session(server, clock)
    forged(server, sub="bob")
    with pytest.raises(InvalidResponseError):
        session.source.get_token()
    sign_in(session.auth)
    assert whose(session.ann, server) == "ann"
    clock.advance(301)
    assert whose(session.ann, server) == "ann"


def test_a_lost_answer_of_a_refresh_is_the_same_as_ever(server, clock):
    server.reuse_grace = 30
    session = Session(server, clock)
    server.token_faults.add(Drop("after"))
    assert session.source.get_token().claims["sub"] == "ann"
    assert server.reuse_detected == 0
