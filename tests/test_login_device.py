"""`auth.login()` with a code for another device (RFC 8628): a television, a server, a container."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import httpx
import pytest

from video_oauth_auth import (
    CidaasAuth,
    ConfigurationError,
    DeviceCode,
    InvalidResponseError,
    LoginRequired,
    MovingimageAuth,
    OAuth2Auth,
    OAuthError,
    ResponseError,
    Token,
    TransportError,
)
from video_oauth_auth.login import asking, device, interactive
from video_oauth_auth.login.device import Pace
from video_oauth_auth.testing import (
    Answer,
    Drop,
    FormFiller,
    Hold,
    LoopbackServer,
    Mutate,
    OAuthServer,
    html_page,
    json_answer,
    redirect,
    unavailable,
    with_members,
    without,
)

from . import login_runs
from .broken_stores import WorkingStore
from .login_runs import NAME, PASSWORD, Run, eventually

INTERVAL = 0.2  # seconds between two polls, as the server wants it here
TOLD = re.compile(r"open\n\n    (?P<page>\S+)\n\nand enter the code\n\n    (?P<code>.+)\n")
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
HIDDEN = "\x1b]8;;https://evil.example\x1b\\\x1b[2J\x9b31m\u202e\u2066\u200b\x07"

Login = Callable[..., Run]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without any browser."""
    login_runs.machine_without_browser(monkeypatch)
    return monkeypatch


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={NAME: PASSWORD}, refresh_tokens=True, device_interval=INTERVAL) as running:
        yield running


@pytest.fixture
def login() -> Iterator[Login]:
    yield from login_runs.runs()


def auth_at(server: LoopbackServer, **settings: Any) -> OAuth2Auth:
    return login_runs.auth_at(server, grant=DeviceCode(scope="openid"), **settings)


def told(running: Run) -> Mapping[str, str]:
    """What the person is told: `page` and `code`."""
    return dict(eventually(lambda: TOLD.search(running.text), "the instruction").groupdict())


def approve(running: Run, *, deny: bool = False) -> None:
    """Let Ann sign in with another device, or say no there."""
    shown = told(running)
    FormFiller(NAME, PASSWORD, deny=deny).approve_device(shown["page"], shown["code"])


def polled_at(server: LoopbackServer) -> list[float]:
    return [call.elapsed for call in server.token_calls]


def pauses(server: LoopbackServer) -> list[float]:
    return [after - before for before, after in pairwise(polled_at(server))]


def refusing(error: str, **members: str) -> Answer:
    return json_answer(400, {"error": error, **members})


# --- what a person sees -------------------------------------------------------------------------------------------


def test_a_person_signs_in_on_another_device(server, login):
    auth = auth_at(server)
    running = login(auth)
    assert told(running)["page"] == f"{server.url}/device"
    assert re.fullmatch(r"[A-Z]{4}-[A-Z]{4}", told(running)["code"])
    approve(running)
    assert running.ends().claims["sub"] == NAME
    assert httpx.get(f"{server.api_url}/me", auth=auth).json()["sub"] == NAME
    assert server.requests_to("device")[0].form["scope"] == "openid"


@pytest.mark.parametrize("platform", ["movingimage", "cidaas"])
def test_a_person_signs_in_at_a_platform(login, platform):
    make = {"movingimage": OAuthServer.movingimage, "cidaas": OAuthServer.cidaas}[platform]
    with make(users={NAME: PASSWORD}) as server:
        server.device_interval = INTERVAL
        grant = DeviceCode(scope="openid")
        auth: OAuth2Auth
        if platform == "movingimage":
            auth = MovingimageAuth(server.client_id, server.client_secret, api_url=f"{server.api_url}/v1/", grant=grant)
        else:
            auth = CidaasAuth(server.issuer, server.client_id, server.client_secret, grant=grant)
        running = login(auth)
        approve(running)
        assert running.ends().claims["sub"]
        assert auth.userinfo()["sub"] == running.ends().claims["sub"]


def test_the_same_without_blocking_the_event_loop(server):
    lines: list[str] = []

    async def program() -> Token:
        login = asyncio.create_task(auth_at(server).alogin(notify=lines.append))
        while not lines:
            await asyncio.sleep(0.01)
        shown = TOLD.search(lines[0])
        assert shown
        await asyncio.to_thread(FormFiller(NAME, PASSWORD).approve_device, shown["page"], shown["code"])
        return await login

    assert asyncio.run(program()).claims["sub"] == NAME


