"""OAuth2Auth: the front door. The way of a request is in flow.py, that of a renewal in source.py and renewal.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Self

from . import forks
from .client import OAuthClient
from .errors import ConfigurationError
from .flow import RequestFlow
from .grants import ClientCredentials
from .provided import Provided, TokenProvider
from .server import AuthorizationServer
from .signing_in import SigningIn
from .source import TokenSource

__all__ = ["OAuth2Auth"]


class OAuth2Auth(SigningIn, RequestFlow):
    """Give this as `auth=` to requests, httpx or httpx2: every request to the listed origins carries a good token.

    Args:
        source: where tokens come from: a `TokenSource`, or anything with the methods of `TokenProvider`.
        origins: the origins that the token is for, as `https://host` or `https://host:port`. Requests to other
            origins go out without it.
        insecure_origins: further origins, such as `http://api:8080`, to which it may go without TLS.
        scheme: the authentication scheme; None sends the bare token.

    Raises:
        ConfigurationError: an argument cannot work.
        InsecureTransportError: an origin is neither https, nor loopback, nor listed as insecure.
    """

    def __init__(
        self,
        source: TokenProvider,
        *,
        origins: Iterable[str],
        insecure_origins: Iterable[str] = (),
        scheme: str | None = "Bearer",
    ) -> None:
        if isinstance(source, type) or not isinstance(source, TokenProvider):
            raise ConfigurationError("source has to have the methods get_token and aget_token (TokenProvider)")
        RequestFlow.__init__(
            self,
            source if isinstance(source, TokenSource) else Provided(source),
            origins=origins,
            insecure_origins=insecure_origins,
            scheme=scheme,
        )
        self.source: TokenProvider = source

    @classmethod
    def client_credentials(
        cls,
        server: AuthorizationServer | str,
        client_id: str,
        client_secret: str | Callable[[], str],
        *,
        origins: Iterable[str],
        scope: str | None = None,
        insecure_origins: Iterable[str] = (),
        token_endpoint_auth_method: str | None = None,
        **settings: Any,
    ) -> OAuth2Auth:
        """Make an auth object for a client that asks in its own name (RFC 6749, section 4.4).

        Args:
            server: the authorization server: its issuer (an URL, discovered when first needed) or its metadata.
            client_id: the client id.
            client_secret: the secret, or a callable that returns it.
            origins: the origins that the token is for.
            scope: the scope to ask for.
            insecure_origins: origins that may be used without TLS, for the token and for token calls.
            token_endpoint_auth_method: how the client authenticates; chosen from the server's metadata if not given.
            settings: the keyword arguments of `TokenSource`.
        """
        client = OAuthClient(client_id, client_secret, token_endpoint_auth_method=token_endpoint_auth_method)
        grant = ClientCredentials(scope=scope)
        source = TokenSource(server, client, grant, insecure_origins=insecure_origins, **settings)
        return cls(source, origins=origins, insecure_origins=insecure_origins)

    @classmethod
    def from_profile(cls, name: str, **keywords: Any) -> Self:
        """Take the settings from a profile of the command `video-oauth-auth`, and share its tokens.

        The profile is one for `generic`; one for a platform belongs to the class of the platform, which has this too.

        Args:
            name: the profile.
            keywords: what a profile for `generic` has, and the keyword arguments of `TokenSource` and of this class;
                they win over those of the profile.

        Raises:
            ConfigurationError: there is no such profile, it is for a platform, or it cannot be used.
        """
        from .generic import generic_keywords
        from .profiles import read_profile

        return cls(**generic_keywords(read_profile(name).keywords_of({OAuth2Auth.__name__}, keywords)))

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins that the token is for, as `https://host` or `https://host:port`, sorted."""
        return self._origins.written()

    def headers(self, url: str) -> dict[str, str]:
        """Give the headers for a request that something makes which knows no `auth=`; may block for a renewal.

        Args:
            url: where the request goes; nothing is given for an origin that is not listed.
        """
        if not self._origins.holds(url):
            return {}
        return {"Authorization": self._prefix + self.source.get_token().access_token}

    async def aheaders(self, url: str) -> dict[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        if not self._origins.holds(url):
            return {}
        return {"Authorization": self._prefix + (await self.source.aget_token()).access_token}

    def _with(self, source: TokenSource) -> Self:
        sibling = object.__new__(type(self))
        sibling.__dict__.update(self.__dict__, source=source, _tokens=source, _ready=None, _asking=forks.ForkSafeLock())
        return sibling

    def __copy__(self) -> OAuth2Auth:
        return self

    def __deepcopy__(self, _: object) -> OAuth2Auth:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled: build it in the worker process, with a shared store="
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._origins}: {self.source!r}>"
