"""Several people, one program: one live object for each user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from .. import forks

__all__ = ["People"]

KEPT = 1000  # objects that stay alive though nobody else holds them

T = TypeVar("T")


class People(Generic[T]):
    """Gives the same object for the same user while it lives; the last thousand are kept alive.

    Args:
        is_needed: tells whether an object has to stay longer.
    """

    def __init__(self, is_needed: Callable[[T], bool]) -> None:
        self._is_needed = is_needed
        self._lock = forks.ForkSafeLock()
        self._alive: WeakValueDictionary[str, T] = WeakValueDictionary()
        self._recent: OrderedDict[str, T] = OrderedDict()

    def get(self, user: str, make: Callable[[], T]) -> T:
        """Give the object of a user, made now if there is none."""
        with self._lock.here():
            one = self._alive.get(user)
            if one is None:
                one = self._alive[user] = make()
            self._recent[user] = one
            self._recent.move_to_end(user)
            if len(self._recent) > KEPT:
                oldest = next((name for name, other in self._recent.items() if not self._is_needed(other)), user)
                del self._recent[oldest]
            return one
