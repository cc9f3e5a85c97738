"""A web application: people sign in at movingimage and see the VideoManagers that they may use.

    export MOVINGIMAGE_CLIENT_ID=... MOVINGIMAGE_CLIENT_SECRET=...
    export MOVINGIMAGE_REDIRECT_URI=http://127.0.0.1:8000/callback
    python examples/movingimage_web.py

This is the vendor's way for servers. The redirect URI has to be registered for the client, and so has the page `/` of
the same origin, where people come back to after they have signed out. On loopback the program listens at the port of
the redirect URI; an https redirect URI belongs to a proxy in front, which leads to 127.0.0.1 and `--port`.
MOVINGIMAGE_API_URL is for customers with a domain of their own.

Sessions and tokens are kept in memory, so this is for one process. For several, put both where all of them look: the
sessions into a database, the tokens into a shared `store=`.

Needs: pip install video-oauth-auth starlette uvicorn
Exit status: 2 if nothing could be begun.
"""

import argparse
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx
from movingimage_web_pages import WELCOME, listed, page, problem, style
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from video_oauth_auth import AuthorizationRequest, ConfigurationError, LoginRequired, MovingimageAuth, OAuthError, Token

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PORT = 8000
TIMEOUT = 60  # seconds
SESSION_LIFE = 8 * 3600.0  # seconds until somebody who has signed in has to do so again
SIGN_IN_LIFE = 600.0  # seconds that somebody has to sign in
MOST = 10_000  # sessions, and sign-ins that have begun
ID_BYTES, ID_LENGTH = 32, 43

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ApiError(Exception):
    """The API said no."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who has signed in with a browser.

    Attributes:
        user: whose tokens are used: `auth.for_user(user)`.
        name: what the person is called on the page.
    """

    user: str
    name: str


class Shelf(Generic[K, V]):
    """Keeps values for a while; if there are too many, the oldest go."""

    def __init__(self, life: float) -> None:
        self._life = life
        self._kept: dict[K, tuple[float, V]] = {}  # the oldest first, since all live equally long

    def put(self, key: K, value: V) -> None:
        """Keep a value from now on."""
        while self._kept and (len(self._kept) >= MOST or next(iter(self._kept.values()))[0] <= monotonic()):
            del self._kept[next(iter(self._kept))]
        self._kept[key] = monotonic() + self._life, value

    def get(self, key: K) -> V | None:
        """Give a value, if it is there."""
        ends_at, value = self._kept.get(key, (0.0, None))
        return value if ends_at > monotonic() else None

    def take(self, key: K) -> V | None:
        """Give a value, if it is there, and keep it no longer."""
        value = self.get(key)
        self._kept.pop(key, None)
        return value

    def drop(self, is_over: Callable[[V], bool]) -> None:
        """Keep these no longer."""
        self._kept = {key: kept for key, kept in self._kept.items() if not is_over(kept[1])}


def user_of(token: Token) -> str:
    """Whose tokens these are: what movingimage knows the person by, verified in the ID token.

    So the application needs no list of users of its own, nobody can choose another name, and a person with two browsers
    has one set of tokens. An application with a user database can give `begin_login(user=...)` its own key instead.
    """
    assert token.claims is not None  # noqa: S101 - the scope is `openid`, and a sign-in without an ID token fails
    return str(token.claims["sub"])


