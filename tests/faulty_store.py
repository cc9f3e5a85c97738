"""A store that fails or hangs as told."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from video_oauth_auth import StoreKey, Token, TokenSource
from video_oauth_auth.testing import OAuthServer

from .engine import aged, source_of

Step = Literal["load", "lock", "read", "save", "delete", "unlock"]


class Gate:
    """Where somebody is held until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        self._open.wait(60)

    def open(self) -> None:
        self._open.set()


class FaultyStore:
    """Does what a store does, except where it was told to fail or to hang.

    Attributes:
        tokens: what it keeps; may be changed without the lock, as by a sibling that ignores it.
        steps: what was asked of it, in order.
    """

    def __init__(self) -> None:
        self.tokens: dict[StoreKey, Token] = {}
        self.steps: list[Step] = []
        self._locks: defaultdict[StoreKey, threading.Lock] = defaultdict(threading.Lock)
        self._failures: dict[Step, BaseException] = {}
        self._gates: dict[Step, Gate] = {}

    def fail(self, step: Step, error: BaseException) -> None:
        """Let this step fail from now on."""
        self._failures[step] = error

    def hold(self, step: Step) -> Gate:
        """Let this step hang the next time, until the gate is opened."""
        gate = self._gates[step] = Gate()
        return gate

    def work(self) -> None:
        """Work from now on."""
        self._failures.clear()

    def step(self, step: Step) -> None:
        """Come to this step: fail or hang, if told so."""
        self.steps.append(step)
        if gate := self._gates.pop(step, None):
            gate.pass_through()
        if step in self._failures:
            raise self._failures[step]

    def load(self, key: StoreKey) -> Token | None:
        self.step("load")
        return self.tokens.get(key)

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Iterator[FaultyEntry]:
        self.step("lock")
        if not self._locks[key].acquire(timeout=timeout):
            raise TimeoutError
        try:
            yield FaultyEntry(self, key)
            self.step("unlock")
        finally:
            self._locks[key].release()

    def entries(self) -> list[StoreKey]:
        return list(self.tokens)


class FaultyEntry:
    """The entry of a faulty store."""

    def __init__(self, store: FaultyStore, key: StoreKey) -> None:
        self._store = store
        self._key = key

    @property
    def token(self) -> Token | None:
        self._store.step("read")
        return self._store.tokens.get(self._key)

    def save(self, token: Token) -> None:
        self._store.step("save")
        self._store.tokens[self._key] = token

    def delete(self) -> None:
        self._store.step("delete")
        self._store.tokens.pop(self._key, None)


class ForeignError(Exception):
    """What a store of the user may raise; its text may hold anything."""


def seeded(server: OAuthServer, store: FaultyStore, age: float, **settings: Any) -> TokenSource:
    """Make a source that can only refresh, over a store that has its token."""
    server.refresh_tokens = True
    source = source_of(server, None, store=store, **settings)
    store.tokens[source.key] = aged(server, age)
    return source
