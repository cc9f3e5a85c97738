"""`auth.login()` where there is a browser: what the person sees, and what a stranger can do meanwhile."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from video_oauth_auth import (
    BrightcoveAuth,
    ClientCredentials,
    ConfigurationError,
    InvalidResponseError,
    LoginRequired,
    MemoryStore,
    MovingimageAuth,
    OAuth2Auth,
    ResponseError,
    Token,
    TransportError,
)
from video_oauth_auth.login import interactive
from video_oauth_auth.stores import EncryptedStore
from video_oauth_auth.testing import FormFiller, Hold, LoopbackServer, OAuthServer, unavailable, with_members

from . import login_runs
from .broken_stores import WorkingStore
from .conftest import Client
from .login_runs import FREE, NAME, PASSWORD, Run, Tab, auth_at, eventually, free_port, is_open, parameters
from .test_login_receiver import with_ipv6

Login = Callable[..., Run]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without any browser but the one that a test gives."""
    login_runs.machine_without_browser(monkeypatch)
    return monkeypatch


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={NAME: PASSWORD}, refresh_tokens=True) as running:
        yield running


@pytest.fixture
def login() -> Iterator[Login]:
    yield from login_runs.runs()


def is_signed_in(auth: OAuth2Auth, server: LoopbackServer) -> bool:
    return httpx.get(f"{server.api_url}/me", auth=auth).json().get("sub") == NAME


def no_browser(url: str) -> None:
    pytest.fail("a browser was opened")


# --- what a person sees -------------------------------------------------------------------------------------------


def test_a_person_signs_in_with_their_browser_and_the_program_has_their_token(server):
    auth, tab, lines = auth_at(server), Tab(), []
    token = auth.login(open_browser=tab, notify=lines.append)
    assert isinstance(token, Token)
    assert token.claims["sub"] == NAME
    assert is_signed_in(auth, server)
    assert lines[0] == f"A browser window is open: sign in there, at {server.issuer}."
    assert tab.page().status == 200
    assert "You can close this window" in tab.page().text


def test_the_same_without_blocking_the_event_loop(server):
    auth, tab, beats = auth_at(server), Tab(), []

    async def program() -> Token:
        async def beat() -> None:
            while True:
                beats.append(time.monotonic())
                await asyncio.sleep(0.01)

        def opened(url: str) -> None:
            eventually(lambda: len(beats) > 10, "the loop goes on while a person signs in")
            tab.blocking(url)

        heart = asyncio.create_task(beat())
        try:
            return await auth.alogin(open_browser=opened, notify=[].append)
        finally:
            heart.cancel()

    assert asyncio.run(program()).claims["sub"] == NAME
    assert is_signed_in(auth, server)


def test_it_returns_at_once_where_a_usable_sign_in_is_stored(server):
    store = MemoryStore()
    first = auth_at(server, store=store).login(open_browser=Tab(), notify=[].append)
    calls, lines = len(server.requests), []
    auth = auth_at(server, store=store)
    assert auth.login(open_browser=no_browser, notify=lines.append) == first
    assert asyncio.run(auth.alogin(open_browser=no_browser, notify=lines.append)) == first
    assert (len(server.requests), lines) == (calls, [])


def test_a_sign_in_that_can_be_refreshed_is_usable(server):
    server.expires_in = 1
    auth = auth_at(server, renew_ahead=0)
    first = auth.login(open_browser=Tab(), notify=[].append)
    eventually(lambda: auth.source.status().state == "expired", "the token has expired")
    server.expires_in = 300
    second = auth.login(open_browser=no_browser)
    assert second != first
    assert is_signed_in(auth, server)


def test_a_sign_in_that_the_server_has_ended_is_asked_for_again(server):
    server.expires_in = 1
    auth, tab = auth_at(server, renew_ahead=0), Tab()
    auth.login(open_browser=tab, notify=[].append)
    server.revoke_refresh_tokens()
    eventually(lambda: auth.source.status().state == "expired", "the token has expired")
    server.expires_in = 300
    auth.login(open_browser=tab, notify=[].append)
    assert len(tab.urls) == 2
    assert is_signed_in(auth, server)


