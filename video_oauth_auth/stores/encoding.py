"""An entry as bytes and back, without I/O: what stores that keep bytes write.

An entry is one flat JSON object: `format`, the members of the key, and those of the token under their own names.
Members that this version does not know stay what they are when the entry is written again. A change that older versions
would misread gets a higher `format`, and they leave such an entry alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import StoreError
from ..frozen import frozen
from ..token import Token
from .contract import StoreKey

__all__ = ["FORMAT", "Document", "Unreadable", "decoded", "encoded"]

FORMAT = 1

_KEY = tuple(one.name for one in fields(StoreKey))
_TOKEN = tuple(one.name for one in fields(Token))
_KNOWN = frozenset({"format", *_KEY, *_TOKEN})


class Unreadable(StoreError):
    """What is stored is no entry that this version can read; the message says why, without showing any of it.

    Attributes:
        newer: True if a newer version of the library has written it.
    """

    def __init__(self, message: str, *, newer: bool = False) -> None:
        super().__init__(message)
        self.newer = newer


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An entry that was read.

    Attributes:
        key: whose entry it says it is.
        token: the token.
        unknown: the members that this version does not know, to be written again.
    """

    key: StoreKey
    token: Token
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)


def encoded(key: StoreKey, token: Token, *, unknown: Mapping[str, Any] = frozen({})) -> bytes:
    """Write an entry: ASCII, one line.

    Args:
        key: whose entry it is.
        token: the token.
        unknown: members of the entry as it was before that this version does not know.

    Raises:
        StoreError: the token holds something that JSON has no word for.
    """
    members = {**unknown, "format": FORMAT}
    members |= {name: getattr(key, name) for name in _KEY}
    members |= {name: getattr(token, name) for name in _TOKEN}
    members["extra"] = dict(token.extra)
    members["claims"] = None if token.claims is None else dict(token.claims)
    try:
        # Servers answer 1e999 too. Python reads back what it writes for that, and a token must not be lost for it.
        return json.dumps(members).encode("ascii") + b"\n"
    except (TypeError, ValueError, RecursionError):
        pass
    # Outside the handler: the frames of what failed hold the token.
    raise StoreError(
        "the token cannot be stored: its `extra` or `claims` hold something that is no text, number, true, false, "
        "None, list or dict, or too many levels of these"
    )


def decoded(data: bytes) -> Document:
    """Read an entry.

    Raises:
        Unreadable: it is none, or one of a newer format.
    """
    members = _object(data)
    version = members.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Unreadable("it is no token entry: it has no `format` number")
    if version > FORMAT:
        raise Unreadable(f"it has format {version}; this version reads format {FORMAT}", newer=True)
    return Document(
        key=StoreKey(**{name: _text(members, name) for name in _KEY}),
        token=_token(members),
        unknown={name: value for name, value in members.items() if name not in _KNOWN},
    )


def _object(data: bytes) -> dict[str, Any]:
    members: object = None
    with suppress(ValueError, RecursionError):  # left behind here: the exception holds the whole text
        members = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    if not isinstance(members, dict):
        raise Unreadable("it is no JSON object" if data else "it is empty")
    return members


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members


def _token(members: Mapping[str, Any]) -> Token:
    access_token = _text(members, "access_token")
    issued_at = _number(members, "issued_at")
    if not access_token or issued_at is None:
        raise Unreadable("its member `access_token` or `issued_at` is empty")
    return Token(
        access_token=access_token,
        token_type=_text(members, "token_type"),
        issued_at=issued_at,
        expires_at=_number(members, "expires_at"),
        refresh_token=_optional_text(members, "refresh_token"),
        refresh_expires_at=_number(members, "refresh_expires_at"),
        scope=_optional_text(members, "scope"),
        id_token=_optional_text(members, "id_token"),
        claims=None if members.get("claims") is None else _mapping(members, "claims"),
        issued_by=_optional_text(members, "issued_by"),
        extra=_mapping(members, "extra"),
    )


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise Unreadable(f"its member `{name}` is no text")
    return value


def _optional_text(members: Mapping[str, Any], name: str) -> str | None:
    return None if members.get(name) is None else _text(members, name)


def _number(members: Mapping[str, Any], name: str) -> float | None:
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)  # absurd ones too: such a token counts as expired, its refresh token may be good
    raise Unreadable(f"its member `{name}` is no number of seconds")


def _mapping(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    if not isinstance(value, dict):
        raise Unreadable(f"its member `{name}` is no object")
    return value
