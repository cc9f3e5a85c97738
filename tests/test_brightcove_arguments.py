"""How BrightcoveAuth takes its credential: arguments, a callable, or the environment."""

from contextlib import suppress

import httpx
import pytest

from video_oauth_auth import BrightcoveAuth, ClientCredentials, ConfigurationError, MemoryStore


def test_credentials_are_asked_at_each_grant(brightcove_server):
    asked = []

    def credentials() -> tuple[str, str]:
        asked.append(1)
        return brightcove_server.client_id, brightcove_server.client_secret

    auth = BrightcoveAuth(credentials=credentials, server=brightcove_server.authorization_server)
    assert asked == []
    first = auth.source.get_token()
    brightcove_server.change_secret("a-rotated-secret")
    auth.source.get_token(rejected=first)
    assert len(asked) == len(brightcove_server.token_calls) == 2


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"client_id": "id"},
        {"client_secret": "an-invented-secret"},
        {"client_id": "id", "client_secret": ""},
        {"client_id": "id", "client_secret": "an-invented-secret", "credentials": lambda: ("id", "s")},
        {"client_id": "id", "client_secret": "an-invented-secret", "token_endpoint_auth_method": "none"},
        {"client_id": "id", "client_secret": "an-invented-secret", "scope": "a", "grant": ClientCredentials()},
        {"client_id": "id", "client_secret": "an-invented-secret", "grant": ClientCredentials},
        {"client_id": "id", "client_secret": "an-invented-secret", "origins": []},
        {"client_id": "id", "client_secret": "an-invented-secret", "origins": "https://cms.api.brightcove.com"},
        {"client_id": "id", "client_secret": "an-invented-secret", "server": 7},
        {"client_id": "id", "client_secret": "an-invented-secret", "renew_ahead": -1},
        {"client_id": "id", "client_secret": "an-invented-secret", "token_timeout": 0},
        {"client_id": "id", "client_secret": "an-invented-secret", "token": 7},
        {"client_id": "id", "client_secret": "an-invented-secret", "on_event": "print"},
        {"client_id": "id", "client_secret": "an-invented-secret", "http_client": httpx.AsyncClient},
        {"credentials": lambda: ("id", "s"), "store": MemoryStore()},
    ],
)
def test_contradicting_arguments_are_told_when_the_object_is_made(keywords):
    with pytest.raises(ConfigurationError) as caught:
        BrightcoveAuth(**keywords)
    assert "an-invented-secret" not in str(caught.value)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ("CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET_FILE"):
        with suppress(KeyError):
            monkeypatch.delenv(f"BRIGHTCOVE_{name}")


@pytest.mark.parametrize(("prefix", "keywords"), [("BRIGHTCOVE_", {}), ("TEAM_", {"prefix": "TEAM_"})])
def test_from_env_takes_id_and_secret(brightcove_server, monkeypatch, prefix, keywords):
    monkeypatch.setenv(f"{prefix}CLIENT_ID", f" {brightcove_server.client_id}\n")
    monkeypatch.setenv(f"{prefix}CLIENT_SECRET", brightcove_server.client_secret)
    auth = BrightcoveAuth.from_env(**keywords, server=brightcove_server.authorization_server)
    assert isinstance(auth, BrightcoveAuth)
    auth.source.get_token()
    assert brightcove_server.token_calls[0].status == 200


def test_from_env_reads_the_secret_file_at_each_token_call(brightcove_server, monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text(f"{brightcove_server.client_secret}\n")
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_ID", brightcove_server.client_id)
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_SECRET_FILE", str(file))
    auth = BrightcoveAuth.from_env(server=brightcove_server.authorization_server, token_timeout=10.0)
    first = auth.source.get_token()
    brightcove_server.change_secret("a-rotated-secret")
    file.write_text("a-rotated-secret")
    auth.source.get_token(rejected=first)
    assert [call.status for call in brightcove_server.token_calls] == [200, 200]


def test_from_env_names_everything_that_is_missing_in_one_error(monkeypatch):
    with pytest.raises(ConfigurationError) as caught:
        BrightcoveAuth.from_env()
    for name in ("BRIGHTCOVE_CLIENT_ID", "BRIGHTCOVE_CLIENT_SECRET", "BRIGHTCOVE_CLIENT_SECRET_FILE"):
        assert name in str(caught.value)
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_ID", "  ")
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_SECRET", "an-invented-secret")
    with pytest.raises(ConfigurationError) as caught:
        BrightcoveAuth.from_env()
    assert "BRIGHTCOVE_CLIENT_ID" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_from_env_does_not_choose_between_two_secrets(monkeypatch, tmp_path):
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_ID", "id")
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_SECRET", "an-invented-secret")
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="BRIGHTCOVE_CLIENT_SECRET_FILE") as caught:
        BrightcoveAuth.from_env()
    assert "an-invented-secret" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\xfa"])
def test_a_secret_file_that_cannot_be_used_is_named(monkeypatch, tmp_path, content):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_ID", "id")
    monkeypatch.setenv("BRIGHTCOVE_CLIENT_SECRET_FILE", str(file))
    with pytest.raises(ConfigurationError, match="secret") as caught:
        BrightcoveAuth.from_env()
    assert str(file) in str(caught.value)
