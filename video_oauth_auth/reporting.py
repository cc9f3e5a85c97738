"""Telling how it goes: events for `on_event=`, warnings for the log, and a status to look at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .attempt import Attempt, Outcome
from .errands import Errand
from .errors import LoginRequired, OAuthError
from .events import Event, LoginNeeded, RenewalFailed, TokenAdopted, TokenRenewed
from .stores import StoreKey

__all__ = ["Reporter", "Status"]

logger = logging.getLogger("video_oauth_auth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a source is doing.

    Attributes:
        state: `none`, `fresh`, `stale`, `expired` or `login_required`.
        expires_at: when the access token ends, in epoch seconds, or None.
        last_renewal_at: when this object last got a token from the server, in epoch seconds, or None.
        last_error: why the last renewal failed, or None if it did not.
    """

    state: Literal["none", "fresh", "stale", "expired", "login_required"]
    expires_at: float | None
    last_renewal_at: float | None
    last_error: OAuthError | None


class Reporter:
    """Tells what happens to the token of one source.

    Args:
        key: whose token it is.
        on_event: the user's function, or None.

    Attributes:
        last_renewal_at: when the server last gave a token, in epoch seconds, or None.
        last_error: why the last renewal failed, or None if it did not.
    """

    __slots__ = ("_key", "_on_event", "last_error", "last_renewal_at")

    def __init__(self, key: StoreKey, on_event: Callable[[Event], object] | None) -> None:
        self._key = key
        self._on_event = on_event
        self.last_renewal_at: float | None = None
        self.last_error: OAuthError | None = None

    def emit(self, kind: type[Event], **members: Any) -> None:
        """Give an event to `on_event=`; what that raises is logged and goes no further."""
        if self._on_event is None:
            return
        event = kind(issuer=self._key.issuer, client_id=self._key.client_id, user=self._key.user, **members)
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - it is the user's code
            logger.error("on_event failed with %s at %s", type(error).__name__, kind.__name__)  # noqa: TRY400 - no secret

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """Tell how a renewal ended."""
        if isinstance(outcome, OAuthError):
            self._failed(attempt, outcome)
        elif outcome is not None:
            self._succeeded(attempt)

    def signed_in(self, errand: Errand, *, saved: bool) -> None:
        """Tell that a person has signed in."""
        self.last_renewal_at = time.time()
        self.emit(
            TokenRenewed,
            reason="login",
            grant_type=errand.grant_type,
            duration=errand.budget.spent(),
            waiters=errand.waiters,
            saved=saved,
        )

    def _failed(self, attempt: Attempt, error: OAuthError) -> None:
        self.last_error = error
        if not attempt.waiters:
            logger.warning("the token could not be renewed ahead of its end: %s", error)
        self.emit(
            RenewalFailed,
            reason=attempt.reason,
            error=type(error).__name__,
            message=str(error),
            transient=error.transient,
            duration=attempt.budget.spent(),
            waiters=attempt.waiters,
        )
        if isinstance(error, LoginRequired):
            self.emit(LoginNeeded, reason=error.reason)

    def _succeeded(self, attempt: Attempt) -> None:
        self.last_error = None
        if attempt.adopted:
            self.emit(TokenAdopted)
        if not attempt.grant_type or attempt.adopted:
            return
        self.last_renewal_at = time.time()
        self.emit(
            TokenRenewed,
            reason=attempt.reason,
            grant_type=attempt.grant_type,
            duration=attempt.budget.spent(),
            waiters=attempt.waiters,
            saved=attempt.saved,
        )
