"""What nobody uses any more goes at once, and the connections of its store with it: no cycle keeps it alive."""

import asyncio
import gc
import time
import weakref

import pytest

from video_oauth_auth import OAuth2Auth
from video_oauth_auth.testing import OAuthServer

from .engine import refreshing, source_of


@pytest.fixture(autouse=True)
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def assert_it_dies(reference: "weakref.ref[object]") -> None:
    deadline = time.monotonic() + 10  # a worker that has given out the token may be about to end
    while reference() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_source_that_was_never_asked_dies_with_its_last_user(oauth_server: OAuthServer) -> None:
    reference = weakref.ref(source_of(oauth_server))
    assert reference() is None


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
@pytest.mark.parametrize("make", [source_of, refreshing])
def test_a_source_that_has_renewed_dies_with_its_last_user(make, library, oauth_server: OAuthServer) -> None:
    make(oauth_server).wait(library=library)  # the first one of a process imports things
    source = make(oauth_server)
    source.wait(library=library)
    reference = weakref.ref(source)
    del source
    assert_it_dies(reference)


def test_a_source_that_tasks_have_waited_for_dies_with_its_last_user(oauth_server: OAuthServer) -> None:
    async def crowd() -> "weakref.ref[object]":
        source = source_of(oauth_server)
        await asyncio.gather(*(source.aget_token() for _ in range(10)))
        return weakref.ref(source)

    asyncio.run(crowd())
    assert_it_dies(asyncio.run(crowd()))


def test_an_auth_object_dies_with_its_last_user(oauth_server: OAuthServer) -> None:
    reference = weakref.ref(OAuth2Auth(source_of(oauth_server), origins=[oauth_server.api_url]))
    assert reference() is None
