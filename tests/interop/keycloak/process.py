"""Starts Keycloak, makes realms in it, and stops it by its process group."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from .install import installation
from .realm import RealmSettings

START_TIMEOUT = 180.0
STOP_TIMEOUT = 30.0
ADMIN_TIMEOUT = 60.0
LISTENING = re.compile(r"Listening on: (http://127\.0\.0\.1:\d+)")
START_OPTIONS = (
    "--http-enabled=true",
    "--http-host=127.0.0.1",
    "--http-port=0",
    "--hostname-strict=false",
    "--cache=local",  # else it looks for other Keycloaks, on every network of this machine
)
LINKED = ("conf", "lib", "providers", "themes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keycloak:
    """One running Keycloak on loopback; `url` is what its realms have before `/realms`."""

    url: str
    password: str = field(repr=False)

    def add_realm(self, settings: RealmSettings) -> Realm:
        self.admin("POST", "", json=settings.representation())
        return Realm(keycloak=self, settings=settings)

    def admin(self, method: str, path: str, *, json: object = None) -> Any:
        """What the admin API answers, as JSON; `path` is what it has after `/admin/realms`.

        Raises:
            httpx.HTTPStatusError: it refuses.
        """
        with httpx.Client(timeout=ADMIN_TIMEOUT) as client:
            credentials = {"client_id": "admin-cli", "username": "admin", "password": self.password}
            # A token for each request: one lives for a minute only.
            signed_in = client.post(
                f"{self.url}/realms/master/protocol/openid-connect/token",
                data={"grant_type": "password"} | credentials,
            ).raise_for_status()
            headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
            answer = client.request(method, f"{self.url}/admin/realms{path}", headers=headers, json=json)
        return answer.raise_for_status().json() if answer.content else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """One realm of a running Keycloak: an issuer, and what its admin can see and do."""

    keycloak: Keycloak
    settings: RealmSettings

    @property
    def issuer(self) -> str:
        return f"{self.keycloak.url}/realms/{self.settings.name}"

    @property
    def authorization_endpoint(self) -> str:
        return f"{self.issuer}/protocol/openid-connect/auth"

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/protocol/openid-connect/token"

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.token_endpoint}/introspect"

    def events(self) -> Counter[str]:
        """How often each thing happened since the last `forget_events`, by Keycloak's names (`realm.EVENTS`)."""
        return Counter(event["type"] for event in self._admin("GET", "/events?max=1000"))

    def forget_events(self) -> None:
        self._admin("DELETE", "/events")

    def sign_out(self, username: str) -> None:
        """Ends all sessions of a person, as an admin may."""
        self._admin("POST", f"/users/{self._user_id(username)}/logout")

    def sessions(self, username: str) -> int:
        return len(self._admin("GET", f"/users/{self._user_id(username)}/sessions"))

    def _user_id(self, username: str) -> str:
        (user,) = self._admin("GET", f"/users?exact=true&username={username}")
        return str(user["id"])

    def _admin(self, method: str, path: str) -> Any:
        return self.keycloak.admin(method, f"/{self.settings.name}{path}")


@contextmanager
def running_keycloak(folder: Path) -> Iterator[Keycloak]:
    """Runs the installed Keycloak until the block ends; its data and its log are in `folder`, which is empty."""
    if not installation().is_dir():
        raise RuntimeError("Keycloak is not installed: run `make interop`, which installs it first.")
    password = secrets.token_urlsafe()
    log = folder / "keycloak.log"
    script = str(installation() / "bin" / "kc.sh")
    command = [script, "start", "--optimized", f"-Dkc.home.dir={_home(folder)}", *START_OPTIONS]
    with (
        log.open("wb") as said,
        subprocess.Popen(
            command,
            env=_environment(password),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Keycloak(url=_when_ready(process, log), password=password)
        finally:
            _stop(process)


def _home(folder: Path) -> Path:
    """A home of this run's own, since Keycloak writes there; the installation is shared and stays as it is."""
    home = folder / "home"
    home.mkdir()
    for name in LINKED:
        (home / name).symlink_to(installation() / name)
    return home


def _environment(password: str) -> dict[str, str]:
    foreign = ("KC_", "JAVA_OPTS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": password,
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
        "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",  # the start takes a third less
    }


def _when_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while not (listening := LISTENING.search(log.read_text(errors="replace"))):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")
            raise RuntimeError(f"Keycloak has ended, or needs more than {START_TIMEOUT} s to start:\n{said}")
        time.sleep(0.1)
    url = f"{listening[1]}/auth"
    httpx.get(f"{url}/realms/master/.well-known/openid-configuration", timeout=ADMIN_TIMEOUT).raise_for_status()
    return url


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
