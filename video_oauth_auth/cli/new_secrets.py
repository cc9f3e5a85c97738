"""Where a secret goes that a server tells once: the keyring, and if that fails, a file that only this user can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigurationError, StoreError
from ..profile_secrets import SERVICE, secret_in
from ..profiles import profiles_path

__all__ = ["KeyringEntry", "written_file"]

Result = TypeVar("Result")

WAYS_OUT = (
    "Unlock or install a keyring (gnome-keyring or KWallet on Linux; macOS and Windows have one), or let the secret be "
    "printed, for a secret manager: --show-secret"
)


class KeyringEntry:
    """The place in the keyring where `client_secret_keyring = true` of a profile looks.

    Args:
        profile: the name of the profile.

    Attributes:
        user_name: that of the entry.
    """

    def __init__(self, profile: str) -> None:
        self.user_name = f"profile:{profile}"
        self._profile = profile

    def check(self, *, replace: bool) -> None:
        """Find out whether a secret can be kept there; nothing has been created yet.

        Args:
            replace: whether a secret that is there may be lost.

        Raises:
            ConfigurationError: the library is missing, or a secret is there.
            StoreError: the keyring does not keep what it is given.
        """
        _check_safe()
        probe, text = f"{self.user_name} (a test)", secrets.token_urlsafe(24)
        _asked(lambda ring: ring.set_password(SERVICE, probe, text))
        if _asked(lambda ring: ring.get_password(SERVICE, probe)) != text:
            raise StoreError(f"the keyring does not keep what it is given. {WAYS_OUT}")
        _asked(lambda ring: ring.delete_password(SERVICE, probe))
        if not replace and _asked(lambda ring: ring.get_password(SERVICE, self.user_name)) is not None:
            raise ConfigurationError(
                f"the keyring has a secret of the profile {self._profile!r} already, which would be lost. Take another "
                f"profile, or --replace"
            )

    def keep(self, secret: str) -> None:
        """Keep a secret, and look whether the profile finds it.

        Raises:
            StoreError: it does not.
        """
        _asked(lambda ring: ring.set_password(SERVICE, self.user_name, secret))
        found = secret_in({"client_secret_keyring": True}, "client_secret", self._profile, Path())
        try:
            is_there = found is not None and found() == secret
        except ConfigurationError:
            is_there = False
        if not is_there:
            raise StoreError("the keyring has not kept the secret")


def written_file(name: str, secret: str) -> Path:
    """Write a secret into a new file beside the profiles, which only this user can read; gives its path.

    Raises:
        OSError: that is not possible.
    """
    path = profiles_path().parent / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(descriptor)
    return path


def _check_safe() -> None:
    """Refuse keyrings that write for everybody to read (keyrings.alt has some of that kind)."""
    ring: Any = _asked(lambda library: library.get_keyring())
    rings: list[Any] = list(getattr(ring, "backends", ())) or [ring]
    if "plaintext" in " ".join(kind.__name__ for kind in type(rings[0]).__mro__).lower():
        raise StoreError(f"the keyring {type(rings[0]).__name__} keeps secrets as plain text. {WAYS_OUT}")


def _asked(ask: Callable[[Any], Result]) -> Result:
    """Ask the keyring; whatever it raises may hold what was to be written."""
    library = _library()
    try:
        return ask(library)
    except Exception as error:  # noqa: BLE001 - keyrings raise what their systems do
        kind = type(error).__name__
    raise StoreError(f"the keyring could not be used ({kind}). {WAYS_OUT}")


def _library() -> Any:
    try:
        import keyring
    except ImportError:
        pass
    else:
        return keyring
    raise ConfigurationError("a secret in the keyring needs the library: pip install 'video-oauth-auth[cli]'")
