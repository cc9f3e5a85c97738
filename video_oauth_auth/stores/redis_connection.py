"""The way to a Redis by redis-py: from a URL or a client to commands whose failures are told without secrets."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakSet

from .. import forks
from ..errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from redis import Redis as Redis

__all__ = ["Connection"]

ANSWER_WITHIN = 3.0  # seconds for a connection, and for each answer

# The reasons of redis-py's exceptions, by name. Their own texts are not shown: a server's may repeat what it was sent.
_WHY = {
    "AuthenticationError": "it refused the user name or password",
    "NoPermissionError": "its user lacks one of the permissions that docs/redis_store.md lists",
    "ReadOnlyError": "it is a replica, which takes no writes",
    "OutOfMemoryError": "its memory is full",
    "BusyLoadingError": "it has been started and still reads its data",
    "TimeoutError": "it did not answer in time",
}


class Connection:
    """A Redis. It connects when something is to be done, and again where that was cut.

    Args:
        url_or_client: a URL, or a `redis.Redis` with its own settings.

    Attributes:
        place: where it is, without names and passwords.

    Raises:
        ConfigurationError: it is neither, or redis-py is not installed.
    """

    __slots__ = ("__weakref__", "_client", "_failures", "place")

    def __init__(self, url_or_client: str | Redis) -> None:
        library = _import_redis()
        self._client: Any = _client(url_or_client, library)
        # ValueError: a client that was told to decode answers got one that is no text.
        self._failures = (library.RedisError, OSError, ValueError)
        self.place: str = _place(self._client, library)
        _connections.add(self)

    def run(self, what: str, *command: str | int | bytes) -> Any:
        """Run a command.

        Args:
            what: what cannot be done to the tokens if it fails, for the message: `read`.
            command: the command and its arguments.

        Raises:
            StoreError: it did not work, and why; perhaps it was done all the same, and the answer was lost.
        """
        try:
            return self._client.execute_command(*command)
        except self._failures as error:
            why = _reason(error)
        # Outside the handler: the frames of what failed hold the token and the password.
        raise StoreError(f"the tokens in {self.place} could not be {what}: {why}")

    def evaluate(self, what: str, script: str, names: list[str], *arguments: str | int | bytes) -> Any:
        """Run a script over the keys with these names, as `run` does."""
        return self.run(what, "EVAL", script, len(names), *names, *arguments)

    def unlock(self) -> None:
        """Open the locks of the client's pool in a child process, where nobody else would.

        redis-py finds out about a fork by itself and begins with new connections; but its versions since 6 wait for the
        pool's lock before that, which a thread of the parent may have held.
        """
        pool = getattr(self._client, "connection_pool", None)
        for name in ("_lock", "_fork_lock"):
            if hasattr(pool, name):
                setattr(pool, name, threading.RLock())


_connections: WeakSet[Connection] = WeakSet()


def _unlock_all() -> None:
    for connection in list(_connections):
        connection.unlock()


forks.reset_in_child(_unlock_all)


def _import_redis() -> ModuleType:
    with forks.held_off, suppress(ImportError):
        import redis

        "".encode("idna")  # a first connection imports this codec, and no fork must happen meanwhile
        return redis
    raise ConfigurationError("RedisStore needs the library of an extra: pip install 'video-oauth-auth[redis]'")


def _client(url_or_client: object, library: ModuleType) -> Any:
    if isinstance(url_or_client, str):
        return _client_of(url_or_client, library)
    if isinstance(url_or_client, library.Redis | library.RedisCluster):
        return url_or_client
    kind = type(url_or_client)
    raise ConfigurationError(
        f"RedisStore takes a URL or a redis.Redis, not {kind.__module__}.{kind.__name__}. (Stores are plain blocking "
        "code that runs on threads of its own, in asyncio programs as well)"
    )


def _client_of(url: str, library: ModuleType) -> Any:
    _check(url)
    # Tried again at once, on a new connection: Redis was restarted, or its name leads to another master by now.
    gone = [library.ConnectionError, library.ReadOnlyError]
    options = {
        "socket_timeout": ANSWER_WITHIN,
        "socket_connect_timeout": ANSWER_WITHIN,
        "retry": library.retry.Retry(library.backoff.NoBackoff(), 1, tuple(gone)),
        "retry_on_error": gone,
        "protocol": 2,
    }
    if url.startswith("rediss:"):
        options["ssl_check_hostname"] = True
    with suppress(TypeError, ValueError, library.RedisError):
        client = library.Redis.from_url(url, **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # connects nowhere, but finds options that there are not
        return client
    raise ConfigurationError("the URL given to RedisStore has an option after its `?` that redis-py does not take")


def _check(url: str) -> None:
    """Refuse what is no URL of a Redis: a password that is not percent-encoded makes it look like another one."""
    with suppress(ValueError):
        parts = urlsplit(url)
        rest = parts.path.removeprefix("/")
        of_socket = parts.scheme == "unix" and rest != ""
        of_host = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
        if (of_socket or (of_host and (rest == "" or (rest.isascii() and rest.isdigit())))) and not parts.fragment:
            return
    raise ConfigurationError(
        "RedisStore takes a URL such as redis://localhost, rediss://name:password@redis.example.com:6380/0 or "
        "unix:///run/redis.sock, with the special characters of the password percent-encoded (%40 for @, %2F for /); "
        "this one cannot be read"
    )


def _place(client: Any, library: ModuleType) -> str:
    """Give where a client leads to."""
    pool = getattr(client, "connection_pool", None)
    options = {} if pool is None else pool.connection_kwargs
    if "path" in options:
        return f"unix://{options['path']}"
    if pool is None or "host" not in options:
        return type(client).__name__  # a cluster, or a master that is known to sentinels
    scheme = "rediss" if issubclass(pool.connection_class, library.SSLConnection) else "redis"
    return f"{scheme}://{options['host']}:{options.get('port', 6379)}/{options.get('db', 0)}"


def _reason(error: Exception) -> str:
    if "can't run this command" in str(error):  # from inside a script, where it has no class of its own
        return _WHY["NoPermissionError"]
    names = [kind.__name__ for kind in type(error).__mro__]
    for name in names:
        if name in _WHY:
            return _WHY[name]
    cause: BaseException | None = error if {"ConnectionError", "OSError"} & set(names) else None
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror  # in the words of the system, or of the TLS library
        cause = cause.__cause__ or cause.__context__
    return names[0]
