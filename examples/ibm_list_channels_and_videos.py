"""List the channels and the videos of an IBM Video Streaming account, however many pages they fill.

    export IBM_VIDEO_STREAMING_CLIENT_ID=... IBM_VIDEO_STREAMING_CLIENT_SECRET=...
    python examples/ibm_list_channels_and_videos.py
    python examples/ibm_list_channels_and_videos.py --json > account.json

Each list has its own way to say where it goes on: channels as {"href": ...}, videos as plain text, and a link may be
relative. None is followed to another origin than the API's.

Needs: pip install "video-oauth-auth[demo]"
Exit status: 0 if everything is listed, 1 if the API said no on the way, 2 if nothing could be begun.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

from video_oauth_auth import ConfigurationError, IBMVideoStreamingAuth, OAuth2Auth, OAuthError

API_URL = "https://api.video.ibm.com"
FIRST_PAGES = {"channels": "/users/self/channels.json?pagesize=100", "videos": "/users/self/videos.json?pagesize=50"}
TIMEOUT = (10, 60)  # seconds: to connect, and between two bytes

Item = dict[str, Any]


class ApiError(Exception):
    """The API said no, or named a next page that must not be asked for."""


def items_of(session: requests.Session, api_url: str, name: str) -> Iterator[Item]:
    """Give the items of a list (`channels` or `videos`), page by page."""
    url: str | None = api_url + FIRST_PAGES[name]
    seen = set()
    while url is not None:
        if url in seen:
            raise ApiError("the pages go round in circles")
        seen.add(url)
        answer = session.get(url, timeout=TIMEOUT)
        if not answer.ok:
            raise ApiError(reason(answer))
        page = answer.json()
        # Channels come as an object keyed by index, videos as a list.
        yield from page[name].values() if isinstance(page[name], dict) else page[name]
        url = next_url(url, (page.get("paging") or {}).get("next"))


def next_url(url: str, link: Mapping[str, str] | str | None) -> str | None:
    """Give the URL of the next page, None if there is none.

    Args:
        url: Of the page that has the link.
        link: `{"href": ...}`, or plain text; absolute or relative.

    Raises:
        ApiError: the link leads to another origin, or away from https.
    """
    href = link.get("href") if isinstance(link, Mapping) else link
    if not href:
        return None
    joined = urljoin(url, href)
    if urlsplit(joined)[:2] != urlsplit(url)[:2]:
        raise ApiError("the next page is on another origin than the API")
    return joined


def table_of(name: str, items: Sequence[Item]) -> Table:
    """Make a table with a row for each item."""
    table = Table("id", "title", title=name)
    for item in items:
        table.add_row(Text(str(item.get("id") or "")), Text(str(item.get("title") or "")))
    return table


def reason(answer: requests.Response) -> str:
    """Say what the API answered, and from when on it will answer again where it tells that."""
    reset = answer.headers.get("X-RateLimit-Reset")
    again = f"; it takes requests again from {reset} (Unix time) on" if reset else ""
    return f"the API answered {answer.status_code}: {answer.text[:300]}{again}"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="List the channels and videos of an IBM Video Streaming account.")
    parser.add_argument("--json", action="store_true", help="print them as JSON, with all their members")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, *, auth: OAuth2Auth | None = None, api_url: str = API_URL) -> int:
    """Run the program; the keyword arguments let a test run it against another server."""
    arguments = parse(argv)
    try:
        auth = auth or IBMVideoStreamingAuth.from_env()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with requests.Session() as session:
            session.auth = auth
            account = {name: list(items_of(session, api_url, name)) for name in FIRST_PAGES}
    except ApiError as error:
        print(error, file=sys.stderr)
        return 1
    except (OAuthError, requests.RequestException) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(account, indent=2))
        return 0
    console = Console()
    for name, items in account.items():
        console.print(table_of(name, items))
    console.print(", ".join(f"{len(items)} {name}" for name, items in account.items()), highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
