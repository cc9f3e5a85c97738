"""`discover`: what a server offers, and what this library would use of it."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.table import Column, Table
from rich.text import Text

from ..client import OAuthClient, authentication_method
from ..discovery import discover as fetch
from ..errors import ConfigurationError, cleaned
from ..server import AuthorizationServer
from .options import Examples
from .output import results

__all__ = ["discover"]

OFFERED = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "jwks_uri",
    "grant_types_supported",
    "scopes_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "id_token_signing_alg_values_supported",
    "authorization_response_iss_parameter_supported",
)


@click.command(cls=Examples, examples=("video-oauth-auth discover https://tenant.cidaas.de",))
@click.argument("issuer")
def discover(issuer: str) -> None:
    """Show what the server of an issuer offers, and what would be used."""
    server = fetch(issuer)
    _print("offered", ((name, _shown(_member(server, name))) for name in OFFERED))
    results().print()
    _print("what would be used", _used(server))


def _print(title: str, rows: Iterator[tuple[str, str]]) -> None:
    table = Table(Column(title, overflow="fold"), Column(overflow="fold"), box=None, pad_edge=False)
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    results().print(table)


def _member(server: AuthorizationServer, name: str) -> object:
    return getattr(server, name) if hasattr(server, name) else server.extra.get(name)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return cleaned(str(value), limit=1000) if value else "not said"


def _used(server: AuthorizationServer) -> Iterator[tuple[str, str]]:
    yield "a client without a person", _grant(server, "client_credentials")
    yield "a client with a secret", _method(server, OAuthClient("client", "not a secret"))
    yield "a client with a private key", _with_key(server)
    yield "a client without either", "none"
    yield "a person with a browser", _in_browser(server)
    yield "a person with another device", "a code (RFC 8628)" if server.device_authorization_endpoint else "no"
    yield "signing out", "revocation (RFC 7009)" if server.revocation_endpoint else "the tokens are forgotten here only"


def _grant(server: AuthorizationServer, name: str) -> str:
    offered = server.extra.get("grant_types_supported")
    if not isinstance(offered, list):
        return f"{name}, if it is offered: the server does not say"
    return name if name in offered else "no"


def _method(server: AuthorizationServer, client: OAuthClient) -> str:
    try:
        return authentication_method(client, server)
    except ConfigurationError:
        return "no"


def _with_key(server: AuthorizationServer) -> str:
    supported = server.token_endpoint_auth_methods_supported
    return "private_key_jwt" if supported is None or "private_key_jwt" in supported else "no"


def _in_browser(server: AuthorizationServer) -> str:
    methods = server.code_challenge_methods_supported
    if not server.authorization_endpoint:
        return "no"
    if methods is not None and "S256" not in methods:
        return "no: the server offers no PKCE with S256"
    iss = ", iss checked (RFC 9207)" if server.authorization_response_iss_parameter_supported else ""
    return f"authorization_code, PKCE S256, state{iss}"
