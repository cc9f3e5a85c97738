"""Opening a browser for a person to sign in, with a URL that it is safe to hand to one."""

from __future__ import annotations

import os
import re
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import PurePath
from urllib.parse import quote, urlsplit

from ..errors import ConfigurationError
from ..origin import Origin, checked_endpoint, origin_of, written

__all__ = ["checked_authorization_url", "has_browser", "open_in_browser"]

STARTED_AFTER = 1.0  # seconds after which a browser that has not failed has started
_TEXT_BROWSERS = {"www-browser", "links", "links2", "elinks", "lynx", "w3m", "browsh"}  # they would take the terminal
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LEFT = "%/:@&=+?"  # the characters that are left as they are, beside letters, digits and _.-~


def checked_authorization_url(url: str, *, insecure_origins: frozenset[Origin] = frozenset()) -> str:
    """Give the URL in a form that no browser, launcher or shell takes for something else (RFC 8252, section 8.12).

    Characters that mean something to a shell, and percent signs that begin no escape, are percent-encoded. Escapes get
    capital letters: Python's `webbrowser` puts a text of its own in the place of `%action`.

    Args:
        url: the authorization request; no message shows its query.
        insecure_origins: origins that may be used without TLS.

    Raises:
        ConfigurationError: it is not an absolute URL, or holds user information, a fragment or odd characters.
        InsecureTransportError: it is not https, not loopback and not listed.
    """
    checked_endpoint(url, "the URL to open", insecure_origins)
    origin = origin_of(url)
    if origin is None or not url.isascii():
        raise ConfigurationError(
            "the URL to open: it holds characters beyond ASCII; its host is to be written as xn--..., the rest "
            "percent-encoded"
        )
    parts = urlsplit(url)
    query = f"?{_encoded(parts.query)}" if parts.query else ""
    return written(origin) + _encoded(parts.path or "/") + query


def _encoded(text: str) -> str:
    text = _STRAY_PERCENT.sub("%25", text)
    return quote(_ESCAPE.sub(lambda escape: escape[0].upper(), text), safe=_LEFT)


def has_browser() -> bool:
    """Tell whether there is a browser that a person at this machine would see, and that leaves the terminal alone."""
    if not os.environ.get("BROWSER") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        is_desktop = sys.platform in ("win32", "darwin")
        if not is_desktop or os.environ.get("SSH_CONNECTION"):
            return False
    try:
        first = webbrowser.get()
    except webbrowser.Error:
        return False
    return PurePath(getattr(first, "name", "")).name not in _TEXT_BROWSERS


def open_in_browser(
    url: str,
    opener: Callable[[str], object] | None = None,
    *,
    insecure_origins: frozenset[Origin] = frozenset(),
) -> bool:
    """Show the authorization request to the person.

    Args:
        url: the authorization request; it is checked as `checked_authorization_url` does it.
        opener: what opens it instead of the browser; False from it means that it did not.
        insecure_origins: origins that may be used without TLS.

    Returns:
        False where no browser could be opened: show the URL then.

    Raises:
        ConfigurationError: the URL is none that may be opened.
        InsecureTransportError: it is not https, not loopback and not listed.
    """
    url = checked_authorization_url(url, insecure_origins=insecure_origins)
    if opener is not None:
        return _opened_in_time(opener, url)
    return has_browser() and _opened_in_time(lambda url: webbrowser.open(url, new=1), url)


def _opened(opener: Callable[[str], object], url: str) -> bool:
    try:
        return opener(url) is not False
    except Exception:  # noqa: BLE001 - launchers and the user's code have errors of their own
        return False


def _opened_in_time(opener: Callable[[str], object], url: str) -> bool:
    """Open it beside this thread, which has to answer the browser: some commands return only when it is closed."""
    outcomes: list[bool] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(_opened(opener, url)), name="video-oauth-auth-browser", daemon=True
    )
    thread.start()
    thread.join(STARTED_AFTER)
    return outcomes != [False]
