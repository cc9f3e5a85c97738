"""A server that speaks like movingimage: a Keycloak realm, WebFinger at the API, and VideoManagers with videos.

Sources: the vendor's pages on authentication and endpoint discovery at https://doc.movingimage.com, and what
Keycloak (https://www.keycloak.org), which the platform runs, answers to token requests.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from .answers import Answer, HeaderPairs, json_answer
from .api import Api
from .challenges import CHALLENGES
from .client_authentication import UNKNOWN_CLIENT
from .dialect import Dialect
from .issued import AccessToken, Family
from .metadata import document
from .minting import Form, Mint
from .pages import WRONG_PASSWORD
from .recording import RecordedRequest, Role
from .routes import Route, Routes, query_of, whole_number
from .server import LoopbackServer
from .settings import BASIC, DEVICE_CODE, KEY_JWT, OPENID_CONFIGURATION, PLAIN, POST, S256, SECRET_JWT, Challenge
from .site import Site
from .storage import Storage
from .tokens import Ledger
from .wiring import Documents

REALM = "/auth/realms/platform"
PROTOCOL = f"{REALM}/protocol/openid-connect"
ISSUER_LINK = "http://openid.net/specs/connect/1.0/issuer"
ALWAYS_GRANTED = ("profile", "email")
VIDEOS = r"/v1/vms/(?P<video_manager>\d+)/videos"
ORDERS = ("createdDate", "title", "id")
DEFAULT_LIMIT = 50
FIRST_ID = 4001


class KeycloakMint(Mint):
    """Signed tokens of the platform's realm, and the members that Keycloak adds to a token answer."""

    def subject(self, family: Family) -> str:
        """A UUID for each user, always the same."""
        return f"{uuid.uuid5(uuid.NAMESPACE_URL, family.user or family.client_id)}"

    def granted_scope(self, scope: str | None) -> str | None:
        """What was asked for, and the client's default scopes."""
        return " ".join(dict.fromkeys([*(scope or "").split(), *ALWAYS_GRANTED]))

    def access_text(self, number: int, family: Family, scope: str | None, form: Form) -> str:
        """A JWT for the API."""
        del number, form
        return self._signed(family, self.site.settings.expires_in, typ="Bearer", aud="account", scope=scope)

    def refresh_text(self, number: int, family: Family) -> str:
        """A JWT for the token endpoint alone."""
        del number
        lifetime = self.site.settings.refresh_expires_in or None
        kind = "Refresh" if lifetime else "Offline"
        return self._signed(family, lifetime, typ=kind, aud=self.site.issuer, scope=family.scope)

    def code_text(self) -> str:
        """Three UUIDs: of the code, the session and the client."""
        return ".".join(f"{uuid.uuid4()}" for _ in range(3))

    def callback_parameters(self, family: Family) -> Mapping[str, str]:
        """The session."""
        return {"session_state": family.session}

    def more_members(self, access: AccessToken, nonce: str | None) -> Mapping[str, object]:
        """The session, the policy, and an ID token where `openid` was asked for."""
        told = {"not-before-policy": 0, "session_state": access.family.session}
        return {**told, **super().more_members(access, nonce)}

    def more_claims(self, family: Family) -> Mapping[str, object]:
        """The kind of token, the session and the name of the user."""
        return {"typ": "ID", **_session_and_name(family)}

    @property
    def id_token_lifetime(self) -> float:
        """That of access tokens."""
        return self.site.settings.expires_in or super().id_token_lifetime

    def _signed(self, family: Family, lifetime: float | None, **claims: object) -> str:
        known = {"iss": self.site.issuer, "sub": self.subject(family), "azp": family.client_id}
        return self.site.key.sign({**known, **_session_and_name(family), **claims}, lifetime=lifetime)


def _session_and_name(family: Family) -> dict[str, object]:
    name = family.user or f"service-account-{family.client_id}"
    return {"session_state": family.session, "preferred_username": name}


