"""`auth.login()` where no browser opens: over SSH, in a container, on a terminal and without one."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from video_oauth_auth import ConfigurationError, LoginRequired
from video_oauth_auth.login import interactive
from video_oauth_auth.testing import FormFiller, OAuthServer

from . import login_runs
from .login_runs import FREE, NAME, PASSWORD, Run, auth_at, eventually, free_port, is_open, parameters

ELSEWHERE = "https://app.example/signed-in"  # a redirect URI that no program on this machine serves
PASTE = "paste it here:"
NOT_THE_ANSWER = "That is not the answer to this sign-in."
WITHOUT_BROWSER = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")

PROGRAM = """
import sys, threading, time
from video_oauth_auth import *

def auth_at(issuer, redirect_uri):
    source = TokenSource(
        issuer, OAuthClient("test-client", "test-client-secret"), AuthorizationCode(redirect_uri, scope="openid"),
        user="ann",
    )
    return OAuth2Auth(source, origins=["http://127.0.0.1:1"])

auth = auth_at(*sys.argv[1:])
"""
SIGNS_IN = "print('signed in:', auth.login(timeout=30).claims['sub'])"


class Terminal:
    """A person at a terminal, on which a program runs.

    Args:
        text: the program; `PROGRAM` stands before it.
        arguments: its arguments.
        variables: further environment variables.
    """

    def __init__(self, text: str, *arguments: str, **variables: str) -> None:
        self._screen = b""
        self._fd, terminal = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name not in WITHOUT_BROWSER}
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM + text, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment | variables,
            preexec_fn=lambda: os.login_tty(terminal),
        )
        os.close(terminal)

    @property
    def text(self) -> str:
        """What stands on the terminal at this moment, what was typed included."""
        while self._fd >= 0 and select.select([self._fd], [], [], 0)[0]:
            try:
                came = os.read(self._fd, 65536)
            except OSError:  # the program has ended
                break
            if not came:
                break
            self._screen += came
        return self._screen.decode(errors="replace").replace("\r\n", "\n")

    def shows(self, text: str, times: int = 1) -> str:
        """Wait until this stands there, and give everything."""
        eventually(lambda: not self.runs or self.text.count(text) >= times, text)
        assert self.text.count(text) >= times
        return self.text

    def url(self) -> str:
        """The URL that is shown."""
        found = login_runs.URL.search(self.shows(PASTE))
        assert found, self.text
        return found[1]

    def types(self, line: str, end: str = "\n") -> None:
        """Type a line, or paste it."""
        os.write(self._fd, (line + end).encode())

    def sends(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def hangs_up(self) -> None:
        """Close the window."""
        os.close(self._fd)
        self._fd = -1

    def ends(self) -> int:
        """Wait until the program has ended; gives its exit status."""
        eventually(lambda: [self.text, not self.runs][1], "the end of the program")
        return self._process.returncode

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._fd >= 0:
            os.close(self._fd)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without any browser."""
    login_runs.machine_without_browser(monkeypatch)
    return monkeypatch


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={NAME: PASSWORD}, redirect_uris=(ELSEWHERE,)) as running:
        yield running


@pytest.fixture
def login() -> Iterator[Callable[..., Run]]:
    yield from login_runs.runs()


@pytest.fixture
def terminal(server: OAuthServer) -> Iterator[Callable[..., Terminal]]:
    """Run a program on a terminal."""
    started: list[Terminal] = []

    def start(text: str = SIGNS_IN, redirect_uri: str = FREE, **variables: str) -> Terminal:
        started.append(Terminal(text, server.issuer, redirect_uri, **variables))
        return started[-1]

    yield start
    for one in started:
        one.__exit__()


def answer_to(url: str) -> str:
    """Sign in on another machine; gives the address that its browser ends at."""
    return FormFiller(NAME, PASSWORD).authorize(url)


# --- on a terminal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirect_uri", [FREE, ELSEWHERE])
def test_a_person_signs_in_on_another_machine_and_pastes_the_address(server, terminal, redirect_uri):
    shell = terminal(redirect_uri=redirect_uri)
    url = shell.url()
    shell.types(answer_to(url))
    assert "signed in: ann" in shell.shows("signed in:")
    assert shell.ends() == 0
    assert server.token_calls[-1].form["redirect_uri"] == parameters(url)["redirect_uri"]


def test_what_stands_on_the_terminal_can_be_read_and_copied(server, terminal):
    shell = terminal()
    url = shell.url()
    redirect_uri = parameters(url)["redirect_uri"]
    lines = shell.text.splitlines()
    assert lines[:4] == ["Sign in with any browser, at", "", f"    {url}", ""]  # the URL is alone on its line
    assert f"({redirect_uri}?...)" in shell.text
    assert shell.text.endswith("paste it here:\n")


