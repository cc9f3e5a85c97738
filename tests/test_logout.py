"""Signing out: the server is told, and nothing is kept here, whatever it says."""

import asyncio
from dataclasses import replace

import pytest

from video_oauth_auth import (
    CidaasAuth,
    IBMVideoStreamingAuth,
    LoginRequired,
    MemoryStore,
    OAuth2Auth,
    StoreError,
    Token,
)
from video_oauth_auth.testing import (
    Answer,
    Drop,
    Hold,
    OAuthServer,
    html_page,
    json_answer,
    redirect,
    unavailable,
)

from . import engine, sign_ins
from .engine import settle
from .faulty_store import FaultyStore, ForeignError
from .sign_ins import LOOPBACK, PEOPLE, WEB, auth_of, movingimage_auth, sign_in, signed_in, whose

clock, server = engine.clock, sign_ins.server


@pytest.fixture
def store():
    return MemoryStore()


def revocations(server):
    """What the revocation endpoint was sent."""
    return [request.form for request in server.requests_to("revocation")]


def check_signed_out(ann, server, store=None):
    """Nothing is left here."""
    assert ann.source.peek() is None
    assert ann.users() == []
    assert store is None or store.load(ann.source.key) is None
    calls = len(server.token_calls)
    for _ in range(2):
        with pytest.raises(LoginRequired) as caught:
            whose(ann, server)
        assert (caught.value.reason, caught.value.user) == ("never_signed_in", "ann")
    assert len(server.token_calls) == calls


# --- the server is told -------------------------------------------------------------------------------------------


def test_both_tokens_are_revoked_the_refresh_token_first(server, store):
    ann = signed_in(server, store)
    token = ann.source.peek()
    assert ann.logout() is True
    assert revocations(server) == [
        {"token": token.refresh_token, "token_type_hint": "refresh_token"},
        {"token": token.access_token, "token_type_hint": "access_token"},
    ]
    for request in server.requests_to("revocation"):
        assert (request.method, request.query, request.status) == ("POST", "", 200)
        assert (request.header("Authorization") or "").startswith("Basic ")
    check_signed_out(ann, server, store)
    assert server.revoke_access_token(token.access_token) is False
    assert server.revoke_refresh_tokens() == 0


def test_without_a_refresh_token_the_access_token_is_revoked(server):
    server.refresh_tokens = False
    ann = signed_in(server)
    assert ann.logout() is True
    assert [form["token_type_hint"] for form in revocations(server)] == ["access_token"]


def test_the_tokens_of_now_are_revoked_not_those_of_the_sign_in(server, clock):
    ann = signed_in(server)
    clock.advance(301)
    token = ann.source.get_token()
    ann.logout()
    assert [form["token"] for form in revocations(server)] == [token.refresh_token, token.access_token]


def test_tokens_that_only_the_store_has_are_revoked(server, store):
    signed_in(server, store)
    ann = auth_of(server, store=store).for_user("ann")
    assert ann.logout() is True
    assert len(revocations(server)) == 2
    check_signed_out(ann, server, store)


def test_tokens_that_the_server_has_forgotten_are_over_too(server):
    ann = signed_in(server)
    ann.source.set(Token(access_token="nobody-knows-it", refresh_token="nor-that"))
    assert ann.logout() is True


@pytest.mark.parametrize("times", [1, 2])
def test_where_nobody_is_signed_in_there_is_nothing_to_tell(server, times):
    ann = auth_of(server).for_user("ann")
    assert [ann.logout() for _ in range(times)] == [False] * times
    assert server.requests == ()


def test_signing_out_twice_is_no_error(server):
    ann = signed_in(server)
    assert (ann.logout(), ann.logout()) == (True, False)


def test_the_sign_out_of_one_person_is_nobody_elses(server):
    ann = signed_in(server)
    sign_in(ann, "bob")
    ann.logout()
    assert whose(ann.for_user("bob"), server) == "bob"
    assert ann.users() == ["bob"]


