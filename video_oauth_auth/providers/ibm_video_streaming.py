"""IBM Video Streaming, formerly Ustream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self, Unpack

from ..client import OAuthClient
from ..errors import ConfigurationError
from ..grants import AuthorizationCode, ClientCredentials, Grant
from ..server import AuthorizationServer
from .environment import Environment
from .platform import PlatformAuth, Settings, check_grant

__all__ = ["IBMVideoStreamingAuth"]


class IBMVideoStreamingAuth(PlatformAuth):
    """Auth for the IBM Video Streaming APIs: tokens of a day, refresh tokens of 30 days that each use replaces.

    With a secret and no redirect URI the client asks in its own name (client credentials). With a redirect URI, or
    without a secret (a native application), a person has to sign in, or the tokens come from elsewhere (`token=`).

    Args:
        client_id: the client id.
        client_secret: its secret, or a callable that returns it; None for a native application.
        redirect_uri: where a sign-in in a browser comes back to.
        token_type: `jwt` for the Analytics API: it has an origin of its own and wants the bare token.
        scope: for example `broadcaster`, `openid`, `email`, separated by blanks.
        user: whose token it is, where one program serves several people.
        token_endpoint_auth_method: `client_secret_post` if not given; or `raw_secret_basic`, which the vendor's pages
            show: the bare secret after `Basic `. Users report that only the first works everywhere; the standard
            `client_secret_basic` is refused by the server.
        settings: `grant`, `server`, `origins`, `insecure_origins`, `store`, `token`, `renew_ahead`, `token_timeout`,
            `http_client`, `on_event`, as everywhere.

    Raises:
        ConfigurationError: arguments are missing or contradict each other.

    Source: https://developers.video.ibm.com/api-basics-authentication
    """

    SERVER = AuthorizationServer(
        authorization_endpoint="https://authentication.video.ibm.com/authorize",
        token_endpoint="https://video.ibm.com/oauth2/token",  # noqa: S106 - an URL
        revocation_endpoint="https://video.ibm.com/oauth2/token/revoke",
        token_endpoint_auth_methods_supported=("client_secret_post", "raw_secret_basic"),
    )
    ORIGINS: ClassVar[tuple[str, ...]] = ("https://api.video.ibm.com", "https://api.ustream.tv")
    ANALYTICS_ORIGINS: ClassVar[tuple[str, ...]] = ("https://analytics-api.video.ibm.com",)
    hint = "The token may lack a scope, or belong to another user than the channel."

    def __init__(
        self,
        client_id: str,
        client_secret: str | Callable[[], str] | None = None,
        *,
        redirect_uri: str | None = None,
        token_type: Literal["jwt"] | None = None,
        scope: str | None = None,
        user: str = "",
        token_endpoint_auth_method: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        check_grant(settings, redirect_uri=redirect_uri, token_type=token_type, scope=scope)
        if token_type not in (None, "jwt"):
            raise ConfigurationError(f"token_type={token_type!r} is not known; 'jwt' is for the Analytics API")
        extra = {} if token_type is None else {"token_type": token_type}
        grant: Grant = AuthorizationCode(redirect_uri, scope=scope, extra=extra)
        if client_secret is not None and redirect_uri is None:
            grant = ClientCredentials(scope=scope, extra=extra)
        super().__init__(
            server=self.SERVER,
            client=OAuthClient(client_id, client_secret, token_endpoint_auth_method=token_endpoint_auth_method),
            grant=grant,
            origins=self.ORIGINS if token_type is None else self.ANALYTICS_ORIGINS,
            user=user,
            scheme="Bearer" if token_type is None else None,
            settings=settings,
        )

    @classmethod
    def from_env(cls, prefix: str = "IBM_VIDEO_STREAMING_", **keywords: Any) -> Self:
        """Take `CLIENT_ID`, `CLIENT_SECRET` (or `CLIENT_SECRET_FILE`) and `REDIRECT_URI` from the environment.

        The secret may be missing where there is a redirect URI: then it is a native application.

        Args:
            prefix: what the names begin with.
            keywords: the keyword arguments of the class.

        Raises:
            ConfigurationError: names all variables that are missing.
        """
        environment = Environment(prefix)
        client_id, secret, redirect_uri = environment.client()
        environment.check()
        return cls(client_id, secret, **({"redirect_uri": redirect_uri} | keywords))
