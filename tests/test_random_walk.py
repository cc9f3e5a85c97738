"""A random walk: faults of the server, the network and the store, while processes renew, restart and sign in."""

import itertools
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from video_oauth_auth import LoginRequired, MemoryStore, OAuthError, StoreError, token_calls
from video_oauth_auth.stores import FileStore
from video_oauth_auth.testing import Delay, Drop, Mutate, OAuthServer, html_page, unavailable
from video_oauth_auth.testing.store_contract import members

from .engine import Clock, aged, in_threads, settle, source_of
from .faulty_store import FaultyStore, ForeignError
from .program import is_live

USERS, PROCESSES = ("ann", "bob"), (0, 1)
LIFETIME = 300
TOGETHER = -1  # the actor, where several sources are at it
users, processes = st.sampled_from(USERS), st.sampled_from(PROCESSES)

pauses = st.sampled_from([0, 1, 6, 16, 16, 70, 250, 301, 301])  # seconds

QUICK_TRIES, QUICK_TIME = 3, 15.5  # a refresh token whose answer was lost: how often, and within how many seconds
PATIENCE = 15.0  # seconds between two later tries, at least

FAULTS = {
    "reset before": Drop("before"),
    "closed before": Drop("before", how="close"),
    "reset after": Drop("after"),
    "closed after": Drop("after", how="close"),
    "reset midway": Drop("midway"),
    "closed midway": Drop("midway", how="close"),
    "unavailable": unavailable(),
    "a page": html_page(),
    "slow before": Delay(0.02),
    "slow after": Delay(0.02, when="after"),
}
faults = st.sampled_from(list(FAULTS))
STORE_STEPS = ("load", "lock", "read", "save", "unlock")


@dataclass
class SignIn:
    """What is known of one user's refresh tokens; an actor is the number of a source.

    Attributes:
        delivered: those that arrived, in order.
        kept: those that the store has had.
        unsaved: how many saves have failed since the last that worked.
        successors: which one came for which, arrived or not.
        received: for which one which actor has received the successor.
        dead: which ones the server has called invalid, to which actor.
        lost: when the answer to which one did not reach which actor.
    """

    delivered: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    unsaved: int = 0
    successors: dict[str, str] = field(default_factory=dict)
    received: set[tuple[str, int]] = field(default_factory=set)
    dead: set[tuple[str, int]] = field(default_factory=set)
    lost: defaultdict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def arrives(self, refresh_token: str) -> None:
        if refresh_token not in self.delivered:
            self.delivered.append(refresh_token)


class WatchedStore(FaultyStore):
    """Fails as told around a store that works, and tells what it was asked to save."""

    def __init__(self, inner, saw):
        super().__init__()
        self.inner = inner
        self.saw = saw

    def load(self, key):
        self.step("load")
        return self.inner.load(key)

    @contextmanager
    def transaction(self, key, *, timeout):
        self.step("lock")
        with self.inner.transaction(key, timeout=timeout) as entry:
            yield WatchedEntry(self, key, entry)
        self.step("unlock")

    def everything(self):
        """Give all that is stored, in a form that can be compared."""
        return {key: members(self.inner.load(key)) for key in self.inner.entries()}


class WatchedEntry:
    def __init__(self, store, key, entry):
        self._store = store
        self._key = key
        self._entry = entry

    @property
    def token(self):
        self._store.step("read")
        return self._entry.token

    def save(self, token):
        worked = False
        try:
            self._store.step("save")
            self._entry.save(token)
            worked = True
        finally:
            self._store.saw(self._key, token, worked=worked)


