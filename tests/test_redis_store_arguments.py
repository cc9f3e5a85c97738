"""RedisStore without a Redis: its arguments, what it imports and when, and how redis-py's failures are told."""

import copy
import pickle
import subprocess
import sys

import pytest
import redis
import redis.asyncio

from video_oauth_auth import ConfigurationError, OAuthClient, StoreError, TokenSource, stores
from video_oauth_auth.stores import RedisStore, TokenStore
from video_oauth_auth.testing.store_contract import make_key, make_token

NOWHERE = "redis://127.0.0.1:1"  # nothing listens on port 1

PLACES = {
    "redis://redis.example.com": "redis://redis.example.com:6379/0",
    "redis://redis.example.com:6380/": "redis://redis.example.com:6380/0",
    "redis://redis.example.com/7": "redis://redis.example.com:6379/7",
    "redis://:canary-pass@[::1]:6380/7": "redis://::1:6380/7",
    "redis://canary-name:canary%2Fpass%40@redis.example.com/7": "redis://redis.example.com:6379/7",
    "redis://redis.example.com?password=canary-pass&username=canary-name&db=3": "redis://redis.example.com:6379/3",
    "rediss://:canary-pass@redis.example.com:6380/1?ssl_ca_certs=/etc/ca.pem": "rediss://redis.example.com:6380/1",
    "unix:///run/redis.sock?db=2&password=canary-pass": "unix:///run/redis.sock",
    "unix://canary-name@/run/redis.sock": "unix:///run/redis.sock",
}


@pytest.mark.parametrize("url", PLACES)
def test_a_store_shows_where_it_is_without_names_and_passwords(url):
    store = RedisStore(url)
    assert repr(store) == f"RedisStore({PLACES[url]!r})"
    assert isinstance(store, TokenStore)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis.example.com",
        "redis.example.com:6379",
        "http://redis.example.com",
        "redis://",
        "redis:///0",
        "redis://:6379",
        "redis://redis.example.com/videos",
        "redis://redis.example.com/0/1",
        "redis://redis.example.com:port",
        "redis://redis.example.com:99999",
        "redis://redis.example.com:0",
        "redis://redis.example.com/0#fragment",
        "redis://:canary/pass@redis.example.com",
        "redis://:1234/canary@redis.example.com",
        "redis://:canary#pass@redis.example.com",
        "redis://:canary?pass@redis.example.com",
        "redis://[canary",
        "unix://",
        "unix:///",
        "redis://redis.example.com?canary_timeout=1",
        "redis://redis.example.com?socket_timeout=canary",
        "redis://redis.example.com?db=canary",
        "rediss://redis.example.com?ssl_cert_reqs=canary",
    ],
)
def test_a_url_that_leads_nowhere_is_refused_and_not_repeated(url):
    """It may hold a password that is not percent-encoded, and then any part of it may be a part of the password."""
    with pytest.raises(ConfigurationError) as caught:
        RedisStore(url)
    assert "canary" not in f"{caught.value!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("given", [None, 6379, b"redis://localhost", ["redis://localhost"], redis.Redis, object()])
def test_what_is_neither_a_url_nor_a_client_is_refused(given):
    with pytest.raises(ConfigurationError, match=r"takes a URL or a redis\.Redis"):
        RedisStore(given)


@pytest.mark.parametrize("kind", [redis.asyncio.Redis, redis.asyncio.RedisCluster])
def test_an_asyncio_client_is_refused(kind):
    with pytest.raises(ConfigurationError, match=r"not redis\.asyncio\..*asyncio programs as well"):
        RedisStore(kind.from_url("redis://127.0.0.1:1"))


@pytest.mark.parametrize("lease", [0, 0.9, -1, float("inf"), float("nan"), True, "45", None])
def test_a_lease_that_is_no_number_of_seconds_is_refused(lease):
    with pytest.raises(ConfigurationError, match="lease="):
        RedisStore(NOWHERE, lease=lease)


def test_the_lease_is_longer_than_a_renewal_may_take():
    source = TokenSource("https://login.example.com", OAuthClient("client", "secret"), None)
    assert RedisStore(NOWHERE).lease >= source.settings.token_timeout + 10
    assert RedisStore(NOWHERE, lease=130).lease == 130.0


def test_a_client_of_the_user_is_used_as_it_is():
    client = redis.Redis(host="redis.example.com", port=7000, db=2, password="canary-pass")
    assert repr(RedisStore(client)) == "RedisStore('redis://redis.example.com:7000/2')"
    of_sentinels = redis.Sentinel([("127.0.0.1", 1)]).master_for("tokens", password="canary-pass")
    assert repr(RedisStore(of_sentinels)) == "RedisStore('Redis')"


