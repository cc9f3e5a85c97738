"""A FileStore and a renewal whose callers are cancelled, interrupted, forked or killed while it is under way."""

import asyncio
import os
import signal
import threading

import httpx
import httpx2
import pytest

from video_oauth_auth.events import TokenRenewed
from video_oauth_auth.stores import FileStore
from video_oauth_auth.testing import Hold

from . import fleet_programs, test_cancellation
from .engine import grant_types, refresh_token_works
from .fleet_programs import signed_in, source_of, stored
from .program import is_live
from .test_cancellation import PATHS, Crowd

pytestmark = pytest.mark.timeout(60)
fleet = fleet_programs.fleet
interruptible = test_cancellation.interruptible
held = pytest.mark.parametrize("when", ["before", "after"])


def check_that_nothing_is_lost(crowd):
    """The one renewal went on, its token is in a file, and nobody holds the lock."""
    crowd.server.release()
    crowd.events.wait_for(TokenRenewed)
    token = crowd.source.get_token()
    with FileStore(crowd.source.settings.store.path).transaction(crowd.source.key, timeout=5) as entry:
        kept = (entry.token.access_token, entry.token.refresh_token) == (token.access_token, token.refresh_token)
    assert kept
    assert grant_types(crowd.server) == ["refresh_token"]
    assert refresh_token_works(crowd.server, token)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
@pytest.mark.parametrize("path", PATHS)
@held
def test_cancelled_tasks_and_a_closed_loop_lose_nothing(oauth_server, tmp_path, library, path, when):
    crowd = Crowd(oauth_server, path, when=when, store=FileStore(tmp_path / "tokens"))

    async def main():
        async with library.AsyncClient(auth=crowd.auth, timeout=10) as client:
            for task in await crowd.in_tasks(client):
                task.cancel()

    asyncio.run(main())
    check_that_nothing_is_lost(crowd)


HOLDER = """
source = source_of(None, store=store)
renewal = threading.Thread(target=source.get_token)
renewal.start()
say("ready")
renewal.join()
"""


@held
def test_tasks_that_are_cancelled_while_another_process_renews_lose_nothing(oauth_server, tmp_path, fleet, when):
    """They wait for its lock; nobody waits any more when it is free."""
    source = source_of(oauth_server, tmp_path)
    source.set(signed_in(oauth_server, age=301))
    oauth_server.token_faults.add(Hold(when=when))
    (holder,) = fleet(HOLDER)
    oauth_server.wait_for(lambda: oauth_server.held == 1)

    async def main():
        waiting = [asyncio.create_task(source.aget_token()) for _ in range(7)]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()

    asyncio.run(main())
    oauth_server.release()
    assert holder.end(within=20) == ""
    assert source.get_token() == stored(source)
    assert grant_types(oauth_server) == ["refresh_token"]
    assert oauth_server.reuse_detected == 0


@held
def test_ctrl_c_loses_nothing(oauth_server, tmp_path, interruptible, when):
    crowd = Crowd(oauth_server, "expiry", when=when, store=FileStore(tmp_path / "tokens"))

    def interrupt():
        crowd.wait()
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        crowd.source.get_token()
    interrupter.join()
    check_that_nothing_is_lost(crowd)


RENEWING = {
    "a thread": "source.get_token()",
    "a task": "asyncio.run(source.aget_token())",
    "a request": "requests.get({api!r} + '/me', auth=OAuth2Auth(source, origins=[{api!r}]), timeout=30)",
}


@pytest.mark.parametrize("call", RENEWING.values(), ids=RENEWING)
@held
def test_a_program_that_ctrl_c_ends_saves_what_the_server_has_given(oauth_server, tmp_path, fleet, call, when):
    source = source_of(oauth_server, tmp_path)
    source.set(signed_in(oauth_server, age=301))
    oauth_server.token_faults.add(Hold(when=when))
    text = """
signal.signal(signal.SIGINT, signal.default_int_handler)
source = source_of(None, store=store)
say("ready")
try:
    {call}
except KeyboardInterrupt:
    say("interrupted")
"""
    (program,) = fleet(text.format(call=call.format(api=oauth_server.api_url)))
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    os.kill(program.pid, signal.SIGINT)
    assert program.said() == "interrupted"
    oauth_server.release()
    assert program.end(within=20) == ""
    assert is_live(oauth_server, stored(source).access_token)
    assert source.get_token() == stored(source)
    assert grant_types(oauth_server) == ["refresh_token"]
    assert refresh_token_works(oauth_server, stored(source))


# --- children -----------------------------------------------------------------------------------------------------

PARENT = """
import multiprocessing


def work(kind, source=None):
    say(kind, (source or source_of(None, store=store)).get_token().access_token)


def main():
    source = source_of(None, store=store)
    renewal = threading.Thread(target=source.get_token)
    renewal.start()
    say("ready")
    told()
    children = []
    for kind, inherited in (("fork", (source,)), ("spawn", ())):
        children.append(multiprocessing.get_context(kind).Process(target=work, args=(kind, *inherited)))
        children[-1].start()
    say("started")
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    renewal.join()
    say("parent", source.get_token().access_token)


if __name__ == "__main__":
    main()
"""


@held
def test_children_that_are_forked_and_spawned_during_a_renewal_take_over_its_token(oauth_server, tmp_path, fleet, when):
    source = source_of(oauth_server, tmp_path)
    source.set(signed_in(oauth_server, age=301))
    oauth_server.token_faults.add(Hold(when=when))
    (parent,) = fleet(PARENT)
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    parent.tell()
    assert parent.said() == "started"
    oauth_server.release()
    tokens = dict(parent.said().split() for _ in range(3))
    assert parent.end(within=20) == ""
    assert set(tokens) == {"fork", "spawn", "parent"}
    all_the_same = set(tokens.values()) == {stored(source).access_token}
    assert all_the_same
    assert grant_types(oauth_server) == ["refresh_token"]
    assert oauth_server.reuse_detected == 0
    assert refresh_token_works(oauth_server, stored(source))


def test_a_child_goes_on_where_its_parent_was_killed_during_the_renewal(oauth_server, tmp_path, fleet):
    """The server has spent the refresh token; within its grace it gives the child what it had given the parent."""
    oauth_server.reuse_grace = 60
    source = source_of(oauth_server, tmp_path)
    source.set(signed_in(oauth_server, age=301))
    oauth_server.token_faults.add(Hold(when="after"))
    text = """
source = source_of(None, store=store)
threading.Thread(target=source.get_token, daemon=True).start()
say("ready")
told()
if not os.fork():
    say("forked")
    say(source.get_token().access_token)
    os._exit(0)
os.wait()
"""
    (parent,) = fleet(text)
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    parent.tell()
    assert parent.said() == "forked"
    os.kill(parent.pid, signal.SIGKILL)
    access_token = parent.said()
    assert is_live(oauth_server, access_token)
    assert stored(source).access_token == access_token
    oauth_server.release()
    assert grant_types(oauth_server) == ["refresh_token"] * 2
    assert oauth_server.reuse_detected == 0
