"""How long a token is used, measured on a clock that wall-clock jumps do not move."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, replace

from .budget import now
from .token import TEN_YEARS, Token

__all__ = ["Held", "held_since", "hold"]

CLOCK_SKEW = 60.0  # seconds that the clocks of machines which share a store may differ


@dataclass(frozen=True, slots=True)
class Held:
    """A token and until when it is used.

    Attributes:
        token: the token.
        fresh_until: until then it is simply used; moment of `budget.now`.
        usable_until: until then it is used while a newer one is fetched; moment of `budget.now`.
        refresh_until: until then the refresh token is good; moment of `budget.now`.
        suspect: True if an API said 401 to it, in a way that left no chance to replay the request.
    """

    token: Token
    fresh_until: float
    usable_until: float
    refresh_until: float = math.inf
    suspect: bool = False


def held_since(token: Token, sent_at: float, renew_ahead: float, previous: Held | None) -> Held:
    """Hold a token that was asked for at the moment `sent_at`."""
    held = _held(token, sent_at, renew_ahead)
    if previous is not None and math.isfinite(held.usable_until) and held.usable_until <= previous.usable_until + 1.0:
        # The server gave no later end. Asking again at once would give none either.
        half = now() + max(held.usable_until - now(), 0.0) / 2
        held = replace(held, fresh_until=max(held.fresh_until, half))
    return held


def hold(token: Token, renew_ahead: float) -> Held:
    """Hold a token that comes from a store or from the user: its age is known from the wall clock only."""
    age = time.time() - token.issued_at
    held = _held(token, now() - max(age, 0.0), renew_ahead)
    if age >= -CLOCK_SKEW:
        return held
    # Issued in the future: one of the clocks was wrong, and nobody knows which. The refresh token may still be good.
    return replace(held, fresh_until=-math.inf, usable_until=-math.inf)


def _held(token: Token, since: float, renew_ahead: float) -> Held:
    refresh_until = math.inf
    if token.refresh_expires_at is not None:
        refresh_until = since + token.refresh_expires_at - token.issued_at
    if token.expires_at is None:
        return Held(token, math.inf, math.inf, refresh_until)
    lifetime = token.expires_at - token.issued_at
    if not 0 <= lifetime <= TEN_YEARS:
        lifetime = 0.0  # milliseconds taken for seconds, or a broken entry
    ahead = min(renew_ahead, lifetime / 5) * random.uniform(0.9, 1.0)  # noqa: S311 - so that a fleet is not in step
    return Held(token, since + lifetime - ahead, since + lifetime, refresh_until)
