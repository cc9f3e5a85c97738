"""A server that speaks like Brightcove Video Cloud: token endpoint, client credentials, CMS and Dynamic Ingest.

One origin stands for all of Brightcove's API hosts. Sources: the vendor's OAuth, CMS and Dynamic Ingest API
references at https://apis.support.brightcove.com.
"""

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, cast
from urllib.parse import unquote

from .answers import Answer, json_answer
from .api import Api, json_object
from .brightcove_credentials import CREDENTIALS, CredentialsApi
from .dialect import Dialect
from .recording import RecordedRequest, Role
from .routes import Route, Routes, query_of, whole_number
from .server import LoopbackServer
from .settings import BASIC, Challenge
from .site import Site
from .storage import Storage
from .tokens import Ledger

ACCOUNT = r"/v1/accounts/(?P<account>\d+)"
VIDEO = ACCOUNT + r"/videos/(?P<video>[^/]+)"
SORTABLE = ("created_at", "updated_at", "name")
DEFAULT_LIMIT, MAX_LIMIT = 20, 100
FIRST_ID = 6_300_000_000_001


def error(status: int, code: str, message: str) -> Answer:
    """An error as the CMS and Ingest APIs send it: a list of one object."""
    return json_answer(status, [{"error_code": code, "message": message}])


