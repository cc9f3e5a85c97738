"""Metadata that are too old are better than none: nobody waits long for newer ones while their host hangs."""

import threading
import time

import pytest

from video_oauth_auth import TransportError, documents
from video_oauth_auth.budget import Budget
from video_oauth_auth.documents import Kept
from video_oauth_auth.testing import Answer, Hold, Mutate, json_answer

from . import engine
from .engine import in_threads
from .sign_ins import auth_of, begun, callback, people_server, sign_in

clock = engine.clock


@pytest.fixture
def server():
    with people_server(expires_in=60) as running:
        yield running


@pytest.fixture
def auth(server, clock):
    """An auth object with the sign-ins of Ann and Bob; its tokens and its metadata have just ended."""
    short = Mutate(lambda members: json_answer(200, members, (("Cache-Control", "max-age=60"),)))
    server.metadata_faults.add(short, path="/.well-known/openid-configuration")
    auth = auth_of(server, metadata=server.issuer)
    for name in ("ann", "bob"):
        sign_in(auth, name)
    clock.advance(61)
    return auth


def metadata_requests(server):
    return [request for request in server.requests_to("metadata") if "well-known" in request.path]


def test_while_one_looks_for_newer_metadata_the_others_go_on_with_the_old_ones(server, auth, monkeypatch):
    monkeypatch.setattr(documents, "SHORT_LOOK", 30.0)  # the others would have to wait that long
    server.metadata_faults.always(Hold(timeout=60))
    ann = threading.Thread(target=auth.for_user("ann").source.get_token)
    ann.start()
    server.wait_for(lambda: server.held == 1)
    before = auth.for_user("bob").source.known()
    assert auth.for_user("bob").source.get_token() != before
    pending = auth.begin_login(user="carol")
    assert auth.complete_login(pending, callback(pending)).claims["sub"] == "ann"
    assert server.held == 1
    server.metadata_faults.clear()
    ann.join(30)
    assert not ann.is_alive()


def test_the_look_for_newer_metadata_is_short_and_not_repeated_at_once(server, auth, monkeypatch, clock):
    monkeypatch.setattr(documents, "SHORT_LOOK", 0.2)
    server.metadata_faults.always(Hold(timeout=60))
    begun_at, looks = time.monotonic(), len(metadata_requests(server))
    for name in ("ann", "bob"):
        auth.for_user(name).source.get_token()
    assert time.monotonic() - begun_at < 5
    assert len(metadata_requests(server)) == looks + 1
    server.metadata_faults.clear()
    clock.advance(61)
    auth.for_user("ann").source.get_token()
    assert len(metadata_requests(server)) == looks + 2


def test_a_fetch_that_failed_has_failed_for_all_who_waited_for_it(monkeypatch):
    asked, all_have_asked, real_now = [], threading.Event(), documents.now

    def now():
        asked.append(None)
        if len(asked) == 6:
            all_have_asked.set()
        return real_now()

    with people_server() as server:
        auth = auth_of(server, metadata=server.issuer)
        server.metadata_faults.always(Hold(timeout=60), Answer(503))
        monkeypatch.setattr(documents, "now", now)

        def fail_when_all_have_asked():
            server.wait_for(lambda: server.held == 1)
            if all_have_asked.wait(30):
                server.release()

        helper = threading.Thread(target=fail_when_all_have_asked)
        helper.start()
        failed = in_threads(6, lambda: auth.begin_login(user="ann"))
        helper.join(30)
        assert [(type(error), error.status) for error in failed] == [(TransportError, 503)] * 6
        assert len(metadata_requests(server)) == 1
        server.metadata_faults.clear()
        begun(auth)


def test_nobody_waits_for_the_fetch_of_another_longer_than_their_own_time():
    kept, begins, ends = Kept(), threading.Event(), threading.Event()

    def slow(_):
        begins.set()
        assert ends.wait(30)
        return "the document", 60.0

    def fast(_):
        raise AssertionError("two fetch at once")

    fetching = threading.Thread(target=kept.current, args=(slow, Budget(30)))
    fetching.start()
    try:
        assert begins.wait(30)
        asked_at = time.monotonic()
        with pytest.raises(TransportError, match=r"not done within 0\.05 s") as caught:
            kept.current(fast, Budget(0.05))
        assert caught.value.sent is False
        assert time.monotonic() - asked_at < 5
    finally:
        ends.set()
        fetching.join(30)
    assert kept.current(fast, Budget(0.05)) == "the document"
