"""ProxyApp in a real server, between callers and a platform that both speak their own HTTP."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from video_oauth_auth import OAuth2Auth
from video_oauth_auth.proxy import ProxyApp
from video_oauth_auth.token import Token

PATIENCE = 15.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class OneToken:
    """A token provider."""

    def get_token(self, **_: Any) -> Token:
        return Token(access_token="an-invented-token")

    async def aget_token(self, **_: Any) -> Token:
        return self.get_token()


class Platform:
    """Sends what a test gives for a path, and keeps what it got.

    Attributes:
        answers: what it does, by path: bytes to send, or a function of the connection.
        got: the requests without their bodies.
        left: the paths whose connection was closed in the middle.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[socket.socket], None]] = {}
        self.got: list[str] = []
        self.left: list[str] = []
        self.uploaded = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        head = b""
        with contextlib.suppress(OSError), connection:
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            head, _, body = head.partition(b"\r\n\r\n")
            self.uploaded += len(body)
            self.got.append(head.decode("latin-1"))
            path = head.split(b" ")[1].decode("latin-1")
            do = self.answers.get(path, OK)
            try:
                if isinstance(do, bytes):
                    connection.sendall(do)
                else:
                    do(connection)
            except OSError:
                self.left.append(path)

    def hold(self, connection: socket.socket) -> None:
        """Wait until the other side leaves."""
        while piece := connection.recv(65536):
            self.uploaded += len(piece)
        raise ConnectionResetError

    @staticmethod
    def drip(connection: socket.socket) -> None:
        """Send an answer that never ends, slowly."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"5\r\nhello\r\n")
            time.sleep(0.02)

    @staticmethod
    def flood(connection: socket.socket) -> None:
        """Send an answer that never ends, as fast as it is taken."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")

    def close(self) -> None:
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Proxy:
    """A proxy that runs."""

    def __init__(self, platform: Platform, **settings: Any) -> None:
        self.platform = platform
        self.app = ProxyApp(OAuth2Auth(OneToken(), origins=[f"http://{platform.host}"]), **settings)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        config = uvicorn.Config(
            self.app, http="h11", ws="none", log_config=None, date_header=False, server_header=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()

    def connect(self, path: str, method: str = "GET", *headers: str, body: bytes = b"") -> socket.socket:
        """Send a request to the platform, and give the connection."""
        return self.send(f"/{self.platform.host}{path}".encode(), method, *headers, body=body)

    def send(self, target: bytes, method: str = "GET", *headers: str, body: bytes = b"") -> socket.socket:
        caller = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        lines = [method.encode() + b" " + target + b" HTTP/1.1", *(line.encode("latin-1") for line in headers)]
        if not any(line.startswith("Host:") for line in headers):
            lines.append(b"Host: 127.0.0.1")
        caller.sendall(b"\r\n".join([*lines, b"Connection: close", b"", body]))
        return caller

    def answer(self, caller: socket.socket) -> tuple[int, dict[str, str], bytes]:
        """Read status, headers and body as they are."""
        with caller:
            raw = b"".join(iter(lambda: caller.recv(65536), b""))
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        return (
            int(status.split(" ")[1]),
            {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)},
            body,
        )

    def ask(
        self, path: str, method: str = "GET", *headers: str, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        return self.answer(self.connect(path, method, *headers, body=body))

    def has(self, count: int) -> Callable[[], bool]:
        places = self.app._places
        return lambda: self.app._max_concurrency - places._value == count and not places._waiters

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def platform() -> Iterator[Platform]:
    running = Platform()
    yield running
    running.close()


@pytest.fixture
def start(platform: Platform, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Proxy]]:
    """Start a proxy with these settings."""
    caplog.set_level(logging.CRITICAL, "uvicorn.error")
    running: list[Proxy] = []

    def make(**settings: Any) -> Proxy:
        running.append(Proxy(platform, **settings))
        return running[-1]

    yield make
    for one in running:
        one.close()


