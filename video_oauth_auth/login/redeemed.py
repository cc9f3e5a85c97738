"""Which sign-ins have been redeemed: a code is sent once, whatever object of this process is asked to complete it.

A web application may make an auth object for each request, and its callback page may be loaded again. A server may
revoke what it gave for a code when it sees the code a second time (RFC 6749, section 4.1.2).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from .. import forks
from ..errands import Errand
from ..errors import InvalidResponseError
from .authorization import AuthorizationRequest

__all__ = ["once"]

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
