"""May this answer be met with one more try, and can the request's body be sent again?

Private attributes of httpx and requests that the second question has to look at are named here and nowhere else.
Whatever is not known for sure cannot be sent again: a body is never sent short or empty.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Rewind", "always", "challenges", "httpx_body", "renewal_may_help", "requests_body", "resend"]

# Puts a body back to where it started; tells whether that worked.
Rewind = Callable[[], bool]


def renewal_may_help(status: int, www_authenticate: str, scheme: str | None) -> bool:
    """Tell whether an answer says that the token itself was the trouble (RFC 6750, section 3.1).

    Args:
        status: the HTTP status.
        www_authenticate: the challenges, all header lines joined by commas; empty if there were none.
        scheme: our authentication scheme; None if we send the bare token.
    """
    if status != 401:
        return False
    found = list(challenges(www_authenticate))
    if any(parameters.get("error") == "insufficient_scope" for _, parameters in found):
        return False
    ours = {"bearer", (scheme or "bearer").lower()}
    return not found or any(name in ours for name, _ in found)


_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER = re.compile(rf'({_NAME})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"?|({_NAME}))?[ \t]*', re.DOTALL)
_SCHEME = re.compile(rf"({_NAME})(?:[ \t]+(.*))?", re.DOTALL)
_MOST_CHARACTERS = 16 * 1024


def challenges(www_authenticate: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a WWW-Authenticate header (RFC 9110, section 11.6.1), in linear time; nonsense is passed over.

    Returns:
        For each challenge its scheme in lower case and its parameters, names in lower case.
    """
    scheme: str | None = None
    parameters: dict[str, str] = {}
    for element in _ELEMENT.findall(www_authenticate[:_MOST_CHARACTERS]):
        text = element.strip()
        parameter = _PARAMETER.fullmatch(text)
        if parameter is None and (start := _SCHEME.fullmatch(text)) is not None:
            if scheme is not None:
                yield scheme, parameters
            scheme, parameters = start[1].lower(), {}
            parameter = _PARAMETER.fullmatch(start[2].strip()) if start[2] else None
        if parameter is not None:
            quoted, plain = parameter[2], parameter[3]
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            parameters.setdefault(parameter[1].lower(), value or "")
    if scheme is not None:
        yield scheme, parameters


def always() -> bool:
    """Rewind what needs no rewinding."""
    return True


def requests_body(request: Any) -> Rewind | None:
    """Give what puts the body of a requests.PreparedRequest back to where it is now; None if it cannot be repeated."""
    body = request.body
    if body is None or isinstance(body, bytes | str):
        return always
    return _file(body)


def httpx_body(request: Any) -> Rewind | None:
    """Do the same for an httpx or httpx2 request."""
    stream = getattr(request, "stream", None)
    name = type(stream).__name__
    if type(stream).__module__.partition(".")[0] not in ("httpx", "httpx2"):
        return None  # the user's own stream class: nobody knows whether it can be read twice
    if name == "ByteStream":
        return always
    if name == "IteratorByteStream":
        content = getattr(stream, "_stream", None)
        return always if isinstance(content, list | tuple) else _file(content)
    if name == "MultipartStream":
        fields = getattr(stream, "fields", None)
        contents = [None] if fields is None else [getattr(field, "file", b"") for field in fields]
        rewinds = [always if isinstance(content, bytes | str) else _file(content) for content in contents]
        if all(rewinds):
            return lambda: all(rewind() for rewind in rewinds if rewind)
    return None


def _file(body: Any) -> Rewind | None:
    """Give what puts a file object back to its present position, if it has one."""
    try:
        if not (callable(body.read) and body.seekable()):
            return None
        start = body.tell()
    except (AttributeError, OSError, ValueError, TypeError):
        return None

    def rewind() -> bool:
        try:
            body.seek(start)
        except (OSError, ValueError):  # closed meanwhile
            return False
        return True

    return rewind


def resend(response: Any, authorization: str, settings: dict[str, Any]) -> Any:
    """Send a requests request once more, the way that requests' own digest authentication does it.

    Args:
        response: the answer to the first try, read and closed; it goes into the new one's history.
        authorization: the new header.
        settings: what the hook got: stream, timeout, verify, cert, proxies.
    """
    from requests.cookies import extract_cookies_to_jar

    request = response.request.copy()
    request.headers["Authorization"] = authorization
    extract_cookies_to_jar(request._cookies, request, response.raw)
    request.prepare_cookies(request._cookies)
    started = time.perf_counter()
    again = response.connection.send(request, **settings)
    again.elapsed = datetime.timedelta(seconds=time.perf_counter() - started)
    again.history.append(response)
    again.request = request
    if again.is_redirect:
        # What follows is copied from the first try's request. It gets the new header; the 401 keeps the old one.
        response.request, first = response.request.copy(), response.request
        first.headers["Authorization"] = authorization
    return again
