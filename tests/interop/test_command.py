"""The command and its proxy as they are started at a terminal, with oidc-provider and a person in Chromium."""

import hashlib
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome

from tests import command_line
from tests.command_line import SECRET_VARIABLE, Home

from .browser.pages import sign_in
from .exchange import Exchange
from .oidc_provider import RegisteredClient, native

Register = Callable[..., RegisteredClient]

home = command_line.home

PATIENCE = 60.0
FILM = bytes(range(256)) * 16 * 1024  # 4 MiB
REMEMBERS = "import os, sys; open(sys.argv[1] + '~', 'w').write(sys.argv[2]); os.rename(sys.argv[1] + '~', sys.argv[1])"


@pytest.fixture
def opened(home: Home) -> Path:
    """The file in which a browser of this home writes the URL that it is to open."""
    path = home.path / "opened"
    home.environment["BROWSER"] = f"{shlex.join([sys.executable, '-c', REMEMBERS, str(path)])} %s"
    return path


@pytest.fixture
def staff(home: Home, exchange: Exchange, register: Register) -> RegisteredClient:
    """A public client, and a profile for it: staff."""
    # A token that is printed has a fifth of its time left at least: for the process to end, and for the API to see it.
    client = native(register, access_token_lifetime=15)
    home.profiles(
        staff={
            "platform": "generic",
            "issuer": exchange.provider.issuer,
            "client_id": client.client_id,
            "redirect_uri": "http://127.0.0.1:0/callback",
            "scope": "openid email",
            "origins": [exchange.api.origin],
        }
    )
    return client


@pytest.fixture
def service(home: Home, exchange: Exchange, register: Register, monkeypatch: pytest.MonkeyPatch) -> RegisteredClient:
    """A client with a secret, and a profile for it: service."""
    client = register()
    monkeypatch.setenv(SECRET_VARIABLE, client.client_secret or "")
    home.profiles(
        service={
            "platform": "generic",
            "issuer": exchange.provider.issuer,
            "client_id": client.client_id,
            "client_secret_env": SECRET_VARIABLE,
            "origins": [exchange.api.origin],
        }
    )
    return client


def said(home: Home, *arguments: str, status: int = 0) -> str:
    """Run the command to its end, and give what it wrote to stdout."""
    with home.process(*arguments) as process:
        out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, out + errors
    return out


def text_in(path: Path) -> str:
    """Give what is in a file as soon as there is one."""
    ends_at = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < ends_at, f"{path.name} did not come"
        time.sleep(0.02)
    return path.read_text()


def carol(browser: Chrome) -> Callable[..., None]:
    return partial(sign_in, browser, username="carol", password="any password")


# --- a person ---------------------------------------------------------------------------------------------------------


def test_carol_signs_in_once_and_every_program_has_her_token(
    home: Home, opened: Path, staff: RegisteredClient, browser: Chrome, exchange: Exchange
) -> None:
    said(home, "request", "GET", exchange.url, status=3)
    with home.process("login", "staff") as process:
        carol(browser)(text_in(opened))
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "Signed in as carol" in errors

    token = said(home, "token", "staff").strip()
    assert exchange.api.accepts(token)
    ends_at = json.loads(said(home, "token", "staff", "--json"))["expires_at"]
    while time.time() < ends_at:
        time.sleep(0.05)
    assert json.loads(said(home, "request", "GET", exchange.url))["length"] == 0
    assert "staff" in said(home, "status")
    assert exchange.provider.statistics(staff.client_id).refused == {}

    token = said(home, "token", "staff").strip()
    said(home, "logout", "staff")
    assert not exchange.api.accepts(token)
    said(home, "token", "staff", status=3)


def test_carol_types_the_code_of_a_machine_without_a_browser(
    home: Home, staff: RegisteredClient, browser: Chrome, exchange: Exchange
) -> None:
    with home.process("login", "staff", "--device") as process:
        assert process.stderr is not None
        shown = ""
        while not (found := re.search(r"open\s+(\S+)\s+and enter the code\s+(\S+)", shown)):
            line = process.stderr.readline()
            assert line, shown
            shown += line
        carol(browser)(found[1], user_code=found[2])
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert json.loads(said(home, "request", "GET", exchange.url))["length"] == 0


# --- a service --------------------------------------------------------------------------------------------------------


def test_a_file_goes_up_though_the_stored_token_was_revoked(
    home: Home, service: RegisteredClient, exchange: Exchange, tmp_path: Path
) -> None:
    film = tmp_path / "film"
    film.write_bytes(FILM)
    said(home, "token", "service")
    assert exchange.provider.revoke_access_tokens(service.client_id) == 1

    answer = json.loads(said(home, "request", "PUT", exchange.url, "-d", f"@{film}"))

    assert answer == {"length": len(FILM), "sha256": hashlib.sha256(FILM).hexdigest()}
    assert exchange.statuses() == [401, 200]
    assert exchange.provider.statistics(service.client_id).granted == {"client_credentials": 2}


def test_the_server_is_discovered_and_the_doctor_finds_nothing(
    home: Home, service: RegisteredClient, exchange: Exchange
) -> None:
    assert exchange.provider.token_endpoint in said(home, "discover", exchange.provider.issuer)
    lines = said(home, "doctor", "service", "--url", exchange.url).splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * 7


def test_a_wrong_secret_ends_with_4(
    home: Home, service: RegisteredClient, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "not the secret of this client")
    said(home, "token", "service", status=4)
    assert exchange.provider.statistics(service.client_id).granted == {}


# --- the proxy --------------------------------------------------------------------------------------------------------


@contextmanager
def proxy(home: Home) -> Iterator[str]:
    """Run the proxy for the service on a free port; gives its URL, and sees that it ends when it is told to."""
    with home.process("proxy", "service", "--port", "0") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+)/HOST/PATH ", line)
        assert found, line + process.stderr.read()
        yield found[1]
        process.terminate()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


def test_programs_that_know_no_secret_work_through_the_proxy_past_a_revocation(
    home: Home, service: RegisteredClient, exchange: Exchange
) -> None:
    with proxy(home) as base, httpx.Client(timeout=PATIENCE) as client:
        url = f"{base}/{exchange.url.removeprefix('http://')}"
        assert client.get(url).json()["length"] == 0
        assert exchange.provider.revoke_access_tokens(service.client_id) == 1
        with ThreadPoolExecutor(20) as pool:
            assert {one.status_code for one in pool.map(client.get, [url] * 40)} == {200}
        assert exchange.provider.statistics(service.client_id).granted == {"client_credentials": 2}

        exchange.provider.revoke_access_tokens(service.client_id)
        assert client.put(url, content=FILM).status_code == 401  # streamed: nobody has it any more
        answer = client.put(url, content=FILM).json()

    assert answer == {"length": len(FILM), "sha256": hashlib.sha256(FILM).hexdigest()}
    assert os.environ[SECRET_VARIABLE] not in str(exchange.received())