def token_error(status: int, members: Mapping[str, object], headers: HeaderPairs) -> Answer:
    """An error of the token endpoint in Keycloak's words and with its statuses."""
    description = members.get("error_description")
    if members["error"] == "invalid_client":
        code = "invalid_client" if description == UNKNOWN_CLIENT else "unauthorized_client"
        return json_answer(
            401, {"error": code, "error_description": "Invalid client or Invalid client credentials"}, headers
        )
    if description == WRONG_PASSWORD:
        return json_answer(401, {"error": "invalid_grant", "error_description": "Invalid user credentials"}, headers)
    return json_answer(status, dict(members), headers)


def webfinger(site: Site, request: RecordedRequest) -> Answer:
    """Where the API's authorization server is (RFC 7033). Its issuer link is the URL of the configuration."""
    resource = query_of(request).get("resource")
    if resource is None:
        return json_answer(400, {"message": "The parameter resource is missing."})
    if resource != f"{site.public_origin('api')}/v1/":
        return json_answer(404, {"message": "Nothing is known about this resource."})
    members: dict[str, object] = {
        "subject": resource,
        "properties": {
            f"{resource}keycloak/realm": site.settings.issuer_path.rpartition("/")[2],
            f"{resource}keycloak/auth-server-url": f"{site.public_origin('token')}/auth/",
        },
        "links": [{"rel": ISSUER_LINK, "href": f"{site.issuer}/.well-known/{OPENID_CONFIGURATION}"}],
    }
    return document(site, request, members, "application/jrd+json")


class MovingimageApi(Api):
    """VideoManagers and their videos, in memory; else the paths of `Api`."""

    def __init__(self, site: Site, ledger: Ledger, storage: Storage) -> None:
        super().__init__(site, ledger, storage)
        self._lock = threading.Lock()  # guards the catalogue
        self._video_managers: dict[int, str] = {}
        self._videos: dict[int, list[dict[str, Any]]] = {}
        self._ids = itertools.count(FIRST_ID)
        routes: list[Route] = [("GET", "/v1/vms", self._list_video_managers), ("GET", VIDEOS, self._list_videos)]
        self._routes = Routes(routes, error=lambda status: json_answer(status, {"message": "There is no such thing."}))

    def challenge(self, request: RecordedRequest) -> Answer:
        """The page of the API, or what Keycloak says at its userinfo endpoint."""
        if request.path == self.site.dialect.endpoints["userinfo_endpoint"]:
            return CHALLENGES["bearer"]
        return super().challenge(request)

    def resource(self, request: RecordedRequest) -> Answer:
        """The resource of this path, as movingimage answers it."""
        return self._routes.answer(request) if request.path.startswith("/v1/") else super().resource(request)

    def userinfo(self, family: Family) -> dict[str, object]:
        """The user as Keycloak tells it."""
        return {**super().userinfo(family), "preferred_username": family.user or family.client_id}

    def add_video_manager(self, name: str) -> int:
        """Add a VideoManager, and give its id."""
        with self._lock:
            video_manager = next(self._ids)
            self._video_managers[video_manager] = name
            self._videos[video_manager] = []
        return video_manager

    def add_video(self, video_manager: int, title: str) -> dict[str, Any]:
        """Add a video to a VideoManager, and give its members."""
        with self._lock:
            video = {
                "id": f"{uuid.uuid4()}",
                "videoManagerId": video_manager,
                "title": title,
                "createdDate": time.time_ns() // 1_000_000,
                "published": False,
            }
            self._videos[video_manager].append(video)
        return dict(video)

    def _list_video_managers(self, _: RecordedRequest) -> Answer:
        with self._lock:
            return json_answer(200, [{"id": number, "name": name} for number, name in self._video_managers.items()])

    def _list_videos(self, request: RecordedRequest, video_manager: str) -> Answer:
        query = query_of(request)
        limit = whole_number(query.get("limit"), default=DEFAULT_LIMIT, least=1)
        offset = whole_number(query.get("offset"), default=0, least=0)
        by, order = query.get("order_property", ORDERS[0]), query.get("order", "desc")
        if limit is None or offset is None or by not in ORDERS or order not in ("asc", "desc"):
            return json_answer(400, {"message": "limit, offset, order or order_property is wrong."})
        with self._lock:
            videos = self._videos.get(int(video_manager))
            if videos is None:
                return json_answer(404, {"message": "There is no such VideoManager."})
            ordered = sorted(videos, key=lambda video: video[by], reverse=order == "desc")
        return json_answer(200, {"total": len(ordered), "videos": ordered[offset : offset + limit]})