@pytest.fixture(scope="module")
def one_for_all() -> Iterator[Proxy]:
    running = Proxy(Platform())
    yield running
    running.close()
    running.platform.close()


@pytest.fixture
def usual(one_for_all: Proxy) -> Proxy:
    """A proxy without settings, and a platform that has got nothing yet."""
    one_for_all.platform.got.clear()
    one_for_all.platform.answers.clear()
    return one_for_all


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def leave(caller: socket.socket) -> None:
    caller.close()


def reset(caller: socket.socket) -> None:
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.close()


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (["Content-Length: 3", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n", 400),
        (["Transfer-Encoding: chunked, identity"], b"", 400),
        (["Transfer-Encoding : chunked"], b"0\r\n\r\n", 400),
        (["Content-Length: 3", "Content-Length: 4"], b"abc", 400),
        (["Content-Length: +3"], b"abc", 400),
        (["Host: 127.0.0.1", "Host: rebound.example.com"], b"", 400),
        (["Host: rebound.example.com"], b"", 403),
        (["Host: 127.0.0.1@rebound.example.com"], b"", 403),
        (["Host: rebound.example.com#127.0.0.1"], b"", 403),
        (["X-Forwarded-For: 192.0.2.7"], b"", 403),
        (["Forwarded: for=192.0.2.7"], b"", 403),
        (["Via: 1.1 nginx"], b"", 403),
        (["X-Real-IP: 192.0.2.7"], b"", 403),
        (["Content-Length: 99999999999999999999"], b"", 413),
    ],
)
def test_what_can_be_read_in_two_ways_or_comes_from_elsewhere_is_refused(usual, headers, body, status):
    assert usual.ask("/x", "POST", *headers, body=body)[0] == status
    assert usual.platform.got == []


def test_an_ambiguous_length_ends_the_connection(usual):
    """What follows on it was perhaps no request for whoever is in between."""
    hidden = f"GET /{usual.platform.host}/hidden HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    caller = socket.create_connection(("127.0.0.1", usual.port), PATIENCE)
    lengths = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    caller.sendall(f"POST /{usual.platform.host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n{lengths}0\r\n\r\n".encode() + hidden)
    status, headers, body = usual.answer(caller)
    assert (status, headers["connection"]) == (400, "close")
    assert b"HTTP/1.1" not in body
    assert usual.platform.got == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *((b"http://%s/x", 404), (b"//%s/x", 404), (b"/evil.example@%s/x", 404), (b"/%s@evil.example/x", 404)),
        *(
            (b"/%s%%2f@evil.example/x", 404),
            (b"/%s.evil.example/x", 404),
            (b"*", 404),
            (b"%s/x", 404),
            (b"x/%s/x", 404),
        ),
        *((b"/%s/x#y", 400), (b"/%s/x?y#z", 400), (b"/%s/\xc3\xa9", 400), (b"/%s/\x01", 400)),
    ],
)
def test_a_target_that_is_no_path_here_is_refused(usual, target, status):
    filled = target % usual.platform.host.encode() if b"%s" in target else target
    assert usual.answer(usual.send(filled))[0] == status
    assert usual.platform.got == []


@pytest.mark.parametrize(
    "path",
    [
        *("/a/%2e%2e/%2e%2e/x", "/a%2Fb%5Cc", "//evil.example/x", "/http://evil.example/", "/a/..;/b", "/%0d%0aX:%20y"),
        *("/~a'()*!$&+=:@;", "/%E2%82%AC", "/x??a=%0d%0a", "/%zz%", "/\\evil.example"),
    ],
)
def test_a_path_arrives_as_it_is_on_its_own_host(usual, path):
    assert usual.ask(path)[0] == 200
    (got,) = usual.platform.got
    line, *headers = got.split("\r\n")
    assert line == f"GET {path} HTTP/1.1"
    assert sorted(headers) == ["Authorization: Bearer an-invented-token", f"Host: {usual.platform.host}"]


