"""Keyrings for tests: in memory, with the limits and failures of real ones, and one that several processes share."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordSetError

Ring = TypeVar("Ring", bound=KeyringBackend)

LIMIT = 1280  # UTF-16 units: what an entry of Windows' keyring holds


class MemoryKeyring(KeyringBackend):
    """A keyring as good as that of Windows.

    Attributes:
        secrets: what it keeps, by service and user name.
        asked: how often it was asked for something.
        failure: what it raises, if anything.
    """

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[tuple[str, str], str] = {}
        self.asked = 0
        self.failure: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        self._ask()
        return self.secrets.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._ask()
        if len(password.encode("utf-16-le")) // 2 > LIMIT:
            raise PasswordSetError(f"too long: {password}")
        self.secrets[service, username] = password

    def lock(self) -> None:
        self.failure = KeyringLocked("the person dismissed the prompt")

    def _ask(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure


class TellTaleKeyring(MemoryKeyring):
    """Says in its exceptions what it was to keep."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise PasswordSetError(f"cannot write {password}")


class ForgetfulKeyring(MemoryKeyring):
    """Keeps nothing, and does not say so."""

    def set_password(self, service: str, username: str, password: str) -> None:
        self._ask()


class CuttingKeyring(MemoryKeyring):
    """Keeps the beginning only."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password[:20])


class PlaintextKeyring(MemoryKeyring):
    """Is named like that of keyrings.alt, and writes for everybody to read."""


class AnotherKeyring(PlaintextKeyring):
    """Is a kind of that, whatever its name."""


class PickyKeyring(MemoryKeyring):
    """Keeps entries of services without blanks only, and does not say so."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if " " not in service:
            super().set_password(service, username, password)


class SelfishKeyring(MemoryKeyring):
    """The other way round."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if " " in service:
            super().set_password(service, username, password)


class FullKeyring(MemoryKeyring):
    """Has room for one entry."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.secrets:
            raise PasswordSetError("full")
        super().set_password(service, username, password)


class SharedKeyring(MemoryKeyring):
    """Another process writes its present key right after ours.

    Attributes:
        other: the key of the other process.
    """

    other = "the-key-of-another-process-in-43-characters"

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        if service == "video-oauth-auth":
            self.secrets[service, username] = self.other


class PromptingKeyring(MemoryKeyring):
    """Waits for a person.

    Attributes:
        prompted: set when the person is asked.
        answered: to be set for the answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prompted, self.answered = threading.Event(), threading.Event()

    def _ask(self) -> None:
        self.prompted.set()
        assert self.answered.wait(60)
        super()._ask()


class CrowdedKeyring(MemoryKeyring):
    """Who asks it first gets the answer a little later, unless somebody else asks."""

    def __init__(self) -> None:
        super().__init__()
        self._came = threading.Condition()

    def get_password(self, service: str, username: str) -> str | None:
        with self._came:
            found = super().get_password(service, username)
            self._came.notify_all()
            self._came.wait_for(lambda: self.asked > 1, timeout=0.5)
            return found


class FolderKeyring(KeyringBackend):
    """Keeps its secrets in a folder, which KEYRING_PROPERTY_FOLDER names, so that processes share it.

    Who finds that there is no present key waits until as many others have found that as KEYRING_PROPERTY_CROWD says.
    """

    priority = 1.0
    folder = ""
    crowd = "1"

    def get_password(self, service: str, username: str) -> str | None:
        path = self._path(service, username)
        if path.exists():
            return path.read_text()
        self._meet()
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        path = self._path(service, username)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_text(password)
        draft.rename(path)

    def _path(self, service: str, username: str) -> Path:
        return Path(self.folder) / f"{quote(service, safe='')}:{quote(username, safe='')}"

    def _meet(self) -> None:
        (Path(self.folder) / f"here.{os.getpid()}").touch()
        end = time.monotonic() + 30
        while len(list(Path(self.folder).glob("here.*"))) < int(self.crowd):
            assert time.monotonic() < end, "the others did not come"
            time.sleep(0.01)


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    """The keyring of this test."""
    return use(monkeypatch, MemoryKeyring())


def use(monkeypatch: pytest.MonkeyPatch, backend: Ring) -> Ring:
    """Let this be the keyring until the test is over."""
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
    return backend
