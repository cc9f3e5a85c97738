"""Where tokens outlive an object, and where processes meet."""

from .contract import Entry, StoreKey, TokenStore
from .memory import MemoryStore

__all__ = ["Entry", "MemoryStore", "StoreKey", "TokenStore"]
