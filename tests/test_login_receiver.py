"""The loopback receiver: what completes a sign-in, what does not, and who cannot hold it up."""

import base64
import errno
import gc
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video_oauth_auth import ConfigurationError
from video_oauth_auth.login import page, port, receiver
from video_oauth_auth.login.receiver import LoopbackReceiver, is_loopback_redirect

STATE = "the-state-of-this-sign-in"
CODE = "the-code-of-this-sign-in"
ANSWER = f"code={CODE}&state={STATE}"
FREE = "http://127.0.0.1:0/callback"
PAGES = [value for value in vars(page).values() if isinstance(value, page.Page)]


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


with_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def is_answer(query):
    return parse_qs(query).get("state") == [STATE]


class Login(threading.Thread):
    """The loop of a sign-in: asks the receiver again and again, until the answer is there or nobody wants it."""

    def __init__(self, redirect_uri=FREE, patience=20.0):
        super().__init__(daemon=True)
        self.receiver = LoopbackReceiver(redirect_uri)
        self.redirect_uri = self.receiver.redirect_uri
        self.port = urlsplit(self.redirect_uri).port
        self.answer = None
        self._given_up = threading.Event()
        self._patience = patience

    def run(self):
        ends_at = time.monotonic() + self._patience
        with self.receiver:
            while self.answer is None and not self._given_up.is_set() and time.monotonic() < ends_at:
                self.answer = self.receiver.receive(is_answer, 0.2)

    def ends_with(self):
        self.join(25)
        assert not self.is_alive()
        return self.answer

    def give_up(self):
        self._given_up.set()
        return self.ends_with()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def login():
    logins = []

    def start(*arguments):
        logins.append(Login(*arguments))
        logins[-1].start()
        return logins[-1]

    yield start
    for one in logins:
        one.give_up()


def connect(port, address="127.0.0.1"):
    return socket.create_connection((address, port), timeout=15)


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def exchange(port, request, address="127.0.0.1"):
    """Send bytes and give everything that comes back until the other side closes."""
    with connect(port, address) as connection:
        connection.sendall(request)
        return read_all(connection).decode()


