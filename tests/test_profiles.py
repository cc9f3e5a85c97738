"""Profiles: what may stand in the file, where secrets are, and `from_profile`."""

from __future__ import annotations

import os
import re
import sys
from types import SimpleNamespace

import pytest

from video_oauth_auth import (
    AuthorizationServer,
    BrightcoveAuth,
    CidaasAuth,
    ConfigurationError,
    IBMVideoStreamingAuth,
    LoginRequired,
    MovingimageAuth,
    OAuth2Auth,
    Token,
)
from video_oauth_auth.profile_secrets import Secret
from video_oauth_auth.profiles import profile_names, profiles_path, read_profile
from video_oauth_auth.stores import FileStore, MemoryStore, RedisStore
from video_oauth_auth.testing import OAuthServer

from . import command_line
from .command_line import SECRET_VARIABLE, Home, brightcove, generic, metadata_of

home = command_line.home

SECRET = "an-invented-client-secret"
ACME = {"platform": "brightcove", "client_id": "acme", "client_secret_env": SECRET_VARIABLE}


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    return SECRET


@pytest.fixture
def server():
    with OAuthServer.brightcove(client_secret=SECRET) as running:
        yield running


def secret_of(name: str) -> str:
    found = read_profile(name).secrets["client_secret"]
    return found()


def refused(home: Home, name: str = "acme", **members: object) -> str:
    """What is said about a profile with these members; None takes one out."""
    table = {key: value for key, value in {**ACME, **members}.items() if value is not None}
    home.profiles(**{name: table})
    with pytest.raises(ConfigurationError) as caught:
        BrightcoveAuth.from_profile(name)
    return str(caught.value)


# --- from_profile -------------------------------------------------------------------------------------------------


def test_a_class_takes_its_settings_from_a_profile(home, secret, server, client):
    home.profiles(acme=brightcove(server))
    auth = BrightcoveAuth.from_profile("acme")
    assert client.send(auth, "GET", f"{server.api_url}/me").status_code == 200
    assert [call.status for call in server.token_calls] == [200]


def test_a_profile_and_a_script_with_a_file_store_share_tokens(home, secret, server):
    home.profiles(acme=brightcove(server))
    token = BrightcoveAuth.from_profile("acme").source.get_token()
    endpoints = AuthorizationServer(**metadata_of(server))
    origins = [server.api_url]
    script = BrightcoveAuth(server.client_id, SECRET, server=endpoints, origins=origins, store=FileStore())
    assert script.source.get_token() == token
    assert len(server.token_calls) == 1


def test_keywords_win_over_those_of_the_profile(home, secret):
    home.profiles(acme={**ACME, "scope": "films"})
    store = MemoryStore()
    auth = BrightcoveAuth.from_profile("acme", scope="news", store=store)
    assert auth.source.settings.grant.scope == "news"
    assert auth.source.settings.store is store


def test_each_platform_has_profiles(home, secret):
    callback = "http://127.0.0.1:8400/callback"
    home.profiles(
        films={"platform": "movingimage", "username": "ann", "password_env": SECRET_VARIABLE, "user": "ann"},
        own={
            "platform": "movingimage",
            "client_id": "app",
            "client_secret_env": SECRET_VARIABLE,
            "redirect_uri": callback,
            "api_url": "https://films.example.com/v1/",
            "refresh_extra": {},
        },
        views={
            "platform": "ibm_video_streaming",
            "client_id": "app",
            "client_secret_env": SECRET_VARIABLE,
            "token_type": "jwt",
            "renew_ahead": 30,
            "token_timeout": 10.5,
        },
        tenant={"platform": "cidaas", "issuer": "https://tenant.cidaas.de", "client_id": "app", "scope": "openid"},
    )
    assert profile_names() == ["films", "own", "tenant", "views"]
    assert MovingimageAuth.from_profile("films").source.settings.grant.username == "ann"
    assert MovingimageAuth.from_profile("films").source.settings.grant.password == SECRET
    assert MovingimageAuth.from_profile("own").source.key.issuer == "https://films.example.com/v1/"
    assert IBMVideoStreamingAuth.from_profile("views").source.settings.token_timeout == 10.5
    assert CidaasAuth.from_profile("tenant").source.settings.grant.needs_person


def test_a_profile_for_another_platform_is_refused(home, secret):
    home.profiles(acme=ACME, other={"platform": "generic", "issuer": "https://login.example.com", "client_id": "app"})
    with pytest.raises(ConfigurationError, match="for the platform brightcove: BrightcoveAuth"):
        MovingimageAuth.from_profile("acme")
    with pytest.raises(ConfigurationError, match=r"for the platform generic: OAuth2Auth\.from_profile takes it"):
        BrightcoveAuth.from_profile("other")
    with pytest.raises(ConfigurationError, match=r"for the platform brightcove: BrightcoveAuth\.from_profile takes it"):
        OAuth2Auth.from_profile("acme")


