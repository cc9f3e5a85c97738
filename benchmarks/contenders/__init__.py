"""Who takes part."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from .contender import OURS, STATIC, AsyncFetch, Client, Contender, Fetch, GrantType, Terms

__all__ = [
    "OURS",
    "STATIC",
    "AsyncFetch",
    "Client",
    "Contender",
    "Fetch",
    "GrantType",
    "Terms",
    "all_contenders",
    "find",
]

# A library that is missing fails the run: a table without it would look like a table of all.
PEERS = (
    "requests_oauth2client",
    "requests_auth",
    "httpx_auth",
    "authlib_sessions",
    "requests_oauthlib",
    "google_auth",
)


def all_contenders(*, peers: bool) -> tuple[Contender, ...]:
    """Give the static header, ours, and the other libraries if they are wanted."""
    modules = ("static_header", "ours", *(PEERS if peers else ()))
    found = [importlib.import_module(f".{name}", __package__).CONTENDERS for name in modules]
    return tuple(contender for contenders in found for contender in contenders)


def find(contenders: Iterable[Contender], package: str, client: Client) -> Contender:
    """Give the one that is meant."""
    return next(one for one in contenders if (one.package, one.client) == (package, client))