def test_dot_segments_end_at_the_host(usual):
    usual.ask("/../../evil.example/a/./b/../x")
    assert usual.platform.got[0].startswith("GET /evil.example/a/x HTTP/1.1\r\n")


def test_an_upgrade_is_none(usual):
    headers = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: YQ==", "Sec-WebSocket-Version: 13"]
    assert usual.ask("/x", "GET", *headers)[0] == 200
    assert "pgrade" not in usual.platform.got[0]
    assert "WebSocket" not in usual.platform.got[0]


def test_an_expectation_is_met_here_and_not_where_the_body_is_refused(start, platform):
    proxy = start(max_body=1000)
    assert proxy.ask("/x", "POST", "Content-Length: 1001", "Expect: 100-continue")[0] == 413
    caller = proxy.connect("/x", "POST", "Content-Length: 5", "Expect: 100-continue")
    assert caller.recv(1000).startswith(b"HTTP/1.1 100 ")
    caller.sendall(b"hello")
    assert proxy.answer(caller)[0] == 200
    (got,) = platform.got
    assert "expect" not in got.lower()


def test_a_page_asks_with_headers_beyond_all_measure(start, platform):
    asked = ["Origin: https://app.example.com", "Access-Control-Request-Method: PUT"]
    proxy = start(allowed_origins=["https://app.example.com"])
    many = "Access-Control-Request-Headers: " + "x-a," * 10_000 + "x-b"
    assert proxy.ask("/x", "OPTIONS", *asked, many)[0] == 200
    status, headers, _ = proxy.ask("/x", "OPTIONS", "Origin: null", *asked[1:])
    assert status == 400
    assert "access-control-allow-origin" not in headers
    assert platform.got == []


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok", 299, b"ok"),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nok", 599, b"ok"),
        (b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok", 206, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", 304, b""),
        (b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\nok", 200, b"2\r\nok\r\n0\r\n\r\n"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
            *(200, b"2\r\nok\r\n0\r\n\r\n"),
        ),
        (  # RFC 9112, section 6.3: the length does not count
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            *(200, b"2\r\nok\r\n0\r\n\r\n"),
        ),
    ],
)
def test_an_answer_comes_back_as_it_was_meant(usual, raw, status, body):
    usual.platform.answers["/x"] = raw
    found, headers, got = usual.ask("/x")
    assert (found, got) == (status, body)
    assert {"trailer", "x-hop", "link"}.isdisjoint(headers)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"hello", b"\x00\x01\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n"),
        *(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n"),
        *(b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + bytes(200_000).replace(b"\0", b"x") + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_is_no_answer_is_a_502(usual, raw):
    usual.platform.answers["/x"] = raw
    status, _, body = usual.ask("/x")
    assert (status, b"platform_unreachable" in body) == (502, True)
    assert usual.ask("/y")[0] == 200


def test_a_401_of_any_length_takes_little_room(usual):
    """The auth object reads it as a whole, to know what is wrong with the token."""
    long = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: %d\r\n\r\n"
    usual.platform.answers |= {"/long": long % 2_000_000 + bytes(2_000_000), "/short": long % 500_000 + bytes(500_000)}
    assert usual.ask("/long")[0] == 502
    status, _, body = usual.ask("/short")
    assert (status, body.count(b"\0")) == (401, 500_000)


@pytest.mark.parametrize(
    ("location", "passed"),
    [
        *((b"javascript:alert(1)", "javascript:alert(1)"), (b"films:callback", "films:callback")),
        *((b"https://[::1", "https://[::1"), (b"//evil.example/x", "//evil.example/x")),
        *((b"/b?c#d", "/{host}/b?c#d"), (b"/\xc3\xa9", "/{host}/%C3%A9"), (b"/\xff", "/\xff")),
        *((b"http://user@{host}/x", "http://user@{host}/x"), (b"//{host}/x", "/{host}/x")),
    ],
)
def test_a_location_leads_through_the_proxy_or_stays_as_it_is(usual, location, passed):
    filled = location.replace(b"{host}", usual.platform.host.encode())
    usual.platform.answers["/x"] = b"HTTP/1.1 302 Found\r\nLocation: " + filled + b"\r\nContent-Length: 0\r\n\r\n"
    status, headers, _ = usual.ask("/x")
    assert (status, headers["location"]) == (302, passed.replace("{host}", usual.platform.host))


@pytest.mark.parametrize(
    "end",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_an_answer_that_is_too_short_is_cut_for_the_caller_too(usual, end):
    usual.platform.answers["/x"] = end
    status, headers, body = usual.ask("/x")
    assert status == 200
    assert body.endswith(b"ab") or not body.endswith(b"0\r\n\r\n")
    assert headers.get("content-length", "10") == "10"


# --- who leaves, and who is slow ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [leave, reset])
@pytest.mark.parametrize("doing", ["hold", "drip", "flood"])
def test_a_caller_that_leaves_frees_its_place_and_ends_the_exchange(start, platform, doing, how):
    platform.answers["/x"] = getattr(platform, doing)
    proxy = start(max_concurrency=1)
    caller = proxy.connect("/x")
    wait_for(lambda: platform.got)
    if doing != "hold":
        caller.recv(10)
    how(caller)
    wait_for(proxy.has(0))
    wait_for(lambda: platform.left == ["/x"])
    assert proxy.ask("/y")[0] == 200


@pytest.mark.parametrize("how", [leave, reset])
@pytest.mark.parametrize("sent", [200_000, 1_000_000])
def test_a_caller_that_leaves_during_its_upload_or_after_it_ends_the_exchange(start, platform, sent, how):
    platform.answers["/x"] = platform.hold
    proxy = start(max_concurrency=1)
    caller = proxy.connect("/x", "POST", "Content-Length: 1000000", body=bytes(sent))
    wait_for(lambda: platform.uploaded >= min(sent, 100_000))
    how(caller)
    wait_for(proxy.has(0))
    wait_for(lambda: platform.left == ["/x"])


def test_however_callers_leave_there_is_room_again(start, platform):
    platform.answers |= {"/hold": platform.hold, "/drip": platform.drip, "/flood": platform.flood}
    proxy = start(max_concurrency=3)
    for number in range(60):
        caller = proxy.connect(("/hold", "/drip", "/flood", "/y")[number % 4])
        time.sleep(0.002 * (number % 5))  # somewhere on the way
        (leave, reset)[number % 2](caller)
    wait_for(proxy.has(0))
    held = [proxy.connect("/hold") for _ in range(3)]
    wait_for(proxy.has(3))
    assert proxy.ask("/y")[0] == 503
    for one in held:
        one.close()
    wait_for(proxy.has(0))
    assert proxy.ask("/y")[0] == 200


def test_a_caller_that_takes_nothing_loses_its_place(start, platform):
    platform.answers["/x"] = platform.flood
    proxy = start(timeout=0.3, max_concurrency=1)
    with proxy.connect("/x"):
        wait_for(lambda: platform.left == ["/x"])
        wait_for(proxy.has(0))


def test_a_caller_that_sends_nothing_more_is_told(start, platform):
    platform.answers["/x"] = platform.hold
    proxy = start(timeout=0.3)
    status, _, body = proxy.ask("/x", "POST", "Content-Length: 1000000", body=bytes(100_000))
    assert (status, b"body_timeout" in body) == (408, True)
    wait_for(lambda: platform.left == ["/x"])


def test_a_platform_that_takes_nothing_is_told(start, platform):
    over = threading.Event()
    platform.answers["/x"] = lambda _: (over.wait(PATIENCE), None)[1]
    proxy = start(timeout=0.3)
    caller = proxy.connect("/x", "POST", "Content-Length: 100000000")

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller.sendall(bytes(1_000_000))

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    assert caller.recv(12) == b"HTTP/1.1 504"
    reset(caller)
    over.set()
    sending.join(PATIENCE)
