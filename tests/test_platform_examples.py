"""The example programs for movingimage, IBM Video Streaming and cidaas, against the bundled server."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from video_oauth_auth import CidaasAuth, IBMVideoStreamingAuth, MovingimageAuth
from video_oauth_auth.testing import (
    CidaasServer,
    Hold,
    IBMVideoStreamingServer,
    MovingimageServer,
    RecordedRequest,
    json_answer,
    rate_limited,
    unavailable,
)
from video_oauth_auth.testing.cidaas import service_error

EXAMPLES = Path(__file__).parent.parent / "examples"
BEGIN = datetime(2030, 7, 1, tzinfo=UTC)
FROM_TO = ("--from", "2030-07-01", "--to", "2031-07-01")
DAY = 86_400


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("MOVINGIMAGE_API_URL", raising=False)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


@contextmanager
def held_at(server: Any, plan: Any, when: Callable[[RecordedRequest], bool], run: Callable[[], int]) -> Iterator[Any]:
    """Run a program, and give control while such a request of it has arrived and waits."""
    plan.add(Hold(), when=when)
    with ThreadPoolExecutor(1) as pool:
        running: Future[int] = pool.submit(run)
        server.wait_for(lambda: server.held == 1 or running.done())
        assert server.held == 1
        yield running
        server.release()
        assert running.result(timeout=60) == 0


def second_page(part: str) -> Callable[[RecordedRequest], bool]:
    return lambda request: part in request.query


def grants(server: Any) -> list[str]:
    return [call.form["grant_type"] for call in server.token_calls]


# movingimage


@pytest.fixture
def list_movingimage(movingimage_server: MovingimageServer, example: Callable[[str], Any]) -> Callable[..., int]:
    program, api_url = example("movingimage_list_videos"), f"{movingimage_server.api_url}/v1/"
    movingimage_server.users = {"ann": "her password"}

    def run(*arguments: str, password: str = "her password") -> int:
        auth = MovingimageAuth(username="ann", password=password, api_url=api_url)
        return program.main(arguments, auth=auth, api_url=api_url)

    return run


@pytest.fixture
def titles(movingimage_server: MovingimageServer) -> dict[str, list[str]]:
    """Two VideoManagers and a half-empty one: more than two pages, exactly one page, nothing."""
    wanted = {"Films": 250, "News": 100, "Empty": 0}
    made = {name: [f"{name} {number} [red]" for number in range(count)] for name, count in wanted.items()}
    for name, videos in made.items():
        video_manager = movingimage_server.add_video_manager(name)
        for title in videos:
            movingimage_server.add_video(video_manager, title)
    return made


@pytest.mark.parametrize("end", ["expiry", "revocation"])
def test_all_video_managers_are_listed_though_the_token_ends_in_the_middle(
    movingimage_server: MovingimageServer,
    list_movingimage: Callable[..., int],
    titles: dict[str, list[str]],
    capsys: pytest.CaptureFixture[str],
    end: str,
) -> None:
    server, when = movingimage_server, second_page("offset=100")
    with held_at(server, server.api_faults, when, lambda: list_movingimage("--json")):
        if end == "expiry":
            server.advance(301)
        else:
            assert server.revoke_access_tokens() == 1
    listed = json.loads(capsys.readouterr().out)
    assert {known["name"]: [video["title"] for video in known["videos"]] for known in listed} == titles
    assert [request.status for request in server.requests_to("api")] == [200, 200, 401, 200, 200, 200, 200]
    assert grants(server) == ["password", "refresh_token"]
    assert server.reuse_detected == 0


def test_a_session_that_ended_in_the_middle_is_begun_again(
    movingimage_server: MovingimageServer, list_movingimage: Callable[..., int], titles: dict[str, list[str]]
) -> None:
    server = movingimage_server
    with held_at(server, server.api_faults, second_page("offset=200"), list_movingimage):
        server.advance(3601)
    assert grants(server)[0] == grants(server)[-1] == "password"
    assert server.requests_to("api")[-1].status == 200


def test_a_table_is_printed_for_each_video_manager(
    list_movingimage: Callable[..., int], titles: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_movingimage() == 0
    out = capsys.readouterr().out
    assert all(title in out for videos in titles.values() for title in videos)
    assert "350 videos in 3 VideoManagers" in out


def test_a_movingimage_listing_that_is_refused_prints_no_half_list(
    movingimage_server: MovingimageServer,
    list_movingimage: Callable[..., int],
    titles: dict[str, list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    movingimage_server.api_faults.add(unavailable(0), when=second_page("offset=200"))
    assert list_movingimage("--json") == 1
    out, err = capsys.readouterr()
    assert (out, "503" in err) == ("", True)


def test_a_wrong_password_is_told_and_not_shown(
    list_movingimage: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_movingimage(password="wrong-password") == 1
    err = capsys.readouterr().err
    assert "invalid_grant" in err
    assert "wrong-password" not in err


# IBM Video Streaming


@pytest.fixture
def list_ibm(ibm_video_streaming_server: IBMVideoStreamingServer, example: Callable[[str], Any]) -> Callable[..., int]:
    server, program = ibm_video_streaming_server, example("ibm_list_channels_and_videos")

    def run(*arguments: str, secret: str = server.client_secret) -> int:
        auth = IBMVideoStreamingAuth(
            server.client_id, secret, server=server.authorization_server, origins=[server.api_url]
        )
        return program.main(arguments, auth=auth, api_url=server.api_url)

    return run


@pytest.fixture
def account(ibm_video_streaming_server: IBMVideoStreamingServer) -> dict[str, list[str]]:
    """More than two pages of channels, exactly two of videos (which come newest first)."""
    channels, videos = [f"channel {n} [red]" for n in range(230)], [f"video {n}" for n in range(100)]
    for title in channels:
        ibm_video_streaming_server.add_channel(title)
    for title in videos:
        ibm_video_streaming_server.add_video(title)
    return {"channels": channels, "videos": videos[::-1]}


@pytest.mark.parametrize("form", ["object", "list"])
@pytest.mark.parametrize("end", ["expiry", "revocation"])
def test_channels_and_videos_are_listed_though_the_token_ends_in_the_middle(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    list_ibm: Callable[..., int],
    account: dict[str, list[str]],
    capsys: pytest.CaptureFixture[str],
    form: Any,
    end: str,
) -> None:
    server = ibm_video_streaming_server
    server.channels_as = form
    with held_at(server, server.api_faults, second_page("&p=2"), lambda: list_ibm("--json")):
        if end == "expiry":
            server.advance(DAY + 1)
        else:
            assert server.revoke_access_tokens() == 1
    listed = json.loads(capsys.readouterr().out)
    assert {name: [item["title"] for item in items] for name, items in listed.items()} == account
    assert [request.status for request in server.requests_to("api")] == [200, 401, 200, 200, 200, 200]
    assert grants(server) == ["client_credentials", "refresh_token"]


def test_a_table_of_channels_and_one_of_videos_are_printed(
    list_ibm: Callable[..., int], account: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_ibm() == 0
    out = capsys.readouterr().out
    assert all(title in out for titles in account.values() for title in titles)
    assert "230 channels, 100 videos" in out


@pytest.mark.parametrize("link", ["/users/self/channels.json?p=2", {"href": "channels.json?p=2"}], ids=str)
def test_relative_links_are_followed(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    list_ibm: Callable[..., int],
    account: dict[str, list[str]],
    capsys: pytest.CaptureFixture[str],
    link: object,
) -> None:
    page = {"channels": [{"id": "0", "title": "first"}], "paging": {"next": link}}
    ibm_video_streaming_server.api_faults.add(json_answer(200, page), path="/users/self/channels.json")
    assert list_ibm("--json") == 0
    assert len(json.loads(capsys.readouterr().out)["channels"]) == 1 + 130  # the second page and the third


def foreign_links(server: IBMVideoStreamingServer) -> list[str]:
    host = server.foreign_url.removeprefix("http:")
    return [f"{server.foreign_url}/users/self/channels.json?p=2", f"{host}/x", f"https:{server.api_url[5:]}/x"]


@pytest.mark.parametrize("number", range(3), ids=["absolute", "without a scheme", "another scheme"])
@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: {"href": url}], ids=["text", "href"])
def test_no_link_is_followed_to_another_origin(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    list_ibm: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    wrap: Callable[[str], object],
    number: int,
) -> None:
    server = ibm_video_streaming_server
    page = {"channels": {}, "paging": {"next": wrap(foreign_links(server)[number])}}
    server.api_faults.add(json_answer(200, page))
    assert list_ibm("--json") == 1
    out, err = capsys.readouterr()
    assert (out, "another origin" in err) == ("", True)
    assert not server.requests_to("foreign")
    assert len(server.requests_to("api")) == 1


def test_pages_that_go_round_in_circles_end(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    list_ibm: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = {"channels": {}, "paging": {"next": {"href": "/users/self/channels.json?p=1"}}}
    ibm_video_streaming_server.api_faults.always(json_answer(200, page))
    assert list_ibm() == 1
    assert "circles" in capsys.readouterr().err
    assert len(ibm_video_streaming_server.requests_to("api")) == 2


def test_a_rate_limit_is_told_with_its_end(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    list_ibm: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ibm_video_streaming_server.api_faults.add(rate_limited(30))
    assert list_ibm() == 1
    err = capsys.readouterr().err
    assert "429" in err
    assert "Unix time" in err


def test_a_wrong_secret_is_told_and_not_shown(list_ibm: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert list_ibm(secret="wrong-secret") == 1
    err = capsys.readouterr().err
    assert "invalid_client" in err
    assert "wrong-secret" not in err


# IBM's Analytics API


@pytest.fixture
def report_ibm(
    ibm_video_streaming_server: IBMVideoStreamingServer, example: Callable[[str], Any]
) -> Callable[..., int]:
    server, program = ibm_video_streaming_server, example("ibm_analytics_report")

    def run(*arguments: str) -> int:
        auth = IBMVideoStreamingAuth(
            server.client_id,
            server.client_secret,
            token_type="jwt",
            server=server.authorization_server,
            origins=[server.analytics_url],
        )
        return program.main([*FROM_TO, *arguments], auth=auth, analytics_url=server.analytics_url)

    return run


@pytest.fixture
def views(ibm_video_streaming_server: IBMVideoStreamingServer) -> list[int]:
    """Two pages and a half, and a day that is not asked for."""
    values = list(range(1000, 1250))
    for number, value in enumerate(values):
        ibm_video_streaming_server.add_views(BEGIN + timedelta(days=number), value)
    ibm_video_streaming_server.add_views(BEGIN - timedelta(days=1), 7)
    return values


@pytest.mark.parametrize("end", ["expiry", "revocation"])
def test_the_report_is_whole_though_the_token_ends_in_the_middle(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    report_ibm: Callable[..., int],
    views: list[int],
    capsys: pytest.CaptureFixture[str],
    end: str,
) -> None:
    server = ibm_video_streaming_server
    with held_at(server, server.analytics_faults, second_page("_page=2"), lambda: report_ibm("--json")):
        if end == "expiry":
            server.advance(DAY + 1)
        else:
            assert server.revoke_access_tokens() == 1
    assert [point["value"] for point in json.loads(capsys.readouterr().out)] == views
    requests = server.requests_to("analytics")
    assert [request.status for request in requests] == [200, 401, 200, 200]
    assert {(request.header("Authorization") or "").count(" ") for request in requests} == {0}  # no scheme word
    assert [call.form["token_type"] for call in server.token_calls] == ["jwt", "jwt"]
    assert grants(server) == ["client_credentials", "refresh_token"]


def test_the_report_is_a_table_with_its_sum(
    report_ibm: Callable[..., int], views: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_ibm() == 0
    out = capsys.readouterr().out
    assert all(str(value) in out for value in views)
    assert f"{sum(views)} views" in out


def test_the_report_waits_longer_than_a_minute_for_an_answer(example: Callable[[str], Any]) -> None:
    assert example("ibm_analytics_report").TIMEOUT.read > 60


@pytest.mark.parametrize(
    ("next_link", "told"), [("{foreign}/total-views/summary?_page=2", "another origin"), ("?_page=1", "circles")]
)
def test_no_link_of_a_report_is_followed_to_another_origin_or_for_ever(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    report_ibm: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    next_link: str,
    told: str,
) -> None:
    server = ibm_video_streaming_server
    page = {"data": [], "pagination": {"next": {"href": next_link.format(foreign=server.foreign_url)}}}
    server.analytics_faults.always(json_answer(200, page))
    assert report_ibm("--json") == 1
    out, err = capsys.readouterr()
    assert (out, told in err) == ("", True)
    assert not server.requests_to("foreign")
    assert len(server.requests_to("analytics")) <= 2


def test_a_report_that_is_refused_is_told(
    ibm_video_streaming_server: IBMVideoStreamingServer,
    report_ibm: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ibm_video_streaming_server.analytics_faults.add(unavailable(0))
    assert report_ibm("--json") == 1
    out, err = capsys.readouterr()
    assert (out, "503" in err) == ("", True)


# cidaas


IDS = [f"crew {number}/&" for number in range(8)]


@pytest.fixture(params=[(), ("--sync",)], ids=["async", "sync"])
def look_up(
    cidaas_server: CidaasServer, example: Callable[[str], Any], request: pytest.FixtureRequest
) -> Callable[..., int]:
    server, program = cidaas_server, example("cidaas_service_call")
    for number, group_id in enumerate(IDS):
        server.add_group(group_id.replace(" ", "%20").replace("/", "%2F").replace("&", "%26"), f"Crew {number}")

    def run(*ids: str, secret: str = server.client_secret) -> int:
        auth = CidaasAuth(server.url, server.client_id, secret)
        return program.main([*request.param, *ids], auth=auth, base_url=server.url)

    return run


@pytest.mark.parametrize("end", ["expiry", "revocation"])
def test_groups_are_found_though_the_token_ends_in_the_middle(
    cidaas_server: CidaasServer, look_up: Callable[..., int], capsys: pytest.CaptureFixture[str], end: str
) -> None:
    server = cidaas_server
    with held_at(server, server.api_faults, lambda _: True, lambda: look_up(*IDS)):
        if end == "expiry":
            server.advance(DAY + 1)
        else:
            assert server.revoke_access_tokens() == 1
    assert [group["groupName"] for group in json.loads(capsys.readouterr().out)] == [f"Crew {n}" for n in range(8)]
    assert grants(server) == ["client_credentials", "client_credentials"]
    assert 401 in [request.status for request in server.requests_to("api")]


def test_what_was_not_found_is_told_beside_what_was(
    cidaas_server: CidaasServer, look_up: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    cidaas_server.add_group("crew", "Crew")
    assert look_up("crew", "nobody") == 1
    out, err = capsys.readouterr()
    assert [group["groupName"] for group in json.loads(out)] == ["Crew"]
    assert err.startswith("nobody: there is no such group")


ERRORS = {
    "of a service": (
        service_error(417, code=10009, type="GroupsException", error="not that way"),
        "HTTP 417 GroupsException: not that way (reference ",
    ),
    "of the gateway": (
        json_answer(400, {"error": "Access denied for this resource", "refnumber": "42-x"}),
        "HTTP 400 Access denied for this resource (reference 42-x)",
    ),
    "in an answer with 200": (json_answer(200, {"success": False, "status": 400}), "HTTP 200"),
    "no JSON": (unavailable(0), "HTTP 503"),
    "a list": (json_answer(200, []), "HTTP 200"),
}


@pytest.mark.parametrize(("answer", "told"), ERRORS.values(), ids=ERRORS.keys())
def test_each_shape_of_error_is_told(
    cidaas_server: CidaasServer,
    look_up: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    answer: Any,
    told: str,
) -> None:
    cidaas_server.api_faults.add(answer)
    assert look_up("crew") == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert f"crew: {told}" in err


def test_a_wrong_secret_of_a_tenant_is_told_and_not_shown(
    cidaas_server: CidaasServer, look_up: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert look_up("crew", secret="wrong-secret") == 1
    err = capsys.readouterr().err
    assert "invalid_client" in err
    assert "wrong-secret" not in err
    assert not cidaas_server.requests_to("api")


# All, started as a user starts them


MISSING = {
    "movingimage_list_videos.py": ("MOVINGIMAGE_USERNAME", "MOVINGIMAGE_PASSWORD"),
    "ibm_list_channels_and_videos.py": ("IBM_VIDEO_STREAMING_CLIENT_ID", "IBM_VIDEO_STREAMING_CLIENT_SECRET"),
    "ibm_analytics_report.py": ("IBM_VIDEO_STREAMING_CLIENT_ID", "IBM_VIDEO_STREAMING_CLIENT_SECRET"),
    "cidaas_service_call.py": ("CIDAAS_ISSUER", "CIDAAS_CLIENT_ID", "CIDAAS_CLIENT_SECRET"),
}


@pytest.mark.parametrize("program", MISSING)
def test_variables_that_are_missing_are_all_named_at_once(program: str) -> None:
    prefixes = ("MOVINGIMAGE_", "IBM_VIDEO_STREAMING_", "CIDAAS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    arguments = ["crew"] if program.startswith("cidaas") else []
    run = subprocess.run(
        [sys.executable, EXAMPLES / program, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert all(name in run.stderr for name in MISSING[program])
    assert "Traceback" not in run.stderr


def test_the_environment_is_enough_where_it_names_everything(movingimage_server: MovingimageServer) -> None:
    movingimage_server.users = {"ann": "her password"}
    movingimage_server.add_video(movingimage_server.add_video_manager("Films"), "Summer")
    settings = {
        "MOVINGIMAGE_USERNAME": "ann",
        "MOVINGIMAGE_PASSWORD": "her password",
        "MOVINGIMAGE_API_URL": f"{movingimage_server.api_url}/v1/",
        "NO_PROXY": "127.0.0.1",
    }
    run = subprocess.run(
        [sys.executable, EXAMPLES / "movingimage_list_videos.py"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "Summer" in run.stdout
