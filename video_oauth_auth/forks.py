"""What a fork must not leave behind in the child: locks that nobody will open, pools, TLS contexts."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

__all__ = ["ForkSafeLock", "ending", "generation", "held_off", "reset_in_child"]

LONGEST_END = 0.5  # seconds that a fork waits for threads that are ending
THREADS = Path("/proc/self/task")  # one folder for each that the system has not ended; on Linux

_resets: list[Callable[[], None]] = []
_generation = 0
_guard = threading.Lock()
_ending: deque[int] = deque(maxlen=64)  # the last ones; more than can be ending at a time


def generation() -> int:
    """Give how many forks lie between the program's start and this process."""
    return _generation


def reset_in_child(function: Callable[[], None]) -> None:
    """Run a function in every child process right after the fork."""
    _resets.append(function)


def _after_fork_in_child() -> None:
    global _generation, _guard
    _guard = threading.Lock()
    _generation += 1
    for function in _resets:
        function()


# While it is held no fork happens. For imports: a child would wait for ever for one that another thread had begun.
held_off = threading.Lock()

# Whoever registers first comes last before a fork. What is imported while `held_off` is held wants the lock of logging,
# which logging takes before a fork: had it registered after this module, both would wait for each other.
_comes_after = logging


def ending() -> None:
    """Say, as the last thing that a thread does, that it ends: no fork happens until the system has ended it.

    OpenSSL cleans up behind each thread that has used it. A child that is forked meanwhile would find a lock of OpenSSL
    closed for ever, and hang at its first token call, where no time-out helps.
    """
    with held_off:
        _ending.append(threading.get_native_id())


def _before_fork() -> None:
    held_off.acquire()
    ends_at = time.monotonic() + LONGEST_END
    while any((THREADS / str(number)).exists() for number in _ending) and time.monotonic() < ends_at:
        time.sleep(0.0005)
    _ending.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=held_off.release, after_in_child=held_off.release)
    os.register_at_fork(after_in_child=_after_fork_in_child)


class ForkSafeLock:
    """A lock that is open in a child process, whoever held it in the parent at the moment of the fork.

    It only hands out the lock of this process. The lock itself is entered and left by C code: an interrupt between two
    steps of Python code could leave it closed for ever.
    """

    __slots__ = ("_born", "_lock")

    def __init__(self) -> None:
        self._born, self._lock = _generation, threading.Lock()

    def here(self) -> threading.Lock:
        """Give the lock that is valid in this process."""
        if self._born != _generation:
            with _guard:
                if self._born != _generation:
                    self._lock = threading.Lock()
                    self._born = _generation
        return self._lock
