"""For type checkers only, never run: a user's own token provider, grant and store fit where the library's own do."""

# pyright: strict
from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from video_oauth_auth import (
    AuthorizationServer,
    Grant,
    MemoryStore,
    OAuth2Auth,
    OAuthClient,
    Status,
    StoreKey,
    Token,
    TokenProvider,
    TokenSource,
    TokenStore,
)
from video_oauth_auth.events import Event, TokenRenewed
from video_oauth_auth.stores import Entry


class OwnProvider:
    """Takes tokens from somewhere else."""

    def get_token(self, *, rejected: Token | str | None = None) -> Token:
        return Token(access_token="newer" if rejected else "first")

    async def aget_token(self, *, rejected: Token | str | None = None) -> Token:
        return self.get_token(rejected=rejected)


@dataclass(frozen=True, kw_only=True)
class OwnGrant:
    """A grant of a server's own."""

    device: str
    grant_type: str = "urn:example:device"
    needs_person: bool = False
    scope: str | None = None
    resource: Sequence[str] = ()
    audience: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str])

    def parameters(self) -> Mapping[str, str]:
        return {"device": self.device}


class OwnEntry:
    """What OwnStore lends."""

    def __init__(self, token: Token | None) -> None:
        self.token = token

    def save(self, token: Token) -> None:
        self.token = token

    def delete(self) -> None:
        self.token = None


class OwnStore:
    """A store of a user's own."""

    def __init__(self) -> None:
        self.kept: dict[StoreKey, OwnEntry] = {}

    def load(self, key: StoreKey) -> Token | None:
        return self.kept[key].token if key in self.kept else None

    @contextmanager
    def transaction(self, key: StoreKey, *, timeout: float) -> Generator[OwnEntry]:
        if timeout < 0:
            raise TimeoutError
        yield self.kept.setdefault(key, OwnEntry(None))

    def entries(self) -> list[StoreKey]:
        return list(self.kept)


def compose() -> OAuth2Auth:
    server = AuthorizationServer(token_endpoint="https://login.example.com/token")
    client = OAuthClient("id", lambda: "secret")
    grant = OwnGrant(device="d")
    source = TokenSource(server, client, grant, store=OwnStore(), on_event=listen, token={"access_token": "t"})
    return OAuth2Auth(source, origins=["https://api.example.com"])


def compose_from_a_provider() -> OAuth2Auth:
    return OAuth2Auth(OwnProvider(), origins=["https://api.example.com"])


def listen(event: Event) -> None:
    if isinstance(event, TokenRenewed):
        print(event.reason, event.duration + 1.0, event.waiters + 1)


def protocols() -> tuple[TokenProvider, Grant, TokenStore, TokenStore, Entry]:
    return OwnProvider(), OwnGrant(device="d"), OwnStore(), MemoryStore(), OwnEntry(None)


async def use(source: TokenSource) -> str:
    token = source.get_token()
    newer = await source.aget_token(rejected=token)
    source.set(newer)
    source.set({"access_token": "t", "expires_in": 300})
    source.set("t")
    source.reset()
    held: Token | None = source.peek()
    status: Status = source.status()
    expires: float | None = status.expires_at
    return f"{held} {expires} {source.key.id} {token.access_token} {token.extra.get('x')} {token.scope or ''}"
