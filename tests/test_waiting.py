"""Many callers, one renewal: threads, tasks, event loops of any kind wait for the same answer."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath

import httpx
import httpx2
import pytest
import trio

from video_oauth_auth import OAuth2Auth, OAuthError, ResponseError, Token, TransportError
from video_oauth_auth.events import TokenRenewed
from video_oauth_auth.testing import Hold, json_answer

from .engine import Events, aged, grant_types, in_threads, refreshing, settle, source_of
from .faulty_store import FaultyStore


def all_in_one_loop(source, count, when_all_wait):
    """Let that many tasks ask for a token; give what each got, and call a function once all of them wait."""

    async def main():
        tasks = [asyncio.create_task(source.aget_token()) for _ in range(count)]
        await asyncio.sleep(0)  # now each has run up to where it waits
        await asyncio.to_thread(when_all_wait)
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(main())


def test_50_threads_and_200_tasks_that_meet_an_expired_token_make_one_token_call(oauth_server):
    events = Events()
    source = refreshing(oauth_server, on_event=events)
    oauth_server.token_faults.add(Hold())
    all_threads_run = threading.Barrier(51)

    def blocking():
        all_threads_run.wait(30)
        return source.get_token()

    def let_go():
        all_threads_run.wait(30)
        oauth_server.wait_for(lambda: oauth_server.held == 1)
        oauth_server.release()

    with ThreadPoolExecutor(50) as pool:
        threads = [pool.submit(blocking) for _ in range(50)]
        tokens = all_in_one_loop(source, 200, let_go)
        tokens += [thread.result(30) for thread in threads]
    assert len(tokens) == 250
    assert len(set(tokens)) == 1
    assert grant_types(oauth_server) == ["refresh_token"]
    assert oauth_server.reuse_detected == 0
    assert events.of(TokenRenewed)[0].waiters >= 200


def test_a_cold_start_of_50_threads_makes_one_token_call(oauth_server):
    source = source_of(oauth_server)
    assert len(set(in_threads(50, source.get_token))) == 1
    assert len(oauth_server.token_calls) == 1


def test_50_threads_that_report_the_same_rejected_token_make_one_token_call(oauth_server):
    source = source_of(oauth_server)
    old = source.get_token()
    tokens = in_threads(50, lambda: source.get_token(rejected=old))
    assert len(set(tokens)) == 1
    assert old not in tokens
    assert len(oauth_server.token_calls) == 2


def test_a_token_that_was_rejected_long_ago_costs_nothing(oauth_server):
    source = source_of(oauth_server)
    old = source.get_token()
    new = source.get_token(rejected=old)
    assert source.get_token(rejected=old) == new  # another caller has renewed meanwhile
    assert source.get_token(rejected=old.access_token) == new  # the text is enough to recognise it
    assert source.get_token(rejected=Token(access_token=old.access_token)) == new
    assert len(oauth_server.token_calls) == 2


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
def test_one_auth_object_serves_three_runs_of_an_event_loop(oauth_server, library):
    auth = OAuth2Auth(source_of(oauth_server), origins=[oauth_server.api_url])

    async def main():
        async with library.AsyncClient(auth=auth, timeout=10) as client:
            answers = await asyncio.gather(*(client.get(f"{oauth_server.api_url}/me") for _ in range(5)))
            return {answer.status_code for answer in answers}

    for run in range(1, 4):
        assert asyncio.run(main()) == {200}
        assert len(oauth_server.token_calls) == run
        oauth_server.revoke_access_tokens()


def test_a_renewal_that_began_in_a_loop_that_is_closed_serves_the_next_loop(oauth_server):
    source = refreshing(oauth_server)
    oauth_server.token_faults.add(Hold())

    async def give_up():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await source.aget_token()

    asyncio.run(give_up())
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    tokens = all_in_one_loop(source, 3, oauth_server.release)
    assert len(set(tokens)) == 1
    assert isinstance(tokens[0], Token)
    assert grant_types(oauth_server) == ["refresh_token"]


def test_loops_in_threads_sync_threads_and_trio_share_one_renewal(oauth_server):
    source = refreshing(oauth_server)
    oauth_server.token_faults.add(Hold())
    all_there = threading.Barrier(13)

    async def by_trio():
        tokens = []

        async def one():
            tokens.append(await source.aget_token())

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)
        return tokens

    def started(function):
        def run():
            all_there.wait(30)
            return function()

        return run

    kinds = [lambda: all_in_one_loop(source, 10, lambda: None), lambda: trio.run(by_trio), lambda: [source.get_token()]]
    with ThreadPoolExecutor(12) as pool:
        crowds = [pool.submit(started(kind)) for kind in kinds * 4]
        all_there.wait(30)
        oauth_server.wait_for(lambda: oauth_server.held == 1)
        oauth_server.release()
        tokens = [token for crowd in crowds for token in crowd.result(30)]
    assert len(tokens) == 4 * 21
    assert len(set(tokens)) == 1
    assert grant_types(oauth_server) == ["refresh_token"]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
def test_trio_works_like_asyncio(oauth_server, library):
    auth = OAuth2Auth(source_of(oauth_server), origins=[oauth_server.api_url])
    statuses = []

    async def main():
        async with library.AsyncClient(auth=auth, timeout=10) as client:

            async def one():
                statuses.append((await client.get(f"{oauth_server.api_url}/me")).status_code)

            for _ in range(2):
                async with trio.open_nursery() as nursery:
                    for _ in range(8):
                        nursery.start_soon(one)
                oauth_server.revoke_access_tokens()

    trio.run(main)
    assert statuses == [200] * 16
    assert len(oauth_server.token_calls) == 2


def test_the_event_loop_goes_on_while_the_token_endpoint_hangs(oauth_server):
    """No time is measured: the loop itself lets go of the token endpoint, after 50 rounds."""
    source = source_of(oauth_server, token_timeout=10)
    oauth_server.token_faults.add(Hold())

    async def main():
        waiting = asyncio.create_task(source.aget_token())
        rounds = 0
        while rounds < 50:
            await asyncio.sleep(0.002)
            rounds += oauth_server.held
        assert not waiting.done()
        oauth_server.release()
        return await waiting

    assert isinstance(asyncio.run(main()), Token)


@pytest.mark.parametrize("step", ["load", "lock", "save", "unlock"])
def test_the_event_loop_goes_on_while_the_store_hangs(oauth_server, step):
    store = FaultyStore()
    source = source_of(oauth_server, store=store, token_timeout=10)
    gate = store.hold(step)

    async def main():
        waiting = asyncio.create_task(source.aget_token())
        rounds = 0
        while rounds < 50:
            await asyncio.sleep(0.002)
            rounds += gate.reached.is_set()
        gate.open()
        return await waiting

    assert isinstance(asyncio.run(main()), Token)


# --- errors -----------------------------------------------------------------------------------------------------


def frames(error):
    """Give the names of the files that an exception's traceback leads through."""
    trace = error.__traceback__
    while trace is not None:
        yield PurePath(trace.tb_frame.f_code.co_filename).name
        trace = trace.tb_next


