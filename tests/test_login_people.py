"""Several people, one program: whose tokens are whose."""

import json

import pytest

from video_oauth_auth import (
    AuthorizationRequest,
    ConfigurationError,
    LoginRequired,
    MemoryStore,
    OAuth2Auth,
    OAuthClient,
    StoreError,
    Token,
)

from . import engine, sign_ins
from .faulty_store import FaultyStore, ForeignError
from .sign_ins import LOOPBACK, PEOPLE, auth_of, begun, callback, people_server, sign_in, whose

clock, server = engine.clock, sign_ins.server


def subject(token):
    return token.claims["sub"]


# --- where tokens are kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("completing", ["auth", "ann", "bob", "another object"])
def test_the_user_that_begin_login_was_told_decides_whatever_object_completes_it(server, completing):
    store = MemoryStore()
    auth = auth_of(server, store=store)
    objects = {
        "auth": auth,
        "ann": auth.for_user("ann"),
        "bob": auth.for_user("bob"),
        "another object": auth_of(server, store=store, user="bob"),
    }
    pending, back = begun(auth)
    token = objects[completing].complete_login(pending, back)
    assert auth.users() == ["ann"]
    assert store.load(auth.for_user("ann").source.key) == token
    assert whose(auth.for_user("ann"), server) == "ann"
    for other in ("bob", "auth"):
        with pytest.raises(LoginRequired):
            objects[other].source.get_token()


@pytest.mark.parametrize("beginning", ["auth", "bob"])
def test_whatever_object_begins_it_too(server, beginning):
    auth = auth_of(server)
    objects = {"auth": auth, "bob": auth.for_user("bob")}
    pending = objects[beginning].begin_login(user="ann")
    auth.complete_login(pending, callback(pending))
    assert auth.users() == ["ann"]


def test_the_object_of_a_user_begins_for_that_user(server):
    auth = auth_of(server)
    bob = auth.for_user("bob")
    pending = bob.begin_login()
    assert pending.user == "bob"
    auth.complete_login(pending, callback(pending, "bob"))
    assert (whose(bob, server), auth.users()) == ("bob", ["bob"])
    named = auth_of(server, user="carol")
    assert named.begin_login().user == "carol"
    assert named.for_user("carol") is named


def test_a_sign_in_without_user_is_that_of_the_object_without_user(server):
    """Also where the object of somebody else completes it."""
    auth = auth_of(server, redirect_uri=LOOPBACK)
    pending = auth.begin_login()
    auth.for_user("bob").complete_login(pending, callback(pending))
    assert whose(auth, server) == "ann"
    with pytest.raises(LoginRequired):
        auth.for_user("bob").source.get_token()


@pytest.mark.parametrize("kept", ["as an object", "as plain values"])
def test_the_user_can_be_found_in_the_verified_id_token(server, kept):
    auth = auth_of(server)
    pending = auth.begin_login(user=subject)
    assert pending.user is None
    back = callback(pending, "bob")
    if kept == "as an object":
        auth.complete_login(pending, back)
    else:
        restored = AuthorizationRequest.from_dict(json.loads(json.dumps(pending.to_dict())))
        with pytest.raises(ConfigurationError, match="whose sign-in is this"):
            auth.complete_login(restored, back)
        assert server.token_calls == ()
        auth.complete_login(restored, back, user=subject)
    assert auth.users() == ["bob"]
    assert whose(auth.for_user("bob"), server) == "bob"


def test_a_function_at_the_end_that_could_change_the_user_of_the_beginning_is_refused(server):
    """Unheard it would give everybody the tokens of one: a web application on loopback needs no user to begin."""
    auth = auth_of(server)
    pending, back = begun(auth, "ann")
    with pytest.raises(ConfigurationError, match="whose sign-in"):
        auth.complete_login(pending, back, user=lambda token: "bob")
    assert auth.users() == []
    auth.complete_login(pending, back)  # nothing was sent


@pytest.mark.parametrize("name", ["bob", "", 5, None])
def test_at_the_end_a_user_is_a_function(server, name):
    auth = auth_of(server)
    pending = auth.begin_login(user=subject)
    if name is None:
        pending = AuthorizationRequest.from_dict(pending.to_dict())
    with pytest.raises(ConfigurationError, match=r"callable|whose sign-in"):
        auth.complete_login(pending, "?code=x&state=y", user=name)


