"""The way of a request: what requests, httpx and httpx2 call, from the token to the one replay.

The decisions stand once: `_rejected` and `_judge_replay` for everybody, and `_flow` for one request of httpx or httpx2,
which `sync_auth_flow` and `async_auth_flow` only carry out. requests has two steps of its own: `__call__`, and a
response hook.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import httpx

from .errors import ConfigurationError, Library, OAuthError, for_library
from .events import RequestReplayed, TokenRejected, TokenWithheld
from .origin import listed, origin_of, shared_origins, written
from .replay import Rewind, always, httpx_body, renewal_may_help, requests_body, resend
from .reporting import Reporter
from .token import Token

__all__ = ["RequestFlow", "Tokens"]

logger = logging.getLogger("video_oauth_auth")

if TYPE_CHECKING:
    _Auth = httpx.Auth
else:
    # httpx.Client wants an instance of httpx.Auth, httpx2.Client one of httpx2.Auth, requests anything callable.
    _bases = [httpx.Auth]
    if importlib.util.find_spec("httpx2") is not None:
        import httpx2

        _bases.append(httpx2.Auth)
    _Auth = type("_Auth", tuple(_bases), {})

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request wants a token.

    Attributes:
        request: whose token it will be.
        rejected: the token that got a 401, or None.
        patient: True if a stale token is not good enough: the request cannot be sent a second time.
        response: the 401, to be read before anybody waits, so that its connection is free for the token call.
    """

    request: Any
    rejected: Token | None = None
    patient: bool = False
    response: Any = None

    @property
    def library(self) -> Library:
        return _library_of(self.request)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What every request of requests gets whose body can be sent again, made once for each token."""

    token: Token
    header: str
    hook: Callable[..., Any]


class Tokens(Protocol):
    """What a request needs of a token source."""

    reporter: Reporter

    def fresh(self) -> Token | None: ...
    def wait(self, *, rejected: Token | None, library: Library, patient: bool) -> Token: ...
    async def await_token(self, *, rejected: Token | None, library: Library, patient: bool) -> Token: ...
    def reject(self, token: Token) -> None: ...
    def replayed(self, token: Token, *, accepted: bool) -> bool: ...


class RequestFlow(_Auth):
    """Gives each request to the listed origins a good token, and replays it once where the token was refused.

    Args:
        tokens: where tokens come from.
        origins: the origins that the token is for.
        insecure_origins: further origins to which it may go without TLS.
        scheme: the authentication scheme; None sends the bare token.
    """

    hint: str = ""  # what a 401 may mean on this platform; for the warning that renewing does not help

    def __init__(
        self, tokens: Tokens, *, origins: Iterable[str], insecure_origins: Iterable[str], scheme: str | None
    ) -> None:
        if scheme is not None and not (scheme.isascii() and scheme.replace("-", "").isalnum()):
            raise ConfigurationError(f"scheme={scheme!r} is no authentication scheme")
        self._tokens = tokens
        self._origins = shared_origins(listed(origins, "origins"), listed(insecure_origins, "insecure_origins"))
        self._scheme = scheme
        self._prefix = f"{scheme} " if scheme else ""
        self._warned: set[str] = set()
        self._ready: _Ready | None = None

    # --- decisions ----------------------------------------------------------------------------------------------

    def _rejected(self, response: Any, sent: tuple[Token, ...]) -> Token | None:
        """Give the token that this answer rejects: one that we have sent, with this very request."""
        status: int = response.status_code
        if status not in (401, 403):
            return None
        request = response.request
        url = str(request.url)
        if not self._origins.holds(url):
            self._tell_withheld(url, status)
            return None
        header = request.headers.get("Authorization")
        token = next((token for token in sent if header == self._prefix + token.access_token), None)
        if token is None:
            return None
        if not renewal_may_help(status, response.headers.get("WWW-Authenticate") or "", self._scheme):
            return None
        self._tokens.reporter.emit(TokenRejected, origin=_origin(url))
        return token

    def _judge_replay(self, response: Any, token: Token) -> None:
        """Report how a replay with the newer token went."""
        status, origin = response.status_code, _origin(str(response.request.url))
        self._tokens.reporter.emit(RequestReplayed, origin=origin, status=status)
        if self._tokens.replayed(token, accepted=status != 401):
            self._tell_futile(f"{origin} answers 401 to a token that was fetched this moment")

    def _judge_same(self, response: Any, token: Token) -> None:
        """Report that the renewal has brought the rejected token again, or was not tried, for that reason."""
        if self._tokens.replayed(token, accepted=False):
            origin = _origin(str(response.request.url))
            self._tell_futile(f"{origin} answers 401, and the authorization server gives the same token again")

    def _tell_futile(self, what: str) -> None:
        logger.warning(
            "%s. The token is not the trouble, and renewals for 401 pause now. %s",
            what,
            self.hint or "The client may lack a permission, or the API may want another audience or scope.",
        )

    def _hidden_401(self, sent: tuple[Token, ...], request: Any) -> None:
        """Look at what closed the flow: an event hook may have raised at a 401, which the flow then never sees."""
        kind = sys.modules[_library_of(request)].Response
        for error in _with_causes(sys.exception()):
            response = getattr(error, "response", None)
            if isinstance(response, kind) and (rejected := self._rejected(response, sent)) is not None:
                self._tokens.reject(rejected)
                return

    def _tell_withheld(self, url: str, status: int) -> None:
        origin = _origin(url)
        if origin in self._warned or len(self._warned) >= 100:  # an endless list of foreign hosts is no leak
            return
        self._warned.add(origin)
        self._tokens.reporter.emit(TokenWithheld, origin=origin, status=status)
        logger.warning(
            "%s answered %d to a request that carried no token of ours: its origin is not listed. Tokens go to %s "
            "only; if it should get them, name it in origins=",
            origin,
            status,
            self._origins,
        )

    # --- requests -----------------------------------------------------------------------------------------------

    def __call__(self, request: RequestT) -> RequestT:
        """Let requests prepare its request: requests calls this."""
        prepared: Any = request
        try:
            hooks, url, body = prepared.hooks["response"], prepared.url, prepared.body
        except (AttributeError, KeyError, TypeError):
            raise ConfigurationError(
                f"an auth object was called with {type(request).__name__}: give it as auth= to requests, httpx or "
                f"httpx2, which has to be installed when video_oauth_auth is imported"
            ) from None
        if not self._origins.holds(url):
            hooks.append(partial(self._on_requests_response, (), None))
            return request
        rewind = always if body is None or isinstance(body, bytes | str) else requests_body(prepared)
        token = self._tokens.fresh() or self._wait(_Wanted(prepared, patient=rewind is None))
        ready = self._ready
        if ready is None or ready.token is not token:
            hook = partial(self._on_requests_response, (token,), always)
            ready = self._ready = _Ready(token, self._prefix + token.access_token, hook)
        prepared.headers["Authorization"] = ready.header
        hooks.append(ready.hook if rewind is always else partial(self._on_requests_response, (token,), rewind))
        return request

    def _on_requests_response(
        self, sent: tuple[Token, ...], rewind: Rewind | None, response: Any, **settings: Any
    ) -> Any:
        """Look at an answer; requests calls this for each hop of a redirect."""
        rejected = self._rejected(response, sent)
        if rejected is None:
            return response
        response.content  # noqa: B018 - reads it, so that its connection is free for the token call
        response.close()
        request = response.request
        newer = self._wait(_Wanted(request, rejected))
        if request.body is None:  # a redirect has dropped the body
            rewind = always
        if newer == rejected:
            self._judge_same(response, newer)
            return response
        if rewind is None or not rewind():
            return response
        hooks = request.hooks["response"]  # which the hops that follow share
        ours = next((place for place, hook in enumerate(hooks) if _is_hook_of(self, hook)), None)
        if ours is not None:
            hooks[ours] = partial(self._on_requests_response, (*sent[:1], newer), rewind)
        again = resend(response, self._prefix + newer.access_token, settings)
        self._judge_replay(again, newer)
        return again

    # --- httpx and httpx2 ---------------------------------------------------------------------------------------

    def _flow(self, request: Any) -> Generator[Any, Any, None]:
        """Decide how one httpx request goes.

        Yields a `_Wanted`, to be answered with a token, or a request, to be answered with its response; with None if
        the client closes the flow without one.
        """
        url = request.url
        sent: tuple[Token, ...] = ()
        rewind: Rewind | None = None
        if self._origins.holds_parts(url.scheme, url.raw_host.decode("ascii"), url.port):
            rewind = httpx_body(request)
            token = self._tokens.fresh() or (yield _Wanted(request, patient=rewind is None))
            request.headers["Authorization"] = self._prefix + token.access_token
            sent = (token,)
        response = yield request
        if response is None:
            self._hidden_401(sent, request)
            return
        rejected = self._rejected(response, sent)
        if rejected is None:
            return
        last = response.request
        newer = yield _Wanted(last, rejected, response=response)
        if last.stream is not request.stream:  # a redirect has dropped the body
            rewind = httpx_body(last)
        if newer == rejected:
            self._judge_same(response, newer)
            return
        if rewind is None or not rewind():
            return
        last.headers["Authorization"] = self._prefix + newer.access_token
        again = yield last
        if again is None:
            self._hidden_401((newer,), request)
        else:
            self._judge_replay(again, newer)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Authenticate one request of a `Client`; httpx and httpx2 call this."""
        flow = self._flow(request)
        step = next(flow)
        while step is not None:
            answer: Any = None
            if isinstance(step, _Wanted):
                if step.response is not None:
                    step.response.read()
                answer = self._wait(step)
            else:
                with suppress(GeneratorExit):  # it ends here, so that `_hidden_401` sees the exception behind it
                    answer = yield step
            step = _advance(flow, answer)

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Authenticate one request of an `AsyncClient`; httpx and httpx2 call this."""
        flow = self._flow(request)
        step = next(flow)
        while step is not None:
            answer: Any = None
            if isinstance(step, _Wanted):
                if step.response is not None:
                    await step.response.aread()
                answer = await self._await(step)
            else:
                with suppress(GeneratorExit):
                    answer = yield step
            step = _advance(flow, answer)

    # --- waiting ------------------------------------------------------------------------------------------------

    def _wait(self, wanted: _Wanted) -> Token:
        try:
            return self._tokens.wait(rejected=wanted.rejected, library=wanted.library, patient=wanted.patient)
        except OAuthError as error:
            failure = for_library(error, wanted.library, wanted.request)
        try:
            raise failure
        finally:
            del failure  # its traceback has this frame, which would keep it alive

    async def _await(self, wanted: _Wanted) -> Token:
        try:
            return await self._tokens.await_token(
                rejected=wanted.rejected, library=wanted.library, patient=wanted.patient
            )
        except OAuthError as error:
            failure = for_library(error, wanted.library, wanted.request)
        try:
            raise failure
        finally:
            del failure  # its traceback has this frame, which would keep it alive


def _advance(flow: Generator[Any, Any, None], answer: object) -> Any:
    try:
        return flow.send(answer)
    except StopIteration:
        return None


def _is_hook_of(flow: RequestFlow, hook: Any) -> bool:
    return getattr(getattr(hook, "func", None), "__self__", None) is flow


def _library_of(request: Any) -> Library:
    roots = (kind.__module__.partition(".")[0] for kind in type(request).__mro__)
    # What is no class of theirs stands for a request of requests: requests_mock has such ones.
    return cast("Library", next((root for root in roots if root in ("requests", "httpx", "httpx2")), "requests"))


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give an exception and those that it was raised from; not what somebody was handling around it."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__


def _origin(url: str) -> str:
    origin = origin_of(url)
    return "an unknown origin" if origin is None else written(origin)
