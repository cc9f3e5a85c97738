"""Fleets: many programs around one FileStore, which all have the same sign-in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from video_oauth_auth import AuthorizationServer, OAuthClient, Token, TokenSource
from video_oauth_auth.stores import FileStore
from video_oauth_auth.testing import OAuthServer

from .program import Program

PRELUDE = """
import asyncio, signal
from dataclasses import replace

import httpx, requests
from video_oauth_auth.stores import FileStore

store = FileStore(FOLDER.parent / "tokens")
"""

StartFleet = Callable[..., list["Member"]]


class Member(Program):
    """A program that can also be told something."""

    def write(self, line: str) -> None:
        """Let its next `sys.stdin.readline()` give this."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid


@pytest.fixture
def fleet(oauth_server: OAuthServer, tmp_path: Path) -> Iterator[StartFleet]:
    """Start this program that many times, each in a folder of its own beside the tokens; wait until all are ready."""
    with ExitStack() as stack:

        def start(text: str, count: int = 1) -> list[Member]:
            folders = [tmp_path / str(number) for number in range(count)]
            for folder in folders:
                folder.mkdir()
            endpoint = oauth_server.token_endpoint
            started = [stack.enter_context(Member(PRELUDE + text, endpoint, folder)) for folder in folders]
            assert [one.said() for one in started] == ["ready"] * count
            return started

        yield start


def source_of(server: OAuthServer, folder: Path, **settings: Any) -> TokenSource:
    """Make a source that can only refresh, and whose entry is that of the programs."""
    server.refresh_tokens = True
    endpoint = AuthorizationServer(token_endpoint=server.token_endpoint)
    client = OAuthClient(server.client_id, server.client_secret)
    return TokenSource(endpoint, client, None, store=FileStore(folder / "tokens"), **settings)


def signed_in(server: OAuthServer, *, age: float) -> Token:
    """Give the token of a new sign-in, which its holder takes for that many of its 300 seconds old."""
    return Token.from_response(server.issue_token(), issued_at=time.time() - age)


def stored(source: TokenSource) -> Token:
    """Give what the store has."""
    token = source.settings.store.load(source.key)
    assert token is not None
    return token
