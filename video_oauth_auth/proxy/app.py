"""ProxyApp: takes a request, forwards it with a token, and streams the answer back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ..auth import OAuth2Auth
from ..errors import ConfigurationError, LoginRequired, OAuthError, TransportError
from .answers import body_of, client_for, headers_of
from .caller import Caller
from .callers import Callers
from .headers import for_platform
from .refusals import Refusal, busy, too_large
from .targets import Target, Targets

__all__ = ["ProxyApp"]

logger = logging.getLogger("video_oauth_auth.proxy")

HEALTH = "/health"
REPLAYABLE = 64 * 1024  # bytes of a body that is kept until the answer is there, so that it can be sent again
NOT_FORWARDED = frozenset(("CONNECT", "TRACE"))
MAX_BODY = 1024**3
MAX_CONCURRENCY = 100
FOR_A_PLACE = 0.5  # seconds that a request above that waits for another one to end
_STATUSES = range(200, 600)


class ProxyApp:
    """An ASGI application that forwards `/HOST/PATH` to `https://HOST/PATH`, with a token.

    Args:
        auth: the auth object whose token it attaches.
        origins: where it forwards to: some of the origins of `auth`; all of them if not given.
        key: what callers have to show, as `X-Proxy-Key` or as a bearer token; without one, only this machine may call.
        allowed_origins: the web pages that may call, as origins (CORS); none if not given.
        max_body: bytes that the body of a request may have.
        max_concurrency: requests that are forwarded at one time; who gets no place in half a second gets a 503.
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
        self._places = asyncio.Semaphore(max_concurrency)
        self._client: httpx.AsyncClient | None = None
        router = Router([Route(HEALTH, _health)], redirect_slashes=False, default=self._serve, lifespan=self._lifespan)
        self._app = CORSMiddleware(  # answers what browsers ask before a request, and tells them who may read answers
            router,
            allow_origins=self._callers.pages,
            allow_methods=("*",),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=("*",),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.targets}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the ASGI server calls this."""
        await self._app(scope, receive, send)

    async def aclose(self) -> None:
        """Close the connections to the platform; a server that speaks ASGI's lifespan does so at its end."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        yield
        await self.aclose()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            self._callers.check(request)
            target = self.targets.of(scope)
            self._check_message(request)
            await self._admitted(target, request, send)
        except ClientDisconnect:
            pass
        except Refusal as refusal:
            await refusal.response(scope, receive, send)

    def _check_message(self, request: Request) -> None:
        if request.method in NOT_FORWARDED:
            raise Refusal(405, "method_not_allowed", "This method is not forwarded.")
        if "content-length" in request.headers and "transfer-encoding" in request.headers:  # RFC 9112, section 6.1
            message = "Content-Length and Transfer-Encoding are both there: send one."
            raise Refusal(400, "ambiguous_length", message, {"Connection": "close"})
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_body:
            raise too_large(self._max_body)

    async def _admitted(self, target: Target, request: Request, send: Send) -> None:
        # Who has the last byte of an answer may send the next request before the place is given back.
        try:
            async with asyncio.timeout(FOR_A_PLACE):
                await self._places.acquire()
        except TimeoutError:
            raise busy() from None
        try:
            caller = Caller(request, limit=self._max_body, patience=self._timeout)
            await caller.served(self._exchange(target, request, caller, send))
        finally:
            self._places.release()

    async def _exchange(self, target: Target, request: Request, caller: Caller, send: Send) -> None:
        response = await self._forwarded(target, request, caller)
        try:
            await self._returned(response, target, send)
        finally:
            await response.aclose()

    # --- to the platform ----------------------------------------------------------------------------------------

    async def _forwarded(self, target: Target, request: Request, caller: Caller) -> httpx.Response:
        whole = await caller.start(REPLAYABLE)
        headers = for_platform(request.headers.raw)
        if whole is not None:  # httpx knows its length
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        forwarded = httpx.Request(
            request.method,
            target.url,
            headers=headers,
            content=caller.chunks() if whole is None else whole,
            extensions={"timeout": httpx.Timeout(self._timeout).as_dict()},
        )
        if self._client is None:
            self._client = client_for(self._max_concurrency)
        try:
            response = await self._client.send(forwarded, auth=self._auth, stream=True, follow_redirects=False)
        except (OAuthError, httpx.HTTPError) as error:
            failure = error
        else:
            logger.info("%s %s: %d", request.method, target.origin, response.status_code)
            return response
        logger.warning("%s %s: %s", request.method, target.origin, _told(failure))
        raise _refusal_for(failure)

    # --- back to the caller -------------------------------------------------------------------------------------

    async def _returned(self, response: httpx.Response, target: Target, send: Send) -> None:
        if response.status_code not in _STATUSES:
            raise Refusal(502, "platform_unreachable", "The platform sent what is no answer.")

        async def patiently(message: Message) -> None:
            async with asyncio.timeout(self._timeout):
                await send(message)

        # Not called as a whole: it would listen for the caller's leaving, which `Caller.served` does all the time.
        answer = StreamingResponse(body_of(response), response.status_code)
        answer.raw_headers = [
            (name, self.targets.location(target, value) if name == b"location" else value)
            for name, value in headers_of(response)
        ]
        try:
            await answer.stream_response(patiently)
        except (httpx.HTTPError, TimeoutError):
            is_cut = True
        else:
            is_cut = False
        if is_cut:  # the server then cuts the connection, so that nobody takes it for the whole
            raise TransportError(f"an answer of {target.origin} broke off, or its caller did not take it")


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


def _told(failure: Exception) -> str:
    return str(failure) if isinstance(failure, OAuthError) else type(failure).__name__


def _refusal_for(failure: Any) -> Refusal:
    """Tell a caller what went wrong, in words that do not depend on the credential."""
    if isinstance(failure, LoginRequired):
        return Refusal(502, "login_required", "A person has to sign in for this proxy: video-oauth-auth login.")
    if isinstance(failure, OAuthError):
        wait = failure.retry_after
        if failure.transient or wait is not None:
            headers = {} if wait is None else {"Retry-After": str(max(1, round(wait)))}
            return Refusal(503, "no_token_now", "This proxy has no token just now: try later.", headers)
        return Refusal(502, "no_token", "This proxy gets no token; its log says why.")
    if isinstance(failure, httpx.PoolTimeout):
        return busy()
    if isinstance(failure, httpx.TimeoutException):
        return Refusal(504, "platform_timeout", "The platform did not answer in time.")
    return Refusal(502, "platform_unreachable", "The platform could not be reached, or broke off.")
