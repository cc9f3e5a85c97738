"""The two servers as one test sees them, and what it does with them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    Grant,
    OAuth2Auth,
    OAuthClient,
    Token,
    TokenSource,
)

from .introspecting_api import IntrospectingApi, Received
from .oidc_provider import OidcProvider, RegisteredClient

EXPIRY_TIMEOUT = 20.0


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """The two servers, seen from one test."""

    provider: OidcProvider
    api: IntrospectingApi
    url: str

    def auth(
        self,
        client: RegisteredClient,
        grant: ClientCredentials | None,
        *,
        token: Mapping[str, Any] | None = None,
    ) -> OAuth2Auth:
        oauth_client = OAuthClient(
            client.client_id,
            client.client_secret,
            token_endpoint_auth_method=client.token_endpoint_auth_method,
        )
        server = AuthorizationServer(token_endpoint=self.provider.token_endpoint)
        return self.auth_at(server, oauth_client, grant, token=token)

    def auth_at(
        self,
        server: AuthorizationServer | str,
        client: OAuthClient,
        grant: Grant | None,
        *,
        token: Mapping[str, Any] | None = None,
        http_client: httpx.Client | None = None,
    ) -> OAuth2Auth:
        """An auth object for the API as a user makes it, from an issuer or from metadata."""
        source = TokenSource(server, client, grant, token=token, http_client=http_client)
        return OAuth2Auth(source, origins=[self.api.origin])

    def received(self) -> list[Received]:
        return self.api.received(urlsplit(self.url).path)

    def statuses(self) -> list[int]:
        return [received.status for received in self.received()]

    def access_tokens(self) -> list[str]:
        """The different tokens that the API accepted, in order."""
        return list(dict.fromkeys(str(one.access_token) for one in self.received() if one.status == 200))

    def wait_until_expired(self, token: Token) -> None:
        """Returns when both sides hold the token for expired: the provider and the one who uses it."""
        deadline = time.monotonic() + EXPIRY_TIMEOUT
        while time.time() < (token.expires_at or 0) or self.api.accepts(token.access_token):
            assert time.monotonic() < deadline, "the access token does not expire"
            time.sleep(0.05)

    def revoke(self, client: RegisteredClient, token: Token) -> None:
        """Ends an access token as its client may (RFC 7009)."""
        answer = httpx.post(
            self.provider.revocation_endpoint,
            data={"token": token.access_token},
            auth=(client.client_id, client.client_secret),
        )
        assert answer.status_code == 200

    def assert_refreshed_without_reuse(self, client: RegisteredClient, *, times: int) -> None:
        """The provider gave `times` refresh grants to this client and has never seen a token spent twice."""
        statistics = self.provider.statistics(client.client_id)
        assert statistics.granted == {"refresh_token": times}
        assert statistics.refused == {}
        assert statistics.revoked_grants == 0


def current(auth: OAuth2Auth) -> Token:
    """The token that this auth object holds, whatever its state."""
    assert isinstance(auth.source, TokenSource)
    token = auth.source.peek()
    assert token is not None
    return token