class Walk(RuleBasedStateMachine):
    """Two users; two processes, each with a source for either, on one store."""

    def __init__(self, make_store):
        super().__init__()
        self.cleanup = ExitStack()
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock(self.patch)
        self.patch.setattr(token_calls, "FIRST_DELAY", 0.001)
        self.server = OAuthServer(refresh_tokens=True).start()
        self.store = WatchedStore(self.cleanup.enter_context(make_store()), self.saw_save)
        self.known = {user: SignIn() for user in USERS}
        self.numbers = itertools.count()
        self.actors = {}
        self.sources = {}
        for user, process in itertools.product(USERS, PROCESSES):
            self.start(user, process)
        self.user, self.actor = "", TOGETHER
        self.violations = []

    def start(self, user, process):
        self.actors[user, process] = next(self.numbers)
        self.sources[user, process] = source_of(self.server, None, store=self.store, user=user, token_timeout=2.0)

    def teardown(self):
        settle()
        self.patch.undo()
        self.cleanup.close()
        self.server.stop()
        assert self.server.failures == []

    # --- what is seen of it -------------------------------------------------------------------------------------

    def saw_save(self, key, token, *, worked):
        known = self.known[key.user]
        known.unsaved = 0 if worked else known.unsaved + 1
        if worked:
            known.kept.add(token.refresh_token)

    def sees_call(self, call, *, lost):
        """Judge the refresh token that comes to the server; calls of one user come one after the other."""
        known, moment = self.known[self.user], token_calls.now()
        presented = call.form["refresh_token"]
        mine = presented, self.actor
        if known.successors.get(presented) in known.kept:
            self.violations.append("one was presented whose successor the store has had")
        if self.actor != TOGETHER:
            if mine in known.received:
                self.violations.append("one was presented by a process that has had its successor")
            if mine in known.dead:
                self.violations.append("one was presented by a process that was told that it is invalid")
            times = known.lost[mine]
            quick = not times or (len(times) < QUICK_TRIES and moment - times[0] <= QUICK_TIME)
            if not quick and moment - times[-1] < PATIENCE:
                self.violations.append(f"one was presented again too soon after {len(times)} lost answers")
        if lost:
            known.lost[mine].append(moment)
        return True

    def sees_answer(self, members, *, lost):
        known = self.known[self.user]
        presented = self.server.token_calls[-1].form["refresh_token"]
        if "refresh_token" in members:
            known.successors[presented] = members["refresh_token"]
            if not lost:
                known.received.add((presented, self.actor))
                known.arrives(members["refresh_token"])
        elif not lost:
            known.dead.add((presented, self.actor))
        return members

    @contextmanager
    def acting(self, user, process=None):
        """Do something for one user; what is stored for the others stays as it is."""
        self.user, self.actor = user, TOGETHER if process is None else self.actors[user, process]
        others = self.of_others(user)
        yield None if process is None else self.sources[user, process]
        settle()
        unchanged = self.of_others(user) == others
        assert unchanged

    def of_others(self, user):
        return {key: stored for key, stored in self.store.everything().items() if key.user != user}

    def ask(self, source, rejected=None):
        """Get a token; failing is allowed, but a person is asked only where the server has ended the sign-in."""
        try:
            return source.get_token(rejected=rejected)
        except LoginRequired:
            known, stored = self.known[self.user], self.store.inner.load(source.key)
            ended = stored is None or stored.refresh_token in {one for one, _ in known.dead}
            assert ended or source.has_unsaved()
        except OAuthError:
            pass
        return None

    # --- what happens -------------------------------------------------------------------------------------------

    @initialize(grace=st.sampled_from([0.0, 10.0, 1e6]))
    def begin(self, grace):
        self.server.reuse_grace = grace
        self.server_works()
        for user in USERS:
            self.sign_in(user, 0, "set")

    @rule(user=users, process=processes, seconds=pauses, rejected=st.booleans())
    def renew(self, user, process, seconds, rejected):
        self.pass_time(seconds)
        with self.acting(user, process) as source:
            self.ask(source, rejected=source.peek() if rejected else None)

    @rule(user=users, seconds=pauses)
    def renew_together(self, user, seconds):
        self.pass_time(seconds)
        with self.acting(user):
            waiting = itertools.cycle([self.sources[user, process] for process in PROCESSES])
            in_threads(4, lambda: self.ask(next(waiting)))

    @rule(user=users, process=processes, fault=faults, times=st.integers(1, 4), again_after=pauses)
    def renew_while_the_server_fails(self, user, process, fault, times, again_after):
        self.server_fails(fault, times)
        for seconds in (LIFETIME + 1, again_after):
            self.renew(user, process, seconds, rejected=False)

    @rule(user=users, process=processes, step=st.sampled_from(STORE_STEPS), works_again=st.booleans())
    def renew_while_the_store_fails(self, user, process, step, works_again):
        self.store_fails(step)
        self.renew(user, process, LIFETIME + 1, rejected=False)
        if works_again:
            self.store_works()

    def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.server.advance(seconds)

    @rule(fault=faults, times=st.integers(1, 4))
    def server_fails(self, fault, times):
        lost = isinstance(FAULTS[fault], Drop)
        watch = Mutate(partial(self.sees_answer, lost=lost))
        self.server.token_faults.add(FAULTS[fault], watch, times=times, when=partial(self.sees_call, lost=lost))

    @rule()
    def server_works(self):
        self.server.token_faults.clear()
        watch = Mutate(partial(self.sees_answer, lost=False))
        self.server.token_faults.always(watch, when=partial(self.sees_call, lost=False))

    @rule()
    def server_ends_the_sign_ins(self):
        self.server.revoke_refresh_tokens()

    @rule(step=st.sampled_from(STORE_STEPS))
    def store_fails(self, step):
        self.store.fail(step, ForeignError())

    @rule()
    def store_works(self):
        self.store.work()

    @rule(user=users, process=processes)
    def process_restarts(self, user, process):
        if not self.sources[user, process].has_unsaved():  # what no store has taken is gone with its process
            self.start(user, process)

    @rule(user=users, process=processes, how=st.sampled_from(["set", "keep"]))
    def sign_in(self, user, process, how):
        token, known = aged(self.server, 0), self.known[user]
        with self.acting(user, process) as source:
            failed = known.unsaved
            if how == "keep":
                source.keep(token, source.errand())
            else:
                try:
                    source.set(token)
                except StoreError:  # nothing was changed
                    return
            known.arrives(token.refresh_token)
            if token.refresh_token not in known.kept and known.unsaved == failed:
                known.unsaved += 1  # not even its lock could be had

    @rule(user=users)
    def everything_works_again(self, user):
        self.store_works()
        self.server_works()
        self.sign_in(user, 0, "set")
        with self.acting(user):
            first, second = (self.sources[user, process] for process in PROCESSES)
            stored = self.store.inner.load(first.key)
            assert first.get_token() == stored
            if second.peek() != stored:
                assert second.get_token(rejected=second.peek()) == stored
        assert is_live(self.server, stored.access_token)

    # --- what holds always --------------------------------------------------------------------------------------

    @invariant()
    def no_refresh_token_was_presented_that_should_not_be(self):
        assert self.violations == []

    @invariant()
    def the_store_has_the_newest_delivered_refresh_token_or_the_one_before_it(self):
        """Where it refuses to save, it is as many behind as it has refused."""
        for (user, _), source in self.sources.items():
            known = self.known[user]
            if known.delivered:
                stored = self.store.inner.load(source.key).refresh_token
                behind = known.delivered[::-1].index(stored)
                assert behind <= max(1, known.unsaved)


@contextmanager
def memory_store():
    yield MemoryStore()


@contextmanager
def file_store():
    with TemporaryDirectory() as folder:
        yield FileStore(Path(folder) / "tokens")


@pytest.mark.parametrize(("make_store", "walks"), [(memory_store, 120), (file_store, 60)])
def test_random_walk(make_store, walks):
    """The same walks every time; one that fails is shown as it is, because looking for a shorter one takes minutes."""
    steps = settings(
        max_examples=walks,
        stateful_step_count=40,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(lambda: Walk(make_store), settings=steps)
