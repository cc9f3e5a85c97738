"""What the pages about moving say about each library: the same situation before and after, at the same server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from io import BytesIO
from typing import Any

import httpx
import httpx2
import httpx_auth
import oauthlib.oauth2
import pytest
import requests
import requests_oauthlib
from authlib.integrations import httpx_client as authlib_httpx2
from authlib.integrations import requests_client as authlib_requests
from authlib.integrations.base_client import MissingTokenError
from oauthlib.oauth2 import BackendApplicationClient

from video_oauth_auth import OAuth2Auth
from video_oauth_auth.testing import Hold, OAuthServer, unavailable, with_members

from .test_moving import isolate, pairs
from .world import hosts_lead_to

LOGIN, API = "https://login.example.com", "https://api.example.com"
STORAGE, FOREIGN = "https://storage.example.com", "https://foreign.example.com"
TOKEN_URL, ME = f"{LOGIN}/token", f"{API}/me"
THREADS = 20
Send = Callable[..., Any]


class Ground:
    """A server at names that the pages use, and ways to make requests to it with each library."""

    def __init__(self, server: OAuthServer, stack: ExitStack) -> None:
        self.server, self._stack = server, stack
        self.client = server.client_id, server.client_secret

    def stale_token(self, scope: str | None = None) -> dict[str, Any]:
        """A token with a refresh token, whose end is over for whoever looks at the clock."""
        return {**self.server.issue_token(scope=scope), "expires_at": 1}

    def ours(self, library: Any, **given: Any) -> Send:
        auth = OAuth2Auth.client_credentials(self.server.authorization_server, *self.client, origins=[API], **given)
        session = self._stack.enter_context(library.Session() if library is requests else library.Client())
        session.auth = auth
        return session.request

    def httpx_auth(self) -> Send:
        auth = httpx_auth.OAuth2ClientCredentials(TOKEN_URL, *self.client)
        return self._stack.enter_context(httpx.Client(auth=auth)).request

    def authlib(self, make: Any, **given: Any) -> Send:
        client = make(*self.client, token_endpoint=TOKEN_URL, grant_type="client_credentials", **given)
        session = self._stack.enter_context(client)
        if not given:
            session.fetch_token()
        return session.request

    def requests_oauthlib(self, **given: Any) -> Send:
        if given:
            form = dict(zip(("client_id", "client_secret"), self.client, strict=True))
            kept = {"token_updater": lambda token: None, **given}
            session = requests_oauthlib.OAuth2Session(
                self.client[0], auto_refresh_url=TOKEN_URL, auto_refresh_kwargs=form, **kept
            )
        else:
            session = requests_oauthlib.OAuth2Session(client=BackendApplicationClient(self.client[0]))
            session.fetch_token(TOKEN_URL, client_secret=self.client[1])
        return self._stack.enter_context(session).request

    def hand_written(self) -> Send:
        code = pairs("hand_written")[0][0].removesuffix("main()\n")
        names: dict[str, Any] = {}
        exec(code.replace("https://oauth.brightcove.com/v4/access_token", TOKEN_URL), names)
        return names["call"]

    def send_with(self, way: str, **given: Any) -> Send:
        """A function that makes requests in one of the ways."""
        return {
            "httpx-auth": self.httpx_auth,
            "Authlib, requests": lambda **given: self.authlib(authlib_requests.OAuth2Session, **given),
            "Authlib, httpx2": lambda **given: self.authlib(authlib_httpx2.OAuth2Client, **given),
            "requests-oauthlib": self.requests_oauthlib,
            "hand-written": self.hand_written,
            "ours, requests": lambda **given: self.ours(requests, **given),
            "ours, httpx": lambda **given: self.ours(httpx, **given),
            "ours, httpx2": lambda **given: self.ours(httpx2, **given),
        }[way](**given)

    def at_once(self, call: Callable[[], Any]) -> list[object]:
        """Call on all threads at the same moment; give what came, errors as what they are."""
        barrier = threading.Barrier(THREADS)

        def one(_: int) -> object:
            barrier.wait(30)
            try:
                return call().status_code
            except Exception as error:
                return type(error)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(one, range(THREADS)))

    def token_calls(self, what: Callable[[], Any]) -> int:
        """How many token calls this makes."""
        before = len(self.server.token_calls)
        what()
        return len(self.server.token_calls) - before


OURS = ["ours, requests", "ours, httpx", "ours, httpx2"]
LIBRARIES = ["httpx-auth", "Authlib, requests", "Authlib, httpx2", "requests-oauthlib"]


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    isolate(monkeypatch)
    with OAuthServer(refresh_tokens=True) as server, ExitStack() as stack:
        monkeypatch.setenv("BRIGHTCOVE_CLIENT_ID", server.client_id)
        monkeypatch.setenv("BRIGHTCOVE_CLIENT_SECRET", server.client_secret)
        leads = {LOGIN: server.url, API: server.api_url, STORAGE: server.storage_url, FOREIGN: server.foreign_url}
        stack.enter_context(hosts_lead_to(leads))
        yield Ground(server, stack)


@pytest.mark.parametrize(
    ("way", "statuses"),
    [*((way, [401, 401]) for way in LIBRARIES), ("hand-written", [200, 200]), *((way, [200, 200]) for way in OURS)],
)
def test_a_token_that_the_server_has_ended(way: str, statuses: list[int], ground: Ground) -> None:
    send = ground.send_with(way)
    assert send("GET", ME).status_code == 200
    ground.server.revoke_access_tokens()
    assert [send("GET", ME).status_code for _ in range(2)] == statuses


@pytest.mark.parametrize(
    ("way", "token_calls", "hold"),
    [
        ("httpx-auth", THREADS, None),
        ("Authlib, requests", THREADS, Hold(until=THREADS)),
        ("Authlib, httpx2", THREADS, Hold(until=THREADS)),
        ("hand-written", 1, None),
    ],
)
def test_threads_that_meet_an_expired_token(way: str, token_calls: int, hold: Hold | None, ground: Ground) -> None:
    ground.server.refresh_tokens = False
    ground.server.expires_in = 20  # which they take for expired, being less than their margin
    send = ground.send_with(way)
    send("GET", ME)
    ground.server.expires_in = 300
    if hold:
        ground.server.token_faults.add(hold, times=THREADS)
    answers: list[object] = []
    assert ground.token_calls(lambda: answers.extend(ground.at_once(lambda: send("GET", ME)))) == token_calls
    assert answers == [200] * THREADS


@pytest.mark.parametrize("way", OURS)
def test_threads_that_meet_an_expired_token_and_ours(way: str, ground: Ground) -> None:
    send = ground.send_with(way, token=ground.stale_token())
    answers: list[object] = []
    assert ground.token_calls(lambda: answers.extend(ground.at_once(lambda: send("GET", ME)))) == 1
    assert answers == [200] * THREADS
    assert ground.server.reuse_detected == 0


@pytest.mark.parametrize("way", ["Authlib, requests", "Authlib, httpx2", "requests-oauthlib"])
def test_threads_that_spend_the_same_refresh_token(way: str, ground: Ground) -> None:
    send = ground.send_with(way, token=ground.stale_token())
    ground.server.token_faults.add(Hold(until=THREADS, when="after"), times=THREADS)
    answers: list[object] = []
    assert ground.token_calls(lambda: answers.extend(ground.at_once(lambda: send("GET", ME)))) == THREADS
    assert 200 not in answers
    assert ground.server.reuse_detected == THREADS - 1


@pytest.mark.parametrize(("way", "life"), [("httpx-auth", 30), ("Authlib, requests", 60), ("Authlib, httpx2", 60)])
def test_a_token_that_does_not_live_longer_than_the_margin(way: str, life: int, ground: Ground) -> None:
    ground.server.refresh_tokens = False
    ground.server.expires_in = life
    send, ours = ground.send_with(way), ground.send_with("ours, requests")
    assert send("GET", ME).status_code == ours("GET", ME).status_code == 200
    assert ground.token_calls(lambda: [send("GET", ME) for _ in range(3)]) == 3
    assert ground.token_calls(lambda: [ours("GET", ME) for _ in range(3)]) == 0


@pytest.mark.parametrize("way", [*LIBRARIES, "hand-written", *OURS])
def test_a_request_to_another_host(way: str, ground: Ground) -> None:
    send = ground.send_with(way)
    send("GET", ME)
    send("GET", f"{FOREIGN}/page")
    (request,) = ground.server.requests_to("foreign")
    assert (request.header("Authorization") is None) == (way in OURS)


@pytest.mark.parametrize("way", [*LIBRARIES, *OURS])
def test_an_upload_to_a_presigned_url(way: str, ground: Ground) -> None:
    url = ground.server.presigned_url("film.mp4").replace(ground.server.storage_url, STORAGE)
    body = {"data" if "requests" in way else "content": b"film"}
    assert ground.send_with(way)("PUT", url, **body).status_code == (200 if way in OURS else 400)


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("httpx-auth", httpx_auth.InvalidGrantRequest),
        ("Authlib, requests", requests.HTTPError),
        ("Authlib, httpx2", httpx2.HTTPStatusError),
        ("requests-oauthlib", oauthlib.oauth2.MissingTokenError),
        ("hand-written", requests.HTTPError),
    ],
)
def test_a_token_endpoint_that_is_busy_for_a_moment(way: str, error: type[Exception], ground: Ground) -> None:
    ground.server.token_faults.add(unavailable())
    with pytest.raises(error):
        ground.send_with(way)("GET", ME)
    ground.server.token_faults.add(unavailable())
    assert ground.send_with("ours, requests")("GET", ME).status_code == 200


# --- Authlib ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [authlib_requests.OAuth2Session, authlib_httpx2.OAuth2Client])
def test_authlib_wants_the_first_token_fetched_and_does_not_hand_it_to_update_token(make: Any, ground: Ground) -> None:
    kept: list[Any] = []
    terms = {"token_endpoint": TOKEN_URL, "grant_type": "client_credentials"}
    with make(*ground.client, **terms, update_token=lambda token, **_: kept.append(token)) as session:
        with pytest.raises(MissingTokenError):
            session.get(ME)
        session.fetch_token()
        assert kept == []
        session.token = {**session.token, "expires_at": 1}
        assert session.get(ME).status_code == 200
        assert [token["access_token"] for token in kept] == [session.token["access_token"]]


def test_authlib_makes_one_token_call_for_all_tasks_of_an_event_loop(ground: Ground) -> None:
    ground.server.refresh_tokens = False

    async def main() -> list[int]:
        terms = {"token_endpoint": TOKEN_URL, "grant_type": "client_credentials"}
        async with authlib_httpx2.AsyncOAuth2Client(*ground.client, **terms) as client:
            await client.fetch_token()
            client.token = {**client.token, "expires_at": 1}
            answers = await asyncio.gather(*(client.get(ME) for _ in range(THREADS)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(main()) == [200] * THREADS
    assert len(ground.server.token_calls) == 2


def test_authlib_reads_a_generator_into_memory_before_it_is_sent(ground: Ground) -> None:
    for way in ("Authlib, httpx2", "ours, httpx2"):
        ground.send_with(way)("POST", f"{API}/upload", content=(part for part in (b"film", b"film")))
    theirs, ours = ground.server.requests_to("api")
    assert (theirs.header("Content-Length"), theirs.header("Transfer-Encoding")) == ("8", "chunked")  # both
    assert (ours.header("Content-Length"), ours.header("Transfer-Encoding")) == (None, "chunked")


def test_authlib_sends_the_scope_with_each_refresh(ground: Ground) -> None:
    for way in ("Authlib, requests", "ours, requests"):
        ground.send_with(way, token=ground.stale_token(scope="videos:read"), scope="videos:read")("GET", ME)
    assert [call.form.get("scope") for call in ground.server.token_calls] == ["videos:read", None]


# --- requests-oauthlib --------------------------------------------------------------------------------------------


def test_requests_oauthlib_does_not_renew_by_client_credentials(ground: Ground) -> None:
    ground.server.refresh_tokens = False
    client_id, client_secret = ground.client
    kept: list[Any] = []
    session = requests_oauthlib.OAuth2Session(
        client=BackendApplicationClient(client_id),
        auto_refresh_url=TOKEN_URL,
        auto_refresh_kwargs={"client_id": client_id, "client_secret": client_secret},
        token_updater=kept.append,
    )
    session.fetch_token(TOKEN_URL, client_secret=client_secret)
    assert kept == []
    session.token = {**session.token, "expires_at": 1}
    with pytest.raises(oauthlib.oauth2.OAuth2Error, match="Missing 'refresh_token'"):
        session.get(ME)
    session.token = {**ground.server.issue_token(), "expires_at": 1}
    session.auto_refresh_url = None
    with pytest.raises(oauthlib.oauth2.TokenExpiredError):
        session.get(ME)


@pytest.mark.shows_secrets
def test_requests_oauthlib_raises_after_a_refresh_without_token_updater(ground: Ground) -> None:
    send = ground.send_with("requests-oauthlib", token=ground.stale_token(), token_updater=None)
    with pytest.raises(requests_oauthlib.TokenUpdated):
        send("GET", ME)
    assert ground.server.requests_to("api") == ()


def test_requests_oauthlib_sends_what_the_call_was_given_to_the_token_endpoint(ground: Ground) -> None:
    given: dict[str, Any] = {"json": {"name": "Summer"}, "params": {"limit": "1"}}
    for way in ("requests-oauthlib", "ours, requests"):
        ground.send_with(way, token=ground.stale_token())("POST", f"{API}/echo", **given)
    theirs, ours = ground.server.token_calls
    assert "Summer" in theirs.form["json"]
    assert "limit" in theirs.form["params"]
    assert {"json", "params"}.isdisjoint(ours.form)


def test_requests_oauthlib_shows_tokens_in_its_log(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    logger = logging.getLogger("requests_oauthlib.oauth2_session")
    monkeypatch.setattr(logger, "handle", lambda record: shown.append(record.getMessage()))
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    ground.send_with("requests-oauthlib")("GET", ME)
    sent = ground.server.requests_to("api")[0].header("Authorization") or ""
    assert any(sent.removeprefix("Bearer ") in text for text in shown)


@pytest.mark.shows_secrets
def test_requests_oauthlib_raises_where_the_scope_is_another_one(ground: Ground) -> None:
    ground.server.token_faults.add(with_members(scope="videos:read videos:write"), times=2)
    client_id, client_secret = ground.client
    session = requests_oauthlib.OAuth2Session(client=BackendApplicationClient(client_id), scope=["videos:read"])
    with pytest.raises(Warning, match="Scope has changed"):
        session.fetch_token(TOKEN_URL, client_secret=client_secret)
    assert ground.send_with("ours, requests", scope="videos:read")("GET", ME).status_code == 200


def test_oauthlib_takes_no_answer_that_came_to_this_machine_without_tls(ground: Ground) -> None:
    session = requests_oauthlib.OAuth2Session(ground.client[0], redirect_uri="http://127.0.0.1:8400/callback")
    with pytest.raises(oauthlib.oauth2.InsecureTransportError):
        session.fetch_token(TOKEN_URL, authorization_response="http://127.0.0.1:8400/callback?code=a&state=b")


# --- hand-written -------------------------------------------------------------------------------------------------


def test_an_upload_that_meets_a_401(ground: Ground) -> None:
    sizes = []
    for way in ("hand-written", "ours, requests"):
        send = ground.send_with(way)
        send("GET", ME)
        ground.server.revoke_access_tokens()
        answer = send("POST", f"{API}/upload", data=BytesIO(b"film"))
        sizes.append((answer.status_code, answer.json()["size"]))
    assert sizes == [(200, 0), (200, 4)]


@pytest.mark.parametrize(("way", "token_calls"), [("hand-written", THREADS), ("ours, requests", 1)])
def test_threads_that_get_a_401_for_the_same_token(way: str, token_calls: int, ground: Ground) -> None:
    send = ground.send_with(way)
    send("GET", ME)
    ground.server.revoke_access_tokens()
    ground.server.api_faults.add(Hold(until=THREADS, when="after"), times=THREADS)
    answers: list[object] = []
    assert ground.token_calls(lambda: answers.extend(ground.at_once(lambda: send("GET", ME)))) == token_calls
    assert answers == [200] * THREADS


@pytest.mark.parametrize(("way", "token_calls"), [("hand-written", 3), ("ours, requests", 1)])
def test_requests_that_are_not_allowed_and_get_a_401(way: str, token_calls: int, ground: Ground) -> None:
    send = ground.send_with(way)
    send("GET", ME)

    def refused() -> None:
        for _ in range(3):
            with suppress(requests.HTTPError):
                send("GET", f"{API}/always-401")

    assert ground.token_calls(refused) == token_calls
