"""A 401 gives its connection back, so that the narrowest pool is wide enough."""

import httpx
import httpx2
import pytest
import requests
from requests.adapters import HTTPAdapter

from video_oauth_auth import TransportError
from video_oauth_auth.testing import Answer, Drop

of_httpx = pytest.mark.parametrize("client", ["httpx", "httpx-async", "httpx2", "httpx2-async"], indirect=True)
both_modules = pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


@pytest.fixture
def session(auth):
    with requests.Session() as session:
        session.auth = auth
        yield session


def revoke_known_token(send, server):
    """Let the client get a token, which the server then ends."""
    assert send("GET", f"{server.api_url}/me", timeout=30).status_code == 200
    server.revoke_access_tokens()
    server.clear()


# requests


@pytest.fixture
def narrow(session):
    """A session whose pool has one connection, and waits for it."""
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1, pool_block=True))
    return session


PAGE = Answer(401, body="x" * 300_000)
CHUNKED_PAGE = Answer(401, chunks=(b"x" * 1000,) * 300)


@pytest.mark.timeout(15)
@pytest.mark.parametrize("page", [PAGE, CHUNKED_PAGE, Answer(401)], ids=["long", "chunked", "empty"])
@pytest.mark.parametrize("stream", [False, True], ids=["read", "stream"])
def test_a_session_with_one_connection_is_enough_for_a_replay(narrow, oauth_server, page, stream):
    revoke_known_token(narrow.request, oauth_server)
    oauth_server.challenge = page
    for _ in range(2):
        with narrow.get(f"{oauth_server.api_url}/me", stream=stream, timeout=10) as response:
            assert (response.status_code, response.json()["sub"]) == (200, oauth_server.client_id)
        oauth_server.revoke_access_tokens()
    assert len({request.connection for request in oauth_server.requests_to("api")}) == 1


@pytest.mark.timeout(15)
def test_a_session_with_one_connection_is_free_again_after_a_401_that_could_not_be_replayed(narrow, oauth_server):
    revoke_known_token(narrow.request, oauth_server)
    oauth_server.challenge = PAGE
    body = iter([b"read once"])
    assert narrow.post(f"{oauth_server.api_url}/upload", data=body, timeout=10).status_code == 401
    assert narrow.get(f"{oauth_server.api_url}/me", timeout=10).status_code == 200


@pytest.mark.timeout(15)
def test_a_session_with_one_connection_is_free_again_after_a_renewal_that_failed(oauth_server, auth_for, narrow):
    narrow.auth = auth_for(oauth_server, token_timeout=1.5)
    revoke_known_token(narrow.request, oauth_server)
    oauth_server.challenge = PAGE
    oauth_server.token_faults.always(Drop("before"))
    with pytest.raises(TransportError) as kept:  # whoever keeps the error must not keep the connection
        narrow.get(f"{oauth_server.api_url}/me", timeout=10)
    oauth_server.token_faults.clear()
    assert narrow.get(f"{oauth_server.api_url}/me", timeout=10).status_code == 200
    del kept


@pytest.mark.timeout(15)
def test_a_session_with_one_connection_serves_token_calls_too_if_it_is_the_http_client(oauth_server, auth_for):
    with requests.Session() as session:
        session.auth = auth_for(oauth_server, http_client=session)
        session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1, pool_block=True))
        revoke_known_token(session.request, oauth_server)
        oauth_server.challenge = PAGE
        assert session.get(f"{oauth_server.api_url}/me", stream=True, timeout=10).status_code == 200


# httpx


@pytest.mark.timeout(30)
@of_httpx
def test_a_client_with_one_connection_is_enough_for_a_replay(client, oauth_server, auth):
    with client.session(auth, limits=client.module.Limits(max_connections=1)) as send:
        revoke_known_token(send, oauth_server)
        oauth_server.challenge = PAGE
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
        oauth_server.revoke_access_tokens()
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
    assert len({request.connection for request in oauth_server.requests_to("api")}) == 1


@pytest.mark.timeout(30)
@of_httpx
def test_a_client_with_one_connection_is_free_again_after_a_renewal_that_failed(client, oauth_server, auth_for):
    auth = auth_for(oauth_server, token_timeout=1.5)
    with client.session(auth, limits=client.module.Limits(max_connections=1)) as send:
        revoke_known_token(send, oauth_server)
        oauth_server.challenge = PAGE
        oauth_server.token_faults.always(Drop("before"))
        with pytest.raises(TransportError):
            send("GET", f"{oauth_server.api_url}/me")
        oauth_server.token_faults.clear()
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200


@pytest.mark.timeout(30)
@both_modules
def test_a_client_with_one_connection_serves_token_calls_too_if_it_is_the_http_client(oauth_server, auth_for, module):
    with module.Client(timeout=30, limits=module.Limits(max_connections=1)) as client:
        client.auth = auth_for(oauth_server, http_client=client, token_timeout=5)
        revoke_known_token(client.request, oauth_server)
        oauth_server.challenge = PAGE
        assert client.get(f"{oauth_server.api_url}/me").status_code == 200