def test_force_asks_in_any_case(server):
    auth, tab = auth_at(server), Tab()
    first = auth.login(open_browser=tab, notify=[].append)
    second = auth.login(open_browser=tab, notify=[].append, force=True)
    assert len(tab.urls) == 2
    assert second != first
    assert auth.source.get_token() == second


def test_further_parameters_go_to_the_login_page_and_ours_cannot_be_overridden(server):
    auth, tab = auth_at(server), Tab()
    auth.login(open_browser=tab, notify=[].append, login_hint="ann@example.com", ui_locales="de")
    asked = parameters(tab.urls[0])
    assert (asked["login_hint"], asked["ui_locales"]) == ("ann@example.com", "de")


@pytest.mark.parametrize(
    "name",
    [
        "state",
        "code_challenge",
        "nonce",
        "client_id",
        "response_type",
        "redirect_uri",
        "user",
    ],
)
def test_what_the_library_sets_itself_is_no_further_parameter(server, name):
    with pytest.raises(ConfigurationError, match=name):
        auth_at(server).login(open_browser=lambda _: None, notify=[].append, timeout=0.5, **{name: "mine"})


def test_with_a_store_in_memory_it_says_that_the_sign_in_ends_with_the_program(server):
    encrypted = EncryptedStore(MemoryStore(), key=EncryptedStore.new_key())
    for store, said in ((None, True), (encrypted, True), (WorkingStore(), False)):
        lines: list[str] = []
        auth_at(server, store=store).login(open_browser=Tab(), notify=lines.append)
        assert ("until this program ends" in lines[-1]) is said


def test_messages_go_to_stderr_if_nobody_else_takes_them(server, capsys):
    auth_at(server).login(open_browser=Tab())
    told = capsys.readouterr()
    assert "A browser window is open" in told.err
    assert told.out == ""


@pytest.mark.parametrize("how", ["none", "closed", "broken"])
def test_a_program_without_stderr_can_sign_people_in_as_well(server, machine, how):
    stream = io.StringIO()
    if how == "closed":
        stream.close()
    elif how == "broken":
        stream.write = lambda _: (_ for _ in ()).throw(BrokenPipeError())  # type: ignore[method-assign]
    machine.setattr(sys, "stderr", None if how == "none" else stream)
    machine.setattr(sys, "stdin", None)
    assert auth_at(server).login(open_browser=Tab()).claims["sub"] == NAME


def test_now_and_then_it_says_how_much_time_is_left_and_where_to_go_if_no_window_has_opened(server, login, machine):
    machine.setattr(interactive, "TELL_EVERY", 0.3)
    running = login(auth_at(server), timeout=75)
    eventually(lambda: len(running.lines) > 2, "two reminders")
    assert running.lines[0].startswith("A browser window is open")
    assert running.lines[1].startswith("Still waiting for the sign-in, 1:14 left.")
    assert running.url() in running.lines[1]


def test_somebody_with_little_time_is_told_once(server):
    lines: list[str] = []
    with pytest.raises(LoginRequired):
        auth_at(server).login(timeout=0.9, open_browser=lambda _: None, notify=lines.append)
    assert [line.partition(".")[0] for line in lines[1:]] == ["Still waiting for the sign-in, 0:01 left"]


# --- browsers of all kinds ----------------------------------------------------------------------------------------


def test_a_browser_that_returns_only_when_it_is_closed_holds_nothing_up(server):
    closed = threading.Event()

    def opened(url: str) -> None:
        Tab().blocking(url)
        closed.wait(60)

    try:
        assert auth_at(server).login(open_browser=opened, notify=[].append).claims["sub"] == NAME
    finally:
        closed.set()


