"""A server that speaks like a cidaas tenant: discovery, token endpoint, userinfo and user groups on one origin.

Sources: https://docs.cidaas.com, and the answers that the vendor's own SDKs expect.
"""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from .answers import Answer, json_answer, text_answer
from .api import Api, json_object
from .dialect import Dialect
from .issued import AccessToken, Family
from .minting import Form, Mint
from .recording import RecordedRequest, Role
from .routes import Route, Routes
from .server import LoopbackServer
from .settings import BASIC, DEVICE_CODE, KEY_JWT, OPENID_CONFIGURATION, PLAIN, POST, S256, SECRET_JWT, Challenge
from .site import Site
from .storage import Storage
from .tokens import Ledger

GROUPS = "/groups-srv/usergroups"
ANONYMOUS = "ANONYMOUS"  # whose tokens those of a client are
DAY = 86_400
SCOPES = "openid profile email phone address offline_access identities roles groups"
MOSTLY_INVALID = "The provided authorization grant is invalid : invalid code or expired or already used or revoked"


def access_denied(status: int = 401) -> Answer:
    """What the gateway says to a request without a usable token: `error` is a sentence."""
    return json_answer(status, {"error": "Access denied for this resource", "refnumber": _reference()})


def denied(_: RecordedRequest) -> Answer:
    """The 401 of every path, with a reference number of its own each time."""
    return access_denied()


def service_error(status: int, *, code: int, type: str, error: str) -> Answer:  # noqa: A002 - the name of the member
    """An error of one of the services: `error` is an object.

    Args:
        status: Of the answer and told in it; 417 is cidaas' own for arguments that are wrong.
        code: A number of the service.
        type: The kind of exception.
        error: What is wrong.
    """
    told = {"code": code, "moreInfo": "", "type": type, "status": status, "referenceNumber": _reference()}
    return json_answer(status, {"success": False, "status": status, "error": {**told, "error": error}})


def _success(data: object) -> Answer:
    return json_answer(200, {"success": True, "status": 200, "data": data})


def _reference() -> str:
    return f"{time.time_ns() // 1_000_000}-{uuid.uuid4()}"


class CidaasMint(Mint):
    """Signed access tokens, and refresh tokens that are UUIDs."""

    def subject(self, family: Family) -> str:
        """A UUID for each user, always the same; none for a client."""
        return f"{uuid.uuid5(uuid.NAMESPACE_URL, family.user)}" if family.user else ANONYMOUS

    def gives_refresh_token(self, family: Family) -> bool:
        """Where `offline_access` was asked for."""
        return super().gives_refresh_token(family) or "offline_access" in _scopes(family.scope)

    def access_text(self, number: int, family: Family, scope: str | None, form: Form) -> str:
        """A JWT whose scopes are a list."""
        del number, form
        known = {"iss": self.site.issuer, "aud": family.client_id, "sub": self.subject(family), "sid": family.session}
        return self.site.key.sign({**known, "scopes": _scopes(scope)}, lifetime=self.site.settings.expires_in)

    def refresh_text(self, number: int, family: Family) -> str:
        """A UUID."""
        del number, family
        return f"{uuid.uuid4()}"

    def code_text(self) -> str:
        """A UUID."""
        return f"{uuid.uuid4()}"

    def callback_parameters(self, family: Family) -> Mapping[str, str]:
        """What the pages of a tenant leave behind."""
        del family
        return {"viewtype": "login", "grant_type": "login", "lang": "en"}

    def more_members(self, access: AccessToken, nonce: str | None) -> Mapping[str, object]:
        """Whose tokens they are, and for a user who asked with `openid` an ID token."""
        members = {"sub": self.subject(access.family), **super().more_members(access, nonce)}
        if access.family.user:
            members["identity_id"] = _identity(access.family.user)
        if "id_token" in members:
            members["id_token_expires_in"] = self.id_token_lifetime
        return members

    @property
    def id_token_lifetime(self) -> float:
        """That of access tokens."""
        return self.site.settings.expires_in or DAY


