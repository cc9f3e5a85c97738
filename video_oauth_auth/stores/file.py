"""FileStore: tokens in files that only their owner can read, shared by all processes of this machine."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from .. import forks
from ..errors import ConfigurationError, StoreError
from ..token import Token
from .contract import StoreKey
from .encoding import Document, Unreadable, decoded, encoded
from .folder import Folder, opened
from .lock_file import EXTRA_IS_MISSING, LockFile, import_filelock

__all__ = ["FileStore"]

logger = logging.getLogger("video_oauth_auth")

MOST_SET_ASIDE = 5  # unreadable files that are kept for each entry

_FILE_NAME = re.compile(r"[A-Za-z0-9-]{1,200}")
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})

P = ParamSpec("P")
T = TypeVar("T")


class _InDirectory:
    """What keeps tokens in a directory."""

    __slots__ = ("path",)

    path: Path


S = TypeVar("S", bound=_InDirectory)


def _translated(what: str) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Let a method raise `StoreError` for what the system refuses, with nothing of the failed call hanging on it."""

    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @wraps(method)
        def translated(self: S, /, *args: P.args, **keywords: P.kwargs) -> T:
            try:
                return method(self, *args, **keywords)
            except OSError as error:
                if isinstance(error, TimeoutError) and error.errno is None:
                    raise  # it is about the lock
                failure = _store_error(self.path, what, error)
            raise failure  # outside the handler: the frames of what failed hold the token

        return translated

    return decorate


def _store_error(path: Path, what: str, error: OSError) -> StoreError:
    why = f"{os.strerror(error.errno or 0)} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    if isinstance(error.filename, str):
        why += f" at {error.filename}"
    if error.errno == errno.ELOOP:
        why += ". Symbolic links are not followed there: put the directory or the file itself in its place"
    elif error.errno in _NO_LOCKS and what == "locked":
        why += ". Locks do not work on that file system: give FileStore a directory on a local disk"
    return StoreError(f"the tokens in {path} could not be {what}: {why}")


class FileStore(_InDirectory):
    """A token store in a directory: one file for each entry, and a lock that the system frees when its holder ends.

    It needs the extra `file`. Tokens are not encrypted: whoever can read the files of this user can read them.

    Args:
        path: a directory for tokens only; it is made when the first token is saved. Where not given, the place that the
            system has for the state of programs: `~/.local/state/video-oauth-auth` on Linux.

    Raises:
        ConfigurationError: `path` is no path, or the extra is not installed.
    """

    __slots__ = ()

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        import_filelock()
        self.path: Path = _default_path() if path is None else _checked_path(path)

    def __repr__(self) -> str:
        return f"FileStore({str(self.path)!r})"

    def load(self, key: StoreKey) -> Token | None:
        with suppress(Unreadable):
            document = self._read(key)
            return None if document is None else document.token
        with suppress(TimeoutError), self.transaction(key, timeout=0) as entry:  # which sets it aside
            return entry.token
        return None

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Iterator[_Entry]:
        lock = LockFile(self.path, f"{_file_name(key)}.lock")
        try:
            self._take(lock, timeout)
            yield _Entry(self.path, key, lock, self._read_or_set_aside(key))
        finally:
            lock.release()

    def entries(self) -> list[StoreKey]:
        """Give the keys of all entries that can be read."""
        found = (self._key_in(name) for name in self._names() if name.endswith(".json"))
        return [key for key in found if key is not None]

    @_translated("locked")
    def _take(self, lock: LockFile, timeout: float) -> None:
        lock.take(timeout)

    @_translated("read")
    def _read(self, key: StoreKey) -> Document | None:
        name = f"{_file_name(key)}.json"
        try:
            with opened(self.path) as folder:
                document = decoded(folder.read(name))
        except FileNotFoundError:
            return None
        if document.key != key:
            raise Unreadable("it is the entry of another sign-in")
        return document

    def _read_or_set_aside(self, key: StoreKey) -> Document | None:
        try:
            return self._read(key)
        except Unreadable as error:
            unreadable = error
        self._set_aside(f"{_file_name(key)}.json", unreadable)
        return None

    @_translated("set aside")
    def _set_aside(self, name: str, why: Unreadable) -> None:
        kind = "newer" if why.newer else "corrupt"
        with opened(self.path) as folder:
            numbers = _numbers(folder, f"{name}.{kind}-")
            new_name = f"{name}.{kind}-{max(numbers, default=0) + 1}"
            folder.rename(name, new_name)
            for number in sorted(numbers)[: -(MOST_SET_ASIDE - 1)]:
                folder.remove(f"{name}.{kind}-{number}")
            folder.sync()
        logger.warning(
            "the token in %s cannot be read: %s. The file is now %s, and the token counts as missing. %s",
            self.path / name,
            why,
            new_name,
            "Update video-oauth-auth here, or give each version a FileStore path of its own"
            if why.newer
            else "Sign in again if that is asked for, and delete the file when nobody needs it",
        )

    @_translated("listed")
    def _names(self) -> list[str]:
        try:
            with opened(self.path) as folder:
                return folder.names()
        except FileNotFoundError:
            return []

    def _key_in(self, name: str) -> StoreKey | None:
        try:
            with opened(self.path) as folder:
                key = decoded(folder.read(name)).key
        except (OSError, StoreError):  # told when that entry is used; the others can be listed
            return None
        return key if name == f"{key.id}.json" else None


