"""A stale token is good enough for a body that can be sent again, and not for one that cannot."""

import hashlib
import threading
import time

from video_oauth_auth import Token
from video_oauth_auth.testing import Hold

FILM = bytes(range(256)) * 1200
SHA256 = hashlib.sha256(FILM).hexdigest()


def stale(server):
    """A token of which a small part of its life is left."""
    return Token.from_response(server.issue_token(), issued_at=time.time() - 280)


def one_shot(client):
    """A body that can be sent once."""

    async def asynchronously():
        yield FILM

    return client.raw(asynchronously() if client.is_async else iter([FILM]))


def test_a_stale_token_is_renewed_before_a_body_is_sent_that_can_be_sent_once(client, oauth_server, auth_for):
    token = stale(oauth_server)
    auth = auth_for(oauth_server, token=token)
    response = client.send(auth, "POST", f"{oauth_server.api_url}/upload", **one_shot(client))
    assert response.json()["sha256"] == SHA256
    assert [request.role for request in oauth_server.requests] == ["token", "api"]
    assert token.access_token not in oauth_server.requests[1].header("Authorization")


def test_a_stale_token_goes_out_at_once_with_a_body_that_can_be_sent_again(client, oauth_server, auth_for):
    token, renewed = stale(oauth_server), threading.Event()
    auth = auth_for(oauth_server, token=token, on_event=lambda event: renewed.set())
    oauth_server.token_faults.add(Hold())  # the renewal goes on beside, and the upload does not wait for it
    response = client.send(auth, "POST", f"{oauth_server.api_url}/upload", **client.raw(FILM))
    assert response.json()["sha256"] == SHA256
    assert oauth_server.requests_to("api")[0].header("Authorization") == f"Bearer {token.access_token}"
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    oauth_server.release()
    assert renewed.wait(10)


def test_a_stale_token_serves_a_body_that_can_be_sent_once_where_the_token_endpoint_is_down(
    client, oauth_server, auth_for
):
    token = stale(oauth_server)
    auth = auth_for(oauth_server, token=token, token_timeout=0.5)
    oauth_server.token_faults.always(Hold())
    response = client.send(auth, "POST", f"{oauth_server.api_url}/upload", **one_shot(client))
    assert response.json()["sha256"] == SHA256
    assert oauth_server.requests_to("api")[0].header("Authorization") == f"Bearer {token.access_token}"
