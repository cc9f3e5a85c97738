"""movingimage VideoManager Pro, whose authorization server is a Keycloak."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, Unpack

from ..client import OAuthClient
from ..discovery import WebFinger
from ..errors import ConfigurationError
from ..grants import AuthorizationCode, Grant, ResourceOwnerPassword
from ..origin import has_any_port, origin_of, written
from .environment import Environment
from .platform import PlatformAuth, Settings, check_grant

__all__ = ["MovingimageAuth"]

ANONYMOUS = "anonymous"  # the vendor's public client for scripts
_API_HOST = re.compile(r"(?P<host>https?://[^/?#@]+)(/|/v1)?")  # WebFinger knows the API by its whole URL only


class MovingimageAuth(PlatformAuth):
    """Auth for the movingimage API: tokens of 300 seconds, refresh tokens of an hour that each use renews.

    With `username` and `password` the password grant is used, as the vendor offers it for scripts with the public
    client `anonymous`; after the end of a session it is asked again. Else a person has to sign in, or the tokens come
    from elsewhere (`token=`, `source.set()`), and the end of the session is a `LoginRequired`.

    Args:
        client_id: the client id from movingimage; without one the public client `anonymous`.
        client_secret: its secret, or a callable that returns it.
        redirect_uri: the redirect URI that is registered for the client.
        username: the name for the password grant.
        password: the password for it.
        api_url: the API; a customer's own domain has its own, `https://host/v1/`. Where to ask for tokens is found
            from there.
        refresh_extra: what a refresh sends besides; `{}` for nothing. If not given, what the vendor's page lists:
            `response_type=token`, and the redirect URI.
        scope: `openid` if not given.
        user: whose token it is, where one program serves several people.
        token_endpoint_auth_method: `client_secret_post` if not given, `none` without a secret.
        settings: `grant`, `server`, `origins`, `insecure_origins`, `store`, `token`, `renew_ahead`, `token_timeout`,
            `http_client`, `on_event`, as everywhere.

    Raises:
        ConfigurationError: arguments are missing or contradict each other.

    Source: https://doc.movingimage.com/display/LT/Endpoint+Discovery and the pages beside it
    """

    API_URL = "https://api.video-cdn.net/v1/"
    ORIGINS: ClassVar[tuple[str, ...]] = ("https://api.video-cdn.net",)
    hint = "movingimage says 401 for wrong credentials too: check that the user may use this VideoManager."

    def __init__(
        self,
        client_id: str = ANONYMOUS,
        client_secret: str | Callable[[], str] | None = None,
        *,
        redirect_uri: str | None = None,
        username: str | None = None,
        password: str | None = None,
        api_url: str = API_URL,
        refresh_extra: Mapping[str, str] | None = None,
        scope: str | None = None,
        user: str = "",
        token_endpoint_auth_method: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        check_grant(settings, redirect_uri=redirect_uri, username=username, scope=scope, refresh_extra=refresh_extra)
        if client_id == ANONYMOUS and (client_secret is not None or redirect_uri is not None):
            raise ConfigurationError(
                "the public client anonymous has no client_secret and no redirect_uri: give the client_id that "
                "movingimage registered for you, or username= and password= alone"
            )
        if not isinstance(api_url, str):
            raise ConfigurationError(f"api_url has to be the API's URL, such as {self.API_URL}")
        if found := _API_HOST.fullmatch(api_url):
            api_url = f"{found['host']}/v1/"
        server = WebFinger(api_url)
        origin = origin_of(api_url)
        if token_endpoint_auth_method is None and client_secret is not None:
            token_endpoint_auth_method = "client_secret_post"  # noqa: S105 - the vendor's pages have it in the body
        super().__init__(
            server=server,
            client=OAuthClient(client_id, client_secret, token_endpoint_auth_method=token_endpoint_auth_method),
            grant=_grant(redirect_uri, username, password, scope or "openid", refresh_extra),
            origins=self.ORIGINS if origin is None else (written(origin),),
            user=user,
            settings=settings,
        )

    @classmethod
    def from_env(cls, prefix: str = "MOVINGIMAGE_", **keywords: Any) -> Self:
        """Take the settings from the environment.

        `USERNAME` and `PASSWORD` (or `PASSWORD_FILE`); or `CLIENT_ID`, `CLIENT_SECRET` (or `CLIENT_SECRET_FILE`) and
        `REDIRECT_URI`. `API_URL` for a customer's own domain.

        Args:
            prefix: what the names begin with.
            keywords: the keyword arguments of the class.

        Raises:
            ConfigurationError: names all variables that are missing.
        """
        environment = Environment(prefix)
        found: dict[str, Any] = {}
        if api_url := environment.text("API_URL", required=False):
            found["api_url"] = api_url
        client_id = environment.text("CLIENT_ID", required=False) or ANONYMOUS
        secret = environment.secret("CLIENT_SECRET", required=False) or None
        if client_id == ANONYMOUS or environment.has("USERNAME"):
            found["username"] = environment.text("USERNAME", required="username" not in keywords)
            found["password"] = environment.text_or_file("PASSWORD", required="password" not in keywords)
        else:
            found["redirect_uri"] = environment.text("REDIRECT_URI", required="redirect_uri" not in keywords)
            secret = environment.secret("CLIENT_SECRET")
        environment.check()
        return cls(client_id, secret, **(found | keywords))


def _grant(
    redirect_uri: str | None,
    username: str | None,
    password: str | None,
    scope: str,
    refresh_extra: Mapping[str, str] | None,
) -> Grant:
    if (username is None) is not (password is None):
        raise ConfigurationError("username= and password= go together")
    if username is not None and password is not None:
        if redirect_uri is not None:
            raise ConfigurationError(
                "username= means the password grant, redirect_uri= a sign-in in a browser: give one"
            )
        extra = {"response_type": "token"} if refresh_extra is None else refresh_extra
        return ResourceOwnerPassword(username, password, scope=scope, extra=extra)
    if refresh_extra is None:
        known = {} if redirect_uri is None or has_any_port(redirect_uri) else {"redirect_uri": redirect_uri}
        refresh_extra = {"response_type": "token"} | known
    # The vendor's page shows an answer in the fragment, which no server ever sees.
    return AuthorizationCode(
        redirect_uri, scope=scope, refresh_extra=refresh_extra, authorization_extra={"response_mode": "query"}
    )
