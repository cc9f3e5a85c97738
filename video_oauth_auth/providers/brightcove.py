"""Brightcove Video Cloud."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self, Unpack

from ..client import OAuthClient
from ..errors import ConfigurationError
from ..grants import ClientCredentials
from ..organisations import KEPT, Organisations
from ..origin import listed
from ..server import AuthorizationServer
from .environment import Environment
from .platform import PlatformAuth, Settings, check_grant

__all__ = ["BrightcoveAuth"]


class BrightcoveAuth(PlatformAuth):
    """Auth for the Brightcove APIs: client credentials, tokens of 300 seconds, no refresh token.

    Args:
        client_id: the client id of the API credential.
        client_secret: its secret, or a callable that returns it.
        credentials: instead of both, a callable that returns the pair, asked at each grant.
        scope: Brightcove knows none; for a proxy that does.
        token_endpoint_auth_method: `client_secret_basic` if not given.
        settings: `grant`, `server`, `origins`, `insecure_origins`, `store`, `token`, `renew_ahead`, `token_timeout`,
            `http_client`, `on_event`, as everywhere.

    Raises:
        ConfigurationError: arguments are missing or contradict each other.

    Source: https://apis.support.brightcove.com/oauth/getting-started/overview-oauth-api-v4.html
    """

    SERVER = AuthorizationServer(
        token_endpoint="https://oauth.brightcove.com/v4/access_token",  # noqa: S106 - an URL
        token_endpoint_auth_methods_supported=("client_secret_basic",),
    )
    ORIGINS: ClassVar[tuple[str, ...]] = (
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
        scope: str | None = None,
        token_endpoint_auth_method: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        if credentials is None and (client_id is None or client_secret is None):
            raise ConfigurationError("BrightcoveAuth needs client_id and client_secret, or credentials=")
        check_grant(settings, scope=scope)
        super().__init__(
            server=self.SERVER,
            client=OAuthClient(
                client_id,
                client_secret,
                credentials=credentials,
                token_endpoint_auth_method=token_endpoint_auth_method,
            ),
            grant=ClientCredentials(scope=scope),
            origins=self.ORIGINS,
            settings=settings,
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

    @classmethod
    def for_organisations(
        cls, credentials: Callable[[str], tuple[str, str]], *, kept: int = KEPT, **settings: Unpack[Settings]
    ) -> Organisations[Self]:
        """Serve many customers, each with a credential of its own: `auths["org-1"]` is the auth object of one.

        In a shared `store`, tokens are filed under the name of the organisation, whatever its credential is.

        Args:
            credentials: gives the client id and the secret of an organisation from its name; asked at each token call,
                on a thread that may block, so that it can read a database, and what has changed there counts.
            kept: how many auth objects stay alive though nobody uses them just now.
            settings: those of the class, the same for all organisations; `token` cannot be.

        Raises:
            ConfigurationError: arguments cannot work.
        """
        if not callable(credentials):
            raise ConfigurationError("credentials has to be a callable: it takes a name, and returns the pair")
        if settings.get("token") is not None:
            raise ConfigurationError("token= would give one organisation's token to all of them")
        shared = settings.copy()
        shared["insecure_origins"] = listed(settings.get("insecure_origins", ()), "insecure_origins")
        if (origins := settings.get("origins")) is not None:
            shared["origins"] = listed(origins, "origins")

        cls._of("settings that cannot work are told now", credentials, shared)
        return Organisations(lambda name: cls._of(name, credentials, shared), kept=kept)

    @classmethod
    def _of(cls, name: str, credentials: Callable[[str], tuple[str, str]], settings: Settings) -> Self:
        return cls(name, credentials=partial(credentials, name), **settings)
