"""Redeeming a code: it is sent once, whatever object of this process is asked to complete its sign-in.

A web application may make an auth object for each request, and its callback page may be loaded again. A server may
revoke what it gave for a code when it sees the code a second time (RFC 6749, section 4.1.2).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from .. import forks
from ..errands import Errand
from ..errors import InvalidResponseError, ResponseError, cleaned
from .authorization import Answer, AuthorizationRequest

__all__ = ["once", "told_what_was_asked"]

REMEMBERED = 10_000  # sign-ins

_lock = forks.ForkSafeLock()  # guards _redeemed
_redeemed: OrderedDict[bytes, None] = OrderedDict()  # digests of their states


@contextmanager
def once(request: AuthorizationRequest, errand: Errand) -> Iterator[None]:
    """Do once what sends a code; it may be done again only if nothing has been sent.

    Raises:
        InvalidResponseError: it has been done before.
    """
    digest = hashlib.sha256(request.state.encode()).digest()
    with _lock.here():
        if digest in _redeemed:
            raise InvalidResponseError(
                "this answer to a sign-in has been used already; a code is sent once. Where nobody is signed in now, "
                "begin the sign-in anew"
            )
        _redeemed[digest] = None
        if len(_redeemed) > REMEMBERED:
            _redeemed.popitem(last=False)
    try:
        yield
    except BaseException as error:
        if not getattr(error, "sent", errand.budget.sent):
            _redeemed.pop(digest, None)
        raise


@contextmanager
def told_what_was_asked(request: AuthorizationRequest, answer: Answer) -> Iterator[None]:
    """Name what a server may have compared: few of them say more than `invalid_grant`."""
    try:
        yield
    except ResponseError as error:
        if error.error == "invalid_grant":
            asked = f"The code was asked for with redirect_uri={request.redirect_uri} by the client {request.client_id}"
            place = _place(answer)
            came = f", and came to {place}" if place not in ("", request.redirect_uri.partition("?")[0]) else ""
            error.args = (f"{str(error).rstrip('.')}. {asked}{came}",)
        raise


def _place(answer: Answer) -> str:
    """Give the callback URL without what only we shall see; nothing where the parameters came alone."""
    if not isinstance(answer, str):
        return ""
    parts = urlsplit(answer.strip())
    host = f"//{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
    return cleaned(f"{parts.scheme}:{host}{parts.path}", limit=300) if parts.scheme else ""