def test_a_url_has_short_time_outs_unless_it_says_otherwise():
    options = RedisStore(NOWHERE)._connection._client.connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (3.0, 3.0)
    options = RedisStore(f"{NOWHERE}?socket_timeout=0.5")._connection._client.connection_pool.connection_kwargs
    assert options["socket_timeout"] == 0.5
    options = RedisStore("rediss://redis.example.com")._connection._client.connection_pool.connection_kwargs
    assert options["ssl_check_hostname"] is True


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_store_is_not_copied_into_other_processes(duplicate):
    with pytest.raises(TypeError, match="in the worker process"):
        duplicate(RedisStore(NOWHERE))


# --- what it imports ----------------------------------------------------------------------------------------------


def test_redis_is_imported_when_a_store_is_made_and_connects_to_nothing_then():
    program = f"""
import sys
import video_oauth_auth
from video_oauth_auth.stores import FileStore, MemoryStore, RedisStore
assert "redis" not in sys.modules
import socket
def refuse(*_):
    raise AssertionError("it must not connect")
socket.socket.connect = socket.getaddrinfo = refuse
import threading
RedisStore({NOWHERE!r})
RedisStore("rediss://redis.example.com")
assert "redis" in sys.modules
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_a_missing_library_is_told_with_the_name_of_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'video-oauth-auth\[redis\]'") as caught:
        RedisStore(NOWHERE)
    assert caught.value.__context__ is None


def test_the_stores_are_a_list_of_names():
    assert all(hasattr(stores, name) for name in stores.__all__)
    with pytest.raises(AttributeError, match="no attribute 'RediStore'"):
        stores.RediStore  # noqa: B018 - the look is the test


# --- how failures are told ----------------------------------------------------------------------------------------


class FailingRedis(redis.Redis):
    """Fails at every command, with an exception whose text holds a secret."""

    error: Exception

    def execute_command(self, *args, **options):
        raise self.error


def cut():
    error = redis.ConnectionError("canary")
    error.__cause__ = OSError(104, "Connection reset by peer")
    return error


FAILURES = {
    "Connection reset by peer": cut(),
    "ConnectionError": redis.ConnectionError("canary"),
    "it refused the user name or password": redis.AuthenticationError("canary-pass is wrong"),
    "its user lacks one of the permissions": redis.exceptions.NoPermissionError("canary"),
    "lacks one of the permissions": redis.ResponseError("The user executing the script can't run this command canary"),
    "a replica": redis.ReadOnlyError("canary"),
    "its memory is full": redis.exceptions.OutOfMemoryError("canary"),
    "still reads its data": redis.BusyLoadingError("canary"),
    "did not answer in time": redis.TimeoutError("canary"),
    "ResponseError": redis.ResponseError("unknown command 'EVAL', with args beginning with: 'canary'"),
    "InvalidResponse": redis.InvalidResponse("canary"),
    "UnicodeDecodeError": UnicodeDecodeError("utf-8", b"canary", 0, 1, "canary"),
    "Connection refused": ConnectionRefusedError(111, "Connection refused"),
    "not answer": TimeoutError(110, "Connection timed out"),
}


@pytest.mark.parametrize("why", FAILURES)
@pytest.mark.parametrize("what", ["read", "locked", "listed"])
def test_a_failure_is_a_store_error_that_tells_why_and_shows_nothing(why, what):
    """A time-out of the socket is none of the lock: TimeoutError means that somebody else holds it."""
    client = FailingRedis(host="127.0.0.1", port=1)
    client.error = FAILURES[why]
    store = RedisStore(client)
    call = {
        "read": lambda: store.load(make_key()),
        "locked": lambda: store.transaction(make_key(), timeout=30).__enter__(),
        "listed": store.entries,
    }[what]
    with pytest.raises(StoreError, match=f"could not be {what}: .*{why}") as caught:
        call()
    assert "redis://127.0.0.1:1/0" in str(caught.value)
    assert "canary" not in f"{caught.value!r} {caught.value.__dict__!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_nobody_listens():
    store = RedisStore("redis://canary-name:canary-pass@127.0.0.1:1/0")
    with pytest.raises(StoreError, match="could not be read: Connection refused") as caught:
        store.load(make_key())
    assert "canary" not in repr(caught.value)
    with pytest.raises(StoreError, match="locked"), store.transaction(make_key(), timeout=30) as entry:
        entry.save(make_token())
