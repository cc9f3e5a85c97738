"""FileStore under auth objects: restarts, sharing, and that everybody gets only their own tokens."""

import httpx
import pytest
import requests

from video_oauth_auth import (
    ClientCredentials,
    LoginRequired,
    OAuth2Auth,
    OAuthClient,
    ResourceOwnerPassword,
    TokenSource,
)
from video_oauth_auth.events import TokenAdopted
from video_oauth_auth.stores import FileStore
from video_oauth_auth.testing import OAuthServer
from video_oauth_auth.testing.store_contract import members

from . import engine
from .engine import Events, aged, grant_types, in_threads, settle, source_of

clock = engine.clock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens"


def by_password(name, **asked):
    return ResourceOwnerPassword(name, f"password of {name}", **asked)


# Each differs from another one in one thing.
DIFFERENT = {
    "the first": {},
    "scope": {"grant": ClientCredentials(scope="a")},
    "another scope": {"grant": ClientCredentials(scope="a b")},
    "audience": {"grant": ClientCredentials(audience="a")},
    "resource": {"grant": ClientCredentials(resource="https://a.example.com")},
    "extra": {"grant": ClientCredentials(extra={"tenant": "a"})},
    "user": {"user": "ann"},
    "another user": {"user": "Ann"},
    "grant type": {"grant": by_password("ann")},
    "person": {"grant": by_password("bob")},
    "client": {"client_id": "another-client", "grant": by_password("ann")},
    "server": {"server": 1},
}


@pytest.fixture
def servers():
    users = {name: f"password of {name}" for name in ("ann", "bob")}
    with OAuthServer(users=users) as one, OAuthServer(users=users) as another:
        one.public_client_id = "another-client"
        yield one, another


def auths_of(servers, path):
    """Make all of them anew, as after a restart; each with the API of its server."""
    made = {}
    for name, given in DIFFERENT.items():
        server = servers[given.get("server", 0)]
        client_id = given.get("client_id", server.client_id)
        source = TokenSource(
            server.authorization_server,
            OAuthClient(client_id, server.client_secret if client_id == server.client_id else None),
            given.get("grant", ClientCredentials()),
            user=given.get("user", ""),
            store=FileStore(path),
        )
        made[name] = OAuth2Auth(source, origins=[server.api_url]), server
    return made


def ask(auth, server):
    """Make a request; give the Authorization header that the API got."""
    answer = httpx.get(f"{server.api_url}/me", auth=auth, timeout=30)
    assert answer.status_code == 200
    return server.requests_to("api")[-1].header("Authorization")


def test_twelve_auth_objects_that_differ_in_one_thing_share_a_directory_and_nothing_else(servers, path):
    first = {name: ask(*made) for name, made in auths_of(servers, path).items()}
    calls = sum(len(server.token_calls) for server in servers)
    assert len(set(first.values())) == len(first) == calls == 12
    assert len(FileStore(path).entries()) == 12
    again = auths_of(servers, path)
    assert all(ask(*again[name]) == first[name] for name in reversed(first))
    assert sum(len(server.token_calls) for server in servers) == calls
    for server in servers:
        assert {call.token_state for call in server.requests_to("api")} == {"live"}


def test_one_of_them_that_is_renewed_or_forgotten_leaves_the_others_alone(servers, path):
    before = {name: ask(*made) for name, made in auths_of(servers, path).items()}
    made = auths_of(servers, path)
    scope, _ = made["scope"]
    scope.source.get_token(rejected=scope.source.get_token())
    made["user"][0].source.reset()
    stored = {name: ask(*one) for name, one in auths_of(servers, path).items() if name != "user"}
    changed = {name for name, header in stored.items() if header != before[name]}
    assert changed == {"scope"}
    assert len(FileStore(path).entries()) == 11


# --- restarts -----------------------------------------------------------------------------------------------------


def test_a_restart_costs_no_token_call_in_any_library(oauth_server, path, client):
    server = oauth_server

    def start():
        return OAuth2Auth(source_of(server, store=FileStore(path)), origins=[server.api_url])

    for _ in range(3):
        assert client.send(start(), "GET", f"{server.api_url}/me").status_code == 200
    assert len(server.token_calls) == 1


def test_a_rotating_refresh_token_survives_restarts(oauth_server, path, clock):
    oauth_server.refresh_tokens = True
    source_of(oauth_server, None, store=FileStore(path)).set(aged(oauth_server, 0))
    for _ in range(5):
        clock.advance(301)
        token = source_of(oauth_server, None, store=FileStore(path)).get_token()
        assert members(FileStore(path).load(source_of(oauth_server, None).key)) == members(token)
    assert grant_types(oauth_server) == ["refresh_token"] * 5
    assert oauth_server.reuse_detected == 0


def test_many_sources_over_one_directory_never_spend_a_refresh_token_twice(oauth_server, path, clock):
    oauth_server.refresh_tokens = True
    events = Events()
    sources = [source_of(oauth_server, None, store=FileStore(path), on_event=events) for _ in range(10)]
    sources[0].set(aged(oauth_server, 0))
    for _ in range(3):
        clock.advance(301)
        waiting = iter(sources * 2)
        assert len(set(in_threads(20, lambda waiting=waiting: next(waiting).get_token()))) == 1
    settle()
    assert grant_types(oauth_server) == ["refresh_token"] * 3
    assert oauth_server.reuse_detected == 0
    assert events.of(TokenAdopted)


def test_what_is_forgotten_is_not_in_the_directory_any_more(oauth_server, path):
    oauth_server.refresh_tokens = True
    source = source_of(oauth_server, None, store=FileStore(path))
    token = aged(oauth_server, 0)
    source.set(token)
    source.reset()
    left = b"".join(one.read_bytes() for one in path.iterdir())
    forgotten = token.access_token.encode() not in left and token.refresh_token.encode() not in left
    assert forgotten
    with pytest.raises(LoginRequired):
        source_of(oauth_server, None, store=FileStore(path)).get_token()


def test_the_tokens_of_several_users_are_listed_by_name(oauth_server, path):
    auth = OAuth2Auth(source_of(oauth_server, store=FileStore(path)), origins=[oauth_server.api_url])
    for name in ("ann", "bob"):
        assert requests.get(f"{oauth_server.api_url}/me", auth=auth.for_user(name), timeout=30).ok
    assert sorted(key.user for key in FileStore(path).entries()) == ["ann", "bob"]
    assert sorted(auth.users()) == ["ann", "bob"]
