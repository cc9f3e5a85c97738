"""The library's own HTTP exchanges: private, bounded, never redirected.

They use the user's HTTP library, so that mocks and proxies from the environment see them, but nothing of the user's
session: no headers, cookies, hooks, auth, netrc. A client given as `http_client=` lends its transports, TLS and proxy
settings, and nothing else.
"""

from __future__ import annotations

import functools
import importlib
import socket
import ssl
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from . import forks
from .budget import Budget
from .endpoints import HTTPRequest, HTTPResponse
from .errors import ConfigurationError, InvalidResponseError, Library, OAuthError, TransportError, cleaned
from .watchdog import Connections, connections

if TYPE_CHECKING:
    import httpx
    import requests

__all__ = ["Via", "runs_on_caller", "send", "via_client", "warm_up"]

MOST_BYTES = 1024 * 1024
CONNECT_TIMEOUT = 10.0  # seconds; a try that cannot connect must leave time for the next one


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
    budget.phase, budget.sent = f"connecting to {_host(request)}", False
    failure: OAuthError
    with connections(budget) as watched:
        exchange = _by_requests if via.library == "requests" else _by_httpx
        try:
            response = exchange(request, via, watched)
            # At the deadline the connection is shut down; what had come may look like an answer that ends there.
            if not watched.ended or response.headers.keys() & _SAYS_ITS_LENGTH:
                return response
            failure = _failed(TimeoutError(), request, watched)
        except OAuthError as error:
            failure = error.copied()
        except Exception as error:  # noqa: BLE001 - every library, adapter and mock has errors of its own
            failure = _failed(error, request, watched)
    raise failure  # outside the handlers: the library's exceptions hold the request and its secrets


def _host(request: HTTPRequest) -> str:
    return urlsplit(request.url).netloc


# --- httpx and httpx2 -------------------------------------------------------------------------------------------


def _by_httpx(request: HTTPRequest, via: Via, watched: Connections) -> HTTPResponse:
    module = cast("Any", importlib.import_module(via.library))
    if via.client is not None:
        return _over_httpx(module, via.client, request, watched)
    with module.Client(verify=_tls_context(via.library)) as client:
        return _over_httpx(module, client, request, watched)


def _over_httpx(module: Any, client: httpx.Client, request: HTTPRequest, watched: Connections) -> HTTPResponse:
    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            watched.add(info["return_value"].get_extra_info("socket"))
        elif event.endswith("send_request_headers.started"):
            _now_sent(watched, request)

    left = max(watched.budget.remaining(), 0.001)
    timeout = {
        "connect": min(left, CONNECT_TIMEOUT),
        "read": left,
        "write": left,
        "pool": min(left, CONNECT_TIMEOUT),
    }
    sending = module.Request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.body,
        extensions={"timeout": timeout, "trace": trace},
    )
    # Below Client.send, which would add the client's hooks and keep the server's cookies for it.
    transport = client._transport_for_url(sending.url)
    if not isinstance(transport, module.HTTPTransport):
        watched.blind = True
        _now_sent(watched, request)
    response = transport.handle_request(sending)
    try:
        if (stream := response.extensions.get("network_stream")) is not None:
            watched.add(stream.get_extra_info("socket"))  # a kept connection, whose making nobody told about
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HTTPResponse(
            status=response.status_code, headers=headers, body=_body(cast("Any", response.stream), headers)
        )
    finally:
        response.close()


# --- requests ---------------------------------------------------------------------------------------------------


def _by_requests(request: HTTPRequest, via: Via, watched: Connections) -> HTTPResponse:
    import requests

    session = requests.Session()
    if via.client is not None:
        _borrow(session, via.client)
    # Looking for a redirect's target, which is not followed anyway, would read a body of any size.
    session.resolve_redirects = lambda *_args, **_kwargs: iter(())  # type: ignore[method-assign,assignment]
    private = _adapter_class()(watched, request)
    for prefix, adapter in list(session.adapters.items()):
        if type(adapter) is requests.adapters.HTTPAdapter:
            session.mount(prefix, private)
    if session.get_adapter(request.url) is not private:
        watched.blind = True
        _now_sent(watched, request)
    try:
        return _over_requests(session, request, watched)
    finally:
        private.close()  # and not the session, whose other adapters belong to the user


def _over_requests(session: requests.Session, request: HTTPRequest, watched: Connections) -> HTTPResponse:
    from requests import Request

    settings = session.merge_environment_settings(request.url, {}, stream=True, verify=None, cert=None)
    left = max(watched.budget.remaining(), 0.001)
    response = session.send(
        Request(request.method, request.url, dict(request.headers), data=request.body).prepare(),
        timeout=(min(left, CONNECT_TIMEOUT), left),
        allow_redirects=False,
        **settings,
    )
    try:
        watched.add(getattr(getattr(response.raw, "connection", None), "sock", None))
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = _body(response.raw.stream(65536, decode_content=False), headers)
        if response.status_code in (200, 201) and not body and not headers.keys() & _SAYS_ITS_LENGTH:
            # http.client takes the end of the connection for the end of the headers.
            raise EOFError("the connection ended before the answer did")
        return HTTPResponse(status=response.status_code, headers=headers, body=body)
    finally:
        response.close()


