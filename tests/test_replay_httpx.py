"""What is special about httpx and httpx2: event hooks, redirects, trio, and the mocks of the users' own tests."""

import asyncio

import httpx
import httpx2
import pytest
import trio

from video_oauth_auth.testing import CHALLENGES, Answer

FILM = bytes(range(256)) * 1000

of_httpx = pytest.mark.parametrize("client", ["httpx", "httpx-async", "httpx2", "httpx2-async"], indirect=True)
both_modules = pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


def revoke_known_token(send, server):
    """Let the client get a token, which the server then ends."""
    assert send("GET", f"{server.api_url}/me").status_code == 200
    server.revoke_access_tokens()
    server.clear()


# Event hooks


class OwnError(Exception):
    """What a user's hook makes of an error of the library."""


def raise_for_status(response):
    response.raise_for_status()


def raise_own_error_from_it(response):
    try:
        response.raise_for_status()
    except (httpx.HTTPStatusError, httpx2.HTTPStatusError) as error:
        raise OwnError from error


def hooks(client, *functions):
    """Give event_hooks= for a client, asynchronous where it is."""

    def asynchronous(function):
        async def hook(response):
            function(response)

        return hook

    return {"response": [asynchronous(function) if client.is_async else function for function in functions]}


@of_httpx
@pytest.mark.parametrize("hook", [raise_for_status, raise_own_error_from_it])
def test_a_401_that_a_hook_raises_is_the_callers_and_the_next_request_has_a_new_token(client, oauth_server, auth, hook):
    url = f"{oauth_server.api_url}/me"
    with client.session(auth, event_hooks=hooks(client, hook)) as send:
        revoke_known_token(send, oauth_server)
        with pytest.raises((OwnError, client.module.HTTPStatusError)):
            send("GET", url)
        assert send("GET", url).status_code == 200
    assert [request.token_state for request in oauth_server.requests_to("api")] == ["revoked", "live"]
    assert len(oauth_server.token_calls) == 1


@of_httpx
def test_a_hook_that_raises_at_an_api_that_always_says_401_does_not_hammer_the_token_endpoint(
    client, oauth_server, auth
):
    with client.session(auth, event_hooks=hooks(client, raise_for_status)) as send:
        for _ in range(100):
            with pytest.raises(client.module.HTTPStatusError):
                send("GET", f"{oauth_server.api_url}/always-401")
    assert len(oauth_server.token_calls) <= 5


@of_httpx
def test_a_hook_that_raises_at_something_else_leaves_the_token_alone(client, oauth_server, auth):
    with client.session(auth, event_hooks=hooks(client, raise_for_status)) as send:
        for answer in (Answer(500), Answer(403), CHALLENGES["insufficient_scope"], CHALLENGES["basic"]):
            oauth_server.api_faults.add(answer)
            with pytest.raises(client.module.HTTPStatusError):
                send("GET", f"{oauth_server.api_url}/me")
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
    assert len(oauth_server.token_calls) == 1


@of_httpx
def test_a_hook_that_raises_at_another_origins_401_leaves_the_token_alone(client, oauth_server, auth):
    oauth_server.foreign_answer = CHALLENGES["bearer"]
    with client.session(auth, event_hooks=hooks(client, raise_for_status)) as send:
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
        with pytest.raises(client.module.HTTPStatusError):
            send("GET", oauth_server.foreign_url)
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
    assert len(oauth_server.token_calls) == 1


@of_httpx
def test_a_hook_sees_both_tries(client, oauth_server, auth):
    seen = []
    with client.session(auth, event_hooks=hooks(client, lambda response: seen.append(response.status_code))) as send:
        revoke_known_token(send, oauth_server)
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
    assert seen == [200, 401, 200]


# The replayed response


@of_httpx
def test_the_history_of_a_replayed_response_holds_the_401_with_its_body(client, oauth_server, auth):
    oauth_server.challenge = "brightcove"
    with client.session(auth) as send:
        revoke_known_token(send, oauth_server)
        response = send("GET", f"{oauth_server.api_url}/me")
    (refused,) = response.history
    assert (refused.status_code, refused.json()[0]["error_code"]) == (401, "UNAUTHORIZED")


