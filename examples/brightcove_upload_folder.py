"""Upload the films of a folder to Brightcove Video Cloud, sixteen at a time.

    export BRIGHTCOVE_CLIENT_ID=... BRIGHTCOVE_CLIENT_SECRET=... BRIGHTCOVE_ACCOUNT_ID=...
    python examples/brightcove_upload_folder.py FOLDER

For each film: create a video, ask where to put the file, put it there, ask for its ingestion. One session with one
auth object serves all threads, and a film may take longer than a token lives. The API credential has to be allowed to
create videos, to read upload URLs and to ingest.

Needs: pip install "video-oauth-auth[demo]"
Exit status: 0 if every film was uploaded, 1 if some were not, 2 if nothing could be begun.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from urllib3.util import Retry

from video_oauth_auth import BrightcoveAuth, ConfigurationError, OAuth2Auth, OAuthError

CMS_URL = "https://cms.api.brightcove.com"
INGEST_URL = "https://ingest.api.brightcove.com"
SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mxf", ".ts", ".webm", ".wmv"})
LARGEST = 5 * 1024**3  # bytes that S3 takes in one PUT; more needs its multipart upload
TIMEOUT = (10, 300)  # seconds: to connect, and between two bytes


class StepError(Exception):
    """A step did not work. Its text holds no URL: a presigned one is a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """What became of one film: its video as far as it got, and the problem if there was one."""

    film: Path
    video_id: str = ""
    problem: str = ""
    begun: bool = True


class Retries(Retry):
    """Tries GET and PUT again after 429 and 5xx; POST only after 429, because a 5xx may hide a video that was made."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:  # noqa: FBT001, FBT002 - as urllib3 has it
        """Tell urllib3 whether this answer is worth another try."""
        return status_code == 429 or super().is_retry(method, status_code, has_retry_after)


class Uploader:
    """Uploads films to one account. It knows nothing about tokens: the session's auth object does."""

    def __init__(self, session: requests.Session, *, account: str, cms_url: str, ingest_url: str) -> None:
        self._session = session
        self._videos = f"{cms_url}/v1/accounts/{account}/videos"
        self._ingest = f"{ingest_url}/v1/accounts/{account}/videos"
        self._hopeless = False  # a film met a problem that every other one would meet as well

    def upload(self, progress: Progress, film: Path) -> Uploaded:
        """Upload one film; a problem is returned and not raised, so that the others go on."""
        if self._hopeless:
            return Uploaded(film=film, problem="not begun", begun=False)
        video_id = ""
        try:
            check_size(film)
            video_id = str(self._call("create the video", "POST", self._videos, json={"name": film.stem})["id"])
            video = f"{self._ingest}/{video_id}"
            urls = self._call("get an upload URL", "GET", f"{video}/upload-urls/{source_name(film)}")
            with shown(progress, film) as bar, progress.open(film, "rb", task_id=bar) as file:
                # Another origin: the same session, and yet no token goes there.
                self._send("put the file", "PUT", urls["signed_url"], data=file)
            master = {"master": {"url": urls["api_request_url"]}}
            self._call("ask for its ingestion", "POST", f"{video}/ingest-requests", json=master)
        except OAuthError as error:
            problem, self._hopeless = str(error), self._hopeless or not error.transient
        except (StepError, OSError) as error:
            problem = str(error)
        except (KeyError, TypeError):
            problem = "an answer lacks what Brightcove's documentation promises"
        else:
            problem = ""
        return Uploaded(film=film, video_id=video_id, problem=problem)

    def _call(self, what: str, method: str, url: str, **body: Any) -> Any:
        return self._send(what, method, url, **body).json()

    def _send(self, what: str, method: str, url: str, **body: Any) -> requests.Response:
        try:
            answer = self._session.request(method, url, timeout=TIMEOUT, **body)
        except OAuthError:  # it is a RequestException as well, but its text is safe and says more
            raise
        except requests.RequestException as error:
            raise StepError(f"could not {what}: {type(error).__name__}") from None
        if not answer.ok:
            raise StepError(f"could not {what}: HTTP {answer.status_code} {reason(answer)}".rstrip())
        return answer


