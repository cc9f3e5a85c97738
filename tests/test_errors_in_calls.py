"""What callers catch: their library's errors, from the token endpoint as well as from a source of their own."""

import copy
import pickle
import threading
import traceback

import httpx
import httpx2
import pytest
import requests

from video_oauth_auth import LoginRequired, OAuth2Auth, OAuthError, ResponseError, Token, TransportError
from video_oauth_auth.testing import Drop, json_answer


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


def library_error(client):
    return requests.RequestException if client.library == "requests" else client.module.HTTPError


def unreachable_error(client):
    return requests.ConnectionError if client.library == "requests" else client.module.TransportError


@pytest.mark.parametrize("when", ["first", "after a 401"])
def test_a_refusal_is_an_error_of_the_library_too_and_survives_copies(client, oauth_server, auth, when):
    url = f"{oauth_server.api_url}/me?page=2"
    if when == "after a 401":
        assert client.send(auth, "GET", url).status_code == 200
        oauth_server.revoke_access_tokens()
    oauth_server.change_secret("another")
    with pytest.raises(library_error(client)) as raised:
        client.send(auth, "GET", url)
    error = raised.value
    assert isinstance(error, ResponseError)
    assert not isinstance(error, unreachable_error(client))
    assert (error.error, error.status) == ("invalid_client", 401)
    assert str(error.request.url) == url
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert isinstance(again, ResponseError)
        assert isinstance(again, library_error(client))
        assert (again.error, again.status, str(again)) == (error.error, error.status, str(error))


def test_a_token_endpoint_that_is_down_is_a_connection_error_of_the_library_too(client, oauth_server, auth_for):
    oauth_server.token_faults.always(Drop("before"))
    with pytest.raises(unreachable_error(client)) as raised:
        client.send(auth_for(oauth_server, token_timeout=1.0), "GET", f"{oauth_server.api_url}/me")
    assert isinstance(raised.value, TransportError)
    assert raised.value.transient
    assert str(raised.value.request.url) == f"{oauth_server.api_url}/me"
    assert not oauth_server.requests_to("api")


def test_a_server_error_of_the_token_endpoint_tells_its_status(client, oauth_server, auth_for):
    oauth_server.token_faults.always(json_answer(503, {"error": "temporarily_unavailable"}))
    with pytest.raises(unreachable_error(client)) as raised:
        client.send(auth_for(oauth_server, token_timeout=1.0), "GET", f"{oauth_server.api_url}/me")
    assert isinstance(raised.value, TransportError)
    assert raised.value.status == 503


def test_an_error_shows_no_secret_in_its_text_its_traceback_or_its_frames(client, oauth_server, auth):
    """Tools that report crashes show the local variables of each frame."""
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    oauth_server.revoke_access_tokens()
    oauth_server.change_secret("another")
    with pytest.raises(OAuthError) as raised:
        client.send(auth, "GET", f"{oauth_server.api_url}/me")
    error, shown = raised.value, []
    while error is not None:
        shown.append("".join(traceback.format_exception(error, chain=False)))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "video_oauth_auth/" in frame.f_code.co_filename and "/testing/" not in frame.f_code.co_filename:
                shown += [repr(value) for value in frame.f_locals.values()]
        error = error.__cause__ or error.__context__
    assert not [secret for secret in oauth_server.secrets() if secret in "\n".join(shown)]


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_get_token_without_a_request_raises_plain_errors(oauth_server, auth, module):
    oauth_server.change_secret("another")
    with pytest.raises(ResponseError) as raised:
        auth.source.get_token()
    assert not isinstance(raised.value, module.HTTPError | requests.RequestException)


# A user's own source


class OwnSource:
    """Takes tokens from somewhere else, as a user's own class may."""

    def __init__(self, server):
        self._server = server
        self._lock = threading.Lock()
        self._token = None
        self.rejected = []

    def get_token(self, *, rejected=None):
        with self._lock:
            if rejected is not None:
                self.rejected.append(rejected)
            if self._token is None or self._token == rejected:
                self._token = Token.from_response(self._server.issue_token())
            return self._token

    async def aget_token(self, *, rejected=None):
        return self.get_token(rejected=rejected)


def test_a_source_of_the_users_own_is_asked_for_another_token_on_a_401(client, oauth_server):
    source = OwnSource(oauth_server)
    auth, url = OAuth2Auth(source, origins=[oauth_server.api_url]), f"{oauth_server.api_url}/upload"
    assert client.send(auth, "POST", url, **client.raw(b"film")).status_code == 200
    oauth_server.revoke_access_tokens()
    assert client.send(auth, "POST", url, **client.raw(b"film")).json()["size"] == 4
    assert [request.token_state for request in oauth_server.requests_to("api")] == ["live", "revoked", "live"]
    assert len(source.rejected) == 1
    assert not oauth_server.token_calls


def test_a_source_of_the_users_own_that_has_no_other_token_causes_no_replay(client, oauth_server):
    class Stubborn(OwnSource):
        def get_token(self, *, rejected=None):
            return super().get_token()

    auth = OAuth2Auth(Stubborn(oauth_server), origins=[oauth_server.api_url])
    assert client.send(auth, "GET", f"{oauth_server.api_url}/always-401").status_code == 401
    assert len(oauth_server.requests_to("api")) == 1


def test_what_a_source_of_the_users_own_raises_reaches_the_caller(client, oauth_server):
    class Broken(OwnSource):
        def get_token(self, *, rejected=None):
            raise LookupError("the vault is closed")

    auth = OAuth2Auth(Broken(oauth_server), origins=[oauth_server.api_url])
    with pytest.raises(LookupError, match="the vault is closed"):
        client.send(auth, "GET", f"{oauth_server.api_url}/me")


def test_an_oauth_error_of_a_users_own_source_is_an_error_of_the_library_too(client, oauth_server):
    class Refusing(OwnSource):
        def get_token(self, *, rejected=None):
            raise LoginRequired("sign in first", reason="revoked", user="anna")

    auth = OAuth2Auth(Refusing(oauth_server), origins=[oauth_server.api_url])
    with pytest.raises(LoginRequired, match="sign in first") as raised:
        client.send(auth, "GET", f"{oauth_server.api_url}/me")
    assert (raised.value.reason, raised.value.user) == ("revoked", "anna")
    assert isinstance(raised.value, library_error(client))
