"""What a sign-in brings is kept, whoever gives up waiting, whatever the store does, however many come at once."""

import asyncio
import os
import signal
import threading
import time
from dataclasses import replace

import httpx
import httpx2
import pytest
import requests
import trio

from video_oauth_auth import (
    MemoryStore,
)
from video_oauth_auth.events import TokenRenewed
from video_oauth_auth.testing import Hold

from . import engine, sign_ins
from .engine import Events, in_threads, settle
from .faulty_store import FaultyStore, ForeignError
from .sign_ins import PEOPLE, auth_of, begun, callback, codes_sent, sign_in, whose

clock, server = engine.clock, sign_ins.server


# --- whoever gives up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_task_that_is_cancelled_leaves_the_sign_in_to_go_on(server, library, when):
    store, events = MemoryStore(), Events()
    auth = auth_of(server, store=store, on_event=events)
    pending, back = begun(auth)
    server.token_faults.add(Hold(when=when))

    def held():
        server.wait_for(lambda: server.held == 1)

    async def in_asyncio():
        task = asyncio.create_task(auth.acomplete_login(pending, back))
        await asyncio.to_thread(held)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def in_trio():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(auth.acomplete_login, pending, back)
            await trio.to_thread.run_sync(held)
            nursery.cancel_scope.cancel()

    if library == "trio":
        trio.run(in_trio)
    else:
        asyncio.run(in_asyncio())  # the loop is closed, and the token endpoint has not answered yet
    server.release()
    events.wait_for(TokenRenewed)
    assert store.load(auth.for_user("ann").source.key) == auth.for_user("ann").source.peek()
    assert whose(auth.for_user("ann"), server) == "ann"
    assert len(codes_sent(server)) == 1