def get(port, target="/callback", *fields, host="127.0.0.1", method="GET", version="HTTP/1.1"):
    lines = [f"{method} {target} {version}", f"Host: {host}:{port}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def status_of(response):
    return int(response.split(" ")[1])


# --- what completes a sign-in -------------------------------------------------------------------------------------


def test_the_answer_ends_the_wait_and_the_browser_is_told(login):
    running = login()
    response = httpx.get(f"{running.redirect_uri}?{ANSWER}", trust_env=False)
    assert running.ends_with() == ANSWER
    assert response.status_code == 200
    assert "Your sign-in has arrived" in response.text
    assert "You can close this window" in response.text


@pytest.mark.parametrize(
    "query",
    [
        f"error=access_denied&error_description=No%20way&state={STATE}",
        f"state={STATE}&error=",
        f"{ANSWER}&error=access_denied",
        f"{ANSWER}&code=another",
        f"state={STATE}",
    ],
)
def test_an_answer_that_brings_no_code_is_given_to_the_program_and_the_page_says_no_success(login, query):
    running = login()
    response = exchange(running.port, get(running.port, f"/callback?{query}"))
    assert running.ends_with() == query
    assert status_of(response) == 200
    assert "The sign-in was not completed" in response
    assert "Your sign-in has arrived" not in response


def test_the_query_is_passed_on_as_it_came(login):
    running = login()
    query = f"code=%2B+%C3%A9%00&code2=a%26b&&=&state={STATE}&iss=https%3A%2F%2Flogin.example.com?x"
    exchange(running.port, get(running.port, f"/callback?{query}"))
    assert running.ends_with() == query


def test_http_1_0_and_odd_but_proper_spellings_are_understood(login):
    running = login()
    request = f"GET /callback?{ANSWER} HTTP/1.0\r\nhOsT:127.0.0.1:{running.port}  \r\nX-Empty:\r\n\r\n"
    assert status_of(exchange(running.port, request.encode())) == 200
    assert running.ends_with() == ANSWER


def test_a_request_that_comes_in_pieces_is_put_together(login):
    running = login()
    with connect(running.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get(running.port, f"/callback?{ANSWER}"):
            connection.sendall(bytes([byte]))
        assert b"Your sign-in has arrived" in read_all(connection)
    assert running.ends_with() == ANSWER


def test_a_request_that_arrives_before_or_between_the_calls_is_not_lost():
    with LoopbackReceiver(FREE) as waiting:
        assert waiting.receive(is_answer, 0) is None
        port = urlsplit(waiting.redirect_uri).port
        with connect(port) as connection:
            assert waiting.receive(is_answer, 0.01) is None
            connection.sendall(get(port, f"/callback?{ANSWER}"))
            assert waiting.receive(is_answer, 10) == ANSWER
            assert b"Your sign-in has arrived" in connection.recv(65536)


def test_nobody_comes_and_the_wait_ends_in_time():
    with LoopbackReceiver(FREE) as waiting:
        started_at = time.monotonic()
        assert waiting.receive(is_answer, 0.3) is None
        assert 0.25 < time.monotonic() - started_at < 10


def test_what_the_callers_check_raises_reaches_the_caller():
    def broken(query):
        raise ConnectionResetError("mine")

    with LoopbackReceiver(FREE) as waiting:
        port = urlsplit(waiting.redirect_uri).port
        with connect(port) as connection:
            connection.sendall(get(port, f"/callback?{ANSWER}"))
            with pytest.raises(ConnectionResetError, match="mine"):
                waiting.receive(broken, 10)


# --- what does not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        f"code={CODE}",
        f"code={CODE}&state=",
        f"code={CODE}&state=another",
        f"code={CODE}&state={STATE}&state=another",
        f"code={CODE}&state={STATE}&state={STATE}",
        "error=access_denied",
        "error=access_denied&state=another",
        "=",
        "%",
    ],
)
def test_a_request_without_the_right_state_neither_completes_nor_aborts_the_sign_in(login, query):
    running = login()
    response = exchange(running.port, get(running.port, f"/callback?{query}"))
    assert status_of(response) == 400
    assert "This is not the answer to the sign-in that is waiting" in response
    assert running.is_alive()
    assert status_of(exchange(running.port, get(running.port, f"/callback?{ANSWER}"))) == 200
    assert running.ends_with() == ANSWER


