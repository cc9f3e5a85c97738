"""RedisStore: tokens in Redis, shared by programs on many machines.

The lock of an entry is a lease: a key with the random name of its holder, which Redis removes when its time is over.
A holder that was stopped for longer cannot know that. So Redis judges each write, in one script: it counts if the lease
is still the writer's, or if nobody else has written since the writer read the entry.
"""

from __future__ import annotations

import json
import logging
import math
import random
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NoReturn

from .. import forks
from ..errors import ConfigurationError, StoreError
from ..token import TEN_YEARS, Token
from .contract import StoreKey
from .encoding import Unreadable, decoded, encoded
from .redis_connection import Connection

if TYPE_CHECKING:
    from .redis_connection import Redis

__all__ = ["RedisStore"]

logger = logging.getLogger("video_oauth_auth")

PREFIX = "video-oauth-auth:{store}:"  # the braces put all keys into one slot of a cluster: scripts need that
WAIT_FIRST, WAIT_AT_MOST = 0.05, 0.2  # seconds between two tries to get a lease
GRACE = 86_400.0  # seconds that an entry is kept when everything in it has ended
ASIDE = 30 * 86_400.0  # seconds that what could not be read is kept

# KEYS: lease, entry. ARGV: owner, milliseconds. An owner that asks twice did not get the first answer.
_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local entry = redis.call('HMGET', KEYS[2], 'version', 'writer', 'token')
return {entry[1] or '0', entry[2] or '', entry[3] or ''}
"""

# KEYS: lease. ARGV: owner.
_FREE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1])"

# KEYS: lease, entry, index, aside. ARGV: owner, version and writer that it read, token (empty: none), milliseconds
# until it ends (empty: never), member of the index, milliseconds to keep what it replaces (empty: not at all).
# A version lower than the one that was read comes from an older snapshot: nobody has written it since.
# A deleted entry keeps its version for a while, so that who had read it before cannot bring it back.
_WRITE = """
local entry = redis.call('HMGET', KEYS[2], 'version', 'writer', 'token')
local version, read = tonumber(entry[1] or '0'), tonumber(ARGV[2])
if redis.call('GET', KEYS[1]) ~= ARGV[1] and entry[2] ~= ARGV[1]
   and (version > read or version == read and (entry[2] or '') ~= ARGV[3]) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[7] ~= '' and entry[3] and entry[2] ~= ARGV[1] then redis.call('SET', KEYS[4], entry[3], 'PX', ARGV[7]) end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%d', now))
redis.call('HSET', KEYS[2], 'version', string.format('%d', math.max(version + 1, read + 1, now)), 'writer', ARGV[1])
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[2], 'token')
  redis.call('DEL', KEYS[4])
  redis.call('ZREM', KEYS[3], ARGV[6])
else
  redis.call('HSET', KEYS[2], 'token', ARGV[4])
  redis.call('ZADD', KEYS[3], ARGV[5] == '' and '+inf' or string.format('%d', now + ARGV[5]), ARGV[6])