class Web:
    """The pages.

    Args:
        auth: makes the sign-ins, and knows everybody's tokens.
        api_url: the API.
        redirect_uri: where people come back to; its origin is that of this application.
    """

    _client: httpx.AsyncClient

    def __init__(self, auth: MovingimageAuth, *, api_url: str, redirect_uri: str) -> None:
        parts = urlsplit(redirect_uri)
        self._auth = auth
        self._api_url = api_url.rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._is_secure = parts.scheme == "https"
        # With __Host- no other host of the same domain can set it.
        self._cookie = "__Host-session" if self._is_secure else "session"
        self._sessions: Shelf[str, Session] = Shelf(SESSION_LIFE)
        # Filed under the browser too: an answer counts only in the browser that began. Each tab may begin one.
        self._begun: Shelf[tuple[str, str], AuthorizationRequest] = Shelf(SIGN_IN_LIFE)
        self.application = Starlette(
            routes=[
                Route("/", self.home),
                Route("/sign-in", self.sign_in),
                Route(parts.path, self.callback),
                Route("/sign-out", self.sign_out, methods=["POST"]),
                Route("/style.css", style),
            ],
            exception_handlers={  # an error inside a request is a LoginRequired and an httpx.HTTPError at once
                LoginRequired: self.sign_in_again,
                OAuthError: show_problem,
                httpx.HTTPError: show_problem,
                ApiError: show_problem,
            },
            # A cookie of `localhost` would not come back to 127.0.0.1, and no other site is to look in here.
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[parts.hostname or ""], www_redirect=False)],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        # One client for everybody, so it must not keep anybody's cookies.
        nobodys = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        async with httpx.AsyncClient(cookies=nobodys, timeout=TIMEOUT) as self._client:
            yield

    async def home(self, request: Request) -> Response:
        """Show the VideoManagers of whoever has signed in with this browser."""
        session = self._sessions.get(self._browser(request))
        if session is None:
            return page("VideoManagers", WELCOME)
        answer = await self._client.get(f"{self._api_url}/vms", auth=self._auth.for_user(session.user))
        if not answer.is_success:
            raise ApiError(f"movingimage answered {answer.status_code} {answer.reason_phrase}.")
        return page("Your VideoManagers", listed(answer.json()), name=session.name)

    async def sign_in(self, request: Request) -> Response:
        """Send the browser to the authorization server."""
        browser = self._browser(request) or new_id()
        begun = await self._auth.abegin_login(user=user_of)
        self._begun.put((browser, begun.state), begun)
        return self._remember(browser, RedirectResponse(begun.url, 303))

    async def callback(self, request: Request) -> Response:
        """Complete the sign-in: the browser comes back with the answer of the authorization server."""
        before = self._browser(request)
        begun = self._begun.take((before, request.query_params.get("state", "")))
        if begun is None:
            return problem("This sign-in was not begun in this browser, took too long, or is completed already.")
        try:
            token = await self._auth.acomplete_login(begun, request.query_params)
        except OAuthError as error:  # a LoginRequired too: whoever said no is not asked again at once
            return problem(f"{error}", status=503 if error.transient else 400)
        claims: Mapping[str, Any] = token.claims or {}
        session = Session(user_of(token), str(claims.get("preferred_username") or claims["sub"]))
        browser = new_id()  # whoever knew the old one does not get in with it
        self._sessions.take(before)
        self._sessions.put(browser, session)
        return self._remember(browser, RedirectResponse("/", 303))

    async def sign_out(self, request: Request) -> Response:
        """End the session here, the tokens, and the person's session at the authorization server."""
        if request.headers.get("origin") != self._origin:
            return problem("Only a page of this application can sign you out.", status=403)
        session = self._sessions.get(self._browser(request))
        if session is None:
            return RedirectResponse("/", 303)
        auth = self._auth.for_user(session.user)
        self._forget(session.user)
        try:
            # It may ask for metadata and blocks meanwhile; it needs the ID token, so it comes before the logout.
            url = await auth.aend_session_url(post_logout_redirect_uri=f"{self._origin}/")
        except OAuthError:
            url = "/"
        await auth.alogout()
        return RedirectResponse(url, 303)

    async def sign_in_again(self, _: Request, error: Exception) -> Response:
        """Send somebody whose tokens have come to their end to sign in."""
        if isinstance(error, LoginRequired):
            self._forget(error.user)
        return RedirectResponse("/sign-in", 303)

    def _forget(self, user: str) -> None:
        """End a person's sessions in all browsers: their tokens are gone, and new ones are for who signs in anew."""
        self._sessions.drop(lambda session: session.user == user)

    def _browser(self, request: Request) -> str:
        value = request.cookies.get(self._cookie, "")
        return value if len(value) == ID_LENGTH else ""  # nobody fills the memory with ids of their own

    def _remember(self, browser: str, response: Response) -> Response:
        # Lax: it comes along when the authorization server leads back here, and with no POST of another site.
        response.set_cookie(self._cookie, browser, path="/", secure=self._is_secure, httponly=True, samesite="lax")
        return response


def new_id() -> str:
    """Make an id that nobody can guess."""
    return secrets.token_urlsafe(ID_BYTES)


async def show_problem(_: Request, error: Exception) -> Response:
    """Say what went wrong at movingimage."""
    return problem(str(error) or type(error).__name__, status=502)


# --- the program ------------------------------------------------------------------------------------------------


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Let people sign in at movingimage and list their VideoManagers.")
    parser.add_argument("--port", type=int, help=f"where to listen, if not at the redirect URI's port; else {PORT}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    arguments = parse(argv)
    try:
        auth = MovingimageAuth.from_env()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    import uvicorn

    redirect_uri = os.environ["MOVINGIMAGE_REDIRECT_URI"].strip()
    api_url = os.environ.get("MOVINGIMAGE_API_URL", "").strip() or MovingimageAuth.API_URL
    parts = urlsplit(redirect_uri)
    port = arguments.port or (parts.hostname in LOOPBACK and parts.port) or PORT
    web = Web(auth, api_url=api_url, redirect_uri=redirect_uri)
    # An access log would hold the codes that people come back with.
    uvicorn.run(web.application, host="127.0.0.1", port=port, access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