REFUSED = {
    "HEAD": (405, "HEAD /callback?{a} HTTP/1.1\r\nHost: {h}"),
    "POST": (405, "POST /callback?{a} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 3\r\n\r\na=b"),
    "OPTIONS": (405, "OPTIONS /callback HTTP/1.1\r\nHost: {h}\r\nAccess-Control-Request-Private-Network: true"),
    "get": (400, "get /callback?{a} HTTP/1.1\r\nHost: {h}"),
    "favicon": (404, "GET /favicon.ico HTTP/1.1\r\nHost: {h}"),
    "root": (404, "GET /?{a} HTTP/1.1\r\nHost: {h}"),
    "longer path": (404, "GET /callback/?{a} HTTP/1.1\r\nHost: {h}"),
    "other case": (404, "GET /Callback?{a} HTTP/1.1\r\nHost: {h}"),
    "encoded path": (404, "GET /%63allback?{a} HTTP/1.1\r\nHost: {h}"),
    "dot segment": (404, "GET /./callback?{a} HTTP/1.1\r\nHost: {h}"),
    "absolute form": (404, "GET http://{h}/callback?{a} HTTP/1.1\r\nHost: {h}"),
    "asterisk form": (404, "OPTIONS * HTTP/1.1\r\nHost: {h}"),
    "foreign Host": (400, "GET /callback?{a} HTTP/1.1\r\nHost: evil.example"),
    "foreign Host, our port": (400, "GET /callback?{a} HTTP/1.1\r\nHost: evil.example:{p}"),
    "another name of ours": (400, "GET /callback?{a} HTTP/1.1\r\nHost: localhost:{p}"),
    "Host without port": (400, "GET /callback?{a} HTTP/1.1\r\nHost: 127.0.0.1"),
    "Host with another port": (400, "GET /callback?{a} HTTP/1.1\r\nHost: 127.0.0.1:1"),
    "Host that begins so": (400, "GET /callback?{a} HTTP/1.1\r\nHost: {h}.evil.example"),
    "Host with user": (400, "GET /callback?{a} HTTP/1.1\r\nHost: evil@{h}"),
    "no Host": (400, "GET /callback?{a} HTTP/1.1\r\nX: {h}"),
    "no field": (400, "GET /callback?{a} HTTP/1.0"),
    "two Hosts": (400, "GET /callback?{a} HTTP/1.1\r\nHost: {h}\r\nHost: {h}"),
    "blank before the colon": (400, "GET /callback?{a} HTTP/1.1\r\nHost: {h}\r\nHost : evil.example"),
    "folded field": (400, "GET /callback?{a} HTTP/1.1\r\nHost: {h}\r\n evil.example"),
    "field without colon": (400, "GET /callback?{a} HTTP/1.1\r\nHost: {h}\r\nnonsense"),
    "line feeds only": (400, "GET /callback?{a} HTTP/1.1\nHost: {h}\r\nX: y"),
    "blank in the target": (400, "GET /callback?{a}& x=y HTTP/1.1\r\nHost: {h}"),
    "raw bytes in the target": (400, "GET /callback?{a}&x=\xe9 HTTP/1.1\r\nHost: {h}"),
    "HTTP/2": (400, "GET /callback?{a} HTTP/2.0\r\nHost: {h}"),
    "HTTP/0.9": (400, "GET /callback?{a}\r\nHost: {h}"),
    "an empty line first": (400, "\r\n\r\nGET /callback?{a} HTTP/1.1\r\nHost: {h}"),
    "TLS": (400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "long line": (431, "GET /callback?{a}&x=" + 8192 * "y" + " HTTP/1.1\r\nHost: {h}"),
    "long field": (431, "GET /callback?{a} HTTP/1.1\r\nHost: {h}\r\nX: " + 32768 * "y"),
    "many fields": (431, "GET /callback?{a} HTTP/1.1\r\nHost: {h}" + 100 * "\r\nX: y"),
}


@pytest.mark.parametrize(("status", "text"), REFUSED.values(), ids=REFUSED)
def test_only_get_on_the_exact_path_with_the_right_host_is_heard(login, status, text):
    running = login()
    request = text.format(a=ANSWER, h=f"127.0.0.1:{running.port}", p=running.port) + "\r\n\r\n"
    response = exchange(running.port, request.encode("latin-1"))
    assert status_of(response) == status
    assert ("\r\nAllow: GET\r\n" in response) is (status == 405)
    assert running.is_alive()
    exchange(running.port, get(running.port, f"/callback?{ANSWER}"))
    assert running.ends_with() == ANSWER


def test_the_answer_to_head_has_no_body(login):
    running = login()
    head, _, body = exchange(running.port, get(running.port, method="HEAD")).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 405 ")
    assert body == ""


def test_requests_up_to_the_limits_are_heard(login):
    running = login()
    target = f"/callback?{ANSWER}&x="
    target += "y" * (8192 - len(f"GET {target} HTTP/1.1"))
    fields = [f"X-{number}: {'y' * 200}" for number in range(98)]
    request = get(running.port, target, *fields)
    assert status_of(exchange(running.port, request)) == 200
    assert running.ends_with() == target.partition("?")[2]


def test_a_head_without_an_end_is_refused_at_32_kib(login):
    running = login()
    with connect(running.port) as connection:
        connection.sendall(b"GET /callback HTTP/1.1\r\n" + b"x" * 32768)
        assert read_all(connection).startswith(b"HTTP/1.1 431 ")


def test_a_long_body_does_not_cut_off_the_page(login):
    running = login()
    with connect(running.port) as connection:
        connection.sendall(get(running.port, "/callback", "Content-Length: 1000000", method="POST"))
        connection.sendall(1_000_000 * b"x")
        assert read_all(connection).rstrip().endswith(b"</html>")


def test_two_requests_in_one_connection_get_one_page(login):
    running = login()
    request = get(running.port, "/callback?state=another") + get(running.port, f"/callback?{ANSWER}")
    response = exchange(running.port, request)
    assert response.count("HTTP/1.1") == 1
    assert status_of(response) == 400
    assert running.is_alive()


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="GET /?cal\r\n:Host1.0&=#%\xe9", max_size=80)))
def test_whatever_is_sent_is_no_answer_and_does_no_harm(sent):
    if isinstance(sent, str):
        sent = sent.encode("latin-1")
    with LoopbackReceiver(FREE) as waiting, connect(urlsplit(waiting.redirect_uri).port) as connection:
        connection.sendall(sent + b"\r\n\r\n")
        for _ in range(3):
            assert waiting.receive(is_answer, 0) is None
        assert connection.recv(65536).startswith(b"HTTP/1.1 4")


