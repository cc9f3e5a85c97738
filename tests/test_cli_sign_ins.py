"""`video-oauth-auth login`, `logout` and `token`: tokens for people and for curl, and what each exit status means."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from video_oauth_auth import BrightcoveAuth, Token
from video_oauth_auth.testing import Drop, FormFiller, Hold, OAuthServer, json_answer, unavailable

from . import command_line
from .command_line import SECRET_VARIABLE, Home, brightcove, check_silent, generic
from .login_runs import eventually

home = command_line.home

NAME, PASSWORD = "ann", "an invented password"
PATIENCE = 30.0

ISSUER = ("token", "--issuer", "https://login.example.com", "--client-id", "app")

BROWSER = f"""
import sys
sys.path[:0] = {sys.path!r}
from video_oauth_auth.testing import FormFiller
FormFiller({NAME!r}, open(sys.argv[1]).read()).open(sys.argv[2])
"""


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthServer]:
    with OAuthServer(
        client_secret="an-invented-client-secret", users={NAME: PASSWORD}, refresh_tokens=True, device_interval=0.1
    ) as running:
        monkeypatch.setenv(SECRET_VARIABLE, running.client_secret)
        yield running


@pytest.fixture
def browser(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann's browser."""
    program, password = home.path / "browser.py", home.path / "password"
    program.write_text(BROWSER)
    password.write_text(PASSWORD)
    command = shlex.join([sys.executable, str(program), str(password)]) + " %s"
    monkeypatch.setenv("BROWSER", command)
    home.environment["BROWSER"] = command


@pytest.fixture
def machine(home: Home, server: OAuthServer) -> OAuthServer:
    """A profile without a person: acme."""
    home.profiles(acme=brightcove(server))
    return server


@pytest.fixture
def people(home: Home, server: OAuthServer) -> OAuthServer:
    """A profile for people: acme."""
    home.profiles(acme=generic(server))
    return server


def is_live(server: OAuthServer, access_token: str) -> bool:
    headers = {"Authorization": f"Bearer {access_token}"}
    return requests.get(f"{server.api_url}/me", headers=headers, timeout=10).status_code == 200


# --- token --------------------------------------------------------------------------------------------------------


def test_a_token_is_all_that_is_printed(home, machine):
    result = home.run("token", "acme")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    assert is_live(machine, result.stdout.removesuffix("\n"))


def test_the_token_is_shared_with_scripts_and_fetched_once(home, machine):
    first = home.run("token", "acme").stdout
    assert home.run("token", "acme").stdout == first
    assert BrightcoveAuth.from_profile("acme").source.get_token().access_token == first.strip()
    assert len(machine.token_calls) == 1


