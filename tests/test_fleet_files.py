"""Many processes, one FileStore: they share every token, spend each refresh token once, and wait for each other."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from video_oauth_auth import StoreError, Token
from video_oauth_auth.testing import Hold

from . import fleet_programs
from .fleet_programs import signed_in, source_of, stored

pytestmark = pytest.mark.timeout(120)
fleet = fleet_programs.fleet

PROCESSES = 10
SECONDS = 20.0
LIFETIME = 2.0
WAITING_PROCESSES = 100

MEMBER = """
auth = OAuth2Auth(source_of(None, store=store), origins=[{api!r}])
statuses = []


def thread():
    with requests.Session() as session:
        session.auth = auth
        while time.monotonic() < ends_at:
            statuses.append(session.get({api!r} + "/me", timeout=30).status_code)
            time.sleep(0.2)


async def task(client):
    while time.monotonic() < ends_at:
        statuses.append((await client.get({api!r} + "/me", timeout=30)).status_code)
        await asyncio.sleep(0.2)


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


def test_ten_processes_with_threads_and_tasks_live_on_tokens_of_two_seconds(oauth_server, tmp_path, fleet):
    """With rotation, and a server that ends everything at the first reuse."""
    oauth_server.expires_in = LIFETIME
    source = source_of(oauth_server, tmp_path)
    running = fleet(MEMBER.format(api=oauth_server.api_url, seconds=SECONDS), PROCESSES)
    source.set(Token.from_response(oauth_server.issue_token()))
    began_at = time.monotonic()
    for one in running:
        one.tell()
    statuses = [json.loads(one.said()) for one in running]
    lasted = time.monotonic() - began_at
    assert [one.end(within=20) for one in running] == [""] * PROCESSES
    assert {status for one in statuses for status in one} == {200}
    assert all(len(one) > 50 for one in statuses)
    assert oauth_server.reuse_detected == 0
    lifetimes = lasted / (LIFETIME * 0.8)  # a fifth is left when a token is renewed
    print(f"{len(oauth_server.token_calls)} token calls, {lifetimes:.1f} lifetimes, {sum(map(len, statuses))} answers")
    assert lifetimes / 2 < len(oauth_server.token_calls) <= lifetimes + 2


WAITING = """
import gc, socket

gc.freeze()  # a collection in a child would copy the memory that it shares with the others
ours, theirs = socket.socketpair()


async def adopt_in_task(source):
    theirs.send(b".")
    await source.aget_token()


say("ready")
for _ in range({times}):
    told()
    for number in range({processes}):
        if not os.fork():
            source = source_of(None, store=store)
            if number % 2:
                asyncio.run(adopt_in_task(source))
            else:
                theirs.send(b".")
                source.get_token()
            os.write(1, f"{{time.monotonic()}}\\n".encode())  # in one piece: all of them write there
            os._exit(0)
    for _ in range({processes}):
        ours.recv(1)
    say("waiting")
    assert [os.wait()[1] for _ in range({processes})] == [0] * {processes}
"""


def test_a_hundred_that_wait_for_an_expired_token_have_the_new_one_within_half_a_second(oauth_server, tmp_path, fleet):
    """A thread in every second process, a task in the others; the best of three times, since machines are busy."""
    source = source_of(oauth_server, tmp_path)
    (running,) = fleet(WAITING.format(processes=WAITING_PROCESSES, times=3))
    last = []
    for number in (1, 2, 3):
        source.set(signed_in(oauth_server, age=301))
        oauth_server.token_faults.add(Hold())
        running.tell()
        assert running.said() == "waiting"
        oauth_server.wait_for(lambda: oauth_server.held == 1)
        released_at = time.monotonic()
        oauth_server.release()
        waits = sorted(float(running.said()) - released_at for _ in range(WAITING_PROCESSES))
        assert len(oauth_server.token_calls) == number
        print(f"the new token after {waits[50]:.2f} s (median), {waits[-1]:.2f} s (the last one)")
        last.append(waits[-1])
    assert running.end(within=20) == ""
    assert min(last) < 0.5


# --- a lock that another process holds ----------------------------------------------------------------------------

HOLDER = """
with store.transaction(source_of(None).key, timeout=0):
    say("ready")
    told()
"""

HELD_FOR = 3.0
# The promise is 20 ms. A busy machine takes a turn of the loop away now and then, and keeps a thread that was started
# from beginning; both for longer than that, but not again and again.
STALL, LONGEST_STALL = 0.02, 0.1
SCHEDULED = Path("/proc/thread-self/schedstat")  # how long this thread has waited for a processor, where that is told


def waited_for_a_processor():
    return int(SCHEDULED.read_text().split()[1]) / 1e9 if SCHEDULED.exists() else 0.0


async def longest_stalls(until):
    """Give the three longest times that the loop was kept from a task that always wants to go on, the longest first."""
    stalls, last, waited = [], time.perf_counter(), waited_for_a_processor()
    while not until.is_set():
        await asyncio.sleep(0.001)
        moment, waited_now = time.perf_counter(), waited_for_a_processor()
        stalls.append(moment - last - 0.001 - (waited_now - waited))
        last, waited = moment, waited_now
    return sorted(stalls, reverse=True)[:3]


@pytest.mark.parametrize(("age", "calls"), [(270, 0), (301, 1)], ids=["stale", "expired"])
def test_another_process_that_holds_the_lock_does_not_stall_the_loop(oauth_server, tmp_path, fleet, age, calls):
    source = source_of(oauth_server, tmp_path)
    old = signed_in(oauth_server, age=age)
    source.set(old)
    (holder,) = fleet(HOLDER)

    async def callers():
        done = asyncio.Event()
        stalls = asyncio.create_task(longest_stalls(done))
        began_at = time.monotonic()
        waiting = [asyncio.create_task(source.aget_token()) for _ in range(20)]
        while time.monotonic() < began_at + HELD_FOR:
            if not calls:
                assert await source.aget_token() == old
            await asyncio.sleep(0.01)
        assert [one.done() for one in waiting] == [not calls] * 20
        assert not oauth_server.token_calls
        done.set()
        longest = await stalls
        holder.tell()
        return set(await asyncio.gather(*waiting)), longest

    tokens, stalls = asyncio.run(callers())
    print(f"the loop stood still for {', '.join(f'{stall * 1000:.1f}' for stall in stalls)} ms at most")
    assert stalls[0] < LONGEST_STALL
    assert stalls[2] < STALL
    assert tokens == {stored(source) if calls else old}
    assert len(oauth_server.token_calls) == calls
    assert holder.end(within=20) == ""


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_the_wait_for_a_lock_that_another_process_never_frees_is_bounded(oauth_server, tmp_path, fleet, colour):
    source = source_of(oauth_server, tmp_path, token_timeout=1.0)
    source.set(signed_in(oauth_server, age=301))
    (holder,) = fleet(HOLDER)
    began_at = time.monotonic()
    with pytest.raises(StoreError, match="others held the lock"):
        source.get_token() if colour == "blocking" else asyncio.run(source.aget_token())
    assert time.monotonic() - began_at < 2.0  # token_timeout, and as much again for a busy machine
    assert not oauth_server.token_calls
    holder.tell()
    holder.end(within=20)
    assert source.get_token() == stored(source)
