"""The library's own HTTP exchanges: private, bounded, never redirected.

They use the user's HTTP library, so that mocks and proxies from the environment see them, but nothing of the user's
session: no headers, cookies, hooks, auth, netrc. A client given as `http_client=` lends its transports, TLS and proxy
settings, and nothing else.
"""

from __future__ import annotations

import importlib
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import forks
from .budget import Budget
from .by_httpx import by_httpx
from .by_requests import by_requests
from .endpoints import HTTPRequest, HTTPResponse
from .errors import ConfigurationError, Library, OAuthError, TransportError, cleaned
from .exchange import SAYS_ITS_LENGTH, host
from .watchdog import Connections, connections

__all__ = ["Via", "runs_on_caller", "send", "via_client", "warm_up"]


@dataclass(frozen=True, slots=True)
class Via:
    """Which library makes the exchanges, and the client that lends its transports, if one was given."""

    library: Library
    client: Any = None


def via_client(client: object) -> Library:
    """Tell which library a client given as `http_client=` belongs to.

    Raises:
        ConfigurationError: it is none that can be used; async clients cannot, since renewals are plain blocking code.
    """
    kinds: tuple[tuple[Library, str, str], ...] = (
        ("requests", "Session", ""),
        ("httpx", "Client", "AsyncClient"),
        ("httpx2", "Client", "AsyncClient"),
    )
    for library, wanted, refused in kinds:
        module = sys.modules.get(library)  # a client of a library that nobody imported cannot exist
        if module is not None and isinstance(client, getattr(module, wanted)):
            return library
        if module is not None and refused and isinstance(client, getattr(module, refused)):
            raise ConfigurationError(
                f"http_client= needs a {library}.Client: token calls are made on a thread of their own, "
                f"so an AsyncClient cannot be used (the auth object itself works in both)"
            )
    raise ConfigurationError(
        f"http_client= takes a requests.Session, httpx.Client or httpx2.Client, not {type(client).__name__}"
    )


def runs_on_caller(library: Library) -> bool:
    """Tell whether an exchange has to be made on the thread of the caller who waits for it.

    requests_mock replaces `Session.send` and holds one lock for the whole process while it answers. A worker's token
    call would wait for the caller's own request, which waits for the worker.
    """
    module = sys.modules.get("requests") if library == "requests" else None
    return module is not None and module.Session.send.__module__ != "requests.sessions"


_NEEDED: dict[Library, tuple[str, ...]] = {
    "requests": ("requests.adapters",),
    "httpx": ("httpx", "httpcore"),
    "httpx2": ("httpx2", "httpcore2"),
}
_warm: set[Library] = set()


def warm_up(library: Library) -> None:
    """Import what a token call needs, once in the process, and while no fork can happen."""
    if library not in _warm:
        with forks.held_off:
            for name in (*_NEEDED[library], "authlib.oauth2.rfc6749.parameters", "encodings.idna"):
                importlib.import_module(name)
        _warm.add(library)


def send(request: HTTPRequest, *, via: Via, budget: Budget) -> HTTPResponse:
    """Make one exchange and give the complete answer, whatever its status.

    Args:
        request: what to send.
        via: the library, and the client that lends its transports.
        budget: the absolute end; its `phase` and `sent` tell how far the exchange came.

    Raises:
        TransportError: no complete answer in time; `.sent` tells whether the server may have seen the request.
        InvalidResponseError: the answer is too large or compressed in a way that nobody asked for.
    """
    budget.phase, budget.sent = f"connecting to {host(request)}", False
    failure: OAuthError
    with connections(budget) as watched:
        try:
            if via.library == "requests":
                response = by_requests(request, via.client, watched)
            else:
                response = by_httpx(request, via.library, via.client, watched)
            # At the deadline the connection is shut down; what had come may look like an answer that ends there.
            if not watched.ended or response.headers.keys() & SAYS_ITS_LENGTH:
                return response
            failure = _failed(TimeoutError(), request, via, watched)
        except OAuthError as error:
            failure = error.copied()
            failure.args = (f"{request.method} {request.place}: {error}",)
        except Exception as error:  # noqa: BLE001 - every library, adapter and mock has errors of its own
            failure = _failed(error, request, via, watched)
    raise failure  # outside the handlers: the library's exceptions hold the request and its secrets


# Errors by which a foreign transport says that it never got as far as sending something; ours knows.
_NOTHING_SENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "UnsupportedProtocol",
        "ProxyError",
        "SSLError",
        "InvalidURL",
    }
    | {"InvalidProxyURL", "MissingDependencies", "InvalidSchema", "NewConnectionError", "NameResolutionError"}
)


def _failed(error: Exception, request: HTTPRequest, via: Via, watched: Connections) -> TransportError:
    chain = list(_chain(error))
    names = {type(one).__name__ for one in chain}
    is_refused = any(map(_refuses_certificate, chain))
    sent = watched.budget.sent and not is_refused
    if watched.blind and (type(error).__name__ in _NOTHING_SENT or "NewConnectionError" in names):
        sent = False
    hint = ""
    if names & {"SSLError", "SSLCertVerificationError", "ProxyError"} and via.client is None:
        hint = (
            ". The verify=, cert= and proxies= of your own session do not apply to token calls; "
            "give a session or client that has them as http_client="
        )
    text = _said(error, names, request, watched)
    message = f"{request.method} {request.place} failed while {watched.budget.phase}: {text}{hint}"
    failure = TransportError(message, sent=sent)
    failure.lasting = is_refused or any(map(_lasts, chain))
    return failure


def _said(error: Exception, names: set[str], request: HTTPRequest, watched: Connections) -> str:
    """Give what the library says, without secrets."""
    if watched.ended or ("TimeoutError" in names and watched.budget.remaining() <= 0):  # whoever was first to see it
        return f"no complete answer within {watched.budget.seconds:g} s (token_timeout)"
    if names & _URL_OF_PROXY:  # ours has been read before; what cannot be read of that of a proxy may be its password
        return (
            "the URL of a proxy cannot be read. It is http://host:port or http://name:password@host:port, the special "
            "characters of the password percent-encoded"
        )
    text = str(error)
    for secret in request.secrets:
        text = text.replace(secret, "…").replace(repr(secret)[1:-1], "…")
    return cleaned(text) or type(error).__name__


def _refuses_certificate(error: BaseException) -> bool:
    """Tell whether the server wants another client certificate; it has read nothing of the request then."""
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    return "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)


def _lasts(error: BaseException) -> bool:
    """Tell whether a wait of seconds will not mend it: a typo in the URL should show at once."""
    if isinstance(error, socket.gaierror):
        return error.errno != socket.EAI_AGAIN
    if type(error).__name__ == "ProxyError" and "407" in str(error):
        return True  # and some proxies lock an account after a few of these
    return isinstance(error, ssl.SSLCertVerificationError | FileNotFoundError) or type(error).__name__ in _NO_TRANSPORT


_URL_OF_PROXY = frozenset({"InvalidURL", "LocationParseError", "InvalidProxyURL"})
_NO_TRANSPORT = _URL_OF_PROXY | {"UnsupportedProtocol", "InvalidSchema", "NoMockAddress", "ImportError"}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and what caused it, however the library wrapped it."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
            waiting += [more for more in inner if isinstance(more, BaseException)]
