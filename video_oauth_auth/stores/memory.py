"""MemoryStore: tokens that live as long as the object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..forks import ForkSafeLock
from ..token import Token
from .contract import StoreKey

__all__ = ["MemoryStore"]


class _Slot:
    """One key's token and lock."""

    __slots__ = ("lock", "token")

    def __init__(self) -> None:
        self.token: Token | None = None
        self.lock = ForkSafeLock()

    def save(self, token: Token) -> None:
        self.token = token

    def delete(self) -> None:
        self.token = None


class MemoryStore:
    """A token store in this process' memory. Objects that are given the same one share their tokens."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: dict[StoreKey, _Slot] = {}

    def load(self, key: StoreKey) -> Token | None:
        slot = self._slots.get(key)
        return None if slot is None else slot.token

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Iterator[_Slot]:
        slot = self._slots.setdefault(key, _Slot())
        lock = slot.lock.here()
        if not lock.acquire(timeout=max(timeout, 0.0)):
            raise TimeoutError("another renewal holds the lock of this entry")
        try:
            yield slot
        finally:
            lock.release()

    def entries(self) -> list[StoreKey]:
        return [key for key, slot in list(self._slots.items()) if slot.token is not None]