def test_a_new_sign_in_after_it_works(server, clock):
    ann = signed_in(server)
    ann.logout()
    sign_in(ann)
    assert whose(ann, server) == "ann"
    clock.advance(301)
    assert whose(ann, server) == "ann"


def test_another_process_notices_at_the_next_401(server, store):
    ann = signed_in(server, store)
    elsewhere = auth_of(server, store=store).for_user("ann")
    assert whose(elsewhere, server) == "ann"
    ann.logout()
    with pytest.raises(LoginRequired):
        whose(elsewhere, server)
    assert store.load(ann.source.key) is None


def test_a_client_without_people_gets_a_new_token_after_it(brightcove_server, server):
    auth = OAuth2Auth.client_credentials(
        server.authorization_server, server.client_id, server.client_secret, origins=[server.api_url]
    )
    server.refresh_tokens = False
    first = auth.source.get_token()
    assert auth.logout() is True
    assert server.revoke_access_token(first.access_token) is False
    assert auth.source.get_token() != first


def test_cidaas_answers_in_plain_text():
    with OAuthServer.cidaas(users=PEOPLE) as server:
        server.redirect_uris = (WEB,)
        auth = CidaasAuth(
            server.issuer, server.client_id, server.client_secret, redirect_uri=WEB,
            scope="openid offline_access", origins=[server.api_url],
        )  # fmt: skip
        token = sign_in(auth)
        assert auth.for_user("ann").logout() is True
        assert auth.users() == []
        (first, *_) = server.requests_to("revocation")
        assert (first.path, first.form["token_type_hint"]) == ("/token-srv/revoke", "refresh_token")
        assert server.revoke_access_token(token.access_token) is False


def test_ibm_has_its_own_path_and_parameters():
    with OAuthServer.ibm_video_streaming(users=PEOPLE) as server:
        auth = IBMVideoStreamingAuth(
            server.client_id, server.client_secret, redirect_uri=LOOPBACK,
            server=server.authorization_server, origins=[server.api_url],
        )  # fmt: skip
        token = sign_in(auth)
        assert auth.for_user("ann").logout() is True
        assert {request.path for request in server.requests_to("revocation")} == {"/oauth2/token/revoke"}
        sent = [{name for name in form if name != "client_secret"} for form in revocations(server)]
        assert sent == [{"token", "client_id"}] * 2
        assert [form["token"] for form in revocations(server)] == [token.refresh_token, token.access_token]


def test_movingimage_takes_the_refresh_token():
    with OAuthServer.movingimage(users=PEOPLE) as server:
        auth = movingimage_auth(server)
        sign_in(auth)
        told = server.authorization_server.revocation_endpoint is not None
        assert auth.for_user("ann").logout() is told
        assert auth.users() == []


# --- the server cannot be told ------------------------------------------------------------------------------------

FAULTS = {
    "down for a while": unavailable(),
    "a server error": Answer(500),
    "too many requests": Answer(429),
    "a refusal": json_answer(400, {"error": "invalid_client"}),
    "a page": html_page("Oops", 404),
    "a redirect": redirect(307, "https://evil.example/"),
    "a reset": Drop("before"),
    "a lost answer": Drop("after"),
    "no answer in time": Hold(),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_where_the_server_cannot_be_told_the_tokens_are_forgotten_here_all_the_same(server, store, caplog, fault):
    signed_in(server, store)
    ann = auth_of(server, store=store, token_timeout=1).for_user("ann")
    server.revocation_faults.always(fault)
    assert ann.logout() is False
    server.release()
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "video_oauth_auth"]
    assert "forgotten here, but the server could not be told" in warning
    check_signed_out(ann, server, store)


def test_a_server_that_repeats_the_token_does_not_bring_it_into_the_log(server, caplog):
    ann = signed_in(server)
    token = ann.source.peek()
    for text in (token.refresh_token, token.access_token):
        server.revocation_faults.add(json_answer(400, {"error": "invalid_request", "error_description": f"not {text}"}))
    assert ann.logout() is False
    assert "could not be told" in caplog.text
    assert [secret[:4] for secret in server.secrets() if secret in caplog.text] == []


