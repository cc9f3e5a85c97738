"""OAuthClient: who asks for tokens, and how it proves that (RFC 6749, section 2.3)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from .assertion import ASSERTION_TYPE, PrivateKey, checked_key, signed_assertion
from .errors import ConfigurationError, cleaned
from .server import AuthorizationServer

__all__ = ["ClientCredential", "OAuthClient", "authentication_method", "client_authentication"]

# In the order of preference. raw_secret_basic is IBM Video Streaming's: the bare secret after `Basic `.
WITH_SECRET = ("client_secret_basic", "client_secret_post", "client_secret_jwt", "raw_secret_basic")
METHODS = ("private_key_jwt", *WITH_SECRET, "none")


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """A client id and its secret or key as they are at this moment."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    private_key: PrivateKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client that is registered at an authorization server.

    Args:
        client_id: the client id. With `credentials=` it only names the place in a shared store.
        client_secret: the secret, or a callable that returns it and is asked at each token call; None for a public
            client.
        private_key: the key for `private_key_jwt`: PEM text, a JWK mapping, or a callable that returns one and is asked
            at each token call.
        token_endpoint_auth_method: `private_key_jwt`, `client_secret_basic`, `client_secret_post`, `client_secret_jwt`,
            `raw_secret_basic` or `none`; chosen from what the server supports if not given.
        credentials: a callable that returns the pair (client id, secret), asked at each token call: for pairs that
            are replaced while the program runs.

    Raises:
        ConfigurationError: the arguments contradict each other.
    """

    client_id: str | None = None
    client_secret: str | Callable[[], str] | None = field(default=None, repr=False)
    private_key: PrivateKey | Callable[[], PrivateKey] | None = field(default=None, kw_only=True, repr=False)
    token_endpoint_auth_method: str | None = field(default=None, kw_only=True)
    credentials: Callable[[], tuple[str, str]] | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.credentials is None:
            _check_text(self.client_id, "client_id")
        elif not callable(self.credentials):
            raise ConfigurationError(
                "credentials= has to be a callable that returns the pair (client_id, client_secret)"
            )
        if sum(proof is not None for proof in (self.client_secret, self.credentials, self.private_key)) > 1:
            raise ConfigurationError("give one of client_secret=, credentials= and private_key=, not several")
        if self.private_key is not None and not callable(self.private_key):
            checked_key(self.private_key)
        if self.client_secret is not None and not callable(self.client_secret):
            _check_text(self.client_secret, "client_secret")
        method = self.token_endpoint_auth_method
        if method is not None and method not in METHODS:
            raise ConfigurationError(
                f"token_endpoint_auth_method={cleaned(str(method))!r} is not known; known are {', '.join(METHODS)}"
            )
        if method is not None and method not in self.possible_methods():
            has = {"none": "no secret", "private_key_jwt": "a private key"}.get(self.possible_methods()[0], "a secret")
            raise ConfigurationError(f"token_endpoint_auth_method={method!r}, but the client has {has}")

    def possible_methods(self) -> tuple[str, ...]:
        """Give the client authentication methods that this client can do, the preferred one first."""
        if self.private_key is not None:
            return ("private_key_jwt",)
        return ("none",) if self.client_secret is None and self.credentials is None else WITH_SECRET

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
        if self.private_key is not None:
            key = self.private_key
            key = checked_key(_asked(key, "private_key")) if callable(key) else key
            return ClientCredential(self.client_id or "", None, key)
        secret = self.client_secret
        if callable(secret):
            secret = _check_text(_asked(secret, "client_secret"), "client_secret")
        return ClientCredential(self.client_id or "", secret)


def _asked(supplier: Callable[[], object], name: str) -> object:
    failure = None
    try:
        return supplier()
    except Exception as error:  # noqa: BLE001 - it is the user's code: whatever it raises is told as one error
        why = error if isinstance(error, ConfigurationError) else type(error).__name__  # which is written to be shown
        failure = f"the callable given as {name}= failed: {why}"
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
    possible = client.possible_methods()
    supported = server.token_endpoint_auth_methods_supported
    if supported is None or possible == ("none",):
        return possible[0]  # RFC 8414, section 2: client_secret_basic where the server does not say
    for method in possible:
        if method in supported:
            return method
    raise ConfigurationError(
        f"{server.name} supports the client authentication methods {cleaned(', '.join(supported))}; "
        f"this client can do {', '.join(possible)}"
    )


def client_authentication(
    credential: ClientCredential, method: str, *, audience: str = "", algorithms: tuple[str, ...] | None = None
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Give the headers and the form parameters that authenticate a client by that method, and no other.

    Args:
        credential: the client's id and secret or key.
        method: the client authentication method.
        audience: whom an assertion is for.
        algorithms: what the server takes assertions to be signed with; None where it does not say.
    """
    secret = credential.client_secret or ""
    if method == "client_secret_basic":
        # RFC 6749, section 2.3.1: each part is form-encoded before base64; a colon in the id would split it wrongly.
        pair = f"{quote_plus(credential.client_id)}:{quote_plus(secret)}"
        return {"Authorization": f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"}, {}
    identity = {"client_id": credential.client_id}
    if method == "raw_secret_basic":
        if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
            raise ConfigurationError("the client secret holds characters that cannot stand in a header as they are")
        return {"Authorization": f"Basic {secret}"}, identity
    if method == "client_secret_post":
        return {}, {**identity, "client_secret": secret}
    if method == "none":
        return {}, identity
    assertion = signed_assertion(
        client_id=credential.client_id,
        audience=audience,
        key=credential.private_key,
        secret=credential.client_secret,
        supported=algorithms,
    )
    return {}, {**identity, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
