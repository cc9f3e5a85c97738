"""The command with a profile for each platform, at servers that speak like them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from video_oauth_auth.testing import LoopbackServer, OAuthServer

from . import command_line
from .command_line import SECRET_VARIABLE, Home, brightcove, check_silent, metadata_of
from .test_cli_sign_ins import BROWSER, NAME, PASSWORD, is_live

home = command_line.home

PASSWORD_VARIABLE = "ACME_PASSWORD"
CALLBACK = "http://127.0.0.1:0/callback"

Made = tuple[LoopbackServer, dict[str, Any]]


def client_of(running: LoopbackServer, platform: str, **members: Any) -> dict[str, Any]:
    return {
        "platform": platform,
        "client_id": running.client_id,
        "client_secret_env": SECRET_VARIABLE,
        **members,
    }


def of_brightcove() -> Made:
    server = OAuthServer.brightcove().start()
    return server, brightcove(server)


def of_movingimage() -> Made:
    server = OAuthServer.movingimage(users={NAME: PASSWORD}).start()
    api_url = f"{server.api_url}/v1/"
    return server, {
        "platform": "movingimage",
        "username": NAME,
        "password_env": PASSWORD_VARIABLE,
        "api_url": api_url,
    }


def of_ibm_video_streaming() -> Made:
    server = OAuthServer.ibm_video_streaming().start()
    return server, client_of(
        server,
        "ibm_video_streaming",
        server=metadata_of(server),
        origins=[server.api_url],
        token_endpoint_auth_method="client_secret_post",
    )


def of_cidaas() -> Made:
    server = OAuthServer.cidaas(users={NAME: PASSWORD}).start()
    return server, client_of(server, "cidaas", issuer=server.issuer, origins=[server.issuer, server.api_url])


def people_of_movingimage() -> Made:
    server = OAuthServer.movingimage(users={NAME: PASSWORD}).start()
    return server, client_of(server, "movingimage", api_url=f"{server.api_url}/v1/", redirect_uri=CALLBACK)


def people_of_cidaas() -> Made:
    server, profile = of_cidaas()
    return server, {**profile, "redirect_uri": CALLBACK, "scope": "openid offline_access"}


@pytest.fixture
def made(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], Made]], LoopbackServer]]:
    """Start a server, and write the profile acme for it."""
    with ExitStack() as stack:

        def make(of_platform: Callable[[], Made]) -> LoopbackServer:
            server, profile = of_platform()
            stack.callback(server.stop)
            monkeypatch.setenv(SECRET_VARIABLE, server.client_secret)
            monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
            home.profiles(acme=profile)
            return server

        yield make


@pytest.mark.parametrize("of_platform", [of_brightcove, of_movingimage, of_ibm_video_streaming, of_cidaas])
def test_each_platform_gives_a_token_that_its_api_takes(home, made, of_platform):
    server = made(of_platform)
    result = home.run("token", "acme")
    assert result.exit_code == 0, result.stderr
    assert is_live(server, result.stdout.strip())
    assert home.run("token", "acme").stdout == result.stdout
    table = home.run("status")
    assert of_platform.__name__.removeprefix("of_") in table.stdout
    check_silent(server, table.output)


@pytest.mark.parametrize("of_platform", [people_of_movingimage, people_of_cidaas])
def test_people_sign_in_use_it_and_sign_out(home, made, of_platform):
    server = made(of_platform)
    (home.path / "browser.py").write_text(BROWSER)
    (home.path / "password").write_text(PASSWORD)
    program = [sys.executable, str(home.path / "browser.py"), str(home.path / "password")]
    home.environment["BROWSER"] = f"{shlex.join(program)} %s"
    assert home.run("token", "acme").exit_code == 3
    with home.process("login", "acme") as process:
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    token = home.run("token", "acme").stdout.strip()
    assert is_live(server, token)
    result = home.run("logout", "acme")
    assert result.exit_code == 0
    assert home.run("token", "acme").exit_code == 3
    check_silent(server, stderr, result.output)


def test_doctor_knows_a_call_of_movingimage(home, made):
    server = made(of_movingimage)
    result = home.run("doctor", "acme")
    assert result.exit_code == 0, result.stdout
    assert f"{server.api_url}/v1/vms answers 200" in result.stdout
    check_silent(server, result.output)


def test_doctor_knows_a_call_of_cidaas_for_people_only(home, made):
    made(of_cidaas)
    assert "give --url" in home.run("doctor", "acme").stdout
