"""The settings of a token source: its arguments, checked, as one value that the sources of several people share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .client import OAuthClient
from .discovery import Directory, WebFinger
from .errors import ConfigurationError
from .events import Event
from .freshness import Held, hold
from .grants import Grant
from .login.id_token import IDTokens
from .origin import insecure_members
from .server import AuthorizationServer
from .stores import MemoryStore, StoreKey, TokenStore
from .token import Token
from .transport import Via, via_client

__all__ = ["SourceSettings"]

SAVING = 10.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """What the sources of all users of one program have in common.

    Attributes:
        directory: knows the authorization server.
        client: who asks for tokens.
        grant: by what right; None for tokens that come from elsewhere.
        store: where tokens are kept.
        renew_ahead: seconds before its end from which a token is renewed.
        token_timeout: seconds that a renewal may take.
        via: which library makes the token calls; None for that of the first request.
        on_event: the user's function, or None.
        id_tokens: checks ID tokens, and keeps the keys of their issuer.
    """

    directory: Directory
    client: OAuthClient
    grant: Grant | None
    store: TokenStore
    renew_ahead: float
    token_timeout: float
    via: Via | None
    on_event: Callable[[Event], object] | None
    id_tokens: IDTokens

    @classmethod
    def checked(
        cls,
        server: AuthorizationServer | WebFinger | str,
        client: OAuthClient,
        grant: Grant | None,
        *,
        store: TokenStore | None,
        renew_ahead: float,
        token_timeout: float,
        http_client: object | None,
        insecure_origins: Iterable[str],
        on_event: Callable[[Event], object] | None,
    ) -> SourceSettings:
        """Check the arguments of a `TokenSource`, which tells what they mean.

        Raises:
            ConfigurationError: they cannot work together.
            InsecureTransportError: the token endpoint is neither https, nor loopback, nor listed.
        """
        _check_kinds(client, grant, store, on_event)
        insecure = insecure_members(insecure_origins)
        _check_lease(store, token_timeout)
        return cls(
            directory=Directory(server, insecure),
            client=client,
            grant=grant,
            store=MemoryStore() if store is None else store,
            renew_ahead=_seconds(renew_ahead, "renew_ahead", least=0.0),
            token_timeout=_seconds(token_timeout, "token_timeout", least=0.1),
            via=None if http_client is None else Via(via_client(http_client), http_client),
            on_event=on_event,
            id_tokens=IDTokens(insecure),
        )

    @property
    def unattended_grant(self) -> Grant | None:
        """The grant, if it can be asked again without a person."""
        return None if self.grant is None or self.grant.needs_person else self.grant

    def hold(self, token: Token) -> Held:
        """Hold a token that comes from a store or from the user."""
        return hold(token, self.renew_ahead)

    def key(self, user: str) -> StoreKey:
        """Give the name under which a user's token is kept."""
        return StoreKey.of(self.directory, self.client, self.grant, user=user)


def _seconds(value: float, name: str, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
        raise ConfigurationError(f"{name}= is a number of seconds, at least {least:g}; not {value!r}")
    return float(value)


def _check_lease(store: object, token_timeout: float) -> None:
    lease = getattr(getattr(store, "inner", store), "lease", None)  # EncryptedStore has another store inside
    if isinstance(lease, int | float) and token_timeout + SAVING > lease:
        raise ConfigurationError(
            f"the store's lease of {lease:g} s is too short for token_timeout={token_timeout:g} and {SAVING:g} s "
            f"to save: give the store a longer lease="
        )


def _check_kinds(client: OAuthClient, grant: object, store: object, on_event: object) -> None:
    if not isinstance(client, OAuthClient):
        raise ConfigurationError(f"client has to be an OAuthClient, not {type(client).__name__}")
    if grant is not None and (isinstance(grant, type) or not isinstance(grant, Grant)):
        raise ConfigurationError("grant has to be a grant object such as ClientCredentials(), or None")
    if store is not None and (isinstance(store, type) or not isinstance(store, TokenStore)):
        raise ConfigurationError("store= has to be an object with load, transaction and entries (TokenStore)")
    if store is not None and client.client_id is None:
        raise ConfigurationError(
            "a shared store= with credentials= needs a client_id too: it names the place of the tokens in the store, "
            "whatever pair the callable returns"
        )
    if on_event is not None and not callable(on_event):
        raise ConfigurationError("on_event= has to be callable")
