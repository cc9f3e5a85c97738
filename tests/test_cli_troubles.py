"""The command where something around it is odd: streams, encodings, names, headers, proxies, files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from video_oauth_auth import ConfigurationError, OAuth2Auth
from video_oauth_auth.grants import DeviceCode
from video_oauth_auth.profile_secrets import Secret
from video_oauth_auth.testing import Answer, Hold, OAuthServer, redirect

from . import command_line
from .command_line import COMMAND, SECRET_VARIABLE, Home, brightcove, check_silent, generic
from .test_cli_request import Terminal, answering, last

home = command_line.home

PATIENCE = 30.0


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthServer]:
    """A server, and a profile for it: acme."""
    with OAuthServer(client_secret="an-invented-client-secret", refresh_tokens=True) as running:
        monkeypatch.setenv(SECRET_VARIABLE, running.client_secret)
        home.profiles(acme=brightcove(running))
        yield running


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell, where `voa` is the command; no traceback comes."""
    command = line.replace("voa", shlex.join(COMMAND))
    environment = {**os.environ, **variables}
    run = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=PATIENCE, check=False)
    assert b"Traceback" not in run.stderr, run.stderr.decode()
    assert b"ignored" not in run.stderr, run.stderr.decode()
    return run


# --- streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["token acme", "status", "doctor acme", "request GET {api}/me", "--help"])
def test_a_full_disk_is_told_in_a_line(home, server, arguments):
    home.run("token", "acme")
    run = shell(f"voa {arguments.format(api=server.api_url)} > /dev/full")
    assert (run.returncode, run.stderr.decode()) == (1, f"video-oauth-auth: {os.strerror(errno.ENOSPC)}\n")


@pytest.mark.parametrize("arguments", ["token acme", "status", "doctor acme", "request GET {api}/me"])
def test_a_closed_stdout_is_no_trouble(home, server, arguments):
    home.run("token", "acme")
    assert shell(f"voa {arguments.format(api=server.api_url)} >&-").returncode == 0


def test_a_closed_stdin_has_nothing_to_send(home, server):
    assert shell(f"voa request POST {server.api_url}/echo -d @- <&-").returncode == 0
    assert last(server).body == b""


def test_without_stderr_the_status_still_tells(home, server):
    assert shell("voa token nobody 2>&-").returncode == 2
    assert shell("voa token nobody 2> /dev/full").returncode in (1, 2)


def test_letters_that_a_stream_does_not_know_are_escaped(home, server):
    answering(server, Answer(200, headers=(("Content-Type", "application/json"),), body='{"a": "ü \\ud800"}'.encode()))
    for encoding in ("ascii", "utf-8"):
        terminal = Terminal(home, "request", "GET", f"{server.api_url}/me", PYTHONIOENCODING=encoding, NO_COLOR="1")
        assert terminal.status == 0
        assert "\\ud800" in terminal.text
        assert ("ü" if encoding == "utf-8" else "\\xfc") in terminal.text


def interrupt(process):
    """Press Ctrl-C until it is seen: between the question and the wait for its answer Python does not look."""
    for _ in range(round(PATIENCE)):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
            return


@pytest.mark.parametrize("key", [b"\x03", b"n\n"])
def test_ctrl_c_at_a_question_is_130_and_no_is_1(home, key):
    fd, terminal = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, "credentials", "brightcove", "delete", "an-id"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env={**os.environ, "BC_TOKEN": "invented", "TERM": "dumb"},
    )
    os.close(terminal)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(fd, 1024)
    if key == b"\x03":
        interrupt(process)
    else:
        os.write(fd, key)
    assert process.wait(PATIENCE) == (130 if key == b"\x03" else 1)
    os.close(fd)


# --- what is sent -------------------------------------------------------------------------------------------------