@pytest.fixture
def issuer():
    with OAuthServer(client_secret=SECRET, refresh_tokens=True) as running:
        yield running


def test_a_profile_for_another_server_and_a_script_share_tokens(home, secret, issuer, client):
    home.profiles(staff=of_program(issuer))
    shown = home.run("token", "staff").stdout.strip()
    auth = OAuth2Auth.from_profile("staff")
    assert auth.headers(issuer.api_url + "/me") == {"Authorization": f"Bearer {shown}"}
    assert auth.origins == (issuer.api_url,)
    assert client.send(auth, "GET", f"{issuer.api_url}/me").status_code == 200
    assert len(issuer.token_calls) == 1


def test_a_profile_for_people_wants_one_to_sign_in_and_knows_who_did(home, secret, issuer):
    home.profiles(staff=generic(issuer))
    auth = OAuth2Auth.from_profile("staff", user="ann")
    with pytest.raises(LoginRequired):
        auth.source.get_token()
    from_command(home, "staff", "ann").set(Token.from_response(issuer.issue_token(subject="ann")))
    assert auth.source.get_token() == OAuth2Auth.from_profile("staff", user="ann").source.get_token()


def of_program(issuer, **members):
    """A profile for a program that asks in its own name."""
    return {key: value for key, value in generic(issuer).items() if key not in ("redirect_uri", "scope")} | members


def from_command(home, name, user):
    from video_oauth_auth.cli.chosen import from_profile

    return from_profile(name, user).source


def test_keywords_win_over_those_of_a_profile_for_another_server(home, secret, issuer):
    class Ours(OAuth2Auth):
        pass

    home.profiles(staff=of_program(issuer, scope="films"))
    store, heard = MemoryStore(), []
    auth = Ours.from_profile(
        "staff",
        scope="news",
        store=store,
        scheme="JWT",
        origins=["https://api.example.com"],
        insecure_origins=["http://api:8080"],
        on_event=heard.append,
        token="an-invented-token",
    )
    assert type(auth) is Ours
    assert auth.source.settings.grant.scope == "news"
    assert auth.source.settings.store is store
    assert auth.origins == ("http://api:8080", "https://api.example.com")
    assert auth.headers("http://api:8080/x") == {"Authorization": "JWT an-invented-token"}
    with pytest.raises(TypeError, match="redirect_url"):
        OAuth2Auth.from_profile("staff", redirect_url="http://127.0.0.1/")


def test_a_profile_for_another_server_without_origins_is_for_the_server_itself(home, secret):
    home.profiles(staff={"platform": "generic", "issuer": "https://login.example.com/films", "client_id": "app"})
    assert OAuth2Auth.from_profile("staff").origins == ("https://login.example.com",)
    home.profiles(staff={"platform": "generic", "client_id": "app"})
    with pytest.raises(ConfigurationError, match="name the server"):
        OAuth2Auth.from_profile("staff")


def test_an_own_class_that_is_a_platforms_has_its_profiles(home, secret):
    class Ours(BrightcoveAuth):
        pass

    home.profiles(acme=ACME)
    assert type(Ours.from_profile("acme")) is Ours


# --- the file -----------------------------------------------------------------------------------------------------


def test_the_file_is_where_the_system_keeps_settings(home):
    assert profiles_path() == home.path / "config" / "video-oauth-auth" / "profiles.toml"


def test_without_a_file_there_are_no_profiles(home):
    assert profile_names() == []
    said = r"there is no profile 'acme' in .*profiles\.toml; no profile stands there yet$"
    with pytest.raises(ConfigurationError, match=said):
        read_profile("acme")


def test_an_unknown_profile_is_told_with_the_nearest_one(home, secret):
    home.profiles(acme=ACME, films=ACME)
    with pytest.raises(ConfigurationError, match=r"did you mean acme\?; there are acme, films"):
        read_profile("acm")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(home, secret, mode):
    home.write(command_line.toml("acme", ACME), mode)
    with pytest.raises(ConfigurationError, match=r"others can write the profile file .* chmod go-w"):
        BrightcoveAuth.from_profile("acme")


def test_a_file_that_others_can_read_is_fine(home, secret):
    home.write(command_line.toml("acme", ACME), 0o644)
    assert BrightcoveAuth.from_profile("acme")


