"""What makes a server speak like one platform and not like another, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .answers import Answer, HeaderPairs, json_answer

Refusal = Literal["unknown", "spent", "expired", "revoked"]

GENERIC_ENDPOINTS = {
    "authorization_endpoint": "/authorize",
    "token_endpoint": "/token",
    "revocation_endpoint": "/revoke",
    "device_authorization_endpoint": "/device_authorization",
    "end_session_endpoint": "/end_session",
    "userinfo_endpoint": "/userinfo",
    "jwks_uri": "/jwks",
}
INACTIVE = "Token is not active"


def rfc_error(status: int, members: Mapping[str, object], headers: HeaderPairs) -> Answer:
    """An error of the token endpoint as RFC 6749 section 5.2 has it."""
    return json_answer(status, dict(members), headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a platform differs from others, besides the settings.

    Attributes:
        endpoints: Paths at the authorization server, by their names in the metadata. All are told there; those
            that this server does not have answer 404.
        metadata: Further members of the metadata, and other values for those that are known.
        verification_path: Where people type the code that a device shows, if there is an endpoint for devices.
        redirect_uris_are_prefixes: Whether a redirect URI is registered if it only begins with a registered one.
        tells_error_descriptions: Whether people who come back with an error come with its description.
        api_at_issuer: Whether the API also answers at the origin of the authorization server.
        tells_refresh_expires_in: Whether the lifetime of refresh tokens, where there is one, is told.
        form_in_query: Whether a token request without a body may have its parameters in the query.
        json_bodies: Whether a token request may have its parameters as a JSON object.
        token_error: Makes the answer of an error of the token endpoint, from status, members and headers.
        refresh_refusals: Descriptions of `invalid_grant`, by what is wrong with the refresh token.
        revocation_needs_client: Whether a revocation is refused without client authentication.
        revoked: What a revocation answers.
    """

    endpoints: Mapping[str, str] = field(default_factory=lambda: GENERIC_ENDPOINTS)
    metadata: Mapping[str, object] = field(default_factory=dict)
    verification_path: str = "/device"
    redirect_uris_are_prefixes: bool = False
    tells_error_descriptions: bool = True
    api_at_issuer: bool = False
    tells_refresh_expires_in: bool = True
    form_in_query: bool = False
    json_bodies: bool = False
    token_error: Callable[[int, Mapping[str, object], HeaderPairs], Answer] = rfc_error
    refresh_refusals: Mapping[Refusal, str] = field(default_factory=dict)
    revocation_needs_client: bool = True
    revoked: Answer = field(default=Answer(200))

    def refresh_refusal(self, refusal: Refusal) -> str:
        """What is said about such a refresh token."""
        return self.refresh_refusals.get(refusal, INACTIVE)