class CidaasApi(Api):
    """User groups behind the success envelope, in memory; else the paths of `Api`."""

    def __init__(self, site: Site, ledger: Ledger, storage: Storage) -> None:
        super().__init__(site, ledger, storage)
        self._lock = threading.Lock()  # guards the groups
        self._groups: dict[str, dict[str, Any]] = {}
        routes: list[Route] = [
            ("POST", GROUPS, self._create),
            ("GET", rf"{GROUPS}/(?P<group>[^/]+)", self._get),
            ("POST", "/groups-srv/graph/usergroups", self._search),
        ]
        self._routes = Routes(routes, error=lambda status: text_answer(status, "page not found"))

    def resource(self, request: RecordedRequest) -> Answer:
        """The resource of this path, as cidaas answers it."""
        return self._routes.answer(request) if request.path.startswith("/groups-srv/") else super().resource(request)

    def userinfo(self, family: Family) -> dict[str, object]:
        """The user and their identities; of a client's own token only that it is nobody's."""
        told = super().userinfo(family)
        if not family.user:
            return told
        identity = {"provider": "self", "identityId": _identity(family.user), "email": family.user}
        return {**told, "email": family.user, "identities": [{**identity, "email_verified": True}]}

    def add_group(self, group_id: str, name: str, parent_id: str) -> dict[str, Any]:
        """Add a user group, and give its members."""
        with self._lock:
            group = {"groupId": group_id, "groupName": name, "groupType": "team", "parentId": parent_id}
            self._groups[group_id] = group
        return dict(group)

    def _create(self, request: RecordedRequest) -> Answer:
        members = json_object(request) or {}
        group_id, name = members.get("groupId"), members.get("groupName")
        if not isinstance(group_id, str) or not isinstance(name, str) or not group_id:
            return service_error(417, code=10009, type="GroupsException", error="groupId or groupName is missing")
        return _success(self.add_group(group_id, name, f"{members.get('parentId', 'root')}"))

    def _get(self, _: RecordedRequest, group: str) -> Answer:
        with self._lock:
            known = self._groups.get(group)
        return _success(known) if known else Answer(204)

    def _search(self, request: RecordedRequest) -> Answer:
        parent_id = (json_object(request) or {}).get("parentId", "root")
        with self._lock:
            found = [group for group in self._groups.values() if group["parentId"] == parent_id]
        return _success({"groups": found}) if found else Answer(204)


def _scopes(scope: str | None) -> list[str]:
    return (scope or "").split()


def _identity(user: str) -> str:
    return f"{uuid.uuid5(uuid.NAMESPACE_URL, f'identity of {user}')}"


@dataclass(kw_only=True, eq=False, repr=False)
class CidaasServer(LoopbackServer):
    """A server that speaks like a cidaas tenant: one origin for tokens, discovery and services.

    The API answers at `url` as well as at `api_url`; the latter stands for a customer's own service. The token
    endpoint takes forms and JSON. A refresh token comes with the scope `offline_access`, and a new one with each
    refresh. People who sign in come back with parameters that no standard knows. Without a live token `error` is
    a sentence with a reference number; errors of the services are objects; the revocation endpoint says OK in
    plain text and wants no client authentication. Besides the user groups, the API has the paths of `Api`.
    """

    dialect: ClassVar[Dialect] = Dialect(
        endpoints={
            "authorization_endpoint": "/authz-srv/authz",
            "token_endpoint": "/token-srv/token",
            "revocation_endpoint": "/token-srv/revoke",
            "introspection_endpoint": "/token-srv/introspect",
            "introspection_async_update_endpoint": "/token-srv/introspect/async/tokenusage",
            "userinfo_endpoint": "/users-srv/userinfo",
            "jwks_uri": "/.well-known/jwks.json",
            "check_session_iframe": "/session/check_session",
            "end_session_endpoint": "/session/end_session",
            "social_provider_token_resolver_endpoint": "/login-srv/social/token",
            "device_authorization_endpoint": "/authz-srv/device/authz",
            "registration_endpoint": "/apps-srv/clients/register",
        },
        metadata={
            "scopes_supported": _scopes(SCOPES),
            "response_types_supported": ["code", "token", "id_token", "code token", "code id_token", "token id_token"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "grant_types_supported": [
                "implicit",
                "authorization_code",
                "refresh_token",
                "password",
                "client_credentials",
                DEVICE_CODE,
            ],
            # Of the tenant; what one app is registered for may be less.
            "token_endpoint_auth_methods_supported": [BASIC, POST, SECRET_JWT, KEY_JWT],
            "token_endpoint_auth_signing_alg_values_supported": ["HS256", "RS256"],
            "id_token_signing_alg_values_supported": ["HS256", "RS256"],
            "ui_locales_supported": ["en-US", "de-DE"],
        },
        verification_path="/token-srv/device/verify",
        api_at_issuer=True,
        json_bodies=True,
        refresh_refusals=dict.fromkeys(("unknown", "spent", "expired", "revoked"), MOSTLY_INVALID),
        revocation_needs_client=False,
        revoked=text_answer(200, "OK"),
    )
    mint: ClassVar[type[Mint]] = CidaasMint
    apis: ClassVar[Mapping[Role, type[Api]]] = {"api": CidaasApi}

    token_endpoint_auth_methods: tuple[str, ...] = (BASIC, POST, SECRET_JWT, KEY_JWT)
    token_endpoint_auth_signing_algs: tuple[str, ...] = ("HS256", "RS256")
    code_challenge_methods: tuple[str, ...] = (PLAIN, S256)
    authorization_response_iss_parameter_supported: bool = False
    expires_in: float | None = DAY
    challenge: Challenge = denied
    discovery_documents: tuple[str, ...] = (OPENID_CONFIGURATION,)

    def add_group(self, group_id: str, name: str, parent_id: str = "root") -> dict[str, Any]:
        """Add a user group, and give its members."""
        return cast("CidaasApi", self.api).add_group(group_id, name, parent_id)
