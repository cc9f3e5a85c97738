"""List all videos of a Brightcove Video Cloud account, however many pages they fill.

    export BRIGHTCOVE_CLIENT_ID=... BRIGHTCOVE_CLIENT_SECRET=... BRIGHTCOVE_ACCOUNT_ID=...
    python examples/brightcove_list_videos.py
    python examples/brightcove_list_videos.py --json > videos.json

The API credential has to be allowed to read videos (video-cloud/video/read).

Needs: pip install "video-oauth-auth[demo]"
Exit status: 0 if all videos are listed, 1 if the API said no on the way, 2 if nothing could be begun.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from video_oauth_auth import BrightcoveAuth, ConfigurationError, OAuth2Auth, OAuthError

CMS_URL = "https://cms.api.brightcove.com"
PAGE = 100  # videos; the most that the CMS API gives at once

Video = dict[str, Any]


def videos_of(client: httpx.Client, account: str) -> Iterator[Video]:
    """Give the videos of an account, oldest first.

    Sorted by `created_at`, because the API's own order is the last change: a video that is edited meanwhile would move
    to another page and be listed twice, or not at all.
    """
    offset = 0
    while True:
        query: dict[str, str | int] = {"sort": "created_at", "limit": PAGE, "offset": offset}
        answer = client.get(f"/v1/accounts/{account}/videos", params=query)
        answer.raise_for_status()
        page: list[Video] = answer.json()
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE


def table_of(videos: Iterable[Video]) -> Table:
    """Make a table with a row for each video."""
    table = Table("id", "created", "duration", "state", "name")
    for video in videos:
        cells = (video.get("id"), str(video.get("created_at") or "")[:10], duration(video), video.get("state"))
        table.add_row(*(Text(str(cell or "")) for cell in cells), Text(str(video.get("name") or "")))
    return table


def duration(video: Video) -> str:
    """Write the duration, which Brightcove gives in milliseconds or not at all, as hours, minutes and seconds."""
    seconds = round((video.get("duration") or 0) / 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}" if seconds else ""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="List all videos of a Brightcove Video Cloud account.")
    parser.add_argument("--account", default=os.environ.get("BRIGHTCOVE_ACCOUNT_ID"), help="or BRIGHTCOVE_ACCOUNT_ID")
    parser.add_argument("--json", action="store_true", help="print them as a JSON list, with all their members")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, *, auth: OAuth2Auth | None = None, cms_url: str = CMS_URL) -> int:
    """Run the program; the keyword arguments let a test run it against another server."""
    arguments = parse(argv)
    problems = []
    try:
        auth = auth or BrightcoveAuth.from_env()
    except ConfigurationError as error:
        problems.append(str(error))
    if not arguments.account:
        problems.append("which account? Set BRIGHTCOVE_ACCOUNT_ID, or give --account")
    if problems or auth is None:
        print(*problems, sep="\n", file=sys.stderr)
        return 2
    try:
        with httpx.Client(auth=auth, base_url=cms_url, timeout=60) as client:
            videos = list(videos_of(client, arguments.account))
    except httpx.HTTPStatusError as error:
        print(f"the CMS API answered {error.response.status_code}: {error.response.text[:300]}", file=sys.stderr)
        return 1
    except (OAuthError, httpx.HTTPError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(videos, indent=2))
    else:
        console = Console()
        console.print(table_of(videos))
        console.print(f"{len(videos)} videos", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
