"""Where tokens outlive an object, and where processes meet."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .contract import Entry, StoreKey, TokenStore
from .memory import MemoryStore

if TYPE_CHECKING:
    from .encrypted import EncryptedStore
    from .file import FileStore
    from .redis import RedisStore

__all__ = ["EncryptedStore", "Entry", "FileStore", "MemoryStore", "RedisStore", "StoreKey", "TokenStore"]

# What needs an extra, and time to import: loaded when somebody asks for it.
_LOADED_LATER = {"EncryptedStore": "encrypted", "FileStore": "file", "RedisStore": "redis"}


def __getattr__(name: str) -> Any:
    if name not in _LOADED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LOADED_LATER[name]}", __name__), name)
