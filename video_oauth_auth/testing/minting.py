"""What tokens look like, and what a token answer tells besides; platforms have their own ways."""

import base64
import hashlib
import secrets
from collections.abc import Mapping

from .issued import AccessToken, Family
from .site import Site

Form = Mapping[str, str]

ID_TOKEN_LIFETIME = 300  # seconds


class Mint:
    """Opaque tokens whose texts tell their kind and number; a dialect extends it."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def subject(self, family: Family) -> str:
        """Whose tokens they are, as `sub` says it: the user, or else the client."""
        return family.user or family.client_id

    def granted_scope(self, scope: str | None) -> str | None:
        """The scope that is granted to a request for this one."""
        return scope

    def gives_refresh_token(self, family: Family) -> bool:
        """Whether such a grant comes with a refresh token."""
        del family
        return self.site.settings.refresh_tokens

    def access_text(self, number: int, family: Family, scope: str | None, form: Form) -> str:
        """The text of a new access token.

        Args:
            number: How many there have been on this server.
            family: The grant it stems from.
            scope: Its scope.
            form: The parameters of the token request.
        """
        del family, scope, form
        return f"access-{number}-{secrets.token_urlsafe(18)}"

    def refresh_text(self, number: int, family: Family) -> str:
        """The text of a new refresh token."""
        del family
        return f"refresh-{number}-{secrets.token_urlsafe(18)}"

    def code_text(self) -> str:
        """The text of a new authorization code."""
        return f"code-{secrets.token_urlsafe(24)}"

    def callback_parameters(self, family: Family) -> Mapping[str, str]:
        """What a person who has signed in comes back with besides the parameters of the RFCs."""
        del family
        return {}

    def more_members(self, access: AccessToken, nonce: str | None) -> Mapping[str, object]:
        """What a token answer tells besides the members of RFC 6749: for a user who asked with `openid` an ID token.

        Args:
            access: The access token of the same answer.
            nonce: Of the authorization request, in the first answer to it.
        """
        is_wanted = access.family.user is not None and "openid" in (access.scope or "").split()
        return {"id_token": self.id_token(access, nonce)} if is_wanted else {}

    def id_token(self, access: AccessToken, nonce: str | None) -> str:
        """A signed ID token (OpenID Connect Core section 2)."""
        family = access.family
        claims = {
            "iss": self.site.issuer,
            "sub": self.subject(family),
            "aud": family.client_id,
            "azp": family.client_id,
            "auth_time": family.auth_time,
            "sid": family.session,
            "at_hash": _half_hash(access.text),
            **({} if nonce is None else {"nonce": nonce}),
            **self.more_claims(family),
        }
        return self.site.key.sign(claims, lifetime=self.id_token_lifetime)

    def more_claims(self, family: Family) -> Mapping[str, object]:
        """What an ID token says besides."""
        del family
        return {}

    @property
    def id_token_lifetime(self) -> float:
        """Lifetime of ID tokens in seconds."""
        return ID_TOKEN_LIFETIME


def _half_hash(text: str) -> str:
    """`at_hash` of an access token, where SHA-256 is the hash of the signature (OpenID Connect Core 3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()
