"""A process that ends while a code is being redeemed: what the server gave for it is kept."""

import json
import signal

import pytest
import requests

from video_oauth_auth import AuthorizationServer
from video_oauth_auth.testing import Hold

from . import program as programs
from .program import is_live, saved
from .sign_ins import LOOPBACK, PEOPLE, auth_of, callback

pytestmark = pytest.mark.timeout(60)
program = programs.program

COMPLETES = """
    import signal
    from video_oauth_auth import AuthorizationCode, AuthorizationRequest

    signal.signal(signal.SIGINT, signal.default_int_handler)
    source = source_of(AuthorizationCode({redirect_uri!r}), store=FolderStore())
    auth = OAuth2Auth(source, origins=["https://api.example.com"])
    pending, back = json.loads((FOLDER / "session").read_text())
    complete = lambda: auth.complete_login(AuthorizationRequest.from_dict(pending), back)
    {start}
    say("leaving")
"""
ON_A_THREAD = "threading.Thread(target=complete, daemon=True).start(); told()"
INTERRUPTED = """
    try:
        complete()
    except KeyboardInterrupt:
        pass
"""


@pytest.fixture
def session(oauth_server, tmp_path):
    """Ann has signed in, and her answer lies ready."""
    oauth_server.users, oauth_server.refresh_tokens = PEOPLE, True
    oauth_server.authorization_response_iss_parameter_supported = False
    known = oauth_server.authorization_server
    metadata = AuthorizationServer(
        token_endpoint=known.token_endpoint, authorization_endpoint=known.authorization_endpoint
    )
    pending = auth_of(oauth_server, metadata=metadata, redirect_uri=LOOPBACK, scope=None).begin_login()
    (tmp_path / "session").write_text(json.dumps([pending.to_dict(), callback(pending)]))


@pytest.mark.parametrize("how", ["it leaves", "Ctrl-C"])
@pytest.mark.usefixtures("session")
def test_a_process_that_ends_while_its_code_is_redeemed_keeps_the_tokens(oauth_server, program, tmp_path, how):
    oauth_server.token_faults.add(Hold(when="after"))  # the server has used the code up, its answer is still to come
    start = ON_A_THREAD if how == "it leaves" else INTERRUPTED
    running = program(COMPLETES.format(redirect_uri=LOOPBACK, start=start))
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    if how == "it leaves":
        running.tell()
    else:
        running._process.send_signal(signal.SIGINT)
    assert running.said() == "leaving"
    oauth_server.release()
    assert running.end(within=10) == ""
    token = saved(tmp_path)
    assert is_live(oauth_server, token.access_token)
    headers = {"Authorization": f"Bearer {token.access_token}"}
    assert requests.get(f"{oauth_server.api_url}/me", headers=headers, timeout=10).json()["sub"] == "ann"
    assert token.refresh_token