def test_the_browser_of_this_machine_may_answer_as_well(server, terminal):
    shell = terminal()
    FormFiller(NAME, PASSWORD).open(shell.url())
    shell.shows("signed in: ann")
    assert shell.ends() == 0


@pytest.mark.parametrize("written", ["  {}  ", "{}\t", "?{query}", "{query}"])
def test_blanks_around_the_address_and_its_query_alone_are_taken(server, terminal, written):
    shell = terminal()
    answer = answer_to(shell.url())
    shell.types(written.format(answer, query=answer.partition("?")[2]))
    shell.shows("signed in: ann")


def test_an_answer_in_the_fragment_can_be_pasted(server, terminal):
    server.always_fragment = True
    shell = terminal(redirect_uri=ELSEWHERE)
    answer = answer_to(shell.url())
    assert "#" in answer
    shell.types(answer)
    shell.shows("signed in: ann")


def test_what_is_not_the_answer_is_told_and_may_be_corrected(server, terminal):
    shell = terminal()
    url = shell.url()
    answer, redirect_uri = answer_to(url), parameters(url)["redirect_uri"]
    wrong = [
        "yes",
        redirect_uri,
        f"{redirect_uri}?code=forged&state=another",
        f"{redirect_uri}?code=forged",
        f"{redirect_uri}?error=access_denied",
        answer.replace("state=", "state=x&state="),
        parameters(answer)["code"],
        "\N{RIGHT-TO-LEFT OVERRIDE}\N{PILE OF POO}",
        "x" * 3000,
        "http://[::1",
    ]
    for number, line in enumerate(wrong, 1):
        shell.types(line)
        shell.shows(NOT_THE_ANSWER, times=number)
    assert server.token_calls == ()
    shell.types("")  # Enter alone is nothing
    shell.types(answer)
    shell.shows("signed in: ann")
    assert shell.text.count(NOT_THE_ANSWER) == len(wrong)


def test_the_url_that_was_shown_is_not_the_answer(terminal):
    shell = terminal()
    url = shell.url()
    shell.types(url)
    shell.shows(NOT_THE_ANSWER)
    shell.types(answer_to(url))
    shell.shows("signed in: ann")


@pytest.mark.parametrize("decoding", ["utf-8:strict", "utf-8:surrogateescape", "ascii:strict"])
def test_what_is_no_text_is_no_answer(terminal, decoding):
    shell = terminal(PYTHONIOENCODING=decoding)
    url = shell.url()
    shell.sends(b"http://127.0.0.1/?code=\xff&state=\xfe\xfd\n")
    shell.types(answer_to(url))
    shell.shows("signed in: ann")


def test_the_end_of_input_is_no_answer(terminal):
    shell = terminal()
    url = shell.url()
    shell.sends(b"\x04")  # Ctrl-D
    shell.types(answer_to(url))
    shell.shows("signed in: ann")


def test_the_person_says_no(terminal):
    shell = terminal("""
try:
    auth.login(timeout=30)
except LoginRequired as error:
    print(error.reason, error)
""")
    shell.types(FormFiller(NAME, PASSWORD, deny=True).authorize(shell.url()))
    shell.shows("\ndenied the sign-in at")


def test_ctrl_c_ends_the_wait_and_closes_the_port(terminal):
    shell = terminal("""
try:
    auth.login(timeout=30)
except KeyboardInterrupt:
    print("interrupted")
    time.sleep(30)
""")
    port = int(re.search(r":(\d+)/", parameters(shell.url())["redirect_uri"])[1])
    assert is_open(port)
    shell.sends(b"\x03")
    shell.shows("interrupted")
    assert not is_open(port)


def test_ctrl_z_and_coming_back_lose_nothing(terminal):
    shell = terminal()
    url = shell.url()
    shell._process.send_signal(signal.SIGSTOP)
    shell.types(answer_to(url))
    shell._process.send_signal(signal.SIGCONT)
    shell.shows("signed in: ann")


def test_a_terminal_that_is_gone_is_waited_without(server, terminal):
    shell = terminal("""
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
auth.login(timeout=30)
""")
    url = shell.url()
    shell.hangs_up()
    assert shell.runs
    FormFiller(NAME, PASSWORD).open(url)
    assert shell.ends() == 0
    assert len(server.token_calls) == 1


def test_where_a_browser_opens_nothing_is_asked_for_and_typed_lines_stay_for_the_program(server, terminal):
    shell = terminal("auth.login(timeout=30)\nprint('the program reads', input())", BROWSER="true")
    shell.shows("A browser window is open")
    assert PASTE not in shell.text
    shell.types("for the program")
    time.sleep(2 * interactive.LOOK)
    assert NOT_THE_ANSWER not in shell.text
    assert shell.runs


