"""`make demo` shows what it says, and says so if it does not."""

import importlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from video_oauth_auth import BrightcoveAuth, MovingimageAuth, OAuth2Auth, Token
from video_oauth_auth.testing import FormFiller

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # the demo sets both; now they are put back afterwards
    return importlib.import_module


@pytest.fixture
def figures(module: Callable[[str], Any]) -> Any:
    """Figures of a run in which all went well."""
    figures = module("demo_parts.figures")
    client = figures.ClientFigures(name="requests", requests=20, failures=0, replays=5, uploads=5, intact=5)
    session = module("demo_parts.session_figures").SessionFigures(
        threads=4,
        requests=50,
        served=60,
        failures=0,
        replays=10,
        listings=8,
        whole=8,
        sign_ins=1,
        refreshes=6,
        refresh_tokens=6,
        expiries=3,
        revocations=3,
        crowds=2,
        crowd_token_calls=2,
        reuse_detected=0,
    )
    sign_in = module("demo_parts.sign_in_figures").SignInFigures(
        name="ann",
        codes=1,
        proofs=1,
        listings=2,
        whole=2,
        refreshes=3,
        refresh_tokens=3,
        expiries=3,
        revoked=2,
        old_token_status=401,
        requests_afterwards=0,
        reuse_detected=0,
    )
    return figures.Figures(
        clients=(client, replace(client, name="httpx")),
        films=10,
        served=50,
        token_calls=7,
        expiries=3,
        revocations=3,
        crowd=4,
        crowd_replays=4,
        crowd_token_calls=1,
        tokens_elsewhere=0,
        session=session,
        sign_in=sign_in,
        seconds=7.0,
    )


