"""What happens to a token, as small frozen values for `on_event=`. None of them holds a secret."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Event",
    "LoginNeeded",
    "RenewalFailed",
    "RequestReplayed",
    "TokenAdopted",
    "TokenRejected",
    "TokenRenewed",
    "TokenWithheld",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened to the token of `client_id` (and `user`) at `issuer`."""

    issuer: str
    client_id: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRenewed(Event):
    """The token endpoint gave a token.

    Attributes:
        reason: why: `first`, `stale`, `expired`, `rejected`, or `login`: a person has signed in.
        grant_type: what was sent.
        duration: seconds that the renewal took, everything included.
        waiters: how many callers have waited for it.
        saved: False if the store could not keep it.
    """

    reason: str
    grant_type: str
    duration: float
    waiters: int
    saved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalFailed(Event):
    """A renewal gave no token.

    Attributes:
        reason: why it was tried: `first`, `stale`, `expired` or `rejected`.
        error: the name of the error's class.
        message: what the error says.
        transient: True if a later try may succeed by itself.
        duration: seconds that it took.
        waiters: how many callers have waited for it.
    """

    reason: str
    error: str
    message: str
    transient: bool
    duration: float
    waiters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAdopted(Event):
    """A newer token of another process or object was found in the store and taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginNeeded(Event):
    """A person has to sign in; `reason` is that of `LoginRequired`."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRejected(Event):
    """An API answered 401 to a request that carried our token.

    Attributes:
        origin: whose answer it was.
    """

    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReplayed(Event):
    """A request was sent once more with a newer token.

    Attributes:
        origin: where to.
        status: the HTTP status of the second answer.
    """

    origin: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWithheld(Event):
    """A request to an origin that is not listed went out without a token and was answered with 401 or 403."""

    origin: str
    status: int
