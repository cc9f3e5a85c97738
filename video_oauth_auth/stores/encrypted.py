"""EncryptedStore: any store, with tokens that only the holder of a key can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, Protocol

from ..errors import ConfigurationError, StoreError
from ..token import Token
from .contract import Entry, StoreKey, TokenStore
from .encoding import Document, Unreadable, decoded, encoded
from .keyring_keys import KeyringKeys
from .sealing import Key, get_ready, key_id_of, opened, sealed

__all__ = ["EncryptedStore"]

GivenKey = str | bytes

GIVE_IT = "Give that key too, if there is a copy of it (key=[new, old]). Else: "


class EncryptedStore:
    """Keeps tokens in another store, encrypted and bound to their entry by AES-256-GCM.

    The other store sees, besides the key of the entry, when a token was issued, when it and its refresh token end, and
    whether there is a refresh token: stores need that to let entries end. Who can write there can remove an entry or
    put an older version of it back, but cannot read, change or exchange one.

    Without `key=` there is one random key for this user on this machine, in the keyring of the operating system. It is
    made when it is first needed, and it is a short text: the limits of keyrings for the size of entries do not matter.

    An entry that cannot be decrypted raises `StoreError`, and is not overwritten: another key may open it. Deleting it
    is possible: `with store.transaction(key, timeout=5) as entry: entry.delete()`.

    Args:
        inner: where the encrypted tokens are kept.
        key: 32 bytes, or base64 of them such as `new_key()` gives; or several: the first encrypts, all decrypt.

    Raises:
        ConfigurationError: the key is none, `inner` is no store, or a library is missing.

    Attributes:
        inner: where the encrypted tokens are kept.
    """

    __slots__ = ("_keys", "inner")

    def __init__(self, inner: TokenStore, *, key: GivenKey | Sequence[GivenKey] | None = None) -> None:
        if isinstance(inner, type) or not isinstance(inner, TokenStore):
            raise ConfigurationError(
                "EncryptedStore needs a store to keep the encrypted tokens in, such as FileStore()"
            )
        get_ready()
        self._keys: _Keys = KeyringKeys() if key is None else _GivenKeys(key)
        self.inner: TokenStore = inner

    @staticmethod
    def new_key() -> str:
        """Make a key. Keep it in a secret manager, not beside the tokens; without it they cannot be read any more."""
        return Key.new().text()

    def check(self) -> None:
        """Find out whether tokens can be kept; a login does so before anybody signs in. A keyring may ask the person.

        Raises:
            StoreError: they cannot; tells what is missing and what to do.
        """
        self._keys.first()
        check = getattr(self.inner, "check", None)
        if callable(check):
            check()

    def rotate(self) -> None:
        """Make a new key in the keyring, for everything that this object saves, and programs that start, from now on.

        What was saved before can still be read; it is encrypted anew when it is saved next, at its next renewal.

        Raises:
            ConfigurationError: keys were given; a new one has to be given before the others.
            StoreError: the keyring does not keep it.
        """
        self._keys.rotate()

    def load(self, key: StoreKey) -> Token | None:
        """Read without the lock.

        Raises:
            StoreError: the store could not be read, or the entry not be decrypted.
        """
        stored = self.inner.load(key)
        return None if stored is None else self._opened(key, stored).token

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Iterator[Entry]:
        """Take the key's lock, give its entry, and free the lock at the end.

        Where there is no key to encrypt with, the entry can only be deleted: nothing is spent that could not be saved.

        Raises:
            TimeoutError: somebody else held the lock all the time.
            StoreError: the store could not be locked or read.
        """
        failure: StoreError | None = None
        try:
            self._keys.first()  # before others have to wait for our lock: a keyring may ask the person
        except StoreError as error:
            failure = error.with_traceback(None)
        with self.inner.transaction(key, timeout=timeout) as entry:
            yield _SealedEntry(self, key, entry, failure)

    def entries(self) -> Iterable[StoreKey]:
        """Give the keys of all entries, also of those that cannot be decrypted."""
        return self.inner.entries()

    def _sealed(self, key: StoreKey, token: Token, before: Document | None) -> Token:
        data = encoded(key, token) if before is None else encoded(key, token, unknown=before.unknown)
        return Token(
            access_token=sealed(self._keys.first(), key.id, data),
            issued_at=token.issued_at,
            expires_at=token.expires_at,
            # No more than that there is one: a store may keep an entry longer for it.
            refresh_token=None if token.refresh_token is None else "encrypted",
            refresh_expires_at=token.refresh_expires_at,
        )

    def _opened(self, key: StoreKey, stored: Token) -> Document:
        """Decrypt an entry.

        Raises:
            StoreError: that is not possible, and why.
        """
        key_id = key_id_of(stored.access_token)
        if key_id is None:
            raise _undecryptable(key, "is not encrypted: EncryptedStore, or this version of it, has not written it")
        secret = self._keys.find(key_id)
        if secret is None:
            raise _undecryptable(key, f"is encrypted with the key {key_id}, which {self._keys.place}", GIVE_IT)
        data = opened(secret, key.id, stored.access_token)
        if data is None:
            raise _undecryptable(key, "does not decrypt: it was damaged, changed, or put there from another entry")
        try:
            return decoded(data)
        except Unreadable as error:
            why = f"was decrypted, but cannot be read: {error}"
            del data  # what shows an exception may show its frames
        raise _undecryptable(key, why)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} around {type(self.inner).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled, it holds keys: build it in the worker process")


class _SealedEntry:
    """An entry of the inner store, under its lock."""

    __slots__ = ("_entry", "_failure", "_key", "_store")

    def __init__(self, store: EncryptedStore, key: StoreKey, entry: Entry, failure: StoreError | None) -> None:
        self._store, self._key, self._entry, self._failure = store, key, entry, failure

    @property
    def token(self) -> Token | None:
        document = self._document()
        return None if document is None else document.token

    def save(self, token: Token) -> None:
        before = self._document()  # what cannot be read is not overwritten: another key may open it
        self._entry.save(self._store._sealed(self._key, token, before))

    def delete(self) -> None:
        self._entry.delete()

    def _document(self) -> Document | None:
        if self._failure is not None:
            raise self._failure.copied()
        stored = self._entry.token
        return None if stored is None else self._store._opened(self._key, stored)


class _Keys(Protocol):
    """Where the keys of a store are.

    Attributes:
        place: says of a key that was not found that it is not there.
    """

    place: str

    def first(self) -> Key: ...

    def find(self, key_id: str) -> Key | None: ...

    def rotate(self) -> None: ...


class _GivenKeys:
    """Keys that the program was given."""

    __slots__ = ("_keys",)

    place = "is not among those that were given as key="

    def __init__(self, given: GivenKey | Sequence[GivenKey]) -> None:
        several = given if isinstance(given, Sequence) and not isinstance(given, str | bytes) else [given]
        keys = [Key.read(one) for one in several]
        self._keys = [key for key in keys if key is not None]
        if not keys or len(self._keys) != len(keys):
            raise ConfigurationError(
                "key= is 32 bytes, or base64 of them such as EncryptedStore.new_key() gives, or a list of such keys"
            )

    def first(self) -> Key:
        return self._keys[0]

    def find(self, key_id: str) -> Key | None:
        return next((key for key in self._keys if key.id == key_id), None)

    def rotate(self) -> None:
        raise ConfigurationError(
            "the keys of this store were given: give a new one before the others, key=[new, old]; rotate() is for keys "
            "in the keyring"
        )


def _undecryptable(key: StoreKey, why: str, hint: str = "") -> StoreError:
    whose = f" of {key.user}" if key.user else ""
    return StoreError(
        f"the stored token{whose} of the client {key.client_id} for {key.issuer} {why}. It was left as it is. "
        f"{hint}Delete it, and sign in again if a person is needed: "
        f"`with store.transaction(key, timeout=5) as entry: entry.delete()`"
    )