@of_httpx
def test_a_redirect_after_a_replay_carries_the_new_token(client, oauth_server, auth):
    url = oauth_server.api_url
    with client.session(auth, follow_redirects=True) as send:
        revoke_known_token(send, oauth_server)
        response = send("GET", f"{url}/redirect?to={url}/me")
    assert [past.status_code for past in response.history] == [401, 303]
    assert [(request.path, request.token_state) for request in oauth_server.requests_to("api")] == [
        ("/redirect", "revoked"),
        ("/redirect", "live"),
        ("/me", "live"),
    ]
    assert len(oauth_server.token_calls) == 1


@of_httpx
def test_a_redirect_that_is_not_followed_is_replayed_and_given_to_the_caller(client, oauth_server, auth):
    with client.session(auth) as send:
        revoke_known_token(send, oauth_server)
        assert send("GET", f"{oauth_server.api_url}/redirect?to=/me").status_code == 303


@both_modules
def test_a_streamed_response_after_a_replay_is_still_unread(oauth_server, auth, module):
    with module.Client(auth=auth, timeout=30) as client:
        revoke_known_token(client.request, oauth_server)
        with client.stream("GET", f"{oauth_server.api_url}/stream") as response:
            assert (response.status_code, response.is_stream_consumed) == (200, False)
            assert next(response.iter_lines()) == "chunk 0"


@of_httpx
def test_one_request_object_can_be_sent_again_and_again(client, oauth_server, auth):
    """httpx lets people build a request and send it later, and more than once."""
    module, url = client.module, f"{oauth_server.api_url}/upload"

    async def main():
        async with module.AsyncClient(auth=auth, timeout=30) as sending:
            request = sending.build_request("POST", url, content=b"film")
            for _ in range(4):
                assert (await sending.send(request)).status_code == 200
                oauth_server.revoke_access_tokens()

    if client.is_async:
        asyncio.run(main())
    else:
        with module.Client(auth=auth, timeout=30) as sending:
            request = sending.build_request("POST", url, content=b"film")
            for _ in range(4):
                assert sending.send(request).status_code == 200
                oauth_server.revoke_access_tokens()
    states = [request.token_state for request in oauth_server.requests_to("api")]
    assert states == ["live"] + ["revoked", "live"] * 3


# trio


@both_modules
def test_an_asynchronous_client_in_trio_is_replayed_too(oauth_server, auth, module):
    async def main():
        async with module.AsyncClient(auth=auth, timeout=30) as client:
            with trio.fail_after(30):
                assert (await client.get(f"{oauth_server.api_url}/me")).status_code == 200
                oauth_server.revoke_access_tokens()
                answer = await client.post(f"{oauth_server.api_url}/upload", content=b"film")
                assert answer.json()["size"] == 4

    trio.run(main)
    assert len(oauth_server.token_calls) == 2


@both_modules
def test_sixteen_tasks_in_trio_share_one_renewal(oauth_server, auth, module):
    seen = []

    async def main():
        async with module.AsyncClient(auth=auth, timeout=30) as client:

            async def get():
                seen.append((await client.get(f"{oauth_server.api_url}/me")).status_code)

            with trio.fail_after(30):
                await client.get(f"{oauth_server.api_url}/me")
                oauth_server.revoke_access_tokens()
                async with trio.open_nursery() as nursery:
                    for _ in range(16):
                        nursery.start_soon(get)

    trio.run(main)
    assert seen == [200] * 16
    assert len(oauth_server.token_calls) == 2


@both_modules
def test_a_hook_that_raises_on_401_in_trio_leads_to_a_new_token_too(oauth_server, auth, module):
    async def hook(response):
        response.raise_for_status()

    async def main():
        async with module.AsyncClient(auth=auth, timeout=30, event_hooks={"response": [hook]}) as client:
            with trio.fail_after(30):
                await client.get(f"{oauth_server.api_url}/me")
                oauth_server.revoke_access_tokens()
                with pytest.raises(module.HTTPStatusError):
                    await client.get(f"{oauth_server.api_url}/me")
                assert (await client.get(f"{oauth_server.api_url}/me")).status_code == 200

    trio.run(main)


@both_modules
def test_many_tasks_upload_while_the_token_is_revoked(oauth_server, auth, module):
    async def main():
        async with module.AsyncClient(auth=auth, timeout=30) as client:

            async def upload(number):
                if number == 60:
                    oauth_server.revoke_access_tokens()
                answer = await client.post(f"{oauth_server.api_url}/upload", content=FILM[number:])
                return answer.json()["size"] == len(FILM) - number

            assert all(await asyncio.gather(*(upload(number) for number in range(120))))

    asyncio.run(asyncio.wait_for(main(), 60))