def test_where_a_browser_opens_for_a_redirect_uri_elsewhere_the_address_is_pasted(server, terminal):
    shell = terminal(redirect_uri=ELSEWHERE, BROWSER="true")
    shell.types(answer_to(shell.url()))
    shell.shows("signed in: ann")


def test_two_sign_ins_in_a_row_do_not_take_each_others_address(server, terminal):
    shell = terminal("for _ in range(2): print('signed in:', auth.login(timeout=30, force=True).claims['sub'])")
    first = answer_to(shell.url())
    shell.types(first)
    shell.shows(PASTE, times=2)
    shell.types(first)
    shell.shows(NOT_THE_ANSWER)
    shell.types(answer_to(login_runs.URL.findall(shell.text)[1]))
    shell.shows("signed in: ann", times=2)


def test_a_coroutine_takes_what_is_pasted_as_well(terminal):
    shell = terminal("import asyncio\nprint('signed in:', asyncio.run(auth.alogin(timeout=30)).claims['sub'])")
    shell.types(answer_to(shell.url()))
    shell.shows("signed in: ann")


def test_typed_secrets_are_no_business_of_the_library(terminal):
    """What is pasted is echoed by the terminal itself, and settings of the terminal stay as they are."""
    shell = terminal(
        "before = __import__('termios').tcgetattr(0)\n"
        + SIGNS_IN
        + """
print('as before:', before == __import__('termios').tcgetattr(0))"""
    )
    answer = answer_to(shell.url())
    shell.types(answer)
    shell.shows("as before: True")
    assert termios.tcgetattr(shell._fd)
    assert shell.text.count(parameters(answer)["code"]) == 1


# --- without a terminal -------------------------------------------------------------------------------------------


def test_without_a_terminal_nothing_is_read_from_stdin(server, machine):
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stdin, os.fdopen(write_end, "w") as others:
        machine.setattr(sys, "stdin", stdin)
        running = Run(auth_at(server))
        running = Run(auth_at(server), open_browser=False)
        try:
            answer = answer_to(running.url())
            others.write(f"{answer}\n")
            others.flush()
            time.sleep(3 * interactive.LOOK)
            assert running.runs
            assert "paste" not in running.text
            running.sign_in()
            assert running.ends().claims["sub"] == NAME
            assert stdin.readline() == f"{answer}\n"
        finally:
            running.stop()


@pytest.mark.parametrize("stdin", ["none", "closed"])
def test_a_program_without_stdin_shows_the_url_and_waits(server, login, machine, stdin):
    stream = open(os.devnull)  # noqa: SIM115 - it is closed in the next line
    stream.close()
    machine.setattr(sys, "stdin", None if stdin == "none" else stream)
    running = login(auth_at(server), open_browser=False)
    assert "Sign in with a browser on this machine, at" in running.text or running.url()
    running.sign_in()
    assert running.ends().claims["sub"] == NAME


def test_without_browser_and_terminal_an_answer_that_cannot_come_is_refused_at_once(server):
    auth, opened = auth_at(server, ELSEWHERE, user="ann"), []
    with pytest.raises(ConfigurationError, match="begin_login") as caught:
        auth.login(open_browser=opened.append, notify=opened.append)
    assert ELSEWHERE in str(caught.value)
    with pytest.raises(ConfigurationError, match="begin_login"):
        asyncio.run(auth.alogin(open_browser=opened.append, notify=opened.append))
    assert opened == []
    assert server.requests_to("authorization") == ()


def test_in_a_container_without_anything_the_time_out_tells_what_may_be_wrong(server):
    port = free_port()
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM + "auth.login(timeout=1)", server.issuer, f"http://127.0.0.1:{port}/cb"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in WITHOUT_BROWSER},
        timeout=60,
    )
    assert program.returncode == 1
    assert f"It comes back to http://127.0.0.1:{port}/cb." in program.stderr
    assert "nobody signed in within 1 s" in program.stderr
    assert f"redirect_uri=http://127.0.0.1:{port}/cb is not registered for the client test-client" in program.stderr


def test_a_time_out_on_a_terminal_gives_the_terminal_back(terminal):
    shell = terminal("""
try:
    auth.login(timeout=1)
except LoginRequired as error:
    print(error.reason)
print('the program reads', input())""")
    shell.shows("timed_out")
    shell.types("a line")
    shell.shows("the program reads a line")


def test_on_windows_where_a_terminal_cannot_be_looked_at_nobody_is_asked_to_paste(server, login, machine):
    class Console:
        def isatty(self) -> bool:
            return True

    machine.setattr(sys, "stdin", Console())
    machine.setattr(sys, "stderr", Console())
    assert interactive._is_terminal()
    machine.setattr(sys, "platform", "win32")
    assert not interactive._is_terminal()
    with pytest.raises(LoginRequired, match="nobody signed in"):
        auth_at(server).login(open_browser=False, notify=[].append, timeout=0.3)
