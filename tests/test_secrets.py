"""Secrets stay where they belong: not in texts of objects, not in logs, not in errors, not in frames that are kept."""

import copy
import gc
import logging
import pickle
import pprint
import traceback
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import pytest

from video_oauth_auth import (
    AuthorizationServer,
    BrightcoveAuth,
    ClientCredentials,
    LoginRequired,
    MemoryStore,
    OAuth2Auth,
    OAuthClient,
    OAuthError,
    ResourceOwnerPassword,
    Token,
    TokenSource,
)
from video_oauth_auth.client import ClientCredential
from video_oauth_auth.endpoints import HTTPRequest, HTTPResponse, form_request, refresh_parameters
from video_oauth_auth.testing import Answer, Drop, Fault, Hold, OAuthServer, html_page, json_answer, redirect

SECRET = "an-invented-secret"
SERVER = AuthorizationServer(token_endpoint="https://login.example.com/token")
TOKEN = Token(
    access_token=SECRET,
    refresh_token=SECRET,
    id_token=SECRET,
    claims={"nonce": SECRET},
    extra={"device_secret": SECRET},
    scope="a",
)
CLIENT = OAuthClient("client", SECRET)
SOURCE = TokenSource(SERVER, CLIENT, ClientCredentials(), token=TOKEN)
PASSWORD = ResourceOwnerPassword("ann", SECRET, extra={"otp": SECRET})
REQUEST = form_request("https://l.example/", ClientCredential("c", SECRET), "none", refresh_parameters(SECRET, None))

OBJECTS: dict[str, Any] = {
    "an auth object": OAuth2Auth(SOURCE, origins=["https://api.example.com"]),
    "a platform's": BrightcoveAuth("client", SECRET, token=SECRET),
    "a source": SOURCE,
    "its status": SOURCE.status(),
    "its key": SOURCE.key,
    "a client": CLIENT,
    "a credential of the moment": CLIENT.current(),
    "a token": TOKEN,
    "the password grant": PASSWORD,
    "a grant with extras": ClientCredentials(extra={"api_key": SECRET}),
    "a request": REQUEST,
    "a response": HTTPResponse(status=200, headers={"set-cookie": SECRET}, body=SECRET.encode()),
    "a store": MemoryStore(),
    "a source of the password grant": TokenSource(SERVER, CLIENT, PASSWORD),
    "a client with a callable": OAuthClient("client", lambda secret=SECRET: secret),  # type: ignore[misc]
}
every_object = pytest.mark.parametrize("thing", OBJECTS.values(), ids=list(OBJECTS))


# --- texts --------------------------------------------------------------------------------------------------------


@every_object
def test_no_text_of_an_object_shows_a_secret(thing):
    shown = [
        repr(thing),
        str(thing),
        f"{thing}",
        f"{thing!a}",
        pprint.pformat([thing]),
        "{!r:>9}".format({"x": thing}),
    ]
    assert [text for text in shown if SECRET in text] == []
    assert all(shown)


@pytest.mark.parametrize("thing", [SOURCE, OBJECTS["an auth object"], OBJECTS["a platform's"]])
def test_what_lives_cannot_be_pickled_and_is_its_own_copy(thing):
    with pytest.raises(TypeError, match="worker") as caught:
        pickle.dumps(thing)
    assert SECRET not in str(caught.value)
    assert copy.copy(thing) is thing
    assert copy.deepcopy({"auth": thing})["auth"] is thing


def test_a_token_can_be_pickled_for_a_store_or_a_worker_of_the_users_own():
    again = pickle.loads(pickle.dumps(TOKEN))
    assert again == TOKEN
    assert (again.refresh_token, again.scope, again.extra, again.claims) == (SECRET, "a", TOKEN.extra, TOKEN.claims)


def test_two_clients_that_differ_in_their_secret_only_share_a_key():
    other = TokenSource(SERVER, OAuthClient("client", "another-invented-secret"), ClientCredentials())
    assert other.key == SOURCE.key


# --- errors of real exchanges -------------------------------------------------------------------------------------

FAULTS: dict[str, Fault] = {
    "a refusal that echoes": json_answer(
        400, {"error": "invalid_client", "error_description": "not test-client-secret"}
    ),
    "a server error": html_page("Oops", 500),
    "nonsense": html_page(),
    "a redirect": redirect(307, "https://evil.example/"),
    "a broken answer": Answer(200, body='{"access_token": "'),
    "a reset before": Drop("before"),
    "a reset after": Drop("after"),
    "an answer that ends early": Drop("midway"),
    "no answer in time": Hold(),
}


