"""SourceState: the token that a source gives out, and the attempt that is under way for the next one.

What changes at run time is one reference to one immutable value, `held`. Reading it needs no lock; everything else
happens under one lock, which is never held while somebody waits, asks a server or looks into a store.
"""

from __future__ import annotations

import math
from dataclasses import replace

from . import forks
from .attempt import Attempt, Outcome
from .budget import Budget, now
from .errors import Library
from .freshness import Held
from .rejections import Rejections
from .token import Token
from .transport import Via

__all__ = ["SourceState"]

FAILED_PAUSE = 5.0  # seconds until a failed renewal of a token that is still good is tried again, at most
BUSY_PAUSE = 0.2  # the same where somebody else was at it
GRACE = 1.0  # seconds that callers wait longer than the renewal may take, so that its own error reaches them


class SourceState:
    """What changes in a source.

    Args:
        held: the token to begin with.
        via: what makes the exchanges; None until a caller tells which library is used.
        token_timeout: seconds that an attempt may take.

    Attributes:
        held: the token that is given out, and until when it is used.
        via: what makes the exchanges.
        inherited: True in a forked child while its token is the one that the parent has too.
    """

    __slots__ = ("_attempt", "_born", "_lock", "_rejections", "_token_timeout", "held", "inherited", "via")

    def __init__(self, held: Held | None, via: Via | None, token_timeout: float) -> None:
        self.held: Held | None = held
        self.via: Via | None = via
        self.inherited: bool = False
        self._token_timeout = token_timeout
        self._lock = forks.ForkSafeLock()
        self._born = forks.generation()
        self._attempt: Attempt | None = None
        self._rejections = Rejections()

    def next(
        self, rejected: Token | None, library: Library, *, patient: bool
    ) -> tuple[Token | None, Attempt | None, Attempt | None]:
        """Decide: the token to use, or the attempt to wait for; and the attempt that has to be started for it."""
        with self._lock.here():
            self._forget_parent()
            held, moment = self.held, now()
            good = held is not None and not held.suspect and held.token != rejected
            if good and held is not None and moment < held.fresh_until:
                return held.token, None, None
            futile = rejected is not None and not good and self._rejections.paused(moment)
            if futile and held is not None and moment < held.usable_until:
                return held.token, None, None
            beside = good and held is not None and moment < held.usable_until and not patient
            attempt, mine = self._attempt, None
            if attempt is None or attempt.budget.remaining() < -GRACE:  # one that nobody ended can only be left
                self.via = self.via or Via(library)
                attempt = mine = self._attempt = Attempt(
                    budget=Budget(self._token_timeout),
                    via=self.via,
                    held=held,
                    rejected=rejected,
                    reason=_reason(held, rejected, good=good, moment=moment),
                    publish=self._publish,
                )
            if beside and held is not None:
                return held.token, None, mine
            attempt.waiters += 1
            if not good and held is not None:
                attempt.caused_by_401 = True
            return None, attempt, mine

    def _forget_parent(self) -> None:
        """In a child process: the parent's renewal is not ours, and its token may be spent by both."""
        if self._born != forks.generation():
            self._born = forks.generation()
            self._attempt = None
            self.inherited = True

    def _publish(self, attempt: Attempt, held: Held) -> None:
        with self._lock.here():
            if self._attempt is not attempt:  # a sign-in, or set() or reset(), knows better
                return
            self._attempt = None  # who is not content with this token has to start another attempt
            self.held = held
            self.inherited = False
            if attempt.caused_by_401 and attempt.grant_type:
                same = attempt.held is not None and attempt.held.token == held.token
                self._rejections.renewed(held.token.access_token, same=same, moment=now())

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """Leave an attempt behind, whatever its outcome."""
        with self._lock.here():
            if self._attempt is attempt:
                self._attempt = None
            if not isinstance(outcome, Token):
                self._hold_off(BUSY_PAUSE if outcome is None else FAILED_PAUSE)

    def _hold_off(self, pause: float) -> None:
        """Use a stale token a little longer before the next try: not every request shall start one."""
        held, moment = self.held, now()
        if held is not None and not held.suspect and moment < held.usable_until:
            fresh_until = moment + min(pause, (held.usable_until - moment) / 4)
            self.held = replace(held, fresh_until=max(held.fresh_until, fresh_until))

    def replayed(self, token: Token, *, accepted: bool) -> bool:
        """Take note of a replay's answer; tell whether it is the first sign that renewing does not help."""
        with self._lock.here():
            return self._rejections.accepted() if accepted else self._refused(token)

    def reject(self, token: Token) -> None:
        """Take note of a 401 that could not be answered: the next caller gets a newer token."""
        with self._lock.here():
            self._refused(token)

    def _refused(self, token: Token) -> bool:
        first_futile = self._rejections.refused(token.access_token, now())
        held = self.held
        if held is not None and held.token == token and not self._rejections.paused(now()):
            self.held = replace(held, fresh_until=-math.inf, suspect=True)
        return first_futile

    def become(self, held: Held | None) -> None:
        """Begin anew with what somebody has signed in, set or reset; an attempt that is under way comes too late."""
        with self._lock.here():
            self._attempt = None
            self._rejections = Rejections()
            self.held = held


def _reason(held: Held | None, rejected: Token | None, *, good: bool, moment: float) -> str:
    if held is None:
        return "first" if rejected is None else "rejected"
    if not good:
        return "rejected"
    return "stale" if moment < held.usable_until else "expired"
