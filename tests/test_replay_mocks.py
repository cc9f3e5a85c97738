"""The mocks that users have in their own tests see token calls and replays."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import httpx2
import pytest
import requests
import requests_mock
import responses
import respx

from video_oauth_auth import AuthorizationServer, OAuth2Auth

TOKEN_URL = "https://oauth.example.com/token"
API = "https://api.example.com"

of_httpx = pytest.mark.parametrize("client", ["httpx", "httpx-async", "httpx2", "httpx2-async"], indirect=True)
of_plain_httpx = pytest.mark.parametrize("client", ["httpx", "httpx-async"], indirect=True)


def mocked_auth(**settings):
    server = AuthorizationServer(token_endpoint=TOKEN_URL)
    return OAuth2Auth.client_credentials(server, "test-client", "test-client-secret", origins=[API], **settings)


# requests


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


# httpx


def httpx_token_answers(module):
    members = [{"access_token": f"token-{number}", "expires_in": 300} for number in (1, 2, 3)]
    return [module.Response(200, json=each) for each in members]


@of_plain_httpx
def test_respx_sees_the_token_calls_and_the_replay(client):
    with respx.mock() as mock:
        token_call = mock.post(TOKEN_URL).mock(side_effect=httpx_token_answers(httpx))
        api = mock.get(f"{API}/videos").mock(side_effect=[httpx.Response(401), httpx.Response(200, json=[1])])
        assert client.send(mocked_auth(), "GET", f"{API}/videos").json() == [1]
    assert (token_call.call_count, api.call_count) == (2, 2)
    assert b"grant_type=client_credentials" in token_call.calls[0].request.content
    assert api.calls[1].request.headers["Authorization"] == "Bearer token-2"


@of_plain_httpx
def test_pytest_httpx_sees_the_token_calls_and_the_replay(client, httpx_mock):
    for number in (1, 2):
        httpx_mock.add_response(url=TOKEN_URL, json={"access_token": f"token-{number}", "expires_in": 300})
    httpx_mock.add_response(url=f"{API}/videos", status_code=401)
    httpx_mock.add_response(url=f"{API}/videos", json=[1], match_headers={"Authorization": "Bearer token-2"})
    assert client.send(mocked_auth(), "GET", f"{API}/videos").json() == [1]
    assert len(httpx_mock.get_requests(url=TOKEN_URL)) == 2


@of_httpx
def test_a_mock_transport_sees_the_token_calls_of_the_client_that_has_it(client):
    module = client.module
    answers = iter(httpx_token_answers(module))
    sent = []

    def answer(request):
        if str(request.url) == TOKEN_URL:
            return next(answers)
        sent.append(request.headers["Authorization"])
        return module.Response(401 if len(sent) == 1 else 200, json=[1])

    transport = module.MockTransport(answer)
    with module.Client(transport=transport) as for_tokens:
        auth = mocked_auth(http_client=for_tokens)
        with client.session(auth, transport=transport) as send:
            assert send("GET", f"{API}/videos").json() == [1]
    assert sent == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_an_app_behind_an_asgi_transport_is_replayed_too(oauth_server, auth_for, module):
    """Users test their own web apps without a socket, while the tokens come from a real server."""
    seen = []

    async def app(scope, receive, send):
        token = dict(scope["headers"])[b"authorization"]
        seen.append(token)
        status = 401 if len(seen) == 1 else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def main():
        transport = module.ASGITransport(app)
        settings = {"auth": auth_for(oauth_server), "base_url": oauth_server.api_url}
        async with module.AsyncClient(transport=transport, **settings) as client:
            assert (await client.get("/videos")).text == "ok"

    asyncio.run(asyncio.wait_for(main(), 30))
    assert len(set(seen)) == 2
