"""What the realms of the tests have, as Keycloak's admin API takes it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What each of them may do is in `RealmSettings.representation`.
WEB_APP = "web-app"
NATIVE_APP = "native-app"
TELEVISION = "television"
ANONYMOUS = "anonymous"
API = "api"

PEOPLE = ("alice", "bob")
# Any port and any path on loopback, after a sign-in as after a sign-out.
REDIRECT_URIS = ("http://127.0.0.1/*",)
# Keycloak writes down errors of each type too: `REFRESH_TOKEN_ERROR`.
EVENTS = (
    "LOGIN",
    "CLIENT_LOGIN",
    "CODE_TO_TOKEN",
    "REFRESH_TOKEN",
    "REVOKE_GRANT",
    "LOGOUT",
    "OAUTH2_DEVICE_CODE_TO_TOKEN",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmSettings:
    """A realm with five clients and two people; both lifetimes are in seconds.

    `session_idle` is the lifetime of a refresh token, too. Each refresh begins it again and gives a new refresh token;
    one that was used before is refused, and its session is over.
    """

    name: str
    access_token_lifespan: int
    session_idle: int
    web_app_secret: str = field(default_factory=secrets.token_urlsafe, repr=False)
    api_secret: str = field(default_factory=secrets.token_urlsafe, repr=False)
    passwords: Mapping[str, str] = field(
        default_factory=lambda: {name: secrets.token_urlsafe() for name in PEOPLE}, repr=False
    )

    def representation(self) -> dict[str, Any]:
        return {
            "realm": self.name,
            "enabled": True,
            "sslRequired": "none",
            "accessTokenLifespan": self.access_token_lifespan,
            "ssoSessionIdleTimeout": self.session_idle,
            "revokeRefreshToken": True,
            "refreshTokenMaxReuse": 0,
            "oauth2DevicePollingInterval": 1,
            "eventsEnabled": True,
            "enabledEventTypes": [*EVENTS, *(f"{name}_ERROR" for name in EVENTS)],
            "clients": self._clients(),
            "users": [self._person(name, password) for name, password in self.passwords.items()],
        }

    def _clients(self) -> list[dict[str, Any]]:
        pkce = {"pkce.code.challenge.method": "S256"}
        device_flow = {"oauth2.device.authorization.grant.enabled": "true"}
        return [
            _client(WEB_APP, secret=self.web_app_secret, standardFlowEnabled=True, serviceAccountsEnabled=True),
            _client(NATIVE_APP, standardFlowEnabled=True, attributes=pkce),
            _client(TELEVISION, attributes=device_flow),
            _client(ANONYMOUS, directAccessGrantsEnabled=True),
            _client(API, secret=self.api_secret),
        ]

    def _person(self, name: str, password: str) -> dict[str, Any]:
        """Somebody of whom no page asks anything but the password."""
        return {
            "username": name,
            "enabled": True,
            "email": f"{name}@example.com",
            "emailVerified": True,
            "firstName": name.capitalize(),
            "lastName": "Example",
            "credentials": [{"type": "password", "value": password, "temporary": False}],
            "realmRoles": [f"default-roles-{self.name}"],  # with offline_access
        }


def _client(
    client_id: str, *, secret: str | None = None, attributes: Mapping[str, str] | None = None, **grants: bool
) -> dict[str, Any]:
    """A client that may use these grants only; it is public without a secret."""
    return {
        "clientId": client_id,
        "publicClient": secret is None,
        "secret": secret,
        "redirectUris": REDIRECT_URIS,
        "attributes": {"post.logout.redirect.uris": "+"} | dict(attributes or {}),
        "standardFlowEnabled": False,
        # Keycloak tells a client about tokens only that are meant for it.
        "protocolMappers": [
            {
                "name": "for the API",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-audience-mapper",
                "config": {"included.client.audience": API, "access.token.claim": "true"},
            }
        ],
    } | grants
