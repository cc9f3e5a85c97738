"""The pages about moving from other libraries: both columns run, and what is said about either is so."""

from __future__ import annotations

import builtins
import json
import logging
import os
import re
import socket
import threading
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import httpx_auth
import pytest
from httpx_auth._oauth2.authentication_responses_server import FixedHttpServer

from video_oauth_auth import AuthorizationCode, LoginRequired, OAuth2Auth, OAuthClient, TokenSource
from video_oauth_auth.testing import Delay, Hold

from .world import PASSWORD, USER, WEB_CALLBACK, World, world

HOW_TO = Path(__file__).parent.parent / "docs" / "how_to"
PAGES = sorted(path.stem.removeprefix("moving_from_") for path in HOW_TO.glob("moving_from_*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAIR = re.compile(
    r'^<div class="grid" markdown>\n<div markdown>\n\n\*\*Before\*\*\n\n```python\n(.*?)^```\n\n</div>\n'
    r"<div markdown>\n\n\*\*After\*\*\n\n```python\n(.*?)^```\n\n</div>\n</div>$",
    re.MULTILINE | re.DOTALL,
)
ME = "https://api.example.com/me"


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
        self.asked_addresses: list[str] = []
        self._capsys = capsys
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def run(self, code: str) -> tuple[str, dict[str, Any]]:
        """Run a program of a page; give what it printed, and its names."""
        names: dict[str, Any] = {"__name__": "__main__"}
        self._capsys.readouterr()
        code = re.sub("5000|8400", str(self.port), code)  # which may be taken on this machine
        exec(compile(code, "<page>", "exec"), names)
        return self._capsys.readouterr().out, names

    def open(self, url: str, new: int = 0) -> bool:
        self.opened += 1
        return self.hosts.person.open(url)

    def bind(self, server: Any) -> None:
        """Let the server of httpx-auth listen on loopback only, and remember what it wanted."""
        address, port = server.server_address
        self.asked_addresses.append(address)
        server.server_address = ("127.0.0.1", port)
        HTTPServer.server_bind(server)

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
        monkeypatch.setattr(FixedHttpServer, "server_bind", lambda server: made.bind(server), raising=False)
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
    (code,) = take_along(page)
    server = stage.hosts.movingimage if "movingimage" in code else stage.server
    printed, names = stage.run(sign_in(page)[0])
    found = last_line(printed)
    assert stage.opened == 1
    if page == "httpx_auth":
        assert list(json.loads(Path("tokens.json").read_text())) == [names["auth"].state]
    server.revoke_access_tokens()  # so that the refresh token is needed
    for _ in range(2):  # the second time it is the store that has them
        assert last_line(stage.run(code)[0]) == found
    assert stage.opened == 1
    assert server.reuse_detected == 0


# --- what is said about sign-ins, and about the files that they leave ----------------------------------------------


def sign_in(page: str) -> tuple[str, str]:
    """The two programs of a page in which a person signs in."""
    (pair,) = [pair for pair in pairs(page) if "tokens.json" in pair[0]]
    return pair


def kept_modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.rglob("*.json")}


@pytest.mark.parametrize("page", PAGES)
def test_the_file_of_the_program_before_can_be_read_by_all_and_the_stores_only_by_its_user(
    page: str, stage: Stage, tmp_path: Path
) -> None:
    umask = os.umask(0o022)
    try:
        stage.run(sign_in(page)[0])
        assert kept_modes(tmp_path) == {0o644}
        (tmp_path / "tokens.json").unlink()
        stage.run(sign_in(page)[1])
        assert kept_modes(tmp_path) == {0o600}
    finally:
        os.umask(umask)


def test_the_client_secret_of_httpx_auth_stands_in_the_url_that_the_browser_opens(stage: Stage) -> None:
    shown = []
    for code in sign_in("httpx_auth"):
        before = len(stage.server.requests_to("authorization"))
        stage.run(code)
        asked = stage.server.requests_to("authorization")[before:]
        shown.append(any(stage.server.client_secret in request.query for request in asked))
    assert shown == [True, False]