def frames_of(error: BaseException | None) -> Iterator[FrameType]:
    """Give each frame that a raised error and its causes lead to, in the library itself."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            name = frame.f_globals.get("__name__", "")
            if name.startswith("video_oauth_auth") and not name.startswith("video_oauth_auth.testing"):
                yield frame
        error = error.__cause__ or error.__context__


def texts_in(value: Any, depth: int = 3) -> Iterator[str]:
    """Give the text of a value, and of what lies in it if it is a collection: what a crash report shows."""
    yield repr(value)
    if isinstance(value, Mapping) and depth:
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset) and depth:
        for item in value:
            yield from texts_in(item, depth - 1)


def everything_shown_by(error: BaseException) -> str:
    shown = ["".join(traceback.format_exception(error)), repr(error), *texts_in(vars(error)), *texts_in(error.args)]
    for frame in frames_of(error):
        shown += [text for value in frame.f_locals.values() for text in texts_in(value)]
    return "\n".join(shown)


def failing(server: OAuthServer, grant: Any, fault: Fault) -> OAuth2Auth:
    """Give an auth object whose first token has expired, and whose renewals meet that fault."""
    server.refresh_tokens, server.users = True, {"ann": "an-invented-password"}
    first = Token.from_response(server.issue_token(), issued_at=1.0)
    client = OAuthClient(server.client_id, server.client_secret)
    source = TokenSource(server.authorization_server, client, grant, token=first, token_timeout=0.5)
    server.token_faults.always(fault)
    return OAuth2Auth(source, origins=[server.api_url])


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
@pytest.mark.parametrize("grant", [ClientCredentials(), ResourceOwnerPassword("ann", "an-invented-password")])
def test_no_failure_shows_a_secret_in_its_text_its_attributes_or_its_frames(oauth_server, grant, fault):
    auth = failing(oauth_server, grant, fault)
    with pytest.raises(OAuthError) as caught:
        auth.source.get_token()
    shown = everything_shown_by(caught.value)
    assert sum(1 for _ in frames_of(caught.value)) >= 1
    assert [secret for secret in oauth_server.secrets() if secret in shown] == []


def test_neither_does_one_inside_a_request(client, oauth_server):
    auth = failing(oauth_server, ClientCredentials(), FAULTS["a refusal that echoes"])
    with pytest.raises(OAuthError) as caught:
        client.send(auth, "GET", f"{oauth_server.api_url}/me")
    shown = everything_shown_by(caught.value)
    assert len(list(frames_of(caught.value))) >= 2
    assert [secret for secret in oauth_server.secrets() if secret in shown] == []


def test_the_search_through_frames_would_see_a_secret():
    """A guard: the two tests above could not fail if it saw nothing."""
    failure = None
    try:
        exec("secret = [{'x': 'an-invented-secret'}]\nraise ValueError", {"__name__": "video_oauth_auth.x"}, {})
    except ValueError as error:
        failure = error
    assert failure is not None
    assert SECRET in everything_shown_by(failure)


def test_no_request_of_a_failed_renewal_is_kept_by_anybody(oauth_server):
    auth = failing(oauth_server, ClientCredentials(), FAULTS["a server error"])
    with pytest.raises(OAuthError) as caught:
        auth.source.get_token()
    assert auth.source.status().last_error is not None
    gc.collect()
    mine = (thing for thing in gc.get_objects() if type(thing) is HTTPRequest)
    assert [thing for thing in mine if thing.url == oauth_server.token_endpoint] == []
    assert caught.value is not None


def test_the_remembered_error_has_no_frames(oauth_server):
    auth = failing(oauth_server, ClientCredentials(), FAULTS["a refusal that echoes"])
    with pytest.raises(OAuthError):
        auth.source.get_token()
    remembered = auth.source.status().last_error
    assert remembered is not None
    assert (remembered.__traceback__, remembered.__cause__, remembered.__context__) == (None, None, None)


# --- logs and events ----------------------------------------------------------------------------------------------


def test_a_whole_life_of_tokens_shows_no_secret_in_any_log_or_event(client, oauth_server, caplog, capfd):
    """First token, refresh, revocation, refusal, a dead refresh token: with every library at its most talkative."""
    oauth_server.refresh_tokens = True
    events: list[Any] = []
    caplog.set_level(logging.DEBUG)
    source = TokenSource(
        oauth_server.authorization_server,
        OAuthClient(oauth_server.client_id, oauth_server.client_secret),
        None,
        token=oauth_server.issue_token(),
        token_timeout=10.0,
        on_event=events.append,
    )
    with client.session(OAuth2Auth(source, origins=[oauth_server.api_url])) as send:
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
        oauth_server.revoke_access_tokens()
        assert send("POST", f"{oauth_server.api_url}/upload", **client.raw(b"film")).status_code == 200
        oauth_server.revoke_refresh_tokens()
        oauth_server.revoke_access_tokens()
        with pytest.raises(LoginRequired):
            send("GET", f"{oauth_server.api_url}/me")
    printed = capfd.readouterr()
    shown = f"{caplog.text}\n{events!r}\n{source!r}\n{source.status()!r}\n{printed.out}\n{printed.err}"
    assert {"TokenRenewed", "TokenRejected", "RequestReplayed", "LoginNeeded"} <= {type(one).__name__ for one in events}
    assert {"urllib3", "httpcore", "httpcore2"} & {record.name.partition(".")[0] for record in caplog.records}
    assert [secret for secret in oauth_server.secrets() if secret in shown] == []
