"""Installs Debian's Redis."""

from ..machine import require


def install() -> str:
    """Installs what is missing and says what there is; ends with the reason where it cannot."""
    require("redis-server", "redis-server")
    return "redis-server is on the path"
