"""`video-oauth-auth status`, `discover`, `doctor` and `demo`, and what the command is like as a whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from video_oauth_auth import Token, profile_keys
from video_oauth_auth.cli import output
from video_oauth_auth.cli.commands import commands
from video_oauth_auth.cli.request import API_ERROR
from video_oauth_auth.stores import EncryptedStore, FileStore
from video_oauth_auth.testing import Answer, Hold, OAuthServer, html_page, json_answer, unavailable, with_members

from . import command_line
from .command_line import SECRET_VARIABLE, Home, brightcove, check_silent, generic
from .keyrings import MemoryKeyring, use

home = command_line.home

PATIENCE = 30.0
HAVE_SHORT_ONES = {"--header", "--data", "--form", "--output", "--location", "--profile"}
SUB_COMMANDS = ("login", "logout", "status", "token", "request", "discover", "doctor", "demo", "credentials", "proxy")
CREDENTIALS = [f"credentials brightcove {name}" for name in ("create", "list", "show", "update", "delete")]


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthServer]:
    """A server, and a profile for it: acme."""
    with OAuthServer(client_secret="an-invented-client-secret", refresh_tokens=True) as running:
        monkeypatch.setenv(SECRET_VARIABLE, running.client_secret)
        home.profiles(acme=brightcove(running))
        yield running


# --- status -------------------------------------------------------------------------------------------------------


def sign_in(server: OAuthServer, home: Home, name: str = "people", user: str = "ann", **members: object) -> Token:
    """Keep tokens where a profile has them, as if somebody had signed in."""
    from video_oauth_auth.cli.chosen import from_profile

    token = Token.from_response({**server.issue_token(subject=user), **members})
    from_profile(name, user).source.set(token)
    return token


def rows(result) -> list[list[str]]:
    """The lines of the table, without its head; cells are two blanks apart."""
    return [[cell for cell in line.split("  ") if cell.strip()] for line in result.stdout.splitlines()[1:]]


def test_nothing_stored_is_said(home):
    result = home.run("status")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No sign-in is stored.\n")


def test_sign_ins_are_listed_with_platform_user_state_and_moments(home, server):
    home.profiles(acme=brightcove(server), people=generic(server))
    home.run("token", "acme")
    token = sign_in(server, home)
    server.clear()
    result = home.run("status")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == [
        *("platform", "client", "user", "profile", "state", "expires", "last", "renewal"),
    ]
    by_profile = {line.split()[3 if "ann" in line else 2]: line for line in result.stdout.splitlines()[1:]}
    assert by_profile["acme"].startswith("brightcove")
    assert by_profile["people"].startswith(server.issuer)
    assert " ann " in by_profile["people"]
    assert " fresh " in by_profile["people"]
    for moment in (token.expires_at, token.issued_at):
        assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) in by_profile["people"]
    assert server.requests == ()
    check_silent(server, result.output)


def aged(server: OAuthServer, home: Home, age: float, **changes: object) -> None:
    from video_oauth_auth.cli.chosen import from_profile

    members = dict(server.issue_token(subject="ann"))
    issued_at = time.time() - age
    token = Token(
        access_token=str(members["access_token"]),
        issued_at=issued_at,
        expires_at=issued_at + 300,
        **{"refresh_token": str(members["refresh_token"]), **changes},
    )
    from_profile("people", "ann").source.set(token)


@pytest.mark.parametrize(
    ("age", "changes", "state"),
    [
        (0, {}, "fresh"),
        (290, {}, "stale"),
        (301, {}, "expired"),
        (301, {"refresh_token": None}, "login_required"),
        (301, {"refresh_expires_at": 1.0}, "login_required"),
    ],
)
def test_the_state_tells_what_is_to_be_done(home, server, age, changes, state):
    home.profiles(people=generic(server))
    aged(server, home, age, **changes)
    assert f" {state} " in home.run("status").stdout


def test_a_client_without_a_person_never_needs_a_sign_in(home, server):
    server.refresh_tokens = False
    home.run("token", "acme")
    source = command_source("acme")
    source.set(Token(access_token="an-old-invented-token", issued_at=time.time() - 400, expires_at=time.time() - 100))
    assert " expired " in home.run("status").stdout


def command_source(name: str):
    from video_oauth_auth.cli.chosen import from_profile

    return from_profile(name, "").source


def test_sign_ins_of_scripts_are_listed_without_a_profile(home, server, monkeypatch):
    from video_oauth_auth import BrightcoveAuth

    BrightcoveAuth("of-a-script", "an-invented-secret", store=FileStore(), token=None).source.set("an-invented-token")
    result = home.run("status")
    assert result.stdout.splitlines()[1].split()[:3] == ["brightcove", "of-a-script", "fresh"]
    assert "unknown" in result.stdout  # nobody has said when it ends


def test_encrypted_sign_ins_are_listed_without_the_key(home, server, monkeypatch):
    home.profiles(people=generic(server))
    key = command_source("people").key
    with EncryptedStore(FileStore(), key=EncryptedStore.new_key()).transaction(key, timeout=5) as entry:
        entry.save(Token.from_response(server.issue_token()))
    result = home.run("status")
    assert result.exit_code == 0
    assert " fresh " in result.stdout


def test_a_locked_keyring_keeps_no_sign_in_from_being_listed(home, server, monkeypatch):
    ring = use(monkeypatch, MemoryKeyring())
    home.profiles(people=generic(server, store="encrypted"))
    sign_in(server, home)
    ring.lock()
    result = home.run("status")
    assert result.exit_code == 0, result.stderr
    (line,) = result.stdout.splitlines()[1:]
    assert " people " in line
    assert " fresh " in line


def test_a_broken_profile_and_a_store_that_is_away_are_told_beside_the_others(home, server):
    home.profiles(
        acme=brightcove(server),
        away=brightcove(server, store="redis://127.0.0.1:1/0"),
        broken={"platform": "brightcove", "cleint_id": "x"},
    )
    home.run("token", "acme")
    result = home.run("status")
    assert result.exit_code == 5
    assert "acme" in result.stdout
    assert "did you mean client_id" in result.stderr
    assert "127.0.0.1:1" in result.stderr


def test_status_asks_for_no_secret(home, server, monkeypatch):
    monkeypatch.delenv(SECRET_VARIABLE)
    films = {"platform": "movingimage", "username": "ann", "password_prompt": True}
    home.profiles(acme=brightcove(server), films=films)
    assert home.run("status").exit_code == 0


# --- discover -----------------------------------------------------------------------------------------------------


def test_discover_shows_what_is_offered_and_what_would_be_used(home, server):
    result = home.run("discover", server.issuer)
    assert result.exit_code == 0
    lines = {line[:60].rstrip(): line for line in result.stdout.splitlines()}
    text = result.stdout
    assert server.token_endpoint in text
    assert lines
    for line in (
        "a client with a secret",
        "client_secret_basic",
        "a person with a browser",
        "PKCE S256",
        "iss checked",
        "a code (RFC 8628)",
        "revocation (RFC 7009)",
    ):
        assert line in text


def test_discover_says_what_is_not_possible(home, server):
    server.code_challenge_methods = ("plain",)
    server.token_endpoint_auth_methods = ("private_key_jwt",)
    server.metadata_faults.always(with_members(grant_types_supported=["authorization_code"], revocation_endpoint=None))
    text = home.run("discover", server.issuer).stdout
    assert "no: the server offers no PKCE with S256" in text
    assert "the tokens are forgotten here only" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("a client with a secret")] == ["no"]
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("a client without a person")] == ["no"]


def test_a_server_cannot_steer_the_terminal_by_its_metadata(home, server):
    server.metadata_faults.always(with_members(scopes_supported=["a\x1b]0;title\x07", "b\nc"]))
    text = home.run("discover", server.issuer).stdout
    assert "\x1b" not in text
    assert "b c" in text


@pytest.mark.parametrize(
    ("issuer", "status"), [("login.example.com", 2), ("http://login.example.com", 2), ("http://127.0.0.1:1", 5)]
)
def test_an_issuer_that_cannot_be_asked_is_told(home, issuer, status):
    result = home.run("discover", issuer)
    assert result.exit_code == status
    assert result.stdout == ""


def test_an_issuer_without_metadata_is_1(home, server):
    server.discovery_documents = ()
    assert home.run("discover", server.issuer).exit_code == 1


# --- doctor -------------------------------------------------------------------------------------------------------


def outcomes(result) -> dict[str, str]:
    """How each check went."""
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    return {name: outcome for outcome, name, *_ in lines}


def test_a_healthy_profile_is_ok_in_every_check(home, server):
    result = home.run("doctor", "acme", "--url", f"{server.api_url}/me")
    assert outcomes(result) == dict.fromkeys(
        ("configuration", "network", "clock", "endpoint", "store", "token", "API"), "ok"
    )
    assert next(iter(outcomes(result))) == "configuration"
    assert result.exit_code == 0
    assert result.stderr == ""
    check_silent(server, result.output)


def test_without_a_known_call_the_api_is_skipped(home, server):
    result = home.run("doctor", "acme")
    assert outcomes(result)["API"] == "skipped"
    assert "give --url" in result.stdout
    assert result.exit_code == 0


def test_a_call_elsewhere_is_skipped_and_never_made(home, server):
    result = home.run("doctor", "acme", "--url", f"{server.foreign_url}/")
    assert outcomes(result)["API"] == "skipped"
    assert server.requests_to("foreign") == ()


def test_a_profile_that_cannot_be_used_fails_first(home, server):
    home.profiles(acme=brightcove(server, cleint_id="x"))
    result = home.run("doctor", "acme")
    assert outcomes(result) == {"configuration": "failed"}
    assert "did you mean client_id" in result.stdout
    assert result.exit_code == 2


def test_a_missing_secret_is_a_matter_of_configuration(home, server, monkeypatch):
    monkeypatch.delenv(SECRET_VARIABLE)
    result = home.run("doctor", "acme")
    assert outcomes(result) == {"configuration": "failed"}
    assert f"{SECRET_VARIABLE}, which should hold a secret, is not set" in result.stdout


def test_a_server_that_cannot_be_reached_is_told_with_what_needs_it(home, server):
    home.profiles(acme={**brightcove(server), "server": {"token_endpoint": "http://127.0.0.1:1/token"}})
    result = home.run("doctor", "acme")
    found = outcomes(result)
    assert [found[name] for name in ("network", "clock", "endpoint", "store", "token", "API")] == [
        *("failed", "skipped", "skipped", "ok", "skipped", "skipped"),
    ]
    assert "HTTPS_PROXY" in result.stdout
    assert result.exit_code == 5


@pytest.mark.parametrize(("off", "way"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_that_is_wrong_is_told(home, server, monkeypatch, off, way):
    from video_oauth_auth.cli import doctor

    monkeypatch.setattr(doctor, "time", SimpleNamespace(time=lambda: time.time() + off))
    result = home.run("doctor", "acme")
    assert outcomes(result)["clock"] == "failed"
    assert re.search(rf"(3599|360[01]) s {way} the server", result.stdout)
    assert result.exit_code == 1


def test_nobody_signed_in_tells_how(home, server):
    home.profiles(acme=generic(server))
    result = home.run("doctor", "acme")
    assert outcomes(result)["token"] == "failed"
    assert "Sign in with: video-oauth-auth login acme" in result.stdout
    assert result.exit_code == 3


def test_a_wrong_secret_is_told_with_what_to_compare(home, server, monkeypatch):
    monkeypatch.setenv(SECRET_VARIABLE, "another-invented-secret")
    result = home.run("doctor", "acme")
    assert outcomes(result)["token"] == "failed"
    assert "Compare the client id, its secret" in result.stdout
    assert "another-invented-secret" not in result.output
    assert result.exit_code == 4


def test_a_store_that_cannot_be_used_is_told(home, server):
    (home.path / "state").write_text("no directory")
    result = home.run("doctor", "acme")
    assert outcomes(result)["store"] == "failed"
    assert result.exit_code == 5


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (json_answer(403, {}), 4, "answers 403 to a good token. Brightcove says 401"),
        (json_answer(401, {}), 4, "answers 401 to a good token"),
        (unavailable(), 5, "try later"),
        (json_answer(404, {}), 1, "answers 404"),
    ],
)
def test_an_api_that_says_no_is_told(home, server, answer, status, says):
    server.api_faults.always(answer)
    result = home.run("doctor", "acme", "--url", f"{server.api_url}/me?key=hidden")
    assert outcomes(result)["API"] == "failed"
    assert says in result.stdout
    assert "hidden" not in result.stdout
    assert result.exit_code == status


def test_an_api_that_is_not_there_is_told(home, server):
    home.profiles(acme=brightcove(server, origins=["http://127.0.0.1:1"]))
    result = home.run("doctor", "acme", "--url", "http://127.0.0.1:1/")
    assert "could not be reached (ConnectError)" in result.stdout
    assert result.exit_code == 5


def test_metadata_that_cannot_be_read_are_told(home, server):
    home.profiles(acme=generic(server))
    server.metadata_faults.always(html_page())
    result = home.run("doctor", "acme")
    assert outcomes(result)["endpoint"] == "failed"
    assert result.exit_code == 1


def test_the_worst_finding_is_the_exit_status(home, server, monkeypatch):
    """A refusal needs a person, a store that is away perhaps not."""
    (home.path / "state").write_text("no directory")
    monkeypatch.setenv(SECRET_VARIABLE, "another-invented-secret")
    result = home.run("doctor", "acme")
    assert outcomes(result)["store"] == outcomes(result)["token"] == "failed"
    assert result.exit_code == 4


def test_doctor_wants_to_know_whom_to_look_at(home):
    assert home.run("doctor").exit_code == 2


# --- demo ---------------------------------------------------------------------------------------------------------


def test_the_demo_shows_that_no_request_fails(home):
    result = home.run("demo")
    assert result.exit_code == 0, result.output
    assert "The programs have seen 160 answers, 0 of them no 200." in result.stdout
    assert "3 revocations, 4 token calls" in result.stdout


def test_the_demo_tells_when_something_went_wrong(home, monkeypatch):
    """A guard: its exit status could say 0 whatever happens."""
    from video_oauth_auth.cli import demo

    monkeypatch.setattr(demo.Act, "_count", lambda self, status: setattr(self, "failures", self.failures + 1))
    assert home.run("demo").exit_code == 1


# --- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*(name for name in SUB_COMMANDS if name != "credentials"), *CREDENTIALS])
def test_help_has_examples(home, name):
    result = home.run(*name.split(), "--help")
    assert result.exit_code == 0
    assert "Examples:\n  " in result.stdout
    assert f"video-oauth-auth {name}" in result.stdout


def test_the_sub_commands_are_listed_in_the_order_in_which_they_are_needed(home):
    text = home.run("--help").stdout
    assert [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines() if line][: len(SUB_COMMANDS)]
    positions = [text.index(f"\n  {name} ") for name in SUB_COMMANDS]
    assert positions == sorted(positions)
    assert "3 sign in" in text


def test_the_page_about_it_names_every_sub_command_option_key_and_exit_status(home):
    page = (Path(__file__).parent.parent / "docs" / "command.md").read_text()
    for name, command in commands.commands.items():
        assert f"| `{name}" in page
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
        shown = {option for option in options if re.search(rf"`[^`]*{option}\b", page)}
        assert {option for option in options if option.startswith("--")} - shown <= HAVE_SHORT_ONES
    keys = {key for known in profile_keys._KEYS.values() for key in known}
    assert {key for key in keys if f"`{key}`" not in page} == set()
    codes = {output.OTHER, output.USAGE, output.SIGN_IN, output.REFUSED, output.LATER, API_ERROR, 0, 130}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


def test_the_command_is_imported_by_its_entry_point_only():
    program = """
