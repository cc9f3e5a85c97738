"""What is special about requests: its own promises hold for a replayed response too."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import requests_mock
import responses
from requests.adapters import HTTPAdapter

from video_oauth_auth import AuthorizationServer, OAuth2Auth, TransportError
from video_oauth_auth.testing import Answer, Delay, Drop

TOKEN_URL = "https://oauth.example.com/token"
API = "https://api.example.com"


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


@pytest.fixture
def session(auth):
    with requests.Session() as session:
        session.auth = auth
        yield session


def mocked_auth(**settings):
    server = AuthorizationServer(token_endpoint=TOKEN_URL)
    return OAuth2Auth.client_credentials(server, "test-client", "test-client-secret", origins=[API], **settings)


def revoke_known_token(session, server):
    """Let the session get a token, which the server then ends."""
    assert session.get(f"{server.api_url}/me", timeout=30).status_code == 200
    server.revoke_access_tokens()
    server.clear()


# The replayed response


def test_the_history_of_a_replayed_response_holds_the_401_with_its_body(session, oauth_server):
    oauth_server.challenge = "brightcove"
    revoke_known_token(session, oauth_server)
    response = session.get(f"{oauth_server.api_url}/me", timeout=30)
    (refused,) = response.history
    assert (refused.status_code, refused.json()[0]["error_code"]) == (401, "UNAUTHORIZED")
    assert refused.request.headers["Authorization"] != response.request.headers["Authorization"]


def test_the_elapsed_time_of_a_replayed_response_is_its_own(session, oauth_server):
    revoke_known_token(session, oauth_server)
    oauth_server.api_faults.add(Delay(0.4))
    response = session.get(f"{oauth_server.api_url}/me", timeout=30)
    assert response.status_code == 200
    assert response.elapsed.total_seconds() < 0.4 <= response.history[0].elapsed.total_seconds()


def test_a_cookie_that_came_with_the_401_is_sent_with_the_replay_and_kept(session, oauth_server):
    revoke_known_token(session, oauth_server)
    response = session.get(f"{oauth_server.api_url}/cookie", timeout=30)
    assert response.json() == {"cookie": "visited=yes"}
    assert session.cookies["visited"] == "yes"


def test_a_cookie_that_only_the_401_set_is_kept_in_the_session(session, oauth_server):
    revoke_known_token(session, oauth_server)
    oauth_server.api_faults.add(Answer(401, headers={"Set-Cookie": "first=1; Path=/"}), path="/me")
    assert session.get(f"{oauth_server.api_url}/me", timeout=30).status_code == 200
    assert session.cookies["first"] == "1"


@pytest.mark.parametrize("of", ["session", "request"])
def test_the_users_own_hooks_run_once_and_see_the_replayed_response_only(session, oauth_server, of):
    seen = []
    revoke_known_token(session, oauth_server)
    hooks = {"response": [lambda response, **_: seen.append(response.status_code)] * 2}
    if of == "session":
        session.hooks = hooks
    session.get(f"{oauth_server.api_url}/me", hooks=hooks if of == "request" else None, timeout=30)
    assert seen == [200, 200]


def test_a_hook_that_raises_for_status_does_not_keep_the_replay_away(session, oauth_server):
    revoke_known_token(session, oauth_server)
    session.hooks["response"].append(lambda response, **_: response.raise_for_status())
    assert session.get(f"{oauth_server.api_url}/me", timeout=30).status_code == 200


class RecordingAdapter(requests_mock.Adapter):
    """Notes with which settings each request is sent."""

    def __init__(self):
        super().__init__()
        self.settings = []

    def send(self, request, **settings):
        self.settings.append(settings)
        return super().send(request, **settings)


@pytest.mark.parametrize("stream", [False, True])
def test_the_replay_is_sent_with_the_settings_of_the_request(session, oauth_server, auth, stream):
    auth.source.get_token()
    adapter = RecordingAdapter()
    adapter.register_uri("GET", f"{oauth_server.api_url}/me", [{"status_code": 401}, {"status_code": 200}])
    session.mount(oauth_server.api_url, adapter)
    proxies = {"http": "http://proxy.example.com:3128", "no_proxy": "other.example.com"}
    settings = {"stream": stream, "timeout": (3.5, 7), "verify": "/ca.pem", "cert": ("/mine.pem", "/mine.key")}
    assert session.get(f"{oauth_server.api_url}/me", proxies=proxies, **settings).status_code == 200
    first, again = adapter.settings
    assert again == first
    assert {name: again[name] for name in settings} == settings
    assert again["proxies"]["http"] == "http://proxy.example.com:3128"


def test_a_streamed_response_after_a_replay_is_still_unread(session, oauth_server):
    revoke_known_token(session, oauth_server)
    with session.get(f"{oauth_server.api_url}/stream", stream=True, timeout=30) as response:
        assert response.status_code == 200
        assert not response._content_consumed
        assert next(response.iter_lines()) == b"chunk 0"


def test_a_redirect_after_a_replay_carries_the_new_token(session, oauth_server):
    revoke_known_token(session, oauth_server)
    url = oauth_server.api_url
    response = session.get(f"{url}/redirect?to={url}/me", timeout=30)
    assert response.status_code == 200
    assert [(request.path, request.token_state) for request in oauth_server.requests_to("api")] == [
        ("/redirect", "revoked"),
        ("/redirect", "live"),
        ("/me", "live"),
    ]
    assert len(oauth_server.token_calls) == 1


def test_every_hop_of_a_redirect_may_be_replayed(session, oauth_server):
    """The second token ends while the redirect is followed."""
    revoke_known_token(session, oauth_server)
    url = oauth_server.api_url

    def end_tokens(response, **_):
        if response.is_redirect:
            oauth_server.revoke_access_tokens()

    response = session.get(f"{url}/redirect?to={url}/me", hooks={"response": end_tokens}, timeout=30)
    assert response.status_code == 200
    assert [(request.path, request.token_state) for request in oauth_server.requests_to("api")] == [
        ("/redirect", "revoked"),
        ("/redirect", "live"),
        ("/me", "revoked"),
        ("/me", "live"),
    ]


# Connections


@pytest.fixture
def narrow_session(session):
    """A session whose pool has one connection, and waits for it."""
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1, pool_block=True))
    return session


PAGE = Answer(401, body="x" * 300_000)
CHUNKED_PAGE = Answer(401, chunks=(b"x" * 1000,) * 300)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("page", [PAGE, CHUNKED_PAGE, Answer(401)], ids=["long", "chunked", "empty"])
@pytest.mark.parametrize("stream", [False, True], ids=["read", "stream"])
def test_a_pool_of_one_connection_is_enough_for_a_replay(narrow_session, oauth_server, page, stream):
    revoke_known_token(narrow_session, oauth_server)
    oauth_server.challenge = page
    for _ in range(2):
        with narrow_session.get(f"{oauth_server.api_url}/me", stream=stream, timeout=10) as response:
            assert (response.status_code, response.json()["sub"]) == (200, oauth_server.client_id)
        oauth_server.revoke_access_tokens()
    assert len({request.connection for request in oauth_server.requests_to("api")}) == 1


@pytest.mark.timeout(30)
def test_a_pool_of_one_connection_is_free_again_after_a_401_that_could_not_be_replayed(narrow_session, oauth_server):
    revoke_known_token(narrow_session, oauth_server)
    oauth_server.challenge = PAGE
    body = iter([b"read once"])
    assert narrow_session.post(f"{oauth_server.api_url}/upload", data=body, timeout=10).status_code == 401
    assert narrow_session.get(f"{oauth_server.api_url}/me", timeout=10).status_code == 200


@pytest.mark.timeout(30)
def test_a_pool_of_one_connection_is_free_again_after_a_renewal_that_failed(oauth_server, auth_for, narrow_session):
    narrow_session.auth = auth_for(oauth_server, token_timeout=0.5)
    revoke_known_token(narrow_session, oauth_server)
    oauth_server.challenge = PAGE
    oauth_server.token_faults.always(Drop("before"))
    with pytest.raises(TransportError) as kept:  # whoever keeps the error must not keep the connection
        narrow_session.get(f"{oauth_server.api_url}/me", timeout=10)
    oauth_server.token_faults.clear()
    assert narrow_session.get(f"{oauth_server.api_url}/me", timeout=10).status_code == 200
    del kept


@pytest.mark.timeout(30)
def test_a_pool_of_one_connection_serves_token_calls_too_where_the_session_is_the_http_client(oauth_server, auth_for):
    with requests.Session() as session:
        session.auth = auth_for(oauth_server, http_client=session)
        session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1, pool_block=True))
        revoke_known_token(session, oauth_server)
        oauth_server.challenge = PAGE
        assert session.get(f"{oauth_server.api_url}/me", stream=True, timeout=10).status_code == 200


# Sessions and prepared requests


def test_a_session_that_many_threads_share_survives_revocations(session, oauth_server):
    url = f"{oauth_server.api_url}/upload"

    def upload(number):
        if number % 40 == 20:
            oauth_server.revoke_access_tokens()
        body = f"{number:08}".encode() * 1000
        return session.post(url, data=body, timeout=30).json()["size"] == len(body)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(upload, range(200), timeout=60))


def test_a_prepared_request_can_be_sent_again_and_again(session, oauth_server):
    request = session.prepare_request(requests.Request("POST", f"{oauth_server.api_url}/upload", data=b"film"))
    for _ in range(4):
        assert session.send(request, timeout=30).status_code == 200
        oauth_server.revoke_access_tokens()
    states = [request.token_state for request in oauth_server.requests_to("api")]
    assert states == ["live"] + ["revoked", "live"] * 3


def test_each_401_of_a_prepared_request_is_replayed_once(session, oauth_server):
    """The replay adds no second hook, so that the third 401 is not replayed three times."""
    request = session.prepare_request(requests.Request("GET", f"{oauth_server.api_url}/always-401"))
    assert session.send(request, timeout=30).status_code == 401
    assert len(oauth_server.requests_to("api")) == 2


def test_the_short_functions_of_requests_work_too(auth, oauth_server):
    url = f"{oauth_server.api_url}/me"
    assert requests.get(url, auth=auth, timeout=30).status_code == 200
    oauth_server.revoke_access_tokens()
    assert requests.get(url, auth=auth, timeout=30).status_code == 200
    assert len(oauth_server.token_calls) == 2


# Mocks of the users' own tests


def token_answers():
    return [{"json": {"access_token": f"token-{number}", "expires_in": 300}} for number in (1, 2, 3)]


@pytest.mark.timeout(30)
def test_requests_mock_sees_the_token_call_and_the_api():
    with requests_mock.Mocker() as mocker:
        token_call = mocker.post(TOKEN_URL, token_answers())
        mocker.get(f"{API}/videos", request_headers={"Authorization": "Bearer token-1"}, json=[1, 2])
        assert requests.get(f"{API}/videos", auth=mocked_auth(), timeout=30).json() == [1, 2]
    assert token_call.call_count == 1
    assert "grant_type=client_credentials" in token_call.last_request.text


@pytest.mark.timeout(30)
def test_a_401_under_requests_mock_is_renewed_and_replayed():
    """requests_mock holds a lock while it answers: a token call on another thread would wait for it for ever."""
    with requests_mock.Mocker() as mocker:
        token_call = mocker.post(TOKEN_URL, token_answers())
        api = mocker.get(f"{API}/videos", [{"status_code": 401}, {"json": [1, 2]}])
        assert requests.get(f"{API}/videos", auth=mocked_auth(token_timeout=5), timeout=30).json() == [1, 2]
    assert (token_call.call_count, api.call_count) == (2, 2)


def test_requests_mock_shows_both_tries_with_the_tokens_that_they_carried():
    with requests_mock.Mocker() as mocker:
        mocker.post(TOKEN_URL, token_answers())
        api = mocker.get(f"{API}/videos", [{"status_code": 401}, {"json": [1, 2]}])
        requests.get(f"{API}/videos", auth=mocked_auth(token_timeout=5), timeout=30)
    sent = [request.headers["Authorization"] for request in api.request_history]
    assert sent == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.timeout(30)
def test_a_stale_token_under_requests_mock_is_renewed_beside():
    seed = {"access_token": "token-0", "expires_in": 1.0}
    auth = mocked_auth(token=seed, renew_ahead=60, token_timeout=5)
    with requests_mock.Mocker() as mocker:
        mocker.post(TOKEN_URL, token_answers())
        api = mocker.get(f"{API}/videos", json=[])
        session = requests.Session()
        session.auth = auth
        while "Bearer token-1" not in [request.headers["Authorization"] for request in api.request_history]:
            session.get(f"{API}/videos", timeout=30)


@pytest.mark.timeout(30)
def test_many_threads_under_requests_mock_do_not_lock_each_other_out():
    def answer(request, context):
        context.status_code = 401 if request.headers["Authorization"] == "Bearer token-1" else 200
        return "[]"

    with requests_mock.Mocker() as mocker, ThreadPoolExecutor(8) as pool:
        token_call = mocker.post(TOKEN_URL, token_answers())
        mocker.get(f"{API}/videos", text=answer)
        session = requests.Session()
        session.auth = mocked_auth(token_timeout=5)
        done = [pool.submit(session.get, f"{API}/videos", timeout=30) for _ in range(40)]
        assert [one.result(timeout=30).status_code for one in done] == [200] * 40
    assert token_call.call_count == 2


@pytest.mark.timeout(30)
def test_a_requests_mock_adapter_sees_token_calls_where_its_session_is_the_http_client():
    session, adapter = requests.Session(), requests_mock.Adapter()
    session.mount("https://", adapter)
    token_call = adapter.register_uri("POST", TOKEN_URL, token_answers())
    adapter.register_uri("GET", f"{API}/videos", [{"status_code": 401}, {"json": [1]}])
    session.auth = mocked_auth(http_client=session)
    assert session.get(f"{API}/videos", timeout=30).json() == [1]
    assert token_call.call_count == 2


@pytest.mark.timeout(30)
@responses.activate
def test_responses_sees_the_token_calls_and_the_replay():
    for members in token_answers():
        responses.post(TOKEN_URL, **members)
    responses.post(f"{API}/videos", status=401, headers={"WWW-Authenticate": "Bearer"})
    responses.post(f"{API}/videos", json={"id": 1}, status=201)
    created = requests.post(f"{API}/videos", json={"name": "Sommer"}, auth=mocked_auth(), timeout=30)
    assert (created.status_code, created.json()) == (201, {"id": 1})
    sent = [call.request for call in responses.calls if call.request.url.startswith(API)]
    assert [json.loads(request.body) for request in sent] == [{"name": "Sommer"}] * 2
    assert sent[1].headers["Authorization"] == "Bearer token-2"


def test_a_walk_over_many_pages_does_not_notice_that_the_token_ends_again_and_again(session, oauth_server):
    for page in range(30):
        if page % 7 == 3:
            oauth_server.revoke_access_tokens()
        assert session.get(f"{oauth_server.api_url}/echo?page={page}", timeout=30).json()["query"] == f"page={page}"
