"""Print the views of an IBM Video Streaming account, from its Analytics API, with an asynchronous client.

    export IBM_VIDEO_STREAMING_CLIENT_ID=... IBM_VIDEO_STREAMING_CLIENT_SECRET=...
    python examples/ibm_analytics_report.py --from 2026-01-01 --to 2026-02-01
    python examples/ibm_analytics_report.py --json > views.json

The Analytics API has an origin of its own and wants tokens of another kind: `token_type="jwt"` cares for both. An
answer may take longer than a minute.

Needs: pip install "video-oauth-auth[demo]"
Exit status: 0 if the report is whole, 1 if the API said no on the way, 2 if nothing could be begun.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
from rich.console import Console
from rich.table import Table

from video_oauth_auth import ConfigurationError, IBMVideoStreamingAuth, OAuth2Auth, OAuthError

ANALYTICS_URL = "https://analytics-api.video.ibm.com"
REPORT = "/v1/total-views/summary"
PAGE = 100  # points
TIMEOUT = httpx.Timeout(30, read=180)  # seconds; the vendor says that an answer may take a minute

Query = dict[str, str]
Point = dict[str, Any]


class PagingError(Exception):
    """A page names a next one that must not be asked for."""


async def points_of(client: httpx.AsyncClient, url: str, query: Query) -> AsyncIterator[Point]:
    """Give the points of a report, page by page."""
    following: Query | None = {**query, "_limit": str(PAGE)}
    seen = set()
    while following is not None:
        if tuple(following.items()) in seen:
            raise PagingError("the pages go round in circles")
        seen.add(tuple(following.items()))
        answer = await client.get(url, params=following)
        answer.raise_for_status()
        page = answer.json()
        for series in page["data"]:
            yield series["attributes"]
        link = (page.get("pagination") or {}).get("next")
        following = next_query(url, following, link)


def next_query(url: str, query: Query, link: Mapping[str, str] | None) -> Query | None:
    """Give the query for the next page, None if there is none.

    The links are relative and lack the API's version and the two dates, so that only their query is of use.

    Args:
        url: Of the report.
        query: Of the page that has the link.
        link: `{"href": ...}`.

    Raises:
        PagingError: the link leads to another origin.
    """
    href = (link or {}).get("href")
    if not href:
        return None
    joined = urlsplit(urljoin(url, href))
    if joined[:2] != urlsplit(url)[:2]:
        raise PagingError("the next page is on another origin than the API")
    return query | dict(parse_qsl(joined.query))


async def report(auth: OAuth2Auth, url: str, query: Query) -> list[Point]:
    """Fetch a whole report."""
    async with httpx.AsyncClient(auth=auth, timeout=TIMEOUT) as client:
        return [point async for point in points_of(client, url, query)]


def table_of(points: Sequence[Point]) -> Table:
    """Make a table with a row for each point."""
    table = Table("from")
    table.add_column("views", justify="right")
    for point in points:
        table.add_row(str(point.get("point")), str(point.get("value")))
    return table


def day(text: str) -> datetime:
    """Read a day or a moment; without a time zone it is in UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    parser = argparse.ArgumentParser(description="Print the views of an IBM Video Streaming account.")
    parser.add_argument("--from", dest="begin", type=day, default=today - timedelta(days=30), help="first day")
    parser.add_argument("--to", dest="end", type=day, default=today, help="the day after the last")
    parser.add_argument("--json", action="store_true", help="print the points as a JSON list")
    return parser.parse_args(argv)


def main(
    argv: Sequence[str] | None = None, *, auth: OAuth2Auth | None = None, analytics_url: str = ANALYTICS_URL
) -> int:
    """Run the program; the keyword arguments let a test run it against another server."""
    arguments = parse(argv)
    try:
        auth = auth or IBMVideoStreamingAuth.from_env(token_type="jwt")  # noqa: S106 - a kind of token
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    query = {"date_time_from": arguments.begin.isoformat(), "date_time_to": arguments.end.isoformat()}
    try:
        points = asyncio.run(report(auth, analytics_url + REPORT, query))
    except httpx.HTTPStatusError as error:
        answer = error.response
        print(f"the Analytics API answered {answer.status_code}: {answer.text[:300]}", file=sys.stderr)
        return 1
    except (OAuthError, httpx.HTTPError, PagingError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(points, indent=2))
    else:
        console = Console()
        console.print(table_of(points))
        console.print(f"{sum(point.get('value') or 0 for point in points)} views", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
