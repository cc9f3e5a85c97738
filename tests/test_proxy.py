"""ProxyApp: what it forwards, what it keeps to itself, and whom it serves."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from video_oauth_auth import BrightcoveAuth, ConfigurationError
from video_oauth_auth.errors import LoginRequired, StoreError, TransportError
from video_oauth_auth.proxy import ProxyApp
from video_oauth_auth.proxy import app as app_module
from video_oauth_auth.testing import Answer, BrightcoveServer, Drip, Drop, Hold, json_answer

from .conftest import sha256

KEY = "an-invented-key-of-a-proxy"
PAGE = "https://app.example.com"
LARGE = bytes(range(256)) * 1024  # 256 KiB: too large to be kept

Call = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def auth(brightcove_server: BrightcoveServer) -> BrightcoveAuth:
    server = brightcove_server
    return BrightcoveAuth(
        server.client_id, server.client_secret, server=server.authorization_server, origins=[server.api_url]
    )


def host_of(server: BrightcoveServer) -> str:
    return server.api_url.removeprefix("http://")


def exchange(
    app: Any,
    path: str,
    method: str = "GET",
    *,
    base_url: str = "http://127.0.0.1:8700",
    client: str = "127.0.0.1",
    mounted: ProxyApp | None = None,
    **keywords: Any,
) -> httpx.Response:
    """Send one request to an application."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(client, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=base_url, timeout=20) as sender:
            request = sender.build_request(method, path, **keywords)
            try:
                return await sender.send(request)
            finally:
                await (mounted or app).aclose()

    return asyncio.run(run())


