"""Profiles: named settings in a TOML file, for the command `video-oauth-auth` and for `from_profile`.

A profile is a table: the platform, and keywords of its class. It holds no secret, but says where one is.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigurationError, cleaned
from .profile_keys import CLASSES, REQUIRED, SECRETS, check_members, nearest
from .profile_secrets import WAYS, Secret, secret_in
from .server import AuthorizationServer
from .stores import TokenStore

__all__ = ["FILE_NAME", "Profile", "profile_names", "profiles_path", "read_profile", "store_of"]

FILE_NAME = "profiles.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile that was read and checked; it holds no secret.

    Attributes:
        name: what it is called.
        path: the file.
        platform: one of `CLASSES`.
        members: the keywords as they stand in the file.
        secrets: where its secrets are, by keyword.
    """

    name: str
    path: Path
    platform: str
    members: Mapping[str, Any]
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    def keywords(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the keyword arguments for the class of the platform; a password is read now, a client secret later.

        Args:
            given: keywords that win over those of the profile.

        Raises:
            ConfigurationError: something is missing, a password cannot be read, or the store not be used.
        """
        found = self.unread_keywords(given)
        if "password" in self.secrets and "password" not in given:
            found["password"] = self.secrets["password"]()
        return found

    def unread_keywords(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the same without reading any secret: enough to know where the tokens are kept."""
        if missing := sorted(set(REQUIRED[self.platform]) - {*self.members, *self.secrets, *given}):
            hint = " (client_secret_env, client_secret_file, ...)" if "client_secret" in missing else ""
            raise ConfigurationError(f"the profile {self.name!r} in {self.path} needs {' and '.join(missing)}{hint}")
        found: dict[str, Any] = {
            name: value for name, value in self.members.items() if name not in ("server", "store", "store_env")
        }
        found |= {name: secret if name == "client_secret" else "not read" for name, secret in self.secrets.items()}
        if "server" in self.members:
            found["server"] = AuthorizationServer.from_metadata(self.members["server"])
        if "store" not in given:
            found["store"] = self.store()
        return found | dict(given)

    def keywords_of(self, kinds: Collection[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the keyword arguments for a class that has one of these names, and check the secrets.

        Raises:
            ConfigurationError: the profile is for another platform, or as for `keywords`.
        """
        if CLASSES[self.platform] not in kinds:
            kind = CLASSES[self.platform]
            raise ConfigurationError(
                f"the profile {self.name!r} is for the platform {self.platform}: {kind}.from_profile takes it"
            )
        found = self.keywords(given)
        for name, secret in self.secrets.items():
            if found.get(name) is secret:
                secret.check()
        return found

    def store(self) -> TokenStore:
        """Give the store that the profile names.

        Raises:
            ConfigurationError: it cannot be used.
        """
        variable = self.members.get("store_env")
        if variable is None:
            return store_of(self.members.get("store", "file"))
        value = os.environ.get(variable, "").strip()
        if not value:
            raise ConfigurationError(
                f"the environment variable {variable}, where the profile {self.name!r} has its store, is not set"
            )
        return store_of(value)


def store_of(text: str) -> TokenStore:
    """Give the store that a profile means.

    Args:
        text: `file`, `encrypted` (a file, with the key in the keyring), or the URL of a Redis.

    Raises:
        ConfigurationError: it is none of them, or its extra is not installed.
    """
    from . import stores

    if text == "file":
        return stores.FileStore()
    if text == "encrypted":
        return stores.EncryptedStore(stores.FileStore())
    if text.startswith(("redis://", "rediss://", "unix://")):
        return stores.RedisStore(text)
    raise ConfigurationError('store is "file", "encrypted", or the URL of a Redis: "redis://host:6379/0"')


def profiles_path() -> Path:
    """Give the file with the profiles: `~/.config/video-oauth-auth/profiles.toml` on Linux.

    Raises:
        ConfigurationError: a library is missing.
    """
    try:
        import platformdirs
    except ImportError:
        pass
    else:
        return platformdirs.user_config_path("video-oauth-auth", appauthor=False) / FILE_NAME
    raise ConfigurationError("profiles need the libraries of an extra: pip install 'video-oauth-auth[cli]'")


def profile_names() -> list[str]:
    """Give the names of all profiles.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    return sorted(_tables(profiles_path()))


def read_profile(name: str) -> Profile:
    """Read one profile.

    Raises:
        ConfigurationError: there is none of that name, or it cannot be used.
    """
    path = profiles_path()
    tables = _tables(path)
    if name not in tables:
        there = "; no profile stands there yet"
        if tables:
            there = f"; there {'is' if len(tables) == 1 else 'are'} {', '.join(sorted(tables))}"
        raise ConfigurationError(f"there is no profile {cleaned(name)!r} in {path}{nearest(name, tables)}{there}")
    try:
        return _checked(name, path, tables[name])
    except ConfigurationError as error:
        failure = str(error)
    raise ConfigurationError(f"the profile {name!r} in {path}: {failure}")


def _tables(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            _check_writers(path, os.fstat(file.fileno()))
            return tomllib.loads(file.read().decode("utf-8-sig"))  # Windows' editors write a mark before the text
    except FileNotFoundError:
        return {}
    except OSError as error:
        failure = f"cannot be read: {os.strerror(error.errno or 0)}"
    except UnicodeDecodeError:
        failure = "is no UTF-8"
    except tomllib.TOMLDecodeError as error:
        failure = f"is no TOML: {cleaned(str(error))}"
    except RecursionError:
        failure = "is nested too deep"
    raise ConfigurationError(f"the profile file {path} {failure}")


def _check_writers(path: Path, about: os.stat_result) -> None:
    if os.name != "posix":
        return
    if about.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(f"the profile file {path} belongs to somebody else, who could send tokens anywhere")
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"others can write the profile file {path}, and so send tokens anywhere: chmod go-w {path}"
        )


def _checked(name: str, path: Path, table: Any) -> Profile:
    if not isinstance(table, dict):
        raise ConfigurationError(f'a profile is a table: [{name}] on a line, and platform = "..." on the next')
    platform = table.get("platform")
    if not isinstance(platform, str) or platform not in CLASSES:
        shown = f"platform = {cleaned(str(platform))!r} is not known" if platform else "it names no platform"
        raise ConfigurationError(f"{shown}{nearest(str(platform), CLASSES)}; there are {', '.join(CLASSES)}")
    check_members(table, platform)
    names = SECRETS[platform]
    secrets = {one: secret for one in names if (secret := secret_in(table, one, name, path.parent)) is not None}
    of_secrets = {f"{one}_{way}" for one in names for way in WAYS}
    members = {key: value for key, value in table.items() if key != "platform" and key not in of_secrets}
    return Profile(name=name, path=path, platform=platform, members=members, secrets=secrets)
