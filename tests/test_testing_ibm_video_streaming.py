"""The bundled server as IBM Video Streaming: two ways to show a secret, three kinds of links, two kinds of tokens."""

import base64
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from video_oauth_auth import OAuth2Auth
from video_oauth_auth.testing import IBMVideoStreamingServer, OAuthServer, json_answer, rate_limited

SECRET = "0123456789abcdef0123456789abcdef01234567"
HEX = re.compile(r"[0-9a-f]{40}")
DAY = 86_400


@pytest.fixture
def server() -> Iterator[IBMVideoStreamingServer]:
    with OAuthServer.ibm_video_streaming(client_secret=SECRET) as running:
        yield running


def asked(server: IBMVideoStreamingServer, **form: str) -> httpx.Response:
    """One token request with the secret in the body."""
    known = {"client_id": server.client_id, "client_secret": server.client_secret}
    return httpx.post(server.token_endpoint, data={"grant_type": "client_credentials", **known, **form})


def refreshed(server: IBMVideoStreamingServer, token: dict[str, Any], **form: str) -> httpx.Response:
    return asked(server, grant_type="refresh_token", refresh_token=token["refresh_token"], **form)


def get(url: str, authorization: str, **query: Any) -> httpx.Response:
    return httpx.get(url, headers={"Authorization": authorization}, params=query or None)


@pytest.fixture
def bearer(server: IBMVideoStreamingServer) -> str:
    return f"Bearer {server.issue_token()['access_token']}"


@pytest.fixture
def analytics_token(server: IBMVideoStreamingServer) -> str:
    return str(asked(server, token_type="jwt").json()["access_token"])


# Client authentication


def with_basic(server: IBMVideoStreamingServer, credentials: str, **form: str) -> httpx.Response:
    headers = {"Authorization": f"Basic {credentials}"}
    form = {"grant_type": "client_credentials", "client_id": server.client_id, **form}
    return httpx.post(server.url + "/oauth2/token", data=form, headers=headers)


def test_the_secret_comes_in_the_body_or_bare_after_basic(server):
    for answer in (asked(server), with_basic(server, SECRET)):
        token = answer.json()
        assert HEX.fullmatch(token.pop("access_token"))
        assert HEX.fullmatch(token.pop("refresh_token"))
        assert token == {"token_type": "bearer", "expires_in": DAY}


def test_the_standard_form_of_basic_is_refused(server):
    standard = base64.b64encode(f"{server.client_id}:{SECRET}".encode()).decode()
    answer = with_basic(server, standard)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_client"})
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"client_secret": "wrong"}, 400, "invalid_client"),
        ({"client_id": "nobody"}, 400, "invalid_client"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request"),
        ({"grant_type": "password", "username": "ann", "password": "x"}, 501, "unsupported_grant_type"),
        ({"grant_type": "something"}, 501, "unsupported_grant_type"),
    ],
)
def test_errors_are_a_code_and_nothing_else(server, form, status, code):
    answer = asked(server, **form)
    assert (answer.status_code, answer.json()) == (status, {"error": code})


def test_a_secret_without_a_client_id_or_two_secrets_are_refused(server):
    assert with_basic(server, SECRET, client_id="").json() == {"error": "invalid_client"}
    assert with_basic(server, SECRET, client_secret=SECRET).json() == {"error": "invalid_request"}


def test_a_server_error_has_its_status_and_passes(server):
    server.token_faults.add(json_answer(503, {"error": "server_error"}))
    assert [asked(server).status_code for _ in range(2)] == [503, 200]


def test_there_is_no_discovery(server):
    for path in ("openid-configuration", "oauth-authorization-server"):
        assert httpx.get(f"{server.url}/.well-known/{path}").status_code == 404
    value = server.authorization_server
    assert value.issuer is None
    assert value.revocation_endpoint == server.url + "/oauth2/token/revoke"
    assert value.token_endpoint_auth_methods_supported == ("client_secret_post", "raw_secret_basic")


# Tokens


def test_each_refresh_spends_the_refresh_token(server):
    first = asked(server).json()
    second = refreshed(server, first).json()
    assert second["refresh_token"] != first["refresh_token"]
    answer = refreshed(server, first)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
    assert server.reuse_detected == 1


