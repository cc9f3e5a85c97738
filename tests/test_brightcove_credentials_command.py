"""`video-oauth-auth credentials brightcove`: where the BC_TOKEN comes from, and where the secret goes."""

from __future__ import annotations

import json
import stat
import sys
import tomllib
from collections.abc import Iterator

import pytest
from keyring.backends import fail, null

from video_oauth_auth import BrightcoveAuth
from video_oauth_auth.cli import credentials as commands_of_credentials
from video_oauth_auth.cli import new_credential
from video_oauth_auth.profiles import profiles_path
from video_oauth_auth.providers.brightcove_credentials import OPERATIONS
from video_oauth_auth.testing import Drop, OAuthServer
from video_oauth_auth.testing.brightcove import BrightcoveServer

from . import command_line, keyrings
from .command_line import Home, check_silent
from .keyrings import ForgetfulKeyring, MemoryKeyring, PlaintextKeyring, TellTaleKeyring, use
from .world import hosts_lead_to

home, ring = command_line.home, keyrings.ring

READ, ALL = "video-cloud/video/read", "video-cloud/video/all"
BC_TOKEN = "an-invented-bc-token-of-a-studio-session"
COMMAND = ("credentials", "brightcove")
CREATE = (*COMMAND, "create", "Nightly", "--account", "123", "--operation", READ)
ENTRY = ("video-oauth-auth", "profile:nightly")


class Keyring(MemoryKeyring):
    """Can forget, which the command does with what it has tried."""

    def delete_password(self, service: str, username: str) -> None:
        del self.secrets[service, username]


class DyingKeyring(Keyring):
    """Works while it is tried, and not afterwards."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if (service, username) == ENTRY:
            raise OSError(f"gone with {password}")
        super().set_password(service, username, password)


class LosingKeyring(Keyring):
    """Keeps what is tried, and loses what matters."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if (service, username) != ENTRY:
            super().set_password(service, username, password)


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrightcoveServer]:
    with OAuthServer.brightcove() as running, hosts_lead_to({"https://oauth.brightcove.com": running.url}):
        running.bc_token = BC_TOKEN
        monkeypatch.setenv("BC_TOKEN", BC_TOKEN)
        yield running


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    return use(monkeypatch, Keyring())