def test_the_page_with_the_code_in_it_is_shown_as_well_where_there_is_one(server, login):
    running = login(auth_at(server))
    assert f"    {told(running)['page']}?user_code={told(running)['code']}\n\nand compare the code." in running.text
    server.device_faults.always(without("verification_uri_complete"))
    second = login(auth_at(server))
    told(second)
    assert "compare the code" not in second.text


def test_an_opener_of_the_program_gets_the_page_and_the_code_is_shown_all_the_same(server, login):
    for fault, suffix in (
        (with_members(), "?user_code={code}"),
        (without("verification_uri_complete"), ""),
    ):
        server.device_faults.add(fault)
        opened: list[str] = []
        running = login(auth_at(server), open_browser=opened.append)
        code = told(running)["code"]
        assert opened == [f"{server.url}/device{suffix.format(code=code)}"]


@pytest.mark.parametrize("opened", [None, False])
def test_nothing_is_opened_by_itself_the_person_may_sit_elsewhere(server, login, machine, opened):
    machine.setenv("DISPLAY", ":0")
    running = login(auth_at(server), open_browser=opened)
    approve(running)
    assert running.ends().claims["sub"] == NAME


def test_it_returns_at_once_where_a_usable_sign_in_is_stored_and_force_asks_again(server, login):
    auth = auth_at(server)
    first = login(auth)
    approve(first)
    token = first.ends()
    assert auth.login(notify=pytest.fail) == token
    assert len(server.requests_to("device")) == 1
    second = login(auth, force=True)
    assert told(second)["code"] != told(first)["code"]
    approve(second)
    assert second.ends() != token


def test_the_sign_in_is_refreshed_without_the_person(server, login):
    server.expires_in = 1
    auth = auth_at(server, renew_ahead=0)
    running = login(auth)
    approve(running)
    running.ends()
    eventually(lambda: auth.source.status().state == "expired", "the token has expired")
    server.expires_in = 300
    assert httpx.get(f"{server.api_url}/me", auth=auth).status_code == 200
    assert server.token_calls[-1].form["grant_type"] == "refresh_token"
    assert len(server.requests_to("device")) == 1


def test_with_a_store_in_memory_it_says_that_the_sign_in_ends_with_the_program(server, login):
    for store, said in ((None, True), (WorkingStore(), False)):
        running = login(auth_at(server, store=store))
        approve(running)
        running.ends()
        assert ("until this program ends" in running.text) is said


def test_further_parameters_go_to_the_server_and_ours_cannot_be_overridden(server, login):
    told(login(auth_at(server), login_hint="ann@example.com"))
    assert server.requests_to("device")[0].form["login_hint"] == "ann@example.com"
    with pytest.raises(ConfigurationError, match="client_id"):
        auth_at(server).login(notify=pytest.fail, client_id="another")


def test_several_devices_at_once_get_the_tokens_of_their_own_codes(server, login):
    running = [login(auth_at(server)) for _ in range(4)]
    assert len({told(one)["code"] for one in running}) == 4
    for one in reversed(running):
        approve(one)
    assert len({one.ends().access_token for one in running}) == 4


# --- how often the server is asked --------------------------------------------------------------------------------


def test_the_server_is_asked_as_often_as_it_wants_to_be(server, login):
    running = login(auth_at(server))
    server.wait_for(lambda: len(server.token_calls) >= 5)
    approve(running)
    running.ends()
    assert min(pauses(server)) >= INTERVAL
    asked_at = server.requests_to("device")[0].elapsed
    assert polled_at(server)[0] - asked_at >= INTERVAL  # nobody can have typed the code sooner


def test_whoever_is_told_to_slow_down_stays_slower(server, login, machine):
    machine.setattr(device, "SLOWER", 0.5)
    server.token_faults.add(refusing("slow_down"))
    running = login(auth_at(server))
    server.wait_for(lambda: len(server.token_calls) >= 4)
    approve(running)
    running.ends()
    assert min(pauses(server)) >= INTERVAL + 0.5


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [(unavailable(), 0), (unavailable(retry_after=1), 1), (json_answer(429, {}), 0), (Hold(), 0), (Drop("before"), 0)],
)
def test_a_server_that_is_down_for_a_moment_is_asked_more_slowly_and_the_sign_in_goes_on(server, login, fault, wanted):
    server.token_faults.add(fault)
    server.token_faults.add(fault)
    running = login(auth_at(server, token_timeout=0.5))
    server.wait_for(lambda: len(server.token_calls) >= 3)
    approve(running)
    assert running.ends().claims["sub"] == NAME
    first, second = pauses(server)[:2]
    assert first >= max(2 * INTERVAL, wanted)
    assert second >= max(4 * INTERVAL, wanted)
    server.release()


