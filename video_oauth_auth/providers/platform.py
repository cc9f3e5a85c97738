"""What the platform classes have in common: their keywords, and how they become an auth object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self, TypedDict

from ..auth import OAuth2Auth
from ..client import OAuthClient
from ..discovery import WebFinger
from ..errors import ConfigurationError
from ..events import Event
from ..grants import Grant
from ..server import AuthorizationServer
from ..source import TokenSource
from ..stores import TokenStore
from ..token import GivenToken

__all__ = ["PlatformAuth", "Settings"]


class Settings(TypedDict, total=False):
    """The keywords that every platform class takes.

    Attributes:
        grant: another grant than the platform's own choice.
        server: another authorization server: an issuer, or metadata.
        origins: other origins than the platform's; they replace them.
        insecure_origins: origins that may be used without TLS.
        store: where tokens are shared; private memory if not given.
        token: a token to begin with.
        renew_ahead: seconds before its end from which a token is renewed, at most a fifth of its life.
        token_timeout: seconds that a renewal may take.
        http_client: whose transports, TLS and proxy settings the token calls use.
        on_event: called with each event.
    """

    grant: Grant | None
    server: AuthorizationServer | str | None
    origins: Iterable[str] | None
    insecure_origins: Iterable[str]
    store: TokenStore | None
    token: GivenToken | None
    renew_ahead: float
    token_timeout: float
    http_client: object | None
    on_event: Callable[[Event], object] | None


class PlatformAuth(OAuth2Auth):
    """An auth object that knows its platform."""

    ORIGINS: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        server: AuthorizationServer | WebFinger | str,
        client: OAuthClient,
        grant: Grant,
        settings: Settings,
        origins: Iterable[str],
        user: str = "",
        scheme: str | None = "Bearer",
    ) -> None:
        if unknown := sorted(settings.keys() - Settings.__annotations__.keys()):
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {unknown[0]!r}")
        rest: dict[str, Any] = dict(settings)
        insecure_origins = tuple(rest.pop("insecure_origins", ()))
        chosen = rest.pop("origins", None)
        source = TokenSource(
            rest.pop("server", None) or server,
            client,
            rest.pop("grant", None) or grant,
            user=user,
            insecure_origins=insecure_origins,
            **rest,
        )
        super().__init__(
            source,
            origins=origins if chosen is None else chosen,
            insecure_origins=insecure_origins,
            scheme=scheme,
        )

    @classmethod
    def from_profile(cls, name: str, **keywords: Any) -> Self:
        """Take the settings from a profile of the command `video-oauth-auth`, and share its tokens.

        Args:
            name: the profile.
            keywords: the keyword arguments of the class; they win over those of the profile.

        Raises:
            ConfigurationError: there is no such profile, it is for another platform, or it cannot be used.
        """
        from ..profiles import read_profile

        kinds = {kind.__name__ for kind in cls.__mro__ if issubclass(kind, PlatformAuth)}
        return cls(**read_profile(name).keywords_of(kinds, keywords))


def check_grant(settings: Settings, **others: object) -> None:
    """Refuse arguments that would be ignored because a grant is given.

    Raises:
        ConfigurationError: names them.
    """
    if settings.get("grant") is not None and (
        given := sorted(name for name, value in others.items() if value is not None)
    ):
        raise ConfigurationError(f"with grant= given, {', '.join(given)} would be ignored: give it to the grant")
