"""Threads that no caller owns: at most 32, alive only while there is work.

Cancelling a task, a time-out, Ctrl-C or closing an event loop ends a caller, never the work that it started.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import forks
from .budget import Budget, now

__all__ = ["MOST_AT_ONCE", "finished_at_exit", "is_worker", "submit"]

MOST_AT_ONCE = 32
NEW_AT_ONCE, NEW = 4, 0.01  # jobs that may begin within that many seconds while earlier ones have not ended
AT_EXIT = 5.0  # seconds that a process waits at its end for answers that are on their way

Job = Callable[[], Any]


class _ThisThread(threading.local):
    is_worker = False


_this_thread = _ThisThread()


def is_worker() -> bool:
    """Tell whether this thread is a worker: one that waited for another could wait for ever."""
    return _this_thread.is_worker


class _Workers:
    """What has to be done, and who does it.

    While jobs queue and fewer than 32 run, one worker without a job stands by. It begins the next one as soon as fewer
    than `NEW_AT_ONCE` of those that run are younger than `NEW` seconds. So jobs that hang hold the others up for a
    moment only: all 32 workers are at work within 80 ms. Jobs that compute, of which the interpreter runs one at a
    time, end before they are that old: a few workers do them as fast as 32, which would keep an event loop waiting.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._workers: set[threading.Thread] = set()
        self._began: dict[threading.Thread, float] = {}  # when the jobs that run began, the oldest first
        self._finalized = False
        self.under_way: set[Budget] = set()
        self.ended = threading.Condition(threading.Lock())

    def submit(self, job: Job) -> bool:
        self._finish_in_child()
        with self._lock:
            self._jobs.append(job)
            new = self._new_worker()
        if new is None or self._start(new):
            return True
        with self._lock:
            if job not in self._jobs or self._alive():
                return True  # a worker that lives comes to it, or has it already
            self._jobs.remove(job)
            return False

    def _alive(self) -> int:
        return sum(worker.is_alive() for worker in self._workers)

    def _new_worker(self) -> threading.Thread | None:
        """Give a worker to be started, if a job queues and nobody stands by for it."""
        if not self._jobs or len(self._workers) >= MOST_AT_ONCE or self._alive() > len(self._began):
            return None
        worker = threading.Thread(target=self._work, name="video-oauth-auth-worker", daemon=True)
        self._workers.add(worker)
        return worker

    def _start(self, worker: threading.Thread) -> bool:
        try:
            worker.start()
        except BaseException as error:
            with self._lock:
                self._workers.discard(worker)
            if isinstance(error, RuntimeError):  # no thread is left, or the interpreter is shutting down
                return False
            raise
        return True

    def _work(self) -> None:
        me = threading.current_thread()
        _this_thread.is_worker = True
        while (job := self._next_job(me)) is not None:
            with suppress(BaseException):  # whatever it was, the job has told those who wait for it
                job()
            del job
        forks.ending()

    def _next_job(self, me: threading.Thread) -> Job | None:
        """Stand by until a job may begin; None if there is none left, or another stands by."""
        while True:
            with self._lock:
                self._began.pop(me, None)
                wait = self._until_next_turn()
                if not self._jobs or (wait > 0 and self._alive() > len(self._began) + 1):
                    self._workers.discard(me)
                    return None
                if wait <= 0:
                    job = self._jobs.popleft()
                    self._began[me] = time.monotonic()
                    new = self._new_worker()
                    break
            time.sleep(wait)
        if new is not None:
            self._start(new)
        return job

    def _until_next_turn(self) -> float:
        began = list(self._began.values())
        return 0.0 if len(began) < NEW_AT_ONCE else began[-NEW_AT_ONCE] + NEW - time.monotonic()

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