end
if ARGV[5] == '' then redis.call('PERSIST', KEYS[2]) else redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
return 1
"""

# KEYS: index.
_LIST = """
local time = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%d', time[1] * 1000 + math.floor(time[2] / 1000)), '+inf')
"""


class RedisStore:
    """A token store in Redis, for programs on several machines. It needs the extra `redis`.

    Tokens are not encrypted: whoever can read the database can use them, unless `EncryptedStore` is put around it.

    Args:
        url_or_client: `redis://`, `rediss://` (TLS) or `unix://`, with user name, password and options as redis-py
            takes them; or a `redis.Redis` of your own, with its own time-outs.
        lease: seconds after which the lock of a holder that has died is free. It has to be longer, by ten seconds at
            least, than every `token_timeout`.

    Raises:
        ConfigurationError: an argument cannot be used, or the extra is not installed.
    """

    __slots__ = ("_connection", "_place", "lease")

    def __init__(self, url_or_client: str | Redis, *, lease: float = 45.0) -> None:
        self._connection = Connection(url_or_client)
        self._place = self._connection.place
        if isinstance(lease, bool) or not isinstance(lease, int | float) or not 1 <= lease < math.inf:
            raise ConfigurationError(f"lease= is a number of seconds, at least 1; not {lease!r}")
        self.lease: float = float(lease)

    def __repr__(self) -> str:
        return f"RedisStore({self._place!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "RedisStore cannot be pickled, it holds connections and a password: build it in the worker process"
        )

    def load(self, key: StoreKey) -> Token | None:
        data = self._connection.run("read", "HGET", _name("entry", key), "token")
        return _Stored.read(key, self._place, token=_bytes(data or b"")).token

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Iterator[_Entry]:
        owner = secrets.token_hex(16)
        try:
            entry = _Entry(self, key, owner, self._take(key, owner, timeout))
        except TimeoutError:
            raise
        except BaseException:
            self._free(key, owner)  # Redis may have given it, and only the answer was lost
            raise
        try:
            yield entry
        finally:
            if entry.is_held:  # not in a forked child, which has a copy of it
                entry.end()
                self._free(key, owner)

    def entries(self) -> list[StoreKey]:
        """Give the keys of all entries."""
        keys = map(_listed, self._connection.evaluate("listed", _LIST, [PREFIX + "index"]))
        return [key for key in keys if key is not None]

    def _take(self, key: StoreKey, owner: str, timeout: float) -> _Stored:
        names = [_name("lease", key), _name("entry", key)]
        ends_at, wait = time.monotonic() + timeout, WAIT_FIRST
        while (found := self._connection.evaluate("locked", _TAKE, names, owner, int(self.lease * 1000))) is None:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("another renewal holds the lock of this entry")
            time.sleep(min(left, wait * random.uniform(0.5, 1.0)))  # noqa: S311 - so that many do not ask in step
            wait = min(wait * 2, WAIT_AT_MOST)
        version, writer, token = map(_bytes, found)
        stored = _Stored.read(key, self._place, version=version, writer=writer, token=token)
        if stored.unreadable:
            logger.warning(
                "the token in %s cannot be read: %s. It counts as missing, and is moved to %s for 30 days when another "
                "one is saved",
                self._place,
                stored.unreadable,
                _name("aside", key),
            )
        return stored

    def _free(self, key: StoreKey, owner: str) -> None:
        with suppress(StoreError):  # it ends by itself
            self._connection.evaluate("unlocked", _FREE, [_name("lease", key)], owner)

    def _write(self, what: str, entry: _Entry, data: bytes, milliseconds: int | None) -> None:
        """Have a token written, or deleted where there is no data.

        Raises:
            StoreError: it was not; also where the lease was lost and somebody else has written since.
        """
        if not entry.is_held:
            raise StoreError(
                "an entry was changed without its lock: the transaction has ended, or this process was forked inside it"
            )
        key, stored = entry.key, entry.stored
        names = [_name("lease", key), _name("entry", key), PREFIX + "index", _name("aside", key)]
        aside = int(ASIDE * 1000) if stored.unreadable else ""
        read = (entry.owner, stored.version, stored.writer)
        if not self._connection.evaluate(what, _WRITE, names, *read, data, milliseconds or "", _member(key), aside):
            raise StoreError(
                f"the token in {self._place} was not {what}: the lock was lost (this process was stopped for more "
                f"than the lease of {self.lease:g} s, or Redis was restarted), and somebody else has written since. "
                "What they wrote stays"
            )


class _Entry:
    """The entry of the holder of a lease.

    Args:
        store: the store.
        key: whose entry.
        owner: the random name of the holder.
        stored: what was there when the lease was taken.

    Attributes:
        is_held: False if the transaction has ended, or goes on in the process that this one was forked from.
    """

    __slots__ = ("_born", "_is_held", "_store", "_token", "key", "owner", "stored")

    def __init__(self, store: RedisStore, key: StoreKey, owner: str, stored: _Stored) -> None:
        self._store = store
        self._token = stored.token
        self._born, self._is_held = forks.generation(), True
        self.key, self.owner, self.stored = key, owner, stored

    @property
    def is_held(self) -> bool:
        return self._is_held and self._born == forks.generation()

    def end(self) -> None:
        """Let nothing be written any more."""
        self._is_held = False

    @property
    def token(self) -> Token | None:
        return self._token

    def save(self, token: Token) -> None:
        data = encoded(self.key, token, unknown=self.stored.unknown)
        self._store._write("written", self, data, _milliseconds(token))
        self._token, self.stored = token, replace(self.stored, unreadable="")

    def delete(self) -> None:
        self._store._write("deleted", self, b"", int(GRACE * 1000))
        self._token, self.stored = None, replace(self.stored, unreadable="", unknown={})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What Redis has under a key.

    Attributes:
        version: how often it was written.
        writer: who has written it, by the random name of that transaction.
        token: the token, or None.
        unknown: members of the entry that this version of the library does not know.
        unreadable: why what is there cannot be read, or empty.
    """

    version: bytes = b"0"
    writer: bytes = b""
    token: Token | None = field(default=None, repr=False)
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)
    unreadable: str = ""

    @classmethod
    def read(cls, key: StoreKey, place: str, *, token: bytes, version: bytes = b"0", writer: bytes = b"") -> _Stored:
        """Read the parts of an entry.

        Raises:
            StoreError: a newer version of the library has written it.
        """
        if not token:
            return cls(version=version, writer=writer)
        try:
            document = decoded(token)
        except Unreadable as error:
            why, newer = str(error), error.newer
        else:
            if document.key == key:
                return cls(version=version, writer=writer, token=document.token, unknown=document.unknown)
            why, newer = "it is the entry of another sign-in", False
        if not newer:
            return cls(version=version, writer=writer, unreadable=why)
        # Outside the handler: the frames of what failed hold the token.
        raise StoreError(f"the token in {place} cannot be read: {why}. Update video-oauth-auth here")


def _milliseconds(token: Token) -> int | None:
    """Give how long a token is worth keeping; None where its end is not known."""
    ends = [token.expires_at, *([token.refresh_expires_at] if token.refresh_token else [])]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    return int((max(0.0, min(TEN_YEARS, max(known) - time.time())) + GRACE) * 1000)


def _name(kind: str, key: StoreKey) -> str:
    return f"{PREFIX}{kind}:{key.id}"


def _member(key: StoreKey) -> bytes:
    return json.dumps({one.name: getattr(key, one.name) for one in fields(StoreKey)}, sort_keys=True).encode("ascii")


def _listed(member: bytes | str) -> StoreKey | None:
    """Read a member of the index; None where it is none that this version has written."""
    with suppress(ValueError, TypeError):
        return StoreKey(**json.loads(member))
    return None


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value  # text: from a client with decode_responses
