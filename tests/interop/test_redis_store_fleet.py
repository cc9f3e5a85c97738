"""Many processes, one RedisStore: who renews, who takes over, and what becomes of one that is stopped or killed."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    LoginRequired,
    OAuthClient,
    StoreError,
    Token,
    TokenSource,
)
from video_oauth_auth.stores import RedisStore
from video_oauth_auth.testing import Hold, OAuthServer

from .. import program as programs
from ..program import Program, is_live
from .redis import RedisServer

pytestmark = pytest.mark.timeout(120)
program = programs.program

StartProgram = Callable[..., Program]
Fleet = Callable[[str], list[Program]]

PROCESSES = 10
SECONDS = 20.0
LIFETIME = 4.0  # far more than a request takes, from its token to the API, on a busy machine
PATIENCE = 60.0

IMPORTS = """
        from video_oauth_auth.stores import RedisStore

        def hurried(source, lease):
            source.settings.store.lease = lease  # too short for its time-out, which a source would refuse
            return source
"""


def source_of(server: OAuthServer, redis: RedisServer, grant: Any = None, **settings: Any) -> TokenSource:
    """A source whose entry is that of the programs."""
    endpoint = AuthorizationServer(token_endpoint=server.token_endpoint)
    client = OAuthClient(server.client_id, server.client_secret)
    return TokenSource(endpoint, client, grant, store=RedisStore(redis.url), **settings)


def lease_of(source: TokenSource) -> str:
    return f"video-oauth-auth:{{store}}:lease:{source.key.id}"


def wait_until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refreshable(server: OAuthServer, *, age: float) -> Token:
    """A token that its holder takes for that many of its 300 seconds old; its refresh token is good."""
    server.refresh_tokens = True
    return Token.from_response(server.issue_token(), issued_at=time.time() - age)


def stored(source: TokenSource) -> Token | None:
    return source.settings.store.load(source.key)


# --- stopped and killed -------------------------------------------------------------------------------------------


def test_a_holder_that_was_stopped_beyond_its_lease_leaves_the_newer_token_and_takes_it_over(
    oauth_server: OAuthServer, redis_server: RedisServer, program: StartProgram
) -> None:
    """Its lease is too short for its time-out here; so it comes back with an answer."""
    oauth_server.token_faults.add(Hold(when="after"))
    late = program(
        f"""
        {IMPORTS}
        say(os.getpid())
        source = hurried(source_of(store=RedisStore({redis_server.url!r})), 1.0)
        first = source.get_token()
        say(first.access_token)
        while (second := source.get_token()) == first:
            time.sleep(0.01)
        say(second.access_token)
        """
    )
    pid = int(late.said())
    oauth_server.wait_for(lambda: oauth_server.held == 1, timeout=PATIENCE)
    os.kill(pid, signal.SIGSTOP)
    oauth_server.release()
    source = source_of(oauth_server, redis_server, ClientCredentials())
    newer = source.get_token()
    os.kill(pid, signal.SIGCONT)
    assert late.said() != newer.access_token
    assert stored(source) == newer
    assert late.said() == newer.access_token
    warnings = late.end(within=20)
    assert warnings.count("the lock was lost") == 1
    assert stored(source) == newer
    assert len(oauth_server.token_calls) == 2


def test_a_holder_that_was_stopped_beyond_its_lease_does_not_spend_the_refresh_token_that_another_has_spent(
    oauth_server: OAuthServer, redis_server: RedisServer, program: StartProgram
) -> None:
    """Its lease is longer than its time-out: when the lease has ended, so has its renewal."""
    source = source_of(oauth_server, redis_server)
    source.set(refreshable(oauth_server, age=301))
    late = program(
        f"""
        {IMPORTS}
        def secret():
            say(os.getpid())
            told()
            return "test-client-secret"

        source_of(user="somebody").get_token()  # which imports what a token call needs
        source = hurried(source_of(None, secret, store=RedisStore({redis_server.url!r}), token_timeout=1), 3.0)
        try:
            say(source.get_token().access_token)
        except OAuthError as error:
            say(type(error).__name__)
        say(source.get_token().access_token)
        """
    )
    pid = int(late.said())
    os.kill(pid, signal.SIGSTOP)
    newer = source.get_token()
    late.tell()
    os.kill(pid, signal.SIGCONT)
    assert late.said() in ("TransportError", newer.access_token)
    assert late.said() == newer.access_token
    late.end(within=20)
    assert oauth_server.reuse_detected == 0
    assert stored(source) == newer
    assert is_live(oauth_server, newer.access_token)


def test_a_holder_that_was_stopped_saves_late_what_nobody_else_has_written(
    oauth_server: OAuthServer, redis_server: RedisServer, program: StartProgram
) -> None:
    source = source_of(oauth_server, redis_server)
    source.set(refreshable(oauth_server, age=301))
    oauth_server.token_faults.add(Hold(when="after"))
    late = program(
        f"""
        {IMPORTS}
        say(os.getpid())
        say(hurried(source_of(None, store=RedisStore({redis_server.url!r})), 1.0).get_token().access_token)
        """
    )
    pid = int(late.said())
    oauth_server.wait_for(lambda: oauth_server.held == 1, timeout=PATIENCE)
    os.kill(pid, signal.SIGSTOP)
    with redis_server.client as client:
        wait_until(lambda: not client.exists(lease_of(source)))
    oauth_server.release()
    os.kill(pid, signal.SIGCONT)
    access_token = late.said()
    assert late.end(within=20) == ""
    kept = stored(source)
    assert kept is not None
    assert kept.access_token == access_token
    assert source.get_token() == kept
    assert source.get_token(rejected=kept) != kept
    assert oauth_server.reuse_detected == 0


def test_the_lease_of_a_holder_that_is_killed_ends_and_the_next_one_renews(
    oauth_server: OAuthServer, redis_server: RedisServer, program: StartProgram
) -> None:
    source = source_of(oauth_server, redis_server)
    source.set(refreshable(oauth_server, age=301))
    doomed = program(
        f"""
        {IMPORTS}
        def secret():
            say(os.getpid())
            told()

        hurried(source_of(None, secret, store=RedisStore({redis_server.url!r})), 6.0).get_token()
        """
    )
    os.kill(int(doomed.said()), signal.SIGKILL)
    impatient = source_of(oauth_server, redis_server, token_timeout=1)
    with pytest.raises(StoreError, match="others held the lock"):
        impatient.get_token()
    assert is_live(oauth_server, source.get_token().access_token)
    assert len(oauth_server.token_calls) == 1
    assert oauth_server.reuse_detected == 0


def test_a_process_that_ends_leaves_no_lease(
    oauth_server: OAuthServer, redis_server: RedisServer, program: StartProgram
) -> None:
    oauth_server.token_faults.add(Hold(when="after"))
    leaving = program(
        f"""
        {IMPORTS}
        source = source_of(store=RedisStore({redis_server.url!r}))
        threading.Thread(target=source.get_token, daemon=True).start()
        told()
        say("leaving")
        """
    )
    oauth_server.wait_for(lambda: oauth_server.held == 1, timeout=PATIENCE)
    leaving.tell()
    assert leaving.said() == "leaving"
    oauth_server.release()
    leaving.end(within=20)
    source = source_of(oauth_server, redis_server, ClientCredentials())
    with redis_server.client as client:
        assert not client.exists(lease_of(source))
    assert stored(source) is not None


# --- forked -------------------------------------------------------------------------------------------------------


def test_children_that_are_forked_at_any_moment_use_connections_of_their_own(
    oauth_server: OAuthServer, redis_server: RedisServer, program: StartProgram
) -> None:
    """While threads take connections and give them back without a pause; no child waits for a lock of theirs."""
    running = program(
        f"""
        {IMPORTS}
        import redis, signal
        client = redis.Redis.from_url({redis_server.url!r})
        store = RedisStore(client)
        source = source_of(store=store)
        done = threading.Event()

        def work(user):
            key = source_of(user=user).key
            while not done.is_set():
                with store.transaction(key, timeout=20) as entry:
                    entry.save(Token(access_token=user))
                client.connection_pool.disconnect(inuse_connections=False)

        threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        statuses = []
        for number in range(200):
            child = os.fork()
            if not child:
                signal.alarm(20)
                try:
                    token = source.get_token()
                    assert store.load(source.key) == token
                    assert source.key in store.entries()
                finally:
                    os._exit(sys.exc_info()[0] is not None)
            statuses.append(os.waitpid(child, 0)[1])
        say(*statuses)
        done.set()
        for thread in threads:
            thread.join()
        """
    )
    assert running.said().split() == ["0"] * 200
    running.end(within=20)
    assert len(oauth_server.token_calls) == 1


def test_a_child_of_the_holder_neither_frees_its_lease_nor_changes_its_entry(
    redis_server: RedisServer, program: StartProgram
) -> None:
    running = program(
        f"""
        {IMPORTS}
        from video_oauth_auth import StoreError
        store, key = RedisStore({redis_server.url!r}), source_of().key
        with store.transaction(key, timeout=0) as entry:
            entry.save(Token(access_token="first"))
            child = os.fork()
            if not child:
                try:
                    entry.delete()
                except StoreError as error:
                    say("forked" in str(error))
        if not child:
            sys.stdout.flush()
            try:
                store.transaction(key, timeout=0).__enter__()
            finally:
                say(sys.exc_info()[0])
                os._exit(0)
        os.waitpid(child, 0)
        try:
            entry.save(Token(access_token="late"))
        except StoreError as error:
            say("ended" in str(error))
        say(store.load(key).access_token)
        """
    )
    assert running.said() == "True"
    assert running.said()  # the lease is taken or, if the parent was faster, free
    assert running.said() == "True"
    assert running.said() == "first"
    running.end(within=20)


# --- a Redis that does not work, behind a token source ------------------------------------------------------------


def test_client_credentials_go_on_while_redis_hangs_and_are_saved_when_it_is_back(
    oauth_server: OAuthServer, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(oauth_server, own_redis, ClientCredentials())
    own_redis.pause()
    token = source.get_token()
    assert is_live(oauth_server, token.access_token)
    assert [record.getMessage().count("did not answer in time") for record in caplog.records] == [1]
    own_redis.resume()
    wait_until(lambda: source.get_token() == stored(source))
    assert len(oauth_server.token_calls) == 1


@pytest.mark.parametrize("breaks", ["hangs", "is gone", "has another password"])
def test_a_refresh_token_is_not_spent_without_redis(
    oauth_server: OAuthServer, own_redis: RedisServer, breaks: str
) -> None:
    source = source_of(oauth_server, own_redis)
    source.set(refreshable(oauth_server, age=250))
    expired = source_of(oauth_server, own_redis, user="expired")
    expired.set(refreshable(oauth_server, age=301))
    if breaks == "hangs":
        own_redis.pause()
    elif breaks == "is gone":
        own_redis.stop()
    else:
        with own_redis.client as client:
            client.config_set("requirepass", "another")
            client.client_kill_filter(_type="normal", skipme=True)
    assert is_live(oauth_server, source.get_token().access_token)
    with pytest.raises(StoreError):
        expired.get_token()
    assert not oauth_server.token_calls


def test_client_credentials_fill_a_redis_that_was_restarted_empty_with_one_token_call(
    oauth_server: OAuthServer, own_redis: RedisServer
) -> None:
    sources = [source_of(oauth_server, own_redis, ClientCredentials()) for _ in range(3)]
    first = sources[0].get_token()
    assert sources[1].get_token() == first
    own_redis.stop()
    own_redis.start()
    second = sources[2].get_token()
    assert second != first
    assert sources[0].get_token(rejected=first) == sources[1].get_token(rejected=first) == second == stored(sources[0])
    assert len(oauth_server.token_calls) == 2


def test_a_sign_in_that_a_restarted_redis_has_forgotten_is_asked_for_when_its_token_ends(
    oauth_server: OAuthServer, own_redis: RedisServer
) -> None:
    source = source_of(oauth_server, own_redis)
    source.set(refreshable(oauth_server, age=0))
    token = source.get_token()
    own_redis.stop()
    own_redis.start()
    assert source.get_token() == token
    with pytest.raises(LoginRequired) as caught:
        source.get_token(rejected=token)
    assert caught.value.reason == "never_signed_in"
    source.set(refreshable(oauth_server, age=0))
    assert stored(source) == source.get_token()


@pytest.mark.parametrize("grace", [0, 60])
def test_after_a_failover_to_an_older_snapshot_the_older_refresh_token_is_presented_once(
    oauth_server: OAuthServer, redis_server: RedisServer, grace: float
) -> None:
    """A server that allows reuse for a while gives the newer tokens again; a strict one ends the sign-in."""
    oauth_server.reuse_grace = grace
    source = source_of(oauth_server, redis_server)
    source.set(replace(refreshable(oauth_server, age=301), expires_at=time.time() - 1))
    entry = f"video-oauth-auth:{{store}}:entry:{source.key.id}"
    with redis_server.client as client:
        snapshot = client.dump(entry)
        newer = source.get_token()
        client.restore(entry, 0, snapshot, replace=True)
    another = source_of(oauth_server, redis_server)
    if grace:
        assert another.get_token() == newer
        assert stored(source) == newer
    else:
        with pytest.raises(LoginRequired) as caught:
            another.get_token()
        assert caught.value.reason == "revoked"
    assert len(oauth_server.token_calls) == 2
    assert oauth_server.reuse_detected == (0 if grace else 1)


# --- all together -------------------------------------------------------------------------------------------------


@pytest.fixture
def fleet(oauth_server: OAuthServer, tmp_path: Path) -> Iterator[Fleet]:
    """Starts this program ten times, and waits until each has said `ready`."""
    with ExitStack() as stack:

        def start(text: str) -> list[Program]:
            folders = [tmp_path / str(number) for number in range(PROCESSES)]
            for folder in folders:
                folder.mkdir()
            started = [stack.enter_context(Program(text, oauth_server.token_endpoint, folder)) for folder in folders]
            assert [one.said() for one in started] == ["ready"] * PROCESSES
            return started

        yield start


MEMBER = """
from video_oauth_auth.stores import RedisStore
import asyncio, httpx, requests

