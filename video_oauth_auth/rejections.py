"""When a 401 is worth a renewal: not, for a while, after renewals have turned out to be futile.

Some servers say 401 for "no permission" too. A new token does not help then, and each 401 would cost a token call.
"""

from __future__ import annotations

__all__ = ["Rejections"]

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0  # seconds


class Rejections:
    """Counts futile renewals, one for each renewal however many waited for it. Guarded by the source's lock."""

    __slots__ = ("_futile", "_paused_until", "_tried", "_untold")

    def __init__(self) -> None:
        self._futile = 0
        self._paused_until = 0.0
        self._tried: str | None = None  # the last token that was got because of a 401 and has not been judged yet
        self._untold = False  # whether the first futile renewal brought the rejected token again: nobody was told yet

    def paused(self, moment: float) -> bool:
        return moment < self._paused_until

    def renewed(self, access_token: str, *, same: bool, moment: float) -> None:
        """A 401 has led to this token; `same`: it is the one that was rejected."""
        self._tried = access_token
        if same:
            self._untold = self.refused(access_token, moment)

    def refused(self, access_token: str, moment: float) -> bool:
        """This token got a 401; tell whether that is the first futile renewal in a row."""
        if access_token != self._tried:
            untold, self._untold = self._untold, False
            return untold
        self._tried = None
        self._futile += 1
        self._paused_until = moment + min(FIRST_PAUSE * 2 ** (self._futile - 1), LONGEST_PAUSE)
        return self._futile == 1

    def accepted(self) -> bool:
        """A replay has succeeded: renewing helps."""
        self._tried = None
        self._untold = False
        self._futile = 0
        self._paused_until = 0.0
        return False