def test_bytes_that_are_no_utf_8_are_sent_as_they_are(home, server):
    assert shell(f"voa request POST {server.api_url}/upload -d $'a=\\xff'").returncode == 0
    assert last(server).body == b"a=\xff"
    assert shell(f"voa request POST {server.api_url}/upload -F $'a=\\xff'").returncode == 0
    assert b"\r\n\r\n\xff\r\n" in last(server).body
    assert shell(f"voa request POST {server.api_url}/upload -F $'a\\xff=b'").returncode == 2


def test_a_file_may_have_any_name(home, server, tmp_path):
    path = os.fsencode(tmp_path) + b"/[bold]\xff\x1b.mp4"
    Path(os.fsdecode(path)).write_bytes(b"a film")
    result = home.run("request", "POST", f"{server.api_url}/upload", "-F", f"a=@{os.fsdecode(path)}")
    assert result.exit_code == 0, result.output
    assert b"a film" in last(server).body
    terminal = Terminal(home, "request", "PUT", f"{server.api_url}/upload", "-d", f"@{os.fsdecode(path)}")
    assert terminal.status == 0
    assert "[bold]" in terminal.text
    assert "\x1b.mp4" not in terminal.text


def test_parts_may_tell_their_type_and_name(home, server, tmp_path):
    (tmp_path / "film").write_bytes(b"a film")
    parts = (
        'meta={"a;b": 1};type=application/json',
        "note=yes;no",
        f"one=@{tmp_path / 'film'};type=video/mp4;filename=summer.mp4",
        f"two=@{tmp_path / 'film'};filename=winter.bin;type=text/plain; charset=utf-8",
    )
    home.run("request", "POST", f"{server.api_url}/upload", *(word for part in parts for word in ("-F", part)))
    body = last(server).body
    assert b'name="meta"\r\nContent-Type: application/json\r\n\r\n{"a;b": 1}\r\n' in body
    assert b'name="note"\r\n\r\nyes;no\r\n' in body
    assert b'name="one"; filename="summer.mp4"\r\nContent-Type: video/mp4\r\n\r\na film\r\n' in body
    assert b'name="two"; filename="winter.bin"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\na film\r\n' in body


def test_headers_are_left_out_emptied_and_sent_in_utf_8_as_with_curl(home, server):
    headers = ("-H", "Accept:", "-H", "Content-Type:", "-H", "X-Empty;", "-H", "X-Name: Ü")
    assert home.run("request", "POST", f"{server.api_url}/echo", "-d", "a", *headers).exit_code == 0
    assert last(server).header("Accept") is None
    assert last(server).header("Content-Type") is None
    assert last(server).header("X-Empty") == ""
    assert last(server).header("X-Name").encode("latin-1") == "Ü".encode()


def test_an_authorization_of_ones_own_is_replaced_and_that_is_said(home, server):
    result = home.run("request", "GET", f"{server.api_url}/me", "-H", "authorization: Bearer mine")
    assert result.exit_code == 0
    assert "the token of acme takes the place of the Authorization that -H gives" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("G T", "/me"), "METHOD is a word"),
        (("GÜT", "/me"), "METHOD is a word"),
        (("", "/me"), "METHOD is a word"),
        (("POST", "/me", "-H", "Content-Length: 1", "-d", "abc"), "is made from the URL and the body"),
        (("POST", "/me", "-H", "Host:"), "is made from the URL and the body"),
        (("POST", "/me", "-H", "X Y: 1"), "-H takes a header"),
    ],
)
def test_what_is_no_request_is_bad_usage(home, server, arguments, says):
    method, path, *rest = arguments
    result = home.run("request", method, f"{server.api_url}{path}", *rest)
    assert result.exit_code == 2
    assert says in result.stderr
    assert server.requests == ()


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"HTTPS_PROXY": "nonsense://x"}, "HTTPS_PROXY"),
        ({"HTTP_PROXY": "http://ann:an-invented-word@127.0.0.1:xx"}, "HTTPS_PROXY"),
        ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "pip install 'httpx[socks]'"),
        ({"SSL_CERT_FILE": "/nonexistent"}, "SSL_CERT_FILE"),
    ],
)
def test_an_environment_that_no_client_can_use_is_told(home, server, monkeypatch, variables, says):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "socksio", None)
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 2
    assert says in result.stderr
    assert "invented-word" not in result.output