source = source_of(None, store=RedisStore({url!r}), renew_ahead={renew_ahead})
auth = OAuth2Auth(source, origins=[{api!r}])
statuses = []


def thread():
    with requests.Session() as session:
        session.auth = auth
        while time.monotonic() < ends_at:
            statuses.append(session.get({api!r} + "/me", timeout=30).status_code)
            time.sleep(0.1)


async def task(client):
    while time.monotonic() < ends_at:
        statuses.append((await client.get({api!r} + "/me", timeout=30)).status_code)
        await asyncio.sleep(0.1)


async def tasks():
    async with httpx.AsyncClient(auth=auth) as client:
        await asyncio.gather(*(task(client) for _ in range(5)))


say("ready")
told()
ends_at = time.monotonic() + {seconds}
threads = [threading.Thread(target=thread) for _ in range(5)]
for one in threads:
    one.start()
asyncio.run(tasks())
for one in threads:
    one.join()
say(json.dumps(statuses))
"""


@pytest.mark.parametrize("renew_ahead", [60.0, 0.0], ids=["ahead", "at the end"])
def test_ten_processes_with_threads_and_tasks_spend_each_refresh_token_once(
    oauth_server: OAuthServer, redis_server: RedisServer, fleet: Fleet, renew_ahead: float
) -> None:
    """Tokens of four seconds, rotation, and a server that ends everything at the first reuse."""
    oauth_server.expires_in, oauth_server.refresh_tokens = LIFETIME, True
    source = source_of(oauth_server, redis_server)
    text = MEMBER.format(url=redis_server.url, api=oauth_server.api_url, seconds=SECONDS, renew_ahead=renew_ahead)
    running = fleet(text)
    source.set(Token.from_response(oauth_server.issue_token()))
    began_at = time.monotonic()
    for one in running:
        one.tell()
    statuses = [json.loads(one.said()) for one in running]
    lasted = time.monotonic() - began_at
    assert [one.end(within=20) for one in running] == [""] * PROCESSES
    assert all(set(one) == {200} for one in statuses)
    assert all(len(one) > 50 for one in statuses)
    assert oauth_server.reuse_detected == 0
    lifetimes = lasted / (LIFETIME * (0.8 if renew_ahead else 1.0))  # a fifth is left when a token is renewed
    print(f"{len(oauth_server.token_calls)} token calls, {lifetimes:.1f} lifetimes, {sum(map(len, statuses))} answers")
    assert lifetimes / 2 < len(oauth_server.token_calls) <= lifetimes + 2


WAITING = """
from video_oauth_auth.stores import RedisStore

