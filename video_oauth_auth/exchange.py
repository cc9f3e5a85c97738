"""What the library's exchanges have in common, whichever library makes them: TLS contexts, bodies, how far they are."""

from __future__ import annotations

import importlib
import ssl
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from . import forks
from .endpoints import HTTPRequest
from .errors import InvalidResponseError, Library, cleaned
from .watchdog import Connections

__all__ = ["CONNECT_TIMEOUT", "SAYS_ITS_LENGTH", "host", "now_sent", "read_body", "tls_context"]

MOST_BYTES = 1024 * 1024
CONNECT_TIMEOUT = 10.0  # seconds; a try that cannot connect must leave time for the next one
SAYS_ITS_LENGTH = frozenset({"content-length", "transfer-encoding"})


def host(request: HTTPRequest) -> str:
    """Give host and port of a request, for messages."""
    return urlsplit(request.url).netloc


def now_sent(watched: Connections, request: HTTPRequest) -> None:
    """Note that the server may have received something from here on."""
    watched.budget.phase = f"waiting for the answer of {host(request)}"
    watched.budget.sent = True


_contexts: dict[tuple[Library, str], ssl.SSLContext] = {}
forks.reset_in_child(_contexts.clear)


def tls_context(library: Library, ca_bundle: str = "") -> ssl.SSLContext:
    """Make the TLS context of a library once in the process: reading the certificates takes 20 ms each time."""
    wanted = (library, ca_bundle)
    if wanted not in _contexts:
        with forks.held_off:  # OpenSSL has locks of its own, which a child would find closed
            if wanted not in _contexts:
                _contexts[wanted] = _new_tls_context(library, ca_bundle)
    return _contexts[wanted]


def _new_tls_context(library: Library, ca_bundle: str) -> ssl.SSLContext:
    if library != "requests":
        return cast("ssl.SSLContext", importlib.import_module(library).create_ssl_context())
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    where = ca_bundle or DEFAULT_CA_BUNDLE_PATH
    if not Path(where).exists():
        raise FileNotFoundError(f"there is no CA bundle {where}")
    is_folder = Path(where).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else where, capath=where if is_folder else None)


def read_body(chunks: Iterable[bytes], headers: dict[str, str]) -> bytes:
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
