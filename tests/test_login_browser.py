"""Opening a browser: which URLs it ever sees, in which form, and when there is none."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
import webbrowser
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_oauth_auth import ConfigurationError, InsecureTransportError
from video_oauth_auth.login import browser
from video_oauth_auth.login.browser import checked_authorization_url, has_browser, open_in_browser
from video_oauth_auth.origin import insecure_members

URL = "https://login.example.com/authorize?client_id=app&state=SeCrEt-state&code_challenge=SeCrEt-challenge"
CLUSTER = insecure_members(["http://keycloak:8080"])
VARIABLES = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A Linux machine without anything, and no real browser."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "get", lambda using=None: webbrowser.BackgroundBrowser("xdg-open"))
    monkeypatch.setattr(webbrowser, "open", lambda *_, **__: pytest.fail("a browser was opened"))
    return monkeypatch


@pytest.fixture
def desktop(machine):
    """The same with a screen; gives what the browser was asked to open."""
    asked = []
    machine.setenv("DISPLAY", ":0")
    machine.setattr(webbrowser, "open", lambda url, new=0: asked.append((url, new)) or True)
    return asked


# --- URLs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        (URL, URL),
        ("HTTPS://Login.Example.COM:443/Authorize?A=B", "https://login.example.com/Authorize?A=B"),
        ("https://login.example.com", "https://login.example.com/"),
        ("https://login.example.com?", "https://login.example.com/"),
        ("https://login.example.com:8443/a/?x=1", "https://login.example.com:8443/a/?x=1"),
        ("https://xn--exmple-cua.com/", "https://xn--exmple-cua.com/"),
        ("http://127.0.0.1:8080/a?b=c", "http://127.0.0.1:8080/a?b=c"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("http://localhost/a", "http://localhost/a"),
        ("http://keycloak:8080/a", "http://keycloak:8080/a"),
        ("https://h.example/a?x=a+b%20c&y=d%3de/f?:@~", "https://h.example/a?x=a+b%20c&y=d%3De/f?:@~"),
        ("https://h.example/a?x=%action&y=%s", "https://h.example/a?x=%ACtion&y=%25s"),
        ("https://h.example/%action/%zz?100%", "https://h.example/%ACtion/%25zz?100%25"),
        ("https://h.example/a?x=$(id)&y=';id;'", "https://h.example/a?x=%24%28id%29&y=%27%3Bid%3B%27"),
        ("https://h.example/a!*,;(b)", "https://h.example/a%21%2A%2C%3B%28b%29"),
        ("https://h.example/a?[x]=*", "https://h.example/a?%5Bx%5D=%2A"),
        ("https://h.example/a?redirect_uri=-x", "https://h.example/a?redirect_uri=-x"),
    ],
)
def test_a_url_is_opened_in_a_harmless_form(url, opened):
    assert checked_authorization_url(url, insecure_origins=CLUSTER) == opened
    assert checked_authorization_url(opened, insecure_origins=CLUSTER) == opened


NEVER = {
    "script": "javascript:alert(1)//?SeCrEt",
    "script with a host": "javascript://login.example.com/%0aalert(1)?SeCrEt",
    "file": "file:///etc/passwd?SeCrEt",
    "data": "data:text/html,<script>alert(1)</script>?SeCrEt",
    "own scheme": "com.example.app://host/?SeCrEt",
    "view-source": "view-source:https://login.example.com/?SeCrEt",
    "option": "-new-window?SeCrEt",
    "long option": "--gpu-launcher=id?SeCrEt",
    "option after a blank": " -new-window?SeCrEt",
    "option as a scheme": "-https://login.example.com/?SeCrEt",
    "no scheme": "//login.example.com/?SeCrEt",
    "no host": "https:///authorize?SeCrEt",
    "only a query": "https://?SeCrEt",
    "relative": "/authorize?SeCrEt",
    "empty": "",
    "user": "https://user@login.example.com/?SeCrEt",
    "user and password": "https://login.example.com:SeCrEt@evil.example/?SeCrEt",
    "fragment": "https://login.example.com/?SeCrEt#x",
    "empty fragment": "https://login.example.com/?SeCrEt#",
    "foreign without TLS": "http://evil.example/?SeCrEt",
    "foreign that looks like loopback": "http://127.0.0.1.evil.example/?SeCrEt",
    "another port of a listed host": "http://keycloak/?SeCrEt",
    "blank": "https://login.example.com/a b?SeCrEt",
    "blank in the query": "https://login.example.com/a?SeCrEt b",
    "blank first": " https://login.example.com/?SeCrEt",
    "line feed": "https://login.example.com/\n?SeCrEt",
    "line feed at the end": "https://login.example.com/?SeCrEt\n",
    "tab": "java\tscript:alert(1)?SeCrEt",
    "nul": "https://login.example.com/?SeCrEt\0",
    "escape": "https://login.example.com/?SeCrEt\x1b[2J",
    "delete": "https://login.example.com/?SeCrEt\x7f",
    "double quote": 'https://login.example.com/?SeCrEt"',
    "backslash": "https://login.example.com\\@evil.example/?SeCrEt",
    "backquote": "https://login.example.com/?SeCrEt=`id`",
    "pipe": "https://login.example.com/?SeCrEt|id",
    "redirection": "https://login.example.com/?SeCrEt>x",
    "redirection in": "https://login.example.com/?SeCrEt<x",
    "caret": "https://login.example.com/?SeCrEt^x",
    "braces": "https://login.example.com/?SeCrEt={a,b}",
    "umlaut in the host": "https://l\xf6gin.example.com/?SeCrEt",
    "umlaut in the query": "https://login.example.com/?SeCrEt=\xf6",
    "text direction": "https://login.example.com/?SeCrEt=\u202e",
    "port 0": "https://login.example.com:0/?SeCrEt",
    "port that is none": "https://login.example.com:99999/?SeCrEt",
    "odd port": "https://login.example.com:8a/?SeCrEt",
    "wildcard": "https://*.example.com/?SeCrEt",
    "shell in the host": "https://$(id).example.com/?SeCrEt",
    "endless": "https://login.example.com/?SeCrEt=" + 70_000 * "x",
}


@pytest.mark.parametrize("url", NEVER.values(), ids=NEVER)
def test_what_is_no_url_of_a_sign_in_is_never_opened_and_its_query_never_shown(desktop, url):
    opened = []
    for open_it in (
        lambda: checked_authorization_url(url, insecure_origins=CLUSTER),
        lambda: open_in_browser(url, insecure_origins=CLUSTER),
        lambda: open_in_browser(url, opened.append, insecure_origins=CLUSTER),
    ):
        with pytest.raises((ConfigurationError, InsecureTransportError)) as caught:
            open_it()
        assert "SeCrEt" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert desktop == opened == []


def test_a_url_without_tls_is_opened_only_where_its_origin_is_listed(desktop):
    assert open_in_browser("http://keycloak:8080/a", insecure_origins=CLUSTER)
    with pytest.raises(InsecureTransportError, match="http://keycloak:8080 is not https"):
        open_in_browser("http://keycloak:8080/a")
    assert [url for url, _ in desktop] == ["http://keycloak:8080/a"]


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_no_query_or_path_comes_out_with_a_character_that_means_something_to_a_shell(text):
    for url in (f"https://h.example/{text}", f"https://h.example/?{text}"):
        try:
            checked = checked_authorization_url(url)
        except ConfigurationError:
            continue
        rest = checked.removeprefix("https://h.example")
        assert rest.startswith("/")
        assert not set(rest) & set("\"'`$();|<>\\^{}[]!*,# ")
        assert "%action" not in rest
        assert "%s" not in rest
        assert checked_authorization_url(checked) == checked
        assert parse_qsl(urlsplit(checked).query, keep_blank_values=True) == parse_qsl(
            urlsplit(url).query, keep_blank_values=True
        )


# --- opening ------------------------------------------------------------------------------------------------------


def test_the_browser_of_the_machine_opens_a_new_window(desktop):
    assert open_in_browser(URL)
    assert desktop == [(URL, 1)]


def test_an_opener_of_ones_own_is_taken_instead_even_without_a_display(machine):
    opened = []
    assert open_in_browser(URL, opened.append)  # it gives None, as most functions do
    assert opened == [URL]


def fail(*arguments, **keywords):
    raise RuntimeError(f"cannot open {arguments}")


@pytest.mark.parametrize("opener", [lambda url: False, fail], ids=["False", "exception"])
def test_an_opener_that_fails_is_no_error(machine, opener):
    assert open_in_browser(URL, opener) is False


@pytest.mark.parametrize("outcome", [lambda url, new: False, fail], ids=["False", "exception"])
def test_a_browser_that_fails_is_no_error(desktop, machine, outcome, capfd):
    machine.setattr(webbrowser, "open", outcome)
    assert open_in_browser(URL) is False
    assert capfd.readouterr() == ("", "")


def test_a_browser_command_that_lasts_as_long_as_the_browser_does_not_hold_up_the_sign_in(desktop, machine):
    machine.setattr(browser, "STARTED_AFTER", 0.1)
    closed, started = threading.Event(), []

    def lasting(url, new):
        started.append(threading.current_thread())
        return closed.wait(30)

    machine.setattr(webbrowser, "open", lasting)
    before = time.monotonic()
    assert open_in_browser(URL)
    assert time.monotonic() - before < 10
    assert started[0].daemon
    closed.set()
    started[0].join(10)


# --- where there is none ------------------------------------------------------------------------------------------

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"BROWSER": "/opt/browser"}, True),
        ("linux", SSH, False),
        ("linux", {**SSH, "DISPLAY": "localhost:10.0"}, True),
        ("linux", {**SSH, "BROWSER": "/opt/opens-at-the-other-end"}, True),
        ("freebsd14", {}, False),
        ("darwin", {}, True),
        ("darwin", SSH, False),
        ("win32", {}, True),
        ("win32", SSH, False),
    ],
)
def test_a_browser_is_tried_only_where_somebody_would_see_it(machine, platform, variables, expected):
    machine.setattr(sys, "platform", platform)
    for name, value in variables.items():
        machine.setenv(name, value)
    asked = []
    machine.setattr(webbrowser, "open", lambda url, new: asked.append(url) or True)
    assert has_browser() is expected
    assert open_in_browser(URL) is expected
    assert asked == [URL] * expected


def test_without_any_browser_nothing_is_tried(machine):
    def none(using=None):
        raise webbrowser.Error("could not locate runnable browser")

    machine.setenv("DISPLAY", ":0")
    machine.setattr(webbrowser, "get", none)
    assert open_in_browser(URL) is False


@pytest.mark.parametrize("command", ["w3m", "lynx", "links", "elinks", "www-browser", "/usr/bin/w3m", ["lynx", "%s"]])
def test_a_browser_that_would_take_over_the_terminal_is_not_tried(machine, command):
    machine.setenv("DISPLAY", ":0")
    machine.setattr(webbrowser, "get", lambda using=None: webbrowser.GenericBrowser(command))
    assert open_in_browser(URL) is False


def test_a_browser_that_the_program_registered_itself_needs_no_name(desktop, machine):
    machine.setattr(webbrowser, "get", lambda using=None: object())
    assert open_in_browser(URL)


# --- real processes -----------------------------------------------------------------------------------------------

RECORDER = """#!{python}
import json, sys
with open({record!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit({status})
"""
OPENS = """
import sys
from video_oauth_auth.login.browser import open_in_browser
print(open_in_browser(sys.argv[1]))
"""
ATTACKS = [
    URL,
    "https://h.example/a?x=%action&y=%s&z=%%",
    "https://h.example/a?x=$(touch pwned)".replace(" ", "%20"),
    "https://h.example/a?x=';id;'&y=$HOME&z=!!&*",
    "https://h.example/-new-window?--x&-y",
]


@pytest.fixture
def recorder(tmp_path):
    """Make a browser that writes down its arguments; gives its path and what it wrote."""
    record = tmp_path / "record"
    record.touch()

    def make(name="recorder", status=0):
        script = tmp_path / name
        script.write_text(RECORDER.format(python=sys.executable, record=str(record), status=status))
        script.chmod(0o755)
        return script

    return make, lambda: [json.loads(line) for line in record.read_text().splitlines()]


def run_with(url, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", OPENS, url],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("form", ["{}", "{} %s", "{} --profile=x %s"])
@pytest.mark.parametrize("url", ATTACKS)
def test_the_command_in_browser_gets_exactly_one_argument_the_checked_url(recorder, form, url):
    make, recorded = recorder
    assert run_with(url, BROWSER=form.format(shlex.quote(str(make())))) == "True"
    assert recorded() == [[*(["--profile=x"] if "profile" in form else []), checked_authorization_url(url)]]


@pytest.mark.parametrize("url", ATTACKS)
@pytest.mark.parametrize(("name", "options"), [("firefox", ["-new-window"]), ("chromium", ["--new-window"])])
def test_a_url_cannot_bring_options_of_a_browser_with_it(recorder, name, options, url, tmp_path):
    """Python puts the option for a new window wherever `%action` stands, in the URL too."""
    make, recorded = recorder
    make(name)
    variables = {"PATH": str(tmp_path), "DISPLAY": ":0"}
    assert run_with(url, **variables) == "True"
    assert recorded() == [[*options, checked_authorization_url(url)]]


def test_a_browser_that_fails_at_once_leads_to_the_next_one_or_to_false(recorder):
    make, recorded = recorder
    broken = str(make("broken", status=1))
    assert run_with(URL, BROWSER=broken) == "False"
    assert run_with(URL, BROWSER=os.pathsep.join([broken, str(make())])) == "True"
    assert recorded() == [[URL]] * 3


def test_a_browser_that_is_not_there_is_no_error(tmp_path):
    assert run_with(URL, BROWSER=str(tmp_path / "missing"), PATH=str(tmp_path)) == "False"
