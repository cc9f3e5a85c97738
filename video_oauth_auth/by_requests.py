"""The library's own exchanges by requests."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .endpoints import HTTPRequest, HTTPResponse
from .exchange import CONNECT_TIMEOUT, SAYS_ITS_LENGTH, now_sent, read_body, tls_context
from .watchdog import Connections

if TYPE_CHECKING:
    import requests

__all__ = ["by_requests"]


def by_requests(request: HTTPRequest, lender: Any, watched: Connections) -> HTTPResponse:
    """Make one exchange over the adapters of `lender`, or over one of its own if that is None."""
    import requests

    session = requests.Session()
    if lender is not None:
        _borrow(session, lender)
    # Looking for a redirect's target, which is not followed anyway, would read a body of any size.
    session.resolve_redirects = lambda *_args, **_kwargs: iter(())  # type: ignore[method-assign,assignment]  # follows none
    private = _adapter_class()(watched, request)
    for prefix, adapter in list(session.adapters.items()):
        if type(adapter) is requests.adapters.HTTPAdapter:
            session.mount(prefix, private)
    if session.get_adapter(request.url) is not private:
        watched.blind = True
        now_sent(watched, request)
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
        body = read_body(response.raw.stream(65536, decode_content=False), headers)
        if response.status_code in (200, 201) and not body and not headers.keys() & SAYS_ITS_LENGTH:
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
                    now_sent(watched, request)

            Watched.__name__ = plain.__name__  # urllib3 shows it in its messages
            pool.ConnectionCls = Watched
            return pool

        def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
            host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
            if verify and not cert and host["scheme"] == "https":
                tls = {"ssl_context": tls_context("requests", "" if verify is True else str(verify))}
            return host, tls

        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, verify, cert)
            if verify and not cert:
                conn.ca_certs = conn.ca_cert_dir = None  # the shared context has them already

    return PrivateAdapter