def test_where_the_server_is_gone_the_tokens_are_forgotten_here_all_the_same(server, store, caplog):
    ann = signed_in(server, store)
    server.stop()
    assert ann.logout() is False
    assert "could not be told" in caplog.text
    assert store.load(ann.source.key) is None
    assert ann.source.peek() is None


def test_where_not_even_the_metadata_can_be_had(server, store):
    signed_in(server, store)
    ann = auth_of(server, store=store, metadata=server.issuer).for_user("ann")
    server.metadata_faults.always(unavailable())
    assert ann.logout() is False
    assert store.load(ann.source.key) is None


def test_a_server_without_revocation_is_not_told(server, store):
    metadata = replace(server.authorization_server, revocation_endpoint=None)
    ann = signed_in(server, store, metadata=metadata)
    assert ann.logout() is False
    assert revocations(server) == []
    check_signed_out(ann, server, store)


def test_a_server_that_revokes_access_tokens_only_gets_those(server, store):
    """RFC 7009, section 2.2.1."""
    ann = signed_in(server, store)
    token = ann.source.peek()
    server.revocation_faults.add(json_answer(400, {"error": "unsupported_token_type"}))
    assert ann.logout() is False
    assert [form["token"] for form in revocations(server)] == [token.refresh_token, token.access_token]
    check_signed_out(ann, server, store)


# --- at the same time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_renewal_under_way_brings_nobody_back(server, store, clock, when):
    ann = signed_in(server, store)
    clock.advance(301)
    server.token_faults.add(Hold(when=when))

    async def main():
        waiting = asyncio.create_task(ann.source.aget_token())
        await asyncio.to_thread(server.wait_for, lambda: server.held == 1)
        out = asyncio.create_task(ann.alogout())
        await asyncio.sleep(0.05)
        server.release()
        return await out, await waiting

    told, token = asyncio.run(main())
    settle()
    assert told is True
    assert token.access_token in [form["token"] for form in revocations(server)]
    check_signed_out(ann, server, store)


def test_a_task_that_is_cancelled_leaves_the_sign_out_to_go_on(server, store):
    ann = signed_in(server, store)
    server.revocation_faults.add(Hold())

    async def main():
        out = asyncio.create_task(ann.alogout())
        await asyncio.to_thread(server.wait_for, lambda: server.held == 1)
        out.cancel()
        with pytest.raises(asyncio.CancelledError):
            await out

    asyncio.run(main())
    server.release()
    settle()
    check_signed_out(ann, server, store)


# --- the store fails ----------------------------------------------------------------------------------------------


def test_an_entry_that_cannot_be_read_under_its_lock_can_be_forgotten(server):
    store = FaultyStore()
    ann = signed_in(server, store)
    store.fail("read", ForeignError("an invented text"))
    assert ann.logout() is True
    store.work()
    assert (store.tokens, ann.source.peek()) == ({}, None)


def test_where_the_store_cannot_be_locked_nothing_has_happened(server):
    store = FaultyStore()
    ann = signed_in(server, store)
    store.fail("lock", ForeignError("an invented text"))
    with pytest.raises(StoreError, match="could not be locked"):
        ann.logout()
    assert revocations(server) == []
    assert whose(ann, server) == "ann"
    store.work()
    assert ann.logout() is True
    assert store.tokens == {}


def test_where_the_store_cannot_be_emptied_the_process_forgets_the_tokens_all_the_same(server):
    """They are revoked: no request may go out with them any more."""
    store = FaultyStore()
    ann = signed_in(server, store)
    store.fail("delete", ForeignError("an invented text"))
    with pytest.raises(StoreError, match="could not be emptied"):
        ann.logout()
    assert len(revocations(server)) == 2
    assert ann.source.peek() is None
    store.work()
    assert ann.logout() is True
    assert store.tokens == {}
