"""The Analytics API of IBM Video Streaming, which has an origin and a kind of token of its own.

Source: https://developers.video.ibm.com/analytics-api-getting-started and the pages beside it.
"""

import threading
from datetime import datetime

from .answers import Answer, json_answer
from .api import Api
from .paging import Page
from .recording import RecordedRequest, TokenState
from .routes import Routes, query_of
from .site import Site
from .storage import Storage
from .tokens import Ledger

SUMMARY = "/total-views/summary"


class AnalyticsApi(Api):
    """The Analytics API, which takes nothing but the bare JWT: no scheme word, no other token."""

    def __init__(self, site: Site, ledger: Ledger, storage: Storage) -> None:
        super().__init__(site, ledger, storage)
        self._lock = threading.Lock()  # guards the views
        self._views: list[tuple[datetime, int]] = []
        routes = [("GET", f"/v1{SUMMARY}", self._summary)]
        self._routes = Routes(routes, error=lambda status: json_answer(status, {"error": "not_found"}))

    @property
    def authorization_scheme(self) -> str | None:
        """None: there is no scheme word."""
        return None

    def token_state(self, request: RecordedRequest) -> TokenState:
        """What the token is worth: one that is no JWT is unknown here."""
        is_jwt = (request.header("Authorization") or "").count(".") == 2
        state = super().token_state(request)
        return state if is_jwt or state == "none" else "unknown"

    def resource(self, request: RecordedRequest) -> Answer:
        """The reports."""
        return self._routes.answer(request)

    def add_views(self, at: datetime, value: int) -> None:
        """Add a data point.

        Raises:
            ValueError: The moment has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        with self._lock:
            self._views.append((at, value))

    def _summary(self, request: RecordedRequest) -> Answer:
        query = query_of(request)
        begin, end = _moment(query.get("date_time_from")), _moment(query.get("date_time_to"))
        if begin is None or end is None:
            return json_answer(400, {"error": "invalid_request", "hint": "date_time_from and date_time_to: ISO 8601"})
        with self._lock:
            points = sorted((at, value) for at, value in self._views if begin <= at < end)
        series = [
            {"type": "Series", "attributes": {"dimension_type": "summary", "point": at.isoformat(), "value": value}}
            for at, value in points
        ]
        page = Page.of(request, series, number="_page", size="_limit", default=10, most=10_000)
        if page is None:
            return json_answer(400, {"error": "invalid_request", "hint": "_page or _limit"})
        # The links are relative, lack the version and repeat neither date, as the vendor's page shows them.
        links = page.links(SUMMARY)
        renamed = {"first": "first", "last": "last", "next": "next", "prev": "previous", "self": "actual"}
        pagination: dict[str, object] = {name: _linked(links[link]) for name, link in renamed.items()}
        pagination["count"] = page.total
        return json_answer(200, {"data": page.items, "pagination": pagination})


def _linked(href: str | None) -> dict[str, str] | None:
    return None if href is None else {"href": href}


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None
