"""What takes part: one library in one HTTP client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..site import Site

if TYPE_CHECKING:
    import requests

__all__ = ["OURS", "STATIC", "AsyncFetch", "Client", "Contender", "Fetch", "GrantType", "Terms"]

OURS = "video_oauth_auth"
STATIC = "static header"

Client = Literal["requests", "httpx", "httpx2"]
GrantType = Literal["client_credentials", "refresh_token"]
Fetch = Callable[[], int]  # makes one API request and gives its status
AsyncFetch = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a contender is to be set up.

    Attributes:
        grant_type: how it renews its token.
        leeway: seconds before its end at which a token counts as expired; None for the library's default.
        connections: how many connections its pool keeps.
        mocked: True if API requests end in a mock transport instead of the network.
    """

    grant_type: GrantType = "client_credentials"
    leeway: float | None = None
    connections: int = 10
    mocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One library in one HTTP client; what it cannot do is None.

    Attributes:
        package: its name.
        client: the HTTP client that it is used in.
        open: sets it up, and gives what makes one request.
        open_async: the same for asyncio.
        authenticate: gives what it calls with each prepared request of requests.
        make: makes the n-th auth object, without I/O.
        grant_types: by which it renews tokens on its own.
        has_leeway: whether the time before the end, from which it takes a token for expired, can be set.
    """

    package: str
    client: Client
    open: Callable[[Site, Terms], AbstractContextManager[Fetch]]
    open_async: Callable[[Site, Terms], AbstractAsyncContextManager[AsyncFetch]] | None = None
    authenticate: Callable[[Site], Callable[[requests.PreparedRequest], Any]] | None = None
    make: Callable[[int], object] | None = None
    grant_types: frozenset[GrantType] = field(default=frozenset({"client_credentials", "refresh_token"}))
    has_leeway: bool = True

    @property
    def name(self) -> str:
        return f"{self.package} in {self.client}"