class _Entry(_InDirectory):
    """The entry of the holder of its lock.

    Args:
        path: the directory.
        key: whose entry.
        lock: its lock, held.
        document: what is stored.
    """

    __slots__ = ("_key", "_lock", "_token", "_unknown")

    def __init__(self, path: Path, key: StoreKey, lock: LockFile, document: Document | None) -> None:
        self.path = path
        self._key = key
        self._lock = lock
        self._token = None if document is None else document.token
        self._unknown: Mapping[str, Any] = {} if document is None else document.unknown

    @property
    def token(self) -> Token | None:
        return self._token

    @_translated("written")
    def save(self, token: Token) -> None:
        self._lock.check()
        data = encoded(self._key, token, unknown=self._unknown)
        name = f"{_file_name(self._key)}.json"
        with opened(self.path) as folder:
            for other in folder.names():
                if other.startswith(f"{name}.") and other.endswith(".tmp"):
                    folder.remove(other)  # of a process that was killed while it held this lock
            folder.write(name, data)
        self._token = token

    @_translated("deleted")
    def delete(self) -> None:
        self._lock.check()
        name = f"{_file_name(self._key)}.json"
        with opened(self.path) as folder:
            for other in folder.names():
                if other == name or other.startswith(f"{name}."):
                    folder.remove(other)
            folder.sync()
        self._token, self._unknown = None, {}


def _numbers(folder: Folder, start: str) -> list[int]:
    """Give the numbers of the files whose names are that start and a number."""
    rests = [name.removeprefix(start) for name in folder.names() if name.startswith(start)]
    return [int(rest) for rest in rests if rest.isdecimal()]


def _file_name(key: StoreKey) -> str:
    if not _FILE_NAME.fullmatch(key.id):
        raise StoreError(f"the id of a StoreKey is made of letters, digits and '-', not {key.id!r}")
    return key.id


def _checked_path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise ConfigurationError(f"the path of a FileStore is a text or a Path, not {type(path).__name__}")
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ConfigurationError(f"the path of a FileStore names a directory; {text!r} does not")
    return Path(os.path.abspath(os.path.expanduser(text)))  # resolve() would follow a symbolic link


def _default_path() -> Path:
    """Give the place for state: unlike data it is not meant to be copied to other machines, unlike a cache it stays."""
    with forks.held_off, suppress(ImportError):
        import platformdirs

        return platformdirs.user_state_path("video-oauth-auth", appauthor=False)
    raise ConfigurationError(EXTRA_IS_MISSING)
