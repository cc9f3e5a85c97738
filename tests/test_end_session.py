"""The URL where a person's browser ends their session at the server too."""

import asyncio
import urllib.request
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from video_oauth_auth import (
    ConfigurationError,
    InvalidResponseError,
    LoginRequired,
    MemoryStore,
)
from video_oauth_auth.testing import (
    Hold,
    OAuthServer,
    with_members,
    without,
)

from . import engine, sign_ins
from .sign_ins import LOOPBACK, PEOPLE, WEB, auth_of, sign_in, signed_in, whose

clock, server = engine.clock, sign_ins.server


@pytest.fixture
def store():
    return MemoryStore()


def parameters_of(url):
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


class NotFollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def opened(url):
    """The answer that a browser gets."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NotFollowed)
    try:
        answer = opener.open(url, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers["Location"]


def test_the_url_of_the_sign_out_ends_the_session_at_the_server(server):
    ann = signed_in(server)
    url = ann.end_session_url(post_logout_redirect_uri=f"{WEB}", state="my state & more")
    assert url.startswith(f"{server.url}/end_session?")
    assert parameters_of(url) == {
        "id_token_hint": ann.source.peek().id_token,
        "client_id": server.client_id,
        "post_logout_redirect_uri": WEB,
        "state": "my state & more",
    }
    status, location = opened(url)
    assert (status, parameters_of(location)) == (302, {"state": "my state & more"})
    with pytest.raises(LoginRequired):
        whose(ann, server)


@pytest.mark.parametrize("library", [asyncio, trio])
def test_in_an_event_loop_the_url_is_the_same(server, library):
    ann = signed_in(server)
    wanted = {"post_logout_redirect_uri": WEB, "state": "my state & more"}

    async def ask():
        return await ann.aend_session_url(**wanted)

    url = asyncio.run(ask()) if library is asyncio else trio.run(ask)
    assert url == ann.end_session_url(**wanted)
    assert parameters_of(url)["id_token_hint"] == ann.source.peek().id_token


def test_the_url_does_not_block_an_event_loop_while_metadata_are_fetched(server):
    auth = auth_of(server, metadata=server.issuer)
    server.metadata_faults.always(Hold())

    async def ask():
        url = asyncio.create_task(auth.aend_session_url())
        await asyncio.to_thread(server.wait_for, lambda: server.held == 1)
        assert not url.done()
        server.metadata_faults.clear()
        return await url

    assert parameters_of(asyncio.run(ask())) == {"client_id": server.client_id}


def test_in_an_event_loop_a_server_without_such_a_url_is_told(server):
    server.metadata_faults.always(without("end_session_endpoint"))
    with pytest.raises(ConfigurationError, match="names no end_session_endpoint"):
        asyncio.run(auth_of(server, metadata=server.issuer).aend_session_url())


def test_the_url_can_be_had_from_the_store_alone_and_changes_nothing(server, store):
    signed_in(server, store)
    ann = auth_of(server, store=store).for_user("ann")
    assert "id_token_hint" in parameters_of(ann.end_session_url())
    assert whose(ann, server) == "ann"
    assert len(server.token_calls) == 1


def test_the_url_works_with_an_access_token_that_has_ended(server, clock):
    ann = signed_in(server)
    clock.advance(10_000)
    assert opened(ann.end_session_url())[0] == 200
    assert len(server.token_calls) == 1


def test_where_nobody_is_signed_in_the_url_names_nobody(server):
    url = auth_of(server).for_user("ann").end_session_url()
    assert parameters_of(url) == {"client_id": server.client_id}


def test_an_endpoint_with_a_query_keeps_it(server):
    endpoint = f"{server.authorization_server.end_session_endpoint}?tenant=films"
    metadata = replace(server.authorization_server, end_session_endpoint=endpoint)
    assert parameters_of(auth_of(server, metadata=metadata).end_session_url())["tenant"] == "films"


@pytest.mark.parametrize("make", [OAuthServer.movingimage, OAuthServer.cidaas])
def test_platforms_have_such_a_url(make):
    with make(users=PEOPLE) as server:
        metadata = server.authorization_server
        auth = auth_of(server, metadata=metadata, redirect_uri=LOOPBACK)
        sign_in(auth)
        url = auth.for_user("ann").end_session_url(post_logout_redirect_uri=LOOPBACK)
        assert url.startswith(f"{metadata.end_session_endpoint}?")
        assert opened(url)[0] in (200, 302)


def test_a_server_without_such_a_url_is_told(server):
    server.metadata_faults.always(without("end_session_endpoint"))
    with pytest.raises(ConfigurationError, match="names no end_session_endpoint"):
        auth_of(server, metadata=server.issuer).end_session_url()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://login.example.com/out", "-x", "https://a:b@x.example/"])
def test_a_hostile_url_is_not_given(server, url):
    server.metadata_faults.always(with_members(end_session_endpoint=url))
    with pytest.raises(InvalidResponseError, match="end_session_endpoint in the metadata"):
        auth_of(server, metadata=server.issuer).end_session_url()