def test_httpx_auth_shows_the_client_secret_and_the_code_in_its_log(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    logger = logging.getLogger("httpx_auth._oauth2.authentication_responses_server")
    monkeypatch.setattr(logger, "handle", lambda record: shown.append(record.getMessage()))
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    stage.run(sign_in("httpx_auth")[0])
    for secret in (stage.server.client_secret, stage.server.token_calls[0].form["code"]):
        assert any(secret in text for text in shown)


@pytest.mark.parametrize("page", ["httpx_auth", "authlib"])
def test_the_endpoints_are_enough_for_a_sign_in_if_the_issuer_is_named_too(page: str, stage: Stage) -> None:
    (server,) = re.findall(r"`(AuthorizationServer\(issuer=[^`]*)`", text_of(page))
    code = sign_in(page)[1].replace('"https://login.example.com",  # the issuer', f"{server},")
    stage.run(f"from video_oauth_auth import AuthorizationServer\n{code}")
    assert not stage.server.requests_to("metadata")


def test_httpx_auth_listens_on_every_address_of_the_machine(stage: Stage) -> None:
    stage.run(sign_in("httpx_auth")[0])
    assert stage.asked_addresses == [""]


def test_httpx_auth_redeems_the_code_of_a_forged_callback(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = f"http://localhost:{stage.port}/?code=forged&state=forged"
    threads: list[threading.Thread] = []

    def open_forged(url: str, new: int = 0) -> bool:
        threads.append(threading.Thread(target=httpx.get, args=(forged,), kwargs={"trust_env": False}))
        threads[-1].start()
        return True

    monkeypatch.setattr(webbrowser, "get", lambda *_: SimpleNamespace(open=open_forged))
    with pytest.raises(httpx_auth.InvalidGrantRequest):
        stage.run(sign_in("httpx_auth")[0])
    assert [call.form["code"] for call in stage.server.token_calls] == ["forged"]

    def open_both(url: str, new: int = 0) -> bool:
        assert httpx.get(forged, trust_env=False).status_code == 400
        return stage.open(url)

    monkeypatch.setattr(webbrowser, "open", open_both)
    assert USER in stage.run(sign_in("httpx_auth")[1])[0]
    assert "forged" not in [call.form["code"] for call in stage.server.token_calls[1:]]
    for thread in threads:
        thread.join(10)


def test_httpx_auth_opens_a_browser_for_each_thread_but_one_that_meets_an_expired_token(stage: Stage) -> None:
    stage.server.expires_in = 20  # which httpx-auth takes for expired, being less than its margin
    _, names = stage.run(sign_in("httpx_auth")[0])
    stage.server.expires_in = 300
    stage.server.token_faults.add(Delay(1.0))  # time for the other threads to find no token
    assert at_once(5, names["auth"]) == [200] * 5
    assert stage.opened == 1 + 4
    assert [call.form["grant_type"] for call in stage.server.token_calls].count("refresh_token") == 1

    _, names = stage.run(sign_in("httpx_auth")[1])
    stage.opened = 0
    stage.server.revoke_access_tokens()
    calls = len(stage.server.token_calls)
    assert at_once(5, names["auth"]) == [200] * 5
    assert stage.opened == 0
    assert len(stage.server.token_calls) == calls + 1


def at_once(number: int, auth: Any) -> list[int]:
    barrier = threading.Barrier(number)

    def one(_: int) -> int:
        barrier.wait(30)
        return httpx.get(ME, auth=auth).status_code

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_httpx_auth_opens_a_browser_after_a_refresh_that_brought_no_new_refresh_token(stage: Stage) -> None:
    stage.server.rotate, stage.server.expires_in = False, 20
    for code, opened in zip(sign_in("httpx_auth"), (2, 1), strict=True):
        stage.opened = 0
        _, names = stage.run(code)
        for _ in range(2):
            stage.server.revoke_access_tokens()
            httpx.get(ME, auth=names["auth"])
        assert stage.opened == opened


def test_without_a_token_a_request_raises_and_opens_no_browser(stage: Stage) -> None:
    _, names = stage.run(sign_in("httpx_auth")[1])
    names["auth"].source.reset()
    with pytest.raises(LoginRequired):
        httpx.get(ME, auth=names["auth"])
    assert stage.opened == 1


def test_the_hand_written_program_loses_a_refresh_token_that_does_not_come_again(stage: Stage) -> None:
    server = stage.hosts.movingimage
    server.rotate, server.expires_in = False, 20
    _, names = stage.run(sign_in("hand_written")[0])
    videos = "https://api.video-cdn.net/v1/vms"
    assert names["get"](videos).status_code == 200
    with pytest.raises(KeyError):
        names["get"](videos)


def test_threads_of_the_hand_written_program_spend_the_same_refresh_token(stage: Stage) -> None:
    server = stage.hosts.movingimage
    server.expires_in = 20
    _, names = stage.run(sign_in("hand_written")[0])
    server.token_faults.add(Hold(until=5, when="after"), times=5)
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(names["get"], "https://api.video-cdn.net/v1/vms") for _ in range(5)]
        failed = [call.exception() is not None or call.result().status_code != 200 for call in calls]
    assert all(failed)
    assert server.reuse_detected == 4


def test_a_bare_refresh_token_is_enough(stage: Stage) -> None:
    (told,) = re.findall(r"`token=(\{[^`]*\})`", text_of("hand_written"))
    refresh_token = stage.server.issue_token(subject=USER)["refresh_token"]
    token = eval(told, {"refresh_token": refresh_token})
    client = OAuthClient(stage.server.client_id, stage.server.client_secret)
    source = TokenSource(stage.server.authorization_server, client, AuthorizationCode(), token=token)
    auth = OAuth2Auth(source, origins=[stage.server.api_url])
    assert httpx.get(f"{stage.server.api_url}/me", auth=auth).json()["sub"] == USER