@pytest.mark.parametrize("failure", ["False", "an exception"])
def test_where_the_browser_does_not_open_the_url_is_shown(server, login, failure):
    def opened(url: str) -> bool:
        if failure == "False":
            return False
        raise OSError("no such browser")

    running = login(auth_at(server), open_browser=opened)
    assert running.url() in running.text
    assert "A browser window is open" not in running.text
    running.sign_in()
    assert running.ends().claims["sub"] == NAME


def test_where_there_is_no_browser_the_url_is_shown_and_may_be_opened_by_hand(server, login):
    running = login(auth_at(server), open_browser=None)
    assert f"It comes back to {running.redirect_uri}." in running.text
    running.sign_in()
    assert running.ends().claims["sub"] == NAME
    assert "paste" not in running.text  # there is no terminal


PROGRAM = """
import os, signal, socket, sys, threading
from urllib.parse import parse_qs, urlsplit
from video_oauth_auth import *

ISSUER, ENDPOINTS = sys.argv[1], sys.argv[2:]

def auth_at(authorization_endpoint=None):
    server = ISSUER
    if authorization_endpoint:
        server = AuthorizationServer(
            token_endpoint="https://login.example.com/token", authorization_endpoint=authorization_endpoint
        )
    client = OAuthClient("test-client", "test-client-secret")
    return OAuth2Auth(TokenSource(server, client, AuthorizationCode(scope="openid")), origins=["http://127.0.0.1:1"])
"""


@pytest.fixture
def script(tmp_path: Path, server: OAuthServer) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program whose BROWSER writes down what it gets, in `browsed` in the same folder."""
    recorder = tmp_path / "recorder"
    recorder.write_text(
        f"#!{sys.executable} -S\nimport json, sys\n"
        f"open({str(tmp_path / 'browsed')!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    recorder.chmod(0o755)
    started: list[subprocess.Popen[str]] = []

    def start(text: str, *arguments: str) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM + text, server.issuer, *arguments],
            env={**os.environ, "BROWSER": str(recorder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(program)
        return program

    yield start
    for one in started:
        one.kill()
        one.communicate()


def browsed(tmp_path: Path) -> list[list[str]]:
    path = tmp_path / "browsed"
    return (
        [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        if path.exists()
        else []
    )


def test_the_browser_of_the_machine_gets_the_url_as_its_only_argument(server, script, tmp_path):
    program = script("print(auth_at().login(timeout=20).claims['sub'])")
    (arguments,) = eventually(lambda: browsed(tmp_path), "the browser is started")
    (url,) = arguments
    FormFiller(NAME, PASSWORD).open(url)
    out, err = program.communicate(timeout=30)
    assert (out.strip(), program.returncode) == (NAME, 0)
    assert err.startswith("A browser window is open: sign in there")
    assert parameters(url)["state"] not in err


HOSTILE = {
    "script": "javascript:alert(1)//login.example.com/",
    "option": "-new-window",
    "long option": "--gpu-launcher=id",
    "user info": "https://login.example.com@evil.example/authorize",
    "no TLS": "http://login.example.com/authorize",
    "file": "file:///etc/passwd",
    "blank": "https://login.example.com/a uthorize",
    "escape": "https://login.example.com/\x1b[2Jauthorize",
    "fragment": "https://login.example.com/authorize#x",
    "relative": "/authorize",
}


def test_no_url_of_a_hostile_authorization_endpoint_reaches_the_browser_of_the_machine(script, tmp_path):
    text = """
for endpoint in ENDPOINTS:
    try:
        auth_at(endpoint).login(timeout=2)
    except OAuthError as error:
        print(type(error).__name__)