REFUSED = json_answer(400, {"error": "invalid_scope", "error_description": "no such scope"})


def test_waiters_share_one_failure_and_each_has_an_exception_of_its_own(oauth_server):
    source = source_of(oauth_server, token=aged(oauth_server, 301))
    oauth_server.token_faults.always(Hold(), REFUSED)
    all_threads_run = threading.Barrier(21)

    def blocking():
        all_threads_run.wait(30)
        try:
            return source.get_token()
        except OAuthError as error:
            return error

    def let_go():
        all_threads_run.wait(30)
        oauth_server.wait_for(lambda: oauth_server.held == 1)
        oauth_server.release()

    with ThreadPoolExecutor(20) as pool:
        threads = [pool.submit(blocking) for _ in range(20)]
        errors = all_in_one_loop(source, 20, let_go)
        errors += [thread.result(30) for thread in threads]
    assert len(oauth_server.token_calls) == 1
    assert len({id(error) for error in errors}) == 40
    workings = {"renewal.py", "token_calls.py", "transport.py", "workers.py"}
    for error in errors:
        assert isinstance(error, ResponseError)
        assert error.error == "invalid_scope"
        assert error.__cause__ is None
        assert error.__context__ is None
        assert not workings.intersection(frames(error))


def test_an_error_that_is_raised_again_and_again_does_not_grow(oauth_server):
    source = source_of(oauth_server, secret="wrong")
    lengths = set()
    for _ in range(20):
        with pytest.raises(ResponseError) as caught:
            source.get_token()
        lengths.add(len(list(frames(caught.value))))
    assert len(lengths) <= 2  # the first was told by the server, the others were remembered
    assert len(oauth_server.token_calls) == 1


def test_waiters_do_not_wait_much_longer_than_token_timeout(oauth_server):
    source = source_of(oauth_server, token_timeout=0.5)
    oauth_server.token_faults.add(Hold(timeout=60))
    errors = in_threads(10, source.get_token)
    assert {type(error) for error in errors} == {TransportError}
    assert all("token_timeout" in str(error) for error in errors)
    oauth_server.release()
    settle()
