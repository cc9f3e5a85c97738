"""Many organisations: each has its own auth object and token, one for all threads and tasks, and a bounded number."""

import asyncio
import copy
import gc
import multiprocessing
import os
import pickle
import threading
import weakref
from base64 import b64decode
from collections import Counter
from urllib.parse import quote_plus, unquote_plus

import httpx
import pytest
import requests

from video_oauth_auth import (
    BrightcoveAuth,
    CidaasAuth,
    ConfigurationError,
    InsecureTransportError,
    MemoryStore,
    OAuth2Auth,
    Organisations,
    ResponseError,
)
from video_oauth_auth.events import RenewalFailed, TokenRenewed
from video_oauth_auth.organisations import KEPT
from video_oauth_auth.stores import FileStore
from video_oauth_auth.testing import Hold

from .engine import Events, in_threads, settle

CMS = "https://cms.api.brightcove.com/v1/accounts/1/videos"


class Platform:
    """Brightcove as far as it matters here: a token for each pair that it knows, and an API that says whose it is.

    Attributes:
        secrets: the secret of each client id.
        token_calls: how often each client id has asked.
    """

    def __init__(self):
        self.secrets = {}
        self.token_calls = Counter()
        self.http_client = httpx.Client(transport=httpx.MockTransport(self._token))

    def credentials(self, name):
        return f"client-of-{name}", self.secrets.setdefault(f"client-of-{name}", f"secret of {name}")

    def auths(self, credentials=None, **settings):
        settings = {"http_client": self.http_client, **settings}
        return BrightcoveAuth.for_organisations(credentials or self.credentials, **settings)

    def _token(self, request):
        pair = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        client_id, secret = map(unquote_plus, pair.split(":"))
        self.token_calls[client_id] += 1
        if self.secrets.get(client_id) != secret:
            return httpx.Response(400, json={"error": "invalid_client"})
        members = {"access_token": f"token-{self.token_calls[client_id]} of {quote_plus(client_id)}", "expires_in": 300}
        return httpx.Response(200, json=members)


@pytest.fixture
def platform():
    made = Platform()
    yield made
    made.http_client.close()


def token_of(auth):
    return auth.source.get_token().access_token


def auths_at(server, credentials=None, **settings):
    """Organisations at a bundled server, which has one client: that of all of them, here."""
    pair = (server.client_id, server.client_secret)
    settings = {"server": server.authorization_server, "origins": [server.api_url], **settings}
    return BrightcoveAuth.for_organisations(credentials or (lambda name: pair), **settings)


# --- each its own -------------------------------------------------------------------------------------------------


def test_each_organisation_has_its_own_auth_object_and_token(platform):
    auths = platform.auths()
    assert type(auths["org-1"]) is BrightcoveAuth
    assert auths["org-1"] is auths["org-1"]
    assert auths["org-1"] is not auths["org-2"]
    assert auths["org-1"].headers(CMS) == {"Authorization": "Bearer token-1 of client-of-org-1"}
    assert auths["org-2"].headers(CMS) == {"Authorization": "Bearer token-1 of client-of-org-2"}
    assert platform.token_calls == {"client-of-org-1": 1, "client-of-org-2": 1}


def test_nothing_is_asked_when_it_is_made_or_looked_up(platform):
    asked = []
    auths = platform.auths(lambda name: asked.append(name) or platform.credentials(name))
    assert asked == []
    one = auths["org-1"]
    assert asked == []
    token_of(one)
    assert asked == ["org-1"]


def test_it_works_in_every_client(client, brightcove_server):
    auths = auths_at(brightcove_server)
    brightcove_server.add_video("1", "Summer")
    with client.session() as send:
        for name in ("org-1", "org-2", "org-1"):
            answer = send("GET", f"{brightcove_server.api_url}/v1/accounts/1/videos", auth=auths[name])
            assert [video["name"] for video in answer.json()] == ["Summer"]
    assert len(brightcove_server.token_calls) == 2