def test_the_rest_of_stdin_is_sent(home, server, tmp_path):
    (tmp_path / "film").write_bytes(b"first line\na film" * 50_000)
    run = shell(f"{{ read; voa request PUT {server.api_url}/upload -d @-; }} < {tmp_path / 'film'}")
    assert run.returncode == 0, run.stderr
    assert last(server).sha256 == hashlib.sha256((b"first line\na film" * 50_000)[11:]).hexdigest()


@pytest.mark.skipif(sys.platform != "linux", reason="has files that are longer than they say")
def test_a_file_that_changes_while_it_is_sent_is_told(home, server):
    result = home.run("request", "PUT", f"{server.api_url}/upload", "-d", "@/proc/cpuinfo")
    assert result.exit_code == 1
    assert "the file has changed meanwhile" in result.stderr


# --- what comes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", ["hex", "rot13", "zlib", "idna", "undefined", "utf-16", "punycode", "iso-8859-1"])
def test_any_charset_may_be_said(home, server, charset):
    answering(server, Answer(200, headers=(("Content-Type", f"text/plain; charset={charset}"),), body=b"7a \xff film"))
    terminal = Terminal(home, "request", "GET", f"{server.api_url}/me")
    assert terminal.status == 0
    assert "film" in terminal.text


def test_an_error_that_is_no_text_is_22_and_nothing_is_nothing(home, server):
    png = (("Content-Type", "image/png"),)
    answering(server, Answer(500, headers=png, body=b"\x89PNG"))
    terminal = Terminal(home, "request", "GET", f"{server.api_url}/me")
    assert terminal.status == 22
    assert "not for a terminal" in terminal.text
    assert "HTTP 500" in terminal.text
    server.api_faults.clear()
    answering(server, Answer(200, headers=png))
    assert Terminal(home, "request", "HEAD", f"{server.api_url}/me").status == 0


def test_numbers_are_shown_with_all_their_digits(home, server):
    numbers = b'{"a": [1.10, 12345678901234567890.123, 1e999, 7], "b": "1.10"}'
    answering(server, Answer(200, headers=(("Content-Type", "application/json"),), body=numbers))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", Terminal(home, "request", "GET", f"{server.api_url}/me").text)
    assert "".join(shown.split()) == "".join(numbers.decode().split())


def test_lines_may_end_as_they_like(home, server):
    answering(server, Answer(200, headers=(("Content-Type", "text/plain"),), chunks=(b"one\r", b"\ntwo\r\nthree\n")))
    assert Terminal(home, "request", "GET", f"{server.api_url}/me").text.split("\r\n") == ["one", "two", "three", ""]


def test_a_redirect_to_what_is_no_url_is_1(home, server):
    answering(server, redirect(302, "javascript:1"))
    assert home.run("doctor", "acme", "--url", f"{server.api_url}/me").exit_code == 5
    assert home.run("request", "GET", f"{server.api_url}/me").exit_code == 1


def test_a_dash_is_stdout(home, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert '"sub"' in home.run("request", "GET", f"{server.api_url}/me", "-o", "-").stdout
    assert not Path("-").exists()


def test_a_file_keeps_its_mode_and_a_link_stays_one(home, server, tmp_path):
    (tmp_path / "film").write_text("the old one")
    (tmp_path / "film").chmod(0o600)
    (tmp_path / "link").symlink_to("film")
    assert home.run("request", "GET", f"{server.api_url}/me", "-o", str(tmp_path / "link")).exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "film").stat().st_mode & 0o777 == 0o600
    assert '"sub"' in (tmp_path / "film").read_text()


