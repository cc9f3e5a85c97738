"""What happens in the third act: a person signs in with a browser, works, and signs out.

Where nobody sits in front of a screen, or nobody comes, the form filler of the bundled server is the person.
"""

import requests

from video_oauth_auth import LoginRequired, OAuth2Auth, Token
from video_oauth_auth.testing import Delay, FormFiller, MovingimageServer

from .board import Board
from .session import ANSWER, PASSWORD, USER, VIDEOS, list_videos
from .sign_in_figures import SignInFigures

SHORT_LIFE = 1.0  # seconds that an access token lives; a listing takes about as long
LISTINGS = 2
TIME_LIMIT = 60.0  # seconds that a person has


def person_signs_in_and_out(
    server: MovingimageServer, auth: OAuth2Auth, video_manager: int, board: Board, *, in_browser: bool
) -> SignInFigures:
    """A person signs in, a program lists videos while tokens come to their end, the person signs out."""
    renewals_before = len(board.renewals)
    board.heading("4. movingimage: a person signs in with a browser, and out again")
    url = f"{server.api_url}/v1/vms/{video_manager}/videos"
    server.expires_in = SHORT_LIFE
    server.api_faults.always(Delay(ANSWER, when="after"))

    token = (_ask_person(auth, board) if in_browser else None) or _ask_form_filler(auth)
    name = str((token.claims or {}).get("preferred_username"))
    board.tell(f"has signed in: {name}, as the signed ID token says", who="person")

    listed: list[int] = []
    with requests.Session() as session, board.record("program", "listing"):
        session.auth = auth
        session.hooks["response"] = [board.note]
        for _ in range(LISTINGS):
            listed.append(list_videos(session, url))  # noqa: PERF401 - what was listed before an error counts

    last = auth.source.get_token()
    auth.logout()
    board.tell("signs out: both tokens are revoked", who="person")
    old_status = requests.get(url, headers={"Authorization": f"Bearer {last.access_token}"}, timeout=30).status_code
    requests_afterwards = _requests_that_leave(server, auth, url)

    forms = [call.form for call in server.token_calls]
    reasons = [event.reason for event in board.renewals[renewals_before:]]
    return SignInFigures(
        name=name,
        codes=sum("code" in form for form in forms),
        proofs=sum("code_verifier" in form for form in forms),
        listings=LISTINGS,
        whole=listed.count(VIDEOS),
        refreshes=sum(form["grant_type"] == "refresh_token" for form in forms),
        refresh_tokens=len({form["refresh_token"] for form in forms if "refresh_token" in form}),
        expiries=sum(reason in ("stale", "expired") for reason in reasons),
        revoked=sum(request.status == 200 for request in server.requests_to("revocation")),
        old_token_status=old_status,
        requests_afterwards=requests_afterwards,
        reuse_detected=server.reuse_detected,
    )


def _ask_person(auth: OAuth2Auth, board: Board) -> Token | None:
    """Let the person in front of the screen sign in; None if they did not."""
    board.tell(f"your turn: sign in as  {USER}  with the password  {PASSWORD}", who="person")
    try:
        return auth.login(timeout=TIME_LIMIT, notify=lambda text: board.tell(text, who="person"))
    except LoginRequired as error:
        board.tell(f"has not signed in ({error.reason}); a program fills in the form", who="person")
        return None


def _ask_form_filler(auth: OAuth2Auth) -> Token:
    filler = FormFiller(USER, PASSWORD)
    token = auth.login(open_browser=filler.open_in_background, timeout=TIME_LIMIT, notify=lambda _: None)
    filler.join()
    return token


def _requests_that_leave(server: MovingimageServer, auth: OAuth2Auth, url: str) -> int:
    """Try one more request, which has no token to go with; gives how many arrived."""
    before = len(server.requests)
    try:
        requests.get(url, auth=auth, timeout=30)
    except LoginRequired:
        return len(server.requests) - before
    return 1
