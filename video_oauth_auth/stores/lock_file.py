"""A lock on a file of its own. The kernel frees it when its holder ends, however that happens."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from .. import forks
from ..budget import now
from ..errors import ConfigurationError, StoreError
from .folder import opened

__all__ = ["EXTRA_IS_MISSING", "LockFile", "import_filelock"]

EXTRA_IS_MISSING = "FileStore needs the libraries of an extra: pip install 'video-oauth-auth[file]'"

POLL = 0.02  # seconds between two tries

# The descriptors of lock files in this process. A forked child has them too, and as long as it keeps one open it holds
# the lock together with its parent: so it closes them at once.
_descriptors: set[int] = set()


def _close_inherited() -> None:
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)  # and nothing else: unlocking it would free the parent's lock
    _descriptors.clear()


forks.reset_in_child(_close_inherited)


def import_filelock() -> None:
    """Import filelock while no fork can happen.

    Raises:
        ConfigurationError: it, or a version that is new enough, is not installed.
    """
    with forks.held_off, suppress(ImportError):
        from filelock import lock_descriptor, unlock_descriptor  # noqa: F401 - for those that need them, later

        return
    raise ConfigurationError(EXTRA_IS_MISSING)


class LockFile:
    """A lock that is taken at most once.

    Every object opens the file anew, and an exclusive lock belongs to what was opened: so it keeps out other threads of
    this process in the same way as other processes.

    Args:
        directory: where the file is, or is made.
        name: the file; nothing is ever written into it.
    """

    __slots__ = ("_born", "_descriptor", "_directory", "_name")

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._descriptor: int | None = None
        self._born = forks.generation()

    def take(self, timeout: float) -> None:
        """Take the lock within that many seconds; 0 tries once. `release` has to follow, whatever happens.

        Raises:
            TimeoutError: somebody else held it all the time.
            StoreError: tokens must not be kept there.
            OSError: the file cannot be opened or locked.
        """
        ends_at = now() + timeout
        while not self._try():
            left = ends_at - now()
            if left <= 0:
                raise TimeoutError("another renewal holds the lock of this entry")
            time.sleep(min(POLL, left))

    def release(self) -> None:
        """Free the lock, if it is held by this process."""
        if self._descriptor is None or self._born != forks.generation():
            return
        descriptor = self._descriptor
        with suppress(OSError):
            _unlock(descriptor)  # a child that was forked without our knowing may have it open as well
        with forks.held_off, suppress(OSError):  # else a child could have what is no longer listed
            _descriptors.discard(descriptor)
            self._descriptor = None
            os.close(descriptor)

    def check(self) -> None:
        """Raise a `StoreError` if this process does not hold the lock: it ended, or this is a forked child."""
        if self._descriptor is None or self._born != forks.generation():
            raise StoreError(
                "an entry was changed without its lock: the transaction has ended, or this process was forked inside it"
            )

    def _try(self) -> bool:
        from filelock import lock_descriptor

        with opened(self._directory, make=True) as folder:
            with forks.held_off:  # a child has to know what it inherits
                self._descriptor = folder.open(self._name, os.O_RDWR | os.O_CREAT)
                _descriptors.add(self._descriptor)
            if lock_descriptor(self._descriptor, blocking=False) and folder.has(self._name, self._descriptor):
                return True
        self.release()
        return False


def _unlock(descriptor: int) -> None:
    from filelock import unlock_descriptor

    unlock_descriptor(descriptor)
