"""What a test can set: how the servers behave when they behave well."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .answers import Answer
from .challenges import ChallengeName
from .recording import RecordedRequest

BASIC = "client_secret_basic"
POST = "client_secret_post"
SECRET_JWT = "client_secret_jwt"  # noqa: S105 - the name of a method
KEY_JWT = "private_key_jwt"
RAW = "raw_secret_basic"  # IBM Video Streaming's own: the bare secret after `Basic `
NONE = "none"

OPENID_CONFIGURATION = "openid-configuration"
OAUTH_METADATA = "oauth-authorization-server"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = ("client_credentials", "password", "refresh_token", "authorization_code", DEVICE_CODE)
S256, PLAIN = "S256", "plain"
RESPONSE_MODES = ("query", "fragment")
SIGNING_ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519", "HS256")

Challenge = ChallengeName | Answer | Callable[[RecordedRequest], Answer]


@dataclass(kw_only=True, eq=False, repr=False)
class Settings:
    """The settings of the servers; all may be changed while they run.

    Attributes:
        client_id: The registered client; any characters.
        client_secret: Its secret; any characters. To change that of a running server, call `change_secret`, so that
            `secrets()` still knows the old one.
        client_jwk: The client's public key for `private_key_jwt`, as a JWK.
        public_client_id: A second client that has no secret; None: there is none.
        token_endpoint_auth_methods: How the client may authenticate: `client_secret_basic` (form-encoded
            before base64, RFC 6749 section 2.3.1), `client_secret_post`, `client_secret_jwt`, `private_key_jwt`
            (RFC 7523), `raw_secret_basic` (the bare secret after `Basic `), `none`. Two at once are refused.
        token_endpoint_auth_signing_algs: What client assertions may be signed with.
        grant_types: The grants that are supported.
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
        users: Names and passwords of the people who can sign in.
        redirect_uris: Where people may be sent back to, besides any `http` URI on loopback: `127.0.0.1`, `[::1]`
            or `localhost`, with any port and path (RFC 8252 section 7.3).
        pkce_required: Whether an authorization request without a `code_challenge` is refused.
        code_challenge_methods: What a code challenge may be made with (RFC 7636): `S256`, `plain`.
        authorization_response_iss_parameter_supported: Whether people come back with `iss` (RFC 9207).
        always_fragment: Whether they come back with everything in the fragment of the URI, although the request
            says `response_mode=query`.
        device_interval: Seconds between two token requests of a device (RFC 8628); each that comes earlier makes
            it 5 s longer.
        device_expires_in: Seconds in which a person can sign in for a device.
        challenge: What the API answers without a live token: a name (see `challenges`), an `Answer`, or a
            function of the request that gives one.
        foreign_answer: What the foreign site answers to everything.
        issuer_path: The path of the issuer, which is the origin of the authorization server and this path.
        discovery_documents: Which metadata are served: `openid-configuration` (below the issuer's path),
            `oauth-authorization-server` (before it, RFC 8414 section 3.1); none at all if empty.
        metadata_max_age: Seconds that documents say they may be kept, by `Cache-Control` and `Expires`; None:
            they do not say.
        public_origins: Under which origins clients know the ports `token`, `api`, ... where that is not
            loopback: written into metadata, tokens and links.
    """

    client_id: str = "test-client"
    client_secret: str = field(default="test-client-secret", repr=False)
    client_jwk: Mapping[str, Any] | None = None
    public_client_id: str | None = None
    token_endpoint_auth_methods: tuple[str, ...] = (BASIC, POST)
    token_endpoint_auth_signing_algs: tuple[str, ...] = SIGNING_ALGORITHMS
    grant_types: tuple[str, ...] = GRANT_TYPES
    expires_in: float | None = 300
    token_type: str = "Bearer"  # noqa: S105 - not a token
    authorization_scheme: str | None = "Bearer"
    refresh_tokens: bool = False
    refresh_expires_in: float | None = None
    rotate: bool = True
    revoke_family_on_reuse: bool = True
    reuse_grace: float = 0
    users: Mapping[str, str] = field(default_factory=dict)
    redirect_uris: tuple[str, ...] = ()
    pkce_required: bool = False
    code_challenge_methods: tuple[str, ...] = (S256, PLAIN)
    authorization_response_iss_parameter_supported: bool = True
    always_fragment: bool = False
    device_interval: float = 5
    device_expires_in: float = 600
    challenge: Challenge = "bearer"
    foreign_answer: Answer = field(default=Answer(200, body="a foreign site"))
    issuer_path: str = ""
    discovery_documents: tuple[str, ...] = (OPENID_CONFIGURATION, OAUTH_METADATA)
    metadata_max_age: int | None = None
    public_origins: Mapping[str, str] = field(default_factory=dict)
