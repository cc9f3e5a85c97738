"""Redis, run as a process of its own."""

from .process import RedisServer, running_redis

__all__ = ["RedisServer", "running_redis"]