# --- pages --------------------------------------------------------------------------------------------------------


def test_every_page_is_there():
    """A guard for the tests below."""
    assert len(PAGES) == 8


@pytest.mark.parametrize("shown", PAGES, ids=lambda shown: shown.heading)
def test_every_page_is_kept_by_nobody_and_runs_nothing_but_what_it_brings(shown):
    head, _, body = shown.response().decode().partition("\r\n\r\n")
    fields = httpx.Headers([tuple(line.split(": ", 1)) for line in head.split("\r\n")[1:]])
    assert fields["Cache-Control"] == "no-store"
    assert fields["Referrer-Policy"] == "no-referrer"
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["Connection"] == "close"
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    assert int(fields["Content-Length"]) == len(body.encode())
    assert "Server" not in fields
    policy = dict(part.split(" ", 1) for part in fields["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    for name in ("style", "script"):
        texts = re.findall(f"<{name}>(.*?)</{name}>", body, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert policy.get(f"{name}-src", "") == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert ("<script" in body) is (shown is page.FRAGMENT)
    assert not re.search(r"\bsrc=|href=|\bon[a-z]+=|style=|@import|url\(", body)


@pytest.mark.parametrize("shown", PAGES, ids=lambda shown: shown.heading)
def test_every_page_has_a_language_a_title_and_one_heading(shown):
    assert shown.html.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert f"<title>{shown.heading}</title>" in shown.html
    assert shown.html.count("<h1>") == 1
    assert "width=device-width" in shown.html


def test_no_page_shows_anything_of_the_request(login):
    running = login()
    marks = ("MARKmark", STATE, CODE)
    targets = [
        "/callback",
        "/MARKmark",
        "/callback?code=MARKmark&state=<script>MARKmark</script>",
        "/callback?error=MARKmark",
        f"/callback?error=MARKmark&error_description=MARKmark&state={STATE}",
    ]
    for target in targets:
        response = exchange(running.port, get(running.port, target, "X-MARKmark: MARKmark"))
        assert not any(mark in response for mark in marks)
    assert running.ends_with() is not None


def test_an_answer_in_the_fragment_is_carried_over_by_a_script(login):
    running = login()
    for target in ("/callback", "/callback?"):
        response = exchange(running.port, get(running.port, target))
        assert status_of(response) == 200
        assert 'location.replace("?" + location.hash.slice(1))' in response
        assert "This is not the answer to the sign-in that is waiting" in response  # where there is no fragment
    assert running.is_alive()


# --- who cannot hold it up ----------------------------------------------------------------------------------------


def drip(connection, until):
    """Send a byte of a header now and then, as long as the other side listens."""
    try:
        connection.sendall(b"GET /callback HTTP/1.1\r\nX: ")
        while not until.wait(0.02):
            connection.sendall(b"x")
    except OSError:
        pass


@pytest.mark.parametrize("many", [50, 200])
def test_an_answer_gets_through_idle_and_slow_connections(login, many):
    running = login()
    over = threading.Event()
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(running.port)) for _ in range(many)]
        threads = [threading.Thread(target=drip, args=(one, over)) for one in connections[-5:]]
        for thread in threads:
            thread.start()
        started_at = time.monotonic()
        response = exchange(running.port, get(running.port, f"/callback?{ANSWER}"))
        assert time.monotonic() - started_at < 8  # before any of them is at its end
        over.set()
        for thread in threads:
            thread.join(10)
    assert "Your sign-in has arrived" in response
    assert running.ends_with() == ANSWER


def test_an_answer_gets_through_what_connected_while_nobody_looked():
    with LoopbackReceiver(FREE) as waiting, ExitStack() as stack:
        port = urlsplit(waiting.redirect_uri).port
        for _ in range(60):
            stack.enter_context(connect(port))
        stack.enter_context(connect(port)).sendall(get(port, f"/callback?{ANSWER}"))
        for _ in range(40):
            stack.enter_context(connect(port))
        assert waiting.receive(is_answer, 10) == ANSWER


def test_no_more_than_32_connections_are_held_and_the_oldest_goes_first(login):
    running = login()
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(running.port)) for _ in range(40)]
        for one in connections[:8]:
            assert one.recv(1) == b""
        for one in connections[8:]:
            one.settimeout(0)
            with pytest.raises(BlockingIOError):
                one.recv(1)


