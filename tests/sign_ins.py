"""What the tests of sign-ins share: a server with two people, auth objects for it, and their browsers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from video_oauth_auth import (
    AuthorizationCode,
    AuthorizationRequest,
    MovingimageAuth,
    OAuth2Auth,
    OAuthClient,
    Token,
    TokenSource,
    TokenStore,
)
from video_oauth_auth.testing import FormFiller, LoopbackServer, MovingimageServer, OAuthServer, with_members

PEOPLE = {"ann": "an invented password", "bob": "another invented password"}
LOOPBACK = "http://127.0.0.1:8765/callback"  # nobody listens there: browsers are asked where they would go
WEB = "https://films.example/callback"


def people_server(**settings: Any) -> OAuthServer:
    """A server where Ann and Bob can sign in."""
    return OAuthServer(users=PEOPLE, refresh_tokens=True, refresh_expires_in=3600, redirect_uris=(WEB,), **settings)


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with people_server() as running:
        yield running


def auth_of(
    server: LoopbackServer, *, redirect_uri: str | None = WEB, scope: str | None = "openid", **settings: Any
) -> OAuth2Auth:
    """An auth object for people at this server; `settings` are those of `TokenSource`, and `metadata`."""
    metadata = settings.pop("metadata", server.authorization_server)
    grant = settings.pop("grant", AuthorizationCode(redirect_uri, scope=scope))
    client = settings.pop("client", None) or OAuthClient(server.client_id, server.client_secret)
    return OAuth2Auth(TokenSource(metadata, client, grant, **settings), origins=[server.api_url])


def callback(pending: AuthorizationRequest, name: str = "ann", *, deny: bool = False) -> str:
    """The URL that the browser is sent back to, once somebody has signed in."""
    return FormFiller(name, PEOPLE[name], deny=deny).authorize(pending.url)


def sign_in(auth: OAuth2Auth, name: str = "ann", *, user: Any = None, **parameters: str) -> Token:
    """A whole sign-in; as the user of the same name, if not told otherwise."""
    pending = auth.begin_login(user=user or name, **parameters)
    return auth.complete_login(pending, callback(pending, name))


def begun(auth: OAuth2Auth, name: str = "ann") -> tuple[AuthorizationRequest, str]:
    """A sign-in that only has to be completed: what was begun, and its answer."""
    pending = auth.begin_login(user=name)
    return pending, callback(pending, name)


def signed_in(server: LoopbackServer, store: TokenStore | None = None, **settings: Any) -> OAuth2Auth:
    """The object of Ann, who has signed in."""
    auth = auth_of(server, store=store, **settings)
    sign_in(auth)
    return auth.for_user("ann")


def asked(pending: AuthorizationRequest) -> dict[str, str]:
    """The parameters of the authorization request; each stands there once."""
    pairs = parse_qsl(urlsplit(pending.url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def told(url: str) -> dict[str, str]:
    """The parameters of a callback URL."""
    parts = urlsplit(url)
    return dict(parse_qsl(parts.query or parts.fragment, keep_blank_values=True, strict_parsing=True))


def changed(url: str, **changes: str | None) -> str:
    """A callback URL with other parameters; None leaves one out."""
    parameters = {name: value for name, value in {**told(url), **changes}.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(parameters)}"


def whose(auth: OAuth2Auth, server: LoopbackServer) -> str:
    """Whom the API takes a request with this auth object for."""
    answer = requests.get(f"{server.api_url}/me", auth=auth, timeout=30)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["sub"])


def codes_sent(server: LoopbackServer) -> list[str]:
    """Each code that the token endpoint has received, as often as it did."""
    return [call.form["code"] for call in server.token_calls if "code" in call.form]


def forged(server: LoopbackServer, **changes: Any) -> None:
    """Let the next token answer have an ID token of Ann with other claims."""
    moment = int(time.time())
    claims = {"iss": server.issuer, "sub": "ann", "aud": server.client_id, "iat": moment, "exp": moment + 300}
    server.token_faults.add(with_members(id_token=server.sign({**claims, **changes})))


def movingimage_auth(server: MovingimageServer, **settings: Any) -> MovingimageAuth:
    """An auth object for people at a server that speaks like movingimage."""
    return MovingimageAuth(
        server.client_id,
        server.client_secret,
        redirect_uri=LOOPBACK,
        server=server.issuer,
        origins=[server.api_url],
        **settings,
    )