async def pieces(body: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


# --- forwarding ---------------------------------------------------------------------------------------------------


def test_a_request_goes_to_the_host_in_its_path_with_a_token(brightcove_server, auth):
    brightcove_server.add_video("123", "Summer")
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/v1/accounts/123/videos?limit=5&q=a%2Fb+c")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    (sent,) = brightcove_server.requests_to("api")
    assert (sent.path, sent.query, sent.token_state) == ("/v1/accounts/123/videos", "limit=5&q=a%2Fb+c", "live")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("body", [b"", b"small", LARGE])
def test_every_method_takes_its_body_along(brightcove_server, auth, method, body):
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/echo", method, content=body)
    told = answer.json()
    assert (told["method"], told["size"], told["sha256"]) == (method, len(body), sha256(body))


def test_a_body_of_unknown_length_streams(brightcove_server, auth):
    told = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/echo", "POST", content=pieces(LARGE)).json()
    assert (told["size"], told["sha256"]) == (len(LARGE), sha256(LARGE))
    assert "chunked" in {name.lower(): value for name, value in told["headers"]}.values()


def test_a_large_body_keeps_its_length(brightcove_server, auth):
    told = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/echo", "POST", content=LARGE).json()
    headers = {name.lower(): value for name, value in told["headers"]}
    assert headers["content-length"] == str(len(LARGE))
    assert "transfer-encoding" not in headers


def test_a_token_that_died_is_renewed_and_a_small_body_sent_again(brightcove_server, auth):
    app, url = ProxyApp(auth), f"/{host_of(brightcove_server)}/upload"
    assert exchange(app, url, "POST", content=b"one").status_code == 200
    brightcove_server.revoke_access_tokens()
    answer = exchange(app, url, "POST", content=b"two")
    assert (answer.status_code, answer.json()["sha256"]) == (200, sha256(b"two"))
    assert len(brightcove_server.token_calls) == 2


def test_a_large_body_gets_the_401_and_the_next_try_a_new_token(brightcove_server, auth):
    app, url = ProxyApp(auth), f"/{host_of(brightcove_server)}/upload"
    brightcove_server.challenge = Answer(
        401, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"}, body=gzip.compress(b"dead")
    )
    assert exchange(app, url, "POST", content=LARGE).status_code == 200
    brightcove_server.revoke_access_tokens()
    answer = exchange(app, url, "POST", content=LARGE)
    assert (answer.status_code, answer.content) == (401, b"dead")
    assert exchange(app, url, "POST", content=LARGE).status_code == 200


def test_status_headers_and_encoded_bodies_come_back_as_they_are(brightcove_server, auth):
    packed = gzip.compress(b"films " * 1000)
    headers = (("Content-Encoding", "gzip"), ("X-One", "1"), ("X-One", "2"), ("ETag", '"e"'), ("Link", "<a>; rel=b"))
    brightcove_server.api_faults.add(Answer(418, headers=headers, body=packed))
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/v1/x")
    assert (answer.status_code, answer.text) == (418, "films " * 1000)
    assert answer.headers["content-length"] == str(len(packed))
    assert answer.headers.get_list("x-one") == ["1", "2"]
    assert (answer.headers["etag"], answer.headers["link"]) == ('"e"', "<a>; rel=b")


def test_head_and_304_keep_their_headers_without_a_body(brightcove_server, auth):
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    brightcove_server.api_faults.add(Answer(304, headers={"ETag": '"e"'}))
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me")
    assert (answer.status_code, answer.headers["etag"]) == (304, '"e"')


# --- what must not pass -------------------------------------------------------------------------------------------


def test_what_is_the_callers_stays_here(brightcove_server, auth):
    kept = {"User-Agent": "films/1", "Content-Type": "text/x-film", "X-Own": "yes", "Range": "bytes=0-9"}
    dropped = {
        "Cookie": "session=1",
        "X-Proxy-Key": KEY,
        "Origin": PAGE,
        "Referer": "http://127.0.0.1/x",
        "TE": "trailers",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
        "Via": "1.1 x",
        "Proxy-Authorization": "Basic x",
        "Connection": "X-Hop",
        "X-Hop": "1",
        "Sec-Fetch-Mode": "cors",
        "Upgrade": "h2c",
        "X-Real-IP": "10.0.0.1",
    }
    app = ProxyApp(auth, key=KEY, allowed_origins=[PAGE])
    exchange(app, f"/{host_of(brightcove_server)}/echo", "POST", content=b"x", headers={**kept, **dropped})
    (sent,) = brightcove_server.requests_to("api")
    assert {name: sent.header(name) for name in kept} == kept
    assert [name for name in dropped if sent.header(name) and name != "Connection"] == []
    assert "X-Hop" not in (sent.header("Connection") or "")
    assert sent.header("Host") == host_of(brightcove_server)


def test_a_callers_own_token_is_replaced_and_nothing_is_added(brightcove_server, auth):
    headers = {"Authorization": "Bearer of-the-caller"}
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me", headers=headers)
    assert answer.status_code == 200
    (sent,) = brightcove_server.requests_to("api")
    assert "of-the-caller" not in (sent.header("Authorization") or "")
    assert {name.lower() for name, _ in sent.headers} <= {
        *("host", "authorization", "accept", "accept-encoding", "connection", "user-agent"),
    }


def test_what_is_for_the_platforms_own_origin_stays_here(brightcove_server, auth):
    dropped = {
        "Set-Cookie": "a=b",
        "Access-Control-Allow-Origin": "*",
        "Alt-Svc": "h3",
        "Clear-Site-Data": '"*"',
        "Strict-Transport-Security": "max-age=1",
        "Keep-Alive": "timeout=5",
    }
    brightcove_server.api_faults.always(Answer(200, headers={**dropped, "X-Kept": "1"}))
    app = ProxyApp(auth)
    answer = exchange(app, f"/{host_of(brightcove_server)}/me")
    assert answer.headers["x-kept"] == "1"
    assert [name for name in dropped if name in answer.headers] == []
    exchange(app, f"/{host_of(brightcove_server)}/me")
    assert [sent.header("Cookie") for sent in brightcove_server.requests_to("api")] == [None, None]


def test_cookies_of_the_platform_are_not_even_kept(brightcove_server, auth):
    brightcove_server.api_faults.always(Answer(200, headers={"Set-Cookie": "session=of-one-caller; Path=/"}))

    async def run() -> int:
        app, caller = ProxyApp(auth), Caller(f"/{host_of(brightcove_server)}/me")
        caller.may_read.set()
        await app(caller.scope, caller.receive, caller.send)
        assert app._client is not None
        kept = len(app._client.cookies.jar)
        await app.aclose()
        return kept

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1/accounts", "/example.com/v1", "/https://{host}/me", "/x@{host}/me", "/{host}.example.com/me"),
        *("//{host}/me", "/{foreign}/me", "/{token}/token", "/127.0.0.1/me", "/{host}%2f/me", "/x/../{host}%00/me"),
    ],
)
def test_another_host_is_a_404_and_nothing_is_sent(brightcove_server, auth, path):
    places = {
        "host": host_of(brightcove_server),
        "foreign": brightcove_server.foreign_url.removeprefix("http://"),
        "token": brightcove_server.url.removeprefix("http://"),
    }
    base = "http://127.0.0.1:8700"
    answer = exchange(ProxyApp(auth), base + path.format(**places))
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_host")
    assert brightcove_server.requests == ()


