"""What a test can set: how the servers behave when they behave well."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .answers import Answer
from .challenges import ChallengeName

BASIC = "client_secret_basic"
POST = "client_secret_post"
NONE = "none"


@dataclass(kw_only=True, eq=False, repr=False)
class Settings:
    """The settings of the servers; all may be changed while they run.

    Attributes:
        client_id, client_secret: The one registered client; any characters. To change the secret of a running
            server, call `change_secret`, so that `secrets()` still knows the old one.
        token_endpoint_auth_methods: How the client may authenticate: `client_secret_basic` (form-encoded
            before base64, RFC 6749 section 2.3.1), `client_secret_post`, `none`. Two at once are refused.
        expires_in: Lifetime of access tokens in seconds; None: not told, and they live until revoked.
        token_type: As it is told in token answers.
        authorization_scheme: The scheme under which the API expects the token; None: the bare token.
        refresh_tokens: Whether every grant also gives a refresh token.
        refresh_expires_in: Lifetime of refresh tokens in seconds, told as `refresh_expires_in` (Keycloak's
            member; 0 means that they do not expire); None: not told, and they do not expire.
        rotate: Whether a refresh gives a new refresh token and spends the old one.
        revoke_family_on_reuse: Whether a spent refresh token that is presented again revokes all tokens that
            stem from the same grant.
        reuse_grace: Seconds in which a spent refresh token gives the same new tokens again instead.
        users: Names and passwords for the password grant.
        challenge: What the API answers without a live token: a name (see `challenges`) or an `Answer`.
        foreign_answer: What the foreign site answers to everything.
    """

    client_id: str = "test-client"
    client_secret: str = field(default="test-client-secret", repr=False)
    token_endpoint_auth_methods: tuple[str, ...] = (BASIC, POST)
    expires_in: float | None = 300
    token_type: str = "Bearer"  # noqa: S105 - not a token
    authorization_scheme: str | None = "Bearer"
    refresh_tokens: bool = False
    refresh_expires_in: float | None = None
    rotate: bool = True
    revoke_family_on_reuse: bool = True
    reuse_grace: float = 0
    users: Mapping[str, str] = field(default_factory=dict)
    challenge: ChallengeName | Answer = "bearer"
    foreign_answer: Answer = field(default=Answer(200, body="a foreign site"))
