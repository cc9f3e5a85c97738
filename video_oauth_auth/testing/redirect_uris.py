"""Where people may be sent back to, and how the answer gets there."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from .site import Site

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


def is_registered(site: Site, redirect_uri: str) -> bool:
    """Whether people may be sent to this URI: one on loopback, or one that is registered."""
    if "#" in redirect_uri:  # RFC 6749 section 3.1.2
        return False
    if _is_on_loopback(redirect_uri) or redirect_uri in site.settings.redirect_uris:
        return True
    return site.dialect.redirect_uris_are_prefixes and redirect_uri.startswith(site.settings.redirect_uris)


def with_parameters(redirect_uri: str, parameters: Mapping[str, str], *, in_fragment: bool = False) -> str:
    """The URI with these parameters added to its query, or as its fragment."""
    parts = urlsplit(redirect_uri)
    added = urlencode(parameters)
    if in_fragment:
        return urlunsplit(parts._replace(fragment=added))
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, added)))))


def _is_on_loopback(uri: str) -> bool:
    """RFC 8252 section 7.3; the port is free."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or parts.hostname not in LOOPBACK_HOSTS or port == 0:
        return False
    return parts.username is None and parts.password is None and not any(map(str.isspace, uri))
