"""See it work: five HTTP clients share one auth object while a server lets its tokens die.

    make demo

Everything is on this machine. The exit status is 0 only if no request failed, every film arrived byte for byte, no
token went anywhere but to the API, no token call was made that was not needed, and no refresh token was used twice.
"""

import os
import sys
import tempfile
from pathlib import Path

from demo_parts.board import Board
from demo_parts.count import count
from demo_parts.figures import Figures, complaints
from demo_parts.films import make_films
from demo_parts.result import show_result
from demo_parts.scenes import CROWD, UPLOADS, uploads_revoked_together, uploads_while_tokens_die
from demo_parts.session import PASSWORD, USER, fill, threads_share_a_session
from demo_parts.session_figures import SessionFigures
from rich.console import Console

from video_oauth_auth import BrightcoveAuth, MovingimageAuth
from video_oauth_auth.testing import OAuthServer

ABOUT = """\
[bold]One auth object in five HTTP clients, and no request fails.[/]

A server on this machine speaks like Brightcove. Its tokens expire after a
moment, or are revoked while they are in use. Ordinary programs upload films
meanwhile; none of them knows about tokens. Then 20 threads share a session
with a server like movingimage, where a refresh token used twice ends it.

[green]200[/] is what a program gets, [yellow]401 ↻[/] is what it never sees."""


def run(board: Board) -> Figures:
    """Run both acts, each against a server of its own, and count."""
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
        renewals, session = len(board.renewals), run_session(board)
        return count(server, board, films, crowd=CROWD, calls_before=calls_before, renewals=renewals, session=session)


def run_session(board: Board) -> SessionFigures:
    """Run the second act against a server that speaks like movingimage."""
    with OAuthServer.movingimage(users={USER: PASSWORD}) as server:
        video_manager = fill(server)
        auth = MovingimageAuth(
            username=USER, password=PASSWORD, api_url=f"{server.api_url}/v1/", on_event=board.on_event
        )
        return threads_share_a_session(server, auth, video_manager, board)


def main() -> int:
    """Run the demo; gives the exit status."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # a proxy could not reach this machine's loopback
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ✓ shows ? instead
    console = Console(highlight=False)
    console.print(ABOUT)
    try:
        figures = run(Board(console))
    except KeyboardInterrupt:
        return 130
    wrong = list(complaints(figures))
    show_result(console, figures, wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