@pytest.mark.parametrize("found", ["", None, 5, b"ann", ["ann"]])
def test_a_function_that_gives_no_name_keeps_nothing(server, found):
    auth = auth_of(server, redirect_uri=LOOPBACK)
    pending = auth.begin_login(user=lambda token: found)
    with pytest.raises(ConfigurationError, match="callable given as user= gave no name"):
        auth.complete_login(pending, callback(pending))
    assert auth.users() == []
    assert auth.source.peek() is None


def test_without_an_id_token_the_message_says_what_is_missing(server):
    auth = auth_of(server, scope="video")
    pending = auth.begin_login(user=subject)
    with pytest.raises(ConfigurationError, match="TypeError; there is no verified ID token: ask for the scope openid"):
        auth.complete_login(pending, callback(pending))


@pytest.mark.parametrize("user", [5, True, b"ann", ["ann"], {"name": "ann"}])
def test_a_user_is_a_text_or_a_function(server, user):
    with pytest.raises(ConfigurationError, match="user= is a text, or a callable"):
        auth_of(server).begin_login(user=user)


# --- users --------------------------------------------------------------------------------------------------------


def test_users_are_those_who_are_signed_in_with_this_client_and_server(server):
    store = MemoryStore()
    auth = auth_of(server, store=store)
    assert auth.users() == []
    sign_in(auth, "bob")
    sign_in(auth, "ann")
    auth.for_user("carol")
    auth.source.set("a token without user")
    auth_of(server, store=store, client=OAuthClient("another", "x")).for_user("dave").source.set("x")
    auth_of(server, store=store, scope="video").for_user("erin").source.set("x")
    with people_server() as other:
        auth_of(other, store=store).for_user("frank").source.set("x")
    assert auth.users() == auth.for_user("bob").users() == ["ann", "bob"]
    auth.for_user("bob").logout()
    assert auth.users() == ["ann"]


def test_a_store_that_cannot_be_listed_is_a_store_error(server):
    class Unlisted(FaultyStore):
        def entries(self):
            raise ForeignError("an invented text")

    with pytest.raises(StoreError, match=r"could not be listed \(ForeignError\)") as caught:
        auth_of(server, store=Unlisted()).users()
    assert caught.value.__context__ is None


def test_what_a_store_advises_when_it_cannot_be_listed_is_told(server):
    class Unlisted(FaultyStore):
        def entries(self):
            raise StoreError("others may read the folder: run chmod 700 on it")

    with pytest.raises(StoreError, match=r"could not be listed \(others may read the folder: run chmod 700 on it\)"):
        auth_of(server, store=Unlisted()).users()


class OwnProvider:
    def get_token(self, *, rejected=None):
        return Token(access_token="x")

    async def aget_token(self, *, rejected=None):
        return Token(access_token="x")


@pytest.mark.parametrize("call", [lambda auth: auth.for_user("ann"), lambda auth: auth.users()])
def test_a_source_of_ones_own_knows_no_users(server, call):
    with pytest.raises(ConfigurationError, match="needs a TokenSource"):
        call(OAuth2Auth(OwnProvider(), origins=[server.api_url]))


# --- two servers --------------------------------------------------------------------------------------------------


def test_two_servers_that_share_a_store_never_see_each_others_tokens(server):
    store = MemoryStore()
    with people_server() as other:
        here, there = auth_of(server, store=store), auth_of(other, store=store)
        tokens = [sign_in(auth).access_token for auth in (here, there)]
        for auth, api in ((here, server), (there, other)):
            assert whose(auth.for_user("ann"), api) == "ann"
            api.revoke_access_tokens()
            assert whose(auth.for_user("ann"), api) == "ann"
        sent_here, sent_there = (
            "".join(f"{request.headers}{request.body!r}" for request in one.requests) for one in (server, other)
        )
    assert (tokens[0] in sent_here, tokens[1] in sent_there) == (True, True)
    assert (tokens[1] in sent_here, tokens[0] in sent_there) == (False, False)
    assert not any(secret in sent_here for secret in other.secrets() - set(PEOPLE.values()) - {other.client_secret})
