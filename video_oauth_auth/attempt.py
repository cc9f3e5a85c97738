"""Attempt: one run of a renewal, and what its waiters are told."""

from __future__ import annotations

from collections.abc import Callable

from .budget import Budget
from .errors import OAuthError
from .freshness import Held
from .token import Token
from .transport import Via
from .waiting import Shared

__all__ = ["Attempt", "Outcome"]

# What a renewal ends with. An error is handed over as a value and raised as a copy: one exception object that many
# callers raise would collect all their tracebacks. None: nothing was done, because somebody else is at it.
Outcome = Token | OAuthError | None


class Attempt:
    """One run of a renewal.

    Attributes:
        budget: the time it has.
        via: the library that makes its exchanges.
        held: what the source held when it began.
        rejected: the token that an API has said 401 to, or None.
        reason: `first`, `stale`, `expired` or `rejected`.
        caused_by_401: True if somebody waits because an API rejected the held token.
        waiters: how many callers wait for it. Where nobody waits, a lock that is taken ends it.
        grant_type: what was sent to the server, or empty where a stored token was enough.
        adopted: True if a stored token of a sibling was enough.
        saved: False if the store could not keep the new token.
        outcome: the future that everybody waits for; running from its birth, so that nobody can cancel it.
    """

    __slots__ = (
        "_publish",
        "adopted",
        "budget",
        "caused_by_401",
        "grant_type",
        "held",
        "outcome",
        "reason",
        "rejected",
        "saved",
        "via",
        "waiters",
    )

    def __init__(
        self,
        *,
        budget: Budget,
        via: Via,
        held: Held | None,
        rejected: Token | None,
        reason: str,
        publish: Callable[[Attempt, Held], None],
    ) -> None:
        self.budget: Budget = budget
        self.via: Via = via
        self.held: Held | None = held
        self.rejected: Token | None = rejected
        self.reason: str = reason
        self._publish = publish
        self.caused_by_401: bool = False
        self.waiters: int = 0
        self.grant_type: str = ""
        self.saved: bool = True
        self.adopted: bool = False
        self.outcome: Shared[Outcome] = Shared()

    def publish(self, held: Held) -> None:
        """Make a token the one that the source gives out."""
        self._publish(self, held)