def created(home: Home, *arguments: str) -> str:
    """Make a credential; gives its client id."""
    result = home.run(*CREATE, "--show-secret", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    client_id: str = json.loads(result.stdout)["client_id"]
    return client_id


# --- create -------------------------------------------------------------------------------------------------------


def test_the_secret_goes_to_the_keyring_and_not_to_the_terminal(home, server, kept):
    result = home.run(*CREATE, "--description", "reports", "--profile", "nightly")
    assert result.exit_code == 0, result.stderr
    (credential,) = server.credentials()
    assert (credential["name"], credential["description"]) == ("Nightly", "reports")
    assert kept.secrets[ENTRY] in server.secrets()
    assert list(kept.secrets) == [ENTRY]  # nothing of the try is left
    check_silent(server, result.output)
    assert result.stdout.startswith(f"client_id: {credential['client_id']}\n")
    assert f"video-cloud-account 123:\n    {READ}\n" in result.stdout


def test_what_it_says_is_a_profile_that_works(home, server, kept):
    result = home.run(*CREATE, "--profile", "nightly")
    profile = "[" + result.stderr.partition("[")[2]
    table = tomllib.loads(profile)["nightly"]
    assert table == {
        "platform": "brightcove",
        "client_id": server.credentials()[0]["client_id"],
        "client_secret_keyring": True,
    }
    home.write(profile)
    server.client_id, server.client_secret = table["client_id"], kept.secrets[ENTRY]
    assert BrightcoveAuth.from_profile("nightly").source.get_token().access_token
    assert home.run("token", "nightly").exit_code == 0


def test_the_name_of_a_profile_is_quoted(home, server, kept):
    result = home.run(*CREATE, "--profile", "night.ly two")
    assert list(tomllib.loads("[" + result.stderr.partition("[")[2])) == ["night.ly two"]
    assert list(kept.secrets) == [("video-oauth-auth", "profile:night.ly two")]


def test_the_secret_is_printed_where_that_is_asked_for(home, server):
    """Without a profile no keyring is needed."""
    result = home.run(*CREATE, "--show-secret")
    told = dict(line.split(": ") for line in result.stdout.splitlines() if ": " in line)
    assert told["client_secret"] in server.secrets()
    assert told["client_id"] == server.credentials()[0]["client_id"]
    assert result.stderr == ""
    members = json.loads(home.run(*CREATE, "--show-secret", "--json").stdout)
    assert members["client_secret"] in server.secrets()
    assert members["maximum_scope"] == [
        {"account_id": 123, "operations": [READ], "account_type": "video-cloud-account"}
    ]


def test_both_at_once(home, server, kept):
    result = home.run(*CREATE, "--show-secret", "--json", "--profile", "nightly")
    assert json.loads(result.stdout)["client_secret"] == kept.secrets[ENTRY]


def test_json_without_the_secret(home, server, kept):
    result = home.run(*CREATE, "--profile", "nightly", "--json")
    assert set(json.loads(result.stdout)) == {
        *("client_id", "name", "description", "maximum_scope", "issued_at", "expires_at", "revoked"),
    }


def test_it_has_to_be_said_where_the_secret_shall_go(home, server):
    result = home.run(*CREATE)
    assert result.exit_code == 2
    assert "--profile (into the keyring), or --show-secret" in result.stderr
    assert server.requests == ()


# --- before anything is made --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (ForgetfulKeyring, "does not keep what it is given"),
        (TellTaleKeyring, r"could not be used (PasswordSetError)"),
        (PlaintextKeyring, "keeps secrets as plain text"),
        (fail.Keyring, "could not be used (NoKeyringError)"),
        (null.Keyring, "does not keep what it is given"),
    ],
)
def test_a_keyring_that_keeps_nothing_is_found_out_before(home, server, monkeypatch, backend, said):
    use(monkeypatch, backend())
    result = home.run(*CREATE, "--profile", "nightly")
    assert result.exit_code == 5
    assert said in result.stderr
    assert "--show-secret" in result.stderr
    assert server.requests == ()


def test_a_locked_keyring_too(home, server, kept):
    kept.lock()
    result = home.run(*CREATE, "--profile", "nightly")
    assert "KeyringLocked" in result.stderr
    assert server.requests == ()