def test_tokens_live_for_a_day_and_refresh_tokens_for_thirty_untold(server):
    token = asked(server).json()
    server.advance(DAY)
    assert get(server.api_url + "/users/self/videos.json", f"Bearer {token['access_token']}").status_code == 401
    server.advance(28 * DAY)
    token = refreshed(server, token).json()
    assert "refresh_expires_in" not in token
    server.advance(30 * DAY)
    assert refreshed(server, token).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_is_dead_and_revocation_never_tells(server, kind):
    token = asked(server).json()
    url = server.url + "/oauth2/token/revoke"
    known = {"client_id": server.client_id}
    for text in (token[kind], "unknown"):
        headers = {"Authorization": f"Basic {SECRET}"}
        assert httpx.post(url, data={**known, "token": text}, headers=headers).status_code == 200
    assert get(server.api_url + "/users/self/videos.json", f"Bearer {token['access_token']}").status_code == 401
    refused = httpx.post(url, data={**known, "client_secret": "wrong", "token": "x"})
    assert (refused.status_code, refused.json()) == (400, {"error": "invalid_client"})


# The API


def follow(first: str, authorization: str, items: str, link: Any) -> tuple[list[str], list[str]]:
    """The titles on all pages, and the URLs of the pages."""
    titles, urls, url = [], [], first
    while url:
        page = get(url, authorization).json()
        rows = page[items].values() if isinstance(page[items], dict) else page[items]
        titles += [row["title"] for row in rows]
        urls.append(url)
        url = link(page["paging"])
    return titles, urls


@pytest.mark.parametrize("form", ["object", "list"])
def test_channels_are_an_object_or_a_list_and_link_by_href(server, bearer, form):
    server.channels_as = form
    for number in range(5):
        server.add_channel(f"channel {number}")
    url = server.api_url + "/users/self/channels.json"
    page = get(url, bearer, p=2, pagesize=2).json()
    assert (list(page["channels"]) == ["0", "1"]) is (form == "object")
    assert isinstance(page["channels"], dict if form == "object" else list)
    assert page["paging"] == {
        name: {"href": f"{url}?pagesize=2&p={number}"} for name, number in (("previous", 1), ("actual", 2), ("next", 3))
    }
    titles, urls = follow(f"{url}?pagesize=2", bearer, "channels", lambda paging: paging.get("next", {}).get("href"))
    assert titles == [f"channel {number}" for number in range(5)]
    assert len(urls) == 3
    assert len(get(url, bearer).json()["channels"]) == 5


def test_videos_are_a_list_newest_first_and_link_by_text(server, bearer):
    for number in range(5):
        server.add_video(f"video {number}")
    url = server.api_url + "/users/self/videos.json"
    page = get(url, bearer, page=2, pagesize=2).json()
    assert page["paging"] == {"previous": f"{url}?pagesize=2&page=1", "next": f"{url}?pagesize=2&page=3"}
    assert page["item_count"] == 5
    titles, urls = follow(f"{url}?pagesize=2", bearer, "videos", lambda paging: paging.get("next"))
    assert titles == [f"video {number}" for number in (4, 3, 2, 1, 0)]
    assert len(urls) == 3


@pytest.mark.parametrize(
    "path", ["channels.json?p=0", "channels.json?pagesize=x", "videos.json?pagesize=51", "videos.json?page=-1"]
)
def test_nonsense_in_the_query_is_refused(server, bearer, path):
    assert get(f"{server.api_url}/users/self/{path}", bearer).status_code == 400


def test_an_empty_account_and_an_unknown_path(server, bearer):
    assert get(server.api_url + "/users/self/channels.json", bearer).json()["channels"] == {}
    assert get(server.api_url + "/users/self/videos.json", bearer).json()["videos"] == []
    answer = get(server.api_url + "/users/self/nothing.json", bearer)
    assert (answer.status_code, answer.json()) == (404, {"error": "not_found"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/self/videos.json", b'{"error": "invalid_token"}'),
        ("/users/self/channels.json", b""),
        ("/me", b'{"error": "unauthorized"}'),
    ],
)
def test_a_401_says_something_else_on_each_page(server, path, body):
    answer = get(server.api_url + path, "Bearer dead")
    assert (answer.status_code, answer.content) == (401, body)
    server.challenge = "bearer"
    assert "WWW-Authenticate" in get(server.api_url + path, "Bearer dead").headers


def test_a_rate_limit_names_the_moment_from_which_to_go_on(server, bearer):
    before = time.time()
    server.api_faults.add(rate_limited(30, limit=10))
    url = server.api_url + "/users/self/videos.json"
    answer = get(url, bearer)
    assert (answer.status_code, answer.json()) == (429, {"error": "too_many_requests"})
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("10", "0")
    assert before + 30 <= int(answer.headers["X-RateLimit-Reset"]) <= time.time() + 31
    assert "Retry-After" not in answer.headers
    assert get(url, bearer).status_code == 200


