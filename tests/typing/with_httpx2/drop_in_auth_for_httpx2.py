"""For type checkers only, never run: the same auth object is an `auth=` of httpx2."""

# pyright: strict
from __future__ import annotations

import httpx2

from video_oauth_auth import BrightcoveAuth, OAuth2Auth


def use_with_httpx2(auth: OAuth2Auth) -> httpx2.Response:
    with httpx2.Client(auth=auth) as client:
        client.get("https://api.example.com/", auth=auth)
        client.auth = auth
    return httpx2.get("https://api.example.com/", auth=auth)


async def use_with_async_httpx2(auth: OAuth2Auth) -> httpx2.Response:
    async with httpx2.AsyncClient(auth=auth) as client:
        return await client.get("https://api.example.com/", auth=auth)


def use_a_platform(auth: BrightcoveAuth) -> httpx2.Response:
    return httpx2.Client(auth=auth).get("https://cms.api.brightcove.com/v1/accounts/1/videos")


def give_its_client() -> BrightcoveAuth:
    return BrightcoveAuth("id", "secret", http_client=httpx2.Client())
