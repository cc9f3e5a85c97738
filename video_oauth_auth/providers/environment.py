"""Settings from environment variables, with one message for everything that is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigurationError

__all__ = ["Environment"]

Secret = str | Callable[[], str]


class Environment:
    """Reads variables that begin with a prefix and notes the missing ones.

    Args:
        prefix: what the names begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._missing: list[str] = []

    def has(self, name: str) -> bool:
        return bool(os.environ.get(self._prefix + name, "").strip())

    def text(self, name: str, *, required: bool = True) -> str:
        """Give a variable's value; an empty one counts as missing."""
        value = os.environ.get(self._prefix + name, "").strip()
        if required and not value:
            self._missing.append(self._prefix + name)
        return value

    def secret(self, name: str, *, required: bool = True) -> Secret:
        """Give a secret, or a callable that reads it from the file that `..._FILE` names, at each token call."""
        value, path = self.text(name, required=False), self.text(f"{name}_FILE", required=False)
        if value and path:
            raise ConfigurationError(f"{self._prefix}{name} and {self._prefix}{name}_FILE are both set: keep one")
        if path:
            _read(path)
            return lambda: _read(path)
        if required and not value:
            self._missing.append(f"{self._prefix}{name} (or {self._prefix}{name}_FILE)")
        return value

    def text_or_file(self, name: str, *, required: bool = True) -> str:
        """Give a secret as text, read now."""
        secret = self.secret(name, required=required)
        return secret() if callable(secret) else secret

    def client(self) -> tuple[str, Secret | None, str | None]:
        """Give `CLIENT_ID`, `CLIENT_SECRET` and `REDIRECT_URI`; the secret may be missing beside a redirect URI."""
        redirect_uri = self.text("REDIRECT_URI", required=False) or None
        return self.text("CLIENT_ID"), self.secret("CLIENT_SECRET", required=redirect_uri is None) or None, redirect_uri

    def check(self) -> None:
        """Raise ConfigurationError if something was missing."""
        if self._missing:
            raise ConfigurationError(f"missing environment variables: {', '.join(self._missing)}")


def _read(path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the secret file {path} cannot be read: {type(error).__name__}") from None
    if not secret:
        raise ConfigurationError(f"the secret file {path} is empty")
    return secret
