"""See it work: five HTTP clients share one auth object while a server lets its tokens die.

    make demo
    .venv/bin/python examples/demo.py --no-browser

A person signs in at the end: you, where there is a screen and a terminal, within a minute; else a program.
Everything is on this machine. The exit status is 0 only if no request failed, every film arrived byte for byte, no
token went anywhere but to the API, no token call was made that was not needed, and no refresh token was used twice.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from demo_parts.board import Board
from demo_parts.count import count
from demo_parts.figures import Figures, complaints
from demo_parts.films import make_films
from demo_parts.result import show_result
from demo_parts.scenes import CROWD, UPLOADS, uploads_revoked_together, uploads_while_tokens_die
from demo_parts.session import PASSWORD, USER, fill, threads_share_a_session
from demo_parts.session_figures import SessionFigures
from demo_parts.sign_in import person_signs_in_and_out
from demo_parts.sign_in_figures import SignInFigures
from rich.console import Console

from video_oauth_auth import BrightcoveAuth, MovingimageAuth
from video_oauth_auth.login.browser import has_browser
from video_oauth_auth.testing import OAuthServer

ABOUT = """\
[bold]One auth object in five HTTP clients, and no request fails.[/]

A server on this machine speaks like Brightcove. Its tokens expire after a
moment, or are revoked while they are in use. Ordinary programs upload films
meanwhile; none of them knows about tokens. Then 20 threads share a session
with a server like movingimage, where a refresh token used twice ends it. At
last a person signs in there, and out again.

[green]200[/] is what a program gets, [yellow]401 ↻[/] is what it never sees."""


def run(board: Board, *, in_browser: bool) -> Figures:
    """Run all acts, each against a server of its own, and count.

    Args:
        board: Who looks on.
        in_browser: Whether the person at this machine is to sign in; else a program does.
    """
    with tempfile.TemporaryDirectory() as folder, OAuthServer.brightcove() as server:
        films = make_films(Path(folder), UPLOADS + CROWD)
        auth = BrightcoveAuth(
            server.client_id,
            server.client_secret,
            server=server.authorization_server,
            origins=[server.api_url],
            on_event=board.on_event,
        )
        uploads_while_tokens_die(server, auth, films[:UPLOADS], board)
        calls_before = uploads_revoked_together(server, auth, films[UPLOADS:], board)
        renewals = len(board.renewals)
        session, sign_in = run_session(board), run_sign_in(board, in_browser=in_browser)
        return count(
            server,
            board,
            films,
            crowd=CROWD,
            calls_before=calls_before,
            renewals=renewals,
            session=session,
            sign_in=sign_in,
        )


def run_session(board: Board) -> SessionFigures:
    """Run the second act against a server that speaks like movingimage."""
    with OAuthServer.movingimage(users={USER: PASSWORD}) as server:
        video_manager = fill(server)
        auth = MovingimageAuth(
            username=USER, password=PASSWORD, api_url=f"{server.api_url}/v1/", on_event=board.on_event
        )
        return threads_share_a_session(server, auth, video_manager, board)


def run_sign_in(board: Board, *, in_browser: bool) -> SignInFigures:
    """Run the third act against another server that speaks like movingimage."""
    with OAuthServer.movingimage(users={USER: PASSWORD}) as server:
        video_manager = fill(server)
        auth = MovingimageAuth(
            server.client_id,
            server.client_secret,
            redirect_uri="http://127.0.0.1:0/callback",
            api_url=f"{server.api_url}/v1/",
            on_event=board.on_event,
        )
        return person_signs_in_and_out(server, auth, video_manager, board, in_browser=in_browser)


def has_person() -> bool:
    """Tell whether somebody sits in front of a terminal and a browser."""
    return sys.stdin is not None and sys.stdin.isatty() and has_browser()


def main(argv: Sequence[str] = ()) -> int:
    """Run the demo; gives the exit status."""
    parser = argparse.ArgumentParser(description="See auth objects at work, against servers on this machine.")
    parser.add_argument("--no-browser", action="store_true", help="open no window: a program signs in, not you")
    in_browser = not parser.parse_args(argv).no_browser and has_person()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # a proxy could not reach this machine's loopback
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ✓ shows ? instead
    console = Console(highlight=False)
    console.print(ABOUT)
    try:
        figures = run(Board(console), in_browser=in_browser)
    except KeyboardInterrupt:
        return 130
    wrong = list(complaints(figures))
    show_result(console, figures, wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
