"""The library's own exchanges by httpx and httpx2."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from .endpoints import HTTPRequest, HTTPResponse
from .errors import Library
from .exchange import CONNECT_TIMEOUT, now_sent, read_body, tls_context
from .watchdog import Connections

if TYPE_CHECKING:
    import httpx

__all__ = ["by_httpx"]


def by_httpx(request: HTTPRequest, library: Library, lender: Any, watched: Connections) -> HTTPResponse:
    """Make one exchange over a transport of `lender`, or of a client of its own if that is None."""
    module = cast("Any", importlib.import_module(library))
    if lender is not None:
        return _over_httpx(module, lender, request, watched)
    with module.Client(verify=tls_context(library)) as client:
        return _over_httpx(module, client, request, watched)


def _over_httpx(module: Any, client: httpx.Client, request: HTTPRequest, watched: Connections) -> HTTPResponse:
    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            watched.add(info["return_value"].get_extra_info("socket"))
        elif event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            now_sent(watched, request)  # before, only a proxy has received something

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
        now_sent(watched, request)
    response = transport.handle_request(sending)
    try:
        if (stream := response.extensions.get("network_stream")) is not None:
            watched.add(stream.get_extra_info("socket"))  # a kept connection, whose making nobody told about
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HTTPResponse(
            status=response.status_code, headers=headers, body=read_body(cast("Any", response.stream), headers)
        )
    finally:
        response.close()