def test_files_beside_are_left_alone(home, server, tmp_path):
    (tmp_path / "film.part").write_text("of another program")
    assert home.run("request", "GET", f"{server.api_url}/me", "-o", str(tmp_path / "film")).exit_code == 0
    assert (tmp_path / "film.part").read_text() == "of another program"


@pytest.mark.parametrize("place", ["", "no/such/film"])
def test_where_no_file_can_be_nothing_is_sent(home, server, tmp_path, place):
    result = home.run("request", "POST", f"{server.api_url}/upload", "-d", "a", "-o", str(tmp_path / place))
    assert result.exit_code == 1
    assert server.requests == ()


# --- profiles and secrets -----------------------------------------------------------------------------------------


def test_a_secret_may_come_from_a_pipe(home, server, tmp_path):
    (tmp_path / "secret").write_text("an-invented-client-secret\n")
    options = f"--issuer {server.issuer} --client-id {server.client_id}"
    run = shell(f"voa token {options} --client-secret-file <(cat {tmp_path / 'secret'})")
    assert run.returncode == 0, run.stderr
    assert len(server.token_calls) == 1


def test_a_device_code_signs_in_with_what_a_profile_asks_for(home, server):
    home.profiles(people=generic(server, resource=["https://api.example.com"]))
    result = home.run("login", "people", "--device", "--timeout", "0.5")
    assert result.exit_code == 3, result.output
    assert "and enter the code" in result.stderr


def test_what_a_given_grant_would_ignore_is_refused(home, server):
    home.profiles(people=generic(server))
    with pytest.raises(ConfigurationError, match="with grant= given, redirect_uri, scope would be ignored"):
        OAuth2Auth.from_profile("people", grant=DeviceCode())


def test_a_profile_that_sends_tokens_readable_keeps_no_other_from_being_found(home, server):
    insecure = {**brightcove(server), "server": {"token_endpoint": "http://login.example.com/token"}}
    home.profiles(acme=brightcove(server), insecure=insecure)
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 0
    assert "Warning: the profile 'insecure': http://login.example.com is not https" in result.stderr


@pytest.mark.parametrize(
    ("place", "says"),
    [("~nobody-of-that-name/secret", "there is no home directory"), ("a\\u0000b", "no path holds a NUL")],
)
def test_a_secret_file_that_cannot_be_named_is_told(home, place, says):
    home.write(f'[acme]\nplatform = "brightcove"\nclient_id = "x"\nclient_secret_file = "{place}"\n')
    result = home.run("token", "acme")
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_profile_file_may_begin_with_a_mark_and_not_nest_without_end(home, server):
    path = home.profiles(acme=brightcove(server))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert home.run("token", "acme").exit_code == 0
    home.write("a = " + "[" * 10_000)
    result = home.run("token", "acme")
    assert result.exit_code == 2
    assert "nested too deep" in result.stderr


def test_what_is_typed_in_another_encoding_is_told(monkeypatch):
    def typed(*_: object, **__: object) -> str:
        return b"\xff".decode()

    monkeypatch.setattr("getpass.getpass", typed)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(ConfigurationError, match="encoding") as caught:
        Secret("prompt", "secret")()
    assert caught.value.__cause__ is None


def test_a_narrow_terminal_loses_nothing(home, server):
    home.run("token", "acme")
    for arguments in (("status",), ("discover", server.issuer)):
        assert "…" not in Terminal(home, *arguments, COLUMNS="40").text


def test_a_request_that_is_stopped_leaves_nothing(home, server, tmp_path):
    home.run("token", "acme")
    server.api_faults.always(Hold())
    with home.process("request", "GET", f"{server.api_url}/me", "-o", str(tmp_path / "film")) as process:
        server.wait_for(lambda: server.held)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert not list(tmp_path.glob("*.part"))
    check_silent(server, stdout, stderr)
