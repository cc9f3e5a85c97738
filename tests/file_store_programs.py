"""Programs around a FileStore, for what needs processes of their own: signals, forks, limits, other users."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOBODY = 65534

PRELUDE = """
import json, os, signal, sys, threading, time
from pathlib import Path

from video_oauth_auth import StoreError, StoreKey, Token
from video_oauth_auth.stores import FileStore

FOLDER = Path(sys.argv[1])
store = FileStore(FOLDER)


def key_of(name):
    return StoreKey(id=f"v1-{name}", issuer="https://login.example.com", client_id="client", user=name)


def token_of(number):
    return Token(access_token=f"access-{number}", issued_at=float(number), extra={"filled": "x" * 4000, "n": number})


def save(key, token, timeout=30):
    with store.transaction(key, timeout=timeout) as entry:
        entry.save(token)


def is_whole(token):
    n = int(token.access_token.partition("-")[2])
    return (token.issued_at, token.extra) == (float(n), {"filled": "x" * 4000, "n": n})


def give(value):
    print(json.dumps(value), flush=True)
"""


def start(text: str, folder: Path, *arguments: str, as_nobody: bool = False) -> subprocess.Popen[str]:
    """Start a program that has a store in `folder`; `as_nobody` takes the rights of root away, where it has them."""
    prelude = textwrap.dedent(PRELUDE)
    if as_nobody and os.geteuid() == 0:
        prelude += f"os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY})\n"
        prelude += f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n"
    return subprocess.Popen(
        [sys.executable, "-c", prelude + textwrap.dedent(text), str(folder), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], within: float = 60.0) -> Any:
    """Wait until a program has ended, well, and give the last value that it gave."""
    try:
        output, errors = process.communicate(timeout=within)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1]) if output else None


def run(text: str, folder: Path, *arguments: str, as_nobody: bool = False, within: float = 60.0) -> Any:
    """Run a program to its end and give the last value that it gave."""
    return ended(start(text, folder, *arguments, as_nobody=as_nobody), within)


@contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """Make a folder that a program without rights may use; pytest's own folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="file-store-"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder
    finally:
        shutil.rmtree(folder)
