"""ProxyApp: takes a request, forwards it with a token, and streams the answer back."""

from __future__ import annotations

import asyncio
import http.cookiejar
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx

from ..auth import OAuth2Auth
from ..errors import ConfigurationError, LoginRequired, OAuthError, TransportError
from .asgi import Answer, CallerGone, IncomingBody, Receive, Scope, Send, disconnected, too_large
from .callers import Callers
from .headers import first, for_caller, for_platform
from .targets import Target, Targets

__all__ = ["ProxyApp"]

logger = logging.getLogger("video_oauth_auth.proxy")

HEALTH = "/health"
REPLAYABLE = 64 * 1024  # bytes of a body that is kept until the answer is there, so that it can be sent again
NOT_FORWARDED = frozenset(("CONNECT", "TRACE"))
MAX_BODY = 1024**3
MAX_CONCURRENCY = 100


class ProxyApp:
    """An ASGI application that forwards `/HOST/PATH` to `https://HOST/PATH`, with a token.

    Args:
        auth: the auth object whose token it attaches.
        origins: where it forwards to: some of the origins of `auth`; all of them if not given.
        key: what callers have to show, as `X-Proxy-Key` or as a bearer token; without one, only this machine may call.
        allowed_origins: the web pages that may call, as origins (CORS); none if not given.
        max_body: bytes that the body of a request may have.
        max_concurrency: requests that are forwarded at one time; what comes above that gets a 503.
        timeout: seconds to wait for a connection, or for the next piece of a body, in either direction.

    Attributes:
        targets: the origins that it forwards to.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(
        self,
        auth: OAuth2Auth,
        *,
        origins: Iterable[str] | None = None,
        key: str | None = None,
        allowed_origins: Iterable[str] = (),
        max_body: int = MAX_BODY,
        max_concurrency: int = MAX_CONCURRENCY,
        timeout: float = 60.0,
    ) -> None:
        if not isinstance(auth, OAuth2Auth):
            raise ConfigurationError("ProxyApp takes an auth object of this library, such as BrightcoveAuth")
        if max_body < 0 or max_concurrency < 1 or not timeout > 0:
            raise ConfigurationError("max_body=, max_concurrency= and timeout= have to be positive")
        self._auth = auth
        self.targets = Targets(auth, origins)
        self._callers = Callers(key, allowed_origins)
        self._max_body = max_body
        self._max_concurrency = max_concurrency
        self._timeout = timeout
        self._running = 0
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.targets}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the ASGI server calls this."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def aclose(self) -> None:
        """Close the connections to the platform; a server that speaks ASGI's lifespan does so at its end."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_health = scope["path"] == scope.get("root_path", "").rstrip("/") + HEALTH
        if is_health and scope["method"] in ("GET", "HEAD"):
            await Answer(200, "", "").send(send, [], body=b'{"status": "ok"}\n')
            return
        try:
            self._callers.check(scope)
            target = self.targets.of(scope)
            self._check_size(scope)
            await self._admitted(target, scope, receive, send)
        except CallerGone:
            return
        except Answer as found:
            answer = found
        else:
            return
        preflight = b"" if answer.status == 200 else None
        await answer.send(send, self._callers.headers(scope), body=preflight)

    def _check_size(self, scope: Scope) -> None:
        if scope["method"] in NOT_FORWARDED:
            raise Answer(405, "method_not_allowed", "This method is not forwarded.")
        length = first(scope["headers"], b"content-length")
        if length is not None and length.isdigit() and int(length) > self._max_body:
            raise too_large(self._max_body)

    async def _admitted(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running >= self._max_concurrency:
            raise Answer(503, "busy", "This proxy has too many requests to forward.", {"Retry-After": "1"})
        self._running += 1
        try:
            response = await self._forwarded(target, scope, receive)
            try:
                await self._returned(response, target, scope, receive, send)
            finally:
                await response.aclose()
        finally:
            self._running -= 1

    # --- to the platform ----------------------------------------------------------------------------------------

    async def _forwarded(self, target: Target, scope: Scope, receive: Receive) -> httpx.Response:
        body = IncomingBody(receive, limit=self._max_body, patience=self._timeout)
        whole = await body.start(REPLAYABLE)
        headers = for_platform(scope["headers"])
        if whole is not None:  # httpx knows its length
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        request = httpx.Request(
            scope["method"],
            target.url,
            headers=headers,
            content=body.chunks() if whole is None else whole,
            extensions={"timeout": httpx.Timeout(self._timeout).as_dict()},
        )
        try:
            response = await self._open().send(request, auth=self._auth, stream=True, follow_redirects=False)
        except OAuthError as error:
            failure: Exception = error
        except httpx.HTTPError as error:
            failure = error
        else:
            logger.info("%s %s: %d", scope["method"], target.origin, response.status_code)
            return response
        logger.warning("%s %s: %s", scope["method"], target.origin, _told(failure))
        raise _answer_to(failure)

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
            limits = httpx.Limits(
                max_connections=self._max_concurrency, max_keepalive_connections=self._max_concurrency
            )
            self._client = httpx.AsyncClient(cookies=no_cookies, limits=limits)
        return self._client

    # --- back to the caller -------------------------------------------------------------------------------------

    async def _returned(
        self, response: httpx.Response, target: Target, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = for_caller(response.headers.raw)
        if response.is_stream_consumed:  # a 401 to a body that could not be sent again: the auth object has read it
            headers = [pair for pair in headers if pair[0] not in (b"content-encoding", b"content-length")]
        headers = [
            (name, self.targets.location(target, value) if name == b"location" else value) for name, value in headers
        ]
        headers += self._callers.headers(scope)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        sending = asyncio.ensure_future(_send_body(response, send, self._timeout))
        leaving = asyncio.ensure_future(disconnected(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            is_cut = sending.done() and not await sending
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if is_cut:  # the server then cuts the connection, so that nobody takes it for the whole
            raise TransportError(f"an answer of {target.origin} broke off, or its caller did not take it")


async def _send_body(response: httpx.Response, send: Send, patience: float) -> bool:
    """Send the body as it comes, in whatever encoding; tell whether all of it came and was taken."""
    try:
        async for chunk in _chunks(response):
            async with asyncio.timeout(patience):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except (httpx.HTTPError, TimeoutError):
        return False
    await send({"type": "http.response.body", "body": b""})
    return True


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    if response.is_stream_consumed:
        yield response.content
        return
    async for chunk in response.aiter_raw():
        yield chunk


def _told(failure: Exception) -> str:
    return str(failure) if isinstance(failure, OAuthError) else type(failure).__name__


def _answer_to(failure: Any) -> Answer:
    """Tell a caller what went wrong, in words that do not depend on the credential."""
    if isinstance(failure, LoginRequired):
        return Answer(502, "login_required", "A person has to sign in for this proxy: video-oauth-auth login.")
    if isinstance(failure, OAuthError):
        wait = failure.retry_after
        if failure.transient or wait is not None:
            headers = {} if wait is None else {"Retry-After": str(max(1, round(wait)))}
            return Answer(503, "no_token_now", "This proxy has no token just now: try later.", headers)
        return Answer(502, "no_token", "This proxy gets no token; its log says why.")
    if isinstance(failure, httpx.PoolTimeout):
        return Answer(503, "busy", "This proxy has too many requests to forward.", {"Retry-After": "1"})
    if isinstance(failure, httpx.TimeoutException):
        return Answer(504, "platform_timeout", "The platform did not answer in time.")
    return Answer(502, "platform_unreachable", "The platform could not be reached, or broke off.")
