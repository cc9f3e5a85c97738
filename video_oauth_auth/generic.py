"""What a profile for `generic` means: a server that is no platform's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .client import OAuthClient
from .errors import ConfigurationError
from .grants import AuthorizationCode, ClientCredentials, Grant
from .origin import origin_of, written
from .server import AuthorizationServer
from .source import TokenSource

__all__ = ["generic_keywords"]


def generic_keywords(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Give the keyword arguments of `OAuth2Auth`.

    With a secret and no redirect URI the client asks in its own name; else a person has to sign in.

    Args:
        keywords: those of a profile for `generic`, and those of `TokenSource` and `OAuth2Auth`.

    Raises:
        ConfigurationError: something is missing, or contradicts something else.
    """
    rest = dict(keywords)
    server = _server(rest)
    method = rest.pop("token_endpoint_auth_method", None)
    client = OAuthClient(rest.pop("client_id"), rest.pop("client_secret", None), token_endpoint_auth_method=method)
    wishes = {name: rest.pop(name, None) for name in ("redirect_uri", "scope", "audience", "resource")}
    grant = rest.pop("grant", None)
    if grant is None:
        grant = _grant(wishes, client)
    elif ignored := sorted(name for name, wish in wishes.items() if wish is not None):
        raise ConfigurationError(f"with grant= given, {', '.join(ignored)} would be ignored: give it to the grant")
    insecure_origins = tuple(rest.pop("insecure_origins", ()))
    given: dict[str, Any] = {name: rest.pop(name) for name in ("origins", "scheme") if name in rest}
    source = TokenSource(server, client, grant, insecure_origins=insecure_origins, **rest)
    origins = given.pop("origins", None) or _own_origin(source)
    return {"source": source, "origins": origins, "insecure_origins": insecure_origins, **given}


def _server(rest: dict[str, Any]) -> AuthorizationServer | str:
    found = {name: rest.pop(name) for name in ("issuer", "token_endpoint", "server") if name in rest}
    if len(found) != 1:
        raise ConfigurationError("name the server by one of issuer, token_endpoint and server")
    if "token_endpoint" in found:
        return AuthorizationServer(token_endpoint=found["token_endpoint"])
    (server,) = found.values()
    return server  # type: ignore[no-any-return]  # a text or metadata, checked by the profile


def _grant(wishes: dict[str, Any], client: OAuthClient) -> Grant:
    redirect_uri = wishes.pop("redirect_uri")
    asked = {name: wish for name, wish in wishes.items() if wish is not None}
    if client.client_secret is not None and redirect_uri is None:
        return ClientCredentials(**asked)
    return AuthorizationCode(redirect_uri, **asked)


def _own_origin(source: TokenSource) -> list[str]:
    origin = origin_of(source.key.issuer)
    return [] if origin is None else [written(origin)]
