"""Lets an auth object use a user's own token source."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from .errors import Library
from .reporting import Reporter
from .stores import StoreKey
from .token import Token

__all__ = ["Provided", "TokenProvider"]


@runtime_checkable
class TokenProvider(Protocol):
    """What an auth object needs of a source; your own class with these two methods is one."""

    def get_token(self, *, rejected: Token | str | None = None) -> Token:
        """Give a token to use now; a newer one than `rejected`, if there can be one."""
        ...

    async def aget_token(self, *, rejected: Token | str | None = None) -> Token:
        """Do the same without blocking the event loop."""
        ...


class Provided:
    """Makes a user's own source look to a request as if it were a `TokenSource`."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        self.reporter: Reporter = Reporter(StoreKey(id="", issuer="", client_id=""), None)
        self._rejected: Token | None = None

    def fresh(self) -> None:
        return None  # only the provider knows

    def wait(self, *, rejected: Token | None, library: Library, patient: bool) -> Token:  # noqa: ARG002 - as a TokenSource has it
        rejected, self._rejected = rejected or self._rejected, None
        return self._provider.get_token(rejected=rejected)

    async def await_token(self, *, rejected: Token | None, library: Library, patient: bool) -> Token:  # noqa: ARG002 - as a TokenSource has it
        rejected, self._rejected = rejected or self._rejected, None
        return await self._provider.aget_token(rejected=rejected)

    def reject(self, token: Token) -> None:
        self._rejected = token

    def replayed(self, token: Token, *, accepted: bool) -> bool:  # noqa: ARG002 - as a TokenSource has it
        return False