class BrightcoveApi(Api):
    """The CMS and ingest paths, over a catalogue of videos in memory; else the paths of `Api`."""

    def __init__(self, site: Site, ledger: Ledger, storage: Storage) -> None:
        super().__init__(site, ledger, storage)
        self._lock = threading.Lock()  # guards the catalogue
        self._videos: dict[str, dict[str, dict[str, Any]]] = {}
        self._ids = itertools.count(FIRST_ID)
        self._jobs = itertools.count(1)
        routes: list[Route] = [
            ("GET", rf"{ACCOUNT}/videos", self._list),
            ("POST", rf"{ACCOUNT}/videos", self._create),
            ("GET", rf"{ACCOUNT}/counts/videos", self._count),
            ("GET", VIDEO, self._get),
            ("GET", rf"{VIDEO}/upload-urls/(?P<source>[^/]+)", self._upload_url),
            ("POST", rf"{VIDEO}/ingest-requests", self._ingest),
        ]
        self._routes = Routes(routes, error=_no_route)
        self.credentials: CredentialsApi = CredentialsApi(ledger)

    def answer(self, request: RecordedRequest) -> Answer:
        """Client credentials for whoever has the BC_TOKEN, everything else for a live token."""
        if request.path == CREDENTIALS or request.path.startswith(f"{CREDENTIALS}/"):
            return self.credentials.answer(request, cast("BrightcoveServer", self.settings).bc_token)
        return super().answer(request)

    def resource(self, request: RecordedRequest) -> Answer:
        """The resource of this path, as Brightcove answers it."""
        return self._routes.answer(request) if request.path.startswith("/v1/") else super().resource(request)

    def add_video(self, account: str, name: str) -> dict[str, Any]:
        """Add a video to the catalogue, and give its members."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            video = {
                "id": f"{next(self._ids)}",
                "account_id": account,
                "name": name,
                "state": "INACTIVE",
                "complete": False,
                "created_at": now,
                "updated_at": now,
                "custom_fields": {},
            }
            self._videos.setdefault(account, {})[cast("str", video["id"])] = video
        return dict(video)

    def videos(self, account: str) -> list[dict[str, Any]]:
        """The videos of an account in the order they were added."""
        with self._lock:
            return [dict(video) for video in self._videos.get(account, {}).values()]

    def _list(self, request: RecordedRequest, account: str) -> Answer:
        query = query_of(request)
        limit = whole_number(query.get("limit"), default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
        offset = whole_number(query.get("offset"), default=0, least=0)
        sort = query.get("sort", "-updated_at")
        if limit is None or offset is None:
            return error(400, "ILLEGAL_QUERY", "limit is 1 to 100, offset 0 or more.")
        if sort.removeprefix("-") not in SORTABLE:
            return error(400, "INVALID_SORT", f"sort is one of {', '.join(SORTABLE)}.")
        by, falling = sort.removeprefix("-"), sort.startswith("-")
        ordered = sorted(self.videos(account), key=lambda video: video[by], reverse=falling)
        return json_answer(200, ordered[offset : offset + limit])

    def _count(self, _: RecordedRequest, account: str) -> Answer:
        return json_answer(200, {"count": len(self.videos(account))})

    def _create(self, request: RecordedRequest, account: str) -> Answer:
        name = (json_object(request) or {}).get("name")
        if not isinstance(name, str) or not name:
            return error(422, "VALIDATION_ERROR", "A video needs a name.")
        return json_answer(201, self.add_video(account, name))

    def _get(self, _: RecordedRequest, account: str, video: str) -> Answer:
        known = self._known(account, video)
        return json_answer(200, known) if known else _no_video()

    def _upload_url(self, _: RecordedRequest, account: str, video: str, source: str) -> Answer:
        if not self._known(account, video):
            return _no_video()
        key = f"{account}/{video}/{unquote(source)}"
        members = {
            "bucket": "uploads",
            "object_key": key,
            "signed_url": self.storage.presigned_url(key),
            "api_request_url": self.storage.object_url(key),
        }
        return json_answer(200, members)

    def _ingest(self, request: RecordedRequest, account: str, video: str) -> Answer:
        master = (json_object(request) or {}).get("master")
        url = master.get("url") if isinstance(master, dict) else None
        if not isinstance(url, str):
            return error(422, "ILLEGAL_FIELD", "master.url is missing.")
        if not self._known(account, video):
            return _no_video()
        is_there = any(url == self.storage.object_url(key) for key in tuple(self.storage.uploads))
        with self._lock:
            # As at Brightcove, a source that is not there shows only in the state of the video.
            self._videos[account][video].update(complete=is_there, state="ACTIVE" if is_there else "INACTIVE")
            return json_answer(200, {"id": f"job-{next(self._jobs)}"})

    def _known(self, account: str, video: str) -> dict[str, Any] | None:
        with self._lock:
            known = self._videos.get(account, {}).get(video)
            return dict(known) if known else None


def _no_route(status: int) -> Answer:
    if status == 405:
        return error(405, "METHOD_NOT_ALLOWED", "This method is not allowed here.")
    return error(404, "RESOURCE_NOT_FOUND", "There is no such resource.")


def _no_video() -> Answer:
    return error(404, "RESOURCE_NOT_FOUND", "There is no such video.")


@dataclass(kw_only=True, eq=False, repr=False)
class BrightcoveServer(LoopbackServer):
    """A server that speaks like Brightcove: HTTP Basic, tokens for 300 s, no refresh tokens.

    The token endpoint is `/v4/access_token`, there is no discovery, and a 401 is the JSON list that may also
    mean a missing permission. Besides the CMS and ingest paths, the API has those of `Api`. It also answers at the
    origin of the token endpoint, where `/v4/client_credentials` is.

    Attributes:
        bc_token: The cookie of the Studio session that may make and change client credentials. (Tokens are given to
            the one registered client only, whatever credentials are made.)
    """

    dialect: ClassVar[Dialect] = Dialect(
        endpoints={"token_endpoint": "/v4/access_token"}, form_in_query=True, api_at_issuer=True
    )
    apis: ClassVar[Mapping[Role, type[Api]]] = {"api": BrightcoveApi}

    token_endpoint_auth_methods: tuple[str, ...] = (BASIC,)
    grant_types: tuple[str, ...] = ("client_credentials",)
    discovery_documents: tuple[str, ...] = ()
    challenge: Challenge = "brightcove"
    bc_token: str = field(default="test-bc-token", repr=False)

    @property
    def credentials_url(self) -> str:
        """Where client credentials are made and changed."""
        return self.url + CREDENTIALS

    def secrets(self) -> frozenset[str]:
        """Those of every server, and the BC_TOKEN."""
        return super().secrets() | {self.bc_token}

    def credentials(self) -> list[dict[str, Any]]:
        """The client credentials that were made, in that order, as they are told: without their secrets."""
        return cast("BrightcoveApi", self.api).credentials.known()

    def add_video(self, account: str, name: str) -> dict[str, Any]:
        """Add a video to the catalogue of an account, and give its members."""
        return cast("BrightcoveApi", self.api).add_video(account, name)

    def videos(self, account: str) -> list[dict[str, Any]]:
        """The videos of an account in the order they were added."""
        return cast("BrightcoveApi", self.api).videos(account)
