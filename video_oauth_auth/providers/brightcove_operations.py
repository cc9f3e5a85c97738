"""The operations of Brightcove's APIs: what a client credential can be allowed to do.

Source: https://apis.support.brightcove.com/oauth/guides/api-operations-client-credentials-requests.html, and the
security definitions in the references of the APIs (delivery rules, clear sources, the status of social posts).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..errors import ConfigurationError, cleaned

__all__ = ["OPERATIONS", "checked_operations"]


def _each(of: str, *names: str) -> tuple[str, ...]:
    return tuple(f"video-cloud/{of}/{name}" for name in names)


OPERATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Analytics": _each("analytics", "read"),
        "Audience": _each("audience", "read", "write"),
        "Beacon Monetization": _each("beacon-monetization", "read", "read-write", "iframe-info", "in-app-purchase"),
        "Cloud Playout": _each("cloud-playout", "read", "all"),
        "CMS": (
            *_each("video", "read", "create", "update", "delete", "all", "clear-sources"),
            *_each("asset", "delete"),
            *_each("playlist", "read", "create", "update", "delete", "all"),
            *_each("sharing-relationships", "read", "create", "update", "delete", "all"),
            *_each("notifications", "all"),
        ),
        "Cross Device Playback": _each("xdr", "read"),
        "Delivery Rules": _each("delivery-rules", "read", "all"),
        "Dynamic Ingest": _each("upload-urls", "read"),
        "Ingest Profiles": (
            *_each("ingest-profiles/profile", "read", "write"),
            *_each("ingest-profiles/account", "read", "write"),
        ),
        "In-Page Experience": _each("experience", "read", "all"),
        "Playback Restrictions": (
            *_each("playback-auth/key", "read", "write"),
            *_each("playback-auth/playback-rights", "read", "write"),
            *_each("playback-auth", "blacklist", "audit"),
        ),
        "Player Management": (*_each("player", "read", "all"), "perform/player/all"),
        "Social": (
            *_each("social/api", "read"),
            *_each("social/status", "read"),
            *_each("social/mrss", "read", "write"),
        ),
        "SSAI": _each("ssai", "read", "all"),
    }
)
"""The known operations, by API; `perform/player/all` is for accounts of the type `perform-account`."""

_KNOWN = frozenset(operation for operations in OPERATIONS.values() for operation in operations)


def checked_operations(operations: Iterable[str], other_operations: Iterable[str] = ()) -> tuple[str, ...]:
    """Give the operations, each once.

    Args:
        operations: known ones.
        other_operations: such as this version does not know; they are taken as they are.

    Raises:
        ConfigurationError: there are none, or one is not known.
    """
    known, others = _texts(operations, "operations"), _texts(other_operations, "other_operations")
    for operation in known:
        if operation not in _KNOWN:
            raise ConfigurationError(_unknown(operation))
    if not known and not others:
        raise ConfigurationError("operations= is empty: a credential without operations cannot do anything")
    return tuple(dict.fromkeys((*known, *others)))


def _texts(values: Iterable[str], name: str) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name}= takes a list of operations: {name}=['video-cloud/video/read']")
    found = tuple(values)
    if not all(isinstance(value, str) and value for value in found):
        raise ConfigurationError(f"{name}= takes operations as text, such as 'video-cloud/video/read'")
    return found


def _unknown(operation: str) -> str:
    near = difflib.get_close_matches(operation, sorted(_KNOWN), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    return (
        f"{cleaned(operation)!r} is no operation that is known here{hint} All known ones are in OPERATIONS, and listed "
        f"by `video-oauth-auth credentials brightcove operations`. One that Brightcove has added since goes into "
        f"other_operations= (--other-operation)"
    )
