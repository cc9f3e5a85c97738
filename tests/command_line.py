"""What the tests of the command share: a home of its own, profiles, runs inside this process and as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from video_oauth_auth.cli.commands import commands
from video_oauth_auth.profiles import profiles_path
from video_oauth_auth.testing import LoopbackServer

COMMAND = (sys.executable, "-W", "error", "-m", "video_oauth_auth.cli")
SECRET_VARIABLE = "ACME_SECRET"
PLATFORM_VARIABLES = ("BRIGHTCOVE_", "MOVINGIMAGE_", "IBM_VIDEO_STREAMING_", "CIDAAS_")
UNWANTED = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")


@dataclass
class Home:
    """A person's home, with a profile file.

    Attributes:
        path: the directory.
        environment: further variables of programs.
    """

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    def profiles(self, **tables: Mapping[str, Any]) -> Path:
        """Write these profiles."""
        return self.write("\n".join(toml(name, table) for name, table in tables.items()))

    def write(self, text: str, mode: int = 0o600) -> Path:
        """Write the profile file."""
        path = profiles_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Run the command in this process."""
        result = CliRunner().invoke(commands, arguments, input=stdin, prog_name="video-oauth-auth")
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        return result

    @contextmanager
    def process(self, *arguments: str, **settings: Any) -> Iterator[subprocess.Popen[str]]:
        """Run the command as a process that is ended with the block."""
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        variables = {name: value for name, value in os.environ.items() if name not in UNWANTED} | self.environment
        with subprocess.Popen([*COMMAND, *arguments], env=variables, text=True, **{**pipes, **settings}) as process:
            try:
                yield process
            finally:
                process.kill()


def toml(name: str, table: Mapping[str, Any]) -> str:
    """Write a profile down; JSON's texts, numbers, lists and truths are TOML's too."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    inner = [toml(f"{name}.{key}", value) for key, value in table.items() if isinstance(value, dict)]
    return "\n".join([f"[{name}]", *plain, *inner, ""])


def metadata_of(server: LoopbackServer) -> dict[str, Any]:
    """The server of a profile: endpoints, and how clients authenticate there."""
    found = server.authorization_server
    names = ("token_endpoint", "authorization_endpoint", "revocation_endpoint", "device_authorization_endpoint")
    return {name: value for name in names if (value := getattr(found, name)) is not None}


def brightcove(server: LoopbackServer, **members: Any) -> dict[str, Any]:
    """A profile for a server that speaks like Brightcove."""
    return {
        "platform": "brightcove",
        "client_id": server.client_id,
        "client_secret_env": SECRET_VARIABLE,
        "server": metadata_of(server),
        "origins": [server.api_url],
        **members,
    }


def generic(server: LoopbackServer, **members: Any) -> dict[str, Any]:
    """A profile for people who sign in at a bundled server."""
    return {
        "platform": "generic",
        "issuer": server.issuer,
        "client_id": server.client_id,
        "client_secret_env": SECRET_VARIABLE,
        "redirect_uri": "http://127.0.0.1:0/callback",
        "scope": "openid",
        "origins": [server.api_url],
        **members,
    }


def check_silent(server: LoopbackServer, *texts: str) -> None:
    """No secret of the server stands in these texts."""
    for secret in server.secrets() - {server.client_id, *server.users}:
        assert not any(secret in text for text in texts), f"{secret[:6]}... of {len(secret)} characters"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home without anything in it."""
    for name in os.environ:
        if name.startswith(PLATFORM_VARIABLES) or name in UNWANTED:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    return Home(tmp_path)