def test_curl_gets_a_token_from_the_shell(home, machine):
    command = shlex.join(command_line.COMMAND)
    program = f'printf %s "Bearer $({command} token acme)"'
    header = subprocess.run(["/bin/sh", "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert is_live(machine, header.stdout.removeprefix("Bearer "))
    assert header.stderr == ""


def test_json_tells_type_scope_and_end(home, machine):
    result = home.run("token", "acme", "--json")
    told = json.loads(result.stdout)
    assert set(told) == {"access_token", "token_type", "expires_at", "scope"}
    assert is_live(machine, told["access_token"])
    assert time.time() + 250 < told["expires_at"] < time.time() + 301


def test_a_platform_without_a_profile_uses_its_environment_variables(home, server, monkeypatch):
    monkeypatch.setenv("CIDAAS_ISSUER", server.issuer)
    monkeypatch.setenv("CIDAAS_CLIENT_ID", server.client_id)
    monkeypatch.setenv("CIDAAS_CLIENT_SECRET", server.client_secret)
    assert is_live(server, home.run("token", "cidaas").stdout.strip())


def test_a_profile_that_is_called_like_a_platform_wins(home, server):
    home.profiles(brightcove=brightcove(server))
    assert is_live(server, home.run("token", "brightcove").stdout.strip())


def test_a_platform_whose_variables_are_missing_names_them(home):
    result = home.run("token", "brightcove")
    assert result.exit_code == 2
    assert "BRIGHTCOVE_CLIENT_ID, BRIGHTCOVE_CLIENT_SECRET" in result.stderr


def test_any_server_can_be_named_by_its_issuer(home, server):
    result = home.run(
        "token", "--issuer", server.issuer, "--client-id", server.client_id, "--client-secret-env", SECRET_VARIABLE
    )
    assert is_live(server, result.stdout.strip()), result.stderr


def test_its_secret_may_be_in_a_file(home, server):
    path = home.path / "secret"
    path.write_text(server.client_secret)
    path.chmod(0o600)
    arguments = ("--issuer", server.issuer, "--client-id", server.client_id, "--client-secret-file", str(path))
    assert is_live(server, home.run("token", *arguments).stdout.strip())


# --- exit status --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("token",), "name a profile or a platform, or give --issuer"),
        (("token", "acm"), "did you mean acme"),
        (("token", "acme", "--issuer", "https://login.example.com"), "not both"),
        (("token", "--issuer", "https://login.example.com"), "--issuer goes with --client-id"),
        (("token", "acme", "--scope", "films"), "--scope goes with --issuer"),
        (("token", "acme", "--origin", "https://api.example.com"), "--origin goes with --issuer"),
        (
            (*ISSUER, "--client-secret-env", "A", "--client-secret-file", "b"),
            "--client-secret-env and --client-secret-file: give one",
        ),
        (("token", "acme", "--client-secret", "x"), "No such option"),
        (("login", "acme", "--timeout", "soon"), "is not a valid float"),
        (("login", "acme", "--timeout", "0"), "a number of seconds above 0"),
        (("token", "acme", "--no"), "No such option"),
        (("tokens",), "No such command"),
        (("token", "machine", "--user", "ann"), "nobody does at Brightcove"),
        (("login", "machine"), "nobody|no person|sign"),
        (("login", "machine", "--device"), "nobody signs in for machine"),
    ],
)
def test_bad_usage_is_2(home, server, arguments, says):
    home.profiles(acme=generic(server), machine=brightcove(server))
    result = home.run(*arguments)
    assert result.exit_code == 2, result.stderr
    assert re.search(says, result.stderr), result.stderr
    assert result.stdout == ""


def test_a_secret_in_the_profile_file_is_bad_usage(home, server):
    home.profiles(acme=brightcove(server, client_secret=server.client_secret))
    result = home.run("token", "acme")
    assert result.exit_code == 2
    assert "client_secret_keyring = true" in result.stderr
    check_silent(server, result.output)


def test_nobody_has_signed_in_is_3_and_tells_how(home, people):
    result = home.run("token", "acme")
    assert result.exit_code == 3
    assert result.stderr.endswith("Sign in with: video-oauth-auth login acme\n")
    assert result.stdout == ""


def test_it_tells_how_for_another_user_and_for_an_issuer_too(home, people):
    assert "login acme --user 'ann b'" in home.run("token", "acme", "--user", "ann b").stderr
    arguments = ("--issuer", people.issuer, "--client-id", "app", "--scope", "openid", "--origin", people.api_url)
    assert shlex.join(["login", *arguments]) in home.run("token", *arguments).stderr


def test_a_refusal_of_the_server_is_4(home, machine, monkeypatch):
    monkeypatch.setenv(SECRET_VARIABLE, "another-invented-secret")
    result = home.run("token", "acme")
    assert result.exit_code == 4
    assert "invalid_client" in result.stderr
    assert "another-invented-secret" not in result.output


@pytest.mark.parametrize("fault", [unavailable(), Drop("before")])
def test_a_server_that_is_away_is_5(home, machine, fault):
    home.profiles(acme=brightcove(machine, token_timeout=0.5))
    machine.token_faults.always(fault)
    result = home.run("token", "acme")
    assert result.exit_code == 5, result.stderr


