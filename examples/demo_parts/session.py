"""The second act: movingimage, where a refresh token is good for one use, and twenty threads share one session.

A refresh token that comes twice ends the session for all of them. So a program in which two threads refresh at the same
time is signed out.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import requests

from video_oauth_auth import OAuth2Auth
from video_oauth_auth.testing import Delay, Hold, MovingimageServer, RecordedRequest

from .board import Board
from .session_figures import SessionFigures

THREADS = 20
VIDEOS = 60
PAGE = 5  # videos
LISTINGS = 4  # of each thread, one after the other, while tokens come to their end
SHORT_LIFE = 0.9  # seconds that an access token lives at first; a listing takes longer
ANSWER = 0.08  # seconds that an answer of the API takes
LONG_LIFE = 300.0  # as at movingimage
CROWDS = 2  # more listings of each thread; their token is revoked while all threads wait for the same page
HELD = "offset=20"  # that page
USER, PASSWORD = "ann", "sesame"


def fill(server: MovingimageServer) -> int:
    """Add a VideoManager with videos; gives its id."""
    video_manager = server.add_video_manager("Films")
    for number in range(VIDEOS):
        server.add_video(video_manager, f"Film {number}")
    return video_manager


def threads_share_a_session(
    server: MovingimageServer, auth: OAuth2Auth, video_manager: int, board: Board
) -> SessionFigures:
    """Twenty threads list videos; tokens come to their end, and are revoked while all threads wait for an answer."""
    renewals_before = len(board.renewals)
    board.heading(f"3. movingimage: {THREADS} threads, one session, refresh tokens for one use each")
    url = f"{server.api_url}/v1/vms/{video_manager}/videos"
    server.expires_in = SHORT_LIFE
    server.api_faults.always(Delay(ANSWER, when="after"))
    listed = _list_in_threads(auth, url, LISTINGS, board).result()

    _work_until_the_next_refresh(server, auth, url, board)
    calls_before = len(server.token_calls)
    for _ in range(CROWDS):
        server.api_faults.add(Hold(timeout=5), times=THREADS, when=_is_held)
        working = _list_in_threads(auth, url, 1, board)
        _revoke_while_all_wait(server, working, board)
        listed += working.result()

    mine = [record for record in board.records if record.client in ("one more", "thread")]
    reasons = [event.reason for event in board.renewals[renewals_before:]]
    forms = [call.form for call in server.token_calls]
    answers = [answer for record in mine for answer in record.answers]
    replays = sum(answer.status == 401 for record in mine for answer in record.answers[:-1])
    return SessionFigures(
        threads=THREADS,
        requests=len(answers) - replays,
        served=sum(request.status is not None for request in server.requests_to("api")),
        failures=sum(bool(record.problem) for record in mine),
        replays=replays,
        listings=THREADS * (LISTINGS + CROWDS),
        whole=listed.count(VIDEOS),
        sign_ins=sum(form["grant_type"] == "password" for form in forms),
        refreshes=sum(form["grant_type"] == "refresh_token" for form in forms),
        refresh_tokens=len({form["refresh_token"] for form in forms if "refresh_token" in form}),
        expiries=sum(reason in ("stale", "expired") for reason in reasons),
        revocations=reasons.count("rejected"),
        crowds=CROWDS,
        crowd_token_calls=len(server.token_calls) - calls_before,
        reuse_detected=server.reuse_detected,
    )


def list_videos(session: requests.Session, url: str) -> int:
    """List all videos, page by page; gives how many there were. This is what a user writes."""
    listed, total = 0, 1
    while listed < total:
        answer = session.get(url, params={"limit": PAGE, "offset": listed}, timeout=30)
        answer.raise_for_status()
        page = answer.json()
        listed, total = listed + len(page["videos"]), page["total"]
    return listed


def _list_in_threads(auth: OAuth2Auth, url: str, times: int, board: Board) -> "Future[list[int]]":
    def one(number: int) -> list[int]:
        listed: list[int] = []
        with requests.Session() as session, board.record("thread", f"{number:02}"):
            session.auth = auth
            session.hooks["response"] = [board.note]
            for _ in range(times):
                listed.append(list_videos(session, url))  # noqa: PERF401 - what was listed before an error counts
        return listed

    def all_of_them() -> list[int]:
        with ThreadPoolExecutor(THREADS) as pool:
            return [count for counts in pool.map(one, range(1, THREADS + 1)) for count in counts]

    pool = ThreadPoolExecutor(1)
    working = pool.submit(all_of_them)
    pool.shutdown(wait=False)
    return working


def _work_until_the_next_refresh(server: MovingimageServer, auth: OAuth2Auth, url: str, board: Board) -> None:
    """Let the last short-lived token come to its end, so that none does so among the revocations."""
    calls = len(server.token_calls)
    server.expires_in = LONG_LIFE
    board.tell("gives tokens that live 300 s from now on")
    with requests.Session() as session, board.record("one more", "count"):
        session.auth = auth
        session.hooks["response"] = [board.note]
        for _ in range(round(2 * SHORT_LIFE / ANSWER)):  # whatever happens, no short-lived token lives longer
            session.get(url, params={"limit": 1}, timeout=30).raise_for_status()
            if any(call.status is not None for call in server.token_calls[calls:]):
                return


def _is_held(request: RecordedRequest) -> bool:
    return HELD in request.query


def _revoke_while_all_wait(server: MovingimageServer, working: "Future[list[int]]", board: Board) -> None:
    while not working.done():
        with suppress(TimeoutError):
            server.wait_for(lambda: server.held == THREADS, timeout=0.5)
            server.revoke_access_tokens()
            board.tell(f"holds requests of {server.held} threads, and revokes the token")
            server.release()
            return
