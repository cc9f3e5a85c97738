"""Token: what a token endpoint gave, as a frozen value."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import ConfigurationError, InvalidResponseError
from .frozen import frozen

__all__ = ["GivenToken", "Token", "given_token"]

TEN_YEARS = 10 * 365.25 * 86400.0

_TYPE = re.compile(r"[A-Za-z_]{1,12}")
# RFC 6749, appendix A.12 allows any visible ASCII; blanks at the ends would not survive as a header value.
_HEADER_SAFE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_KNOWN = frozenset(
    {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "scope",
        "id_token",
        "issued_at",
        "expires_at",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Token:
    """An access token and what came with it; equal to another one with the same `access_token`.

    Attributes:
        access_token: what goes into the Authorization header.
        token_type: as the server wrote it, `Bearer` where it wrote nothing.
        issued_at: when the request for it was sent, in epoch seconds.
        expires_at: when it ends, in epoch seconds; None where that is not known (it is used until a 401).
        refresh_token: renews it (RFC 6749, section 6), or None.
        refresh_expires_at: when the refresh token ends, in epoch seconds; None for never or not known.
        scope: what was granted, separated by blanks, or None where neither side said.
        id_token: the ID token as text, not verified, or None.
        claims: the claims of the ID token, only if it was verified.
        issued_by: the issuer that gave it, where that is known; its refresh token goes to no other.
        extra: the other members of the answer, read-only.
    """

    access_token: str = field(repr=False)
    token_type: str = "Bearer"  # noqa: S105 - no password
    issued_at: float = field(default_factory=time.time)
    expires_at: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_at: float | None = None
    scope: str | None = None
    id_token: str | None = field(default=None, repr=False)
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    issued_by: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra", frozen(self.extra))
        if self.claims is not None:
            object.__setattr__(self, "claims", frozen(self.claims))

    def __eq__(self, other: object) -> bool:
        return self.access_token == other.access_token if isinstance(other, Token) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.access_token)

    def __reduce__(self) -> tuple[Any, ...]:
        members = {name: getattr(self, name) for name in self.__slots__}
        members["extra"] = dict(self.extra)
        members["claims"] = None if self.claims is None else dict(self.claims)
        return _unpickled, (members,)

    @classmethod
    def from_response(cls, mapping: Mapping[str, Any], *, issued_at: float | None = None) -> Token:
        """Read the answer of a token endpoint (RFC 6749, section 5.1), leniently where real servers need it.

        Args:
            mapping: the members of the answer. `expires_at` (epoch seconds) counts where there is no usable
                `expires_in`: token files of other programs have it.
            issued_at: when the request was sent, in epoch seconds; now, if not given.

        Raises:
            InvalidResponseError: there is no access token in it that could be sent as a bearer token.
        """
        issued_at = time.time() if issued_at is None else issued_at
        return cls(
            access_token=_access_token(mapping.get("access_token")),
            token_type=_token_type(mapping.get("token_type")),
            issued_at=issued_at,
            expires_at=_moment(mapping.get("expires_in"), issued_at) or _epoch(mapping.get("expires_at")),
            refresh_token=_text(mapping, "refresh_token"),
            # Keycloak: 0 means that the (offline) refresh token does not end.
            refresh_expires_at=_moment(mapping.get("refresh_expires_in"), issued_at),
            scope=_scope(mapping.get("scope")),
            id_token=_text(mapping, "id_token"),
            extra={name: value for name, value in mapping.items() if name not in _KNOWN},
        )


GivenToken = Token | Mapping[str, Any] | str
NONE_YET = "none-yet"  # the access token of whom only a refresh token was given; it has ended, and is never sent


def given_token(token: GivenToken) -> Token:
    """Read a token that comes from the user: a `Token`, a token endpoint's answer, or the access token as text.

    A mapping may have a `refresh_token` only.

    Raises:
        InvalidResponseError: there is no access token in it that could be sent.
        ConfigurationError: it is something else.
    """
    if isinstance(token, Token):
        return token
    if isinstance(token, str):
        return Token.from_response({"access_token": token})
    if not isinstance(token, Mapping):
        raise ConfigurationError(f"a token is a Token, a mapping or a text, not {type(token).__name__}")
    if "expires_at" in token:  # saved by another program: what its expires_in counts from is not known any more
        token = {name: value for name, value in token.items() if name != "expires_in"}
    if token.get("refresh_token") and not token.get("access_token"):
        return replace(Token.from_response({**token, "access_token": NONE_YET}), expires_at=0.0)
    return Token.from_response(token)


def _unpickled(members: dict[str, Any]) -> Token:
    return Token(**members)


def _access_token(value: object) -> str:
    if not isinstance(value, str) or not value:
        what = "no access_token" if value in (None, "") else f"an access_token that is no text ({type(value).__name__})"
        raise InvalidResponseError(f"the token endpoint's answer has {what}")
    if not _HEADER_SAFE.fullmatch(value):
        raise InvalidResponseError(
            "the access_token holds characters that cannot stand in a header (blanks at its ends, control characters "
            "or non-ASCII); it was not used"
        )
    return value


def _token_type(value: object) -> str:
    if value is None or value == "":
        return "Bearer"
    if not isinstance(value, str) or value.lower() != "bearer":
        # What is longer than a name may be the token, where a server has mixed the two up.
        shown = repr(value) if isinstance(value, str) and _TYPE.fullmatch(value) else "(not shown)"
        raise InvalidResponseError(f"the token endpoint gave a token of type {shown}; only bearer tokens can be used")
    return value


def _text(mapping: Mapping[str, Any], name: str) -> str | None:
    value = mapping.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidResponseError(f"the token endpoint gave a {name} that is no text ({type(value).__name__})")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidResponseError(f"the token endpoint gave a {name} that is broken Unicode")
    return value


def _scope(value: object) -> str | None:
    if isinstance(value, list | tuple):
        value = " ".join(item for item in value if isinstance(item, str))
    return value if isinstance(value, str) and value.strip() else None


def number(value: object) -> float | None:
    """Give a JSON number, or a text that holds one, as a finite float; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def _moment(seconds: object, issued_at: float) -> float | None:
    lifetime = number(seconds)
    return issued_at + lifetime if lifetime is not None and 0 < lifetime <= TEN_YEARS else None


def _epoch(value: object) -> float | None:
    moment = number(value)
    return moment if moment is not None and 0 < moment <= time.time() + TEN_YEARS else None