def test_a_path_never_leads_to_another_host(brightcove_server, auth):
    foreign = brightcove_server.foreign_url
    for path in (f"//{foreign}", "/..//x", "/%2e%2e/x", f"/@{foreign}/x", "/\\x", f"/?u={foreign}"):
        exchange(ProxyApp(auth), f"http://127.0.0.1:8700/{host_of(brightcove_server)}{path}")
    assert {sent.role for sent in brightcove_server.requests} == {"token", "api"}


def test_redirects_come_back_and_are_not_followed(brightcove_server, auth):
    host, api = host_of(brightcove_server), brightcove_server.api_url
    for to, location in (
        (f"{api}/me?a=b#c", f"/{host}/me?a=b#c"),
        ("/me", f"/{host}/me"),
        (f"{brightcove_server.foreign_url}/x?y=%2F", f"{brightcove_server.foreign_url}/x?y=%2F"),
    ):
        answer = exchange(ProxyApp(auth), f"/{host}/redirect", params={"to": to, "status": "307"})
        assert (answer.status_code, answer.headers["location"]) == (307, location)
    assert {sent.path for sent in brightcove_server.requests_to("api")} == {"/redirect"}
    assert not brightcove_server.requests_to("foreign")


# --- who may call -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-Proxy-Key": KEY[:-1]}, 401),
        ({"X-Proxy-Key": ""}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"X-Proxy-Key": KEY}, 200),
        ({"Authorization": f"bearer {KEY}"}, 200),
    ],
)
def test_with_a_key_callers_from_anywhere_show_it(brightcove_server, auth, headers, status):
    settings = {"base_url": "http://proxy.example.com", "client": "192.0.2.7"}
    answer = exchange(ProxyApp(auth, key=KEY), f"/{host_of(brightcove_server)}/me", headers=headers, **settings)
    assert answer.status_code == status
    assert len(brightcove_server.requests_to("api")) == (status == 200)
    assert KEY not in answer.text


@pytest.mark.parametrize(
    ("base_url", "client", "status"),
    [
        ("http://127.0.0.1:8700", "127.0.0.1", 200),
        ("http://localhost:8700", "127.0.0.1", 200),
        ("http://[::1]:8700", "::1", 200),
        ("http://rebound.example.com:8700", "127.0.0.1", 403),
        ("http://127.0.0.1.example.com", "127.0.0.1", 403),
        ("http://127.0.0.1:8700", "192.0.2.7", 403),
    ],
)
def test_without_a_key_only_this_machine_calls_under_its_own_name(brightcove_server, auth, base_url, client, status):
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me", base_url=base_url, client=client)
    assert answer.status_code == status
    assert len(brightcove_server.requests_to("api")) == (status == 200)