@pytest.mark.parametrize("make_store", [MemoryStore, FileStore], ids=["memory", "file"])
def test_a_shared_store_files_their_tokens_apart(platform, make_store, tmp_path):
    store = make_store() if make_store is MemoryStore else FileStore(tmp_path)
    tokens = {name: token_of(platform.auths(store=store)[name]) for name in ("org-1", "org-2")}
    assert len(set(tokens.values())) == 2
    assert {key.client_id for key in store.entries()} == {"org-1", "org-2"}
    again = platform.auths(store=store)  # after a restart
    assert {name: token_of(again[name]) for name in tokens} == tokens
    assert sum(platform.token_calls.values()) == 2


def test_names_that_look_alike_are_different_organisations(platform):
    auths = platform.auths(store=MemoryStore())
    names = ["a", "A", "a ", " a", "a:b", "a/b", "ä", "a\u0308", "0", "org\n1", "x" * 10_000]
    assert len({token_of(auths[name]) for name in names}) == len(names)


# --- credentials from a callable ----------------------------------------------------------------------------------


def test_a_credential_that_is_replaced_counts_from_the_next_token_call(platform):
    auths = platform.auths()
    assert token_of(auths["org-1"]) == "token-1 of client-of-org-1"
    platform.secrets["client-of-org-1"] = "another secret of org-1"
    auths["org-1"].source.reset()
    assert token_of(auths["org-1"]) == "token-2 of client-of-org-1"


def test_a_wrong_credential_of_one_leaves_the_others_alone(platform):
    platform.secrets["client-of-org-1"] = "what only the platform knows"
    auths = platform.auths(lambda name: (f"client-of-{name}", f"secret of {name}"))
    platform.secrets["client-of-org-2"] = "secret of org-2"
    with pytest.raises(ResponseError) as caught:
        token_of(auths["org-1"])
    assert caught.value.error == "invalid_client"
    assert token_of(auths["org-2"])


def test_what_the_callable_raises_is_told_to_those_who_need_that_organisation(platform):
    def credentials(name):
        if name == "org-1":
            raise KeyError(f"an invented secret of {name}")
        return platform.credentials(name)

    events = Events()
    auths = platform.auths(credentials, on_event=events)
    assert auths["org-1"].headers("https://elsewhere.example.com/") == {}
    with pytest.raises(ConfigurationError, match="credentials= failed: KeyError") as caught:
        token_of(auths["org-1"])
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert [event.client_id for event in events.of(RenewalFailed)] == ["org-1"]
    assert token_of(auths["org-2"])
    assert [event.client_id for event in events.of(TokenRenewed)] == ["org-2"]


@pytest.mark.parametrize("pair", [None, "id:secret", ("id",), ("id", ""), ("id", None), (5, "secret")])
def test_a_callable_that_gives_no_pair(platform, pair):
    with pytest.raises(ConfigurationError, match=r"credentials|client_id|client_secret"):
        token_of(platform.auths(lambda name: pair)["org-1"])


# --- threads and tasks --------------------------------------------------------------------------------------------


def test_threads_and_tasks_share_one_object_and_one_token_call(brightcove_server):
    auths = auths_at(brightcove_server)
    brightcove_server.token_faults.always(Hold(timeout=20))
    found = []

    def ask():
        found.append(auths["org-1"])
        return auths["org-1"].source.get_token()

    async def main():
        async def ask_in_task():
            found.append(auths["org-1"])
            return await auths["org-1"].source.aget_token()

        tasks = [asyncio.create_task(ask_in_task()) for _ in range(100)]
        threads = asyncio.create_task(asyncio.to_thread(in_threads, 50, ask))
        await asyncio.to_thread(brightcove_server.wait_for, lambda: len(found) == 150)
        brightcove_server.release()
        return {*await asyncio.gather(*tasks), *await threads}

    assert len(asyncio.run(main())) == 1
    assert len(set(map(id, found))) == 1
    assert len(brightcove_server.token_calls) == 1


def test_hundreds_of_organisations_at_once_never_get_the_token_of_another(platform):
    auths = platform.auths(kept=50)  # most have to be made again and again
    names = [f"org-{number}" for number in range(300)]

    def ask():
        return [(name, token_of(auths[name])) for name in names]

    for found in in_threads(8, ask):
        assert not isinstance(found, Exception), found
        assert all(token.endswith(f"of client-of-{name}") for name, token in found)


