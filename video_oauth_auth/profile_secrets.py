"""Where the secrets of a profile are: an environment variable, a file, the keyring, or a person who types them."""

from __future__ import annotations

import getpass
import logging
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigurationError, cleaned

__all__ = ["SERVICE", "WAYS", "Secret", "secret_in"]

logger = logging.getLogger("video_oauth_auth")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

_warned: set[str] = set()  # secret files that others can read

SERVICE = "video-oauth-auth"  # in the keyring
WAYS = {"env": "a text", "file": "a text", "keyring": "true", "prompt": "true"}  # and what each key has to be


class Secret:
    """Reads a secret whenever it is called; what a person types, or comes from a pipe, is read once.

    Args:
        way: one of `WAYS`.
        place: where it is: a variable, a file, a user name in the keyring, or what to ask for.
    """

    __slots__ = ("_kept", "_place", "_read", "_way")

    def __init__(self, way: str, place: str) -> None:
        self._way, self._place = way, place
        self._read: Callable[[str], str] = _READERS[way]
        self._kept = ""

    @property
    def is_typed(self) -> bool:
        """Tell whether a person types it."""
        return self._way == "prompt"

    def __call__(self) -> str:
        is_pipe = self._way == "file" and not Path(self._place).is_file()
        if not self.is_typed and not is_pipe:
            return self._read(self._place)
        self._kept = self._kept or self._read(self._place)
        return self._kept

    def check(self) -> None:
        """Read it now, or let the person type it: on the thread of the caller, who gets the error if that fails.

        A renewal would tell no more than that a callable failed, and has no time for a person.

        Raises:
            ConfigurationError: what is wrong.
        """
        self()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by {self._way}: {self._place}>"


def secret_in(table: Mapping[str, Any], name: str, profile: str, folder: Path) -> Secret | None:
    """Find out where a profile says that a secret is.

    Args:
        table: the profile.
        name: the keyword: `client_secret` or `password`.
        profile: the name of the profile.
        folder: what the path of a secret file is relative to.

    Raises:
        ConfigurationError: it says so twice.
    """
    ways = [way for way in WAYS if f"{name}_{way}" in table]
    if len(ways) > 1:
        raise ConfigurationError(f"{' and '.join(f'{name}_{way}' for way in ways)} are both there: keep one")
    for way in ways:
        places = {
            "file": lambda: _path_in(folder, table[f"{name}_file"]),
            "env": lambda: str(table[f"{name}_env"]),
            "keyring": lambda: f"profile:{profile}",
            "prompt": lambda: f"{name} of the profile {profile}",
        }
        return Secret(way, places[way]())
    return None


def _path_in(folder: Path, text: str) -> str:
    try:
        return str(folder / Path(text).expanduser())
    except RuntimeError:
        failure = f"there is no home directory for {cleaned(text)}"
    raise ConfigurationError(failure)


def _from_environment(name: str) -> str:
    if not _VARIABLE.fullmatch(name):  # and it may be the secret: it is not shown
        raise ConfigurationError("what should name the environment variable with a secret is no name of a variable")
    secret = os.environ.get(name, "").strip()
    if not secret:
        raise ConfigurationError(f"the environment variable {name}, which should hold a secret, is not set")
    return secret


def _from_file(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            secret = file.read(1 << 16).decode().strip()
    except OSError as error:
        failure = f"cannot be read: {os.strerror(error.errno or 0)}"
    except UnicodeDecodeError:
        failure = "is no UTF-8"
    except ValueError:
        failure = "cannot be read: no path holds a NUL"
    else:
        if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH) and path not in _warned:
            _warned.add(path)
            logger.warning("others can read the secret file %s: chmod go-r %s", path, path)
        if secret:
            return secret
        failure = "is empty"
    raise ConfigurationError(f"the secret file {path} {failure}")


def _from_keyring(user_name: str) -> str:
    try:
        import keyring
    except ImportError:
        raise ConfigurationError(
            "a secret in the keyring needs the library keyring: pip install 'video-oauth-auth[cli]'"
        ) from None
    failure = "has no such entry"
    try:
        secret = keyring.get_password(SERVICE, user_name)
        if secret:
            return secret
    except Exception as error:  # noqa: BLE001 - keyrings raise what their systems do
        failure = f"could not be used ({type(error).__name__})"
    raise ConfigurationError(
        f"no secret in the keyring: it {failure}. The entry is made with: keyring set {SERVICE} {user_name}"
    )


def _from_person(what: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError(f"there is no terminal to ask for the {what}: keep it in a variable, file or keyring")
    try:
        secret = getpass.getpass(f"{what}: ", stream=sys.stderr).strip()
    except EOFError:
        secret = ""
    except UnicodeError:
        raise ConfigurationError(f"what was typed for the {what} is no text of this terminal's encoding") from None
    if not secret:
        raise ConfigurationError(f"nothing was typed for the {what}")
    return secret


_READERS = {"env": _from_environment, "file": _from_file, "keyring": _from_keyring, "prompt": _from_person}
