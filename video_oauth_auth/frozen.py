"""Mappings that nobody can change."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["frozen"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def frozen(members: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give an unchangeable copy. All empty ones are one object: most values have no further members."""
    return MappingProxyType(dict(members)) if members else _EMPTY
