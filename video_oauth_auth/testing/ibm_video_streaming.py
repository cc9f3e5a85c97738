"""A server that speaks like IBM Video Streaming: its token endpoint, channels and videos, and the Analytics API.

Source: the vendor's developer documentation at https://developers.video.ibm.com.
"""

import itertools
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, cast

from .answers import Answer, HeaderPairs, json_answer
from .api import Api
from .challenges import CHALLENGES
from .dialect import Dialect
from .faults import FaultPlan
from .ibm_analytics import AnalyticsApi
from .issued import Family
from .minting import Form, Mint
from .paging import Page
from .recording import RecordedRequest, Role
from .routes import Routes
from .server import LoopbackServer
from .settings import POST, RAW, Challenge
from .site import Site
from .storage import Storage
from .tokens import Ledger

CHANNELS, VIDEOS = "/users/self/channels.json", "/users/self/videos.json"
CHANNEL_LINKS, VIDEO_LINKS = ("previous", "actual", "next"), ("previous", "next")
STATUSES = {"unsupported_grant_type": 501, "server_error": 503}
DAY = 86_400


class IBMMint(Mint):
    """Forty hex digits, or a JWT where the token request says `token_type=jwt`."""

    def access_text(self, number: int, family: Family, scope: str | None, form: Form) -> str:
        """An access token of the kind that was asked for in this very request."""
        del number
        if form.get("token_type") != "jwt":
            return secrets.token_hex(20)
        claims = {"iss": self.site.public_origin("token"), "sub": self.subject(family), "scope": scope or ""}
        return self.site.key.sign(claims, lifetime=self.site.settings.expires_in)

    def code_text(self) -> str:
        """Forty hex digits."""
        return secrets.token_hex(20)

    def refresh_text(self, number: int, family: Family) -> str:
        """A refresh token; its kind is always the same."""
        del number, family
        return secrets.token_hex(20)


def token_error(_: int, members: Mapping[str, object], headers: HeaderPairs) -> Answer:
    """An error of the token endpoint: the code and nothing else, mostly with 400."""
    code = f"{members['error']}"
    kept = tuple(pair for pair in headers if pair[0].lower() != "www-authenticate")
    return json_answer(STATUSES.get(code, 400), {"error": code}, kept)


def inconsistent_401(request: RecordedRequest) -> Answer:
    """What a 401 says depends on the page: `invalid_token`, `unauthorized`, or nothing."""
    names = {VIDEOS: "ibm_invalid_token", CHANNELS: "none"}
    return CHALLENGES[cast("Any", names.get(request.path, "ibm_unauthorized"))]


class IBMApi(Api):
    """The channels and videos of the user, in memory; else the paths of `Api`."""

    channels_as: Literal["object", "list"] = "object"

    def __init__(self, site: Site, ledger: Ledger, storage: Storage) -> None:
        super().__init__(site, ledger, storage)
        self._lock = threading.Lock()  # guards the catalogue
        self._channels: list[dict[str, Any]] = []
        self._videos: list[dict[str, Any]] = []
        self._ids = itertools.count(1)
        routes = [("GET", CHANNELS, self._list_channels), ("GET", VIDEOS, self._list_videos)]
        self._routes = Routes(routes, error=lambda status: json_answer(status, {"error": "not_found"}))

    def resource(self, request: RecordedRequest) -> Answer:
        """The resource of this path, as IBM Video Streaming answers it."""
        return self._routes.answer(request) if request.path.startswith("/users/") else super().resource(request)

    def add_channel(self, title: str) -> dict[str, Any]:
        """Add a channel, and give its members."""
        with self._lock:
            channel = {"id": f"{next(self._ids)}", "title": title, "status": "offline", "authority": {"reason": "own"}}
            self._channels.append(channel)
        return dict(channel)

    def add_video(self, title: str) -> dict[str, Any]:
        """Add a video, and give its members."""
        with self._lock:
            video = {"id": f"{next(self._ids)}", "title": title, "created_at": int(time.time()), "views": 0}
            self._videos.append(video)
        return dict(video)

    def _list_channels(self, request: RecordedRequest) -> Answer:
        with self._lock:
            page = Page.of(request, self._channels, number="p", size="pagesize", default=100)
        if page is None:
            return json_answer(400, {"error": "invalid_request"})
        links = page.links(self.site.public_origin("api") + CHANNELS)
        paging = {name: {"href": href} for name, href in links.items() if href and name in CHANNEL_LINKS}
        channels: object = page.items
        if self.channels_as == "object":
            channels = {f"{index}": channel for index, channel in enumerate(page.items)}
        return json_answer(200, {"channels": channels, "paging": paging})

    def _list_videos(self, request: RecordedRequest) -> Answer:
        with self._lock:
            newest_first = self._videos[::-1]
        page = Page.of(request, newest_first, number="page", size="pagesize", default=50, most=50)
        if page is None:
            return json_answer(400, {"error": "invalid_request"})
        links = page.links(self.site.public_origin("api") + VIDEOS)
        paging = {name: href for name, href in links.items() if href and name in VIDEO_LINKS}
        return json_answer(200, {"videos": page.items, "paging": paging, "item_count": page.total})


