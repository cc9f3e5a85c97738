"""cidaas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, Unpack

from ..client import OAuthClient
from ..errors import ConfigurationError
from ..grants import AuthorizationCode, ClientCredentials, Grant
from ..origin import origin_of, written
from .environment import Environment
from .platform import PlatformAuth, Settings, check_grant

__all__ = ["CidaasAuth"]


class CidaasAuth(PlatformAuth):
    """Auth for a cidaas tenant, or for your own services that take its tokens.

    With a secret and no redirect URI the client asks in its own name (client credentials). With a redirect URI, or
    without a secret, a person has to sign in, or the tokens come from elsewhere (`token=`).

    Args:
        issuer: the tenant, as `https://tenant.cidaas.de` or its custom domain; discovered when first needed.
        client_id: the client id of the app.
        client_secret: its secret, or a callable that returns it; None for a public client.
        redirect_uri: where a sign-in in a browser comes back to.
        scope: the scopes, separated by blanks; `offline_access` for a refresh token.
        user: whose token it is, where one program serves several people.
        token_endpoint_auth_method: what the app is set to; chosen from the tenant's metadata if not given.
        settings: `grant`, `server`, `origins`, `insecure_origins`, `store`, `token`, `renew_ahead`, `token_timeout`,
            `http_client`, `on_event`, as everywhere. Without `origins` the token is for the tenant itself; your own
            services have to be named. There is no rule for `.cidaas.de`: other tenants live there.

    Raises:
        ConfigurationError: arguments are missing or contradict each other.

    Source: https://docs.cidaas.com
    """

    hint = "The app may lack a scope or group, or the service may want another audience."

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | Callable[[], str] | None = None,
        *,
        redirect_uri: str | None = None,
        scope: str | None = None,
        user: str = "",
        token_endpoint_auth_method: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        check_grant(settings, redirect_uri=redirect_uri, scope=scope)
        if not isinstance(issuer, str):
            raise ConfigurationError("issuer has to be the tenant's URL: https://tenant.cidaas.de")
        issuer = issuer.rstrip("/")  # a tenant's issuer never ends with one, and people copy it from the browser
        origin = origin_of(issuer)
        grant: Grant = AuthorizationCode(redirect_uri, scope=scope)
        if client_secret is not None and redirect_uri is None:
            grant = ClientCredentials(scope=scope)
        super().__init__(
            server=issuer,
            client=OAuthClient(client_id, client_secret, token_endpoint_auth_method=token_endpoint_auth_method),
            grant=grant,
            origins=() if origin is None else (written(origin),),
            user=user,
            settings=settings,
        )

    @classmethod
    def from_env(cls, prefix: str = "CIDAAS_", **keywords: Any) -> Self:
        """Take `ISSUER`, `CLIENT_ID`, `CLIENT_SECRET` (or `CLIENT_SECRET_FILE`), `REDIRECT_URI` from the environment.

        The secret may be missing where there is a redirect URI: then it is a public client.

        Args:
            prefix: what the names begin with.
            keywords: the keyword arguments of the class.

        Raises:
            ConfigurationError: names all variables that are missing.
        """
        environment = Environment(prefix)
        issuer = environment.text("ISSUER")
        client_id, secret, redirect_uri = environment.client()
        environment.check()
        return cls(issuer, client_id, secret, **({"redirect_uri": redirect_uri} | keywords))
