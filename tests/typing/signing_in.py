"""For type checkers only, never run: signing in, in scripts, web applications and for several people."""

# pyright: strict
from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from video_oauth_auth import (
    AuthorizationCode,
    AuthorizationRequest,
    DeviceCode,
    MovingimageAuth,
    OAuth2Auth,
    OAuthClient,
    Token,
    TokenSource,
)
from video_oauth_auth.stores import EncryptedStore, FileStore, RedisStore, TokenStore


def in_a_script(auth: MovingimageAuth) -> Token:
    auth.login(force=True, open_browser=False, timeout=60, cancel=threading.Event(), notify=print, login_hint="ann")
    return auth.login(open_browser=lambda url: url.startswith("https://"))


def in_a_web_application(auth: OAuth2Auth, session: dict[str, object], query: Mapping[str, str]) -> Token:
    pending = auth.begin_login(user="ann", redirect_uri="https://films.example/callback", prompt="login")
    session["pending"] = pending.to_dict()
    begun = AuthorizationRequest.from_dict(pending.to_dict())
    auth.complete_login(begun, "https://films.example/callback?code=a&state=b")
    return auth.complete_login(begun, query, user=lambda token: str((token.claims or {})["sub"]))


async def in_an_event_loop(auth: OAuth2Auth) -> tuple[Token, bool, Mapping[str, Any], str]:
    pending = await auth.abegin_login(user=lambda token: str((token.claims or {})["sub"]))
    await auth.acomplete_login(pending, {"code": "a", "state": "b"})
    token = await auth.alogin(timeout=5.0)
    return token, await auth.alogout(), await auth.auserinfo(), await auth.aend_session_url(state="a")


def several_people(auth: MovingimageAuth) -> list[str]:
    ann: MovingimageAuth = auth.for_user("ann")
    ann.logout()
    ann.userinfo()
    ann.end_session_url(post_logout_redirect_uri="https://films.example/")
    return auth.users()


def grants() -> list[TokenSource]:
    client = OAuthClient("id")
    grants = (AuthorizationCode("http://127.0.0.1:0/callback", scope="openid"), DeviceCode(scope="openid email"))
    return [TokenSource("https://login.example.com", client, grant, user="ann") for grant in grants]


def stores() -> list[TokenStore]:
    return [FileStore(), EncryptedStore(FileStore("tokens")), RedisStore("redis://localhost")]