stores = [RedisStore({url!r}) for _ in range(10)]


def adopt(user, store):
    source_of(None, user=user, store=store).get_token()
    adopted_at.append(time.monotonic())


say("ready")
for user in {users!r}:
    told()
    adopted_at = []
    threads = [threading.Thread(target=adopt, args=(user, store)) for store in stores]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    say(json.dumps(adopted_at))
"""


def test_a_hundred_that_wait_for_an_expired_token_have_the_new_one_within_half_a_second(
    oauth_server: OAuthServer, own_redis: RedisServer, fleet: Fleet
) -> None:
    """A hundred sources, stores and connections, in ten processes; the best of three times, since machines are busy."""
    users = ["first", "second", "third"]
    last = []
    running = fleet(WAITING.format(url=own_redis.url, users=users))
    for number, user in enumerate(users, start=1):
        source = source_of(oauth_server, own_redis, user=user)
        source.set(refreshable(oauth_server, age=301))
        oauth_server.token_faults.add(Hold())
        for one in running:
            one.tell()
        oauth_server.wait_for(lambda: oauth_server.held == 1, timeout=PATIENCE)
        with own_redis.client as client:
            wait_until(lambda: len(client.client_list()) > 100)
        released_at = time.monotonic()
        oauth_server.release()
        waits = sorted(moment - released_at for one in running for moment in json.loads(one.said()))
        assert len(waits) == 100
        assert len(oauth_server.token_calls) == number
        print(f"the new token after {waits[50]:.2f} s (median), {waits[-1]:.2f} s (the last one)")
        last.append(waits[-1])
    for one in running:
        assert one.end(within=20) == ""
    assert min(last) < 0.5
