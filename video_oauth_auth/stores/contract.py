"""What a token store is: the protocol, and the key that entries are filed under.

A store decides nothing about tokens. It keeps one token per key, and it lends the one lock per key under which a
renewal reads, asks the server and saves, so that a refresh token is never spent by two at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ..client import OAuthClient
from ..grants import Grant
from ..token import Token

__all__ = ["Entry", "StoreKey", "TokenStore"]


class Named(Protocol):
    """What tokens can be filed under."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKey:
    """The name of an entry. It holds no secret.

    Attributes:
        id: a versioned hash of everything that changes the token; made of letters, digits and `-`.
        issuer: the issuer as written, or the token endpoint.
        client_id: the client.
        user: whose token it is, or empty.
    """

    id: str
    issuer: str
    client_id: str
    user: str = ""

    @classmethod
    def of(cls, server: Named, client: OAuthClient, grant: Grant | None, *, user: str = "") -> StoreKey:
        """Make the key of what these ask for; equal ones give the same key in every process and version.

        Args:
            server: filed under its name: the issuer as written, or the token endpoint.
            client: filed under its client id.
            grant: filed under everything that it asks for; None for tokens that come from elsewhere.
            user: whose token it is; the name of the password grant, if not given.
        """
        user = user or getattr(grant, "username", "")
        parts: list[Any] = [
            server.name,
            client.client_id or "",
            user,
            "refresh_token" if grant is None else grant.grant_type,
        ]
        if grant is not None:
            scopes = sorted(set((grant.scope or "").split()))
            parts += [scopes, grant.audience or "", sorted(grant.resource), sorted(grant.extra.items())]
            parts.append(getattr(grant, "username", ""))
        # JSON quotes what it joins: no two different lists of parts can look the same.
        digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode("ascii")).hexdigest()
        # Some gateways want a key in the query of the token endpoint, and a name is shown.
        issuer = server.name.partition("?")[0]
        return cls(id=f"v1-{digest[:40]}", issuer=issuer, client_id=client.client_id or "", user=user)


class Entry(Protocol):
    """What the holder of a key's lock may do with its entry."""

    @property
    def token(self) -> Token | None:
        """The stored token as it was when the lock was taken, or what was saved since; None if there is none."""
        ...

    def save(self, token: Token) -> None:
        """Keep this token from now on; it survives whatever happens after the return.

        Raises:
            StoreError: it could not be kept; what was stored before is still there.
        """
        ...

    def delete(self) -> None:
        """Keep nothing under this key any more.

        Raises:
            StoreError: it could not be removed.
        """
        ...


@runtime_checkable
class TokenStore(Protocol):
    """Keeps tokens and lends locks. Plain blocking code; every method may be called from any thread."""

    def load(self, key: StoreKey) -> Token | None:
        """Read without the lock.

        Raises:
            StoreError: the store could not be read.
        """
        ...

    def transaction(self, key: StoreKey, *, timeout: float) -> AbstractContextManager[Entry]:
        """Take the key's lock, give its entry, and free the lock at the end, whatever happens inside.

        Args:
            key: whose lock.
            timeout: seconds to wait for the lock; 0 tries once.

        Raises:
            TimeoutError: somebody else held the lock all the time.
            StoreError: the store could not be locked or read.
        """
        ...

    def entries(self) -> Iterable[StoreKey]:
        """Give the keys of all entries."""
        ...
