"""The objects of several people: one for each, alive as long as it is used, and never with the token of another."""

import asyncio
import gc
import threading
import weakref

import httpx
import httpx2
import pytest
import requests

from video_oauth_auth import (
    BrightcoveAuth,
    ConfigurationError,
    LoginRequired,
)
from video_oauth_auth.events import LoginNeeded, TokenRenewed
from video_oauth_auth.login import people
from video_oauth_auth.testing import Hold, OAuthServer

from . import engine, sign_ins
from .engine import Events, in_threads
from .faulty_store import FaultyStore
from .sign_ins import PEOPLE, auth_of, sign_in, whose

clock, server = engine.clock, sign_ins.server


def test_for_user_gives_the_same_live_object_for_the_same_name(server):
    auth = auth_of(server)
    ann = auth.for_user("ann")
    assert auth.for_user("ann") is ann
    assert auth.for_user("bob").for_user("ann") is ann
    assert auth.for_user("bob") is not ann
    assert ann.for_user("bob") is auth.for_user("bob")
    assert type(ann) is type(auth)
    assert set(in_threads(50, lambda: id(auth.for_user("carol")))) == {id(auth.for_user("carol"))}


def test_it_shares_everything_but_the_tokens(server):
    auth = auth_of(server)
    ann = auth.for_user("ann")
    assert ann.source.settings is auth.source.settings
    assert (ann.source.key.user, auth.source.key.user) == ("ann", "")
    assert ann.source.key.id != auth.source.key.id
    assert "ann" in repr(ann)


@pytest.mark.parametrize("name", ["", None, 5, b"ann", ["ann"]])
def test_a_user_has_a_name(server, name):
    with pytest.raises(ConfigurationError, match="a user has a name"):
        auth_of(server).for_user(name)


def test_objects_that_nobody_uses_any_more_do_not_pile_up(server, monkeypatch):
    monkeypatch.setattr(people, "KEPT", 10)
    auth = auth_of(server)
    held = auth.for_user("held")
    made = [weakref.ref(auth.for_user(f"user-{number}")) for number in range(100)]
    gc.collect()
    assert len([one for one in made if one() is not None]) == 10
    assert auth.for_user("held") is held
    assert auth.for_user("user-99") is made[99]()


def test_whoever_comes_back_after_that_is_still_signed_in(server, monkeypatch):
    monkeypatch.setattr(people, "KEPT", 3)
    auth = auth_of(server)
    token = sign_in(auth)
    for number in range(10):
        auth.for_user(f"user-{number}")
    gc.collect()
    assert auth.for_user("ann").source.get_token() == token
    assert whose(auth.for_user("ann"), server) == "ann"
    assert len(server.token_calls) == 1


def test_the_first_object_can_go_while_those_of_users_stay(server, monkeypatch):
    monkeypatch.setattr(people, "KEPT", 3)
    ann = auth_of(server).for_user("ann")
    for number in range(10):
        ann.for_user(f"user-{number}")
    gc.collect()
    sign_in(ann)
    assert whose(ann, server) == "ann"
    assert ann.for_user("bob").for_user("ann") is ann


def test_a_thousand_concurrent_requests_for_one_user_load_the_store_once(server):
    store = FaultyStore()
    token = sign_in(auth_of(server, store=store))
    auth = auth_of(server, store=store)
    store.steps.clear()
    gate = store.hold("load")

    sent = []

    def api(request):
        sent.append(request.headers["Authorization"])
        return httpx.Response(200)

    async def main():
        async with httpx.AsyncClient(transport=httpx.MockTransport(api)) as client:

            async def ask():
                return await client.get(f"{server.api_url}/me", auth=auth.for_user("ann"))

            tasks = [asyncio.create_task(ask()) for _ in range(1000)]
            await asyncio.to_thread(gate.reached.wait, 30)
            gate.open()
            return await asyncio.gather(*tasks)

    assert len(asyncio.run(main())) == 1000
    assert set(sent) == {f"Bearer {token.access_token}"}
    assert store.steps == ["load"]
    assert len(server.token_calls) == 1


