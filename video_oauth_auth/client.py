"""OAuthClient: who asks for tokens, and how it proves that (RFC 6749, section 2.3)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from .errors import ConfigurationError, cleaned
from .server import AuthorizationServer

__all__ = ["ClientCredential", "OAuthClient", "authentication_method", "client_authentication"]

METHODS = ("client_secret_basic", "client_secret_post", "none")  # in the order of preference


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """A client id and its secret as they are at this moment."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client that is registered at an authorization server.

    Args:
        client_id: the client id. With `credentials=` it only names the place in a shared store.
        client_secret: the secret, or a callable that returns it and is asked at each token call; None for a public
            client.
        token_endpoint_auth_method: `client_secret_basic`, `client_secret_post` or `none`; chosen from what the
            server supports if not given.
        credentials: a callable that returns the pair (client id, secret), asked at each token call: for pairs that
            are replaced while the program runs.

    Raises:
        ConfigurationError: the arguments contradict each other.
    """

    client_id: str | None = None
    client_secret: str | Callable[[], str] | None = field(default=None, repr=False)
    token_endpoint_auth_method: str | None = field(default=None, kw_only=True)
    credentials: Callable[[], tuple[str, str]] | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.credentials is None:
            _check_text(self.client_id, "client_id")
        elif not callable(self.credentials):
            raise ConfigurationError(
                "credentials= has to be a callable that returns the pair (client_id, client_secret)"
            )
        elif self.client_secret is not None:
            raise ConfigurationError("give either client_secret= or credentials=, not both")
        if self.client_secret is not None and not callable(self.client_secret):
            _check_text(self.client_secret, "client_secret")
        method = self.token_endpoint_auth_method
        if method is not None and method not in METHODS:
            raise ConfigurationError(
                f"token_endpoint_auth_method={cleaned(str(method))!r} is not known; known are {', '.join(METHODS)}"
            )
        if (method == "none") is self.has_secret and method is not None:
            has = "has a secret" if self.has_secret else "has no client_secret"
            raise ConfigurationError(f"token_endpoint_auth_method={method!r}, but the client {has}")

    @property
    def has_secret(self) -> bool:
        return self.client_secret is not None or self.credentials is not None

    def current(self) -> ClientCredential:
        """Ask for the id and secret of this moment; may run the user's callable.

        Raises:
            ConfigurationError: the callable failed, or gave something that is no id or secret.
        """
        if self.credentials is not None:
            pair = _asked(self.credentials, "credentials")
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ConfigurationError("credentials= has to return a pair: (client_id, client_secret)")
            return ClientCredential(_check_text(pair[0], "client_id"), _check_text(pair[1], "client_secret"))
        secret = self.client_secret
        if callable(secret):
            secret = _check_text(_asked(secret, "client_secret"), "client_secret")
        return ClientCredential(self.client_id or "", secret)


def _asked(supplier: Callable[[], object], name: str) -> object:
    failure = None
    try:
        return supplier()
    except Exception as error:  # noqa: BLE001 - it is the user's code: whatever it raises is told as one error
        failure = f"the callable given as {name}= failed: {type(error).__name__}"
    raise ConfigurationError(failure)  # outside the handler: the user's exception may hold the secret


def _check_text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        what = "is empty" if value == "" else f"has to be text, not {type(value).__name__}"
        raise ConfigurationError(f"{name} {what}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigurationError(f"{name} is broken Unicode and cannot be sent")
    return value


def authentication_method(client: OAuthClient, server: AuthorizationServer) -> str:
    """Choose the one client authentication method for a call.

    Raises:
        ConfigurationError: the server supports none that this client can do.
    """
    if client.token_endpoint_auth_method is not None:
        return client.token_endpoint_auth_method
    if not client.has_secret:
        return "none"
    supported = server.token_endpoint_auth_methods_supported
    if supported is None:
        return "client_secret_basic"  # RFC 8414, section 2: the default
    for method in METHODS[:-1]:
        if method in supported:
            return method
    raise ConfigurationError(
        f"{server.name} supports the client authentication methods {cleaned(', '.join(supported))}; "
        f"this client can do {', '.join(METHODS[:-1])}"
    )


def client_authentication(credential: ClientCredential, method: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Give the headers and the form parameters that authenticate a client by that method, and no other."""
    if method == "client_secret_basic":
        # RFC 6749, section 2.3.1: each part is form-encoded before base64; a colon in the id would split it wrongly.
        pair = f"{quote_plus(credential.client_id)}:{quote_plus(credential.client_secret or '')}"
        return {"Authorization": f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"}, {}
    if method == "client_secret_post":
        return {}, {"client_id": credential.client_id, "client_secret": credential.client_secret or ""}
    return {}, {"client_id": credential.client_id}
