"""The pages about moving from other libraries: both columns run, and what is said about either is so."""

from __future__ import annotations

import builtins
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

from video_oauth_auth import OAuth2Auth

from .world import PASSWORD, USER, WEB_CALLBACK, World, world

HOW_TO = Path(__file__).parent.parent / "docs" / "how_to"
PAGES = sorted(path.stem.removeprefix("moving_from_") for path in HOW_TO.glob("moving_from_*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAIR = re.compile(
    r'^<div class="grid" markdown>\n<div markdown>\n\n\*\*Before\*\*\n\n```python\n(.*?)^```\n\n</div>\n'
    r"<div markdown>\n\n\*\*After\*\*\n\n```python\n(.*?)^```\n\n</div>\n</div>$",
    re.MULTILINE | re.DOTALL,
)


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


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the other libraries to this test: what they log (secrets too, at DEBUG), and what they hold globally."""
    for name in ("httpx_auth", "authlib", "requests_oauthlib", "oauthlib"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)
    monkeypatch.setattr(httpx_auth.OAuth2, "token_cache", httpx_auth.TokenMemoryCache())


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    for name in ("HOME", "LOCALAPPDATA", "XDG_STATE_HOME"):  # where FileStore keeps tokens
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    isolate(monkeypatch)
    with world() as hosts:
        server = hosts.example
        server.users, server.refresh_tokens = {USER: PASSWORD}, True
        server.token_endpoint_auth_methods = ("client_secret_basic", "client_secret_post")
        server.redirect_uris = (WEB_CALLBACK,)
        hosts.brightcove.add_video("123", "Summer")
        hosts.movingimage.add_video_manager("Films")
        for prefix in ("", "BRIGHTCOVE_", "MOVINGIMAGE_"):
            monkeypatch.setenv(f"{prefix}CLIENT_ID", server.client_id)
            monkeypatch.setenv(f"{prefix}CLIENT_SECRET", server.client_secret)
        made = Stage(hosts, capsys)
        monkeypatch.setattr(webbrowser, "open", made.open)
        monkeypatch.setattr(webbrowser, "get", lambda *_: SimpleNamespace(open=made.open))
        monkeypatch.setattr(builtins, "input", made.paste)
        yield made


def last_line(printed: str) -> str:
    """What a program found out; before that it may have talked with a person."""
    return printed.splitlines()[-1]


@pytest.mark.parametrize(("page", "number"), [(page, number) for page in PAGES for number in range(len(pairs(page)))])
def test_both_columns_find_out_the_same(page: str, number: int, stage: Stage) -> None:
    before, after = pairs(page)[number]
    found = last_line(stage.run(before)[0])
    assert last_line(stage.run(after)[0]) == found


@pytest.mark.parametrize("page", PAGES)
def test_the_short_form_on_a_page_makes_an_auth_object(page: str, stage: Stage) -> None:
    short_forms = [code for code in singles(page) if code not in take_along(page)]
    assert all(isinstance(stage.run(code)[1]["auth"], OAuth2Auth) for code in short_forms)
    assert len(take_along(page)) == 1


def take_along(page: str) -> list[str]:
    """The program of a page that reads the tokens that the program before it has stored."""
    return [code for code in singles(page) if "tokens.json" in code]


@pytest.mark.parametrize("page", PAGES)
def test_stored_tokens_are_taken_along_and_nobody_signs_in_again(page: str, stage: Stage) -> None:
    (sign_in,) = [before for before, _ in pairs(page) if "tokens.json" in before]
    (code,) = take_along(page)
    server = stage.hosts.movingimage if "movingimage" in code else stage.server
    found = last_line(stage.run(sign_in)[0])
    assert stage.opened == 1
    server.revoke_access_tokens()  # so that the refresh token is needed
    for _ in range(2):  # the second time it is the store that has them
        assert last_line(stage.run(code)[0]) == found
    assert stage.opened == 1
    assert server.reuse_detected == 0
