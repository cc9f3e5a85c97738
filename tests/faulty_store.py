"""A store that fails or hangs as told, over one that works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from video_oauth_auth import MemoryStore, StoreKey, Token
from video_oauth_auth.stores import Entry

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
        steps: what was done, in order: `load`, `lock`, `save`, `delete`, `unlock`.
        inside: the store that works; what it has survives every failure.
    """

    def __init__(self) -> None:
        self.inside = MemoryStore()
        self.steps: list[Step] = []
        self._failures: dict[Step, Exception] = {}
        self._gates: dict[Step, Gate] = {}

    def fail(self, step: Step, error: Exception) -> None:
        """Let this step fail from now on."""
        self._failures[step] = error

    def hold(self, step: Step) -> Gate:
        """Let this step hang the next time, until the gate is opened."""
        gate = self._gates[step] = Gate()
        return gate

    def work(self) -> None:
        """Work from now on."""
        self._failures.clear()

    def _step(self, step: Step) -> None:
        self.steps.append(step)
        if gate := self._gates.pop(step, None):
            gate.pass_through()
        if step in self._failures:
            raise self._failures[step]

    def load(self, key: StoreKey) -> Token | None:
        self._step("load")
        return self.inside.load(key)

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Iterator[Entry]:
        self._step("lock")
        with self.inside.transaction(key, timeout=timeout) as entry:
            yield _FaultyEntry(entry, self)
        self._step("unlock")

    def entries(self) -> list[StoreKey]:
        return self.inside.entries()


class _FaultyEntry:
    def __init__(self, inside: Entry, store: FaultyStore) -> None:
        self._inside = inside
        self._store = store

    @property
    def token(self) -> Token | None:
        self._store._step("read")
        return self._inside.token

    def save(self, token: Token) -> None:
        self._store._step("save")
        self._inside.save(token)

    def delete(self) -> None:
        self._store._step("delete")
        self._inside.delete()