PENDING, SLOW_DOWN = (ResponseError("no", error=error) for error in ("authorization_pending", "slow_down"))
DOWN = TransportError("down", status=503)


@pytest.mark.parametrize(
    ("answers", "pause"),
    [
        ([PENDING], 5),
        ([SLOW_DOWN], 10),
        ([SLOW_DOWN, PENDING, PENDING], 10),
        ([SLOW_DOWN, PENDING, SLOW_DOWN], 15),
        ([DOWN], 10),
        ([DOWN, DOWN, DOWN], 40),
        ([DOWN, DOWN, PENDING], 5),
        ([SLOW_DOWN, DOWN], 20),
        ([SLOW_DOWN, DOWN, PENDING], 10),
        ([TransportError("down", retry_after=60)], 60),
        ([TransportError("down", retry_after=1)], 10),
        ([TransportError("down", retry_after=1e9)], 300),
        ([DOWN] * 20, 300),
        ([SLOW_DOWN] * 100, 300),
    ],
)
def test_the_pause_after_each_answer(answers, pause):
    pace = Pace(5.0)
    for answer in answers:
        pace.after(answer, "ann")
    assert pace.pause == pause


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        (None, 5),
        ("5", 5),
        (7, 7),
        (0.5, 0.5),
        (0, 0.1),
        (-3, 0.1),
        (1e9, 300),
        (True, 5),
        ([], 5),
        ("soon", 5),
    ],
)
def test_the_interval_is_what_the_server_says_within_reason(server, login, machine, said, pause):
    found: list[float] = []
    machine.setattr(interactive, "Pace", lambda interval: found.append(interval) or Pace(0.1))
    server.device_faults.add(with_members(interval=said))
    told(login(auth_at(server)))
    assert eventually(lambda: found, "the interval") == [pause]


def test_without_an_interval_it_is_five_seconds(server, login, machine):
    found: list[float] = []
    machine.setattr(interactive, "Pace", lambda interval: found.append(interval) or Pace(0.1))
    server.device_faults.add(without("interval"))
    told(login(auth_at(server)))
    assert eventually(lambda: found, "the interval") == [5]


# --- how it can end -----------------------------------------------------------------------------------------------


def test_the_person_says_no(server, login):
    running = login(auth_at(server, user="ann@example.com"))
    approve(running, deny=True)
    with pytest.raises(LoginRequired, match="refused") as caught:
        running.ends()
    assert (caught.value.reason, caught.value.user) == ("denied", "ann@example.com")
    assert_no_more_polls(server)


def test_nobody_types_the_code_before_it_expires(server, login):
    running = login(auth_at(server))
    told(running)
    server.advance(601)
    with pytest.raises(LoginRequired, match="before the code expired") as caught:
        running.ends()
    assert caught.value.reason == "timed_out"
    assert len(server.requests_to("device")) == 1  # it is for the person to begin anew
    assert_no_more_polls(server)


def test_the_end_of_the_code_is_seen_without_the_server(server, login):
    server.device_expires_in = 1
    server.device_faults.add(with_members(interval=60))
    started_at = time.monotonic()
    with pytest.raises(LoginRequired, match="before the code expired") as caught:
        login(auth_at(server)).ends()
    assert caught.value.reason == "timed_out"
    assert 1 <= time.monotonic() - started_at < 10
    assert server.token_calls == ()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusing("invalid_grant", error_description="no such code"), ResponseError),
        (refusing("invalid_client"), ResponseError),
        (refusing("unsupported_grant_type"), ResponseError),
        (refusing("something_new"), ResponseError),
        (refusing("authorization_pending\x1b[2J"), ResponseError),
        (html_page(), InvalidResponseError),
        (json_answer(200, {"token_type": "Bearer"}), InvalidResponseError),
    ],
)
def test_any_other_answer_ends_it(server, login, answer, kind):
    server.token_faults.always(answer)
    with pytest.raises(kind) as caught:
        login(auth_at(server)).ends()
    assert not RAW.search(str(caught.value))
    assert_no_more_polls(server)