def test_two_callers_who_make_the_same_one_at_once_get_the_same():
    both, made = threading.Barrier(2), []

    def make(name):
        both.wait(20)
        made.append(BrightcoveAuth(name, "secret"))
        return made[-1]

    auths = Organisations(make)
    first, second = in_threads(2, lambda: auths["org-1"])
    assert len(made) == 2
    assert first is second is auths["org-1"]


def test_making_one_holds_nobody_up():
    making, go_on = threading.Event(), threading.Event()

    def make(name):
        if name == "slow":
            making.set()
            assert go_on.wait(20)
        return BrightcoveAuth(name, "secret")

    auths = Organisations(make)
    slow = threading.Thread(target=lambda: auths["slow"])
    slow.start()
    assert making.wait(20)
    assert auths["quick"] is auths["quick"]
    go_on.set()
    slow.join(20)
    assert not slow.is_alive()


def test_make_may_ask_for_another_organisation():
    def make(name):
        return auths["parent"] if name == "child" else BrightcoveAuth(name, "secret")

    auths = Organisations(make)
    assert auths["child"] is auths["parent"]


def test_no_thread_lives_for_an_organisation(platform):
    settle()
    before = set(threading.enumerate())
    auths = platform.auths()
    for number in range(100):
        token_of(auths[f"org-{number}"])
    settle()
    assert not set(threading.enumerate()) - before


# --- bounded ------------------------------------------------------------------------------------------------------


def test_only_so_many_are_kept_the_last_ones_that_were_asked_for():
    auths = Organisations(lambda name: BrightcoveAuth(name, "secret"), kept=10)
    made = {}
    for number in range(100):
        made[number] = weakref.ref(auths[f"org-{number}"])
        auths["org-0"]
    gc.collect()
    assert [number for number, one in made.items() if one() is not None] == [0, *range(91, 100)]
    assert auths["org-99"] is made[99]()
    assert "10 of at most 10" in repr(auths)


def test_one_that_is_in_use_is_never_made_a_second_time():
    made = Counter()

    def make(name):
        made[name] += 1
        return BrightcoveAuth(name, "secret")

    auths = Organisations(make, kept=3)
    held = auths["held"]
    for number in range(100):
        auths[f"org-{number}"]
        if number % 10 == 0:
            assert auths["held"] is held
    assert made["held"] == 1
    for _ in range(10):  # of more that live than are kept, too
        others = [auths[f"live-{number}"] for number in range(20)]
    assert {made[f"live-{number}"] for number in range(20)} == {1}
    assert len(others) == 20
    assert "3 of at most 3" in repr(auths)


def test_one_that_was_forgotten_asks_again_or_finds_its_token_in_a_shared_store(platform):
    for store, token_calls in ((None, 2), (MemoryStore(), 1)):
        platform.token_calls.clear()
        auths = platform.auths(kept=1, store=store)
        for name in ("org-1", "org-2", "org-1"):
            token_of(auths[name])
            settle()
            gc.collect()
        assert platform.token_calls["client-of-org-1"] == token_calls


def test_ten_thousand_are_kept_if_nothing_else_is_said():
    assert KEPT == 10_000
    assert "0 of at most 10000" in repr(BrightcoveAuth.for_organisations(lambda name: ("id", "secret")))


# --- any platform -------------------------------------------------------------------------------------------------


def test_auth_objects_of_any_kind_can_be_made():
    auths = Organisations(lambda name: CidaasAuth(f"https://{name}.cidaas.de", "app", f"secret of {name}"))
    assert type(auths["acme"]) is CidaasAuth
    assert auths["acme"].source.key.issuer == "https://acme.cidaas.de"


def test_a_class_of_ones_own_stays_it():
    class Mine(BrightcoveAuth):
        """A subclass."""

    assert type(Mine.for_organisations(lambda name: ("id", "secret"))["org-1"]) is Mine


