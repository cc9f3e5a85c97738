"""The example web application, with several browsers at once."""

import asyncio
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import httpx
import pytest

from video_oauth_auth import MovingimageAuth
from video_oauth_auth.testing import Answer, FormFiller, MovingimageServer, RecordedRequest, json_answer, unavailable
from video_oauth_auth.testing.api import Api
from video_oauth_auth.testing.movingimage import MovingimageApi
from video_oauth_auth.testing.recording import Role

EXAMPLES = Path(__file__).parent.parent / "examples"
PEOPLE = {"ann": "an invented password", "bob": "another invented password"}
HERE = "http://127.0.0.1:8000"
TAGS = "<b>&\"'"
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"


class PersonalApi(MovingimageApi):
    """Lists a VideoManager of the person whose token it is, and sets a cookie."""

    def resource(self, request: RecordedRequest) -> Answer:
        if request.path != "/v1/vms":
            return super().resource(request)
        films = [{"id": 7, "name": f"Films of {self.token(request).family.user} {TAGS}"}]
        return json_answer(200, films, [("Set-Cookie", f"visitor={self.token(request).family.user}; Path=/")])


class PersonalServer(MovingimageServer):
    apis: ClassVar[Mapping[Role, type[Api]]] = {"api": PersonalApi}


class Web:
    """The application and the loop that it runs in."""

    def __init__(self, application: Any, runner: asyncio.Runner) -> None:
        self.application = application
        self.runner = runner

    def browser(self, name: str = "ann", origin: str = HERE) -> "Browser":
        """A new browser; this person will sit in front of it."""
        return Browser(self, name, origin)


