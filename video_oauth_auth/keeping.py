"""Keeping the token of one source in its store, and in mind what the store could not keep."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Literal, cast

from .budget import now
from .errors import OAuthError, StoreError
from .freshness import Held
from .stores import Entry, StoreKey, TokenStore
from .token import Token

__all__ = ["Keeper", "is_same"]

logger = logging.getLogger("video_oauth_auth")

SAVE_AGAIN = (5.0, 60.0)  # seconds until a failed save is tried again: first, and at most
WARN_EVERY = 60.0  # seconds between two warnings about the store


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """A token that the store could not keep yet.

    Attributes:
        held: the token, with its real freshness.
        over: what the entry held under its lock; it is saved again only over that. Not known, if it was never locked.
        delay: seconds until the next try.
    """

    held: Held
    over: Token | Literal["not known"] | None
    delay: float


def is_same(one: Token | None, other: Token | None) -> bool:
    """Tell whether two tokens are the same, their refresh tokens too."""
    if one is None or other is None:
        return one is other
    return (one.access_token, one.refresh_token) == (other.access_token, other.refresh_token)


class Keeper:
    """Keeps a token in a store; a user's own store may raise anything, and no exception of it goes further.

    Args:
        store: the store.
        key: under which name.

    Attributes:
        unsaved: the token that the store could not keep yet.
    """

    __slots__ = ("_key", "_store", "_warned_at", "unsaved")

    def __init__(self, store: TokenStore, key: StoreKey) -> None:
        self._store = store
        self._key = key
        self._warned_at = -WARN_EVERY
        self.unsaved: _Unsaved | None = None

    def stored(self) -> Token | None:
        """Look into the store.

        Raises:
            StoreError: it cannot be read.
        """
        failure: StoreError
        try:
            return self._store.load(self._key)
        except Exception as error:  # noqa: BLE001 - a user's own store may raise anything
            failure = self._store_error("read", error)
        raise failure

    def look(self) -> Token | None:
        """Look into the store, and take what cannot be read for nothing; taking the lock will tell more."""
        try:
            return self.stored()
        except StoreError as error:
            self.warn("read", error)
            return None

    def lock(self, stack: ExitStack, timeout: float) -> Entry:
        """Take the entry's lock until the stack is left.

        Raises:
            TimeoutError: somebody else held it for `timeout` seconds.
            StoreError: it cannot be had.
        """
        failure: StoreError
        try:
            manager = self._store.transaction(self._key, timeout=timeout)
            entry = manager.__enter__()
            stack.callback(self._unlock, manager)
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's own store may raise anything
            failure = self._store_error("locked", error)
        else:
            return entry
        raise failure  # outside the handler: the store's own exception might hold the token

    def enter(self, stack: ExitStack, timeout: float) -> tuple[Entry, Token | None]:
        """Take the entry's lock until the stack is left, and read it; errors as for `lock`."""
        entry = self.lock(stack, timeout)
        failure: StoreError
        try:
            return entry, entry.token
        except Exception as error:  # noqa: BLE001 - a user's own store may raise anything
            failure = self._store_error("read", error)
        raise failure

    def _unlock(self, manager: AbstractContextManager[Entry]) -> None:
        try:
            manager.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - what was got is published; the lock is the store's own matter
            self.warn("unlocked", error)

    def save(self, held: Held, entry: Entry | None) -> Held:
        """Save a token; where that fails, it serves this process and is due soon, so that saving is tried again.

        Args:
            held: the token.
            entry: where to; None if it could not be locked.
        """
        over: Token | Literal["not known"] | None = self.unsaved.over if self.unsaved else "not known"
        try:
            if entry is not None:
                with suppress(Exception):  # what cannot be read may be replaced all the same
                    over = entry.token
                entry.save(held.token)
                self.unsaved = None
                return held
        except Exception as error:  # noqa: BLE001 - a user's own store may raise anything
            self.warn("written", error)
        delay = min(self.unsaved.delay * 2, SAVE_AGAIN[1]) if self.unsaved else SAVE_AGAIN[0]
        self.unsaved = _Unsaved(held, over, delay)
        return replace(held, fresh_until=min(held.fresh_until, now() + delay))

    def may_save(self, stored: Token | None) -> bool:
        """Tell whether what could not be saved may be saved over this: nobody else has written since, or signed out."""
        if self.unsaved is None:
            return False
        if self.unsaved.over == "not known":  # the clocks have to tell
            return stored is None or stored.issued_at <= self.unsaved.held.token.issued_at
        return is_same(self.unsaved.over, stored)

    def delete(self, entry: Entry) -> None:
        """Keep nothing.

        Raises:
            StoreError: that did not work.
        """
        failure: StoreError
        try:
            return entry.delete()
        except Exception as error:  # noqa: BLE001 - a user's own store may raise anything
            failure = self._store_error("emptied", error)
        raise failure

    def warn(self, what: str, error: Exception) -> None:
        """Tell the log that the store does not work; once a minute."""
        if now() - self._warned_at >= WARN_EVERY:
            self._warned_at = now()
            logger.warning(
                "%s. Tokens serve this process only until the store works again",
                self._store_error(what, error),
            )

    def _store_error(self, what: str, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return cast("StoreError", error.copied())  # without the frames of the store, which hold the token
        # The text of a foreign exception might hold what was to be saved; its type tells where to look.
        why = error if isinstance(error, OAuthError) else type(error).__name__
        return StoreError(f"the token store {type(self._store).__name__} could not be {what} ({why})")