def assert_no_more_polls(server: LoopbackServer) -> None:
    calls = len(server.token_calls)
    time.sleep(4 * INTERVAL)
    assert len(server.token_calls) == calls


def test_a_token_for_somebody_else_is_not_taken(server, login):
    claims = {"iss": server.issuer, "sub": NAME, "aud": "another-client", "iat": time.time()}
    server.token_faults.add(
        Mutate(lambda members: {**members, "id_token": server.sign(claims)} if "id_token" in members else members),
        times=100,
    )
    auth = auth_at(server)
    running = login(auth)
    approve(running)
    with pytest.raises(InvalidResponseError, match="aud"):
        running.ends()
    assert auth.source.peek() is None


def test_nobody_signs_in_in_the_time_that_the_program_gives(server, login):
    running = login(auth_at(server), timeout=0.7)
    with pytest.raises(LoginRequired, match=r"nobody signed in within 0\.7 s\. The code was not entered") as caught:
        running.ends()
    assert caught.value.reason == "timed_out"
    assert_no_more_polls(server)


def test_now_and_then_it_says_how_much_time_is_left(server, login, machine):
    machine.setattr(interactive, "TELL_EVERY", 0.3)
    running = login(auth_at(server), timeout=75)
    eventually(lambda: "Still waiting for the sign-in, 1:14 left." in running.lines, "a reminder")


def test_a_set_event_ends_the_wait(server, login):
    server.device_faults.add(with_members(interval=60))
    running = login(auth_at(server))
    told(running)
    running.cancel.set()
    with pytest.raises(LoginRequired, match="cancelled") as caught:
        running.ends()
    assert caught.value.reason == "cancelled"


def test_an_event_that_is_set_already_shows_and_opens_nothing(server, login):
    cancel = threading.Event()
    cancel.set()
    opened: list[str] = []
    running = login(auth_at(server), cancel=cancel, open_browser=opened.append)
    with pytest.raises(LoginRequired, match="cancelled"):
        running.ends()
    assert (opened, running.lines) == ([], [])


def test_a_cancelled_task_stops_asking(server):
    lines: list[str] = []

    async def program() -> None:
        task = asyncio.create_task(auth_at(server).alogin(notify=lines.append))
        while not server.token_calls:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(program())
    login_runs.no_thread_is_left()
    assert_no_more_polls(server)


PROGRAM = """
import sys, threading
from video_oauth_auth import *

client = OAuthClient("test-client", "test-client-secret")
source = TokenSource(sys.argv[1], client, DeviceCode(scope="openid"), token_timeout=60)
try:
    OAuth2Auth(source, origins=["http://127.0.0.1:1"]).login()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    threading.Event().wait(30)
"""


@pytest.mark.parametrize("hangs", [False, True])
def test_ctrl_c_stops_asking_at_once_also_while_the_server_hangs(server, hangs):
    if hangs:
        server.token_faults.add(Hold())
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.issuer], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        server.wait_for(lambda: server.held if hangs else len(server.token_calls) > 1, timeout=30)
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "interrupted\n"
        assert_no_more_polls(server)
        server.release()
    finally:
        program.kill()
        _, err = program.communicate()
    assert TOLD.search(err)
    assert server.token_calls[0].form["device_code"] not in err


# --- servers that cannot, and servers that lie --------------------------------------------------------------------


def test_a_server_that_knows_no_devices_is_named(server):
    server.metadata_faults.always(without("device_authorization_endpoint"))
    with pytest.raises(ConfigurationError, match=f"{server.issuer} names no device_authorization_endpoint"):
        auth_at(server).login(notify=pytest.fail)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusing("unauthorized_client"), ResponseError),
        (unavailable(), TransportError),
        (html_page(), InvalidResponseError),
        (json_answer(200, []), InvalidResponseError),
        (json_answer(200, {}), InvalidResponseError),
    ],
)
def test_without_a_code_there_is_an_error(server, answer, kind):
    server.device_faults.always(answer)
    with pytest.raises(kind):
        auth_at(server).login(notify=pytest.fail)
    assert server.token_calls == ()


def test_the_client_does_not_follow_the_server_elsewhere(server):
    server.device_faults.add(redirect(307, f"{server.foreign_url}/device_authorization"))
    with pytest.raises(OAuthError):
        auth_at(server).login(notify=pytest.fail)
    assert server.requests_to("foreign") == ()