"""
    out, err = script(text, *HOSTILE.values()).communicate(timeout=60)
    assert len(out.split()) == len(HOSTILE), err
    assert "LoginRequired" not in out  # which would mean that somebody waited
    assert browsed(tmp_path) == []


@pytest.mark.parametrize("endpoint", HOSTILE.values(), ids=HOSTILE)
def test_metadata_with_a_hostile_authorization_endpoint_open_nothing_and_show_nothing(server, endpoint):
    server.metadata_faults.always(with_members(authorization_endpoint=endpoint))
    lines: list[str] = []
    port = free_port()
    with pytest.raises(InvalidResponseError, match="authorization_endpoint") as caught:
        auth_at(server, f"http://127.0.0.1:{port}/cb").login(open_browser=no_browser, notify=lines.append, timeout=5)
    assert lines == []
    assert "\x1b" not in str(caught.value)
    assert not is_open(port)


@pytest.mark.parametrize("open_browser", [True, False])
def test_a_url_is_opened_and_shown_in_a_form_that_no_shell_takes_for_something_else(server, login, open_browser):
    server.metadata_faults.always(with_members(authorization_endpoint=f"{server.url}/$(id);'x'/%action?a=b&c=%s"))
    running = login(auth_at(server), **({} if open_browser else {"open_browser": False}))
    assert running.url().startswith(f"{server.url}/%24%28id%29%3B%27x%27/%ACtion?a=b&c=%25s&response_type=code&")


def test_where_nobody_can_sign_in_it_says_so(server):
    server.metadata_faults.always(with_members(authorization_endpoint=None))
    with pytest.raises(ConfigurationError, match=f"{server.issuer} names no authorization_endpoint"):
        auth_at(server).login(open_browser=no_browser, timeout=5)


def test_who_asks_in_its_own_name_has_nobody_to_sign_in(server):
    with pytest.raises(ConfigurationError, match="nobody"):
        BrightcoveAuth("client", "the secret of it").login(open_browser=no_browser)
    with pytest.raises(ConfigurationError, match="nobody"):
        MovingimageAuth(username="ann", password="her password").login(open_browser=no_browser)
    with pytest.raises(ConfigurationError, match="nobody"):
        auth_at(server, grant=ClientCredentials()).login(open_browser=no_browser)
    with pytest.raises(ConfigurationError, match="nobody"):
        asyncio.run(auth_at(server, grant=ClientCredentials()).alogin(open_browser=no_browser))
    assert server.requests == ()


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": "5"},
        {"timeout": True},
        {"timeout": None},
        {"open_browser": True},
        {"open_browser": "firefox"},
        {"notify": "stderr"},
    ],
    ids=repr,
)
def test_arguments_that_mean_nothing_are_refused_at_once(server, arguments):
    with pytest.raises(ConfigurationError, match=f"{next(iter(arguments))}="):
        auth_at(server).login(**{"open_browser": no_browser, **arguments})
    assert server.requests == ()


@pytest.mark.parametrize("send", ["GET", "POST"])
def test_inside_a_request_nothing_is_ever_opened_and_the_error_names_what_to_do(client: Client, server, send, capsys):
    auth = auth_at(server)
    with pytest.raises(LoginRequired, match=r"auth\.login\(\)") as caught:
        client.send(auth, send, f"{server.api_url}/me")
    assert caught.value.reason == "never_signed_in"
    assert server.requests_to("authorization") == ()
    assert server.requests_to("api") == ()
    assert capsys.readouterr().err == ""


# --- the way back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "redirect_uri",
    [None, FREE, "http://127.0.0.1:0", "http://127.0.0.1:0/", "http://localhost:0/cb", "http://127.0.0.1:0/a/b/"],
)
def test_a_free_port_is_taken_with_any_path_and_spelling(server, redirect_uri):
    tab = Tab()
    assert auth_at(server, redirect_uri).login(open_browser=tab, notify=[].append).claims["sub"] == NAME
    used = parameters(tab.urls[0])["redirect_uri"]
    expected, parts = urlsplit(redirect_uri or FREE), urlsplit(used)
    assert (parts.scheme, parts.hostname, parts.path) == (expected.scheme, expected.hostname, expected.path)
    assert parts.port
    assert server.token_calls[-1].form["redirect_uri"] == used


@with_ipv6
def test_the_other_loopback_address_does_as_well(server):
    tab = Tab()
    assert auth_at(server, "http://[::1]:0/callback").login(open_browser=tab, notify=[].append).claims["sub"] == NAME
    assert parameters(tab.urls[0])["redirect_uri"].startswith("http://[::1]:")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_registered_port_is_used_as_it_is(server, host):
    tab, redirect_uri = Tab(), f"http://{host}:{free_port()}/registered"
    auth_at(server, redirect_uri).login(open_browser=tab, notify=[].append)
    assert parameters(tab.urls[0])["redirect_uri"] == redirect_uri
    assert server.token_calls[-1].form["redirect_uri"] == redirect_uri


def test_only_this_machine_reaches_the_port(server, login):
    port = login(auth_at(server)).port
    assert is_open(port)
    assert not is_open(port, "127.0.0.2")  # which reaches whatever listens on all addresses
    assert not is_open(port, "::1")
    for name in {socket.gethostbyname(socket.gethostname())} - {"127.0.0.1"}:
        assert not is_open(port, name)


def test_an_answer_in_the_fragment_is_carried_over(server):
    server.always_fragment = True
    auth, tab = auth_at(server), Tab()
    assert auth.login(open_browser=tab, notify=[].append).claims["sub"] == NAME
    assert "Your sign-in has arrived" in tab.page().text


def test_the_page_shows_nothing_of_the_answer(server):
    tab = Tab()
    auth_at(server).login(open_browser=tab, notify=[].append)
    page = tab.page()
    assert page.url.startswith(parameters(tab.urls[0])["redirect_uri"])
    for value in parameters(page.url).values():
        assert value not in page.text
    assert "<script" not in page.text


def forged(running: Run) -> dict[str, bytes]:
    """What others may send to the port while the person signs in."""
    state, port, path = parameters(running.url())["state"], running.port, "/callback"
    head = f"Host: 127.0.0.1:{port}\r\n\r\n"
    right = f"code=forged&state={state}"
    return {
        "no state": f"GET {path}?code=forged HTTP/1.1\r\n{head}",
        "another state": f"GET {path}?code=forged&state={state[:-1]}~ HTTP/1.1\r\n{head}",
        "an error without a state": f"GET {path}?error=access_denied HTTP/1.1\r\n{head}",
        "an error with another state": f"GET {path}?error=access_denied&state=x HTTP/1.1\r\n{head}",
        "two states": f"GET {path}?code=forged&state=x&state={state} HTTP/1.1\r\n{head}",
        "two codes": f"GET {path}?code=forged&{right} HTTP/1.1\r\n{head}",
        "an empty state": f"GET {path}?code=forged&state= HTTP/1.1\r\n{head}",
        "nothing": f"GET {path} HTTP/1.1\r\n{head}",
        "another path": f"GET /?{right} HTTP/1.1\r\n{head}",
        "a longer path": f"GET {path}/?{right} HTTP/1.1\r\n{head}",
        "another method": f"POST {path}?{right} HTTP/1.1\r\n{head}",
        "another host": f"GET {path}?{right} HTTP/1.1\r\nHost: rebound.example:{port}\r\n\r\n",
        "the host without its port": f"GET {path}?{right} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "no host": f"GET {path}?{right} HTTP/1.1\r\n\r\n",
        "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    }


def test_what_others_send_to_the_port_neither_completes_nor_aborts_the_sign_in(server, login):
    running = login(auth_at(server))
    for what, sent in forged(running).items():
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(sent.encode("latin-1"))
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        assert "Your sign-in has arrived" not in answer, what
        assert answer.startswith("HTTP/1.1 4") or what == "nothing", what
        assert running.runs, what
    assert server.token_calls == ()
    assert "Your sign-in has arrived" in running.sign_in().text
    assert running.ends().claims["sub"] == NAME
    assert len(server.token_calls) == 1


def test_idle_and_slow_connections_do_not_hold_up_the_person(server, login):
    running = login(auth_at(server))
    idle = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(60)]
    try:
        for connection in idle[:20]:
            connection.sendall(b"GET /callback?code=")
        started_at = time.monotonic()
        running.sign_in()
        assert running.ends().claims["sub"] == NAME
        assert time.monotonic() - started_at < 8  # which is less than any of them was given
    finally:
        for connection in idle:
            connection.close()


# --- how it can end -----------------------------------------------------------------------------------------------


def test_the_person_says_no(server):
    tab = Tab(deny=True)
    port = free_port()
    auth = auth_at(server, f"http://127.0.0.1:{port}/cb")
    with pytest.raises(LoginRequired, match="refused") as caught:
        auth.login(open_browser=tab, notify=[].append)
    assert caught.value.reason == "denied"
    assert "The sign-in was not completed" in tab.page().text
    assert not is_open(port)
    assert server.token_calls == ()


def test_the_server_says_no_with_an_error_of_its_own(server):
    tab = Tab()
    server.grant_types = ("refresh_token",)
    with pytest.raises(ResponseError) as caught:
        auth_at(server).login(open_browser=tab, notify=[].append)
    assert caught.value.error == "unauthorized_client"
    assert "The sign-in was not completed" in tab.page().text


def test_a_browser_that_never_comes_back_ends_in_an_error_that_names_the_likely_causes(server):
    port = free_port()
    auth = auth_at(server, f"http://127.0.0.1:{port}/callback", user="ann@example.com")
    with pytest.raises(LoginRequired) as caught:
        auth.login(open_browser=lambda _: None, notify=[].append, timeout=0.5)
    assert (caught.value.reason, caught.value.user) == ("timed_out", "ann@example.com")
    told = str(caught.value)
    for part in (
        "within 0.5 s",
        "page may have been closed",
        "password was wrong",
        f"redirect_uri=http://127.0.0.1:{port}/callback is not registered",
        server.client_id,
    ):
        assert part in told
    assert not is_open(port)


def test_a_set_event_ends_the_wait(server, login):
    running = login(auth_at(server))
    port = running.port
    running.cancel.set()
    with pytest.raises(LoginRequired, match="cancelled") as caught:
        running.ends()
    assert caught.value.reason == "cancelled"
    assert not is_open(port)


def test_an_event_that_is_set_already_opens_nothing(server, login):
    cancel = threading.Event()
    cancel.set()
    running = login(auth_at(server), cancel=cancel)
    with pytest.raises(LoginRequired, match="cancelled"):
        running.ends()
    assert (running.opened, running.lines) == ([], [])


def test_a_cancelled_task_closes_the_port_and_ends_the_thread(server):
    opened: list[str] = []

    async def program() -> None:
        auth = auth_at(server)
        task = asyncio.create_task(auth.alogin(open_browser=opened.append, notify=[].append))
        while not opened:
            await asyncio.sleep(0.01)
        assert is_open(port_of(opened[0]))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(program())
    eventually(lambda: not is_open(port_of(opened[0])), "the port is closed", within=5)
    login_runs.no_thread_is_left()


def test_a_task_that_is_cancelled_before_the_browser_opens_never_opens_it(server):
    server.metadata_faults.add(Hold())

    async def program() -> None:
        auth = auth_at(server)
        task = asyncio.create_task(auth.alogin(open_browser=no_browser, notify=lambda _: pytest.fail("it spoke")))
        while not server.held:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(program())
    server.release()
    login_runs.no_thread_is_left()
    assert "video-oauth-auth-browser" not in [thread.name for thread in threading.enumerate()]


def port_of(url: str) -> int:
    port = urlsplit(parameters(url)["redirect_uri"]).port
    assert port
    return port


def test_ctrl_c_closes_the_port(script, tmp_path):
    program = script("""
