"""What a token endpoint can do wrong, what the caller is told, and that the next call works again."""

import gzip
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from video_oauth_auth import InvalidResponseError, MemoryStore, TransportError, token_calls
from video_oauth_auth.events import RenewalFailed, TokenRenewed
from video_oauth_auth.testing import (
    Answer,
    Drop,
    gzip_bomb,
    html_page,
    json_answer,
    oversized,
    redirect,
    too_many_requests,
    unavailable,
)

from . import engine
from .engine import Events, aged, grant_types, in_threads, refreshing, settle, source_of

clock = engine.clock

# Three libraries make token calls; each brings errors and readers of its own.
token_libraries = pytest.mark.parametrize("client", ["requests", "httpx", "httpx2"], indirect=True)


@pytest.fixture
def quick(monkeypatch):
    """Let little time pass between two tries."""
    monkeypatch.setattr(token_calls, "FIRST_DELAY", 0.01)


@pytest.fixture
def one_try(monkeypatch):
    """Let a renewal fail with its first failure: the second try would come too late."""
    monkeypatch.setattr(token_calls, "FIRST_DELAY", 1000.0)
    monkeypatch.setattr(token_calls, "LONGEST_DELAY", 1000.0)


TRANSIENT = {
    "429": (too_many_requests(), TransportError, 429),
    "500": (Answer(500), TransportError, 500),
    "500 with an OAuth code": (json_answer(500, {"error": "invalid_client"}), TransportError, 500),
    "502 with HTML": (html_page("Bad Gateway", 502), TransportError, 502),
    "503": (unavailable(), TransportError, 503),
    "503 with a token": (json_answer(503, {"access_token": "x"}), TransportError, 503),
    "408": (Answer(408), TransportError, 408),
    "400 temporarily_unavailable": (json_answer(400, {"error": "temporarily_unavailable"}), TransportError, 400),
    "HTML": (html_page(), InvalidResponseError, 200),
    "404 with HTML": (html_page("Not found", 404), InvalidResponseError, 404),
    "403 with HTML": (html_page("Access denied", 403), InvalidResponseError, 403),
    "nothing": (Answer(200), InvalidResponseError, 200),
    "204": (Answer(204), InvalidResponseError, 204),
    "400 with nothing": (Answer(400), InvalidResponseError, 400),
    "truncated JSON": (Answer(200, body='{"access_token": "x'), InvalidResponseError, 200),
    "a JSON list": (json_answer(200, ["x"]), InvalidResponseError, 200),
    "a JSON text": (json_answer(200, "access_token"), InvalidResponseError, 200),
    "deep JSON": (Answer(200, body="[" * 100_000), InvalidResponseError, 200),
    "more than a MiB": (oversized(), InvalidResponseError, None),
    "more than a MiB with 400": (Answer(400, body=b"x" * 2_000_000), InvalidResponseError, None),
    "a gzip bomb": (gzip_bomb(), InvalidResponseError, None),
    "broken gzip": (Answer(200, headers={"Content-Encoding": "gzip"}, body=b"x"), InvalidResponseError, None),
    "an unknown coding": (Answer(200, headers={"Content-Encoding": "zebra"}, body=b"x"), InvalidResponseError, None),
    "brotli": (Answer(200, headers={"Content-Encoding": "br"}, body=b"x"), InvalidResponseError, None),
    "reset": (Drop("before"), TransportError, None),
    "closed": (Drop("before", how="close"), TransportError, None),
}
transient = pytest.mark.parametrize(("fault", "kind", "status"), TRANSIENT.values(), ids=TRANSIENT)