@pytest.mark.parametrize("name", ["device_code", "user_code", "verification_uri", "expires_in"])
@pytest.mark.parametrize("value", [None, "", [], {}, False])
def test_a_member_that_is_no_text_or_number_is_named(server, name, value):
    server.device_faults.add(with_members(**{name: value}))
    with pytest.raises(InvalidResponseError, match=name):
        auth_at(server).login(notify=pytest.fail)


@pytest.mark.parametrize("seconds", [0, -1, "soon", True])
def test_a_code_without_a_life_is_none(server, seconds):
    server.device_faults.add(with_members(expires_in=seconds))
    with pytest.raises(InvalidResponseError, match="expires_in"):
        auth_at(server).login(notify=pytest.fail)


LIES = {
    "script": "javascript:alert(1)",
    "script with a host": "javascript://login.example.com/%0aalert(1)",
    "data": "data:text/html,x",
    "file": "file:///etc/passwd",
    "option": "-new-window",
    "user info": "https://login.example.com@evil.example/device",
    "no TLS": "http://login.example.com/device",
    "escape": "https://login.example.com/\x1b]8;;https://evil.example\x1b\\device",
    "one character": "https://login.example.com/\x9b31mdevice",
    "line": "https://login.example.com/device\nhttps://evil.example/device",
    "text direction": "https://login.example.com/\u202eecived",
    "hidden character": "https://login\u200b.example.com/device",
    "letters that look alike": "https://login.ex\u0430mple.com/device",
    "no host": "/device",
}


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize("uri", LIES.values(), ids=LIES)
def test_a_page_that_nobody_should_open_is_neither_shown_nor_opened(server, name, uri):
    server.device_faults.add(with_members(**{name: uri}))
    heard: list[str] = []
    with pytest.raises(InvalidResponseError, match=name) as caught:
        auth_at(server).login(notify=heard.append, open_browser=heard.append)
    assert heard == []
    assert not RAW.search(str(caught.value))


def test_a_user_code_is_shown_without_what_a_terminal_would_obey(server, login):
    server.device_faults.add(with_members(user_code=f"AB{HIDDEN}CD\r\nenter your password here: \u2028EF"))
    running = login(auth_at(server))
    code = told(running)["code"]
    assert not RAW.search(running.text)
    assert code.startswith("AB")
    assert code.endswith("EF")
    assert "\n" not in code


def test_an_endless_user_code_is_cut_and_an_invisible_one_refused(server, login):
    server.device_faults.add(with_members(user_code="x" * 10_000))
    assert len(told(login(auth_at(server)))["code"]) == 100
    server.device_faults.add(with_members(user_code="\x1b\u202e\x00 \n"))
    with pytest.raises(InvalidResponseError, match="user_code"):
        auth_at(server).login(notify=pytest.fail)


def test_errors_of_the_server_are_shown_without_what_a_terminal_would_obey(server, login):
    server.token_faults.always(refusing("access_denied", error_description=f"no{HIDDEN}\n"))
    with pytest.raises(LoginRequired, match="refused") as caught:
        login(auth_at(server)).ends()
    assert not RAW.search(str(caught.value))


# --- secrets ------------------------------------------------------------------------------------------------------


def test_the_device_code_and_the_tokens_are_never_shown(server, login, caplog, machine):
    caplog.set_level("DEBUG")
    begun: list[object] = []
    on_device = asking.on_device
    machine.setattr(asking, "on_device", lambda *given: begun.append(given[0]) or on_device(*given))
    server.token_faults.add(unavailable())
    running = login(auth_at(server))
    approve(running)
    token = running.ends()
    (authorization,) = begun
    text = "\n".join([running.text, caplog.text, repr(authorization), f"{authorization}", repr(token)])
    assert [secret for secret in server.secrets() if secret in text] == []
    assert server.token_calls[0].form["device_code"] in server.secrets()


def test_the_program_of_a_service_without_stderr_can_still_be_signed_in(server, machine):
    machine.setattr(sys, "stderr", None)
    opened: list[str] = []

    def approve_it(url: str) -> None:
        opened.append(url)
        FormFiller(NAME, PASSWORD).approve_device(url, url.partition("user_code=")[2])

    assert auth_at(server).login(open_browser=approve_it, timeout=20).claims["sub"] == NAME
    assert len(opened) == 1