def test_a_store_that_cannot_be_used_is_5(home, people):
    (home.path / "state").write_text("no directory")
    result = home.run("token", "acme")
    assert result.exit_code == 5, result.stderr


def test_nonsense_of_the_server_is_1(home, machine):
    home.profiles(acme=brightcove(machine, token_timeout=0.5))
    machine.token_faults.always(json_answer(200, {"token": "none"}))
    result = home.run("token", "acme")
    assert result.exit_code == 1, result.stderr


@pytest.mark.parametrize("arguments", [("token", "acme"), ("login", "acme", "--no-browser")])
def test_ctrl_c_is_130_without_a_traceback(home, server, arguments):
    home.profiles(acme=generic(server) if arguments[0] == "login" else brightcove(server))
    server.token_faults.always(Hold())
    with home.process(*arguments) as process:
        if arguments[0] == "login":
            assert process.stderr.readline()
        else:
            server.wait_for(lambda: server.held)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stdout == ""


def test_no_secret_is_in_the_arguments_of_any_process(home, machine):
    machine.token_faults.add(Hold())
    with home.process("token", "acme") as process:
        machine.wait_for(lambda: machine.held)
        seen = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in (process.pid, *children(process.pid))]
        machine.release()
        stdout, _ = process.communicate(timeout=PATIENCE)
    assert "token\0acme" in seen[0]
    check_silent(machine, *seen)
    assert is_live(machine, stdout.strip())


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- login --------------------------------------------------------------------------------------------------------


def test_a_person_signs_in_with_their_browser(home, people, browser):
    with home.process("login", "acme") as process:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert stdout == ""
    assert "Signed in as ann" in stderr
    check_silent(people, stderr)
    result = home.run("token", "acme")
    assert is_live(people, result.stdout.strip())
    assert result.stderr == ""


def test_who_is_signed_in_is_not_asked_again_unless_that_is_forced(home, people, browser):
    for arguments, calls in (((), 1), ((), 1), (("--force",), 2)):
        with home.process("login", "acme", *arguments) as process:
            _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, stderr
        assert len(people.token_calls) == calls


def test_several_people_have_tokens_of_their_own(home, people, browser):
    with home.process("login", "acme", "--user", "ann") as process:
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert home.run("token", "acme", "--user", "ann").exit_code == 0
    assert home.run("token", "acme", "--user", "bob").exit_code == 3


def test_a_public_client_of_any_server_signs_in(home, server, browser):
    server.public_client_id = "app"
    arguments = ("--issuer", server.issuer, "--client-id", "app", "--scope", "openid")
    with home.process("login", *arguments) as process:
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert is_live(server, home.run("token", *arguments).stdout.strip())


def test_without_a_browser_the_url_is_shown(home, people):
    with home.process("login", "acme", "--no-browser") as process:
        url = next(match[1] for line in process.stderr if (match := re.match(r"    (https?://\S+)$", line)))
        FormFiller(NAME, PASSWORD).open(url)
        stdout, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert stdout == ""
    assert home.run("token", "acme").exit_code == 0


def test_nobody_comes_in_time(home, people):
    result = home.run("login", "acme", "--no-browser", "--timeout", "0.2")
    assert result.exit_code == 3
    assert "nobody signed in within 0.2 s" in result.stderr


def test_a_code_for_another_device_signs_in_for_the_same_profile(home, people):
    with home.process("login", "acme", "--device") as process:
        shown = "".join(line for line, _ in zip(process.stderr, range(7), strict=False))
        found = re.search(r"open\n\n    (\S+)\n\nand enter the code\n\n    (\S+)", shown)
        assert found, shown
        FormFiller(NAME, PASSWORD).approve_device(found[1], found[2])
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert stdout == ""
    assert "until this program ends" not in stderr
    assert is_live(people, home.run("token", "acme").stdout.strip())
    calls = len(people.requests)
    assert home.run("login", "acme", "--device").exit_code == 0
    assert len(people.requests) == calls  # who is signed in is not asked again
    assert home.run("logout", "acme").exit_code == 0