@token_libraries
@transient
def test_a_call_that_fails_once_is_made_again_and_nobody_notices(
    oauth_server, auth_for, client, quick, fault, kind, status
):
    oauth_server.token_faults.add(fault)
    assert client.send(auth_for(oauth_server), "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert [call.processed for call in oauth_server.token_calls] == [False, True]


@transient
def test_what_keeps_failing_is_told_by_one_typed_error(oauth_server, one_try, fault, kind, status):
    source = source_of(oauth_server, token_timeout=20)
    oauth_server.token_faults.always(fault)
    with pytest.raises(kind) as caught:
        source.get_token()
    error = caught.value
    assert type(error) is kind
    assert error.transient
    assert error.status == status
    assert not any(secret in str(error) for secret in oauth_server.secrets())
    oauth_server.token_faults.clear()
    assert source.get_token()


@transient
def test_the_stored_refresh_token_survives(oauth_server, one_try, fault, kind, status):
    store = MemoryStore()
    source = refreshing(oauth_server, store=store, token_timeout=20)
    first = aged(oauth_server, 301)
    source.set(first)
    oauth_server.token_faults.always(fault)
    with pytest.raises(kind):
        source.get_token()
    assert store.load(source.key).refresh_token == first.refresh_token
    assert set(grant_types(oauth_server)) == {"refresh_token"}


@transient
def test_a_failing_endpoint_is_not_noticed_while_the_token_is_good(oauth_server, one_try, fault, kind, status):
    events = Events()
    old = aged(oauth_server, 270)
    source = source_of(oauth_server, token=old, token_timeout=20, on_event=events)
    oauth_server.token_faults.always(fault)
    assert {source.get_token() for _ in range(10)} == {old}
    failed = events.wait_for(RenewalFailed)
    assert (failed.reason, failed.error, failed.transient) == ("stale", kind.__name__, True)
    assert source.get_token() == old


@token_libraries
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_secrets_do_not_follow_a_redirect(oauth_server, auth_for, client, quick, status):
    for target in (f"{oauth_server.foreign_url}/token", f"{oauth_server.url}/elsewhere"):
        oauth_server.token_faults.add(redirect(status, target), times=3)
        with pytest.raises(InvalidResponseError, match="redirect") as caught:
            client.send(auth_for(oauth_server), "GET", f"{oauth_server.api_url}/me")
        assert caught.value.status == status
    assert not oauth_server.requests_to("foreign")
    assert {request.path for request in oauth_server.requests} == {"/token"}


@token_libraries
def test_an_answer_that_is_compressed_unasked_is_read(oauth_server, auth_for, client):
    body = gzip.compress(b'{"access_token": "compressed", "expires_in": 300}')
    oauth_server.token_faults.add(Answer(200, headers={"Content-Encoding": "gzip"}, body=body))
    auth = auth_for(oauth_server)
    with client.session(auth) as send:
        send("GET", f"{oauth_server.api_url}/me")
    assert "Bearer compressed" in [request.header("Authorization") for request in oauth_server.requests_to("api")]
    assert {call.header("Accept-Encoding") for call in oauth_server.token_calls} == {"identity"}


def test_a_refused_connection_is_tried_again_until_the_endpoint_is_there(oauth_server, quick):
    source = source_of(oauth_server, token_timeout=20)
    oauth_server.stop()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(source.get_token)
        oauth_server.start()
        assert waiting.result(20)


# --- Retry-After --------------------------------------------------------------------------------------------------

LATER = {
    "seconds with 429": lambda seconds: too_many_requests(seconds),
    "seconds with 503": lambda seconds: unavailable(seconds),
    "date with 429": lambda seconds: too_many_requests(formatdate(time.time() + seconds, usegmt=True)),
    "date with 503": lambda seconds: unavailable(formatdate(time.time() + seconds, usegmt=True)),
}
later = pytest.mark.parametrize("answer", LATER.values(), ids=LATER)


@later
def test_retry_after_is_honoured_inside_a_renewal(oauth_server, answer):
    oauth_server.token_faults.add(answer(3))  # a date has no fractions, and time goes on until it is sent
    assert source_of(oauth_server).get_token()
    first, second = oauth_server.token_calls
    assert second.elapsed - first.elapsed >= 0.9


@later
def test_retry_after_is_honoured_by_the_renewals_that_follow(oauth_server, clock, answer):
    source = source_of(oauth_server, token_timeout=20)
    oauth_server.token_faults.add(answer(120))
    for waited in range(0, 91, 10):
        with pytest.raises(TransportError) as caught:
            source.get_token()
        assert caught.value.retry_after == pytest.approx(120 - waited, abs=3)
        clock.advance(10)
    assert len(oauth_server.token_calls) == 1
    clock.advance(21)
    assert source.get_token()
    assert len(oauth_server.token_calls) == 2


@later
def test_a_server_cannot_silence_a_client_for_days(oauth_server, clock, answer):
    source = source_of(oauth_server)
    oauth_server.token_faults.add(answer(7 * 86400))
    with pytest.raises(TransportError) as caught:
        source.get_token()
    assert caught.value.retry_after <= 300
    clock.advance(301)
    assert source.get_token()


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e999", "NaN", "Tue, 99 Foo 2024 99:99:99 GMT"])
def test_a_retry_after_that_means_nothing_is_ignored(oauth_server, quick, value):
    oauth_server.token_faults.add(too_many_requests(value))
    assert source_of(oauth_server, token_timeout=20).get_token()
    assert len(oauth_server.token_calls) == 2


def test_retry_after_does_not_disturb_while_the_token_is_good(oauth_server, clock):
    events = Events()
    source = source_of(oauth_server, token=aged(oauth_server, 245), on_event=events)
    oauth_server.token_faults.add(too_many_requests(40))
    for _ in range(45):
        source.get_token()
        settle()
        clock.advance(1)
    assert len(oauth_server.token_calls) == 2
    assert len(events.of(TokenRenewed)) == 1


# --- a crowd and an outage ----------------------------------------------------------------------------------------


def test_50_threads_make_few_token_calls_while_the_endpoint_is_down_and_when_it_is_back(oauth_server):
    source = source_of(oauth_server, token=aged(oauth_server, 301), token_timeout=20)
    oauth_server.token_faults.always(unavailable())
    with ThreadPoolExecutor(1) as pool:
        crowd = pool.submit(in_threads, 50, source.get_token)
        oauth_server.wait_for(lambda: len(oauth_server.token_calls) == 3)  # after 0, 0.25 and 0.75 seconds
        oauth_server.token_faults.clear()
        tokens = crowd.result(30)
    assert len(set(tokens)) == 1
    assert len(oauth_server.token_calls) == 4
    gaps = [later.elapsed - earlier.elapsed for earlier, later in itertools.pairwise(oauth_server.token_calls)]
    assert all(gap >= 0.15 for gap in gaps)


def test_50_threads_that_never_give_up_make_few_token_calls(oauth_server):
    """Each asks again at once when it has been told of a failure."""
    source = source_of(oauth_server, token=aged(oauth_server, 301), token_timeout=0.5)
    oauth_server.token_faults.always(html_page("Bad Gateway", 502))

    def stubborn():
        while True:
            try:
                return source.get_token()
            except TransportError:
                if len(oauth_server.token_calls) >= 8:
                    oauth_server.token_faults.clear()

    assert len(set(in_threads(50, stubborn))) == 1
    assert len(oauth_server.token_calls) <= 12


def test_a_crowd_with_a_stale_token_makes_few_token_calls_during_an_outage(oauth_server, clock):
    source = source_of(oauth_server, token=aged(oauth_server, 242), token_timeout=0.5)
    oauth_server.token_faults.always(unavailable())
    for _ in range(50):  # a second each, with ten requests
        for _ in range(10):
            source.get_token()
            settle()
        clock.advance(1)
    assert len(oauth_server.token_calls) <= 30
