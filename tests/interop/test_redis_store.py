"""RedisStore against a real Redis: what is kept and for how long, leases, and what happens when Redis does not work."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import redis

from video_oauth_auth import StoreError, StoreKey, Token
from video_oauth_auth.stores import EncryptedStore, RedisStore
from video_oauth_auth.testing import StoreContract
from video_oauth_auth.testing.store_contract import make_key, make_token, members

from .redis import RedisServer, running_redis
from .redis.certificates import make_certificates

LONG = 30.0
DAY = 86_400.0


def save(store: RedisStore | EncryptedStore, key: StoreKey, token: Token) -> None:
    with store.transaction(key, timeout=LONG) as entry:
        entry.save(token)


def name(kind: str, key: StoreKey) -> str:
    return f"video-oauth-auth:{{store}}:{kind}:{key.id}"


def lose_lease(server: RedisServer, key: StoreKey) -> None:
    """Lets happen what happens when the time of a lease is over."""
    with server.client as client:
        assert client.delete(name("lease", key)) == 1


@pytest.fixture
def store(redis_server: RedisServer) -> RedisStore:
    return RedisStore(redis_server.url)


@pytest.fixture
def another(redis_server: RedisServer) -> RedisStore:
    return RedisStore(redis_server.url)


@pytest.fixture
def key() -> StoreKey:
    return make_key()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    with redis_server.client as client:
        yield client


# --- the contract -------------------------------------------------------------------------------------------------

CONNECTIONS: dict[str, Callable[[RedisServer], Any]] = {
    "a URL": lambda server: server.url,
    "a socket": lambda server: f"unix://{server.socket}?password={server.password}",
    "a client": lambda server: server.client,
    "a client that decodes": lambda server: redis.Redis.from_url(server.url, decode_responses=True),
    "a client with RESP3": lambda server: redis.Redis.from_url(server.url, protocol=3),
}


@pytest.mark.parametrize("connection", CONNECTIONS)
class TestRedisStore(StoreContract):
    @pytest.fixture
    def store(self, redis_server: RedisServer, connection: str) -> RedisStore:
        return RedisStore(CONNECTIONS[connection](redis_server))

    @pytest.fixture
    def another(self, store: RedisStore, redis_server: RedisServer) -> RedisStore:
        return RedisStore(redis_server.url)


class TestRedisStoreInACluster(StoreContract):
    """A script gets keys of one slot only, and a node has but a part of the slots."""

    @pytest.fixture
    def store(self, redis_cluster: RedisServer) -> RedisStore:
        host, password = "127.0.0.1", redis_cluster.password
        return RedisStore(redis.RedisCluster(host=host, port=redis_cluster.port, password=password))


class TestEncryptedRedisStore(StoreContract):
    @pytest.fixture
    def store(self, redis_server: RedisServer) -> EncryptedStore:
        return EncryptedStore(RedisStore(redis_server.url), key=bytes(32))


def test_an_encrypted_entry_is_kept_as_long_as_a_plain_one(
    redis_server: RedisServer, key: StoreKey, client: Any
) -> None:
    token = Token(access_token="readable", issued_at=0, expires_at=time.time() + 300, refresh_token="readable")
    save(EncryptedStore(RedisStore(redis_server.url), key=bytes(32)), key, token)
    assert client.ttl(name("entry", key)) == -1
    save(
        EncryptedStore(RedisStore(redis_server.url), key=bytes(32)),
        key,
        replace(token, refresh_expires_at=time.time() + 7200),
    )
    assert client.ttl(name("entry", key)) == pytest.approx(7200 + DAY, abs=LONG)
    assert b"readable" not in client.hget(name("entry", key), "token")


def test_the_keys_of_a_cluster_share_a_slot(redis_cluster: RedisServer, key: StoreKey) -> None:
    save(RedisStore(redis_cluster.url), key, make_token())
    with redis_cluster.client as client:
        assert len({client.execute_command("CLUSTER", "KEYSLOT", name) for name in client.scan_iter()}) == 1


# --- what is kept, and for how long -------------------------------------------------------------------------------


def test_every_key_begins_with_the_name_of_the_library(own_redis: RedisServer, key: StoreKey) -> None:
    store = RedisStore(own_redis.url)
    with store.transaction(key, timeout=0) as entry, own_redis.client as client:
        entry.save(make_token())
        names = set(client.keys())
        assert names == {name("entry", key).encode(), name("lease", key).encode(), b"video-oauth-auth:{store}:index"}
        assert all(one.startswith(b"video-oauth-auth:") for one in names)


ENDS = {
    "the refresh token's end": ({"expires_at": 300.0, "refresh_token": "r", "refresh_expires_at": 7200.0}, 7200.0),
    "the access token's end, if it is later": (
        {"expires_at": 7200.0, "refresh_token": "r", "refresh_expires_at": 300.0},
        7200.0,
    ),
    "the access token's end, without a refresh token": ({"expires_at": 300.0}, 300.0),
    "no end of a refresh token": ({"expires_at": 300.0, "refresh_token": "r"}, None),
    "no end of an access token": ({}, None),
    "an end that has been": ({"expires_at": -7200.0}, 0.0),
    "an absurd end": ({"expires_at": 1e15}, 10 * 365.25 * DAY),
}


@pytest.mark.parametrize("case", ENDS)
def test_an_entry_is_kept_a_day_longer_than_anything_in_it(
    store: RedisStore, key: StoreKey, client: Any, case: str
) -> None:
    given, lasts = ENDS[case]
    now = time.time()
    ends = {member: now + value if isinstance(value, float) else value for member, value in given.items()}
    save(store, key, make_token("with the end of something before"))
    save(store, key, Token(access_token="a", issued_at=now, **ends))
    left = client.pttl(name("entry", key)) / 1000
    if lasts is None:
        assert client.ttl(name("entry", key)) == -1
    else:
        assert left == pytest.approx(lasts + DAY, abs=LONG)


def test_what_has_ended_is_listed_no_more_and_leaves_the_index(store: RedisStore, client: Any) -> None:
    old, new = make_key("old"), make_key("new")
    index = "video-oauth-auth:{store}:index"
    save(store, old, make_token())
    (listed,) = (member for member in client.zrange(index, 0, -1) if json.loads(member)["id"] == old.id)
    client.zadd(index, {listed: time.time() * 1000 - 1})
    client.pexpire(name("entry", old), 1)
    assert old not in store.entries()
    assert client.zscore(index, listed) is not None
    save(store, new, make_token())
    assert client.zscore(index, listed) is None
    assert new in store.entries()


def test_a_member_of_the_index_that_nobody_here_has_written_is_left_alone(
    store: RedisStore, key: StoreKey, client: Any
) -> None:
    foreign = [b"", b"no JSON", b"\xff", b"[]", b'{"id": "newer", "tenant": "x"}']
    client.zadd("video-oauth-auth:{store}:index", dict.fromkeys(foreign, float("inf")))
    save(store, key, make_token())
    assert key in store.entries()
    assert client.zrem("video-oauth-auth:{store}:index", *foreign) == len(foreign)


def test_a_deleted_entry_leaves_nothing_but_its_version_for_a_day(
    store: RedisStore, key: StoreKey, client: Any
) -> None:
    with store.transaction(key, timeout=0) as entry:
        entry.save(make_token())
        entry.delete()
    assert set(client.hkeys(name("entry", key))) == {b"version", b"writer"}
    assert client.ttl(name("entry", key)) == pytest.approx(DAY, abs=LONG)


# --- the lease ----------------------------------------------------------------------------------------------------


def test_a_lease_ends_by_itself(redis_server: RedisServer, key: StoreKey, client: Any) -> None:
    store = RedisStore(redis_server.url, lease=1)
    with store.transaction(key, timeout=0), store.transaction(key, timeout=LONG) as entry:
        assert entry.token is None
    with store.transaction(key, timeout=0):
        assert 0 < client.pttl(name("lease", key)) <= 1000
    with RedisStore(redis_server.url).transaction(key, timeout=0):
        assert 40_000 < client.pttl(name("lease", key)) <= 45_000


def test_nobody_frees_a_lease_of_another(
    store: RedisStore, another: RedisStore, key: StoreKey, redis_server: RedisServer
) -> None:
    first = store.transaction(key, timeout=0)
    with first:
        lose_lease(redis_server, key)
        second = another.transaction(key, timeout=0)
        second.__enter__()
    with pytest.raises(TimeoutError), store.transaction(key, timeout=0):
        pass
    second.__exit__(None, None, None)
    with store.transaction(key, timeout=0):
        pass


@pytest.mark.parametrize("change", ["save", "delete"])
@pytest.mark.parametrize("meanwhile", ["saved", "deleted", "deleted and saved", "is at it, and has saved"])
@pytest.mark.parametrize("before", [None, make_token("before")], ids=["nothing", "a token"])
def test_who_has_lost_the_lease_changes_nothing_once_somebody_has_written(
    store: RedisStore,
    another: RedisStore,
    key: StoreKey,
    redis_server: RedisServer,
    before: Any,
    meanwhile: str,
    change: str,
) -> None:
    if before is not None:
        save(store, key, before)
    newer = make_token("newer")
    with store.transaction(key, timeout=0) as late:
        lose_lease(redis_server, key)
        holding = another.transaction(key, timeout=0)
        with holding as entry:
            if meanwhile != "saved":
                entry.delete()
            if meanwhile != "deleted":
                entry.save(newer)
            if meanwhile != "is at it, and has saved":
                holding.__exit__(None, None, None)
            with pytest.raises(StoreError, match=r"lock was lost.*somebody else has written"):
                late.save(make_token("late")) if change == "save" else late.delete()
        assert members(late.token) == members(before)
    assert members(store.load(key)) == (None if meanwhile == "deleted" else members(newer))
    save(store, key, make_token("next"))
    assert members(another.load(key)) == members(make_token("next"))


@pytest.mark.parametrize("before", [None, make_token("before")], ids=["nothing", "a token"])
def test_who_has_lost_the_lease_saves_what_nobody_has_written_since(
    store: RedisStore, another: RedisStore, key: StoreKey, redis_server: RedisServer, before: Any
) -> None:
    """The refresh token is spent: what it brought must not be thrown away because it came late."""
    if before is not None:
        save(store, key, before)
    with store.transaction(key, timeout=0) as late:
        lose_lease(redis_server, key)
        with another.transaction(key, timeout=0) as entry:
            late.save(make_token("late"))
            late.save(make_token("later"))
            assert members(store.load(key)) == members(make_token("later"))
            entry.save(make_token("by the holder"))
            with pytest.raises(StoreError):
                late.save(make_token("latest"))
    assert members(store.load(key)) == members(make_token("by the holder"))


def test_who_saves_after_a_failover_to_an_older_snapshot_brings_it_up_to_date(
    store: RedisStore, key: StoreKey, client: Any
) -> None:
    """The snapshot has neither the last token nor the lease; the token in it is older than what the holder had read."""
    save(store, key, make_token("old"))
    snapshot = client.dump(name("entry", key))
    save(store, key, make_token("newer"))
    with store.transaction(key, timeout=0) as entry:
        client.delete(name("lease", key))
        client.restore(name("entry", key), 0, snapshot, replace=True)
        assert members(store.load(key)) == members(make_token("old"))
        entry.save(make_token("newest"))
    assert members(store.load(key)) == members(make_token("newest"))


def test_what_somebody_saved_after_a_failover_is_not_overwritten(
    store: RedisStore, another: RedisStore, key: StoreKey, client: Any
) -> None:
    save(store, key, make_token("old"))
    snapshot = client.dump(name("entry", key))
    save(store, key, make_token("newer"))
    with store.transaction(key, timeout=0) as entry:
        client.delete(name("lease", key))
        client.restore(name("entry", key), 0, snapshot, replace=True)
        save(another, key, make_token("by another"))
        with pytest.raises(StoreError):
            entry.save(make_token("late"))
    assert members(store.load(key)) == members(make_token("by another"))


def test_who_saves_into_a_redis_that_was_restarted_empty_fills_it_again(own_redis: RedisServer, key: StoreKey) -> None:
    store = RedisStore(own_redis.url)
    save(store, key, make_token())
    with store.transaction(key, timeout=0) as entry:
        own_redis.stop()
        own_redis.start()
        assert store.load(key) is None
        assert store.entries() == []
        entry.save(make_token("newer"))
    assert members(store.load(key)) == members(make_token("newer"))
    assert store.entries() == [key]


class LosesAnswers(redis.Redis):
    """Sends commands, and does not get to know what came of those that hold a certain text."""

    lost = ""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = super().execute_command(*args, **options)
        if self.lost and self.lost in str(args):
            type(self).lost = ""
            raise redis.ConnectionError("Connection closed by server.")
        return answer


def test_a_lease_whose_answer_was_lost_is_free_again(
    redis_server: RedisServer, key: StoreKey, store: RedisStore
) -> None:
    losing = RedisStore(LosesAnswers.from_url(redis_server.url))
    LosesAnswers.lost = "'PX', ARGV[2]"
    with pytest.raises(StoreError, match="locked"), losing.transaction(key, timeout=0):
        pass
    assert LosesAnswers.lost == ""
    with store.transaction(key, timeout=0):
        pass


def test_a_save_whose_answer_was_lost_can_be_repeated(
    redis_server: RedisServer, key: StoreKey, store: RedisStore
) -> None:
    losing = RedisStore(LosesAnswers.from_url(redis_server.url))
    with losing.transaction(key, timeout=0) as entry:
        lose_lease(redis_server, key)
        LosesAnswers.lost = "HSET"
        with pytest.raises(StoreError, match="written"):
            entry.save(make_token())
        assert members(store.load(key)) == members(make_token())
        entry.save(make_token("again"))
    assert members(store.load(key)) == members(make_token("again"))


# --- what cannot be read ------------------------------------------------------------------------------------------

UNREADABLE = [b"no JSON", b"{}", b'{"format": 0}', b"[" * 5000]


@pytest.mark.parametrize(
    ("connection", "data"),
    [*product(["a URL", "a client that decodes"], UNREADABLE), ("a URL", b"\xff\xfe")],
)
def test_what_cannot_be_read_counts_as_missing_and_is_kept_aside(
    redis_server: RedisServer,
    key: StoreKey,
    client: Any,
    data: bytes,
    connection: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = RedisStore(CONNECTIONS[connection](redis_server))
    save(store, key, make_token())
    client.hset(name("entry", key), "token", data)
    assert store.load(key) is None
    with store.transaction(key, timeout=0) as entry:
        assert entry.token is None
        assert client.exists(name("aside", key)) == 0
        entry.save(make_token("new"))
        entry.save(make_token("newer"))
    assert members(store.load(key)) == members(make_token("newer"))
    assert client.get(name("aside", key)) == data
    assert client.ttl(name("aside", key)) == pytest.approx(30 * DAY, abs=LONG)
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "video_oauth_auth")
    assert name("aside", key) in record.getMessage()
    with store.transaction(key, timeout=0) as entry:
        entry.delete()
    assert client.exists(name("aside", key)) == 0


def test_bytes_that_a_client_was_told_to_decode_and_cannot_are_a_store_error(
    redis_server: RedisServer, key: StoreKey, client: Any
) -> None:
    client.hset(name("entry", key), "token", b"\xff\xfe")
    store = RedisStore(redis.Redis.from_url(redis_server.url, decode_responses=True))
    with pytest.raises(StoreError, match="UnicodeDecodeError"):
        store.load(key)


def test_an_entry_of_another_sign_in_counts_as_missing(store: RedisStore, key: StoreKey, client: Any) -> None:
    save(store, make_key("ann"), make_token())
    ann = next(one for one in store.entries() if one.user == "ann")
    client.hset(name("entry", key), "token", client.hget(name("entry", ann), "token"))
    assert store.load(key) is None


def test_an_entry_of_a_newer_version_is_left_as_it_is(store: RedisStore, key: StoreKey, client: Any) -> None:
    newer = json.dumps({"format": 99, "access_token": "of the future"}).encode()
    client.hset(name("entry", key), "token", newer)
    with pytest.raises(StoreError, match="Update video-oauth-auth"):
        store.load(key)
    for _ in range(2):  # the lock is free again
        with pytest.raises(StoreError, match="Update video-oauth-auth"), store.transaction(key, timeout=0):
            pass
    assert client.hget(name("entry", key), "token") == newer


def test_members_that_this_version_does_not_know_are_written_again(
    store: RedisStore, key: StoreKey, client: Any
) -> None:
    save(store, key, make_token())
    stored = json.loads(client.hget(name("entry", key), "token"))
    client.hset(name("entry", key), "token", json.dumps(stored | {"dpop_key": "of the future"}))
    save(store, key, make_token("newer"))
    assert json.loads(client.hget(name("entry", key), "token"))["dpop_key"] == "of the future"


def test_a_key_of_another_kind_is_a_store_error(store: RedisStore, key: StoreKey, client: Any) -> None:
    client.set(name("entry", key), "somebody else's")
    with pytest.raises(StoreError, match="could not be read"):
        store.load(key)
    with pytest.raises(StoreError, match="could not be locked"), store.transaction(key, timeout=0):
        pass
    assert client.get(name("entry", key)) == b"somebody else's"


# --- who may -------------------------------------------------------------------------------------------------------


def every_call(store: RedisStore) -> list[Callable[[], object]]:
    return [
        lambda: store.load(make_key()),
        lambda: store.transaction(make_key(), timeout=LONG).__enter__(),
        store.entries,
    ]


@pytest.mark.parametrize("password", ["", ":wrong-canary@", "wrong-name-canary:wrong-canary@"])
def test_a_wrong_password_is_a_store_error_without_it(redis_server: RedisServer, password: str) -> None:
    store = RedisStore(f"redis://{password}127.0.0.1:{redis_server.port}")
    for call in every_call(store):
        with pytest.raises(StoreError, match="it refused the user name or password") as caught:
            call()
        assert f"redis://127.0.0.1:{redis_server.port}/0" in str(caught.value)
        assert "canary" not in f"{caught.value!r} {caught.value.__dict__} {store!r}"
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


COMMANDS = (
    "+eval +get +set +del +hget +hmget +hset +hdel +pexpire +persist +time +zadd +zrem +zrangebyscore +zremrangebyscore"
)


def test_the_documented_permissions_are_enough_and_none_is_too_many(own_redis: RedisServer) -> None:
    """So it needs neither KEYS nor SCAN nor FLUSHDB."""
    documented = Path(__file__).parents[2] / "docs" / "redis_store.md"
    assert COMMANDS in " ".join(documented.read_text(encoding="utf-8").split())

    def works(commands: list[str]) -> bool:
        with own_redis.client as client:
            client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pass", "~video-oauth-auth:*", *commands)
        store = RedisStore(f"redis://app:pass@127.0.0.1:{own_redis.port}")
        key = make_key()
        try:
            with store.transaction(key, timeout=0) as entry:
                entry.save(make_token())
                with own_redis.client as client:
                    client.hset(name("entry", key), "token", "no JSON")
            with store.transaction(key, timeout=0) as entry:
                entry.save(make_token())
                entry.save(Token(access_token="without end"))
            assert store.load(key) is not None
            assert key in store.entries()
            with store.transaction(key, timeout=0) as entry:
                entry.delete()
        except StoreError as error:
            return "permission" not in str(error)
        except TimeoutError:
            return False  # a lease could not be freed
        with own_redis.client as client:
            return not client.exists(name("lease", key))

    commands = COMMANDS.split()
    assert works(commands)
    assert [one for one in commands if works([other for other in commands if other != one])] == []


@pytest.fixture(scope="module")
def tls_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    certificates = make_certificates(tmp_path_factory.mktemp("certificates"))
    with running_redis(tmp_path_factory.mktemp("redis"), tls=certificates) as server:
        yield server


def test_tls_with_a_private_authority(tls_redis: RedisServer, key: StoreKey) -> None:
    store = RedisStore(tls_redis.url)
    save(store, key, make_token())
    assert members(store.load(key)) == members(make_token())
    assert repr(store) == f"RedisStore('rediss://localhost:{tls_redis.port}/0')"


def test_a_certificate_of_nobody_that_is_known_is_refused(tls_redis: RedisServer, key: StoreKey) -> None:
    store = RedisStore(tls_redis.url.partition("?")[0])
    with pytest.raises(StoreError, match="certificate verify failed"):
        store.load(key)


def test_a_certificate_for_another_name_is_refused(tls_redis: RedisServer, key: StoreKey) -> None:
    store = RedisStore(tls_redis.url.replace("localhost", "127.0.0.1"))
    with pytest.raises(StoreError, match=r"certificate verify failed.*127\.0\.0\.1"):
        store.load(key)


# --- a Redis that does not work -----------------------------------------------------------------------------------


def test_no_redis_is_a_store_error(own_redis: RedisServer) -> None:
    store = RedisStore(own_redis.url)
    own_redis.stop()
    for call in every_call(store):
        with pytest.raises(StoreError, match="Connection refused"):
            call()


def test_a_redis_that_hangs_is_a_store_error_soon_and_leaves_no_lease_behind(
    own_redis: RedisServer, key: StoreKey
) -> None:
    """It does what it was asked for as soon as it goes on, when nobody waits for it any more."""
    store = RedisStore(own_redis.url)
    save(store, key, make_token())
    own_redis.pause()
    began_at = time.monotonic()
    with pytest.raises(StoreError, match="did not answer in time"):
        store.load(key)
    with pytest.raises(StoreError, match="did not answer in time"), store.transaction(key, timeout=0):
        pass
    assert time.monotonic() - began_at < 15  # of the 30 of a renewal
    own_redis.resume()
    with store.transaction(key, timeout=5):
        pass
    assert members(store.load(key)) == members(make_token())


def test_a_connection_that_was_cut_is_made_again(own_redis: RedisServer, key: StoreKey) -> None:
    store = RedisStore(own_redis.url)
    with store.transaction(key, timeout=0) as entry:
        with own_redis.client as client:
            client.client_kill_filter(_type="normal", skipme=True)
        entry.save(make_token())
    own_redis.stop()
    own_redis.start()
    assert store.load(key) is None


def test_a_replica_is_a_store_error_and_left_when_the_name_leads_to_another_master(
    own_redis: RedisServer, key: StoreKey, redis_server: RedisServer
) -> None:
    store = RedisStore(own_redis.url)
    save(store, key, make_token())
    with own_redis.client as client:
        client.replicaof("127.0.0.1", 1)
        assert members(store.load(key)) == members(make_token())
        with pytest.raises(StoreError, match="replica"), store.transaction(key, timeout=0):
            pass
        client.replicaof("NO", "ONE")
    save(store, key, make_token("newer"))
    assert members(store.load(key)) == members(make_token("newer"))


def test_a_full_redis_is_a_store_error_and_keeps_what_it_has(own_redis: RedisServer, key: StoreKey) -> None:
    store = RedisStore(own_redis.url)
    save(store, key, make_token())
    with own_redis.client as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(StoreError, match="memory is full"), store.transaction(key, timeout=0):
            pass
        assert members(store.load(key)) == members(make_token())
        client.config_set("maxmemory", "0")
    save(store, key, make_token("newer"))
