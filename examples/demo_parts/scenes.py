"""What happens in the demo, in two parts. The server does the damage; the programs are ordinary."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from urllib.parse import urlencode

import requests

from video_oauth_auth import OAuth2Auth
from video_oauth_auth.testing import BrightcoveServer, Delay, Hold, RecordedRequest

from .board import Board
from .clients import WORKERS, Job, work
from .films import SIZES, Film
from .programs import (
    pass_on_with_async_httpx,
    pass_on_with_httpx,
    pass_on_with_requests,
    upload_with_async_httpx,
    upload_with_httpx,
    upload_with_requests,
)

SHORT_LIFE = 1.2  # seconds that a token lives at first; an upload takes longer
LONG_LIFE = 300.0  # as at Brightcove
ACCOUNT = "1234"
UPLOADS = 3 * WORKERS
CROWD = WORKERS


def uploads_while_tokens_die(server: BrightcoveServer, auth: OAuth2Auth, films: Sequence[Film], board: Board) -> None:
    """Thirty uploads the way of Brightcove; tokens come to their end all the time, and one is revoked."""
    board.heading(f"1. {UPLOADS} uploads of 2 s each, with tokens that live {SHORT_LIFE} s")
    account = f"{server.api_url}/v1/accounts/{ACCOUNT}"
    job = Job(
        requests=lambda session, film: upload_with_requests(session, account, film),
        httpx=lambda client, film: upload_with_httpx(client, account, film),
        async_httpx=lambda client, film: upload_with_async_httpx(client, account, film),
    )
    server.expires_in = SHORT_LIFE
    _take_time(server)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, job, films, auth, board)
        _wait_for(server, lambda: _tokens_used(server) == 3, working)
        server.revoke_access_tokens()
        board.tell("revokes token 3, which is in use")
        working.result()


def uploads_revoked_together(server: BrightcoveServer, auth: OAuth2Auth, films: Sequence[Film], board: Board) -> int:
    """Ten uploads are under way at once when their token is revoked; gives the number of token calls before."""
    board.heading(f"2. {CROWD} uploads under way at once when their token is revoked")
    server.api_faults.clear()
    server.storage_faults.clear()
    server.expires_in = LONG_LIFE
    server.revoke_access_tokens()
    board.tell("revokes all tokens; new ones live 300 s")
    with board.record("requests", "count"):
        url = f"{server.api_url}/v1/accounts/{ACCOUNT}/counts/videos"
        requests.get(url, auth=auth, hooks={"response": [board.note]}, timeout=30).raise_for_status()
    calls = len(server.token_calls)
    job = Job(
        requests=lambda session, film: pass_on_with_requests(session, _pass_on_url(server, film), film),
        httpx=lambda client, film: pass_on_with_httpx(client, _pass_on_url(server, film), film),
        async_httpx=lambda client, film: pass_on_with_async_httpx(client, _pass_on_url(server, film), film),
    )
    server.api_faults.add(Hold(), times=CROWD, path="/redirect")
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, job, films, auth, board)
        _wait_for(server, lambda: server.held == CROWD, working)
        server.revoke_access_tokens()
        board.tell(f"holds {server.held} films, and revokes the token before it answers")
        server.release()
        working.result()
    return calls


def _wait_for(server: BrightcoveServer, predicate: Callable[[], bool], working: Future[None]) -> None:
    """Wait for something at the server, or until the work has ended without it; then the figures will tell."""
    while not working.done():
        with suppress(TimeoutError):
            server.wait_for(predicate, timeout=0.5)
            return


def _take_time(server: BrightcoveServer) -> None:
    """Let answers take the time that they take on the way to a real API; the token was checked before."""
    for number in range(3):
        delay = Delay(0.3 + number / 8, when="after")
        server.api_faults.always(delay, when=partial(_is_one_of_three, number))
    for size in SIZES:
        delay = Delay(0.3 + size / 2_000_000, when="after")
        server.storage_faults.always(delay, when=partial(_has_size, size))


def _is_one_of_three(remainder: int, request: RecordedRequest) -> bool:
    return request.number % 3 == remainder


def _has_size(size: int, request: RecordedRequest) -> bool:
    return request.size == size


def _tokens_used(server: BrightcoveServer) -> int:
    return len({request.header("Authorization") for request in server.requests_to("api")})


def _pass_on_url(server: BrightcoveServer, film: Film) -> str:
    """The URL of the API that takes a film and redirects it (307) to the presigned URL of a storage."""
    to = server.presigned_url(f"crowd/{film.name}")
    return f"{server.api_url}/redirect?{urlencode({'status': 307, 'to': to})}"