# Analytics


BEGIN = datetime(2030, 7, 1, tzinfo=UTC)
DATES = {"date_time_from": BEGIN.isoformat(), "date_time_to": (BEGIN + timedelta(days=10)).isoformat()}


def test_a_jwt_is_given_where_the_request_at_hand_says_so(server):
    token = asked(server, token_type="jwt").json()
    assert token["access_token"].count(".") == 2
    assert token["access_token"].startswith("eyJ")
    assert HEX.fullmatch(token["refresh_token"])
    again = refreshed(server, token, token_type="jwt").json()
    assert again["access_token"].count(".") == 2
    assert HEX.fullmatch(refreshed(server, again).json()["access_token"])


def test_analytics_takes_the_bare_jwt_and_nothing_else(server, analytics_token, bearer):
    url = server.analytics_url + "/v1/total-views/summary"
    assert get(url, analytics_token, **DATES).status_code == 200
    for wrong in (f"Bearer {analytics_token}", bearer, bearer.removeprefix("Bearer "), "JWT x.y.z", "x.y.z"):
        assert get(url, wrong, **DATES).status_code == 401
    assert [request.token_state for request in server.requests_to("analytics")] == ["live", *5 * ["unknown"]]
    assert httpx.get(url).status_code == 401
    assert server.analytics_url not in (server.api_url, server.url)
    server.revoke_access_tokens()
    assert get(url, analytics_token, **DATES).status_code == 401


def test_reports_come_in_pages_whose_links_are_relative_and_lack_version_and_dates(server, analytics_token):
    for day in range(12):
        server.add_views(BEGIN + timedelta(days=day), 100 + day)
    url = server.analytics_url + "/v1/total-views/summary"
    first = get(url, analytics_token, **DATES, _limit=4).json()
    assert first["data"][0] == {
        "type": "Series",
        "attributes": {"dimension_type": "summary", "point": "2030-07-01T00:00:00+00:00", "value": 100},
    }
    hrefs = {name: f"/total-views/summary?_limit=4&_page={page}" for name, page in (("first", 1), ("last", 3))}
    hrefs |= {"next": "/total-views/summary?_limit=4&_page=2", "self": "/total-views/summary?_limit=4&_page=1"}
    links = {name: {"href": href} for name, href in hrefs.items()}
    assert first["pagination"] == {**links, "prev": None, "count": 10}

    values, page = [], first
    while True:
        values += [series["attributes"]["value"] for series in page["data"]]
        if page["pagination"]["next"] is None:
            break
        query = {name: value[0] for name, value in parse_qs(urlsplit(page["pagination"]["next"]["href"]).query).items()}
        page = get(url, analytics_token, **DATES, **query).json()
    assert values == list(range(100, 110))


@pytest.mark.parametrize(
    "query",
    [{}, {**DATES, "date_time_to": ""}, {**DATES, "date_time_from": "2030-07-01T00:00:00"}, {**DATES, "_page": "0"}],
    ids=["no dates", "no end", "no time zone", "page 0"],
)
def test_a_report_wants_both_dates(server, analytics_token, query):
    answer = get(server.analytics_url + "/v1/total-views/summary", analytics_token, **query)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_analytics_has_faults_of_its_own_and_only_its_own_paths(server, analytics_token):
    server.analytics_faults.add(json_answer(503, {}))
    url = server.analytics_url + "/v1/total-views/summary"
    assert [get(url, analytics_token, **DATES).status_code for _ in range(2)] == [503, 200]
    assert get(server.analytics_url + "/total-views/summary", analytics_token, **DATES).status_code == 404
    with pytest.raises(ValueError, match="time zone"):
        server.add_views(datetime(2030, 7, 1), 1)  # noqa: DTZ001 - that is the point


def test_the_library_works_through_expiry_with_rotation(server):
    server.add_channel("news")
    auth = OAuth2Auth.client_credentials(
        server.authorization_server, server.client_id, SECRET, origins=[server.api_url]
    )
    with httpx.Client(auth=auth) as client:
        for seconds in (0, DAY + 1, DAY + 1):
            server.advance(seconds)
            assert client.get(server.api_url + "/users/self/channels.json").status_code == 200
    assert [call.form["grant_type"] for call in server.token_calls] == [
        "client_credentials",
        "refresh_token",
        "refresh_token",
    ]
    assert server.reuse_detected == 0