@pytest.mark.parametrize(
    "headers",
    [
        *({"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}),
        *({"Origin": PAGE + ".evil.example"}, {"Origin": "http://127.0.0.1:8700"}),
    ],
)
def test_other_web_pages_cannot_call(brightcove_server, auth, headers):
    app = ProxyApp(auth, allowed_origins=[PAGE])
    answer = exchange(app, f"/{host_of(brightcove_server)}/upload", "POST", content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers
    assert brightcove_server.requests == ()


def test_a_named_web_page_may_ask_and_call(brightcove_server, auth):
    app, url = ProxyApp(auth, key=KEY, allowed_origins=[PAGE]), f"/{host_of(brightcove_server)}/upload"
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-proxy-key,content-type"}
    answer = exchange(app, url, "OPTIONS", headers={"Origin": PAGE, **asked})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "x-proxy-key,content-type"
    near = {"Access-Control-Request-Private-Network": "true"}
    answer = exchange(app, url, "OPTIONS", headers={"Origin": PAGE, **asked, **near})
    assert (answer.status_code, answer.headers["access-control-allow-private-network"]) == (200, "true")
    assert brightcove_server.requests == ()
    assert exchange(app, url, "PUT", headers={"Origin": PAGE}).status_code == 401
    answer = exchange(app, url, "PUT", content=b"x", headers={"Origin": PAGE, "X-Proxy-Key": KEY})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "Origin" in answer.headers["vary"]


def test_health_asks_nobody(brightcove_server, auth):
    app, elsewhere = ProxyApp(auth, key=KEY), {"base_url": "http://10.0.0.1", "client": "10.0.0.2"}
    answer = exchange(app, "/health", **elsewhere)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert exchange(app, "/health", "HEAD", **elsewhere).status_code == 200
    assert exchange(app, "/health", "POST", **elsewhere).status_code == 405
    assert exchange(app, "/health/", **elsewhere).status_code == 401
    assert brightcove_server.requests == ()


# --- limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1001, 100_000])
def test_a_body_above_the_limit_is_refused(brightcove_server, auth, size):
    app, url = ProxyApp(auth, max_body=1000), f"/{host_of(brightcove_server)}/upload"
    for body in (b"x" * size, pieces(b"x" * size)):
        answer = exchange(app, url, "POST", content=body)
        assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
    assert exchange(app, url, "POST", content=b"x" * 1000).json()["size"] == 1000


def test_a_stream_above_the_limit_never_arrives_whole(brightcove_server, auth):
    app, url = ProxyApp(auth, max_body=200_000), f"/{host_of(brightcove_server)}/upload"
    assert exchange(app, url, "POST", content=pieces(LARGE)).status_code == 413
    assert [sent for sent in brightcove_server.requests_to("api") if sent.status == 200] == []


def test_requests_above_the_limit_get_a_503_and_leave_room_again(brightcove_server, auth):
    app, url = ProxyApp(auth, max_concurrency=2), f"/{host_of(brightcove_server)}/me"

    async def run() -> tuple[list[int], int, int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=20) as client:
            assert (await client.get(url)).status_code == 200
            brightcove_server.api_faults.add(Hold(), times=2)
            held = [asyncio.ensure_future(client.get(url)) for _ in range(2)]
            await asyncio.to_thread(brightcove_server.wait_for, lambda: brightcove_server.api_faults.held == 2, 10)
            third = await client.get(url)
            brightcove_server.release()
            done = [(await one).status_code for one in held]
            again = (await client.get(url)).status_code
        await app.aclose()
        return done, third.status_code, again

    assert asyncio.run(run()) == ([200, 200], 503, 200)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_some_methods_are_not_forwarded(brightcove_server, auth, method):
    assert exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me", method).status_code == 405
    assert brightcove_server.requests == ()


def test_a_body_that_does_not_come_is_given_up(brightcove_server, auth):
    async def stuck() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    answer = exchange(ProxyApp(auth, timeout=0.2), f"/{host_of(brightcove_server)}/me", "POST", content=stuck())
    assert (answer.status_code, answer.json()["error"]) == (408, "body_timeout")


# --- when something goes wrong ------------------------------------------------------------------------------------


class Failing:
    """A token provider that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_token(self, **_: Any) -> Any:
        raise self.error

    async def aget_token(self, **_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (LoginRequired("x of user-7"), 502, "login_required"),
        (TransportError("x of user-7", retry_after=7), 503, "no_token_now"),
        (StoreError("x of user-7"), 502, "no_token"),
    ],
)
def test_without_a_token_the_caller_is_told_and_learns_nothing_more(brightcove_server, error, status, code):
    from video_oauth_auth import OAuth2Auth

    auth = OAuth2Auth(Failing(error), origins=[brightcove_server.api_url])
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me")
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert "user-7" not in answer.text
    assert answer.headers.get("retry-after") == ("7" if status == 503 else None)


def test_a_wrong_secret_shows_in_the_log_without_the_query(brightcove_server, auth, caplog):
    brightcove_server.token_faults.always(json_answer(401, {"error": "invalid_client"}))
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me?secret=in-a-query")
    assert (answer.status_code, answer.json()["error"]) == (502, "no_token")
    (told,) = [record.getMessage() for record in caplog.records if record.name == "video_oauth_auth.proxy"]
    assert "invalid_client" in told
    assert "in-a-query" not in told
    assert brightcove_server.client_secret not in told + answer.text


def test_a_token_endpoint_that_is_down_is_a_503(brightcove_server, auth):
    brightcove_server.token_faults.always(Drop("before"))
    answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/me")
    assert (answer.status_code, answer.json()["error"]) == (503, "no_token_now")
    assert brightcove_server.requests_to("api") == ()


def test_a_platform_that_is_down_or_slow_is_a_502_or_a_504(brightcove_server, auth):
    app, url = ProxyApp(auth, timeout=0.5), f"/{host_of(brightcove_server)}/me"
    brightcove_server.api_faults.add(Drop("before"))
    assert exchange(app, url).json()["error"] == "platform_unreachable"
    brightcove_server.api_faults.add(Hold())
    answer = exchange(app, url)
    brightcove_server.release()
    assert (answer.status_code, answer.json()["error"]) == (504, "platform_timeout")


def test_an_answer_that_breaks_off_is_cut_and_not_ended(brightcove_server, auth):
    brightcove_server.api_faults.add(Drop("midway"))
    with pytest.raises(TransportError, match="broke off"):
        exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/stream")


def test_a_caller_that_leaves_ends_the_exchange(brightcove_server, auth):
    """It sends a part of its body and goes; nothing is forwarded."""
    app = ProxyApp(auth)
    messages = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    path = f"/{host_of(brightcove_server)}/upload"
    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"127.0.0.1")], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert sent == []
    assert brightcove_server.requests == ()


class Caller:
    """A caller that is told what to do step by step, and has a request without a body.

    Attributes:
        sent: what it got.
    """

    def __init__(self, path: str) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        self.may_read = asyncio.Event()
        self._asked = False
        self.scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [(b"host", b"127.0.0.1")],
            "query_string": b"",
        }

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request"}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if message.get("body"):
            await self.may_read.wait()

    async def got(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.sent) < count:
                await asyncio.sleep(0)


def test_a_caller_that_leaves_in_the_middle_of_an_answer_ends_it(brightcove_server, auth):
    async def run() -> Caller:
        app, caller = ProxyApp(auth, max_concurrency=1), Caller(f"/{host_of(brightcove_server)}/me")
        brightcove_server.api_faults.add(Drip("body", interval=0.5))
        caller.may_read.set()
        serving = asyncio.ensure_future(app(caller.scope, caller.receive, caller.send))
        await caller.got(2)
        caller.left.set()
        async with asyncio.timeout(5):
            await serving
        again = Caller(f"/{host_of(brightcove_server)}/me")
        again.may_read.set()
        await app(again.scope, again.receive, again.send)
        assert again.sent[0]["status"] == 200  # there is room again
        await app.aclose()
        return caller

    caller = asyncio.run(run())
    assert caller.sent[-1].get("more_body") is True


def test_who_asks_again_with_the_last_byte_of_an_answer_gets_a_place(brightcove_server, auth, monkeypatch):
    """Connections that are kept do so, all of them at one time under load."""
    monkeypatch.setattr(app_module, "FOR_A_PLACE", 10.0)

    class Again(Caller):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                asking.append(asyncio.ensure_future(app(other.scope, other.receive, other.send)))
                await asyncio.sleep(0.05)  # the place of the first one is still taken

    asking: list[asyncio.Future[None]] = []
    path = f"/{host_of(brightcove_server)}/me"
    app, other = ProxyApp(auth, max_concurrency=1), Caller(path)

    async def run() -> None:
        caller = Again(path)
        caller.may_read.set()
        other.may_read.set()
        await app(caller.scope, caller.receive, caller.send)
        await asking[0]
        await app.aclose()

    asyncio.run(run())
    assert other.sent[0]["status"] == 200


def test_a_caller_that_leaves_while_a_token_is_fetched_leaves_it_to_the_others(brightcove_server, auth):
    async def run() -> Caller:
        app, path = ProxyApp(auth, max_concurrency=1), f"/{host_of(brightcove_server)}/me"
        brightcove_server.token_faults.add(Hold())
        caller, other = Caller(path), Caller(path)
        serving = asyncio.ensure_future(app(caller.scope, caller.receive, caller.send))
        await asyncio.to_thread(brightcove_server.wait_for, lambda: brightcove_server.token_faults.held, 10)
        caller.left.set()
        async with asyncio.timeout(5):
            await serving
        assert caller.sent == []
        brightcove_server.release()
        other.may_read.set()
        await app(other.scope, other.receive, other.send)
        await app.aclose()
        return other

    assert asyncio.run(run()).sent[0]["status"] == 200
    assert len(brightcove_server.token_calls) == 1


def test_no_more_is_read_than_the_caller_takes(brightcove_server, auth):
    """A caller that does not read holds the platform back: what is on the way is in the sockets, not here."""
    film = bytes(64 * 1024 * 1024)
    brightcove_server.api_faults.add(Answer(200, body=film))

    async def run() -> tuple[int, int]:
        app, caller = ProxyApp(auth), Caller(f"/{host_of(brightcove_server)}/film")
        tracemalloc.start()
        try:
            serving = asyncio.ensure_future(app(caller.scope, caller.receive, caller.send))
            await caller.got(2)
            for _ in range(200):  # turns of the event loop, in which it could read on
                await asyncio.sleep(0.001)
            held = tracemalloc.get_traced_memory()[0]
            caller.left.set()
            await serving
        finally:
            tracemalloc.stop()
        await app.aclose()
        return len(caller.sent), held

    messages, held = asyncio.run(run())
    assert messages == 2
    assert held < 8 * 1024 * 1024


def test_a_caller_that_takes_nothing_is_given_up(brightcove_server, auth):
    async def run() -> None:
        app, caller = ProxyApp(auth, timeout=0.2), Caller(f"/{host_of(brightcove_server)}/me")
        try:
            async with asyncio.timeout(10):
                await app(caller.scope, caller.receive, caller.send)
        finally:
            await app.aclose()

    with pytest.raises(TransportError, match="did not take it"):
        asyncio.run(run())


def test_a_body_goes_on_as_it_comes(brightcove_server, auth):
    """The proxy asks the caller for the next piece only when the last one is on its way."""
    size, count = 1024 * 1024, 48

    async def film() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(size)

    tracemalloc.start()
    try:
        brightcove_server.api_faults.clear()
        answer = exchange(ProxyApp(auth), f"/{host_of(brightcove_server)}/upload", "POST", content=film())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.json()["size"] == size * count
    assert peak < size * count / 2


# --- mounting, arguments ------------------------------------------------------------------------------------------


def test_it_can_be_mounted_in_an_application(brightcove_server, auth):
    proxy = ProxyApp(auth)
    app = Starlette(routes=[Mount("/films", proxy)])
    host = host_of(brightcove_server)
    assert exchange(app, f"/films/{host}/me", mounted=proxy).status_code == 200
    assert exchange(app, "/films/health", mounted=proxy).json() == {"status": "ok"}
    answer = exchange(app, f"/films/{host}/redirect", params={"to": "/me"}, mounted=proxy)
    assert answer.headers["location"] == f"/films/{host}/me"


def test_it_forwards_to_some_of_the_origins_only_where_they_are_named():
    auth = BrightcoveAuth("id", "secret")
    assert "https://cms.api.brightcove.com" in repr(ProxyApp(auth))
    app = ProxyApp(auth, origins=["https://cms.api.brightcove.com"])
    assert repr(app) == "<ProxyApp for https://cms.api.brightcove.com>"
    assert exchange(app, "/ingest.api.brightcove.com/v1").status_code == 404


@pytest.mark.parametrize(
    "arguments",
    [
        {"key": "short"},
        {"key": "with blanks in the middle of it"},
        {"origins": ["https://example.com"]},
        {"origins": []},
        {"origins": "https://cms.api.brightcove.com"},
        {"allowed_origins": ["*"]},
        {"allowed_origins": ["https://app.example.com/path"]},
        {"max_body": -1},
        {"max_concurrency": 0},
        {"timeout": 0},
    ],
)
def test_arguments_that_cannot_work_are_told(arguments):
    with pytest.raises(ConfigurationError):
        ProxyApp(BrightcoveAuth("id", "secret"), **arguments)


def test_what_is_no_auth_object_is_told():
    with pytest.raises(ConfigurationError, match="BrightcoveAuth"):
        ProxyApp(("user", "password"))  # type: ignore[arg-type]


def test_lifespan_and_websockets_are_answered(auth):
    async def run(kind: str, *incoming: str) -> list[str]:
        messages, sent = [{"type": one} for one in incoming], []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await ProxyApp(auth)({"type": kind, "path": "/", "headers": []}, receive, send)
        return sent

    told = asyncio.run(run("lifespan", "lifespan.startup", "lifespan.shutdown"))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert asyncio.run(run("websocket", "websocket.connect")) == ["websocket.close"]