try:
    auth_at().login(timeout=60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin = open(0)
    threading.Event().wait(30)
""")
    ((url,),) = eventually(lambda: browsed(tmp_path), "the browser is started")
    assert is_open(port_of(url))
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "interrupted\n"
    assert not is_open(port_of(url))  # while the program goes on


def test_a_port_in_use_is_named_before_anything_is_opened(server):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1 is in use"):
            auth_at(server, f"http://127.0.0.1:{port}/callback").login(open_browser=no_browser)
    assert server.requests == ()


@pytest.mark.parametrize("when", ["code", "metadata"])
def test_where_the_server_fails_nobody_is_signed_in_and_the_port_is_closed(server, when):
    faults = {"code": server.token_faults, "metadata": server.metadata_faults}[when]
    faults.always(unavailable())
    port = free_port()
    auth = auth_at(server, f"http://127.0.0.1:{port}/callback")
    with pytest.raises(TransportError) as caught:
        auth.login(open_browser=Tab(), notify=[].append)
    assert caught.value.status == 503
    assert not is_open(port)
    assert auth.source.peek() is None
    faults.clear()
    assert auth.login(open_browser=Tab(), notify=[].append).claims["sub"] == NAME


def test_a_notify_that_fails_ends_the_sign_in_and_closes_the_port(server, login):
    def broken(line: str) -> None:
        raise RuntimeError("the window has gone")

    port = free_port()
    with pytest.raises(RuntimeError, match="the window has gone"):
        auth_at(server, f"http://127.0.0.1:{port}/cb").login(open_browser=lambda _: None, notify=broken)
    assert not is_open(port)


def test_several_logins_at_once_do_not_take_each_others_answers(server):
    auths = [auth_at(server) for _ in range(6)]
    tabs = [Tab() for _ in auths]
    found: list[Token] = []
    threads = [
        threading.Thread(target=lambda auth=auth, tab=tab: found.append(auth.login(open_browser=tab, notify=[].append)))
        for auth, tab in zip(auths, tabs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({token.access_token for token in found}) == len(auths)
    assert len({parameters(tab.urls[0])["state"] for tab in tabs}) == len(auths)


def test_a_browser_that_belongs_to_the_program_and_answers_at_once_is_one(server):
    tab = Tab()
    assert auth_at(server).login(open_browser=tab.blocking, notify=[].append).claims["sub"] == NAME
    assert "Your sign-in has arrived" in tab.page().text


# --- secrets ------------------------------------------------------------------------------------------------------


def test_nothing_secret_is_said_to_the_person_or_logged(server, caplog):
    caplog.set_level("DEBUG")
    lines: list[str] = []
    auth = auth_at(server)
    auth.login(open_browser=Tab(), notify=lines.append)
    text = "\n".join([*lines, caplog.text, repr(auth), repr(auth.source), repr(auth.source.peek())])
    assert [secret for secret in server.secrets() if secret in text] == []


def test_of_a_url_that_has_to_be_shown_no_more_comes_out_than_a_browser_has_to_know(server, login):
    running = login(auth_at(server), open_browser=False)
    running.sign_in()
    running.ends()
    shown = parameters(running.shown())
    assert "code_verifier" not in shown
    secrets = server.secrets() - {shown["state"], shown["nonce"]}
    assert [secret for secret in secrets if secret in running.text] == []
    assert shown["state"] not in running.text.replace(running.shown(), "")


def test_threads_that_need_the_same_sign_in_open_one_window(server):
    auth, tab = auth_at(server), Tab()
    with ThreadPoolExecutor(5) as pool:
        logins = [pool.submit(auth.login, open_browser=tab, notify=[].append, timeout=20) for _ in range(5)]
        tokens = {login.result(timeout=30).access_token for login in logins}
    assert len(tab.urls) == len(tokens) == 1


def test_a_first_sign_in_is_no_failed_renewal(server):
    events: list[object] = []
    auth_at(server, on_event=events.append).login(open_browser=Tab(), notify=[].append)
    assert [type(event).__name__ for event in events] == ["TokenRenewed"]


def test_an_https_redirect_uri_needs_no_user_where_one_person_is_asked(server):
    """It fails later, for want of a terminal to paste the answer into; not for want of a name."""
    with pytest.raises(ConfigurationError, match="no terminal"):
        auth_at(server, redirect_uri="https://app.example/callback").login(notify=[].append)
