"""What a server answers: one value, and the odd ones that real servers send ready-made.

An `Answer` is also a fault: added to a plan, it is given *instead of* processing the request.
"""

import gzip
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

HeaderPairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, sent as it stands.

    `Content-Length` is added unless the headers name a length or an encoding of the transfer themselves.

    Args:
        status: The status code, any three-digit number.
        headers: A mapping, or pairs where a name occurs several times.
        body: Bytes, or text that is sent in UTF-8. Not shown by `repr`, it may hold a token.
        chunks: If given, sent instead of `body`, as the chunks of `Transfer-Encoding: chunked`.
    """

    status: int
    headers: Mapping[str, str] | HeaderPairs = field(default=(), kw_only=True, repr=False)
    body: bytes | str = field(default=b"", kw_only=True, repr=False)
    chunks: tuple[bytes, ...] = field(default=(), kw_only=True, repr=False)

    @property
    def header_pairs(self) -> HeaderPairs:
        """The headers as pairs, whichever way they were given."""
        return tuple(self.headers.items()) if isinstance(self.headers, Mapping) else self.headers

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    def names(self, header: str) -> bool:
        """Whether a header of this name is present, in any case."""
        return any(name.lower() == header.lower() for name, _ in self.header_pairs)


def json_answer(status: int, value: object, headers: HeaderPairs = ()) -> Answer:
    """An answer whose body is this value as JSON."""
    body = json.dumps(value).encode()
    return Answer(status, headers=(("Content-Type", "application/json"), *headers), body=body)


def text_answer(status: int, text: str) -> Answer:
    """An answer in plain text, where a client may expect JSON."""
    return Answer(status, headers=(("Content-Type", "text/plain; charset=utf-8"),), body=text)


def redirect(status: int, url: str) -> Answer:
    """A redirect to this URL.

    Args:
        status: 301, 302, 303, 307 or 308.
        url: Goes into `Location` as it is.
    """
    return Answer(status, headers=(("Location", url),))


def too_many_requests(retry_after: float | str | None = None) -> Answer:
    """429 as RFC 6585 describes it, with `Retry-After` if given.

    Args:
        retry_after: Seconds, or an HTTP date as text.
    """
    headers = () if retry_after is None else (("Retry-After", f"{retry_after}"),)
    return json_answer(429, {"error": "too_many_requests"}, headers)


def rate_limited(seconds: float, *, limit: int = 60) -> Answer:
    """429 as IBM Video Streaming says it: no `Retry-After`, but the moment from which requests are served again.

    Args:
        seconds: How far ahead of now that moment is; it is told in whole epoch seconds, rounded up.
        limit: How many requests are allowed, as told in `X-RateLimit-Limit`.
    """
    reset = math.ceil(time.time() + seconds)
    headers = (("X-RateLimit-Limit", f"{limit}"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", f"{reset}"))
    return json_answer(429, {"error": "too_many_requests"}, headers)


def unavailable(retry_after: float | str | None = None) -> Answer:
    """503 with an HTML page, as a proxy in front of a server says it.

    Args:
        retry_after: Seconds, or an HTTP date as text.
    """
    headers = () if retry_after is None else (("Retry-After", f"{retry_after}"),)
    page = html_page("Service Unavailable", 503)
    return Answer(503, headers=(*page.header_pairs, *headers), body=page.body)


def html_page(title: str = "Sign in", status: int = 200) -> Answer:
    """An HTML page where JSON is expected: a captive portal, a maintenance page."""
    body = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, headers=(("Content-Type", "text/html; charset=utf-8"),), body=body)


def oversized(size: int = 2 * 1024 * 1024) -> Answer:
    """A token answer that is valid JSON and larger than any token answer should be.

    Args:
        size: Bytes of padding in a further member.
    """
    return json_answer(200, {"access_token": "oversized", "token_type": "Bearer", "padding": "x" * size})


def gzip_bomb(size: int = 64 * 1024 * 1024) -> Answer:
    """A small gzip body that becomes large when it is decompressed.

    Args:
        size: Bytes after decompression.
    """
    headers = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    return Answer(200, headers=headers, body=gzip.compress(b" " * size, compresslevel=9))


def form_encoded(members: Mapping[str, object]) -> Answer:
    """A token answer in form encoding instead of JSON, as some older servers send it.

    To be used as `Mutate(form_encoded)`: the members are those of the real token.
    """
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    return Answer(200, headers=headers, body=urlencode({name: f"{value}" for name, value in members.items()}))
