"""Threads that no caller owns: at most 32, alive only while there is work.

Cancelling a task, a time-out, Ctrl-C or closing an event loop ends a caller, never the work that it started.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import forks
from .budget import Budget, now

__all__ = ["MOST_AT_ONCE", "finished_at_exit", "submit"]

MOST_AT_ONCE = 32
AT_EXIT = 5.0  # seconds that a process waits at its end for answers that are on their way

Job = Callable[[], Any]


class _Workers:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._started = 0  # threads that run or are about to
        self._running = 0
        self._finalized = False
        self.under_way: set[Budget] = set()
        self.ended = threading.Condition(threading.Lock())

    def submit(self, job: Job) -> bool:
        self._finish_in_child()
        with self._lock:
            self._jobs.append(job)
            if self._started >= MOST_AT_ONCE:
                return True
            self._started += 1
        try:
            threading.Thread(target=self._work, name="video-oauth-auth-worker", daemon=True).start()
        except RuntimeError:  # the process has no thread left, or the interpreter is shutting down
            with self._lock:
                self._started -= 1
                if self._running or job not in self._jobs:
                    return True  # a worker that runs comes to it, or has it already
                self._jobs.remove(job)
                return False
        return True

    def _work(self) -> None:
        with self._lock:
            self._running += 1
        while True:
            with self._lock:
                if not self._jobs:
                    self._started -= 1
                    self._running -= 1
                    return
                job = self._jobs.popleft()
            with suppress(BaseException):  # whatever it was, the job has told those who wait for it
                job()
            del job

    def _finish_in_child(self) -> None:
        """Let a child process of multiprocessing wait at its end too: it leaves without running `atexit`."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None and forks.generation() and not self._finalized:
            self._finalized = True
            util.Finalize(None, self.finish, exitpriority=10)

    def finish(self) -> None:
        """Wait for what has been sent and not yet saved; a rotated refresh token would be lost."""
        ends_at = now() + AT_EXIT
        with self.ended:
            while any(budget.sent for budget in self.under_way) and (wait := ends_at - now()) > 0:
                self.ended.wait(min(wait, 0.1))


_workers = _Workers()


def _forget() -> None:
    global _workers
    _workers = _Workers()


forks.reset_in_child(_forget)
atexit.register(lambda: _workers.finish())


def submit(job: Job) -> bool:
    """Run a job on a worker, now or when one is free. The job must not raise.

    Returns:
        False where no thread can be had: the job will not be run.
    """
    return _workers.submit(job)


@contextmanager
def finished_at_exit(budget: Budget) -> Iterator[None]:
    """While `budget.sent` is true in here, the end of the process waits, at most five seconds."""
    workers = _workers
    with workers.ended:
        workers.under_way.add(budget)
    try:
        yield
    finally:
        budget.sent = False
        with workers.ended:
            workers.under_way.discard(budget)
            workers.ended.notify_all()
