"""Programs of their own, for what only a whole process shows: forks, exits, threads that are left."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import requests

from video_oauth_auth import Token
from video_oauth_auth.testing import OAuthServer

PRELUDE = '''
import json, os, sys, threading, time
from contextlib import contextmanager
from pathlib import Path

from video_oauth_auth import (
    AuthorizationServer, ClientCredentials, OAuth2Auth, OAuthClient, OAuthError, Token, TokenSource
)

ENDPOINT, FOLDER = sys.argv[1], Path(sys.argv[2])
MEMBERS = ("access_token", "issued_at", "expires_at", "refresh_token")


class FolderStore:
    """Keeps each token in a file; enough for programs that take turns."""

    def load(self, key):
        try:
            return Token(**json.loads((FOLDER / key.id).read_text()))
        except FileNotFoundError:
            return None

    @contextmanager
    def transaction(self, key, *, timeout):
        store = self

        class Entry:
            token = store.load(key)

            def save(self, token):
                (FOLDER / key.id).write_text(json.dumps({name: getattr(token, name) for name in MEMBERS}))

            def delete(self):
                (FOLDER / key.id).unlink(missing_ok=True)

        yield Entry()

    def entries(self):
        return []


def source_of(grant=ClientCredentials(), secret="test-client-secret", **settings):
    server = AuthorizationServer(token_endpoint=ENDPOINT)
    return TokenSource(server, OAuthClient("test-client", secret), grant, **settings)


def say(*words):
    print(*words, flush=True)


def told():
    """Wait until the test lets us go on."""
    assert sys.stdin.readline()
'''


class Program:
    """A Python program that runs beside the test; it is ended with the block.

    Args:
        text: its text; `PRELUDE` stands before it.
        endpoint: the token endpoint.
        folder: an empty folder, for its own file and its store.
    """

    def __init__(self, text: str, endpoint: str, folder: Path) -> None:
        path = folder / "program.py"
        path.write_text(PRELUDE + text)
        self._process = subprocess.Popen(
            [sys.executable, str(path), endpoint, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tell(self) -> None:
        """Let the program go on from where it calls `told()`."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def said(self) -> str:
        """Give the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self, within: float) -> str:
        """Wait until it has ended, well, and give what it wrote to stderr."""
        started_at = time.monotonic()
        _, errors = self._process.communicate(timeout=within)
        assert self._process.returncode == 0, errors
        assert time.monotonic() - started_at < within
        return errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.runs:
            self._process.kill()
        self._process.communicate(timeout=30)  # a child of it that hangs keeps the pipes open


@pytest.fixture
def program(oauth_server: OAuthServer, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program that knows the server's token endpoint, or another one."""
    running: list[Program] = []

    def start(text: str, endpoint: str | None = None) -> Program:
        running.append(Program(textwrap.dedent(text), endpoint or oauth_server.token_endpoint, tmp_path))
        return running[-1]

    yield start
    for one in running:
        one.__exit__(None, None, None)


def is_live(server: OAuthServer, access_token: str) -> bool:
    """Tell whether the API takes this access token."""
    headers = {"Authorization": f"Bearer {access_token}"}
    return requests.get(f"{server.api_url}/me", headers=headers, timeout=10).status_code == 200


def given(server: OAuthServer, age: float = 301) -> dict[str, object]:
    """Write down a token of that age for the text of a program: `Token(**members)`."""
    server.refresh_tokens = True
    members = server.issue_token()
    issued_at = time.time() - age
    return {
        "access_token": members["access_token"],
        "refresh_token": members["refresh_token"],
        "issued_at": issued_at,
        "expires_at": issued_at + 300,
    }


def saved(folder: Path) -> Token:
    """Give the one token that the program's store has."""
    (path,) = (path for path in folder.iterdir() if path.name.startswith("v1-"))
    return Token(**json.loads(path.read_text()))