def test_a_request_on_a_connection_that_just_made_room_for_another_is_not_served():
    with LoopbackReceiver(FREE) as waiting, ExitStack() as stack:
        port = urlsplit(waiting.redirect_uri).port
        oldest = stack.enter_context(connect(port))
        for _ in range(31):
            stack.enter_context(connect(port))
        while len(waiting._connections) < 32:
            assert waiting.receive(is_answer, 0) is None
        stack.enter_context(connect(port))  # seen first
        oldest.sendall(get(port, f"/callback?{ANSWER}"))
        assert waiting.receive(is_answer, 0.2) is None
        stack.enter_context(connect(port)).sendall(get(port, f"/callback?{ANSWER}"))
        assert waiting.receive(is_answer, 10) == ANSWER


def test_a_wake_up_for_nothing_does_no_harm(monkeypatch):
    """A system may say that something can be read or written, and then it cannot."""
    with LoopbackReceiver(FREE) as waiting:
        port = urlsplit(waiting.redirect_uri).port
        with connect(port) as connection:
            assert waiting.receive(is_answer, 0.1) is None
            (accepted,) = waiting._connections.values()
            assert waiting._serve(accepted, is_answer) is None
            accepted.unsent += 50_000_000 * b"x"
            waiting._send(accepted)
            waiting._send(accepted)
            assert 0 < len(accepted.unsent) < 50_000_000
            assert list(waiting._connections) == [accepted.socket]
            connection.close()


@pytest.mark.parametrize("is_slow", [False, True], ids=["idle", "slow"])
def test_a_connection_ends_at_its_deadline_however_slowly_it_talks(login, monkeypatch, is_slow):
    monkeypatch.setattr(receiver, "CONNECTION_ENDS_AFTER", 0.4)
    running = login()
    over = threading.Event()
    with connect(running.port) as connection:
        thread = threading.Thread(target=drip, args=(connection, over))
        if is_slow:
            thread.start()
        try:
            assert read_all(connection) == b""
        except ConnectionResetError:
            assert is_slow  # it was just talking
        finally:
            over.set()
    if is_slow:
        thread.join(10)
    assert running.is_alive()


def test_a_browser_that_goes_away_harms_nothing(login):
    running = login()
    for sent in (b"", b"GET /call", get(running.port), get(running.port, f"/callback?code={CODE}&state=another")):
        with connect(running.port) as connection:
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
    exchange(running.port, get(running.port, f"/callback?{ANSWER}"))
    assert running.ends_with() == ANSWER


# --- ports --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:0",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:0/a:0/~b;c='d',(e)!*@$&+%2F/",
        "http://127.0.0.1:0//evil.example",
        "http://localhost:0/callback",
        pytest.param("http://[::1]:0/callback", marks=with_ipv6),
    ],
)
def test_port_0_means_a_free_one_and_all_else_stays_as_it_was_given(login, redirect_uri):
    running = login(redirect_uri)
    assert running.redirect_uri == redirect_uri.replace(":0", f":{running.port}", 1)
    assert running.port > 1023
    response = httpx.get(f"{running.redirect_uri}?{ANSWER}", trust_env=False)
    assert response.status_code == 200
    assert running.ends_with() == ANSWER


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", pytest.param("[::1]", marks=with_ipv6)])
def test_a_registered_port_is_used_again_and_again(host):
    redirect_uri = f"http://{host}:{free_port()}/callback"
    for _ in range(5):
        running = Login(redirect_uri)
        running.start()
        assert running.redirect_uri == redirect_uri
        assert httpx.get(f"{redirect_uri}?{ANSWER}", trust_env=False).status_code == 200
        assert running.ends_with() == ANSWER


