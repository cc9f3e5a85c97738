"""Token calls are private: nothing of the user's session goes with them, and they go nowhere else."""

import functools

import httpx
import httpx2
import pytest
import requests

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    ConfigurationError,
    InsecureTransportError,
    OAuth2Auth,
    OAuthClient,
    OAuthError,
    TokenSource,
)
from video_oauth_auth.testing import json_answer, redirect

MODULES = {"requests": (requests, "Session"), "httpx": (httpx, "Client"), "httpx2": (httpx2, "Client")}


@pytest.fixture(params=MODULES)
def make_client(request):
    """Make a session or client of each library; those are what `http_client=` takes."""
    module, name = MODULES[request.param]
    return getattr(module, name)


def posting(server, **settings):
    """An auth object that sends its secret in the form, so that the Authorization header is free."""
    client = OAuthClient(server.client_id, server.client_secret, token_endpoint_auth_method="client_secret_post")
    source = TokenSource(server.authorization_server, client, ClientCredentials(), **settings)
    return OAuth2Auth(source, origins=[server.api_url])


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_token_call_follows_no_redirect(client, oauth_server, auth_for, status, method):
    oauth_server.token_endpoint_auth_methods = (method,)
    oauth_server.token_faults.always(redirect(status, f"{oauth_server.foreign_url}/token"))
    make = posting if method == "client_secret_post" else auth_for
    with pytest.raises(OAuthError):
        client.send(make(oauth_server, token_timeout=0.3), "GET", f"{oauth_server.api_url}/me")
    assert not oauth_server.requests_to("foreign")
    assert not oauth_server.requests_to("api")


def test_a_token_call_takes_nothing_from_netrc(client, oauth_server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert client.send(posting(oauth_server), "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert oauth_server.token_calls[0].header("Authorization") is None


def test_a_token_call_through_a_given_session_takes_nothing_from_netrc(
    make_client, oauth_server, tmp_path, monkeypatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with make_client() as session:
        posting(oauth_server, http_client=session).source.get_token()
    assert oauth_server.token_calls[0].header("Authorization") is None


def users_session(make_client, seen):
    """A session with everything that a user can put into one."""
    session = make_client()
    session.headers["X-Mine"] = "private"
    session.headers["User-Agent"] = "private agent"
    session.cookies.set("mine", "private")
    session.params = {"mine": "private"}
    session.auth = ("somebody", "private")
    if isinstance(session, requests.Session):
        session.hooks["response"].append(lambda response, **_: seen.append(response))
    else:
        session.event_hooks = {"request": [seen.append], "response": [seen.append]}
    return session


def assert_private(server, seen):
    for call in server.token_calls:
        assert "private" not in f"{call.headers} {call.query} {call.body!r}"
        assert call.header("Cookie") is None
        assert call.header("Authorization") is None
        assert call.header("Accept-Encoding") == "identity"
    assert not seen


def test_a_token_call_through_a_given_session_takes_nothing_else_from_it(make_client, oauth_server):
    seen = []
    with users_session(make_client, seen) as session:
        posting(oauth_server, http_client=session).source.get_token()
    assert len(oauth_server.token_calls) == 1
    assert_private(oauth_server, seen)


def test_the_token_calls_for_a_session_take_nothing_from_it(make_client, oauth_server):
    seen = []
    with users_session(make_client, seen) as session:
        session.auth = posting(oauth_server)
        assert session.get(f"{oauth_server.api_url}/me", timeout=30).status_code == 200
    assert {str(getattr(one, "url", "")).partition("?")[0] for one in seen} == {f"{oauth_server.api_url}/me"}
    assert_private(oauth_server, ())


@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
def test_a_cookie_of_the_token_endpoint_is_kept_nowhere(make_client, oauth_server, given):
    with make_client() as session:
        session.auth = posting(oauth_server, http_client=session if given else None)
        members = dict(oauth_server.issue_token())
        cookie = (("Set-Cookie", "from=token-endpoint; Path=/"),)
        oauth_server.token_faults.add(json_answer(200, members, cookie))
        assert session.get(f"{oauth_server.api_url}/me", timeout=30).status_code == 200
        oauth_server.revoke_access_tokens()
        assert session.get(f"{oauth_server.api_url}/me", timeout=30).status_code == 200
        assert not session.cookies
    assert [request.header("Cookie") for request in oauth_server.requests] == [None] * 5


def test_a_session_whose_auth_is_this_very_object_can_make_its_token_calls(make_client, oauth_server, auth_for):
    with make_client() as session:
        session.auth = auth_for(oauth_server, http_client=session)
        assert session.get(f"{oauth_server.api_url}/me", timeout=30).status_code == 200
        oauth_server.revoke_access_tokens()
        assert session.get(f"{oauth_server.api_url}/me", timeout=30).status_code == 200
    assert len(oauth_server.token_calls) == 2


def test_a_client_that_is_given_serves_the_requests_of_every_library(client, make_client, oauth_server, auth_for):
    with make_client() as session:
        auth = auth_for(oauth_server, http_client=session)
        assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert len(oauth_server.token_calls) == 1


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_an_asynchronous_client_is_refused_for_token_calls(oauth_server, auth_for, module):
    with pytest.raises(ConfigurationError, match="AsyncClient"):
        auth_for(oauth_server, http_client=module.AsyncClient())


@pytest.mark.parametrize("wrong", ["https://proxy", object(), requests, functools.partial(requests.Session)])
def test_what_is_no_client_is_refused_for_token_calls(oauth_server, auth_for, wrong):
    with pytest.raises(ConfigurationError, match="http_client="):
        auth_for(oauth_server, http_client=wrong)


def test_a_token_endpoint_without_tls_has_to_be_named_as_insecure():
    def make(**settings):
        server = AuthorizationServer(token_endpoint="http://keycloak:8080/token")
        return TokenSource(server, OAuthClient("id", "secret"), ClientCredentials(), **settings)

    with pytest.raises(InsecureTransportError, match="insecure_origins"):
        make()
    with pytest.raises(InsecureTransportError):
        make(insecure_origins=["http://keycloak"])
    assert make(insecure_origins=["http://keycloak:8080"]).key
