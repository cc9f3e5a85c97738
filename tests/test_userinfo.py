"""UserInfo: the server tells who has signed in, and it has to be who the ID token says."""

import asyncio
from dataclasses import replace

import pytest
import trio

from video_oauth_auth import (
    ConfigurationError,
    InvalidResponseError,
    LoginRequired,
    MemoryStore,
    OAuth2Auth,
    OAuthError,
    ResponseError,
    Token,
    TransportError,
)
from video_oauth_auth.testing import (
    Answer,
    Drop,
    OAuthServer,
    html_page,
    json_answer,
    redirect,
    text_answer,
    unavailable,
    with_members,
    without,
)

from . import engine, sign_ins
from .sign_ins import LOOPBACK, PEOPLE, auth_of, sign_in, signed_in, whose
from .test_secrets import everything_shown_by

clock, server = engine.clock, sign_ins.server


@pytest.fixture
def store():
    return MemoryStore()


PATH = "/userinfo"


async def asked_in_a_loop(ann):
    return await ann.auserinfo()


ASK = {
    "a thread": lambda ann: ann.userinfo(),
    "asyncio": lambda ann: asyncio.run(asked_in_a_loop(ann)),
    "trio": lambda ann: trio.run(asked_in_a_loop, ann),
}
everywhere = pytest.mark.parametrize("ask", ASK.values(), ids=list(ASK))


@everywhere
def test_the_server_tells_who_has_signed_in(server, ask):
    ann = signed_in(server)
    found = ask(ann)
    assert dict(found) == {"sub": "ann"}
    with pytest.raises(TypeError):
        found["sub"] = "bob"
    (request,) = [request for request in server.requests if request.path == PATH]
    assert (request.method, request.query, request.body) == ("GET", "", b"")
    assert request.header("Authorization") == f"Bearer {ann.source.peek().access_token}"


@everywhere
def test_a_token_that_is_rejected_there_is_renewed_once(server, ask):
    ann = signed_in(server)
    server.revoke_access_tokens()
    assert ask(ann)["sub"] == "ann"
    assert engine.grant_types(server) == ["authorization_code", "refresh_token"]


@everywhere
def test_a_token_that_has_ended_is_renewed_first(server, clock, ask):
    ann = signed_in(server)
    clock.advance(301)
    assert ask(ann)["sub"] == "ann"
    assert len([request for request in server.requests if request.path == PATH]) == 1


@everywhere
def test_a_server_that_takes_no_token_there_is_not_asked_for_ever(server, ask):
    ann = signed_in(server)
    server.api_faults.always(Answer(401), path=PATH)
    with pytest.raises(InvalidResponseError, match="401 to a new token; it may want the scope openid") as caught:
        ask(ann)
    assert caught.value.status == 401
    assert len([request for request in server.requests if request.path == PATH]) == 2
    assert len(server.token_calls) == 2


OTHERS = {
    "somebody else": with_members(sub="bob"),
    "a longer sub": with_members(sub="ann2"),
    "another case": with_members(sub="ANN"),
    "nobody": without("sub"),
    "a number": with_members(sub=5),
    "an empty sub": with_members(sub=""),
    "a page": html_page(),
    "a list": json_answer(200, []),
    "text": text_answer(200, "{}"),
    "a signed answer": Answer(200, headers=(("Content-Type", "application/jwt"),), body="a.b.c"),
    "a redirect": redirect(302, "https://evil.example/"),
    "nothing": Answer(204),
    "an error in a 200": json_answer(200, {"error": "invalid_token"}),
}


@pytest.mark.parametrize("fault", OTHERS.values(), ids=list(OTHERS))
def test_what_is_not_about_the_same_person_is_not_given(server, fault):
    ann = signed_in(server)
    server.api_faults.add(fault, path=PATH)
    with pytest.raises((InvalidResponseError, ResponseError)):
        ann.userinfo()
    assert whose(ann, server) == "ann"


@pytest.mark.parametrize("fault", [unavailable(), Answer(500), Answer(429), Drop("before"), Drop("midway")])
def test_a_server_that_is_down_can_be_asked_later(server, fault):
    ann = signed_in(server)
    server.api_faults.add(fault, path=PATH)
    with pytest.raises(TransportError):
        ann.userinfo()
    assert ann.userinfo()["sub"] == "ann"


def test_a_refusal_can_be_told_apart(server):
    ann = signed_in(server)
    server.api_faults.add(json_answer(403, {"error": "insufficient_scope"}), path=PATH)
    with pytest.raises(ResponseError) as caught:
        ann.userinfo()
    assert (caught.value.error, caught.value.status) == ("insufficient_scope", 403)


def test_without_a_verified_id_token_there_is_nothing_to_compare_with(server):
    auth = auth_of(server, scope="video")
    sign_in(auth)
    server.api_faults.add(with_members(sub="somebody"), path=PATH)
    assert auth.for_user("ann").userinfo()["sub"] == "somebody"


def test_where_nobody_is_signed_in_a_person_has_to(server):
    with pytest.raises(LoginRequired):
        auth_of(server).for_user("ann").userinfo()
    ann = signed_in(server)
    ann.logout()
    with pytest.raises(LoginRequired):
        ann.userinfo()


def test_a_server_that_does_not_tell_is_told(server):
    metadata = replace(server.authorization_server, userinfo_endpoint=None)
    ann = signed_in(server, metadata=metadata)
    with pytest.raises(ConfigurationError, match="names no userinfo_endpoint"):
        ann.userinfo()


@pytest.mark.parametrize("url", ["http://login.example.com/userinfo", "javascript:alert(1)", "https://a:b@x.example/"])
def test_a_hostile_endpoint_gets_no_token(server, url):
    server.metadata_faults.always(with_members(userinfo_endpoint=url))
    ann = signed_in(server, metadata=server.issuer)
    with pytest.raises(InvalidResponseError, match="userinfo_endpoint in the metadata"):
        ann.userinfo()


@pytest.mark.parametrize("make", [OAuthServer.movingimage, OAuthServer.cidaas])
def test_platforms_tell(make):
    with make(users=PEOPLE) as server:
        auth = auth_of(server, redirect_uri=LOOPBACK)
        token = sign_in(auth)
        assert auth.for_user("ann").userinfo()["sub"] == token.claims["sub"]


class OwnProvider:
    def get_token(self, *, rejected=None):
        return Token(access_token="x")

    async def aget_token(self, *, rejected=None):
        return Token(access_token="x")


@pytest.mark.parametrize("name", ["userinfo", "logout", "end_session_url", "auserinfo", "alogout"])
def test_a_source_of_ones_own_has_nobody_to_ask_or_sign_out(server, name):
    auth = OAuth2Auth(OwnProvider(), origins=[server.api_url])

    async def in_a_loop():
        return await getattr(auth, name)()

    with pytest.raises(ConfigurationError, match="needs a TokenSource"):
        asyncio.run(in_a_loop()) if name.startswith("a") else getattr(auth, name)()


@pytest.mark.parametrize("fault", [with_members(sub="bob"), Answer(401), Answer(500), html_page()])
def test_no_error_shows_the_token(server, fault):
    ann = signed_in(server)
    server.api_faults.always(fault, path=PATH)
    with pytest.raises(OAuthError) as caught:
        ann.userinfo()
    shown = everything_shown_by(caught.value)
    assert [secret[:4] for secret in server.secrets() if secret in shown] == []
