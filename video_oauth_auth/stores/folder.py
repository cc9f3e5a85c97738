"""A directory of one's own: files that nobody else can read or replace, written whole or not at all.

Where the system can, everything is done relative to the opened directory, so that nobody can put another one in its
place between two steps. Nothing here follows a symbolic link. Failures come as `OSError`; a place where tokens must not
be kept is a `StoreError`.
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..budget import now
from ..errors import StoreError
from .encoding import Unreadable

try:
    import fcntl
except ImportError:  # Windows
    FULL_SYNC = None
else:
    FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS

__all__ = ["Folder", "opened"]

POSIX = os.name == "posix"  # owners, modes, and files relative to a directory; Windows has access lists by user profile
LARGEST = 1 << 20  # bytes; an entry has a few thousand
PATIENCE = 2.0  # seconds

# What has not every flag: Windows. Python itself makes descriptors that other programs do not inherit.
_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# File systems that cannot flush a directory say so in one of these ways; there is nothing else to do then.
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})

T = TypeVar("T")


@contextmanager
def opened(path: Path, *, make: bool = False) -> Iterator[Folder]:
    """Open a directory after a look at who else may write there.

    Args:
        path: the directory.
        make: make it, and those above it, where it is missing.

    Raises:
        FileNotFoundError: it is missing.
        StoreError: others can read it or replace it.
        OSError: it cannot be opened; ELOOP for a symbolic link.
    """
    if make and not os.path.lexists(path):
        _make(path)
    if not POSIX:
        _refuse_link(path)
        yield Folder(path, None)
        return
    descriptor = os.open(path, os.O_RDONLY | _CAREFUL)
    try:
        _check(path, os.fstat(descriptor))
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


class Folder:
    """An opened directory; names are those of files directly in it.

    Args:
        path: where it is.
        descriptor: the opened directory; None where files cannot be named relative to one.
    """

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    def names(self) -> list[str]:
        """Give the names of all files."""
        return os.listdir(self._path if self._descriptor is None else self._descriptor)

    def open(self, name: str, flags: int) -> int:
        """Open a regular file of one's own, or make it with mode 0600; gives the descriptor.

        Raises:
            Unreadable: it is no regular file.
            StoreError: it belongs to somebody else.
            OSError: it cannot be opened; ELOOP for a symbolic link.
        """
        if not POSIX:
            _refuse_link(self._path / name)
        descriptor = _patiently(lambda: os.open(self._place(name), flags | _CAREFUL, 0o600, dir_fd=self._descriptor))
        try:
            self._check_file(name, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def read(self, name: str) -> bytes:
        """Give what a file holds; errors as for `open`, and `Unreadable` where it is far too large."""
        descriptor = self.open(name, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise Unreadable(f"it has more than {LARGEST} bytes")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Replace a file: whatever happens, it is the old one or the new one, and the new one after the return."""
        temporary = f"{name}.{secrets.token_hex(8)}.tmp"
        try:
            self._write_new(temporary, data)
            here = self._descriptor
            _patiently(lambda: os.replace(self._place(temporary), self._place(name), src_dir_fd=here, dst_dir_fd=here))
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise
        self.sync()

    def rename(self, name: str, new_name: str) -> None:
        """Give a file, or whatever stands there, another name."""
        here = self._descriptor
        os.replace(self._place(name), self._place(new_name), src_dir_fd=here, dst_dir_fd=here)

    def remove(self, name: str) -> None:
        """Remove a file; it is no error if there is none. A directory, which can be none of ours, stays."""
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(self._stat(name).st_mode):
                _patiently(lambda: os.unlink(self._place(name), dir_fd=self._descriptor))

    def has(self, name: str, descriptor: int) -> bool:
        """Tell whether the name stands for that opened file (and not for one that was made since)."""
        try:
            return os.path.samestat(self._stat(name), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def sync(self) -> None:
        """Let names survive a power failure."""
        if self._descriptor is not None:
            _sync_directory(self._descriptor)

    def _place(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(self._place(name), dir_fd=self._descriptor, follow_symlinks=False)

    def _check_file(self, name: str, descriptor: int) -> None:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise Unreadable(f"{self._path / name} is no regular file")
        if not POSIX:
            return
        _refuse_foreign(self._path / name, about)
        # A second name may be another program's; what that can read is not ours to say.
        if stat.S_IMODE(about.st_mode) != 0o600 and about.st_nlink == 1:
            with suppress(OSError):
                os.fchmod(descriptor, 0o600)

    def _write_new(self, name: str, data: bytes) -> None:
        descriptor = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            _sync_file(descriptor)
        finally:
            os.close(descriptor)


def _make(path: Path) -> None:
    """Make a directory that is closed from its first moment, whatever the umask."""
    for above in reversed(path.parents):
        with suppress(FileExistsError):
            above.mkdir(mode=0o700)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        if POSIX:
            path.chmod(0o700)  # a umask may even keep out oneself
            with suppress(PermissionError):  # one may write into a directory and not read it
                parent = os.open(path.parent, os.O_RDONLY)
                try:
                    _sync_directory(parent)
                finally:
                    os.close(parent)


def _check(path: Path, about: os.stat_result) -> None:
    """Refuse a directory that others can read or replace."""
    if not stat.S_ISDIR(about.st_mode):
        raise StoreError(f"{path} is no directory: give FileStore a directory of its own")
    _refuse_foreign(path, about)
    if about.st_mode & 0o077:
        raise StoreError(
            f"{path} is open to other users (mode {stat.S_IMODE(about.st_mode):04o}): no token is read or kept there. "
            f"Give FileStore a directory of its own; if this one is meant for tokens only, run: "
            f"chmod 700 {shlex.quote(str(path))}"
        )
    above = path.parent.stat().st_mode
    if above & stat.S_IWOTH and not above & stat.S_ISVTX:
        raise StoreError(
            f"every user of this machine can replace {path}, because {path.parent} is writable for all "
            f"(mode {stat.S_IMODE(above):04o}). Run: chmod o-w {shlex.quote(str(path.parent))}"
        )


def _refuse_foreign(path: Path, about: os.stat_result) -> None:
    if about.st_uid != os.geteuid():
        raise StoreError(
            f"{path} belongs to the user with the number {about.st_uid}, and this process runs as {os.geteuid()}: no "
            "token is read or kept there. Run the program as that user, or give FileStore another path"
        )


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _sync_file(descriptor: int) -> None:
    """Let the bytes of a file survive a power failure."""
    if FULL_SYNC is not None:  # macOS: fsync alone leaves them in the drive
        with suppress(OSError):  # not on every file system
            fcntl.fcntl(descriptor, FULL_SYNC)
            return
    os.fsync(descriptor)


def _sync_directory(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def _patiently(step: Callable[[], T]) -> T:
    """Do it; on Windows again for a moment: there nobody can replace or open what another process has just opened."""
    ends_at = now() + PATIENCE
    while True:
        try:
            return step()
        except PermissionError:
            if POSIX or now() >= ends_at:
                raise
        time.sleep(0.01)
