"""Many organisations, one program: the auth object of each, made when it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar
from weakref import WeakValueDictionary

from . import forks
from .auth import OAuth2Auth
from .errors import ConfigurationError, cleaned
from .source import TokenSource

__all__ = ["KEPT", "Organisations"]

KEPT = 10_000

AuthT = TypeVar("AuthT", bound=OAuth2Auth)


class Organisations(Generic[AuthT]):
    """Gives the auth object of an organisation, `auths["org-1"]`: the same one for the same name while it lives.

    One object serves any number of threads, tasks and event loops. Looking up does no I/O and waits for nobody. Who is
    not among the last `kept` that were asked for, and is not in use any more, is forgotten; the next request for it
    makes a new object, which asks for a new token or finds one in a shared store.

    Args:
        make: makes the auth object of an organisation from its name. It is called where the organisation is asked for,
            outside any lock, so it may be called by two callers at once; both get the same one of the two objects.
        kept: how many stay alive though nobody else holds them.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    __iter__ = None  # who there is, only the program knows
    __slots__ = ("__weakref__", "_alive", "_kept", "_lock", "_make", "_recent")

    def __init__(self, make: Callable[[str], AuthT], *, kept: int = KEPT) -> None:
        if not callable(make):
            raise ConfigurationError("make has to be a callable that takes a name and returns an auth object")
        if isinstance(kept, bool) or not isinstance(kept, int) or kept < 1:
            raise ConfigurationError(f"kept= is a number of auth objects, at least 1; not {kept!r}")
        self._make = make
        self._kept = kept
        self._lock = forks.ForkSafeLock()
        self._alive: WeakValueDictionary[str, AuthT] = WeakValueDictionary()
        self._recent: OrderedDict[str, AuthT] = OrderedDict()

    def __getitem__(self, name: str) -> AuthT:
        """Give the auth object of an organisation.

        Args:
            name: what the program knows the organisation by.

        Raises:
            ConfigurationError: it is no name, or `make` gave no auth object.
            Exception: whatever `make` raises.
        """
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"an organisation has a name, which is a text: not {name!r}")
        one = self._used(name)
        if one is None:
            one = self._used(name, self._made(name))
            assert one is not None  # noqa: S101 - it is the one that was made, or one that somebody else has made
        return one

    def _used(self, name: str, made: AuthT | None = None) -> AuthT | None:
        """Give the object of this name, or else the one that was made, as the last one that was asked for."""
        forgotten = None  # ends outside the lock: who knows what else ends with it
        with self._lock.here():
            one = self._recent.get(name)
            if one is None:
                one = self._alive.get(name) if made is None else self._alive.setdefault(name, made)
            if one is None:
                return None
            self._recent[name] = one
            self._recent.move_to_end(name)
            if len(self._recent) > self._kept:
                oldest = next((name for name, other in self._recent.items() if not _has_unsaved(other)), name)
                forgotten = self._recent.pop(oldest)
        del forgotten
        return one

    def _made(self, name: str) -> AuthT:
        made = self._make(name)
        if isinstance(made, OAuth2Auth):
            return made
        raise ConfigurationError(
            f"make has to return an auth object; for {cleaned(name)!r} it returned {type(made).__name__}"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._recent)} of at most {self._kept} kept>"

    def __copy__(self) -> Organisations[AuthT]:
        return self

    def __deepcopy__(self, _: object) -> Organisations[AuthT]:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled: build it in the worker process, with a shared store="
        )


def _has_unsaved(auth: OAuth2Auth) -> bool:
    """Tell whether an object has the only copy of a token."""
    return isinstance(auth.source, TokenSource) and auth.source.has_unsaved()