def test_without_the_library_keyring_the_extra_is_named(home, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    result = home.run(*CREATE, "--profile", "nightly")
    assert result.exit_code == 2
    assert "pip install 'video-oauth-auth[cli]'" in result.stderr
    assert server.requests == ()


def test_the_secret_of_another_credential_is_not_overwritten_by_accident(home, server, kept):
    kept.secrets[ENTRY] = "the secret of a credential that is in use"
    result = home.run(*CREATE, "--profile", "nightly")
    assert result.exit_code == 2
    assert "would be lost" in result.stderr
    assert server.requests == ()
    assert home.run(*CREATE, "--profile", "nightly", "--replace").exit_code == 0
    assert kept.secrets[ENTRY] in server.secrets()


def test_a_profile_of_another_platform_is_refused(home, server, kept):
    home.profiles(nightly={"platform": "movingimage"})
    result = home.run(*CREATE, "--profile", "nightly")
    assert result.exit_code == 2
    assert "is for the platform movingimage" in result.stderr
    assert server.requests == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "A", "--account", "1", "--show-secret"), "at least one --account and one --operation"),
        (("create", "A", "--operation", READ, "--show-secret"), "at least one --account and one --operation"),
        (("create", "A", "--account", "x", "--operation", READ, "--show-secret"), "'x' is no account id"),
        (("create", "A", "--account", "1", "--operation", "video-cloud/video/raed"), f"did you mean {READ}"),
        (("create", "A", "--account", "1", "--operation", READ, "--replace", "--show-secret"), "goes with --profile"),
        (("create", " ", "--account", "1", "--operation", READ, "--show-secret"), "name= has to be"),
        (("list",), "--account"),
        (("list", "--account", "x"), "'x' is no account id"),
        (("show", "a/b"), "is no client id"),
        (("update", "x"), "say what shall change"),
        (("update", "x", "--account-type", "perform-account"), "say what shall change"),
        (("update", "x", "--operation", "nonsense"), "is no operation"),
        (("create", "A", "--account-type", "other"), "video-cloud-account"),
    ],
)
def test_arguments_that_cannot_work_ask_nobody(home, server, arguments, said):
    result = home.run(*COMMAND, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert server.requests == ()


# --- where saving fails afterwards --------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [DyingKeyring, LosingKeyring])
def test_a_keyring_that_fails_in_the_last_moment_loses_nothing(home, server, monkeypatch, backend):
    use(monkeypatch, backend())
    result = home.run(*CREATE, "--profile", "nightly")
    assert result.exit_code == 1
    (credential,) = server.credentials()
    path = profiles_path().parent / f"client_secret-{credential['client_id']}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text().strip() in server.secrets()
    assert str(path) in result.stderr
    check_silent(server, result.output)
    home.write("[" + result.stderr.partition("[")[2])
    server.client_id, server.client_secret = credential["client_id"], path.read_text().strip()
    assert BrightcoveAuth.from_profile("nightly").source.get_token().access_token


def test_where_no_file_can_be_written_either_the_credential_is_deleted_again(home, server, monkeypatch):
    use(monkeypatch, DyingKeyring())
    monkeypatch.setattr(new_credential, "written_file", full_disk)
    result = home.run(*CREATE, "--profile", "nightly")
    assert result.exit_code == 5
    assert "No space left on device). So the credential was deleted again" in result.stderr
    assert server.credentials() == []
    check_silent(server, result.output)


def test_where_that_fails_too_it_says_what_to_delete(home, server, monkeypatch):
    use(monkeypatch, DyingKeyring())
    monkeypatch.setattr(new_credential, "written_file", full_disk)
    server.api_faults.add(Drop("before"), when=lambda request: request.method == "DELETE")
    result = home.run(*CREATE, "--profile", "nightly")
    (credential,) = server.credentials()
    assert f"delete {credential['client_id']}, nobody knows its secret" in result.stderr


def full_disk(name: str, secret: str) -> None:
    raise OSError(28, "No space left on device")


def test_what_cannot_be_printed_is_written_into_a_file(home, server, monkeypatch):
    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(commands_of_credentials, "_print", closed)
    result = home.run(*CREATE, "--show-secret")
    assert result.exit_code == 1
    assert "could not be printed (Broken pipe)" in result.stderr
    (path,) = profiles_path().parent.glob("client_secret-*")
    assert path.read_text().strip() in server.secrets()
    check_silent(server, result.output)


def test_a_lost_answer_says_that_a_credential_may_be_there(home, server, kept):
    server.api_faults.add(Drop("after"))
    result = home.run(*CREATE, "--profile", "nightly")
    assert result.exit_code == 5
    assert "may have been made nevertheless" in result.stderr
    assert kept.secrets == {}
    assert len(server.credentials()) == 1


# --- the BC_TOKEN -------------------------------------------------------------------------------------------------


def test_the_bc_token_from_a_file(home, server, monkeypatch):
    monkeypatch.setenv("BC_TOKEN", "that of another session")
    path = home.path / "token"
    path.write_text(f"{BC_TOKEN}\n")
    path.chmod(0o600)
    assert home.run(*COMMAND, "list", "--account", "1", "--bc-token-file", str(path)).exit_code == 0


@pytest.mark.parametrize("token", [None, "", " "])
def test_without_a_bc_token_nobody_is_asked_where_there_is_no_terminal(home, server, monkeypatch, token):
    monkeypatch.delenv("BC_TOKEN")
    if token is not None:
        monkeypatch.setenv("BC_TOKEN", token)
    result = home.run(*COMMAND, "list", "--account", "1")
    assert result.exit_code == 2
    assert "BC_TOKEN" in result.stderr
    assert server.requests == ()


def test_it_can_be_typed_and_is_not_echoed(home, server, monkeypatch):
    monkeypatch.delenv("BC_TOKEN")
    asked = []
    monkeypatch.setattr("getpass.getpass", lambda prompt, stream=None: asked.append(prompt) or f"{BC_TOKEN}\n")
    monkeypatch.setattr("video_oauth_auth.profile_secrets.sys", Terminal())
    result = home.run(*COMMAND, "list", "--account", "1")
    assert result.exit_code == 0, result.stderr
    assert asked == ["BC_TOKEN: "]


class Terminal:
    """What the module sees of a process at a terminal."""

    def __init__(self) -> None:
        self.stdin = self
        self.stderr = None

    def isatty(self) -> bool:
        return True


def test_a_bc_token_that_has_ended(home, server, monkeypatch):
    monkeypatch.setenv("BC_TOKEN", "a-bc-token-that-has-ended")
    result = home.run(*COMMAND, "list", "--account", "1")
    assert result.exit_code == 4
    assert "access_denied" in result.stderr
    assert "after 24 hours" in result.stderr
    assert "a-bc-token-that-has-ended" not in result.output


def test_no_option_takes_a_secret(home):
    for command in ("create", "list", "show", "update", "delete"):
        shown = home.run(*COMMAND, command, "--help").stdout
        assert "--bc-token-file" in shown
        assert "--bc-token " not in shown


# --- list, show, update, delete, operations -----------------------------------------------------------------------


def test_list_shows_them_without_secrets(home, server):
    client_id = created(home)
    result = home.run(*COMMAND, "list", "--account", "123", "--account", "4")
    assert client_id in result.stdout
    assert "Nightly" in result.stdout
    check_silent(server, result.output)
    (told,) = json.loads(home.run(*COMMAND, "list", "--account", "123", "--json").stdout)
    assert told["client_id"] == client_id
    assert "client_secret" not in told
    none = home.run(*COMMAND, "list", "--account", "4")
    assert (none.stdout, none.stderr, none.exit_code) == ("", "There are none.\n", 0)


def test_show_tells_what_one_may_do_where(home, server):
    client_id = created(home)
    result = home.run(*COMMAND, "show", client_id)
    assert f"client_id: {client_id}\nname: Nightly\n" in result.stdout
    assert f"video-cloud-account 123:\n    {READ}\n" in result.stdout
    assert "client_secret" not in result.stdout
    assert json.loads(home.run(*COMMAND, "show", client_id, "--json").stdout)["name"] == "Nightly"
    missing = home.run(*COMMAND, "show", "not-there")
    assert missing.exit_code == 4
    assert "There is no such credential" in missing.stderr


def test_update_changes_what_is_given(home, server):
    client_id = created(home, "--description", "reports")
    result = home.run(*COMMAND, "update", client_id, "--operation", ALL, "--other-operation", "video-cloud/new/read")
    assert result.exit_code == 0, result.stderr
    assert "video-cloud/new/read" in result.stdout
    (credential,) = server.credentials()
    assert credential["maximum_scope"][0]["operations"] == [ALL, "video-cloud/new/read"]
    assert (credential["name"], credential["description"]) == ("Nightly", "reports")
    home.run(*COMMAND, "update", client_id, "--name", "Daily", "--description", "", "--account", "7")
    (credential,) = server.credentials()
    assert (credential["name"], credential["description"]) == ("Daily", None)
    assert credential["maximum_scope"][0]["identity"]["account-id"] == 7


def test_delete_asks_before(home, server):
    client_id = created(home)
    assert home.run(*COMMAND, "delete", client_id, stdin="n\n").exit_code == 1
    assert home.run(*COMMAND, "delete", client_id).exit_code == 1  # nobody there to say yes
    assert len(server.credentials()) == 1
    result = home.run(*COMMAND, "delete", client_id, stdin="y\n")
    assert result.exit_code == 0
    assert "five minutes" in result.stderr
    assert server.credentials() == []
    assert home.run(*COMMAND, "delete", created(home), "--yes").exit_code == 0


def test_operations_lists_the_known_ones(home):
    lines = home.run(*COMMAND, "operations").stdout.splitlines()
    assert {line.split()[0] for line in lines} == {one for names in OPERATIONS.values() for one in names}
    assert any(line.split(maxsplit=1) == [READ, "CMS"] for line in lines)


def test_what_servers_say_cannot_steer_the_terminal(home, server):
    home.run(*COMMAND, "create", "A\x1b[31m\r\nB", "--account", "1", "--operation", READ, "--show-secret")
    (credential,) = server.credentials()
    for arguments in (("show", credential["client_id"]), ("list", "--account", "1")):
        assert "\x1b[31m" not in home.run(*COMMAND, *arguments).stdout