def test_the_demo_shows_expiry_revocation_and_uploads_and_succeeds() -> None:
    environment = {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    environment.pop("FORCE_COLOR", None)
    run = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    rows = {line[2:16].strip(): line[16:].split() for line in lines[lines.index(next(rule(lines))) :]}
    for client, films in {"requests": 16, "httpx": 4, "httpx async": 8, "httpx2": 4, "httpx2 async": 8}.items():
        requests, failures, _, uploads, intact = map(int, rows[client])
        assert (requests > uploads, failures, uploads, intact) == (True, 0, films, films)
    assert "  ✓ 0 tokens seen by the storage, which is another origin" in lines
    assert "  ✓ 0 refresh tokens seen twice by the server, which would end the session" in lines
    assert any("of 20 threads failed" in line and "✓ movingimage: 0 of" in line for line in lines)
    assert sum("holds requests of 20 threads, and revokes the token" in line for line in lines) == 2
    assert any("has signed in: ann" in line for line in lines)
    assert "  ✓ signed out: 2 tokens revoked, 401 to the old one, then LoginRequired" in lines
    assert any("↻ 307 → 200" in line for line in lines)  # an upload was replayed, and redirected to another origin
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in run.stdout  # no colours where nobody sees them
    assert "access-" not in run.stdout  # what every token of the server begins with


def rule(lines: list[str]) -> Any:
    return (line for line in lines if line.startswith("What it came to"))


def test_a_terminal_that_cannot_show_all_characters_is_no_failure(
    module: Callable[[str], Any], figures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, output = module("demo"), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    monkeypatch.setattr(demo, "run", lambda board, in_browser: figures)
    assert demo.main() == 0
    sys.stdout.flush()
    assert b"  ? 0 of 40 requests failed" in output.getvalue()


def test_an_auth_object_that_never_renews_makes_the_demo_fail(
    module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class OneToken:
        """Fetches one token and sticks to it."""

        def __init__(self, token: Token) -> None:
            self.token = token

        def get_token(self, *, rejected: object = None) -> Token:
            return self.token

        async def aget_token(self, *, rejected: object = None) -> Token:
            return self.token

    def auth_with_one_token(*arguments: Any, origins: list[str], **keywords: Any) -> OAuth2Auth:
        source = BrightcoveAuth(*arguments, origins=origins, **keywords).source
        return OAuth2Auth(OneToken(source.get_token()), origins=origins)

    demo = module("demo")
    monkeypatch.setattr(demo, "BrightcoveAuth", auth_with_one_token)
    assert demo.main() == 1
    out = capsys.readouterr().out
    assert "Something is off." in out
    assert "401" in out
    assert "programs met an error" in out
    assert "The programs noticed nothing." not in out


def test_figures_as_they_should_be_give_no_complaint(module: Callable[[str], Any], figures: Any) -> None:
    assert list(module("demo_parts.figures").complaints(figures)) == []


@pytest.mark.parametrize(
    "off",
    [
        {"films": 11},
        {"served": 49},
        {"token_calls": 8},
        {"token_calls": 6},
        {"expiries": 2, "token_calls": 6},
        {"revocations": 1, "token_calls": 5},
        {"crowd_replays": 3},
        {"crowd_token_calls": 2},
        {"crowd_token_calls": 0},
        {"tokens_elsewhere": 1},
        {"clients": ()},
    ],
    ids=str,
)
def test_any_figure_that_is_off_is_a_complaint(
    module: Callable[[str], Any], figures: Any, off: dict[str, object]
) -> None:
    assert list(module("demo_parts.figures").complaints(replace(figures, **off)))


@pytest.mark.parametrize(
    "off", [{"failures": 1}, {"uploads": 4, "intact": 4}, {"intact": 4}, {"requests": 19}, {"replays": 4}], ids=str
)
def test_any_figure_of_a_client_that_is_off_is_a_complaint(
    module: Callable[[str], Any], figures: Any, off: dict[str, int]
) -> None:
    first, second = figures.clients
    wrong = replace(figures, clients=(replace(first, **off), second))
    assert list(module("demo_parts.figures").complaints(wrong))


@pytest.mark.parametrize(
    "off",
    [
        {"failures": 1},
        {"whole": 7},
        {"served": 61},
        {"reuse_detected": 1},
        {"refresh_tokens": 5},
        {"sign_ins": 2},
        {"sign_ins": 0},
        {"expiries": 2, "refreshes": 5, "refresh_tokens": 5},
        {"refreshes": 7, "refresh_tokens": 7},
        {"crowd_token_calls": 3},
        {"replays": 7, "served": 57},
    ],
    ids=str,
)
def test_any_figure_of_the_session_that_is_off_is_a_complaint(
    module: Callable[[str], Any], figures: Any, off: dict[str, int]
) -> None:
    wrong = replace(figures, session=replace(figures.session, **off))
    assert len(list(module("demo_parts.figures").complaints(wrong))) == 1


@pytest.mark.parametrize(
    "off",
    [
        {"name": "bob"},
        {"codes": 2, "proofs": 2},
        {"proofs": 0},
        {"whole": 1},
        {"expiries": 0, "refreshes": 0, "refresh_tokens": 0},
        {"refreshes": 4, "refresh_tokens": 4},
        {"refresh_tokens": 2},
        {"revoked": 1},
        {"old_token_status": 200},
        {"requests_afterwards": 1},
        {"reuse_detected": 1},
    ],
    ids=str,
)
def test_any_figure_of_the_sign_in_that_is_off_is_a_complaint(
    module: Callable[[str], Any], figures: Any, off: dict[str, object]
) -> None:
    wrong = replace(figures, sign_in=replace(figures.sign_in, **off))
    assert len(list(module("demo_parts.figures").complaints(wrong))) == 1


def opened_by(opener: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a browser; this opens it."""
    monkeypatch.setattr("video_oauth_auth.login.browser.has_browser", lambda: True)
    monkeypatch.setattr("webbrowser.open", lambda url, new: opener(url))


def test_a_person_in_front_of_a_browser_is_told_what_to_type_and_signs_in(
    module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, board, output = module("demo"), module("demo_parts.board"), io.StringIO()
    filler = FormFiller("ann", "sesame")
    opened_by(filler.open_in_background, monkeypatch)
    figures = demo.run_sign_in(board.Board(Console(file=output, width=200)), in_browser=True)
    filler.join()
    assert "sign in as  ann  with the password  sesame" in output.getvalue()
    assert "a program fills in the form" not in output.getvalue()
    assert list(module("demo_parts.sign_in_figures").sign_in_complaints(figures)) == []


def test_if_nobody_comes_the_demo_goes_on(module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    demo, board, output = module("demo"), module("demo_parts.board"), io.StringIO()
    opened_by(lambda url: True, monkeypatch)
    monkeypatch.setattr(module("demo_parts.sign_in"), "TIME_LIMIT", 1.0)
    figures = demo.run_sign_in(board.Board(Console(file=output, width=200)), in_browser=True)
    assert "has not signed in (timed_out); a program fills in the form" in output.getvalue()
    assert list(module("demo_parts.sign_in_figures").sign_in_complaints(figures)) == []


@pytest.mark.parametrize(
    ("arguments", "is_terminal", "has_browser", "asks"),
    [
        ([], True, True, True),
        (["--no-browser"], True, True, False),
        ([], False, True, False),
        ([], True, False, False),
    ],
)
def test_a_window_opens_only_for_somebody_in_front_of_it(
    module: Callable[[str], Any],
    figures: Any,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    is_terminal: bool,
    has_browser: bool,
    asks: bool,
) -> None:
    demo, asked = module("demo"), []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: is_terminal))
    monkeypatch.setattr(demo, "has_browser", lambda: has_browser)
    monkeypatch.setattr(demo, "run", lambda board, in_browser: asked.append(in_browser) or figures)
    assert demo.main(arguments) == 0
    assert asked == [asks]


def test_two_sources_with_the_same_refresh_token_are_seen_and_make_the_second_act_fail(
    module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class InTurns:
        """Two sources that know nothing of each other begin with the same tokens, and are asked in turns."""

        def __init__(self, keywords: dict[str, Any]) -> None:
            token = MovingimageAuth(**keywords).source.get_token()
            self.sources = cycle([MovingimageAuth(token=token, **keywords).source for _ in range(2)])

        def get_token(self, *, rejected: Token | None = None) -> Token:
            return next(self.sources).get_token(rejected=rejected)

        async def aget_token(self, *, rejected: Token | None = None) -> Token:
            return await next(self.sources).aget_token(rejected=rejected)

    def auth(**keywords: Any) -> OAuth2Auth:
        return OAuth2Auth(InTurns(keywords), origins=[keywords["api_url"].removesuffix("/v1/")])

    demo, board = module("demo"), module("demo_parts.board")
    monkeypatch.setattr(demo, "MovingimageAuth", auth)
    figures = demo.run_session(board.Board(Console(file=io.StringIO())))
    assert figures.reuse_detected
    assert "the server saw a refresh token again" in str(
        list(module("demo_parts.session_figures").session_complaints(figures))
    )


def test_an_http_client_that_did_nothing_is_a_complaint(module: Callable[[str], Any], figures: Any) -> None:
    idle = replace(figures.clients[0], name="idle", requests=0, replays=0, uploads=0, intact=0)
    wrong = replace(figures, clients=(*figures.clients, idle))
    assert list(module("demo_parts.figures").complaints(wrong)) == ["an HTTP client uploaded nothing"]


def test_a_complaint_is_shown_and_is_the_exit_status(
    module: Callable[[str], Any], figures: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = module("demo")
    monkeypatch.setattr(demo, "run", lambda board, in_browser: replace(figures, tokens_elsewhere=1))
    assert demo.main() == 1
    assert "1 requests carried a token to a foreign origin" in capsys.readouterr().out


@pytest.mark.shows_secrets
def test_a_token_or_secret_anywhere_in_a_request_to_the_storage_is_counted(module: Callable[[str], Any]) -> None:
    import requests

    from video_oauth_auth.testing import OAuthServer

    count = module("demo_parts.count")
    with OAuthServer.brightcove() as server:
        token = server.issue_token()["access_token"]
        url = f"{server.storage_url}/film"
        requests.put(url, data=b"innocent", timeout=10)
        assert count.tokens_elsewhere(server) == 0
        requests.put(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        requests.put(f"{url}?access_token={token}", timeout=10)
        requests.put(url, data=f"secret={server.client_secret}", timeout=10)
        requests.get(server.foreign_url, headers={"X-Token": str(token)}, timeout=10)
        assert count.tokens_elsewhere(server) == 4