# --- logout -------------------------------------------------------------------------------------------------------


def signed_in(home: Home) -> Token:
    with home.process("login", "acme") as process:
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    return Token(access_token=home.run("token", "acme").stdout.strip())


def test_who_signs_out_has_no_tokens_here_nor_there(home, people, browser):
    token = signed_in(home)
    result = home.run("logout", "acme")
    assert result.exit_code == 0
    assert result.stderr == "Signed out; the server has revoked the tokens.\n"
    assert not is_live(people, token.access_token)
    assert home.run("token", "acme").exit_code == 3


def test_who_signs_out_while_the_server_is_down_is_told(home, people, browser):
    signed_in(home)
    people.revocation_faults.always(unavailable())
    result = home.run("logout", "acme")
    assert result.exit_code == 0
    assert "The server was not told" in result.stderr
    check_silent(people, result.output)
    assert home.run("token", "acme").exit_code == 3


# --- typing a secret ----------------------------------------------------------------------------------------------


class Terminal:
    """A person at a terminal on which the command runs; its stdout is a pipe."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self.fd, terminal = os.openpty()
        variables = {name: value for name, value in os.environ.items() if name not in command_line.UNWANTED}
        self.process = subprocess.Popen(
            [*command_line.COMMAND, *arguments],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=variables,
            preexec_fn=lambda: _own(terminal),
        )
        os.close(terminal)


def _own(terminal: int) -> None:
    """Make it the terminal of this process, which is where a secret is typed."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def test_a_secret_is_typed_without_an_echo_and_only_when_it_is_needed(home, server):
    profile = brightcove(server, client_secret_prompt=True)
    del profile["client_secret_env"]
    home.profiles(acme=profile)
    person = Terminal(home, "token", "acme")
    screen = b""

    def shown() -> bool:
        nonlocal screen
        screen += os.read(person.fd, 1024)
        return b"client_secret of the profile acme: " in screen

    eventually(shown, "the question")
    os.write(person.fd, f"{server.client_secret}\n".encode())
    stdout, _ = person.process.communicate(timeout=PATIENCE)
    os.close(person.fd)
    assert person.process.returncode == 0
    assert is_live(server, stdout.decode().strip())
    check_silent(server, screen.decode())
    assert home.run("token", "acme").stdout == stdout.decode()  # without a terminal: the stored one is fresh


def test_without_a_terminal_a_secret_cannot_be_typed(home, server):
    arguments = ("--issuer", server.issuer, "--client-id", server.client_id, "--client-secret-prompt")
    result = home.run("token", *arguments)
    assert result.exit_code == 2
    assert "there is no terminal to ask for the secret of the client test-client" in result.stderr


def test_a_secret_that_is_missing_is_told_as_what_it_is(home, machine, monkeypatch):
    monkeypatch.delenv(SECRET_VARIABLE)
    result = home.run("token", "acme")
    assert result.exit_code == 2
    assert result.stderr.endswith(
        f"the environment variable {SECRET_VARIABLE}, which should hold a secret, is not set\n"
    )


def test_a_generic_profile_may_have_a_token_endpoint_instead_of_an_issuer(home, server):
    profile = generic(server, token_endpoint=server.token_endpoint)
    home.profiles(acme={key: value for key, value in profile.items() if key not in ("issuer", "redirect_uri", "scope")})
    assert is_live(server, home.run("token", "acme").stdout.strip())


def test_a_generic_profile_names_its_server_once(home, server):
    home.profiles(acme=generic(server, token_endpoint=server.token_endpoint))
    result = home.run("token", "acme")
    assert result.exit_code == 2
    assert "name the server by one of issuer, token_endpoint and server" in result.stderr
