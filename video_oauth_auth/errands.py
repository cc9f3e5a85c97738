"""Errands: blocking work for somebody who waits - a sign-in, a logout - on a worker that the caller does not own.

Whoever stops waiting, by Ctrl-C or because a task was cancelled, does not stop the work: a code that has been sent
brings tokens, and those have to be kept.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotDone
from typing import Generic, TypeVar

from . import workers
from .budget import Budget
from .errors import OAuthError, TransportError, unexpected
from .transport import Via
from .waiting import Shared, done_within

__all__ = ["Errand", "apart", "arun", "run"]

LOOK_AGAIN = 60.0  # seconds
GRACE = 6.0  # seconds that callers wait longer than what they wait for may take

T = TypeVar("T")


class Errand:
    """What an errand has at hand.

    Attributes:
        budget: the time it has.
        via: the library that makes its exchanges.
        waiters: one: who sent it.
        grant_type: what was sent to the token endpoint, or empty.
    """

    __slots__ = ("budget", "grant_type", "via", "waiters")

    def __init__(self, seconds: float, via: Via) -> None:
        self.budget: Budget = Budget(seconds)
        self.via: Via = via
        self.waiters: int = 1
        self.grant_type: str = ""


class _Result(Generic[T]):
    """What came of a job: a value, or an error that is handed over as a value.

    Args:
        job: is done at once.
        foreign: the exceptions that are told as an `OAuthError`, without their frames.
    """

    __slots__ = ("error", "value")

    def __init__(self, job: Callable[[], T], foreign: type[BaseException]) -> None:
        self.error: OAuthError | None = None
        try:
            self.value = job()
        except OAuthError as error:
            self.error = error.copied()
        except foreign as error:
            self.error = unexpected(error, "this call")

    def taken(self) -> T:
        if self.error is not None:
            raise self.error.copied()
        return self.value


def run(job: Callable[[Errand], T], errand: Errand) -> T:
    """Have a job done, and give what it gives.

    Raises:
        OAuthError: what it raised, or that it took too long.
    """
    in_time = _in_time(job, errand)
    if workers.is_worker():  # which others may wait for: it does not wait for another one
        return _Result(in_time, Exception).taken()
    future, work = _prepared(in_time)
    if not workers.submit(work):
        return _Result(in_time, Exception).taken()
    try:
        result = future.result(timeout=_patience(errand))
    except NotDone:
        result = None
    return _given(result, errand)


async def arun(job: Callable[[Errand], T], errand: Errand) -> T:
    """Do the same without blocking the event loop."""
    future, work = _prepared(_in_time(job, errand))
    if not workers.submit(work):
        raise TransportError("no thread could be started for this call; nothing was sent", sent=False)
    done = await done_within(future, _patience(errand))
    return _given(future.result() if done else None, errand)


def _in_time(job: Callable[[Errand], T], errand: Errand) -> Callable[[], T]:
    def in_time() -> T:
        if errand.budget.remaining() <= 0:
            raise TransportError(f"no worker was free within {errand.budget.seconds:g} s", sent=False)
        with workers.finished_at_exit(errand.budget):
            return job(errand)

    return in_time


def _prepared(job: Callable[[], T]) -> tuple[Shared[_Result[T]], Callable[[], None]]:
    """Give the future of a job, and what does it in the context of this moment."""
    future: Shared[_Result[T]] = Shared()
    context = contextvars.copy_context()
    return future, lambda: future.set_result(context.run(_Result, job, BaseException))


def _patience(errand: Errand) -> float:
    """Give the seconds to wait: for the exchanges, and then for the lock under which what came is saved."""
    return errand.budget.remaining() + errand.budget.seconds + GRACE


def _given(result: _Result[T] | None, errand: Errand) -> T:
    if result is None:
        budget = errand.budget
        raise TransportError(f"not done within {budget.seconds:g} s: still {budget.phase}", sent=budget.sent)
    return result.taken()


async def apart(job: Callable[[], T], stop: Callable[[], None]) -> T:
    """Do something that waits for a person, without blocking the event loop, on a thread of its own.

    Args:
        job: what is to be done.
        stop: ends it; called where nobody waits any more.
    """
    future, work = _prepared(job)
    threading.Thread(target=work, name="video-oauth-auth-login", daemon=True).start()
    try:
        while not await done_within(future, LOOK_AGAIN):
            pass
    except BaseException:
        stop()
        raise
    return future.result().taken()
