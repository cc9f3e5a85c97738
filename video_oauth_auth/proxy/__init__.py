"""A proxy that holds the credential for many applications: they call it, it calls the platform with a good token.

It is an ASGI application for asyncio: run it by `video-oauth-auth proxy`, or mount it in an application of your own.
"""

from .app import ProxyApp

__all__ = ["ProxyApp"]
