"""Which headers pass the proxy."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["KEY", "Pairs", "for_caller", "for_platform"]

Pairs = list[tuple[bytes, bytes]]

KEY = b"x-proxy-key"

# RFC 9110, section 7.6.1, and those that are used as if they stood there.
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# What tells about the caller, or lets it in here, is nobody else's business.
_OF_THE_CALLER = _HOP_BY_HOP | {
    KEY,
    b"authorization",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"origin",
    b"referer",
    b"via",
    b"x-real-ip",
}
_STARTS_OF_THE_CALLER = (b"x-forwarded-", b"sec-", b"access-control-")
# What a browser would keep or do for the whole origin, which is that of the proxy.
_OF_THE_PLATFORM = _HOP_BY_HOP | {
    b"alt-svc",
    b"clear-site-data",
    b"set-cookie",
    b"set-cookie2",
    b"strict-transport-security",
}


def for_platform(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Give what the platform gets of a caller's headers."""
    return _kept(headers, _OF_THE_CALLER, _STARTS_OF_THE_CALLER)


def for_caller(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Give what a caller gets of the platform's headers, names in lower case."""
    pairs = list(headers)
    is_chunked = any(name.lower() == b"transfer-encoding" for name, _ in pairs)  # then no length counts (RFC 9112, 6.3)
    return _kept(pairs, _OF_THE_PLATFORM | ({b"content-length"} if is_chunked else set()), (b"access-control-",))


def _kept(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes], starts: tuple[bytes, ...]) -> Pairs:
    pairs = [(name.lower(), value) for name, value in headers]
    named = {
        one.strip().lower() for name, value in pairs if name == b"connection" for one in value.split(b",")
    }  # Connection names further ones
    return [pair for pair in pairs if pair[0] not in dropped | named and not pair[0].startswith(starts)]
