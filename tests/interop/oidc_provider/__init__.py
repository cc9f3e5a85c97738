"""oidc-provider, a certified OpenID Provider, run as a process of its own."""

from .process import OidcProvider, RegisteredClient, native, running_oidc_provider

__all__ = ["OidcProvider", "RegisteredClient", "native", "running_oidc_provider"]