def test_a_file_of_somebody_else_is_refused(home, secret, monkeypatch):
    home.profiles(acme=ACME)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    if os.getuid() == 0:
        os.chown(profiles_path(), 12345, -1)
    with pytest.raises(ConfigurationError, match="belongs to somebody else"):
        read_profile("acme")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[acme", "is no TOML: Expected"),
        ("acme = 1", "a profile is a table"),
        ("[acme]", "it names no platform; there are brightcove, movingimage"),
        ('[acme]\nplatform = "brightcov"', "'brightcov' is not known; did you mean brightcove"),
        ('[acme]\nplatform = ["brightcove"]', "is not known"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(home, text, says):
    home.write(text)
    with pytest.raises(ConfigurationError, match=says):
        read_profile("acme")


def test_a_file_that_is_no_text_is_told(home):
    home.write("").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="is no UTF-8"):
        read_profile("acme")


def test_a_file_that_cannot_be_read_is_told(home):
    path = profiles_path()
    path.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_profile("acme")


# --- what stands in a profile -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"cleint_id": "x"}, "cleint_id is not known here; did you mean client_id?"),
        ({"redirect_uri": "https://films.example"}, "redirect_uri is not known here"),  # nobody signs in at Brightcove
        ({"insecure_origins": ["http://api:1"]}, "insecure_origins can only be given in code"),
        ({"client_id": 5}, "client_id has to be a text"),
        ({"client_id": " "}, "client_id has to be a text"),
        ({"origins": "https://api.example.com"}, "origins has to be a list of texts"),
        ({"renew_ahead": True}, "renew_ahead has to be a number"),
        ({"server": "https://login.example.com"}, "server has to be a table with the metadata of a server"),
        ({"server": {"token_endpoint": 1}}, "the metadata member token_endpoint is no text"),
        ({"server": {"revocation_endpoint": "https://x.example"}}, "needs a token_endpoint"),
        ({"store": "files"}, 'store is "file", "encrypted", or the URL of a Redis'),
        ({"store": "redis://:hidden-password@redis"}, "store holds a password.*store_env"),
        ({"store": "redis://redis?password=hidden-password"}, "store holds a password.*store_env"),
        ({"store": "file", "store_env": "STORE"}, "both there"),
        ({"store_env": "STORE_THAT_IS_NOT_SET"}, "STORE_THAT_IS_NOT_SET, where .* has its store, is not set"),
        ({"client_id": None}, r"'acme' in .* needs client_id$"),
        ({"client_secret_env": None}, r"needs client_secret \(client_secret_env, client_secret_file"),
        ({"client_secret_keyring": True}, "client_secret_env and client_secret_keyring are both there: keep one"),
        ({"client_secret_prompt": False}, "client_secret_prompt has to be true"),
    ],
)
def test_what_cannot_be_right_is_told(home, secret, members, says):
    message = refused(home, **members)
    assert re.search(says, message), message
    assert "hidden-password" not in message


@pytest.mark.parametrize("name", ["client_secret", "password"])
def test_a_secret_in_the_file_is_refused_and_the_four_ways_are_told(home, name):
    home.profiles(films={"platform": "movingimage", name: SECRET})
    with pytest.raises(ConfigurationError) as caught:
        read_profile("films")
    message = str(caught.value)
    ways = (f"{name}_env", f"{name}_file", f"{name}_keyring = true", f"{name}_prompt = true")
    assert all(way in message for way in ways)
    assert SECRET not in message


def test_stores_are_named(home, secret, monkeypatch):
    monkeypatch.setenv("STORE", "rediss://:a-password@redis.example:6379/0")
    home.profiles(
        plain=ACME,
        redis={**ACME, "store": "redis://redis.example:6379/0"},
        hidden={**ACME, "store_env": "STORE"},
    )
    assert isinstance(read_profile("plain").store(), FileStore)
    assert isinstance(read_profile("redis").store(), RedisStore)
    assert isinstance(read_profile("hidden").store(), RedisStore)


def test_a_generic_server_may_be_its_token_endpoint(home, secret):
    with OAuthServer() as server:
        members = generic(server, redirect_uri=None, issuer=None, token_endpoint=server.token_endpoint, scope="films")
        home.profiles(acme={name: value for name, value in members.items() if value is not None})
        assert read_profile("acme").members["token_endpoint"] == server.token_endpoint


# --- secrets ------------------------------------------------------------------------------------------------------


def test_a_secret_may_be_in_the_environment(home, secret):
    home.profiles(acme=ACME)
    assert secret_of("acme") == SECRET


def test_a_variable_that_is_not_set_is_named_when_the_object_is_made(home, monkeypatch):
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    home.profiles(acme=ACME)
    with pytest.raises(ConfigurationError, match=f"{SECRET_VARIABLE}, which should hold a secret, is not set"):
        BrightcoveAuth.from_profile("acme")
    assert BrightcoveAuth.from_profile("acme", client_secret="given in code")


