"""Starts oidc-provider, asks its admin doors, and stops it by its process id."""

import http.client
import json
import selectors
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .install import HERE, installation, node

START_TIMEOUT = 30.0
ADMIN_TIMEOUT = 10.0

Parameters = Mapping[str, object]

GRANT_TYPES = (
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """A client; `access_token_lifetime` is in seconds, `jwks` has the public keys of `private_key_jwt`.

    Without a secret it is public: it has to use PKCE. A `native` one may have its redirect URIs on any port of
    loopback. `id_token_signed_response_alg` is RS256 or ES256.
    """

    client_id: str
    client_secret: str | None
    token_endpoint_auth_method: str = "client_secret_basic"
    access_token_lifetime: int = 300
    jwks: Mapping[str, object] | None = None
    application_type: str = "web"
    redirect_uris: Sequence[str] = ("http://127.0.0.1/callback",)
    post_logout_redirect_uris: Sequence[str] = ("http://127.0.0.1/callback",)
    id_token_signed_response_alg: str = "RS256"

    def metadata(self) -> dict[str, object]:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return given | {"grant_types": GRANT_TYPES}


def native(register: Callable[..., RegisteredClient], **about: Any) -> RegisteredClient:
    """Registers a public client that takes answers on any port of loopback."""
    public = {"client_secret": None, "token_endpoint_auth_method": "none", "application_type": "native"}
    return register(**public | about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What oidc-provider read in a client assertion whose signature it had verified."""

    alg: str
    kid: str | None
    aud: str
    jti: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the server did for one client since the client was registered.

    `granted_to_header` counts the grants whose client had its secret in the Authorization header: oidc-provider takes
    it there and in the body, whichever of the two is registered.
    """

    granted: Mapping[str, int]
    refused: Mapping[str, int]
    revoked_grants: int
    assertions: Sequence[Assertion]
    granted_to_header: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider:
    """One running oidc-provider on loopback.

    Beside `issuer` it is two issuers with a path. `openid_tenant` has its metadata where OpenID Connect puts them, and
    takes `client_secret_post` and `private_key_jwt`; `oauth_tenant` where RFC 8414 does, and takes `client_secret_jwt`
    (HS512) and `private_key_jwt`. Both take signatures by PS256, ES256 and Ed25519 only.
    """

    issuer: str
    port: int
    openid_tenant: str
    oauth_tenant: str

    @property
    def authorization_endpoint(self) -> str:
        return f"{self.issuer}/auth"

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/token"

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.issuer}/token/introspection"

    @property
    def revocation_endpoint(self) -> str:
        return f"{self.issuer}/token/revocation"

    def register(self, client: RegisteredClient) -> RegisteredClient:
        """Registers a client, or changes the registered one with the same `client_id`, and returns it."""
        self._admin("POST", "/admin/clients", client.metadata())
        return client

    def sign_in(self, client_id: str, *, account_id: str) -> dict[str, Any]:
        """A token answer with a refresh token for a person, as after a login and a consent in a browser."""
        return self._admin("POST", "/admin/tokens", {"client_id": client_id, "account_id": account_id})

    def revoke_access_tokens(self, client_id: str) -> int:
        """Ends the living access tokens of a client and returns how many there were; refresh tokens stay."""
        return int(self._admin("POST", "/admin/revoke-access-tokens", {"client_id": client_id})["revoked"])

    def statistics(self, client_id: str) -> Statistics:
        seen = self._admin("GET", f"/admin/stats?{urlencode({'client_id': client_id})}")
        return Statistics(**seen | {"assertions": [Assertion(**one) for one in seen["assertions"]]})

    def documents(self) -> Counter[str]:
        """How often each path of a metadata document was asked for so far."""
        return Counter(self._admin("GET", "/admin/documents"))

    def _admin(self, method: str, path: str, parameters: Parameters | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ADMIN_TIMEOUT)
        try:
            connection.request(method, path, body=None if parameters is None else json.dumps(parameters))
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer


@contextmanager
def running_oidc_provider(log: Path) -> Iterator[OidcProvider]:
    """Runs the installed oidc-provider until the block ends; what it has to say goes to the file `log`."""
    folder = installation()
    if not folder.is_dir():
        raise RuntimeError("oidc-provider is not installed: run `make interop`, which installs it first.")
    command = [str(node(folder)), str(HERE / "server.mjs"), str(folder)]
    with (
        log.open("wb") as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        try:
            yield _when_ready(process, log)
        finally:
            _stop(process)


def _when_ready(process: subprocess.Popen[bytes], log: Path) -> OidcProvider:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(START_TIMEOUT) else b""
    if not line:
        raise RuntimeError(f"oidc-provider did not get ready within {START_TIMEOUT} s:\n{log.read_text()}")
    ready = json.loads(line)
    openid_tenant, oauth_tenant = ready["tenants"]
    return OidcProvider(
        issuer=ready["issuer"], port=ready["port"], openid_tenant=openid_tenant, oauth_tenant=oauth_tenant
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
