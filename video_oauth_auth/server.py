"""AuthorizationServer: where the endpoints are and what they can do (RFC 8414), without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .errors import ConfigurationError
from .origin import Origin, checked_endpoint

__all__ = ["AuthorizationServer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """The metadata of an authorization server, with the member names of RFC 8414, section 2.

    Attributes:
        issuer: the issuer identifier, exactly as the server writes it.
        authorization_endpoint: URL where a person signs in.
        token_endpoint: URL that gives tokens.
        revocation_endpoint: URL that ends tokens (RFC 7009).
        token_endpoint_auth_methods_supported: client authentication methods; None where the server does not say.
        extra: other members, read-only.
    """

    issuer: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.issuer or self.token_endpoint):
            raise ConfigurationError("AuthorizationServer needs a token_endpoint= (or an issuer=)")
        object.__setattr__(self, "extra", MappingProxyType(dict(self.extra)))
        methods = self.token_endpoint_auth_methods_supported
        if methods is not None:
            object.__setattr__(self, "token_endpoint_auth_methods_supported", tuple(methods))

    def checked_token_endpoint(self, insecure_origins: frozenset[Origin]) -> str:
        """Give the token endpoint, if secrets may be sent there.

        Raises:
            ConfigurationError: there is none, or it is no URL to send secrets to.
            InsecureTransportError: it is neither https, nor loopback, nor listed.
        """
        if not self.token_endpoint:
            raise ConfigurationError(f"the metadata of {self.name} name no token_endpoint")
        return checked_endpoint(self.token_endpoint, "token_endpoint", insecure_origins)

    @property
    def name(self) -> str:
        """What tokens of this server are filed under: the issuer as written, or the token endpoint."""
        return self.issuer or self.token_endpoint or ""