def test_hundreds_of_users_that_need_a_renewal_at_once_share_the_workers(server):
    """The limit of threads is one for all users."""
    auth = auth_of(server)
    names = [f"user-{number}" for number in range(200)]
    for name in names:
        auth.for_user(name).source.set(engine.aged(server, 301))
    server.token_faults.always(Hold(timeout=5))

    async def main():
        tasks = [asyncio.create_task(auth.for_user(name).source.aget_token()) for name in names]
        await asyncio.to_thread(server.wait_for, lambda: server.held >= 4)
        threads = len(engine.library_threads())
        server.release()
        return threads, await asyncio.gather(*tasks)

    threads, tokens = asyncio.run(main())
    assert 4 <= threads <= 32
    assert len({token.access_token for token in tokens}) == 200


@pytest.mark.parametrize("make", [requests.Session, httpx.Client, httpx2.Client], ids=["requests", "httpx", "httpx2"])
def test_nobody_ever_gets_the_token_of_somebody_else(server, make):
    """In many threads, with a token of each that the API rejects meanwhile."""
    auth = auth_of(server)
    for name in PEOPLE:
        sign_in(auth, name)
    names = iter([name for _ in range(20) for name in PEOPLE])
    lock, unspoilt = threading.Lock(), dict.fromkeys(PEOPLE, True)

    def ask():
        with lock:
            name = next(names)
        one = auth.for_user(name)
        found = []
        for turn in range(5):
            answer = session.get(f"{server.api_url}/me", auth=one)
            found.append(answer.json()["sub"])
            if turn == 2 and unspoilt.pop(name, False):
                server.revoke_access_token(one.source.peek().access_token)
        return name, found

    with make() as session:
        results = in_threads(40, ask)
    assert all(not isinstance(result, Exception) for result in results), results
    for name, found in results:
        assert set(found) == {name}
    assert not unspoilt
    assert {whose(auth.for_user(name), server) for name in PEOPLE} == set(PEOPLE)


def test_a_shared_session_sends_each_request_with_the_token_of_its_user(server):
    auth = auth_of(server)
    for name in PEOPLE:
        sign_in(auth, name)
    with requests.Session() as session, httpx.Client() as client:
        for name in [*PEOPLE, *PEOPLE]:
            one = auth.for_user(name)
            assert session.get(f"{server.api_url}/me", auth=one).json()["sub"] == name
            assert client.get(f"{server.api_url}/me", auth=one).json()["sub"] == name


def test_events_and_errors_tell_whose_they_are(server):
    events = Events()
    auth = auth_of(server, on_event=events)
    sign_in(auth, "ann")
    with pytest.raises(LoginRequired) as caught:
        auth.for_user("bob").source.get_token()
    assert caught.value.user == "bob"
    assert [event.user for event in events.of(TokenRenewed)] == ["ann"]
    assert [event.user for event in events.of(LoginNeeded)] == ["bob"]


def test_a_platforms_class_has_users_too():
    with OAuthServer.movingimage(users=PEOPLE) as server:
        auth = sign_ins.movingimage_auth(server)
        sign_in(auth, "ann")
        assert type(auth.for_user("ann")) is type(auth)
        answer = requests.get(f"{server.api_url}/v1/vms", auth=auth.for_user("ann"), timeout=30)
        assert answer.status_code == 200
        with pytest.raises(LoginRequired):
            requests.get(f"{server.api_url}/v1/vms", auth=auth.for_user("bob"), timeout=30)


def test_users_of_a_grant_without_people_have_tokens_of_their_own(brightcove_server):
    """Harmless, and what `user=` means everywhere."""
    auth = BrightcoveAuth(
        brightcove_server.client_id,
        brightcove_server.client_secret,
        server=brightcove_server.authorization_server,
        origins=[brightcove_server.api_url],
    )
    assert auth.for_user("ann").source.get_token() != auth.for_user("bob").source.get_token()