import json, sys, video_oauth_auth
names = "video_oauth_auth.cli", "video_oauth_auth.profiles", "tomllib", "platformdirs", "keyring"
print(json.dumps([name for name in names if name in sys.modules]))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert json.loads(run.stdout) == []


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_is_named(missing):
    program = f"import sys; sys.modules[{missing!r}] = None\nfrom video_oauth_auth.cli import main\nmain()"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr == "video-oauth-auth needs the libraries of an extra: pip install 'video-oauth-auth[cli]'\n"


def test_a_reader_that_has_gone_is_no_traceback(home, server):
    server.api_faults.always(Hold(), Answer(200, body=b"a line\n" * 100_000))
    with home.process("request", "GET", f"{server.api_url}/films") as process:
        server.wait_for(lambda: server.held)
        process.stdout.close()
        server.release()
        stderr = process.stderr.read()
        process.wait(PATIENCE)
    assert "Traceback" not in stderr
    assert process.returncode == 1


def test_a_lock_that_somebody_holds_is_told_by_doctor(home, server, monkeypatch):
    monkeypatch.setattr("video_oauth_auth.cli.doctor.PATIENCE", 0.3)
    source = command_source("acme")
    with source.settings.store.transaction(source.key, timeout=5):
        result = home.run("doctor", "acme")
    assert outcomes(result)["store"] == "failed"
    assert "another program has held the lock for 0.3 s" in result.stdout
    assert result.exit_code == 5


def test_a_server_that_does_not_say_what_time_it_is_skips_the_clock(home, server, monkeypatch):
    from video_oauth_auth.cli import doctor

    def without_date(*arguments):
        answer = doctor_get(*arguments)
        return replace(answer, headers={name: value for name, value in answer.headers.items() if name != "date"})

    doctor_get = doctor.get
    monkeypatch.setattr(doctor, "get", without_date)
    result = home.run("doctor", "acme")
    assert outcomes(result)["clock"] == "skipped"
    assert result.exit_code == 0
