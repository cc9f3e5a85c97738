"""A proxy that holds the credential for many applications: they call it, it calls the platform with a good token.

It is an ASGI application for asyncio: run it by `video-oauth-auth proxy`, or mount it in an application of your own.
"""

from ..errors import ConfigurationError

try:
    from .app import ProxyApp
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "starlette":
        raise
    raise ConfigurationError(
        "the proxy needs the libraries of an extra: pip install 'video-oauth-auth[proxy]'"
    ) from None

__all__ = ["ProxyApp"]
