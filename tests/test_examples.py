"""The example programs, against the bundled server."""

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from video_oauth_auth import BrightcoveAuth
from video_oauth_auth.testing import Answer, BrightcoveServer, Hold, RecordedRequest, too_many_requests, unavailable

EXAMPLES = Path(__file__).parent.parent / "examples"
ACCOUNT = "1234"


@pytest.fixture
def auth(brightcove_server: BrightcoveServer) -> BrightcoveAuth:
    return auth_for(brightcove_server, brightcove_server.client_secret)


@pytest.fixture
def films(tmp_path: Path) -> dict[str, str]:
    """Twenty films in a folder beside things that are none; their names, as they are uploaded, and digests."""
    (tmp_path / "notes.txt").write_text("not a film")
    (tmp_path / "folder.mp4").mkdir()
    digests = {}
    for number in range(20):
        content = os.urandom(10_000 + 7_000 * number)
        (tmp_path / f"film {number:02} [b]&?.mp4").write_bytes(content)
        digests[f"film_{number:02}__b___.mp4"] = hashlib.sha256(content).hexdigest()
    return digests


@pytest.fixture
def upload(
    brightcove_server: BrightcoveServer, auth: BrightcoveAuth, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Runs the upload program against the server."""
    url, program = brightcove_server.api_url, example("brightcove_upload_folder", monkeypatch)

    def run(*arguments: str, auth: BrightcoveAuth = auth) -> int:
        return program.main([*arguments, "--account", ACCOUNT], auth=auth, cms_url=url, ingest_url=url)

    return run


@pytest.fixture
def list_videos(
    brightcove_server: BrightcoveServer, auth: BrightcoveAuth, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Runs the listing program against the server."""
    url, program = brightcove_server.api_url, example("brightcove_list_videos", monkeypatch)

    def run(*arguments: str, auth: BrightcoveAuth = auth) -> int:
        return program.main([*arguments, "--account", ACCOUNT], auth=auth, cms_url=url)

    return run


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


def auth_for(server: BrightcoveServer, client_secret: str) -> BrightcoveAuth:
    return BrightcoveAuth(server.client_id, client_secret, server=server.authorization_server, origins=[server.api_url])


def is_post_to(ending: str) -> Callable[[RecordedRequest], bool]:
    return lambda request: request.method == "POST" and request.path.endswith(ending)


@contextmanager
def revoked_at(
    server: BrightcoveServer, when: Callable[[RecordedRequest], bool], run: Callable[[], int]
) -> Iterator[Future[int]]:
    """Run a program, and revoke its token while such a request of it is under way."""
    server.api_faults.add(Hold(), when=when)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        server.wait_for(lambda: server.held == 1 or running.done())
        assert server.revoke_access_tokens() == 1
        server.release()
        yield running


# Uploading a folder


def test_a_folder_is_uploaded_byte_for_byte_though_the_token_is_revoked_in_the_middle(
    brightcove_server: BrightcoveServer,
    upload: Callable[..., int],
    tmp_path: Path,
    films: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with revoked_at(brightcove_server, is_post_to("/ingest-requests"), lambda: upload(str(tmp_path))) as running:
        assert running.result(timeout=60) == 0
    stored = {key.rpartition("/")[2]: upload.sha256 for key, upload in brightcove_server.uploads.items()}
    assert stored == films
    assert {video["state"] for video in brightcove_server.videos(ACCOUNT)} == {"ACTIVE"}
    assert len(brightcove_server.videos(ACCOUNT)) == len(films)
    assert len(brightcove_server.token_calls) == 2
    assert 401 in [request.status for request in brightcove_server.requests_to("api")]
    assert {request.header("Authorization") for request in brightcove_server.requests_to("storage")} == {None}
    assert "20 of 20 films uploaded" in capsys.readouterr().out


def test_a_5xx_to_a_post_is_not_answered_by_a_second_post(
    brightcove_server: BrightcoveServer,
    upload: Callable[..., int],
    tmp_path: Path,
    films: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    brightcove_server.api_faults.add(unavailable(0), when=is_post_to("/videos"))
    brightcove_server.api_faults.add(unavailable(0), when=is_post_to("/ingest-requests"))
    assert upload(str(tmp_path)) == 1
    posts = [request for request in brightcove_server.requests_to("api") if request.method == "POST"]
    assert len([request for request in posts if request.path.endswith("/videos")]) == 20
    assert len([request for request in posts if request.path.endswith("/ingest-requests")]) == 19
    out = capsys.readouterr().out
    assert "could not create the video: HTTP 503" in out
    (line,) = [line for line in out.splitlines() if "could not ask for its ingestion" in line]
    assert "exists" in line  # the user can go on from there
    assert "18 of 20 films uploaded" in out


def test_what_can_be_done_twice_and_what_was_not_done_is_tried_again(
    brightcove_server: BrightcoveServer, upload: Callable[..., int], tmp_path: Path, films: dict[str, str]
) -> None:
    brightcove_server.storage_faults.add(unavailable(0), times=3)
    brightcove_server.api_faults.add(unavailable(0), when=lambda request: request.method == "GET")
    brightcove_server.api_faults.add(too_many_requests(0), when=is_post_to("/videos"))
    assert upload(str(tmp_path)) == 0
    stored = {key.rpartition("/")[2]: upload.sha256 for key, upload in brightcove_server.uploads.items()}
    assert stored == films
    assert len(brightcove_server.videos(ACCOUNT)) == 20


def test_a_failed_upload_is_reported_without_its_presigned_url(
    brightcove_server: BrightcoveServer,
    upload: Callable[..., int],
    tmp_path: Path,
    films: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    brightcove_server.storage_faults.always(Answer(403, body="no"))
    (tmp_path / "empty.mp4").touch()
    assert upload(str(tmp_path), "--threads", "2") == 1
    output = "".join(capsys.readouterr())
    assert output.count("could not put the file: HTTP 403") == 20
    assert "empty.mp4: the file is empty" in output
    assert "0 of 21 films uploaded" in output
    assert "Signature" not in output


def test_a_wrong_secret_ends_the_program_before_every_film_has_failed(
    brightcove_server: BrightcoveServer,
    upload: Callable[..., int],
    tmp_path: Path,
    films: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert upload(str(tmp_path), "--threads", "2", auth=auth_for(brightcove_server, "wrong-secret")) == 1
    output = "".join(capsys.readouterr())
    assert "invalid_client" in output
    assert "not begun" in output
    assert output.count("failed") <= 2
    assert "wrong-secret" not in output
    assert not brightcove_server.requests_to("api")


def test_a_folder_without_films_is_no_success(
    upload: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upload(str(tmp_path)) == 2
    assert "no films in" in capsys.readouterr().err


# Listing videos


@pytest.fixture
def many_videos(brightcove_server: BrightcoveServer) -> list[str]:
    """The names of two pages and a half."""
    names = [f"Video {number} [red]" for number in range(250)]
    for name in names:
        brightcove_server.add_video(ACCOUNT, name)
    return names


def test_all_pages_are_listed_though_the_token_is_revoked_between_two(
    brightcove_server: BrightcoveServer,
    list_videos: Callable[..., int],
    many_videos: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def is_second_page(request: RecordedRequest) -> bool:
        return "offset=100" in request.query

    with revoked_at(brightcove_server, is_second_page, lambda: list_videos("--json")) as running:
        assert running.result(timeout=60) == 0
    assert [video["name"] for video in json.loads(capsys.readouterr().out)] == many_videos
    assert [request.status for request in brightcove_server.requests_to("api")] == [200, 401, 200, 200]
    assert len(brightcove_server.token_calls) == 2


def test_without_json_a_table_is_printed(
    list_videos: Callable[..., int], many_videos: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_videos() == 0
    out = capsys.readouterr().out
    assert all(name in out for name in many_videos)
    assert "250 videos" in out


def test_pages_that_are_exactly_full_end_too(
    brightcove_server: BrightcoveServer, list_videos: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(100):
        brightcove_server.add_video(ACCOUNT, f"Video {number}")
    assert list_videos("--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 100


def test_a_listing_that_the_api_refuses_prints_no_half_list(
    brightcove_server: BrightcoveServer,
    list_videos: Callable[..., int],
    many_videos: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    brightcove_server.api_faults.add(unavailable(0), when=lambda request: "offset=200" in request.query)
    assert list_videos("--json") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "503" in err


def test_a_wrong_secret_is_told_when_listing(
    brightcove_server: BrightcoveServer, list_videos: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_videos(auth=auth_for(brightcove_server, "wrong-secret")) == 1
    err = capsys.readouterr().err
    assert "invalid_client" in err
    assert "wrong-secret" not in err


# Both, started as a user starts them


@pytest.mark.parametrize("program", ["brightcove_upload_folder.py", "brightcove_list_videos.py"])
def test_variables_that_are_missing_are_all_named_at_once(program: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRIGHTCOVE_")}
    arguments = [str(tmp_path)] if "upload" in program else []
    run = subprocess.run(
        [sys.executable, EXAMPLES / program, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 2
    for name in ("BRIGHTCOVE_CLIENT_ID", "BRIGHTCOVE_CLIENT_SECRET", "BRIGHTCOVE_ACCOUNT_ID"):
        assert name in run.stderr
    assert "Traceback" not in run.stderr
