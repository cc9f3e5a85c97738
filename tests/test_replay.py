"""What happens on a 401 or 403, the same in all five clients."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from video_oauth_auth.testing import CHALLENGES, Answer, Hold, Mutate, with_members


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


def revoke_known_token(client, server, auth):
    """Let the client get a token, which the server then ends."""
    assert client.send(auth, "GET", f"{server.api_url}/me").status_code == 200
    assert server.revoke_access_tokens() == 1
    server.clear()


def states(server):
    return [request.token_state for request in server.requests_to("api")]


@pytest.mark.parametrize("challenge", ["bearer", "none", "html", "brightcove"])
def test_a_401_about_the_token_costs_one_renewal_and_one_replay(client, oauth_server, auth, challenge):
    oauth_server.challenge = challenge
    revoke_known_token(client, oauth_server, auth)
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert states(oauth_server) == ["revoked", "live"]
    assert len(oauth_server.token_calls) == 1


ABOUT_THE_TOKEN = {
    "beside another scheme": 'Basic realm="api", Bearer error="invalid_token"',
    "in another case": 'bEARER REALM="api", ERROR="invalid_token"',
    "without parameters": "Bearer",
    "with the scope named in a text only": 'Bearer error="invalid_token", error_description="not insufficient_scope"',
}


@pytest.mark.parametrize("challenge", ABOUT_THE_TOKEN.values(), ids=ABOUT_THE_TOKEN)
def test_a_bearer_challenge_is_recognised_however_it_is_written(client, oauth_server, auth, challenge):
    oauth_server.challenge = Answer(401, headers={"WWW-Authenticate": challenge})
    revoke_known_token(client, oauth_server, auth)
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert states(oauth_server) == ["revoked", "live"]


def test_challenges_in_two_header_lines_are_both_read(client, oauth_server, auth):
    lines = (("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Bearer error="invalid_token"'))
    oauth_server.challenge = Answer(401, headers=lines)
    revoke_known_token(client, oauth_server, auth)
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200


def test_a_token_that_ended_on_the_servers_clock_only_is_renewed_too(client, oauth_server, auth):
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    oauth_server.advance(301)
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert states(oauth_server) == ["live", "expired", "live"]


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_replayed_as_it_was(client, oauth_server, auth, method):
    revoke_known_token(client, oauth_server, auth)
    response = client.send(auth, method, f"{oauth_server.api_url}/echo?a=1", headers={"X-Mine": "kept"})
    assert response.status_code == 200
    first, again = oauth_server.requests_to("api")
    assert (again.method, again.query, again.header("X-Mine")) == (first.method, first.query, "kept")
    assert again.header("Authorization") != first.header("Authorization")
    assert len([name for name, _ in again.headers if name.lower() == "authorization"]) == 1


def test_a_token_that_another_caller_has_renewed_meanwhile_is_just_taken(client, oauth_server, auth):
    url = oauth_server.api_url
    assert client.send(auth, "GET", f"{url}/me").status_code == 200
    oauth_server.api_faults.add(Hold(), path="/echo")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.send, auth, "GET", f"{url}/echo")
        oauth_server.wait_for(lambda: oauth_server.held == 1)
        oauth_server.revoke_access_tokens()
        assert client.send(auth, "GET", f"{url}/me").status_code == 200
        oauth_server.release()
        assert slow.result(timeout=30).status_code == 200
    assert len(oauth_server.token_calls) == 2  # the first token, and one renewal for both


NOT_ABOUT_THE_TOKEN = {
    "401 insufficient_scope": CHALLENGES["insufficient_scope"],
    "403 insufficient_scope": CHALLENGES["insufficient_scope_403"],
    "403": Answer(403),
    "403 invalid_token": Answer(403, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}),
    "407": Answer(407, headers={"Proxy-Authenticate": "Basic"}),
    "Basic": CHALLENGES["basic"],
    "Digest": Answer(401, headers={"WWW-Authenticate": 'Digest realm="Bearer", nonce="Bearer"'}),
    "DPoP": Answer(401, headers={"WWW-Authenticate": 'DPoP algs="ES256", error="invalid_token"'}),
}


@pytest.mark.parametrize("answer", NOT_ABOUT_THE_TOKEN.values(), ids=NOT_ABOUT_THE_TOKEN)
def test_an_answer_that_a_new_token_would_not_change_goes_to_the_caller(client, oauth_server, auth, answer):
    oauth_server.api_faults.add(answer)
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == answer.status
    assert len(oauth_server.requests_to("api")) == 1
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert len(oauth_server.token_calls) == 1


def test_a_second_401_goes_to_the_caller_with_its_body(client, oauth_server, auth):
    oauth_server.challenge = "brightcove"
    response = client.send(auth, "GET", f"{oauth_server.api_url}/always-401")
    assert response.status_code == 401
    assert response.json()[0]["error_code"] == "UNAUTHORIZED"
    assert states(oauth_server) == ["live", "live"]
    assert len(oauth_server.token_calls) == 2


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_whatever_the_replay_is_answered_goes_to_the_caller(client, oauth_server, auth, status):
    revoke_known_token(client, oauth_server, auth)
    oauth_server.api_faults.add(CHALLENGES["bearer"])
    oauth_server.api_faults.add(Answer(status, body="the second answer"))
    response = client.send(auth, "GET", f"{oauth_server.api_url}/me")
    assert (response.status_code, response.text) == (status, "the second answer")
    assert len(oauth_server.requests_to("api")) == 2


def test_the_same_access_token_again_is_not_worth_a_replay(client, oauth_server, auth):
    url = f"{oauth_server.api_url}/me"
    assert client.send(auth, "GET", url).status_code == 200
    oauth_server.token_faults.always(with_members(access_token=auth.source.get_token().access_token))
    oauth_server.revoke_access_tokens()
    oauth_server.clear()
    assert [client.send(auth, "GET", url).status_code for _ in range(5)] == [401] * 5
    assert len(oauth_server.requests_to("api")) == 5  # none of them twice
    assert len(oauth_server.token_calls) == 1  # and a pause for the token endpoint


def test_a_401_after_a_303_replays_the_get_and_not_the_post(client, oauth_server, auth):
    url = oauth_server.api_url
    oauth_server.api_faults.add(CHALLENGES["bearer"], path="/me")
    follow = {} if client.library == "requests" else {"follow_redirects": True}
    response = client.send(auth, "POST", f"{url}/redirect?to={url}/me", **client.raw(b"film"), **follow)
    assert response.status_code == 200
    seen = [(request.method, request.path) for request in oauth_server.requests_to("api")]
    assert seen == [("POST", "/redirect"), ("GET", "/me"), ("GET", "/me")]


@pytest.mark.parametrize("status", [307, 308])
def test_a_401_after_a_307_replays_the_last_request_with_its_body(client, oauth_server, auth, status):
    url = oauth_server.api_url
    oauth_server.api_faults.add(CHALLENGES["bearer"], path="/upload")
    follow = {} if client.library == "requests" else {"follow_redirects": True}
    target = f"{url}/redirect?to={url}/upload&status={status}"
    assert client.send(auth, "POST", target, **client.raw(b"film"), **follow).json()["size"] == 4
    seen = [(request.path, request.body) for request in oauth_server.requests_to("api")]
    assert seen == [("/redirect", b"film"), ("/upload", b"film"), ("/upload", b"film")]


def test_an_api_that_wants_the_bare_token_gets_it_in_the_replay_too(client, oauth_server, auth_for):
    oauth_server.authorization_scheme = None
    bare = type(auth_for(oauth_server))(auth_for(oauth_server).source, origins=[oauth_server.api_url], scheme=None)
    revoke_known_token(client, oauth_server, bare)
    assert client.send(bare, "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert states(oauth_server) == ["revoked", "live"]


def test_a_401_to_a_request_without_our_token_is_the_callers(client, oauth_server, auth):
    """Somebody replaced the header after us: a new token of ours is no answer to that."""

    def replace_header(response_or_request):
        response_or_request.headers["Authorization"] = "Bearer of-somebody-else"

    async def replace_header_async(request):
        replace_header(request)

    if client.library == "requests":

        class Replacing:
            def __call__(self, request):
                replace_header(auth(request))
                return request

        response = client.send(Replacing(), "GET", f"{oauth_server.api_url}/me")
    else:
        hook = replace_header_async if client.is_async else replace_header
        with client.session(auth, event_hooks={"request": [hook]}) as send:
            response = send("GET", f"{oauth_server.api_url}/me")
    assert response.status_code == 401
    assert states(oauth_server) == ["unknown"]
    assert len(oauth_server.token_calls) == 1


def test_a_replay_uses_the_token_that_a_401_brought_even_if_it_lives_for_a_moment_only(client, oauth_server, auth):
    revoke_known_token(client, oauth_server, auth)
    oauth_server.token_faults.add(Mutate(lambda members: {**members, "expires_in": 0.001}))
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert states(oauth_server) == ["revoked", "live"]
