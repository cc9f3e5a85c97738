"""For type checkers only, never run: what cannot work is an error before the program starts.

Each line has to be an error for mypy and for pyright; one that is not is reported as a comment without need.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnusedExpression=false
from __future__ import annotations

import requests

from video_oauth_auth import (
    AuthorizationServer,
    BrightcoveAuth,
    ClientCredentials,
    OAuth2Auth,
    OAuthClient,
    ResourceOwnerPassword,
    Token,
    TokenSource,
)


class NoProvider:
    """Lacks aget_token."""

    def get_token(self, *, rejected: Token | str | None = None) -> Token:
        return Token(access_token="t") if rejected is None else Token(access_token="u")


def refused(source: TokenSource, client: OAuthClient, server: AuthorizationServer, token: Token) -> None:
    OAuth2Auth(source)  # type: ignore[call-arg]
    OAuth2Auth(NoProvider(), origins=["https://api.example.com"])  # type: ignore[arg-type]
    OAuth2Auth(source, ["https://api.example.com"])  # type: ignore[call-arg]
    BrightcoveAuth("id", b"secret")  # type: ignore[arg-type]
    BrightcoveAuth("id", "secret", renew_ahed=10)  # type: ignore[call-arg]
    TokenSource(server, client, ClientCredentials)  # type: ignore[arg-type]
    TokenSource(server, client, ClientCredentials(), store=dict[str, str]())  # type: ignore[arg-type]
    ClientCredentials("videos:read")  # type: ignore[call-arg]
    ResourceOwnerPassword("ann")  # type: ignore[call-arg]
    OAuthClient("id", 7)  # type: ignore[arg-type]
    token.access_token = "other"  # type: ignore[misc]
    server.token_endpoint = None  # type: ignore[misc]
    requests.get("https://api.example.com/", auth=source)  # type: ignore[arg-type]
