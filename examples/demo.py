"""See it work: five HTTP clients share one auth object while a server lets its tokens die.

    make demo

Everything is on this machine. The exit status is 0 only if no request failed, every film arrived byte for byte, no
token went anywhere but to the API, and no token call was made that was not needed.
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
from rich.console import Console

from video_oauth_auth import BrightcoveAuth
from video_oauth_auth.testing import OAuthServer

ABOUT = """\
[bold]One auth object in five HTTP clients, and no request fails.[/]

A server on this machine speaks like Brightcove. Its tokens expire after a
moment, or are revoked while they are in use. Ordinary programs upload films
meanwhile; none of them knows about tokens.

[green]200[/] is what a program gets, [yellow]401 ↻[/] is what it never sees."""


def run(board: Board) -> Figures:
    """Run both parts against a server of their own, and count."""
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
        return count(server, board, films, crowd=CROWD, calls_before=calls_before)


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