@dataclass(kw_only=True, eq=False, repr=False)
class MovingimageServer(LoopbackServer):
    """A server that speaks like movingimage: a Keycloak with rotation, tokens for 300 s and 3600 s.

    Its issuer has a path and one discovery document; the API has WebFinger, whose resource is `{api_url}/v1/`.
    There are two clients: the registered one with its secret in the body, and the public `anonymous`. People who
    sign in come back with `session_state` and `iss`. Each refresh begins the 3600 s again. A refused refresh
    token is "Stale token" (it was used before), "Token is not active" (it has expired), "Session not active" (it
    was revoked) or "Invalid refresh token". The API's 401 is an HTML page. Besides `/v1/vms` and
    `/v1/vms/{id}/videos` it has the paths of `Api`.
    """

    dialect: ClassVar[Dialect] = Dialect(
        endpoints={
            "authorization_endpoint": f"{PROTOCOL}/auth",
            "token_endpoint": f"{PROTOCOL}/token",
            "introspection_endpoint": f"{PROTOCOL}/token/introspect",
            "userinfo_endpoint": f"{PROTOCOL}/userinfo",
            "end_session_endpoint": f"{PROTOCOL}/logout",
            "jwks_uri": f"{PROTOCOL}/certs",
            "revocation_endpoint": f"{PROTOCOL}/revoke",
            "device_authorization_endpoint": f"{PROTOCOL}/auth/device",
        },
        metadata={
            "grant_types_supported": [
                "authorization_code",
                "refresh_token",
                "password",
                "client_credentials",
                DEVICE_CODE,
            ],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            # Of the realm; what one client is registered for may be less.
            "token_endpoint_auth_methods_supported": [KEY_JWT, BASIC, POST, SECRET_JWT],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        },
        verification_path=f"{REALM}/device",
        token_error=token_error,
        refresh_refusals={
            "unknown": "Invalid refresh token",
            "spent": "Stale token",
            "revoked": "Session not active",
        },
    )
    mint: ClassVar[type[Mint]] = KeycloakMint
    apis: ClassVar[Mapping[Role, type[Api]]] = {"api": MovingimageApi}
    documents: ClassVar[Documents] = {("api", "/.well-known/webfinger"): webfinger}

    public_client_id: str | None = "anonymous"
    token_endpoint_auth_methods: tuple[str, ...] = (POST, BASIC)
    code_challenge_methods: tuple[str, ...] = (PLAIN, S256)
    grant_types: tuple[str, ...] = ("authorization_code", "password", "refresh_token", DEVICE_CODE)
    token_type: str = "bearer"  # noqa: S105 - not a token
    refresh_tokens: bool = True
    refresh_expires_in: float | None = 3600
    challenge: Challenge = "html"
    issuer_path: str = REALM
    discovery_documents: tuple[str, ...] = (OPENID_CONFIGURATION,)
    metadata_max_age: int | None = 600

    def add_video_manager(self, name: str) -> int:
        """Add a VideoManager, and give its id."""
        return cast("MovingimageApi", self.api).add_video_manager(name)

    def add_video(self, video_manager: int, title: str) -> dict[str, Any]:
        """Add a video to a VideoManager, and give its members."""
        return cast("MovingimageApi", self.api).add_video(video_manager, title)
