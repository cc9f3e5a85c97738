"""A sign-in in two halves, for any application: what the second half gives, and what lies between."""

import asyncio
import json

import pytest
import trio

from video_oauth_auth import (
    AuthorizationRequest,
    ConfigurationError,
    InvalidResponseError,
    LoginRequired,
    MemoryStore,
    OAuthClient,
)
from video_oauth_auth.events import TokenRenewed
from video_oauth_auth.testing import without

from . import engine, sign_ins
from .engine import Events
from .sign_ins import LOOPBACK, auth_of, callback, sign_in, told, whose

clock, server = engine.clock, sign_ins.server


# --- the other half -----------------------------------------------------------------------------------------------


def test_the_code_goes_to_the_token_endpoint_once_with_verifier_and_the_same_redirect_uri(server):
    events = Events()
    auth = auth_of(server, on_event=events)
    pending = auth.begin_login(user="ann", redirect_uri=LOOPBACK)
    back = callback(pending)
    token = auth.complete_login(pending, back)
    (call,) = server.token_calls
    assert call.form == {
        "grant_type": "authorization_code",
        "code": told(back)["code"],
        "redirect_uri": LOOPBACK,
        "code_verifier": pending.code_verifier,
    }
    assert call.query == ""
    assert (token.claims["sub"], token.claims["nonce"], token.scope) == ("ann", pending.nonce, "openid")
    assert auth.for_user("ann").source.peek() == token
    (event,) = events.seen
    assert isinstance(event, TokenRenewed)
    assert (event.reason, event.grant_type, event.user, event.saved) == ("login", "authorization_code", "ann", True)


def test_what_the_server_leaves_out_of_the_scope_is_what_was_asked_for(server):
    auth = auth_of(server, scope="video upload")
    server.token_faults.add(without("scope"))
    assert sign_in(auth).scope == "video upload"  # RFC 6749, section 5.1


def test_the_renewals_afterwards_use_the_new_refresh_token(server, clock):
    store = MemoryStore()
    auth = auth_of(server, store=store)
    first = sign_in(auth)
    ann = auth.for_user("ann")
    clock.advance(301)
    assert whose(ann, server) == "ann"
    again = sign_in(auth)
    assert ann.source.peek() == store.load(ann.source.key) == again
    clock.advance(301)
    assert whose(ann, server) == "ann"
    refreshes = [call.form["refresh_token"] for call in server.token_calls if "refresh_token" in call.form]
    assert refreshes == [first.refresh_token, again.refresh_token]
    assert server.reuse_detected == 0


def test_a_sign_in_ends_what_kept_requests_from_going_out(server):
    """The session has ended, the source remembers that; a new sign-in is used at once."""
    auth = auth_of(server)
    sign_in(auth)
    ann = auth.for_user("ann")
    server.revoke_access_tokens()
    server.revoke_refresh_tokens()
    for _ in range(3):
        with pytest.raises(LoginRequired) as caught:
            whose(ann, server)
        assert (caught.value.reason, caught.value.user) == ("revoked", "ann")
    assert isinstance(ann.source.status().last_error, LoginRequired)
    sign_in(auth)
    assert ann.source.status().state == "fresh"
    assert ann.source.status().last_error is None
    assert whose(ann, server) == "ann"


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_both_halves_work_in_an_event_loop(server, run):
    auth = auth_of(server, metadata=server.issuer)

    async def main():
        pending = await auth.abegin_login(user="ann")
        token = await auth.acomplete_login(pending, callback(pending))
        ann = auth.for_user("ann")
        return token, await ann.auserinfo(), auth.users(), await ann.alogout(), auth.users()

    def start():
        return run(main) if run is trio.run else run(main())

    token, userinfo, before, told_server, after = start()
    assert token.claims["sub"] == userinfo["sub"] == "ann"
    assert (before, told_server, after) == (["ann"], True, [])


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_errors_come_out_of_an_event_loop_as_they_are(server, run):
    auth = auth_of(server)

    async def main():
        with pytest.raises(ConfigurationError):
            await auth.abegin_login()
        pending = await auth.abegin_login(user="ann")
        with pytest.raises(InvalidResponseError):
            await auth.acomplete_login(pending, "?code=x&state=y")

    run(main) if run is trio.run else run(main())
    assert server.token_calls == ()


# --- kept in between ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["ann", "Ännchen \U0001f3ac", None])
def test_a_begun_sign_in_survives_a_web_session_as_plain_json(server, user):
    auth = auth_of(server)
    pending = auth.begin_login(user=user or (lambda token: token.claims["sub"]))
    members = json.loads(json.dumps(pending.to_dict()))
    assert set(members) == {
        *("url", "state", "code_verifier", "nonce", "redirect_uri", "issuer", "client_id", "user"),
    }
    restored = AuthorizationRequest.from_dict(members)
    assert restored == pending
    assert restored.user == user


def test_another_object_for_the_same_server_and_client_completes_it(server):
    """As after a restart: the store is what both have in common."""
    store = MemoryStore()
    pending = AuthorizationRequest.from_dict(auth_of(server, store=store).begin_login(user="ann").to_dict())
    second = auth_of(server, store=store, redirect_uri=None)
    token = second.complete_login(pending, callback(pending))
    third = auth_of(server, store=store)
    assert third.users() == ["ann"]
    assert third.for_user("ann").source.get_token() == token


GARBAGE = {
    "nothing": {},
    "no mapping": ["url"],
    "None": None,
    "a text": "url",
    "a member too many": {"more": "x"},
    "a member too few": {"state": ...},
    "a number": {"state": 5},
    "a list": {"code_verifier": ["x"]},
    "no state": {"state": None},
    "an empty state": {"state": ""},
    "an empty verifier": {"code_verifier": ""},
    "an empty redirect URI": {"redirect_uri": ""},
    "a user that is a number": {"user": 7},
    "a user that is a list": {"user": ["ann"]},
    "an empty issuer": {"issuer": ""},
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
def test_what_is_no_begun_sign_in_is_refused(server, garbage):
    members = auth_of(server).begin_login(user="ann").to_dict()
    if isinstance(garbage, dict) and garbage:
        garbage = {name: value for name, value in {**members, **garbage}.items() if value is not ...}
    with pytest.raises(ConfigurationError, match="sign-in that has begun"):
        AuthorizationRequest.from_dict(garbage)


@pytest.mark.parametrize("pending", [None, {}, "https://films.example", 5, object()])
def test_only_a_begun_sign_in_can_be_completed(server, pending):
    with pytest.raises(ConfigurationError, match="from_dict"):
        auth_of(server).complete_login(pending, "?code=x&state=y")


def test_a_begun_sign_in_is_for_one_server_and_one_client(server):
    pending = auth_of(server).begin_login(user="ann")
    back = callback(pending)
    other_client = auth_of(server, client=OAuthClient("another-client", "its secret"))
    with pytest.raises(ConfigurationError, match=r"test-client at .* not for another-client"):
        other_client.complete_login(pending, back)
    with sign_ins.people_server() as other_server, pytest.raises(ConfigurationError, match=server.issuer):
        auth_of(other_server).complete_login(pending, back)
    assert server.token_calls == other_server.token_calls == ()
