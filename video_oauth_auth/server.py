"""AuthorizationServer: where the endpoints are and what they can do (RFC 8414), without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ConfigurationError, InvalidResponseError
from .frozen import frozen

__all__ = ["ENDPOINTS", "AuthorizationServer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """The metadata of an authorization server, with the member names of RFC 8414, section 2.

    Attributes:
        issuer: the issuer identifier, exactly as the server writes it.
        authorization_endpoint: URL where a person signs in.
        token_endpoint: URL that gives tokens.
        revocation_endpoint: URL that ends tokens (RFC 7009).
        device_authorization_endpoint: URL where a device starts to sign a person in (RFC 8628).
        userinfo_endpoint: URL that tells about the person who signed in (OpenID Connect Core, section 5.3).
        jwks_uri: URL of the keys that sign ID tokens (RFC 7517).
        end_session_endpoint: URL where a person signs out (OpenID Connect RP-Initiated Logout).
        token_endpoint_auth_methods_supported: client authentication methods; None where the server does not say.
        token_endpoint_auth_signing_alg_values_supported: algorithms for client assertions; None likewise.
        code_challenge_methods_supported: PKCE methods (RFC 7636); None likewise.
        id_token_signing_alg_values_supported: algorithms that sign ID tokens; None likewise.
        authorization_response_iss_parameter_supported: True where the answer to an authorization request names its
            issuer (RFC 9207).
        extra: other members, read-only.
    """

    issuer: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    code_challenge_methods_supported: tuple[str, ...] | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.issuer or self.token_endpoint):
            raise ConfigurationError("AuthorizationServer needs a token_endpoint= (or an issuer=)")
        object.__setattr__(self, "extra", frozen(self.extra))
        for name in _LISTS:
            values = getattr(self, name)
            object.__setattr__(self, name, None if values is None else tuple(values))

    @classmethod
    def from_metadata(cls, members: Mapping[str, Any]) -> AuthorizationServer:
        """Read a metadata document; unknown members go into `extra`.

        Raises:
            InvalidResponseError: a known member has the wrong JSON type.
        """
        known = (
            {name: _text(members, name) for name in _TEXTS}
            | {name: _list(members, name) for name in _LISTS}
            | {name: _truth(members, name) for name in _TRUTHS}
        )
        extra = {name: value for name, value in members.items() if name not in known}
        return cls(**known, extra=extra)

    @property
    def name(self) -> str:
        """What tokens of this server are filed under: the issuer as written, or the token endpoint."""
        return self.issuer or self.token_endpoint or ""


ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
)
_TEXTS = ("issuer", *ENDPOINTS)
_LISTS = (
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "code_challenge_methods_supported",
    "id_token_signing_alg_values_supported",
)
_TRUTHS = ("authorization_response_iss_parameter_supported",)


def _text(members: Mapping[str, Any], name: str) -> Any:
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidResponseError(f"the metadata member {name} is no text")
    return value


def _list(members: Mapping[str, Any], name: str) -> Any:
    value = members.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise InvalidResponseError(f"the metadata member {name} is no list of texts")
    return value


def _truth(members: Mapping[str, Any], name: str) -> Any:
    value = members.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidResponseError(f"the metadata member {name} is neither true nor false")
    return value or False
