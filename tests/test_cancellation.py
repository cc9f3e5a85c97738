"""Callers that give up: whoever stops waiting, the renewal goes on, and nothing that the server gave is lost."""

import asyncio
import os
import signal
import threading

import httpx
import httpx2
import pytest
import trio

from video_oauth_auth import MemoryStore, OAuth2Auth
from video_oauth_auth.events import TokenRejected, TokenRenewed
from video_oauth_auth.testing import Hold

from .engine import Events, aged, grant_types, refresh_token_works, refreshing, settle

libraries = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
PATHS = ("expiry", "401")
CALLERS = 7


class Crowd:
    """Callers that all wait for one renewal, which the token endpoint holds back.

    Args:
        path: why they wait: the token has expired on the client's clock, or the API said 401 to all of them.
        when: held before the token endpoint processes the refresh, or after.
    """

    def __init__(self, server, path, *, when="before", **settings):
        self.server = server
        self.path = path
        self.events = Events()
        server.refresh_tokens = True
        self.token = aged(server, 301 if path == "expiry" else 0)
        self.source = refreshing(server, age=301 if path == "expiry" else 0, on_event=self.events, **settings)
        self.auth = OAuth2Auth(self.source, origins=[server.api_url])
        if path == "401":
            server.revoke_access_tokens()
            server.api_faults.add(Hold(until=CALLERS))  # the 401s come together
        server.token_faults.add(Hold(when=when))

    def wait(self):
        """Return when all of them wait; blocks."""
        if self.path == "401":
            self.events.wait_for(TokenRejected, count=CALLERS)
        self.server.wait_for(lambda: self.server.held == 1)

    async def in_tasks(self, client):
        """Start them as tasks of this client; give the tasks when all of them wait."""
        tasks = [asyncio.create_task(client.get(f"{self.server.api_url}/me")) for _ in range(CALLERS)]
        await asyncio.to_thread(self.wait)
        assert not any(task.done() for task in tasks)
        return tasks


@libraries
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("which", [0, CALLERS // 2, CALLERS - 1], ids=["first", "middle", "last"])
def test_a_cancelled_waiter_does_not_disturb_the_others(oauth_server, library, path, which):
    crowd = Crowd(oauth_server, path)

    async def main():
        async with library.AsyncClient(auth=crowd.auth, timeout=10) as client:
            tasks = await crowd.in_tasks(client)
            tasks[which].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks.pop(which)
            oauth_server.release()
            return [answer.status_code for answer in await asyncio.gather(*tasks)]

    assert asyncio.run(main()) == [200] * (CALLERS - 1)
    assert grant_types(oauth_server) == ["refresh_token"]
    assert oauth_server.reuse_detected == 0


@libraries
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_rotated_refresh_token_is_kept_when_every_waiter_is_cancelled_and_the_loop_closed(
    oauth_server, library, path, when
):
    store = MemoryStore()
    crowd = Crowd(oauth_server, path, when=when, store=store)

    async def main():
        async with library.AsyncClient(auth=crowd.auth, timeout=10) as client:
            for task in await crowd.in_tasks(client):
                task.cancel()

    asyncio.run(main())  # the loop is closed, and the token endpoint has not answered yet
    oauth_server.release()
    crowd.events.wait_for(TokenRenewed)
    stored = store.load(crowd.source.key)
    assert crowd.source.get_token() == stored
    assert grant_types(oauth_server) == ["refresh_token"]
    assert refresh_token_works(oauth_server, stored)


@pytest.mark.parametrize("path", PATHS)
def test_a_task_that_runs_out_of_time_leaves_the_renewal_to_the_next_one(oauth_server, path):
    crowd = Crowd(oauth_server, path, when="after")

    async def main():
        async with httpx.AsyncClient(auth=crowd.auth, timeout=10) as client:
            for task in await crowd.in_tasks(client):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await task
            oauth_server.release()
            return (await client.get(f"{oauth_server.api_url}/me")).status_code

    assert asyncio.run(main()) == 200
    assert grant_types(oauth_server) == ["refresh_token"]
    assert oauth_server.reuse_detected == 0


def test_cancelled_waiters_of_trio_leave_the_renewal_alone(oauth_server):
    store = MemoryStore()
    crowd = Crowd(oauth_server, "expiry", when="after", store=store)

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(crowd.source.aget_token)
            await trio.to_thread.run_sync(crowd.wait)
            nursery.cancel_scope.cancel()

    trio.run(main)
    oauth_server.release()
    crowd.events.wait_for(TokenRenewed)
    assert grant_types(oauth_server) == ["refresh_token"]
    assert refresh_token_works(oauth_server, store.load(crowd.source.key))


def test_hundreds_of_cancelled_requests_leave_nothing_locked(oauth_server):
    """Each is cancelled after another number of turns of the loop, wherever it is then."""
    crowd = Crowd(oauth_server, "expiry")
    oauth_server.token_faults.clear()

    async def cancelled_after(client, turns):
        task = asyncio.create_task(client.get(f"{oauth_server.api_url}/me"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def main():
        async with httpx.AsyncClient(auth=crowd.auth, timeout=10) as client:
            for turns in range(200):
                await cancelled_after(client, turns % 50)
                if turns % 20 == 0:
                    settle()  # or a renewal could bring a token that is revoked by now, which the API refuses twice
                    oauth_server.revoke_access_tokens()
            return (await client.get(f"{oauth_server.api_url}/me")).status_code

    assert asyncio.run(main()) == 200
    settle()
    assert oauth_server.reuse_detected == 0


@pytest.fixture
def interruptible():
    """Let SIGINT raise KeyboardInterrupt, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("when", ["before", "after"])
def test_ctrl_c_frees_a_waiting_caller_and_keeps_the_rotated_refresh_token(oauth_server, interruptible, when):
    store = MemoryStore()
    crowd = Crowd(oauth_server, "expiry", when=when, store=store)

    def interrupt():
        crowd.wait()
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        crowd.source.get_token()
    interrupter.join()
    oauth_server.release()
    crowd.events.wait_for(TokenRenewed)
    assert crowd.source.get_token() == store.load(crowd.source.key)
    assert grant_types(oauth_server) == ["refresh_token"]
    assert refresh_token_works(oauth_server, store.load(crowd.source.key))
