"""List the VideoManagers that a movingimage user may use, and all their videos.

    export MOVINGIMAGE_USERNAME=... MOVINGIMAGE_PASSWORD=...
    python examples/movingimage_list_videos.py
    python examples/movingimage_list_videos.py --json > videos.json

This is the vendor's way for scripts: the public client `anonymous` and a password. A token lives for five minutes; it
is refreshed for as long as the program runs, and each refresh token replaces the one before. MOVINGIMAGE_API_URL is for
customers with a domain of their own.

Needs: pip install "video-oauth-auth[demo]"
Exit status: 0 if all videos are listed, 1 if the API said no on the way, 2 if nothing could be begun.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

from video_oauth_auth import ConfigurationError, MovingimageAuth, OAuth2Auth, OAuthError

PAGE = 100  # videos; the API may give less at once
TIMEOUT = (10, 60)  # seconds: to connect, and between two bytes

VideoManager = dict[str, Any]
Video = dict[str, Any]


class ApiError(Exception):
    """The API said no."""


def get(session: requests.Session, url: str, query: dict[str, str | int] | None = None) -> Any:
    """Ask the API for something."""
    answer = session.get(url, params=query, timeout=TIMEOUT)
    if not answer.ok:  # its 401 is an HTML page, which would say nothing here
        raise ApiError(f"the API answered {answer.status_code} {answer.reason} to {answer.url}")
    return answer.json()


def video_managers_of(session: requests.Session, api_url: str) -> list[VideoManager]:
    """Give the VideoManagers that the user may use, each with its videos as the member `videos`."""
    video_managers = get(session, f"{api_url}/vms")
    return [{**known, "videos": list(videos_of(session, f"{api_url}/vms/{known['id']}"))} for known in video_managers]


def videos_of(session: requests.Session, video_manager_url: str) -> Iterator[Video]:
    """Give the videos of one VideoManager, oldest first: a new one then comes at the end and moves no other."""
    offset = 0
    while True:
        query: dict[str, str | int] = {"order_property": "createdDate", "order": "asc", "limit": PAGE, "offset": offset}
        page = get(session, f"{video_manager_url}/videos", query)
        yield from page["videos"]
        offset += len(page["videos"])
        if not page["videos"] or offset >= page["total"]:
            return


def table_of(video_manager: VideoManager) -> Table:
    """Make a table with a row for each video of a VideoManager."""
    table = Table("id", "created", "published", "title", title=Text(str(video_manager.get("name") or "")))
    for video in video_manager["videos"]:
        published = "yes" if video.get("published") else "no"
        table.add_row(str(video.get("id")), created(video), published, Text(str(video.get("title") or "")))
    return table


def created(video: Video) -> str:
    """Write the day of creation, which movingimage gives in milliseconds since 1970 or not at all."""
    moment = video.get("createdDate")
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d}" if isinstance(moment, int) else ""


def show(video_managers: Iterable[VideoManager]) -> None:
    """Print a table for each VideoManager, and the sum."""
    console, managers, videos = Console(), 0, 0
    for video_manager in video_managers:
        console.print(table_of(video_manager))
        managers, videos = managers + 1, videos + len(video_manager["videos"])
    console.print(f"{videos} videos in {managers} VideoManagers", highlight=False)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="List the VideoManagers of a movingimage user and all their videos.")
    parser.add_argument("--json", action="store_true", help="print them as a JSON list, with all their members")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, *, auth: OAuth2Auth | None = None, api_url: str | None = None) -> int:
    """Run the program; the keyword arguments let a test run it against another server."""
    arguments = parse(argv)
    try:
        auth = auth or MovingimageAuth.from_env()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    api_url = api_url or os.environ.get("MOVINGIMAGE_API_URL", "").strip() or MovingimageAuth.API_URL
    try:
        with requests.Session() as session:
            session.auth = auth
            video_managers = video_managers_of(session, api_url.rstrip("/"))
    except ApiError as error:
        print(error, file=sys.stderr)
        return 1
    except (OAuthError, requests.RequestException) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(video_managers, indent=2))
    else:
        show(video_managers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
