"""Brightcove Video Cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from ..auth import OAuth2Auth
from ..client import OAuthClient
from ..errors import ConfigurationError
from ..events import Event
from ..grants import ClientCredentials, Grant
from ..server import AuthorizationServer
from ..source import TokenSource
from ..stores import TokenStore
from ..token import Token
from .environment import Environment

__all__ = ["BrightcoveAuth"]


class BrightcoveAuth(OAuth2Auth):
    """Auth for the Brightcove APIs: client credentials, tokens of 300 seconds, no refresh token.

    Args:
        client_id: the client id of the API credential.
        client_secret: its secret, or a callable that returns it.
        credentials: instead of both, a callable that returns the pair, asked at each grant.
        grant: another grant than client credentials.
        server: another token endpoint than Brightcove's.
        origins: other origins than `ORIGINS`.
        insecure_origins: origins that may be used without TLS.
        scope: Brightcove knows none; for a proxy that does.
        store: where tokens are shared; private memory if not given.
        token: a token to begin with.
        renew_ahead: seconds before its end from which a token is renewed, at most a fifth of its life.
        token_timeout: seconds that a renewal may take.
        http_client: whose transports, TLS and proxy settings the token calls use.
        token_endpoint_auth_method: `client_secret_basic` if not given.
        on_event: called with each event.

    Raises:
        ConfigurationError: arguments are missing or contradict each other.

    Source: https://apis.support.brightcove.com/oauth/getting-started/overview-oauth-api-v4.html
    """

    SERVER = AuthorizationServer(
        token_endpoint="https://oauth.brightcove.com/v4/access_token",  # noqa: S106 - an URL
        token_endpoint_auth_methods_supported=("client_secret_basic",),
    )
    ORIGINS = (
        "https://cms.api.brightcove.com",
        "https://ingest.api.brightcove.com",
        "https://ingestion.api.brightcove.com",  # ingest profiles
        "https://analytics.api.brightcove.com",
        "https://players.api.brightcove.com",
        "https://policy.api.brightcove.com",
        "https://social.api.brightcove.com",
        "https://edge.social.api.brightcove.com",
        "https://audience.api.brightcove.com",
        "https://delivery-rules.api.brightcove.com",
        "https://repos.api.brightcove.com",
        "https://playback-rights.api.brightcove.com",
        "https://playback-auth.api.brightcove.com",
        "https://experiences.api.brightcove.com",
        "https://data.brightcove.com",
        "https://cm.cloudplayout.brightcove.com",
        "https://sm.cloudplayout.brightcove.com",
        "https://api.live.brightcove.com",
    )
    hint = (
        "Brightcove says 401 UNAUTHORIZED for a missing permission too: check that the credential has the operation "
        "and the account that the call needs."
    )

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | Callable[[], str] | None = None,
        *,
        credentials: Callable[[], tuple[str, str]] | None = None,
        grant: Grant | None = None,
        server: AuthorizationServer | str | None = None,
        origins: Iterable[str] | None = None,
        insecure_origins: Iterable[str] = (),
        scope: str | None = None,
        store: TokenStore | None = None,
        token: Token | Mapping[str, Any] | str | None = None,
        renew_ahead: float = 60.0,
        token_timeout: float = 30.0,
        http_client: object | None = None,
        token_endpoint_auth_method: str | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if credentials is None and (client_id is None or client_secret is None):
            raise ConfigurationError("BrightcoveAuth needs client_id and client_secret, or credentials=")
        if grant is not None and scope is not None:
            raise ConfigurationError("give the scope to the grant, not beside it")
        insecure_origins = tuple(insecure_origins)
        source = TokenSource(
            server or self.SERVER,
            OAuthClient(
                client_id,
                client_secret,
                credentials=credentials,
                token_endpoint_auth_method=token_endpoint_auth_method,
            ),
            grant or ClientCredentials(scope=scope),
            store=store,
            token=token,
            renew_ahead=renew_ahead,
            token_timeout=token_timeout,
            http_client=http_client,
            insecure_origins=insecure_origins,
            on_event=on_event,
        )
        super().__init__(
            source, origins=self.ORIGINS if origins is None else origins, insecure_origins=insecure_origins
        )

    @classmethod
    def from_env(cls, prefix: str = "BRIGHTCOVE_", **keywords: Any) -> Self:
        """Take the credential from the environment: `CLIENT_ID`, and `CLIENT_SECRET` or `CLIENT_SECRET_FILE`.

        Args:
            prefix: what the names begin with.
            keywords: the keyword arguments of the class.

        Raises:
            ConfigurationError: names all variables that are missing.
        """
        environment = Environment(prefix)
        client_id, client_secret = environment.text("CLIENT_ID"), environment.secret("CLIENT_SECRET")
        environment.check()
        return cls(client_id, client_secret, **keywords)
