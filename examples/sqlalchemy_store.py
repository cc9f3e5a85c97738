"""A token store in a SQL database, by SQLAlchemy: how to write a store of your own.

    from sqlalchemy import create_engine
    from sqlalchemy_store import SQLAlchemyStore

    auth = BrightcoveAuth(client_id, client_secret, store=SQLAlchemyStore(create_engine("sqlite:///tokens.db")))

A row is an entry. The lock of an entry is a lease in the same row: a random owner, and until when it has it. A lock of
the database itself would last as long as its transaction, so nobody could see what was saved while it lasts, and SQLite
would lock all entries at once. Leases end by the clocks of the machines that ask, which so should agree to seconds.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    Float,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.sql import Executable

from video_oauth_auth import StoreError, StoreKey, Token
from video_oauth_auth.stores.encoding import decoded, encoded

__all__ = ["SQLAlchemyStore"]

T = TypeVar("T")

POLL = (0.02, 0.1)  # seconds between two tries to get a lease, at random

tokens = Table(
    "video_oauth_tokens",
    MetaData(),
    Column("id", String(64), primary_key=True),  # of the `StoreKey`
    Column("document", LargeBinary),  # the token, and the other members of its key; NULL while there is none
    Column("owner", String(32)),  # who holds the lock; NULL if nobody does
    Column("leased_until", Float),  # epoch seconds
)


class SQLAlchemyStore:
    """A token store in one table of a SQL database; tokens are not encrypted, unless `EncryptedStore` is put around it.

    Args:
        engine: of SQLAlchemy. Dispose of it in a forked child, as SQLAlchemy's documentation says.
        lease: seconds after which the lock of a holder that has died is free; by ten seconds at least longer than every
            `token_timeout`.

    Raises:
        StoreError: the table cannot be made.
    """

    def __init__(self, engine: Engine, *, lease: float = 45.0) -> None:
        self._engine = engine
        self.lease = lease  # a source looks whether it is long enough
        self._asked("used", lambda: tokens.create(engine, checkfirst=True))

    def __repr__(self) -> str:
        return f"SQLAlchemyStore({self._engine.url.render_as_string(hide_password=True)!r})"

    def load(self, key: StoreKey) -> Token | None:
        data = self._document(key)
        return None if data is None else decoded(data).token

    def entries(self) -> list[StoreKey]:
        return [decoded(data).key for data in self._documents(tokens.c.document.is_not(None)) if data is not None]

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Iterator[_Entry]:
        owner = secrets.token_hex(16)
        ends_at = time.monotonic() + timeout
        try:
            while not self._take(key, owner):
                left = ends_at - time.monotonic()
                if left <= 0:
                    raise TimeoutError("another renewal holds the lock of this entry")
                time.sleep(min(left, random.uniform(*POLL)))  # noqa: S311 - no secret
            yield _Entry(self, key, owner, self._document(key))
        finally:
            with suppress(StoreError):  # then the lease ends by itself
                self._free(key, owner)

    # --- rows ---------------------------------------------------------------------------------------------------

    def write(self, key: StoreKey, owner: str, data: bytes | None) -> bool:
        """Write the document if this owner has not lost the lease to another one."""
        return self._changes(update(tokens).where(_is_held(key, owner)).values(document=data))

    def _document(self, key: StoreKey) -> bytes | None:
        return next(iter(self._documents(tokens.c.id == key.id)), None)

    def _documents(self, which: ColumnElement[bool]) -> list[bytes | None]:
        def read() -> list[bytes | None]:
            with self._engine.connect() as connection:
                return list(connection.scalars(select(tokens.c.document).where(which)))

        return self._asked("read", read)

    def _take(self, key: StoreKey, owner: str) -> bool:
        now = time.time()
        lease = {"owner": owner, "leased_until": now + self.lease}
        is_free = or_(tokens.c.owner.is_(None), tokens.c.leased_until < now)
        return self._changes(update(tokens).where(tokens.c.id == key.id, is_free).values(lease)) or self._changes(
            insert(tokens).values(id=key.id, **lease)
        )

    def _free(self, key: StoreKey, owner: str) -> None:
        if not self._changes(delete(tokens).where(_is_held(key, owner), tokens.c.document.is_(None))):
            self._changes(update(tokens).where(_is_held(key, owner)).values(owner=None, leased_until=None))

    def _changes(self, statement: Executable) -> bool:
        """Run a statement in a transaction of its own; tell whether a row was changed or made."""

        def change() -> bool:
            try:
                with self._engine.begin() as connection:
                    return bool(connection.execute(statement).rowcount)
            except IntegrityError:  # the row is there already
                return False

        return self._asked("written", change)

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        """Ask the database; what SQLAlchemy raises shows what was to be written, and is left behind here."""
        try:
            return ask()
        except SQLAlchemyError as error:
            kind = type(error).__name__
        raise StoreError(f"the tokens in {self!r} could not be {what} ({kind})")


class _Entry:
    """What the holder of a lease may do."""

    def __init__(self, store: SQLAlchemyStore, key: StoreKey, owner: str, data: bytes | None) -> None:
        self._store, self._key, self._owner = store, key, owner
        self._document = None if data is None else decoded(data)
        self.token = None if self._document is None else self._document.token

    def save(self, token: Token) -> None:
        # Members that a newer version of the library has written stay.
        unknown = {} if self._document is None else self._document.unknown
        self._write(encoded(self._key, token, unknown=unknown))
        self.token = token

    def delete(self) -> None:
        self._write(None)
        self._document = self.token = None

    def _write(self, data: bytes | None) -> None:
        if not self._store.write(self._key, self._owner, data):
            raise StoreError("the lock of this entry was lost: its holder was stopped for longer than the lease")


def _is_held(key: StoreKey, owner: str) -> ColumnElement[bool]:
    return (tokens.c.id == key.id) & (tokens.c.owner == owner)