def check_size(film: Path) -> None:
    """Refuse what S3 would refuse after the video has been created."""
    size = film.stat().st_size
    if size == 0:
        raise StepError("the file is empty")
    if size > LARGEST:
        raise StepError("the file is larger than 5 GiB and would need the multipart upload of S3")


def source_name(film: Path) -> str:
    """Give a name that can stand in the path of an upload URL."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", film.name)


def reason(answer: requests.Response) -> str:
    """Read why Brightcove said no: a list of objects with error_code and message."""
    try:
        error = answer.json()[0]
        return f"{error['error_code']} {error.get('message', '')}".rstrip()
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""


@contextmanager
def shown(progress: Progress, film: Path) -> Iterator[TaskID]:
    """Show a bar for this film while it is being sent."""
    bar = progress.add_task(escape(film.name), total=film.stat().st_size)
    try:
        yield bar
    finally:
        progress.remove_task(bar)


def make_session(auth: OAuth2Auth, *, threads: int) -> requests.Session:
    """Make the one session for all threads."""
    session = requests.Session()
    session.auth = auth
    retries = Retries(
        total=4,
        backoff_factor=0.5,
        backoff_jitter=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET", "PUT"),
        raise_on_status=False,
        retry_after_max=120,
    )
    adapter = HTTPAdapter(pool_maxsize=threads, max_retries=retries)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def films_in(folder: Path) -> list[Path]:
    """Find the films of a folder, by their suffix."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def upload_all(uploader: Uploader, films: Sequence[Path], *, threads: int, console: Console) -> list[Uploaded]:
    """Upload the films in a pool of threads and show how it goes."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    results: list[Uploaded] = []
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(threads) as pool:
        everything = progress.add_task(f"{len(films)} films", total=sum(film.stat().st_size for film in films))
        try:
            for future in as_completed([pool.submit(uploader.upload, progress, film) for film in films]):
                results.append(result := future.result())
                if not result.problem:
                    progress.advance(everything, result.film.stat().st_size)
                if result.begun:
                    progress.print(line_about(result), soft_wrap=True, highlight=False)
        finally:  # at Ctrl-C: the uploads under way are completed, the others not begun
            pool.shutdown(cancel_futures=True)
    return results


def line_about(result: Uploaded) -> str:
    """Tell what became of a film in one line."""
    name, problem = escape(result.film.name), escape(result.problem)
    if not problem:
        return f"[green]uploaded[/] {name} as video {result.video_id}"
    made = f" (its video {result.video_id} exists)" if result.video_id else ""
    return f"[red]failed[/]   {name}: {problem}{made}"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Upload the films of a folder to Brightcove Video Cloud.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--account", default=os.environ.get("BRIGHTCOVE_ACCOUNT_ID"), help="or BRIGHTCOVE_ACCOUNT_ID")
    parser.add_argument("--threads", type=int, default=16, help="uploads at a time (default: 16)")
    arguments = parser.parse_args(argv)
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is not a folder")
    if arguments.threads < 1:
        parser.error("--threads has to be at least 1")
    return arguments


def main(
    argv: Sequence[str] | None = None,
    *,
    auth: OAuth2Auth | None = None,
    cms_url: str = CMS_URL,
    ingest_url: str = INGEST_URL,
) -> int:
    """Run the program; the keyword arguments let a test run it against another server."""
    arguments = parse(argv)
    console = Console()
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
    films = films_in(arguments.folder)
    if not films:
        print(f"no films in {arguments.folder}", file=sys.stderr)
        return 2
    with make_session(auth, threads=arguments.threads) as session:
        uploader = Uploader(session, account=arguments.account, cms_url=cms_url, ingest_url=ingest_url)
        results = upload_all(uploader, films, threads=arguments.threads, console=console)
    uploaded = sum(not result.problem for result in results)
    left = sum(not result.begun for result in results)
    not_begun = f", {left} not begun" if left else ""
    console.print(f"{uploaded} of {len(films)} films uploaded{not_begun}", highlight=False)
    return 0 if uploaded == len(films) else 1


if __name__ == "__main__":
    sys.exit(main())
