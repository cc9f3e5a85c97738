"""What is special about requests: its own promises hold for a replayed response too."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import requests_mock

from video_oauth_auth.testing import Answer, Delay


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


@pytest.fixture
def session(auth):
    with requests.Session() as session:
        session.auth = auth
        yield session


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
    oauth_server.api_faults.add(Delay(1.0))
    response = session.get(f"{oauth_server.api_url}/me", timeout=30)
    assert response.status_code == 200
    assert response.elapsed.total_seconds() < 1.0 <= response.history[0].elapsed.total_seconds()


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


# Sessions and prepared requests


def test_a_session_that_many_threads_share_survives_a_revocation(session, oauth_server):
    url = f"{oauth_server.api_url}/upload"

    def upload(number):
        if number == 100:
            oauth_server.revoke_access_tokens()
        body = f"{number:08}".encode() * 1000
        return session.post(url, data=body, timeout=30).json()["size"] == len(body)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(upload, range(200), timeout=60))


def test_a_prepared_request_can_be_sent_twice(session, oauth_server):
    request = session.prepare_request(requests.Request("POST", f"{oauth_server.api_url}/upload", data=b"film"))
    for _ in range(2):
        assert session.send(request, timeout=30).status_code == 200
        oauth_server.revoke_access_tokens()
    assert [request.token_state for request in oauth_server.requests_to("api")] == ["live", "revoked", "live"]


def test_a_prepared_request_that_is_kept_for_long_is_never_stuck_with_an_old_token(session, oauth_server):
    """requests asks for a token when it prepares, not when it sends: at worst one 401 shows that another one is due."""
    request = session.prepare_request(requests.Request("GET", f"{oauth_server.api_url}/me"))
    for _ in range(5):
        answers = [session.send(request, timeout=30).status_code for _ in range(2)]
        assert answers in ([200, 200], [401, 200])
        oauth_server.revoke_access_tokens()


def test_each_401_of_a_prepared_request_is_replayed_once(session, oauth_server):
    """The replay adds no second hook, so that the third 401 is not replayed three times."""
    request = session.prepare_request(requests.Request("GET", f"{oauth_server.api_url}/always-401"))
    assert session.send(request, timeout=30).status_code == 401
    assert len(oauth_server.requests_to("api")) == 2


@pytest.mark.parametrize("times", [1, 3])
def test_a_request_that_is_prepared_again_and_again_is_replayed_once(auth, oauth_server, times):
    with requests.Session() as session:
        prepared = session.prepare_request(requests.Request("GET", f"{oauth_server.api_url}/me"))
        for _ in range(times):
            prepared.prepare_auth(auth)
        oauth_server.api_faults.always(Answer(401))
        calls = len(oauth_server.token_calls)
        assert session.send(prepared, timeout=30).status_code == 401
        assert len(oauth_server.requests_to("api")) == 2
        assert len(oauth_server.token_calls) == calls + 1


def test_the_short_functions_of_requests_work_too(auth, oauth_server):
    url = f"{oauth_server.api_url}/me"
    assert requests.get(url, auth=auth, timeout=30).status_code == 200
    oauth_server.revoke_access_tokens()
    assert requests.get(url, auth=auth, timeout=30).status_code == 200
    assert len(oauth_server.token_calls) == 2


def test_a_walk_over_many_pages_does_not_notice_that_the_token_ends_again_and_again(session, oauth_server):
    for page in range(30):
        if page % 7 == 3:
            oauth_server.revoke_access_tokens()
        assert session.get(f"{oauth_server.api_url}/echo?page={page}", timeout=30).json()["query"] == f"page={page}"