class Browser:
    """Keeps cookies, and follows no redirect by itself. No client of httpx, which would log where it goes to."""

    def __init__(self, web: Web, name: str, origin: str) -> None:
        self.name = name
        self.cookies = httpx.Cookies()
        self._origin = httpx.URL(origin)
        self._run = web.runner.run
        self._transport = httpx.ASGITransport(web.application)

    @property
    def id(self) -> str:
        (value,) = self.cookies.values()
        return value

    async def send(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        request = httpx.Request(method, self._origin.join(url), headers=headers)
        self.cookies.set_cookie_header(request)
        response = await self._transport.handle_async_request(request)
        await response.aread()
        response.request = request
        self.cookies.extract_cookies(response)
        return response

    def get(self, url: str) -> httpx.Response:
        return self._run(self.send("GET", url))

    def begin(self) -> str:
        """Go to the sign-in page of the server; gives its URL."""
        response = self.get("/sign-in")
        assert response.status_code == 303
        return response.headers["Location"]

    def authorize(self, url: str, *, deny: bool = False) -> str:
        """Fill in that page; gives where it leads to."""
        return FormFiller(self.name, PEOPLE[self.name], deny=deny).authorize(url)

    def sign_in(self) -> str:
        """Sign in; gives the URL of the callback."""
        callback = self.authorize(self.begin())
        response = self.get(callback)
        assert (response.status_code, response.headers["Location"]) == (303, "/")
        return callback

    def sign_out(self, origin: str | None = HERE) -> httpx.Response:
        headers = {} if origin is None else {"Origin": origin}
        return self._run(self.send("POST", "/sign-out", headers))

    def sees(self) -> str | None:
        """Whose films are on the page; None: it asks to sign in."""
        page = self.get("/")
        assert page.status_code == 200
        films = re.findall(r"Films of (\w+)", page.text)
        assert films or 'href="/sign-in"' in page.text
        assert page.text.count(f"<span>{films[0]}</span><form" if films else "<header></header>") == 1
        return films[0] if films else None


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("movingimage_web")


@pytest.fixture
def server() -> Iterator[MovingimageServer]:
    with PersonalServer(users=PEOPLE) as running:
        yield running


def application(module: Any, server: MovingimageServer, redirect_uri: str = f"{HERE}/callback") -> Any:
    api_url = f"{server.api_url}/v1/"
    auth = MovingimageAuth(server.client_id, server.client_secret, redirect_uri=redirect_uri, api_url=api_url)
    return module.Web(auth, api_url=api_url, redirect_uri=redirect_uri).application


@pytest.fixture
def web(module: Any, server: MovingimageServer) -> Iterator[Web]:
    made = application(module, server)
    with asyncio.Runner() as runner:
        life = made.router.lifespan_context(made)
        runner.run(life.__aenter__())
        yield Web(made, runner)
        runner.run(life.__aexit__(None, None, None))


def codes_sent(server: MovingimageServer) -> list[str]:
    return [call.form["code"] for call in server.token_calls if "code" in call.form]


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def redirect_of(url: str) -> str | None:
    """Where a page of the server leads to."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    with closing(connection):
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().headers["Location"]


# Several people


def test_two_people_at_once_see_what_is_theirs_whatever_happens_to_their_tokens(
    web: Web, server: MovingimageServer
) -> None:
    ann, bob = web.browser("ann"), web.browser("bob")
    assert (ann.sees(), bob.sees()) == (None, None)
    urls = ann.begin(), bob.begin()
    callbacks = [browser.authorize(url) for browser, url in zip((ann, bob), urls, strict=True)]

    async def both(*urls: str, times: int = 1) -> list[httpx.Response]:
        pairs = zip((ann, bob), urls, strict=True)
        return await asyncio.gather(*[browser.send("GET", url) for browser, url in list(pairs) * times])

    assert [answer.status_code for answer in web.runner.run(both(*callbacks))] == [303, 303]
    for _ in range(3):
        calls = len(server.token_calls)
        pages = [answer.text for answer in web.runner.run(both("/", "/", times=25))]
        for text, whose, other in zip(pages, ["ann", "bob"] * 25, ["bob", "ann"] * 25, strict=True):
            assert f"Films of {whose}" in text
            assert f"Films of {other}" not in text
        assert len(server.token_calls) - calls in (0, 2)  # one refresh for each person
        server.revoke_access_tokens()
    assert server.reuse_detected == 0
    assert {request.header("Cookie") for request in server.requests_to("api")} == {None}  # though it sets some


def test_a_person_with_two_browsers_is_one_person(web: Web) -> None:
    desk, phone = web.browser("ann"), web.browser("ann")
    desk.sign_in()
    phone.sign_in()
    assert (desk.sees(), phone.sees()) == ("ann", "ann")
    assert desk.id != phone.id


def test_another_person_may_sign_in_with_the_same_browser(web: Web) -> None:
    browser, with_the_old_id = web.browser("ann"), web.browser()
    browser.sign_in()
    with_the_old_id.cookies.set("session", browser.id, domain="127.0.0.1", path="/")
    browser.name = "bob"
    browser.sign_in()
    assert browser.sees() == "bob"
    assert with_the_old_id.sees() is None


# Answers that are not the browser's own


@pytest.mark.parametrize("query", ["", "?code=forged", "?code=forged&state=forged", "?error=access_denied&state="])
def test_a_forged_callback_signs_nobody_in_and_ends_no_sign_in(web: Web, server: MovingimageServer, query: str) -> None:
    ann = web.browser("ann")
    url = ann.begin()
    answer = ann.get(f"/callback{query}")
    assert (answer.status_code, codes_sent(server), ann.sees()) == (400, [], None)
    assert "not begun in this browser" in answer.text
    assert ann.get(ann.authorize(url)).status_code == 303
    assert ann.sees() == "ann"
    assert ann.get(f"/callback{query}").status_code == 400
    assert ann.sees() == "ann"


@pytest.mark.parametrize("state", ["new", "has begun", "signed in"])
def test_a_browser_does_not_complete_what_another_has_begun(web: Web, server: MovingimageServer, state: str) -> None:
    """Else somebody could make Bob work in Ann's account, and see what he uploads (login CSRF)."""
    ann, bob = web.browser("ann"), web.browser("bob")
    if state == "has begun":
        bob.begin()
    if state == "signed in":
        bob.sign_in()
    callback = ann.authorize(ann.begin())
    assert bob.get(callback).status_code == 400
    assert bob.sees() == ("bob" if state == "signed in" else None)
    assert ann.get(callback).status_code == 303  # and it was not spent
    assert ann.sees() == "ann"


def test_whoever_planted_a_session_id_does_not_get_in_with_it(web: Web) -> None:
    mallory, ann = web.browser(), web.browser("ann")
    mallory.begin()
    ann.cookies.set("session", mallory.id, domain="127.0.0.1", path="/")
    ann.sign_in()
    assert ann.sees() == "ann"
    assert ann.id != mallory.id
    assert mallory.sees() is None


def test_an_id_that_the_application_cannot_have_made_is_replaced(web: Web) -> None:
    browser = web.browser()
    browser.cookies.set("session", "x" * 4000, domain="127.0.0.1", path="/")
    browser.begin()
    assert len(browser.id) == 43


def test_a_callback_that_is_reloaded_sends_no_code_twice_and_signs_nobody_out(
    web: Web, server: MovingimageServer
) -> None:
    ann = web.browser("ann")
    callback = ann.sign_in()
    assert ann.get(callback).status_code == 400
    assert len(codes_sent(server)) == 1
    assert ann.sees() == "ann"


def test_two_tabs_may_sign_in_at_once(web: Web) -> None:
    ann = web.browser("ann")
    callbacks = [ann.authorize(url) for url in (ann.begin(), ann.begin())]
    assert ann.get(callbacks[1]).status_code == 303
    assert ann.sees() == "ann"


# The end


def test_a_session_ends_after_its_time(web: Web, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, begun = web.browser("ann"), module.monotonic()
    ann.sign_in()
    monkeypatch.setattr(module, "monotonic", lambda: begun + 8 * 3600 - 1)
    assert ann.sees() == "ann"
    monkeypatch.setattr(module, "monotonic", lambda: begun + 8 * 3600 + 60)
    assert ann.sees() is None
    assert ann.sign_out().headers["Location"] == "/"


def test_a_sign_in_that_took_too_long_is_begun_anew(
    web: Web, module: Any, server: MovingimageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, begun = web.browser("ann"), module.monotonic()
    callback = ann.authorize(ann.begin())
    monkeypatch.setattr(module, "monotonic", lambda: begun + 660)
    assert ann.get(callback).status_code == 400
    assert codes_sent(server) == []


def test_whose_tokens_have_come_to_their_end_is_sent_to_sign_in(web: Web, server: MovingimageServer) -> None:
    ann, her_phone, bob = web.browser("ann"), web.browser("ann"), web.browser("bob")
    for browser in (ann, her_phone):
        browser.sign_in()
    server.revoke_access_tokens()
    server.revoke_refresh_tokens()
    bob.sign_in()
    answer = ann.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    assert (ann.sees(), her_phone.sees(), bob.sees()) == (None, None, "bob")
    ann.sign_in()
    assert (ann.sees(), her_phone.sees()) == ("ann", None)


def test_signing_out_ends_the_tokens_and_the_session_at_the_server_and_in_all_browsers(
    web: Web, server: MovingimageServer
) -> None:
    ann, library, bob = web.browser("ann"), web.browser("ann"), web.browser("bob")
    for browser in (ann, library, bob):
        browser.sign_in()
    answer = ann.sign_out()
    assert answer.status_code == 303
    told = query_of(answer.headers["Location"])
    assert told["post_logout_redirect_uri"] == [f"{HERE}/"]
    assert told["id_token_hint"]
    assert answer.headers["Location"].startswith(f"{server.issuer}/protocol/openid-connect/logout?")
    assert redirect_of(answer.headers["Location"]) == f"{HERE}/"
    assert [call.form["token_type_hint"] for call in server.requests_to("revocation")] == [
        "refresh_token",
        "access_token",
    ]
    assert (ann.sees(), bob.sees()) == (None, "bob")
    ann.sign_in()
    assert library.sees() is None  # the session that was left open there does not come back to life


def test_signing_out_works_here_while_the_server_is_down(web: Web, server: MovingimageServer) -> None:
    ann = web.browser("ann")
    ann.sign_in()
    server.revocation_faults.always(unavailable(0))
    assert ann.sign_out().status_code == 303
    assert ann.sees() is None


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:8001"])
def test_another_site_signs_nobody_out(web: Web, origin: str | None) -> None:
    ann = web.browser("ann")
    ann.sign_in()
    assert ann.sign_out(origin).status_code == 403
    assert ann.get("/sign-out").status_code == 405
    assert ann.sees() == "ann"


def test_too_many_sign_ins_push_out_the_oldest(web: Web, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    first, second, third = web.browser(), web.browser(), web.browser()
    urls = [browser.begin() for browser in (first, second, third)]
    assert first.get(first.authorize(urls[0])).status_code == 400
    assert third.get(third.authorize(urls[2])).status_code == 303


# Pages


def test_a_person_who_says_no_reads_so_and_is_not_asked_again_at_once(web: Web) -> None:
    ann = web.browser("ann")
    page = ann.get(ann.authorize(ann.begin(), deny=True))
    assert page.status_code == 400
    assert "refused by the person or the server (access_denied" in page.text
    assert ann.sees() is None


def test_nothing_from_elsewhere_is_taken_for_html(web: Web, server: MovingimageServer) -> None:
    ann = web.browser("ann")
    (state,) = query_of(ann.begin())["state"]
    query = {"state": state, "error": "no", "error_description": f"<script>{TAGS}", "iss": server.issuer}
    page = ann.get(str(httpx.URL("/callback", params=query)))
    assert page.status_code == 400
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    ann.sign_in()
    assert "Films of ann &lt;b&gt;&amp;&quot;&#x27;" in ann.get("/").text


def test_what_the_platform_refuses_is_told_on_a_page(web: Web, server: MovingimageServer) -> None:
    ann = web.browser("ann")
    server.metadata_faults.always(Answer(404))
    assert ann.get("/sign-in").status_code == 502
    server.metadata_faults.clear()
    ann.sign_in()
    server.api_faults.add(unavailable(0))
    answer = ann.get("/")
    assert (answer.status_code, "movingimage answered 503" in answer.text) == (502, True)
    server.token_faults.always(Answer(400, body='{"error": "invalid_client"}'))
    answer = ann.get(ann.authorize(ann.begin()))
    assert (answer.status_code, "invalid_client" in answer.text) == (400, True)
    assert ann.sees() == "ann"


def test_pages_hold_no_secret_are_not_stored_and_run_no_script(web: Web, server: MovingimageServer) -> None:
    ann = web.browser("ann")
    url = ann.begin()
    pages = [ann.get("/"), ann.get("/callback?state=x"), ann.get(ann.authorize(url)), ann.get("/")]
    for answer in pages:
        told = f"{answer.headers} {answer.text}"
        assert not [secret for secret in server.secrets() if secret in told]
    for answer in [pages[0], pages[1], pages[3]]:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert ann.get("/style.css").headers["Content-Type"].startswith("text/css")


def test_the_cookie_is_for_this_origin_and_for_no_script(web: Web, module: Any, server: MovingimageServer) -> None:
    cookie = web.browser().get("/sign-in").headers["Set-Cookie"]
    assert re.fullmatch(r"session=[\w-]{43}; HttpOnly; Path=/; SameSite=lax", cookie)
    origin = "https://films.example"
    server.redirect_uris = (f"{origin}/callback",)
    at_its_domain = Web(application(module, server, f"{origin}/callback"), web.runner).browser(origin=origin)
    cookie = at_its_domain.get("/sign-in").headers["Set-Cookie"]
    assert re.fullmatch(r"__Host-session=[\w-]{43}; HttpOnly; Path=/; SameSite=lax; Secure", cookie)


def test_under_another_name_it_answers_nothing(web: Web) -> None:
    for origin in ("http://localhost:8000", "http://evil.example"):
        assert web.browser(origin=origin).get("/").status_code == 400


# Started as a user starts it


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MOVINGIMAGE_")}
    return inherited | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | variables


def test_it_runs_with_uvicorn(server: MovingimageServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        origin = f"http://127.0.0.1:{free.getsockname()[1]}"
    variables = environment(
        MOVINGIMAGE_CLIENT_ID=server.client_id,
        MOVINGIMAGE_CLIENT_SECRET=server.client_secret,
        MOVINGIMAGE_REDIRECT_URI=f"{origin}/callback",
        MOVINGIMAGE_API_URL=f"{server.api_url}/v1/",
    )
    program = [sys.executable, EXAMPLES / "movingimage_web.py"]
    with subprocess.Popen(program, env=variables, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            told = ""
            while "Uvicorn running on" not in told:
                line = running.stderr.readline()
                assert line, told
                told += line
            browser = build_opener(ProxyHandler({}), HTTPCookieProcessor())
            url = browser.open(f"{origin}/sign-in", timeout=30).url
            page = browser.open(FormFiller("ann", PEOPLE["ann"]).authorize(url), timeout=30)
            assert "Films of ann" in page.read().decode()
            page.close()
        finally:
            running.send_signal(signal.SIGINT)
            told += running.communicate(timeout=30)[1]
    assert "Traceback" not in told
    assert "callback" not in told  # its query has a code
    (code,) = codes_sent(server)
    assert code not in told


def test_missing_variables_are_named() -> None:
    run = subprocess.run(
        [sys.executable, EXAMPLES / "movingimage_web.py"],
        env=environment(MOVINGIMAGE_CLIENT_ID="an id"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    assert "MOVINGIMAGE_CLIENT_SECRET" in run.stderr
    assert "MOVINGIMAGE_REDIRECT_URI" in run.stderr
    assert "Traceback" not in run.stderr
