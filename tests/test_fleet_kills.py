"""`kill -9` of the process that renews, at 200 moments of its renewal and of the request that it is for."""

import stat
import statistics
import time
from dataclasses import replace

import pytest

from video_oauth_auth.stores import FileStore
from video_oauth_auth.testing import Mutate

from . import fleet_programs
from .fleet_programs import signed_in, source_of, stored

pytestmark = pytest.mark.timeout(120)
fleet = fleet_programs.fleet

KILLS = 200

# One program that forks: each child makes one request with a token that has expired, and waits to be killed. The next
# one is not killed; it says how it went.
KILLING = """
def request():
    auth = OAuth2Auth(source_of(None, store=store), origins=[{api!r}])
    return requests.get({api!r} + "/me", auth=auth, timeout=30).status_code


def killed(pause):
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        os.write(told, b".")
        try:
            request()
        finally:
            signal.pause()
    os.read(ready, 1)
    time.sleep(pause)
    os.kill(child, signal.SIGKILL)
    os.close(ready)
    os.close(told)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def finished():
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        began_at = time.monotonic()
        try:
            result = request()
        except OAuthError as error:
            result = type(error).__name__
        os.write(theirs, f"{{result}} {{time.monotonic() - began_at}}".encode())
        os._exit(0)
    os.close(theirs)
    assert os.waitpid(child, 0)[1] == 0
    said = os.read(ours, 100).decode()
    os.close(ours)
    return said


say("ready")
while line := sys.stdin.readline():
    pause = line.strip()
    say(killed(float(pause)) if pause else finished())
"""


class Killing:
    """The program, the store and the server, as the test sees them.

    Attributes:
        refresh_tokens: the refresh token that the server gave together with each access token.
    """

    def __init__(self, server, folder, fleet):
        self.server = server
        self.source = source_of(server, folder)
        self.refresh_tokens = {}
        server.token_faults.always(Mutate(self._note))
        (self.program,) = fleet(KILLING.format(api=server.api_url))
        self.pauses = self._pauses()

    def _note(self, members):
        if "access_token" in members:
            self.refresh_tokens[members["access_token"]] = members["refresh_token"]
        return members

    def _pauses(self):
        """Give 200 moments, spread evenly over what a request with a renewal takes here, and a bit more."""
        took = []
        for _ in range(10):
            self.sign_in()
            status, seconds = self.request()
            assert status == "200"
            took.append(seconds)
        longest = 1.3 * statistics.median(took)
        return [longest * number / KILLS for number in range(KILLS)]

    def sign_in(self):
        """Keep a new sign-in whose token has expired."""
        self.source.set(signed_in(self.server, age=301))

    def expire(self):
        """Let the stored token be one that has expired."""
        moment = time.time()
        with FileStore(self.source.settings.store.path).transaction(self.source.key, timeout=0) as entry:
            entry.save(replace(entry.token, issued_at=moment - 301, expires_at=moment - 1))

    def request(self):
        """Let a process make a request; give the status or the error, and how long it took."""
        self.program.tell()
        result, seconds = self.program.said().split()
        return result, float(seconds)

    def kill(self, pause):
        """Let a process make a request and be killed that long after it began; give what the server saw of it."""
        self.server.clear()
        self.program.write(f"{pause}")
        assert self.program.said() == "9"
        self.check_files()
        calls = self.server.requests
        return (
            [call for call in calls if call.role == "token"],
            [call for call in calls if call.role == "api" and call.processed and call.token_state == "live"],
        )

    def check_files(self):
        folder = self.source.settings.store.path
        with FileStore(folder).transaction(self.source.key, timeout=0):  # nobody holds the lock
            pass
        paths = list(folder.iterdir())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
        assert sum(path.suffix == ".tmp" for path in paths) <= 1
        assert {path.suffix for path in paths} <= {".json", ".lock", ".tmp"}

    def check_what_was_used(self, requests):
        """Whatever an API has accepted, its refresh token is in the store."""
        token = stored(self.source)
        for request in requests:
            used = request.header("Authorization").removeprefix("Bearer ")
            kept = (token.access_token, token.refresh_token) == (used, self.refresh_tokens[used])
            assert kept


def test_after_a_kill_the_next_process_works_at_once_without_a_person(oauth_server, tmp_path, fleet):
    """One sign-in survives 200 kills, where the server takes a refresh token again for a while."""
    oauth_server.reuse_grace = 60
    killing = Killing(oauth_server, tmp_path, fleet)
    killing.sign_in()
    seen, results, longest = [], [], 0.0
    for pause in killing.pauses:
        before = stored(killing.source)
        calls, requests = killing.kill(pause)
        killing.check_what_was_used(requests)
        seen.append((bool(calls), stored(killing.source) != before, bool(requests)))
        result, seconds = killing.request()
        results.append(result)
        longest = max(longest, seconds)
        killing.expire()
    assert results == ["200"] * KILLS
    assert oauth_server.reuse_detected == 0
    check_that_moments_differ(seen)
    print(f"the next process had its answer after {longest:.2f} s at most")
    assert longest < 3.0  # no wait for a lock or for a step of back-off


def test_before_a_kill_no_api_has_accepted_a_token_whose_refresh_token_was_not_saved(oauth_server, tmp_path, fleet):
    """A strict server: where a kill came between its answer and the store, a person signs in again."""
    killing = Killing(oauth_server, tmp_path, fleet)
    seen, results = [], []
    for pause in killing.pauses:
        killing.sign_in()
        before = stored(killing.source)
        calls, requests = killing.kill(pause)
        killing.check_what_was_used(requests)
        saved = stored(killing.source) != before
        result, _ = killing.request()
        lost = not saved and sum(call.processed for call in oauth_server.token_calls) > 1
        assert result == ("LoginRequired" if lost else "200")
        seen.append((bool(calls), saved, bool(requests)))
        results.append(result)
    check_that_moments_differ(seen)
    assert set(results) == {"LoginRequired", "200"}


def check_that_moments_differ(seen):
    """Kills came before the server was asked, while it was, after its answer was saved, and after the API's success."""
    counts = {what: seen.count(what) for what in sorted(set(seen))}
    print("; ".join(f"asked, saved, used: {what}: {count}" for what, count in counts.items()))
    assert set(counts) <= {(False, False, False), (True, False, False), (True, True, False), (True, True, True)}
    assert counts.get((False, False, False), 0) > 0
    assert counts.get((True, False, False), 0) > 0
    assert counts.get((True, True, True), 0) > 0
