"""Tokens as the server keeps them, the grants they stem from, and how they are told."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any


class TokenAnswer(dict[str, Any]):
    """The members of a token answer; `repr` hides them, because Authlib logs it."""

    def __repr__(self) -> str:
        return f"<token answer with {', '.join(self)}>"


@dataclass(slots=True, eq=False)
class Family:
    """All tokens that stem from one grant: of a user, or (None) of the client itself.

    Attributes:
        session: Names the session of the user.
        auth_time: When the user signed in, in epoch seconds.
    """

    user: str | None
    scope: str | None
    client_id: str
    session: str = field(default_factory=lambda: f"{uuid.uuid4()}")
    auth_time: int = field(default_factory=lambda: int(time.time()))
    tokens: list["AccessToken | RefreshToken"] = field(default_factory=list, repr=False)


@dataclass(slots=True, eq=False)
class AccessToken:
    """An access token as the server keeps it; `expires_at` on the clock of the ledger."""

    text: str = field(repr=False)
    family: Family
    scope: str | None
    expires_at: float | None
    revoked: bool = False


@dataclass(slots=True, eq=False)
class RefreshToken:
    """A refresh token as the server keeps it, and once it is spent, what it was spent for."""

    text: str = field(repr=False)
    family: Family
    expires_at: float | None
    revoked: bool = False
    spent_at: float | None = None
    successor: tuple[AccessToken, "RefreshToken"] | None = field(default=None, repr=False)

    def check_client(self, client: Any) -> bool:
        """Whether it was issued to this client (asked by Authlib)."""
        return bool(self.family.client_id == client.get_client_id())

    def get_scope(self) -> str:
        """The scope of the original grant (asked by Authlib)."""
        return self.family.scope or ""