def _borrow(session: requests.Session, client: requests.Session) -> None:
    for prefix, adapter in client.adapters.items():
        session.mount(prefix, adapter)
    session.trust_env, session.verify = client.trust_env, client.verify
    session.cert, session.proxies = client.cert, client.proxies


@functools.cache
def _adapter_class() -> Any:
    from requests.adapters import HTTPAdapter

    class PrivateAdapter(HTTPAdapter):
        """Tells the watchdog about its connections, and shares one TLS context in the process."""

        def __init__(self, watched: Connections, request: HTTPRequest) -> None:
            self._watched, self._request = watched, request
            super().__init__()

        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **kwargs)
            watched, request, plain = self._watched, self._request, pool.ConnectionCls

            class Watched(plain):  # type: ignore[misc, valid-type]  # http or https, direct or through a proxy
                def _new_conn(self) -> Any:
                    connected = super()._new_conn()
                    watched.add(connected)
                    return connected

                def connect(self) -> None:
                    super().connect()
                    _now_sent(watched, request)

            pool.ConnectionCls = Watched
            return pool

        def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
            host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
            if verify and not cert and host["scheme"] == "https":
                tls = {"ssl_context": _tls_context("requests", "" if verify is True else str(verify))}
            return host, tls

        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, verify, cert)
            if verify and not cert:
                conn.ca_certs = conn.ca_cert_dir = None  # the shared context has them already

    return PrivateAdapter


# --- for all of them --------------------------------------------------------------------------------------------


def _now_sent(watched: Connections, request: HTTPRequest) -> None:
    watched.budget.phase = f"waiting for the answer of {_host(request)}"
    watched.budget.sent = True


_contexts: dict[tuple[Library, str], ssl.SSLContext] = {}
forks.reset_in_child(_contexts.clear)


def _tls_context(library: Library, ca_bundle: str = "") -> ssl.SSLContext:
    """Make the TLS context of a library once in the process: reading the certificates takes 20 ms each time."""
    wanted = (library, ca_bundle)
    if wanted not in _contexts:
        with forks.held_off:  # OpenSSL has locks of its own, which a child would find closed
            if wanted not in _contexts:
                _contexts[wanted] = _make_tls_context(library, ca_bundle)
    return _contexts[wanted]


def _make_tls_context(library: Library, ca_bundle: str) -> ssl.SSLContext:
    if library != "requests":
        return cast("ssl.SSLContext", importlib.import_module(library).create_ssl_context())
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    where = ca_bundle or DEFAULT_CA_BUNDLE_PATH
    is_folder = Path(where).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else where, capath=where if is_folder else None)


def _body(chunks: Iterable[bytes], headers: dict[str, str]) -> bytes:
    """Read a body up to the limit, before and after its decompression."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise InvalidResponseError(
            f"the answer is compressed as {cleaned(coding, limit=40)}, though identity was asked"
        )
    plain = _limited(chunks)
    if coding in ("identity", ""):
        return plain
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        body = decompressor.decompress(plain, MOST_BYTES + 1)
    except zlib.error:
        body = b""
    if len(body) > MOST_BYTES or not decompressor.eof:
        raise InvalidResponseError(f"the compressed answer is broken or has more than {MOST_BYTES} bytes")
    return body


def _limited(chunks: Iterable[bytes]) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MOST_BYTES:
            raise InvalidResponseError(f"the answer has more than {MOST_BYTES} bytes")
    return bytes(body)


_SAYS_ITS_LENGTH = frozenset({"content-length", "transfer-encoding"})

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


def _failed(error: Exception, request: HTTPRequest, watched: Connections) -> TransportError:
    names = {type(one).__name__ for one in _chain(error)}
    text = str(error)
    for secret in request.secrets:
        text = text.replace(secret, "…").replace(repr(secret)[1:-1], "…")
    text = cleaned(text) or type(error).__name__
    sent = watched.budget.sent
    if watched.blind and (type(error).__name__ in _NOTHING_SENT or "NewConnectionError" in names):
        sent = False
    if watched.ended:
        text = f"no complete answer within {watched.budget.seconds:g} s (token_timeout)"
    hint = ""
    if names & {"SSLError", "SSLCertVerificationError", "ProxyError"}:
        hint = (
            ". The verify=, cert= and proxies= of your own session do not apply to token calls; "
            "give a session or client that has them as http_client="
        )
    message = f"{request.method} {request.url} failed while {watched.budget.phase}: {text}{hint}"
    failure = TransportError(message, sent=sent)
    failure.lasting = any(map(_lasts, _chain(error)))
    return failure


def _lasts(error: BaseException) -> bool:
    """Tell whether a wait of seconds will not mend it: a typo in the URL should show at once."""
    if isinstance(error, socket.gaierror):
        return error.errno != socket.EAI_AGAIN
    return isinstance(error, ssl.SSLCertVerificationError) or type(error).__name__ in _NO_TRANSPORT


_NO_TRANSPORT = frozenset({"UnsupportedProtocol", "InvalidSchema", "InvalidURL", "NoMockAddress"})


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
