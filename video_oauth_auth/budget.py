"""Budget: the absolute end of a piece of work, and how far it has come."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

__all__ = ["Budget", "now"]

# Time that wall-clock changes do not move, and that goes on while the machine sleeps where the system can tell.
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)

now: Callable[[], float] = time.monotonic if _BOOTTIME is None else partial(time.clock_gettime, _BOOTTIME)


class Budget:
    """How long something may still take; everybody who works on it looks at the same end.

    Args:
        seconds: how long it may take, from now.

    Attributes:
        phase: what is under way, for messages.
        sent: True from when the server may have received something until its answer is saved.
    """

    __slots__ = ("ends_at", "phase", "seconds", "sent")

    FIRST_PHASE = "waiting for a worker"

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds
        self.ends_at: float = now() + seconds
        self.phase: str = self.FIRST_PHASE
        self.sent: bool = False

    def remaining(self) -> float:
        return self.ends_at - now()

    def spent(self) -> float:
        return self.seconds - self.remaining()
