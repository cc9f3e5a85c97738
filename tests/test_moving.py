"""The pages about moving from other libraries: both columns run, and what is said about either is so."""

from __future__ import annotations

import builtins
import json
import logging
import re
import socket
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx_auth
import pytest

from .world import PASSWORD, USER, World, hosts_lead_to, world

HOW_TO = Path(__file__).parent.parent / "docs" / "how_to"
PAGES = sorted(path.stem.removeprefix("moving_from_") for path in HOW_TO.glob("moving_from_*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAIR = re.compile(
    r'^<div class="grid" markdown>\n<div markdown>\n\n\*\*Before\*\*\n\n```python\n(.*?)^```\n\n</div>\n'
    r"<div markdown>\n\n\*\*After\*\*\n\n```python\n(.*?)^```\n\n</div>\n</div>$",
    re.MULTILINE | re.DOTALL,
)
OTHERS = ("httpx_auth", "authlib", "requests_oauthlib", "oauthlib")
STORAGE, FOREIGN = "https://storage.example.com", "https://foreign.example.com"


def text_of(page: str) -> str:
    return (HOW_TO / f"moving_from_{page}.md").read_text()


def pairs(page: str) -> list[tuple[str, str]]:
    """The programs of a page that stand side by side."""
    return PAIR.findall(text_of(page))


def singles(page: str) -> list[str]:
    """The other programs of a page."""
    paired = {code for pair in pairs(page) for code in pair}
    return [code for code in BLOCK.findall(text_of(page)) if code not in paired]


class Stage:
    """Servers at the names that the pages use, a person, and what the programs printed."""

    def __init__(self, hosts: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.hosts, self.server, self.opened = hosts, hosts.example, 0
        self._capsys = capsys
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def run(self, code: str) -> tuple[str, dict[str, Any]]:
        """Run a program of a page; give what it printed, and its names."""
        names: dict[str, Any] = {"__name__": "__main__"}
        self._capsys.readouterr()
        for port in ("5000", "8400"):
            code = code.replace(port, str(self.port))
        exec(compile(code, "<page>", "exec"), names)
        return self._capsys.readouterr().out, names

    def open(self, url: str, new: int = 0) -> bool:
        self.opened += 1
        return self.hosts.person.open(url)

    def paste(self, asked: str) -> str:
        """Do what a person does who is asked to open a URL and to paste what it ends at."""
        self.opened += 1
        return self.hosts.person.visit(re.findall(r"https://\S+", self._capsys.readouterr().out + asked)[-1])


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    for name in ("HOME", "LOCALAPPDATA", "XDG_STATE_HOME"):  # where FileStore keeps tokens
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in OTHERS:  # they log secrets at DEBUG, which the canary would take for ours
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)
    monkeypatch.setattr(httpx_auth.OAuth2, "token_cache", httpx_auth.TokenMemoryCache())
    with world() as hosts:
        server = hosts.example
        server.users, server.refresh_tokens = {USER: PASSWORD}, True
        server.token_endpoint_auth_methods = ("client_secret_basic", "client_secret_post")
        hosts.brightcove.add_video("123", "Summer")
        for name, value in {**hosts.environment(), "CLIENT_ID": server.client_id}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLIENT_SECRET", server.client_secret)
        made = Stage(hosts, capsys)
        monkeypatch.setattr(webbrowser, "open", made.open)
        monkeypatch.setattr(webbrowser, "get", lambda *_: SimpleNamespace(open=made.open))
        monkeypatch.setattr(builtins, "input", made.paste)
        with hosts_lead_to({STORAGE: server.storage_url, FOREIGN: server.foreign_url}):
            yield made


@pytest.mark.parametrize(("page", "number"), [(page, number) for page in PAGES for number in range(len(pairs(page)))])
def test_both_columns_print_the_same(page: str, number: int, stage: Stage) -> None:
    before, after = pairs(page)[number]
    printed, _ = stage.run(before)
    assert printed
    assert stage.run(after)[0] == printed


@pytest.mark.parametrize("page", PAGES)
def test_stored_tokens_are_taken_along_and_nobody_signs_in_again(page: str, stage: Stage) -> None:
    (sign_in,) = [before for before, _ in pairs(page) if "tokens.json" in before]
    (take_along,) = singles(page)
    printed, _ = stage.run(sign_in)
    assert stage.opened == 1
    assert json.loads(Path("tokens.json").read_text())
    stage.server.revoke_access_tokens()  # so that the refresh token is needed
    assert stage.run(take_along)[0] == printed
    assert stage.opened == 1
    assert stage.server.reuse_detected == 0
    Path("tokens.json").write_text("{}")  # what is stored counts from now on
