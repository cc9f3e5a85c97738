"""Installs Debian's Chromium and its driver."""

from ..machine import require


def install() -> str:
    """Installs what is missing and says what there is; ends with the reason where it cannot."""
    require("chromium", "chromium")
    require("chromedriver", "chromium-driver")
    return "Chromium and its driver are on the path"
