"""Grants (RFC 6749, section 4): by what right a token is asked for. Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from .errors import ConfigurationError
from .frozen import frozen

__all__ = ["AuthorizationCode", "ClientCredentials", "DeviceCode", "Grant", "ResourceOwnerPassword"]

# Parameters that the library itself sets: an extra of the same name would send them twice.
_RESERVED = frozenset(
    {
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "refresh_token",
        "code",
        "code_verifier",
        "device_code",
        "redirect_uri",
        "username",
        "password",
        "scope",
        "resource",
        "audience",
    }
)
_RESERVED_FOR_AUTHORIZATION = _RESERVED | {
    "response_type",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
}


@runtime_checkable
class Grant(Protocol):
    """What a grant has to offer; your own class with these members is one.

    Attributes:
        grant_type: the value of the `grant_type` parameter.
        needs_person: True if a token cannot be had without somebody signing in.
        scope: the scope to ask for, separated by blanks, or None.
        resource: the resources (RFC 8707) to ask for.
        audience: the audience to ask for, or None.
        extra: further form parameters, sent with the grant and with each refresh.
    """

    @property
    def grant_type(self) -> str: ...
    @property
    def needs_person(self) -> bool: ...
    @property
    def scope(self) -> str | None: ...
    @property
    def resource(self) -> Sequence[str]: ...
    @property
    def audience(self) -> str | None: ...
    @property
    def extra(self) -> Mapping[str, str]: ...

    def parameters(self) -> Mapping[str, str]:
        """Give the form parameters that only this grant has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What every grant may ask for."""

    scope: str | None = None
    resource: Sequence[str] = ()
    audience: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.scope is not None and not isinstance(self.scope, str):
            object.__setattr__(self, "scope", " ".join(self.scope))
        resource = (self.resource,) if isinstance(self.resource, str) else tuple(self.resource)
        object.__setattr__(self, "resource", resource)
        object.__setattr__(self, "extra", frozen(self.extra))
        for uri in resource:
            if ":" not in uri or "#" in uri:
                raise ConfigurationError(f"resource={uri!r} has to be an absolute URI without fragment (RFC 8707)")
        _check_extra("extra=", self.extra, _RESERVED)


def check_authorization_extra(name: str, extra: Mapping[str, str]) -> None:
    """Check further parameters of an authorization request.

    Raises:
        ConfigurationError: they would override what the library sets, or are no text.
    """
    _check_extra(name, extra, _RESERVED_FOR_AUTHORIZATION)


def _check_extra(name: str, extra: Mapping[str, str], reserved: frozenset[str]) -> None:
    if clash := sorted(reserved.intersection(extra)):
        raise ConfigurationError(f"{name} must not hold {', '.join(clash)}: the library sets that itself")
    if wrong := sorted(key for key, value in extra.items() if not isinstance(value, str)):
        raise ConfigurationError(f"{name} takes text only; {', '.join(wrong)} is none")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials(_Request):
    """The client asks in its own name (RFC 6749, section 4.4).

    Args:
        scope: the scope, separated by blanks.
        resource: one or several resource URIs (RFC 8707).
        audience: the audience, for servers that want one.
        extra: further form parameters.
    """

    @property
    def grant_type(self) -> str:
        return "client_credentials"

    @property
    def needs_person(self) -> bool:
        return False

    def parameters(self) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class AuthorizationCode(_Request):
    """A person signs in (RFC 6749, section 4.1); their tokens are then refreshed as long as the server allows.

    Args:
        redirect_uri: where the authorization server sends the browser back to.
        scope: the scope, separated by blanks.
        resource: one or several resource URIs (RFC 8707).
        audience: the audience, for servers that want one.
        extra: further form parameters.
        refresh_extra: further form parameters of each refresh, for servers that want some there.
        authorization_extra: further parameters of the authorization request.
        code_challenge_method: `plain` (RFC 7636) allows the weak method where the server offers nothing else.
    """

    redirect_uri: str | None = field(default=None, kw_only=False)
    refresh_extra: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    authorization_extra: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    code_challenge_method: Literal["S256", "plain"] = field(default="S256", kw_only=True)

    @property
    def grant_type(self) -> str:
        return "authorization_code"

    @property
    def needs_person(self) -> bool:
        return True

    def __post_init__(self) -> None:
        super(AuthorizationCode, self).__post_init__()
        _check_extra("refresh_extra=", self.refresh_extra, _RESERVED - {"redirect_uri"})
        check_authorization_extra("authorization_extra=", self.authorization_extra)
        if self.code_challenge_method not in ("S256", "plain"):
            raise ConfigurationError(f"code_challenge_method={self.code_challenge_method!r} is neither S256 nor plain")

    def parameters(self) -> Mapping[str, str]:
        return {} if self.redirect_uri is None else {"redirect_uri": self.redirect_uri}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode(_Request):
    """A person signs in on another device, with a short code that this one shows (RFC 8628).

    Args:
        scope: the scope, separated by blanks.
        resource: one or several resource URIs (RFC 8707).
        audience: the audience, for servers that want one.
        extra: further form parameters.
    """

    @property
    def grant_type(self) -> str:
        return "urn:ietf:params:oauth:grant-type:device_code"

    @property
    def needs_person(self) -> bool:
        return True

    def parameters(self) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class ResourceOwnerPassword(_Request):
    """The client asks with a person's name and password (RFC 6749, section 4.3): only where nothing else is offered.

    Args:
        username: the name.
        password: the password.
        scope: the scope, separated by blanks.
        resource: one or several resource URIs (RFC 8707).
        audience: the audience, for servers that want one.
        extra: further form parameters.
    """

    username: str = field(kw_only=False)
    password: str = field(kw_only=False, repr=False)

    @property
    def grant_type(self) -> str:
        return "password"

    @property
    def needs_person(self) -> bool:
        return False

    def parameters(self) -> Mapping[str, str]:
        return {"username": self.username, "password": self.password}
