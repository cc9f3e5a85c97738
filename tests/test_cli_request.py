"""`video-oauth-auth request`: what is sent, what becomes of the answer, and where no token goes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from video_oauth_auth.testing import Answer, Drop, OAuthServer, json_answer, redirect, text_answer

from . import command_line
from .command_line import SECRET_VARIABLE, Home, brightcove, check_silent, generic

home = command_line.home

PATIENCE = 30.0
ESC = "\x1b]0;title\x07\x9b31m"


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthServer]:
    """A server, and a profile for it: acme."""
    with OAuthServer(client_secret="an-invented-client-secret") as running:
        monkeypatch.setenv(SECRET_VARIABLE, running.client_secret)
        home.profiles(acme=brightcove(running))
        yield running


def last(server: OAuthServer):
    return server.requests_to("api")[-1]


def answering(server: OAuthServer, answer: Answer) -> None:
    """Let the API answer everything so."""
    server.api_faults.always(answer)


class Terminal:
    """The command with stdout and stderr on a terminal."""

    def __init__(self, home: Home, *arguments: str, **variables: str) -> None:
        fd, terminal = os.openpty()
        environment = {name: value for name, value in os.environ.items() if name not in command_line.UNWANTED}
        process = subprocess.Popen(
            [*command_line.COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", **variables},
        )
        os.close(terminal)
        shown = b""
        try:
            while came := os.read(fd, 65536):
                shown += came
        except OSError:  # the command has ended
            pass
        os.close(fd)
        self.status = process.wait(PATIENCE)
        self.text = shown.decode()


# --- which token --------------------------------------------------------------------------------------------------


def test_the_profile_that_has_the_origin_is_used(home, server):
    home.profiles(acme=brightcove(server), other=brightcove(server, origins=["https://api.example.com"]))
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["sub"] == server.client_id
    assert result.stderr == ""
    check_silent(server, result.output)


def test_where_two_profiles_have_the_origin_one_is_to_be_named(home, server):
    home.profiles(acme=brightcove(server), other=brightcove(server))
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 2
    assert "acme and other have the origin" in result.stderr
    assert home.run("request", "-p", "other", "GET", f"{server.api_url}/me").exit_code == 0


def test_where_no_profile_has_the_origin_one_is_to_be_named(home, server):
    result = home.run("request", "GET", f"{server.foreign_url}/")
    assert result.exit_code == 2
    assert f"has the origin {server.foreign_url}: name one by --profile" in result.stderr
    assert server.requests == ()


def test_a_platforms_environment_is_found_by_the_origin_too(home, server, monkeypatch):
    home.write("")
    for name, value in (("ISSUER", server.issuer), ("CLIENT_ID", server.client_id)):
        monkeypatch.setenv(f"CIDAAS_{name}", value)
    monkeypatch.setenv("CIDAAS_CLIENT_SECRET", server.client_secret)
    assert home.run("request", "GET", f"{server.issuer}/userinfo").exit_code in (0, 22)
    assert len(server.token_calls) == 1


def test_a_broken_profile_does_not_keep_others_from_being_found(home, server):
    home.profiles(acme=brightcove(server), broken={"platform": "brightcove", "cleint_id": "x"})
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 0
    assert "Warning: the profile 'broken'" in result.stderr


def test_a_foreign_origin_gets_no_token_and_that_is_said(home, server):
    result = home.run("request", "-p", "acme", "GET", f"{server.foreign_url}/")
    assert result.exit_code == 0
    assert result.stdout == "a foreign site"
    assert f"{server.foreign_url} is no origin of acme: this request carries no token" in result.stderr
    (seen,) = server.requests_to("foreign")
    assert seen.header("Authorization") is None
    assert server.token_calls == ()


def test_a_redirect_is_followed_on_request_only_and_gets_no_token_elsewhere(home, server):
    url = f"{server.api_url}/redirect?to={server.foreign_url}/films&status=302"
    assert home.run("request", "GET", url).stdout == ""
    assert server.requests_to("foreign") == ()
    assert home.run("request", "-L", "GET", url).stdout == "a foreign site"
    assert server.requests_to("foreign")[0].header("Authorization") is None


def test_a_401_is_met_with_a_newer_token(home, server):
    home.run("token", "acme")
    server.revoke_access_tokens()
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 0
    assert [one.status for one in server.requests_to("api")] == [401, 200]


def test_nobody_signed_in_is_3_and_tells_how(home, server):
    home.profiles(acme=generic(server))
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 3
    assert "video-oauth-auth login acme" in result.stderr


def test_any_server_can_be_named(home, server):
    arguments = ("--issuer", server.issuer, "--client-id", server.client_id, "--client-secret-env", SECRET_VARIABLE)
    result = home.run("request", "GET", f"{server.api_url}/me", *arguments, "--origin", server.api_url)
    assert result.exit_code == 0, result.stderr


# --- what is sent -------------------------------------------------------------------------------------------------


def test_data_is_a_form_as_with_curl(home, server):
    home.run("request", "post", f"{server.api_url}/echo", "-d", "name=Summer", "-d", "year=2026")
    assert last(server).method == "POST"
    assert last(server).body == b"name=Summer&year=2026"
    assert last(server).header("Content-Type") == "application/x-www-form-urlencoded"


def test_headers_are_sent(home, server):
    home.run(
        "request", "PUT", f"{server.api_url}/echo", "-d", "{}", "-H", "content-type: application/json", "-H", "X-A:b: c"
    )
    assert last(server).header("Content-Type") == "application/json"
    assert last(server).header("X-A") == "b: c"
    assert last(server).header("Authorization").startswith("Bearer ")


def test_what_comes_is_not_compressed_unless_that_is_asked_for(home, server):
    home.run("request", "GET", f"{server.api_url}/echo")
    assert last(server).header("Accept-Encoding") == "identity"
    home.run("request", "GET", f"{server.api_url}/echo", "-H", "Accept-Encoding: gzip")
    assert last(server).header("Accept-Encoding") == "gzip"


def test_a_file_is_sent_as_it_is(home, server, tmp_path):
    film = bytes(range(256)) * 4000
    (tmp_path / "film").write_bytes(film)
    home.run("request", "PUT", f"{server.api_url}/upload", "-d", f"@{tmp_path / 'film'}")
    assert last(server).sha256 == hashlib.sha256(film).hexdigest()
    assert last(server).header("Content-Length") == str(len(film))


def test_a_file_is_sent_again_from_its_start_after_a_401(home, server, tmp_path):
    (tmp_path / "film").write_bytes(b"a film" * 50_000)
    home.run("token", "acme")
    server.revoke_access_tokens()
    result = home.run("request", "PUT", f"{server.api_url}/upload", "-d", f"@{tmp_path / 'film'}")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["size"] == 300_000
    assert [one.status for one in server.requests_to("api")] == [401, 200]


def test_parts_are_sent_in_their_order(home, server, tmp_path):
    (tmp_path / "summer.mp4").write_bytes(b"a film")
    arguments = ("-F", "title=Summer=now", "-F", f"file=@{tmp_path / 'summer.mp4'}", "-F", "end=1")
    home.run("request", "POST", f"{server.api_url}/upload", *arguments)
    body = last(server).body
    assert last(server).header("Content-Type").startswith("multipart/form-data; boundary=")
    assert re.findall(rb'; name="(\w+)"', body) == [b"title", b"file", b"end"]
    assert b'filename="summer.mp4"\r\nContent-Type: video/mp4\r\n\r\na film\r\n' in body
    assert b"\r\n\r\nSummer=now\r\n" in body


def test_parts_are_sent_again_after_a_401(home, server, tmp_path):
    (tmp_path / "summer.mp4").write_bytes(b"a film" * 50_000)
    home.run("token", "acme")
    server.revoke_access_tokens()
    url = f"{server.api_url}/upload"
    assert home.run("request", "POST", url, "-F", f"file=@{tmp_path / 'summer.mp4'}").exit_code == 0
    first, second = server.requests_to("api")
    assert (first.status, second.status) == (401, 200)
    assert first.sha256 == second.sha256


def test_what_comes_from_a_pipe_is_sent_as_it_comes(home, server):
    with home.process("request", "PUT", f"{server.api_url}/upload", "-d", "@-", stdin=subprocess.PIPE) as process:
        stdout, stderr = process.communicate("a film" * 50_000, timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["size"] == 300_000
    assert last(server).header("Transfer-Encoding") == "chunked"


def test_what_comes_from_a_pipe_cannot_be_sent_again_and_that_is_said(home, server):
    home.run("token", "acme")
    server.revoke_access_tokens()
    result = home.run("request", "PUT", f"{server.api_url}/upload", "-d", "@-", stdin="a film")
    assert result.exit_code == 22
    assert "came from a pipe and could not be sent a second time" in result.stderr
    assert [one.status for one in server.requests_to("api")] == [401]
    assert home.run("request", "PUT", f"{server.api_url}/upload", "-d", "@-", stdin="a film").exit_code == 0


def test_stdin_that_is_a_file_can_be_sent_again(home, server, tmp_path):
    (tmp_path / "film").write_bytes(b"a film" * 50_000)
    home.run("token", "acme")
    server.revoke_access_tokens()
    with (
        (tmp_path / "film").open("rb") as film,
        home.process("request", "PUT", f"{server.api_url}/upload", "-d", "@-", stdin=film) as process,
    ):
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["size"] == 300_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-d", "a", "-F", "b=c"), "-d and -F are two kinds of bodies"),
        (("-d", "a", "-d", "@film"), "-d @file stands alone"),
        (("-d", "@film"), "film cannot be read: No such file"),
        (("-d", "@/dev/null"), "/dev/null is no file"),
        (("-F", "film"), "-F takes name=value, or name=@file"),
        (("-F", "a=@film"), "film cannot be read: No such file"),
        (("-H", "X-A"), "-H takes a header"),
        (("-H", "X-A: b\r\nX-B: c"), "-H takes a header"),
    ],
)
def test_what_cannot_be_sent_is_bad_usage(home, server, arguments, says):
    result = home.run("request", "POST", f"{server.api_url}/upload", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert server.requests == ()


@pytest.mark.parametrize("url", ["api.example.com/films", "ftp://api.example.com/", "https://", "https://[x/", ""])
def test_what_is_no_url_is_bad_usage(home, server, url):
    result = home.run("request", "-p", "acme", "GET", url)
    assert result.exit_code == 2
    assert "URL has to be absolute" in result.stderr


# --- what comes back ----------------------------------------------------------------------------------------------


def test_a_pipe_gets_the_answer_as_it_is(home, server):
    raw = b'{"b":1.0,  "a":[1,2]}\r\n\xff'
    answering(server, Answer(200, headers=(("Content-Type", "application/json"),), body=raw))
    result = home.run("request", "GET", f"{server.api_url}/films")
    assert result.stdout_bytes == raw


def test_an_error_is_printed_and_ends_with_22(home, server):
    result = home.run("request", "GET", f"{server.api_url}/nothing-there")
    assert result.exit_code == 22
    assert json.loads(result.stdout) == {"error": "not_found"}
    assert result.stderr == "HTTP 404 Not Found\n"


def test_a_401_that_stays_is_22(home, server):
    result = home.run("request", "GET", f"{server.api_url}/always-401")
    assert result.exit_code == 22
    assert result.stderr.endswith("HTTP 401 Unauthorized\n")


def test_an_api_that_is_away_is_5(home, server):
    home.run("token", "acme")
    server.api_faults.always(Drop("before"))
    result = home.run("request", "GET", f"{server.api_url}/me")
    assert result.exit_code == 5
    assert result.stderr.startswith(f"video-oauth-auth: {server.api_url}: ")


def test_redirects_without_end_are_1(home, server):
    answering(server, redirect(302, f"{server.api_url}/again"))
    result = home.run("request", "-L", "GET", f"{server.api_url}/again")
    assert result.exit_code == 1


def test_an_answer_is_written_into_a_file(home, server, tmp_path):
    path = tmp_path / "film"
    path.write_text("the old one")
    result = home.run("request", "GET", f"{server.api_url}/stream", "-o", str(path))
    assert result.exit_code == 0
    assert result.output == ""
    assert path.read_bytes().startswith(b"chunk 0\nchunk 1\n")
    assert not list(tmp_path.glob("*.part"))


def test_an_error_is_not_written_into_the_file(home, server, tmp_path):
    path = tmp_path / "film"
    path.write_text("the old one")
    result = home.run("request", "GET", f"{server.api_url}/nothing-there", "-o", str(path))
    assert result.exit_code == 22
    assert json.loads(result.stdout) == {"error": "not_found"}
    assert path.read_text() == "the old one"


def test_an_answer_that_breaks_off_leaves_the_file_as_it_was(home, server, tmp_path):
    path = tmp_path / "film"
    path.write_text("the old one")
    home.run("token", "acme")
    server.api_faults.always(Drop("midway"))
    result = home.run("request", "GET", f"{server.api_url}/me", "-o", str(path))
    assert result.exit_code == 5, result.stderr
    assert path.read_text() == "the old one"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("place", ["no/such/folder/film", "."])
def test_a_file_that_cannot_be_written_is_told(home, server, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    result = home.run("request", "GET", f"{server.api_url}/me", "-o", place)
    assert result.exit_code == 1
    assert "Could not open file" in result.stderr


def test_a_device_is_written_to_and_stays_one(home, server):
    assert home.run("request", "GET", f"{server.api_url}/me", "-o", "/dev/null").exit_code == 0
    assert not Path("/dev/null").is_file()


def run_in_little_memory(home: Home, *arguments: str) -> None:
    limit = 200 * 1024 * 1024
    limited = partial(resource.setrlimit, resource.RLIMIT_DATA, (limit, limit))
    with home.process("request", "-p", "acme", *arguments, preexec_fn=limited) as process:
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr


def test_a_large_file_is_sent_in_little_memory(home, server, tmp_path):
    (tmp_path / "film").touch()
    os.truncate(tmp_path / "film", 300 * 1024 * 1024)
    run_in_little_memory(home, "PUT", f"{server.foreign_url}/upload", "-d", f"@{tmp_path / 'film'}")


def test_a_large_answer_is_written_in_little_memory(home, server, tmp_path):
    film = bytes(300 * 1024 * 1024)
    answering(server, Answer(200, headers=(("Content-Type", "video/mp4"),), body=film))
    run_in_little_memory(home, "GET", f"{server.api_url}/film", "-o", str(tmp_path / "film"))
    assert (tmp_path / "film").stat().st_size == len(film)


# --- on a terminal ------------------------------------------------------------------------------------------------


def test_json_is_laid_out_in_colours(home, server):
    terminal = Terminal(home, "request", "GET", f"{server.api_url}/me")
    assert terminal.status == 0
    assert '"sub"' in re.sub(r"\x1b\[[0-9;]*m", "", terminal.text)
    assert "\r\n  " in re.sub(r"\x1b\[[0-9;]*m", "", terminal.text)
    assert "\x1b[" in terminal.text


def test_no_color_is_respected(home, server):
    terminal = Terminal(home, "request", "GET", f"{server.api_url}/me", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.text)
    assert '"sub"' in re.sub(r"\x1b\[[0-9;]*m", "", terminal.text)


@pytest.mark.parametrize("answer", [json_answer(200, {"title": ESC}), text_answer(200, ESC)])
def test_a_server_cannot_steer_the_terminal(home, server, answer):
    answering(server, answer)
    terminal = Terminal(home, "request", "GET", f"{server.api_url}/films", NO_COLOR="1")
    assert terminal.status == 0
    assert "\x1b]" not in terminal.text
    assert "\x9b" not in terminal.text
    assert "\x07" not in terminal.text
    assert "title" in terminal.text


def test_what_is_no_text_is_not_shown(home, server):
    answering(server, Answer(200, headers=(("Content-Type", "video/mp4"),), body=b"\x00\x01"))
    terminal = Terminal(home, "request", "GET", f"{server.api_url}/film")
    assert terminal.status == 1
    assert "give -o FILE" in terminal.text
    assert "\x01" not in terminal.text


def test_broken_json_is_shown_as_it_is(home, server):
    answering(server, Answer(200, headers=(("Content-Type", "application/json"),), body=b'{"a": '))
    assert '{"a": ' in Terminal(home, "request", "GET", f"{server.api_url}/films").text


def test_a_download_shows_how_far_it_is(home, server, tmp_path):
    film = b"a film" * 500_000
    answering(server, Answer(200, headers=(("Content-Type", "video/mp4"),), body=film))
    terminal = Terminal(home, "request", "GET", f"{server.api_url}/film", "-o", str(tmp_path / "summer.mp4"))
    assert terminal.status == 0
    assert "summer.mp4" in terminal.text
    assert "3.0" in terminal.text
    assert (tmp_path / "summer.mp4").read_bytes() == film


def test_an_upload_shows_how_far_it_is(home, server, tmp_path):
    (tmp_path / "summer.mp4").write_bytes(b"a film" * 500_000)
    terminal = Terminal(home, "request", "PUT", f"{server.api_url}/upload", "-d", f"@{tmp_path / 'summer.mp4'}")
    assert terminal.status == 0
    assert "summer.mp4" in terminal.text
    check_silent(server, terminal.text)