@dataclass(kw_only=True, eq=False, repr=False)
class IBMVideoStreamingServer(LoopbackServer):
    """A server that speaks like IBM Video Streaming: rotation, tokens for a day, refresh tokens for 30 days.

    The secret comes in the body, or bare after `Basic `; the standard form of HTTP Basic is refused. Errors of
    the token endpoint are a code alone, with 400, 501 or 503. There is no discovery. The Analytics API has an
    origin of its own. People sign in at a path of this server, in reality at another host; a redirect URI has to
    begin with a registered one, and nobody can verify the ID token: there are no keys. What a 401 says depends
    on the path, unless `challenge` is set. Besides its own, the API has the paths of `Api`.
    """

    dialect: ClassVar[Dialect] = Dialect(
        endpoints={
            "authorization_endpoint": "/authorize",  # in reality at a host of its own
            "token_endpoint": "/oauth2/token",
            "revocation_endpoint": "/oauth2/token/revoke",
        },
        redirect_uris_are_prefixes=True,
        tells_error_descriptions=False,
        tells_refresh_expires_in=False,
        token_error=token_error,
    )
    mint: ClassVar[type[Mint]] = IBMMint
    apis: ClassVar[Mapping[Role, type[Api]]] = {"api": IBMApi, "analytics": AnalyticsApi}

    token_endpoint_auth_methods: tuple[str, ...] = (POST, RAW)
    grant_types: tuple[str, ...] = ("authorization_code", "client_credentials", "refresh_token")
    authorization_response_iss_parameter_supported: bool = False
    token_type: str = "bearer"  # noqa: S105 - not a token
    expires_in: float | None = DAY
    refresh_tokens: bool = True
    refresh_expires_in: float | None = 30 * DAY
    challenge: Challenge = inconsistent_401
    discovery_documents: tuple[str, ...] = ()

    @property
    def analytics_url(self) -> str:
        """The origin of the Analytics API."""
        return self._site.origin("analytics")

    @property
    def analytics_faults(self) -> FaultPlan:
        """How the Analytics API misbehaves."""
        return self._wiring.plans["analytics"]

    @property
    def channels_as(self) -> Literal["object", "list"]:
        """Whether a page of channels is an object keyed by index, or a list; both have been seen."""
        return cast("IBMApi", self.api).channels_as

    @channels_as.setter
    def channels_as(self, form: Literal["object", "list"]) -> None:
        cast("IBMApi", self.api).channels_as = form

    def add_channel(self, title: str) -> dict[str, Any]:
        """Add a channel of the user, and give its members."""
        return cast("IBMApi", self.api).add_channel(title)

    def add_video(self, title: str) -> dict[str, Any]:
        """Add a video of the user, and give its members."""
        return cast("IBMApi", self.api).add_video(title)

    def add_views(self, at: datetime, value: int) -> None:
        """Add a data point to the Analytics API; the moment needs a time zone."""
        cast("AnalyticsApi", self._wiring.apis["analytics"]).add_views(at, value)
