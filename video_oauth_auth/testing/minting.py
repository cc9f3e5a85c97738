"""What tokens look like, and what a token answer tells besides; platforms have their own ways."""

import secrets
from collections.abc import Mapping

from .issued import Family
from .site import Site

Form = Mapping[str, str]


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

    def more_members(self, family: Family, scope: str | None) -> Mapping[str, object]:
        """What a token answer tells besides the members of RFC 6749."""
        del family, scope
        return {}
