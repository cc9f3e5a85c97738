"""For type checkers only, never run: one auth object is an `auth=` of requests and httpx."""

# pyright: strict
from __future__ import annotations

import httpx
import requests

from video_oauth_auth import (
    AuthorizationServer,
    BrightcoveAuth,
    ClientCredentials,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
)


def composed() -> OAuth2Auth:
    server = AuthorizationServer(token_endpoint="https://login.example.com/token")
    client = OAuthClient("id", "secret", token_endpoint_auth_method="client_secret_post")
    source = TokenSource(server, client, ClientCredentials(scope="videos:read"), renew_ahead=30.0)
    return OAuth2Auth(source, origins=["https://api.example.com"], scheme=None)


def in_one_call() -> OAuth2Auth:
    origins = ("https://api.example.com",)
    return OAuth2Auth.client_credentials("https://login.example.com", "id", "secret", origins=origins, scope="a")


def with_a_secret_that_changes(read: object) -> OAuth2Auth:
    def secret() -> str:
        return str(read)

    return OAuth2Auth.client_credentials(
        "https://login.example.com", "id", secret, origins={"https://api.example.com"}, token_timeout=5
    )


def brightcove(pair: tuple[str, str]) -> list[BrightcoveAuth]:
    return [
        BrightcoveAuth("id", "secret"),
        BrightcoveAuth("id", lambda: "secret", token="text", renew_ahead=10),
        BrightcoveAuth(credentials=lambda: pair, http_client=requests.Session()),
        BrightcoveAuth.from_env(token_timeout=5.0),
    ]


def use_with_requests(auth: OAuth2Auth) -> requests.Response:
    with requests.Session() as session:
        session.auth = auth
        session.get("https://api.example.com/", auth=auth)
    requests.post("https://api.example.com/", data=b"film", auth=auth)
    return requests.get("https://api.example.com/", auth=auth)


def use_with_httpx(auth: OAuth2Auth) -> httpx.Response:
    with httpx.Client(auth=auth) as client:
        client.get("https://api.example.com/", auth=auth)
        client.auth = auth
    return httpx.get("https://api.example.com/", auth=auth)


async def use_with_async_httpx(auth: OAuth2Auth) -> httpx.Response:
    async with httpx.AsyncClient(auth=auth) as client:
        return await client.get("https://api.example.com/", auth=auth)


def is_a_httpx_auth(auth: OAuth2Auth) -> httpx.Auth:
    return auth


async def headers_for_others(auth: OAuth2Auth) -> dict[str, str]:
    return auth.headers("https://api.example.com/") | await auth.aheaders("https://api.example.com/")