def test_a_secret_in_the_place_of_a_variables_name_is_not_shown(home):
    home.profiles(acme={**ACME, "client_secret_env": SECRET})
    with pytest.raises(ConfigurationError, match="is no name of a variable") as caught:
        BrightcoveAuth.from_profile("acme")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("written", ["secret.txt", "~/config/video-oauth-auth/secret.txt"])
def test_a_secret_may_be_in_a_file(home, written):
    path = home.profiles(acme=without_env(client_secret_file=written)).with_name("secret.txt")
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    assert secret_of("acme") == SECRET


def without_env(**members: object) -> dict[str, object]:
    return {"platform": "brightcove", "client_id": "acme", **members}


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_file_that_others_can_read_is_warned_of(home, caplog, mode):
    path = home.path / "secret.txt"
    path.write_text(SECRET)
    path.chmod(mode)
    home.profiles(acme=without_env(client_secret_file=str(path)))
    assert secret_of("acme") == SECRET
    assert f"others can read the secret file {path}" in caplog.text


@pytest.mark.parametrize(("content", "says"), [(b"", "is empty"), (b"\xff", "is no UTF-8"), (None, "cannot be read")])
def test_a_secret_file_that_cannot_be_used_is_told(home, content, says):
    path = home.path / "secret.txt"
    if content is not None:
        path.write_bytes(content)
    home.profiles(acme=without_env(client_secret_file=str(path)))
    with pytest.raises(ConfigurationError, match=f"the secret file {path} {says}"):
        secret_of("acme")


def test_a_secret_may_be_in_the_keyring(home, monkeypatch):
    entries = {("video-oauth-auth", "profile:acme"): SECRET}
    ring = SimpleNamespace(get_password=lambda service, name: entries.get((service, name)))
    monkeypatch.setitem(sys.modules, "keyring", ring)
    home.profiles(acme=without_env(client_secret_keyring=True))
    assert secret_of("acme") == SECRET
    entries.clear()
    with pytest.raises(ConfigurationError, match="keyring set video-oauth-auth profile:acme"):
        secret_of("acme")


def test_a_keyring_that_fails_is_told_without_what_it_said(home, monkeypatch):
    def fail(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=fail))
    home.profiles(acme=without_env(client_secret_keyring=True))
    with pytest.raises(ConfigurationError, match=r"could not be used \(RuntimeError\)") as caught:
        secret_of("acme")
    assert caught.value.__context__ is None


def test_without_the_library_keyring_the_extra_is_named(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    home.profiles(acme=without_env(client_secret_keyring=True))
    with pytest.raises(ConfigurationError, match=r"pip install 'video-oauth-auth\[cli\]'"):
        secret_of("acme")


def test_a_secret_may_be_typed_once(home, monkeypatch):
    asked = []
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", lambda prompt, stream: asked.append(prompt) or SECRET)
    home.profiles(acme=without_env(client_secret_prompt=True))
    auth = BrightcoveAuth.from_profile("acme")
    assert len(asked) == 1  # at once, on the thread of the program, not within a renewal
    assert [auth.source.settings.client.current().client_secret for _ in range(2)] == [SECRET, SECRET]
    assert asked == ["client_secret of the profile acme: "]


@pytest.mark.parametrize("typed", ["", EOFError()])
def test_nothing_typed_is_told(home, monkeypatch, typed):
    def type_it(*_, **__):
        if isinstance(typed, Exception):
            raise typed
        return typed

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", type_it)
    home.profiles(acme=without_env(client_secret_prompt=True))
    with pytest.raises(ConfigurationError, match="nothing was typed for the client_secret of the profile acme"):
        BrightcoveAuth.from_profile("acme")


@pytest.mark.parametrize("stdin", [None, SimpleNamespace(isatty=lambda: False)])
def test_without_a_terminal_nobody_can_type(home, monkeypatch, stdin):
    monkeypatch.setattr("sys.stdin", stdin)
    home.profiles(acme=without_env(client_secret_prompt=True))
    with pytest.raises(ConfigurationError, match="there is no terminal to ask for the client_secret"):
        BrightcoveAuth.from_profile("acme")


def test_a_secret_does_not_show_itself(secret):
    found = Secret("env", SECRET_VARIABLE)
    assert found() == SECRET
    assert SECRET not in repr(found)
    assert SECRET_VARIABLE in repr(found)


def test_without_the_library_for_places_the_extra_is_named(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'video-oauth-auth\[cli\]'"):
        read_profile("acme")


def test_an_edited_profile_is_used_at_once(home, secret):
    home.profiles(acme=ACME)
    assert read_profile("acme").members["client_id"] == "acme"
    home.profiles(acme={**ACME, "client_id": "another"})
    assert read_profile("acme").members["client_id"] == "another"
