"""Stores with one defect each: the store contract has to find every one of them."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from video_oauth_auth import StoreKey, Token


class Transaction:
    """One holder of a key's lock, and its entry."""

    def __init__(self, store: WorkingStore, key: StoreKey, timeout: float) -> None:
        self.store, self.key, self.timeout = store, key, timeout
        self.token: Token | None = None

    def __enter__(self) -> Transaction:
        if not self.store.acquire(self.key, self.timeout):
            raise TimeoutError
        self.token = self.store.tokens.get(self.store.file(self.key))
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        return self.store.leave(self.key, error)

    def save(self, token: Token) -> None:
        self.store.keep(self.key, token)
        self.token = token

    def delete(self) -> None:
        self.store.drop(self.key)
        self.token = None


class WorkingStore:
    """A store without defect, in pieces that can be broken one at a time."""

    transactions: type[Transaction] = Transaction

    def __init__(self) -> None:
        self.tokens: dict[StoreKey, Token] = {}
        self.locks: defaultdict[StoreKey, threading.Lock] = defaultdict(threading.Lock)

    def transaction(self, key: StoreKey, *, timeout: float) -> Transaction:
        return self.transactions(self, key, timeout)

    def load(self, key: StoreKey) -> Token | None:
        return self.tokens.get(self.file(key))

    def entries(self) -> list[StoreKey]:
        return list(self.tokens)

    def file(self, key: StoreKey) -> StoreKey:
        return key

    def keep(self, key: StoreKey, token: Token) -> None:
        self.tokens[self.file(key)] = token

    def drop(self, key: StoreKey) -> None:
        self.tokens.pop(self.file(key), None)

    def acquire(self, key: StoreKey, timeout: float) -> bool:
        return self.locks[self.file(key)].acquire(timeout=timeout)

    def leave(self, key: StoreKey, error: BaseException | None) -> bool | None:
        self.locks[self.file(key)].release()
        return None


class WritesAtTheEnd(Transaction):
    def save(self, token: Token) -> None:
        self.token = token

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        if self.token is not None:
            self.store.keep(self.key, self.token)
        return super().__exit__(kind, error, trace)


class ReadsBeforeTheLock(Transaction):
    def __enter__(self) -> Transaction:
        before = self.store.load(self.key)
        super().__enter__()
        self.token = before
        return self


class ShowsWhatWasOnly(Transaction):
    def save(self, token: Token) -> None:
        self.store.keep(self.key, token)


class SaysItInItsOwnWay(Transaction):
    def __enter__(self) -> Transaction:
        try:
            return super().__enter__()
        except TimeoutError:
            raise RuntimeError("the lock is taken") from None


def broken(**members: Any) -> Callable[[], WorkingStore]:
    """Make a store with these members instead of those that work."""
    return type("Broken", (WorkingStore,), members)


def _keep(change: Callable[[WorkingStore, StoreKey, Token], Token | None]) -> Callable[[], WorkingStore]:
    def keep(store: WorkingStore, key: StoreKey, token: Token) -> None:
        kept = change(store, key, token)
        if kept is not None:
            store.tokens[key] = kept

    return broken(keep=keep)


def _undone(store: WorkingStore, key: StoreKey, error: BaseException | None) -> None:
    if error is not None:
        store.tokens.pop(key, None)
    store.locks[key].release()


def _kept_after_an_exception(store: WorkingStore, key: StoreKey, error: BaseException | None) -> None:
    if error is None:
        store.locks[key].release()


def _swallowed(store: WorkingStore, key: StoreKey, error: BaseException | None) -> bool:
    store.locks[key].release()
    return True


def _read_under_the_lock(store: WorkingStore, key: StoreKey) -> Token | None:
    with store.transaction(key, timeout=0.1) as entry:
        return entry.token


def _merged(store: WorkingStore, key: StoreKey, token: Token) -> Token:
    old = store.tokens.get(key)
    return token if old is None else replace(token, refresh_token=token.refresh_token or old.refresh_token)


def _ascii(text: str | None) -> str | None:
    return None if text is None else text.encode("ascii", "replace").decode()


ONE = StoreKey(id="v1-one", issuer="", client_id="")

BROKEN = {
    "forgets the refresh token": _keep(lambda _, __, token: replace(token, refresh_token=None)),
    "forgets members that it does not know": _keep(lambda _, __, token: replace(token, extra={})),
    "forgets the claims": _keep(lambda _, __, token: replace(token, claims=None)),
    "keeps whole seconds": _keep(lambda _, __, token: replace(token, issued_at=int(token.issued_at))),
    "keeps ASCII": _keep(lambda _, __, token: replace(token, refresh_token=_ascii(token.refresh_token))),
    "keeps short tokens only": _keep(lambda _, __, token: token if len(token.access_token) < 2000 else None),
    "keeps the first token": _keep(lambda store, key, token: store.tokens.get(key, token)),
    "mixes the old token into the new one": _keep(_merged),
    "writes at the end": broken(transactions=WritesAtTheEnd),
    "reads before it has the lock": broken(transactions=ReadsBeforeTheLock),
    "shows what was stored only": broken(transactions=ShowsWhatWasOnly),
    "does not delete": broken(drop=lambda _, __: None),
    "fails to delete nothing": broken(drop=lambda store, key: store.tokens.pop(key)),
    "lists nothing": broken(entries=lambda _: []),
    "lists no users": broken(entries=lambda store: [replace(key, user="") for key in store.tokens]),
    "lists what was only looked at": broken(entries=lambda store: list({**store.tokens, **store.locks})),
    "files everybody under one name": broken(file=lambda _, __: ONE),
    "files by user": broken(file=lambda _, key: replace(ONE, user=key.user.strip().lower())),
    "has no lock": broken(acquire=lambda *_: True, leave=lambda *_: None),
    "has one lock for all": broken(
        acquire=lambda store, _, timeout: store.locks[ONE].acquire(timeout=timeout),
        leave=lambda store, _, __: store.locks[ONE].release(),
    ),
    "does not wait for the lock": broken(acquire=lambda store, key, _: store.locks[key].acquire(blocking=False)),
    "waits for the lock without end": broken(acquire=lambda store, key, _: store.locks[key].acquire()),
    "goes on without the lock": broken(
        acquire=lambda store, key, timeout: store.locks[key].acquire(timeout=timeout) or True
    ),
    "tells a taken lock in its own way": broken(transactions=SaysItInItsOwnWay),
    "keeps the lock after an exception": broken(leave=_kept_after_an_exception),
    "swallows exceptions": broken(leave=_swallowed),
    "undoes what was saved before an exception": broken(leave=_undone),
    "locks to read": broken(load=_read_under_the_lock),
}
