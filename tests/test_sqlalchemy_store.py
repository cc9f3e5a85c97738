"""The example of a store of one's own, `examples/sqlalchemy_store.py`, on SQLite."""

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import httpx
import pytest
from sqlalchemy import create_engine

from video_oauth_auth import AuthorizationServer, ConfigurationError, OAuth2Auth, OAuthClient, StoreError, TokenSource
from video_oauth_auth.testing import OAuthServer
from video_oauth_auth.testing.store_contract import StoreContract, make_key, make_token, members

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes stores in one database, each with an engine of its own, as other processes have."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from sqlalchemy_store import SQLAlchemyStore

    engines = []

    def make(name="tokens.db", **settings):
        engines.append(create_engine(f"sqlite:///{tmp_path / name}"))
        return SQLAlchemyStore(engines[-1], **settings)

    yield make
    for engine in engines:
        engine.dispose()


class TestSQLAlchemyStore(StoreContract):
    @pytest.fixture
    def store(self, make):
        return make()

    @pytest.fixture
    def another(self, store, make):
        return make()


def test_a_lock_whose_holder_has_died_is_free_after_its_lease(make):
    key, store = make_key(), make(lease=0.3)
    held = store.transaction(key, timeout=0)
    held.__enter__()
    with pytest.raises(TimeoutError), make(lease=0.3).transaction(key, timeout=0):
        pass
    with make(lease=0.3).transaction(key, timeout=10) as entry:
        entry.save(make_token())
    held.__exit__(None, None, None)
    assert members(store.load(key)) == members(make_token())


def test_who_was_stopped_for_longer_than_the_lease_overwrites_nothing(make):
    key, store = make_key(), make(lease=0.2)
    with store.transaction(key, timeout=0) as stopped:
        with make(lease=30).transaction(key, timeout=10) as entry:
            entry.save(make_token("newer"))
            with pytest.raises(StoreError, match="lock of this entry was lost"):
                stopped.save(make_token("older"))
            with pytest.raises(StoreError, match="lock of this entry was lost"):
                stopped.delete()
        with pytest.raises(StoreError, match="lock of this entry was lost"):
            stopped.save(make_token("older"))
    assert members(store.load(key)) == members(make_token("newer"))


def test_a_lease_that_is_too_short_for_a_renewal_is_refused_by_the_source(make):
    with OAuthServer() as server, pytest.raises(ConfigurationError, match="lease"):
        TokenSource(server.authorization_server, OAuthClient("a"), None, store=make(lease=20))


def test_errors_of_the_database_are_store_errors_that_show_no_token(make, tmp_path):
    key, store = make_key(), make()
    with store.transaction(key, timeout=0) as entry:
        (tmp_path / "tokens.db").chmod(0o400)
        (tmp_path / "tokens.db").write_bytes(b"no database" * 1000)
        with pytest.raises(StoreError, match="could not be written") as told:
            entry.save(make_token())
    assert told.value.__cause__ is None
    assert told.value.__context__ is None
    assert make_token().access_token not in str(told.value)


def expired(server):
    """Give a token of a person that has ended, with its refresh token."""
    return {**server.issue_token(subject="ann"), "expires_in": 0.001}


PROGRAM = """
import sys
import httpx
from sqlalchemy import create_engine
from video_oauth_auth import AuthorizationServer, OAuth2Auth, OAuthClient, TokenSource
sys.path.insert(0, sys.argv[1])
from sqlalchemy_store import SQLAlchemyStore

database, endpoint, client_id, api = sys.argv[2:]
store = SQLAlchemyStore(create_engine(database))
secret = sys.stdin.readline().strip()
source = TokenSource(AuthorizationServer(token_endpoint=endpoint), OAuthClient(client_id, secret), None, store=store)
auth = OAuth2Auth(source, origins=[api])
with httpx.Client(auth=auth) as client:
    for _ in range(20):
        assert client.get(api + "/me").status_code == 200
"""


@pytest.mark.timeout(60)
def test_four_processes_renew_one_sign_in_one_after_the_other(make, tmp_path):
    """The server takes each refresh token once, and ends everything where one comes twice."""
    with OAuthServer(refresh_tokens=True) as server:
        store = make()
        issuer = AuthorizationServer(token_endpoint=server.token_endpoint)
        source = TokenSource(issuer, OAuthClient(server.client_id, server.client_secret), None, store=store)
        source.set(expired(server))
        command = [sys.executable, "-c", dedent(PROGRAM), str(EXAMPLES), f"sqlite:///{tmp_path / 'tokens.db'}"]
        command += [server.token_endpoint, server.client_id, server.api_url]
        running = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(4)]
        for process in running:
            process.stdin.write(f"{server.client_secret}\n")
            process.stdin.close()
        assert [process.wait(40) for process in running] == [0] * 4
        assert [call.status for call in server.token_calls] == [200]


def test_it_serves_threads_through_an_auth_object(make):
    with OAuthServer(refresh_tokens=True, expires_in=2) as server:
        client = OAuthClient(server.client_id, server.client_secret)
        source = TokenSource(server.authorization_server, client, None, store=make())
        source.set(expired(server))
        auth = OAuth2Auth(source, origins=[server.api_url])
        answers = []

        def ask():
            with closing(httpx.Client(auth=auth)) as http:
                answers.extend(http.get(f"{server.api_url}/me").status_code for _ in range(20))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 160
        assert len(server.token_calls) == 1