class SaysPort80(socket.socket):
    """A listening socket that is on another port than it says; 80 itself may be in use, or not ours to open."""

    def getsockname(self):
        return ("127.0.0.1", 80)


def test_without_a_port_it_is_80_and_a_browser_does_not_name_it(monkeypatch):
    number = free_port()
    asked = []

    def opened(host, port):
        asked.append(port)
        listener = SaysPort80()
        listener.bind((host, number))
        listener.listen()
        return [listener]

    monkeypatch.setattr(receiver, "opened", opened)
    with LoopbackReceiver("http://127.0.0.1/callback") as waiting, connect(number) as connection:
        assert asked == [80]
        assert waiting.redirect_uri == "http://127.0.0.1/callback"
        connection.sendall(f"GET /callback?{ANSWER} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert waiting.receive(is_answer, 10) == ANSWER
        connection.close()


def listens(address, port):
    try:
        connect(port, address).close()
    except OSError:
        return False
    return True


@with_ipv6
@pytest.mark.parametrize(
    ("host", "addresses"),
    [("127.0.0.1", {"127.0.0.1"}), ("[::1]", {"::1"}), ("localhost", {"127.0.0.1", "::1"})],
)
def test_only_loopback_addresses_are_open(host, addresses):
    with LoopbackReceiver(f"http://{host}:0/callback") as waiting:
        port = urlsplit(waiting.redirect_uri).port
        assert {listener.getsockname()[:2] for listener in waiting._listeners} == {(one, port) for one in addresses}
        assert {address for address in ("127.0.0.1", "::1") if listens(address, port)} == addresses


@with_ipv6
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_localhost_is_served_wherever_the_browser_takes_it_to_be(login, address):
    running = login("http://localhost:0/callback")
    response = exchange(running.port, get(running.port, f"/callback?{ANSWER}", host="localhost"), address)
    assert status_of(response) == 200
    assert running.ends_with() == ANSWER


def fail_on(monkeypatch, address, code):
    """Let the system refuse an address."""
    bind = socket.socket.bind

    class Socket(socket.socket):
        def bind(self, where):
            if where[0] == address:
                raise OSError(code, os.strerror(code))
            bind(self, where)

    monkeypatch.setattr(socket, "socket", Socket)


def test_localhost_is_served_on_one_address_where_there_is_no_other(login, monkeypatch):
    fail_on(monkeypatch, "::1", errno.EADDRNOTAVAIL)
    running = login("http://localhost:0/callback")
    assert not listens("::1", running.port)
    exchange(running.port, get(running.port, f"/callback?{ANSWER}", host="localhost"))
    assert running.ends_with() == ANSWER


@with_ipv6
def test_localhost_is_not_shared_with_somebody_on_its_other_address():
    """A browser that tries ::1 first would bring the answer to the wrong program."""
    number = free_port()
    somebody = socket.create_server(("::1", number), family=socket.AF_INET6)
    with somebody, pytest.raises(ConfigurationError, match=f"port {number} of localhost is in use"):
        LoopbackReceiver(f"http://localhost:{number}/callback")
    assert not listens("127.0.0.1", number)


@with_ipv6
def test_a_free_port_of_localhost_is_looked_for_until_it_is_free_on_both_addresses(monkeypatch):
    listening, taken = port._listening, []

    def unlucky(address, number):
        if address == "::1" and len(taken) < 3:
            taken.append(number)
            raise OSError(errno.EADDRINUSE, "in use")
        return listening(address, number)

    monkeypatch.setattr(port, "_listening", unlucky)
    with LoopbackReceiver("http://localhost:0/callback") as waiting:
        assert len(taken) == 3
        assert listens("::1", urlsplit(waiting.redirect_uri).port)
    assert not any(listens("127.0.0.1", number) for number in taken)


def test_a_port_in_use_is_named_and_a_way_out_told(login):
    running = login()
    with pytest.raises(ConfigurationError) as caught:
        LoopbackReceiver(running.redirect_uri)
    assert f"port {running.port} of 127.0.0.1 is in use" in str(caught.value)
    assert "port 0 means a free one" in str(caught.value)
    assert caught.value.__cause__ is None
    assert running.is_alive()


@pytest.mark.parametrize(
    ("redirect_uri", "code", "words"),
    [
        ("http://127.0.0.1/callback", errno.EACCES, "port 80 of 127.0.0.1 may not be opened"),
        ("http://127.0.0.1:443/", errno.EPERM, "those below 1024 are kept for the administrator"),
        ("http://127.0.0.1:0/", errno.EADDRINUSE, "no port of 127.0.0.1 is free"),
        ("http://127.0.0.1:8400/", errno.ENOBUFS, f"cannot be opened: {os.strerror(errno.ENOBUFS)}"),
        ("http://127.0.0.1:8400/", errno.EADDRNOTAVAIL, "has no address 127.0.0.1"),
    ],
)
def test_a_port_that_cannot_be_opened_is_told_about_in_words(monkeypatch, redirect_uri, code, words):
    fail_on(monkeypatch, "127.0.0.1", code)
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        LoopbackReceiver(redirect_uri)


def test_a_machine_without_ipv6_is_told_about_in_words(monkeypatch):
    fail_on(monkeypatch, "::1", errno.EADDRNOTAVAIL)
    with pytest.raises(ConfigurationError, match=re.escape("this machine has no address [::1]. Take 127.0.0.1")):
        LoopbackReceiver("http://[::1]:8400/callback")


def test_the_port_is_exclusive_where_the_system_would_share_it(monkeypatch):
    """Windows lets a second program in on a port with SO_REUSEADDR; it has an option of its own against that."""
    options = []

    class Socket(socket.socket):
        def setsockopt(self, level, option, value):
            options.append(option)

    monkeypatch.setattr(socket, "socket", Socket)
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    LoopbackReceiver(FREE).close()
    assert options == [-5]


SERVED = [
    "http://127.0.0.1:8400/callback",
    "http://localhost:65535/a/b",
    "http://[::1]/callback",
    "http://127.0.0.1",
    FREE,
]
NOT_SERVED = [
    "https://127.0.0.1:8400/callback",
    "HTTP://127.0.0.1:8400/callback",
    "http://example.com/callback",
    "http://127.0.0.2:8400/callback",
    "http://127.1:8400/callback",
    "http://0.0.0.0:8400/callback",
    "http://[::]:8400/callback",
    "http://::1:8400/callback",
    "http://localhost.evil.example/callback",
    "http://localhost./callback",
    "http://user@127.0.0.1:8400/callback",
    "http://127.0.0.1:8400@evil.example/callback",
    "http://127.0.0.1:65536/callback",
    "http://127.0.0.1:/callback",
    "http://127.0.0.1:08400/callback",
    "http://127.0.0.1:8400/call back",
    "http://127.0.0.1:8400/callback\n",
    "http://127.0.0.1:8400/%zz",
    "http://127.0.0.1:8400/callback?secret=SeCrEt",
    "http://127.0.0.1:8400/callback#x",
    "http://127.0.0.1:8400\\callback",
    "com.example.app:/callback",
    "urn:ietf:wg:oauth:2.0:oob",
    "//127.0.0.1:8400/callback",
    "",
]


@pytest.mark.parametrize("redirect_uri", SERVED)
def test_a_loopback_redirect_uri_is_one_that_can_be_served(redirect_uri):
    assert is_loopback_redirect(redirect_uri)


@pytest.mark.parametrize("redirect_uri", NOT_SERVED)
def test_any_other_redirect_uri_is_refused_before_a_port_is_opened(monkeypatch, redirect_uri):
    monkeypatch.setattr(receiver, "opened", lambda *_: pytest.fail("a port was opened"))
    assert not is_loopback_redirect(redirect_uri)
    with pytest.raises(ConfigurationError, match="cannot be served by this program") as caught:
        LoopbackReceiver(redirect_uri)
    assert "SeCrEt" not in str(caught.value)


# --- the end ------------------------------------------------------------------------------------------------------


def descriptors():
    return len(os.listdir("/dev/fd"))


def test_close_leaves_no_port_no_connection_no_thread_and_no_descriptor(monkeypatch):
    monkeypatch.setattr(receiver, "DELIVERED_WITHIN", 30.0)
    gc.collect()  # what earlier tests have left is not closed meanwhile
    files, threads = descriptors(), set(threading.enumerate())
    waiting = LoopbackReceiver("http://localhost:0/callback")
    port = urlsplit(waiting.redirect_uri).port
    with connect(port) as idle, connect(port) as talking:
        talking.sendall(b"GET /")
        assert waiting.receive(is_answer, 0.05) is None
        started_at = time.monotonic()
        waiting.close()
        waiting.close()
        assert time.monotonic() - started_at < 10  # nobody waits for a page
        assert idle.recv(1) == b""
    assert not listens("127.0.0.1", port)
    assert descriptors() == files
    assert not set(threading.enumerate()) - threads


def test_the_page_is_delivered_before_close_ends(login):
    running = login()
    with connect(running.port) as connection:
        connection.sendall(get(running.port, f"/callback?{ANSWER}"))
        assert running.ends_with() == ANSWER  # without this browser having read a byte
        assert read_all(connection).rstrip().endswith(b"</html>")


def test_close_does_not_wait_long_for_a_browser_that_keeps_its_connection():
    with LoopbackReceiver(FREE) as waiting:
        port = urlsplit(waiting.redirect_uri).port
        with connect(port) as connection:
            connection.sendall(get(port, f"/callback?{ANSWER}"))
            assert waiting.receive(is_answer, 10) == ANSWER
            started_at = time.monotonic()
            waiting.close()
            assert time.monotonic() - started_at < 5
            assert not listens("127.0.0.1", port)


def test_a_page_larger_than_the_buffers_is_sent_to_its_end(login, monkeypatch):
    text = "It is a long story. " * 500_000
    monkeypatch.setattr(page, "SIGNED_IN", page.Page(status=page.SIGNED_IN.status, heading="Long", text=text))
    running = login()
    response = exchange(running.port, get(running.port, f"/callback?{ANSWER}"))
    assert text in response
    assert running.ends_with() == ANSWER


def test_nothing_of_the_answer_is_in_the_repr():
    with LoopbackReceiver(FREE) as waiting:
        port = urlsplit(waiting.redirect_uri).port
        with connect(port) as connection:
            connection.sendall(get(port, f"/callback?{ANSWER}"))
            assert waiting.receive(is_answer, 10) == ANSWER
            connections = list(waiting._connections.values())
            assert len(connections) == 1
            assert not any(secret in f"{waiting!r} {connections!r}" for secret in (STATE, CODE))


INTERRUPTED = """
import signal
from video_oauth_auth.login.receiver import LoopbackReceiver

signal.signal(signal.SIGINT, signal.default_int_handler)
with LoopbackReceiver({redirect_uri!r}) as receiver:
    print(receiver.redirect_uri, flush=True)
    while True:
        receiver.receive(lambda query: False, {timeout})
"""


@pytest.mark.parametrize("timeout", [0.05, 600])
def test_ctrl_c_ends_the_wait_at_once_and_closes_the_port(timeout):
    """The program ends in the way in which Python ends at Ctrl-C: by the signal itself."""
    text = INTERRUPTED.format(redirect_uri=FREE, timeout=timeout)
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        try:
            redirect_uri = program.stdout.readline().decode().strip()
            with connect(urlsplit(redirect_uri).port):
                program.send_signal(signal.SIGINT)
                started_at = time.monotonic()
                _, errors = program.communicate(timeout=20)
                assert time.monotonic() - started_at < 10
        finally:
            program.kill()
    assert program.returncode in (-signal.SIGINT, 130)
    assert errors.decode().rstrip().endswith("KeyboardInterrupt")
    with LoopbackReceiver(redirect_uri) as again:  # the same port, at once
        assert again.redirect_uri == redirect_uri