def test_what_make_raises_comes_out_as_it_is_and_the_next_time_counts():
    tries = iter([LookupError("no such customer"), None])

    def make(name):
        if error := next(tries):
            raise error
        return BrightcoveAuth(name, "secret")

    auths = Organisations(make)
    with pytest.raises(LookupError, match="no such customer"):
        auths["org-1"]
    assert auths["org-1"] is auths["org-1"]


@pytest.mark.parametrize("made", [None, "auth", ("id", "secret"), BrightcoveAuth, lambda request: request])
def test_make_has_to_give_an_auth_object(made):
    with pytest.raises(ConfigurationError, match="for 'org-1' it returned"):
        Organisations(lambda name: made)["org-1"]


# --- arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", None, 5, b"org-1", ["org-1"], True])
def test_a_name_is_a_text(platform, name):
    with pytest.raises(ConfigurationError, match="an organisation has a name"):
        platform.auths()[name]


@pytest.mark.parametrize("kept", [0, -1, 1.5, "10", None, True])
def test_how_many_are_kept_is_a_number(kept):
    with pytest.raises(ConfigurationError, match="kept="):
        BrightcoveAuth.for_organisations(lambda name: ("id", "secret"), kept=kept)


def test_arguments_that_cannot_work_are_told_at_once():
    def pair(name):
        return "id", "secret"

    for credentials in (None, ("id", "secret"), "id"):
        with pytest.raises(ConfigurationError, match="credentials has to be a callable"):
            BrightcoveAuth.for_organisations(credentials)
    with pytest.raises(ConfigurationError, match="make has to be a callable"):
        Organisations(None)
    with pytest.raises(ConfigurationError, match="one organisation's token to all"):
        BrightcoveAuth.for_organisations(pair, token="at")
    with pytest.raises(ConfigurationError, match="token_timeout="):
        BrightcoveAuth.for_organisations(pair, token_timeout=0)
    with pytest.raises(InsecureTransportError):
        BrightcoveAuth.for_organisations(pair, origins=["http://proxy.example.com"])
    with pytest.raises(TypeError, match="'client_id'"):
        BrightcoveAuth.for_organisations(pair, client_id="id")


def test_origins_from_a_generator_are_those_of_all():
    origins = (f"https://{name}.example.com" for name in ("one", "two"))
    insecure = iter(["http://proxy:1"])
    auths = BrightcoveAuth.for_organisations(lambda name: ("id", "s"), origins=origins, insecure_origins=insecure)
    for name in ("org-1", "org-2"):
        assert "https://two.example.com" in repr(auths[name])
        assert "http://proxy:1" in repr(auths[name])


def test_who_there_is_cannot_be_listed(platform):
    with pytest.raises(TypeError, match="not iterable"):
        iter(platform.auths())
    with pytest.raises(TypeError):
        "org-1" in platform.auths()  # noqa: B015 - it has to raise


# --- processes ----------------------------------------------------------------------------------------------------


def test_it_cannot_be_pickled_and_a_copy_is_itself(platform):
    auths = platform.auths()
    with pytest.raises(TypeError, match="build it in the worker process"):
        pickle.dumps(auths)
    assert copy.copy(auths) is copy.deepcopy(auths) is auths


def test_a_forked_child_can_go_on_while_the_parent_was_in_the_middle(platform):
    auths = platform.auths()
    one = auths["org-1"]

    def child():
        os._exit(0 if auths["org-1"] is one and isinstance(auths["org-2"], OAuth2Auth) else 1)

    with auths._lock.here():
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(20)
    assert process.exitcode == 0


def test_secrets_are_not_shown(platform):
    auths = platform.auths()
    token = token_of(auths["org-1"])
    shown = f"{auths!r} {auths['org-1']!r} {auths['org-1'].source.key}"
    assert "secret of org-1" not in shown
    assert token not in shown


def test_requests_too(brightcove_server):
    auths = auths_at(brightcove_server)
    with requests.Session() as session:
        for name in ("org-1", "org-2"):
            url = f"{brightcove_server.api_url}/v1/accounts/1/videos"
            assert session.get(url, auth=auths[name], timeout=20).json() == []