@pytest.fixture
def interruptible():
    """Let SIGINT raise KeyboardInterrupt, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("when", ["before", "after"])
def test_ctrl_c_leaves_the_sign_in_to_go_on(server, interruptible, when):
    events = Events()
    auth = auth_of(server, on_event=events)
    pending, back = begun(auth)
    server.token_faults.add(Hold(when=when))

    def interrupt():
        server.wait_for(lambda: server.held == 1)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        auth.complete_login(pending, back)
    interrupter.join()
    server.release()
    events.wait_for(TokenRenewed)
    assert whose(auth.for_user("ann"), server) == "ann"
    assert len(codes_sent(server)) == 1


@pytest.mark.parametrize("kind", ["threads", "asyncio", "trio"])
def test_whoever_asks_the_work_is_done_by_a_thread_of_the_library(server, kind):
    seen = []

    def user_of(token):
        seen.append(threading.current_thread().name)
        return token.claims["sub"]

    auth = auth_of(server)
    pending = auth.begin_login(user=user_of)
    back = callback(pending)
    match kind:
        case "threads":
            auth.complete_login(pending, back)
        case "asyncio":
            asyncio.run(auth.acomplete_login(pending, back))
        case "trio":
            trio.run(auth.acomplete_login, pending, back)
    assert seen == ["video-oauth-auth-worker"]
    settle()
    assert engine.library_threads() == []


def test_an_event_loop_goes_on_turning_meanwhile(server):
    auth = auth_of(server)
    pending, back = begun(auth)
    server.token_faults.add(Hold())

    async def main():
        task = asyncio.create_task(auth.acomplete_login(pending, back))
        turns = 0
        while not server.held:
            await asyncio.sleep(0.001)
            turns += 1
        server.release()
        return turns, (await task).claims["sub"]

    turns, subject = asyncio.run(main())
    assert (turns > 0, subject) == (True, "ann")


# --- where they cannot be kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["lock", "save"])
@pytest.mark.parametrize("error", [ForeignError("an invented text"), OSError(28, "No space left on device")])
def test_tokens_that_cannot_be_kept_serve_the_process_and_are_saved_later(server, clock, caplog, step, error):
    store = FaultyStore()
    auth = auth_of(server, store=store)
    store.fail(step, error)
    token = sign_in(auth)
    ann = auth.for_user("ann")
    assert store.tokens == {}
    assert whose(ann, server) == "ann"
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "Tokens serve this process only" in warning
    store.work()
    clock.advance(6)
    assert ann.source.get_token() == token
    settle()
    assert store.tokens == {ann.source.key: token}
    assert len(server.token_calls) == 1


def test_the_event_of_a_sign_in_tells_that_its_tokens_could_not_be_saved(server):
    store, events = FaultyStore(), Events()
    store.fail("save", ForeignError())
    sign_in(auth_of(server, store=store, on_event=events))
    assert [event.saved for event in events.of(TokenRenewed)] == [False]


def test_a_store_that_somebody_holds_locked_does_not_hold_up_a_sign_in_for_ever(server):
    store = FaultyStore()
    auth = auth_of(server, store=store, token_timeout=5)
    ann = auth.for_user("ann")
    with store.transaction(ann.source.key, timeout=0):
        started_at = time.monotonic()
        token = sign_in(auth)
        assert time.monotonic() - started_at < 20
        assert ann.source.peek() == token
    assert store.tokens == {}


# --- many at once -------------------------------------------------------------------------------------------------


def test_many_people_sign_in_at_once_in_threads(server):
    auth = auth_of(server)
    begun_by = {f"{name}-{number}": (name, *begun(auth, name)) for number in range(10) for name in PEOPLE}
    pairs = iter([(user, replace(pending, user=user), back) for user, (_, pending, back) in begun_by.items()])
    lock = threading.Lock()

    def complete():
        with lock:
            user, pending, back = next(pairs)
        auth.complete_login(pending, back)
        return user, whose(auth.for_user(user), server)

    found = dict(in_threads(len(begun_by), complete))
    assert found == {user: name for user, (name, _, _) in begun_by.items()}
    assert auth.users() == sorted(begun_by)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_sign_in_outlives_a_renewal_that_was_under_way(server, clock, when):
    """The newest sign-in is what stays, in memory and in the store."""
    store = MemoryStore()
    auth = auth_of(server, store=store)
    sign_in(auth)
    ann = auth.for_user("ann")
    clock.advance(301)
    server.token_faults.add(Hold(when=when))
    pending, back = begun(auth)

    async def main():
        waiting = asyncio.create_task(ann.source.aget_token())
        await asyncio.to_thread(server.wait_for, lambda: server.held == 1)
        completing = asyncio.create_task(auth.acomplete_login(pending, back))
        await asyncio.to_thread(server.wait_for, lambda: len(codes_sent(server)) == 2)
        server.release()
        await waiting
        return await completing

    token = asyncio.run(main())
    settle()
    assert ann.source.peek() == store.load(ann.source.key) == token
    assert whose(ann, server) == "ann"
    clock.advance(301)
    assert whose(ann, server) == "ann"
    assert [call.form.get("refresh_token") for call in server.token_calls][-1] == token.refresh_token


def test_of_two_sign_ins_of_one_person_at_once_one_stays(server, clock):
    store = MemoryStore()
    auth = auth_of(server, store=store)
    both = iter([begun(auth), begun(auth)])
    lock = threading.Lock()

    def complete():
        with lock:
            pending, back = next(both)
        return auth.complete_login(pending, back)

    server.token_faults.add(Hold(until=2))
    tokens = in_threads(2, complete)
    ann = auth.for_user("ann")
    assert store.load(ann.source.key) in tokens
    assert ann.source.peek() in tokens
    clock.advance(301)
    assert whose(ann, server) == "ann"
    assert server.reuse_detected == 0


@pytest.mark.parametrize("make", [requests.Session, httpx.Client, httpx2.Client], ids=["requests", "httpx", "httpx2"])
def test_the_given_client_lends_its_transports_and_nothing_else(server, make):
    with make() as given:
        given.headers["X-Tenant"] = "films"
        given.cookies.set("visited", "yes")
        auth = auth_of(server, http_client=given, metadata=server.issuer)
        sign_in(auth)
        ann = auth.for_user("ann")
        assert ann.userinfo()["sub"] == "ann"
        assert ann.logout() is True
    ours = [request for request in server.requests if request.role != "authorization"]
    assert {request.role for request in ours} == {"metadata", "token", "api", "revocation"}
    for request in ours:
        assert request.header("X-Tenant") is None
        assert request.header("Cookie") is None
