"""What can go wrong, sorted by who must act.

Every error is a value: it can be copied and pickled, and it keeps no traceback, no cause and no request of the
exchange it tells about (those hold secrets). What a renewal failed with is remembered as such a value, and each
waiting caller gets a copy of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Literal

__all__ = [
    "ConfigurationError",
    "InsecureTransportError",
    "InvalidResponseError",
    "LoginRequired",
    "OAuthError",
    "ResponseError",
    "StoreError",
    "TransportError",
]

LoginReason = Literal["never_signed_in", "refresh_expired", "revoked", "denied", "cancelled", "timed_out"]


class OAuthError(Exception):
    """Something about the token went wrong; the class says who must act.

    Attributes:
        transient: True where the same call may succeed later without anybody doing anything.
        retry_after: seconds after which another try makes sense, where that is known.
    """

    transient: bool = False

    def __init__(self, message: str, *, transient: bool | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        if transient is not None:
            self.transient = transient
        self.retry_after = retry_after

    def copied(self) -> OAuthError:
        """Give an equal error without traceback, cause or context, to be raised for one more caller."""
        copy = type(self).__new__(type(self), *self.args)
        copy.args = self.args
        copy.__dict__.update(self.__dict__)
        return copy


class TransportError(OAuthError):
    """The authorization server could not be reached or could not answer: try later.

    Attributes:
        status: the HTTP status (429 or 5xx), or None where no complete answer arrived.
        sent: True where the server may have received the request.
        lasting: True where a wait of seconds will not help: an unknown host, a certificate that does not verify.
    """

    transient = True
    lasting: bool = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        sent: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status
        self.sent = sent


class ResponseError(OAuthError):
    """The authorization server said no (RFC 6749, section 5.2); branch on `error`.

    Attributes:
        error: the error code, for example `invalid_client`.
        error_description: what the server says about it, or None.
        error_uri: where the server says more, or None.
        status: the HTTP status.
        extra: the other members of the answer, read-only.
    """

    def __init__(
        self,
        message: str,
        *,
        error: str = "",
        error_description: str | None = None,
        error_uri: str | None = None,
        status: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.error = error
        self.error_description = error_description
        self.error_uri = error_uri
        self.status = status
        self._extra = dict(extra or {})

    @property
    def extra(self) -> Mapping[str, Any]:
        return MappingProxyType(self._extra)


class InvalidResponseError(OAuthError):
    """The authorization server answered something that is no answer of the protocol.

    Attributes:
        status: the HTTP status, where there was one.
    """

    transient = True

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LoginRequired(OAuthError):
    """A person has to sign in.

    Attributes:
        reason: `never_signed_in`, `refresh_expired`, `revoked`, `denied`, `cancelled` or `timed_out`.
        user: whose sign-in is missing, as given as `user=`.
    """

    def __init__(self, message: str, *, reason: LoginReason = "never_signed_in", user: str = "") -> None:
        super().__init__(message)
        self.reason: LoginReason = reason
        self.user = user


class StoreError(OAuthError):
    """The token store of this machine could not be read, locked or written."""


class InsecureTransportError(OAuthError):
    """A token or secret would have travelled without TLS."""


class ConfigurationError(OAuthError):
    """The program asked for something that cannot work."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


def cleaned(text: str, *, limit: int = 300) -> str:
    """Give text that came from outside without control characters and not longer than `limit` characters."""
    text = _CONTROL.sub(" ", text[: limit * 4]).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def unexpected(error: BaseException, what: str) -> OAuthError:
    """Name a foreign exception and its place; its text and its frames may hold secrets."""
    trace, where = error.__traceback__, "an unknown place"
    while trace is not None:
        where = f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return OAuthError(f"{what} failed with an unexpected {type(error).__name__} at {where}")


Library = Literal["requests", "httpx", "httpx2"]


def for_library(error: OAuthError, library: Library, request: Any) -> OAuthError:
    """Give the error as one that handlers written for that HTTP library catch too.

    Args:
        error: what happened.
        library: whose call is under way.
        request: that library's request, set as `.request`.
    """
    kind = getattr(type(error), "_kind", type(error))  # it may come out of another library's call
    adapted = _library_class(kind, library)(*error.args)
    adapted.__dict__.update(_members(error))
    adapted.request = request  # type: ignore[attr-defined]  # the other base class has it
    return adapted


_classes: dict[tuple[type[OAuthError], Library], type[OAuthError]] = {}


def _library_class(kind: type[OAuthError], library: Library) -> type[OAuthError]:
    """Give the one class for an error and a library."""
    return _classes.get((kind, library)) or _classes.setdefault((kind, library), _make_class(kind, library))


def _make_class(kind: type[OAuthError], library: Library) -> type[OAuthError]:
    names = ("ConnectionError", "RequestException") if library == "requests" else ("TransportError", "HTTPError")
    base = getattr(sys.modules[library], names[0] if issubclass(kind, TransportError) else names[1])

    def initialise(self: OAuthError, *args: str) -> None:
        base.__init__(self, *args)

    def reduce(self: OAuthError) -> tuple[Any, ...]:
        return _rebuilt, (kind, library, self.args, _members(self))

    members = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_kind": kind}
    return type(kind.__name__, (kind, base), {**members, "__init__": initialise, "__reduce__": reduce})


def _members(error: OAuthError) -> dict[str, Any]:
    """Give what an error tells, without the caller's request, which holds an Authorization header."""
    return {name: value for name, value in error.__dict__.items() if name not in ("request", "_request", "response")}


def _rebuilt(kind: type[OAuthError], library: Library, args: tuple[str, ...], members: dict[str, Any]) -> OAuthError:
    __import__(library)
    error = _library_class(kind, library)(*args)
    error.__dict__.update(members)
    return error
