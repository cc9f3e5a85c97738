"""BrightcoveCredentials: what it asks Brightcove for, what it gives, and what it does where that fails."""

import json
import pickle
import signal
import socket
import threading

import httpx
import httpx2
import pytest
import requests
import requests_mock

from video_oauth_auth import (
    ConfigurationError,
    InsecureTransportError,
    InvalidResponseError,
    OAuthError,
    ResponseError,
    TransportError,
)
from video_oauth_auth.providers.brightcove_credentials import (
    ENDPOINT,
    OPERATIONS,
    AccountScope,
    BrightcoveCredentials,
    CredentialRecord,
)
from video_oauth_auth.providers.brightcove_records import maximum_scope
from video_oauth_auth.testing import Answer, Delay, Drop, Hold, html_page, json_answer, redirect, with_members, without

READ, ALL, PLAYLISTS = "video-cloud/video/read", "video-cloud/video/all", "video-cloud/playlist/all"
BC_TOKEN = "an-invented-bc-token-of-a-studio-session"


@pytest.fixture
def server(brightcove_server):
    brightcove_server.bc_token = BC_TOKEN
    return brightcove_server


@pytest.fixture
def credentials(server):
    return credentials_at(server)


def credentials_at(server, bc_token=BC_TOKEN, **settings):
    return BrightcoveCredentials(bc_token, endpoint=server.credentials_url, **{"timeout": 10.0} | settings)


def calls(server):
    return [request for request in server.requests if request.path.startswith("/v4/client_credentials")]


# --- create -------------------------------------------------------------------------------------------------------


def test_create_gives_the_credential_with_its_secret(server, credentials):
    record = credentials.create("Nightly", accounts=[123, "456"], operations=[READ, PLAYLISTS], description="reports")
    assert isinstance(record, CredentialRecord)
    assert record.client_secret
    assert record.client_id == server.credentials()[0]["client_id"]
    assert (record.name, record.description, record.revoked, record.expires_at) == ("Nightly", "reports", False, None)
    assert record.issued_at == server.credentials()[0]["issued_at"]
    kind = "video-cloud-account"
    assert record.maximum_scope == (
        AccountScope(account_id=123, operations=(READ, PLAYLISTS), account_type=kind),
        AccountScope(account_id=456, operations=(READ, PLAYLISTS), account_type=kind),
    )


@pytest.mark.parametrize("make", [requests.Session, httpx.Client, httpx2.Client], ids=["requests", "httpx", "httpx2"])
def test_the_request_that_creates(server, make):
    with make() as http_client:
        http_client.headers["X-Mine"] = "no"
        http_client.auth = ("user", "password")
        credentials_at(server, http_client=http_client).create("Nightly", accounts=["456"], operations=[READ])
    (call,) = calls(server)
    assert (call.method, call.path, call.query) == ("POST", "/v4/client_credentials", "")
    assert call.json() == {
        "type": "credential",
        "name": "Nightly",
        "description": "",
        "maximum_scope": [{"identity": {"type": "video-cloud-account", "account-id": 456}, "operations": [READ]}],
    }
    headers = {name.lower(): value for name, value in call.headers}
    headers.pop("content-length")
    assert headers == {
        "host": server.credentials_url.split("/")[2],
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": f"BC_TOKEN {BC_TOKEN}",
        "connection": "close",
        "content-type": "application/json",
        "user-agent": "video-oauth-auth",
    }


def test_without_an_endpoint_it_asks_brightcove():
    assert ENDPOINT == "https://oauth.brightcove.com/v4/client_credentials"
    with requests_mock.Mocker() as mock, requests.Session() as session:
        mock.post(ENDPOINT, status_code=200, json={"client_id": "x", "client_secret": "an-invented-secret"})
        record = BrightcoveCredentials(BC_TOKEN, http_client=session).create("A", accounts=[1], operations=[READ])
        assert mock.request_history[0].headers["Authorization"] == f"BC_TOKEN {BC_TOKEN}"
    assert (record.client_id, record.client_secret, record.name) == ("x", "an-invented-secret", "")


def test_a_callable_is_asked_for_the_bc_token_at_each_call(server):
    tokens = iter(["an-old-bc-token", BC_TOKEN])
    credentials = credentials_at(server, lambda: next(tokens))
    with pytest.raises(ResponseError):
        credentials.list([1])
    assert credentials.list([1]) == ()


def test_a_bc_token_that_was_copied_with_blanks_is_taken(server):
    assert credentials_at(server, f" {BC_TOKEN}\n").list([1]) == ()


def test_accounts_of_the_player_only_kind(credentials):
    record = credentials.create("P", accounts=[7], operations=["perform/player/all"], account_type="perform-account")
    assert record.maximum_scope[0].account_type == "perform-account"


def test_the_secret_is_saved_also_if_the_caller_is_interrupted(server, credentials):
    """`keep` runs on a thread that goes on."""
    kept, saved = [], threading.Event()

    def keep(record):
        kept.append((record, threading.current_thread().name))
        saved.set()

    def interrupt():
        server.wait_for(lambda: server.held == 1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    server.api_faults.add(Hold())
    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        credentials.create("A", accounts=[1], operations=[READ], keep=keep)
    interrupting.join()
    assert not kept
    server.release()
    assert saved.wait(10)
    ((record, thread),) = kept
    assert record.client_id == server.credentials()[0]["client_id"]
    assert record.client_secret in server.secrets()
    assert thread.startswith("video-oauth-auth")


def test_what_goes_wrong_while_it_is_kept_is_told_without_the_secret(credentials):
    def keep(record):
        raise OSError(f"the disk is full: {record.client_secret}")

    with pytest.raises(OAuthError, match="unexpected OSError"):
        credentials.create("A", accounts=[1], operations=[READ], keep=keep)


# --- list, show, update, delete -----------------------------------------------------------------------------------


def test_list_gives_those_of_the_accounts_without_secrets(server, credentials):
    first = credentials.create("A", accounts=[1, 2], operations=[READ])
    credentials.create("B", accounts=[3], operations=[READ])
    third = credentials.create("C", accounts=["2"], operations=[READ])
    found = credentials.list([2, "1", 2])
    assert [record.client_id for record in found] == [first.client_id, third.client_id]
    assert {record.client_secret for record in found} == {None}
    assert calls(server)[-1].query == "origin_account_ids=2,1"
    assert credentials.list([4]) == ()


def test_show_gives_one_without_its_secret(server, credentials):
    made = credentials.create("A", accounts=[1], operations=[READ], description="reports")
    shown = credentials.show(made.client_id)
    assert shown.client_secret is None
    assert (shown.name, shown.description, shown.maximum_scope) == ("A", "reports", made.maximum_scope)
    assert (calls(server)[-1].method, calls(server)[-1].path.rpartition("/")[2]) == ("GET", made.client_id)


def test_update_sends_the_whole_credential_with_what_has_changed(server, credentials):
    made = credentials.create("A", accounts=[1, 2], operations=[READ], description="reports")
    changed = credentials.update(made.client_id, name="B")
    assert (changed.name, changed.description, changed.maximum_scope) == ("B", "reports", made.maximum_scope)
    assert [call.method for call in calls(server)] == ["POST", "GET", "PUT"]
    assert calls(server)[-1].json() == {
        "type": "credential",
        "name": "B",
        "description": "reports",
        "maximum_scope": maximum_scope([1, 2], [READ]),
    }
    assert credentials.update(made.client_id, description="").description == ""
    assert server.credentials()[0]["name"] == "B"


def test_update_replaces_operations_and_keeps_the_accounts(credentials):
    made = credentials.create("A", accounts=[1, 2], operations=[READ])
    changed = credentials.update(made.client_id, operations=[ALL], other_operations=["video-cloud/new/read"])
    assert [scope.account_id for scope in changed.maximum_scope] == [1, 2]
    assert {scope.operations for scope in changed.maximum_scope} == {(ALL, "video-cloud/new/read")}


def test_update_replaces_accounts_and_keeps_the_operations(credentials):
    made = credentials.create("A", accounts=[1, 2], operations=[READ, ALL])
    changed = credentials.update(made.client_id, accounts=[3])
    assert changed.maximum_scope == (
        AccountScope(account_id=3, operations=(READ, ALL), account_type="video-cloud-account"),
    )
    changed = credentials.update(made.client_id, accounts=[4], operations=[READ], account_type="perform-account")
    assert changed.maximum_scope == (AccountScope(account_id=4, operations=(READ,), account_type="perform-account"),)


def test_operations_that_differ_from_account_to_account_are_not_guessed(server, credentials):
    made = credentials.create("A", accounts=[1], operations=[READ])
    scope = [*maximum_scope([1], [READ]), *maximum_scope([2], [ALL])]
    server.api_faults.always(with_members(maximum_scope=scope), when=lambda request: request.method == "GET")
    with pytest.raises(ConfigurationError, match="different operations in different accounts"):
        credentials.update(made.client_id, accounts=[3])
    assert [call.method for call in calls(server)] == ["POST", "GET"]
    assert [one.operations for one in credentials.show(made.client_id).maximum_scope] == [(READ,), (ALL,)]
    credentials.update(made.client_id, name="B")
    assert calls(server)[-1].json()["maximum_scope"] == scope  # as it was


def test_delete_deletes_it(server, credentials):
    made = credentials.create("A", accounts=[1], operations=[READ])
    assert credentials.delete(made.client_id) is None
    assert server.credentials() == []
    for call in (credentials.show, credentials.delete, lambda client_id: credentials.update(client_id, name="B")):
        with pytest.raises(ResponseError, match=r"There is no such credential") as caught:
            call(made.client_id)
        assert (caught.value.status, caught.value.error) == (404, "RESOURCE_NOT_FOUND")


# --- operations and accounts --------------------------------------------------------------------------------------


def test_the_known_operations_are_offered_by_api():
    assert {READ, ALL, PLAYLISTS} <= set(OPERATIONS["CMS"])
    known = [operation for operations in OPERATIONS.values() for operation in operations]
    assert len(known) == len(set(known)) > 50
    assert all(operation.startswith(("video-cloud/", "perform/")) for operation in known)
    with pytest.raises(TypeError):
        OPERATIONS["CMS"] = ()  # type: ignore[index]


def test_every_known_operation_is_taken(credentials):
    known = [operation for operations in OPERATIONS.values() for operation in operations]
    assert credentials.create("A", accounts=[1], operations=known).maximum_scope[0].operations == tuple(known)


@pytest.mark.parametrize(
    ("operation", "hint"),
    [
        ("video-cloud/video/raed", "did you mean video-cloud/video/read"),
        ("video-cloud/playlists/all", "did you mean video-cloud/playlist/all"),
        ("nonsense", "is no operation that is known here; All"),
    ],
)
def test_an_unknown_operation_is_refused_with_those_that_look_like_it(server, credentials, operation, hint):
    with pytest.raises(ConfigurationError, match=hint) as caught:
        credentials.create("A", accounts=[1], operations=[READ, operation])
    assert "other_operations=" in str(caught.value)
    assert server.requests == ()


def test_a_new_operation_can_be_given_all_the_same(credentials):
    record = credentials.create("A", accounts=[1], operations=[READ, READ], other_operations=["video-cloud/new/read"])
    assert record.maximum_scope[0].operations == (READ, "video-cloud/new/read")


@pytest.mark.parametrize("operations", [[], "video-cloud/video/read", None, [5], [""], [None], 5])
def test_operations_are_a_list_of_texts(credentials, operations):
    with pytest.raises(ConfigurationError, match="operations="):
        credentials.create("A", accounts=[1], operations=operations)


@pytest.mark.parametrize(
    "accounts", [[], "123", 123, None, ["12a"], [True], [1.5], [-1], [0], [""], ["\uff11"], [None]]
)
def test_accounts_are_a_list_of_numbers(server, credentials, accounts):
    with pytest.raises(ConfigurationError, match=r"accounts=|account id"):
        credentials.create("A", accounts=accounts, operations=[READ])
    with pytest.raises(ConfigurationError, match=r"accounts=|account id"):
        credentials.list(accounts)
    assert server.requests == ()


@pytest.mark.parametrize("client_id", ["", ".", "..", "a/b", "a?b", "a b", None, 5, "ä", "a\nb"])
def test_a_client_id_is_one_part_of_a_path(server, credentials, client_id):
    for call in (credentials.show, credentials.delete, lambda one: credentials.update(one, name="A")):
        with pytest.raises(ConfigurationError, match="is no client id"):
            call(client_id)
    assert server.requests == ()


@pytest.mark.parametrize("name", ["", " ", None, 5])
def test_a_credential_has_a_name(credentials, name):
    with pytest.raises(ConfigurationError, match="name="):
        credentials.create(name, accounts=[1], operations=[READ])


def test_other_arguments_that_cannot_work(server, credentials):
    for change in ({}, {"name": ""}, {"description": 5}, {"operations": []}, {"accounts": []}):
        with pytest.raises(ConfigurationError):
            credentials.update("x", **change)
    with pytest.raises(ConfigurationError, match="there are video-cloud-account and perform-account"):
        credentials.create("A", accounts=[1], operations=[READ], account_type="other")
    assert server.requests == ()


# --- where secrets go ---------------------------------------------------------------------------------------------


def test_the_bc_token_is_sent_by_https_or_to_this_machine_only():
    for endpoint in ("http://oauth.example.com/v4/client_credentials", "http://oauth.brightcove.com/"):
        with pytest.raises(InsecureTransportError):
            BrightcoveCredentials(BC_TOKEN, endpoint=endpoint)
    for endpoint in ("oauth.example.com", "https://u:p@example.com/", "https://example.com/#x"):
        with pytest.raises(ConfigurationError):
            BrightcoveCredentials(BC_TOKEN, endpoint=endpoint)
    BrightcoveCredentials(BC_TOKEN, endpoint="http://proxy:1/c", insecure_origins=["http://proxy:1"])


def test_a_redirect_is_not_followed(server, credentials):
    server.api_faults.always(redirect(307, server.foreign_url))
    for call in (lambda: credentials.list([1]), lambda: credentials.create("A", accounts=[1], operations=[READ])):
        with pytest.raises(InvalidResponseError, match="307"):
            call()
    assert server.requests_to("foreign") == ()


@pytest.mark.parametrize("bc_token", ["", "  ", "a b", "a\r\nX: y", "ä-token-that-no-header-can-hold", None, 5, b"x"])
def test_a_bc_token_that_cannot_be_sent(server, bc_token):
    with pytest.raises(ConfigurationError, match="BC_TOKEN") as caught:
        credentials_at(server, bc_token)
    assert "header-can-hold" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="BC_TOKEN"):
        credentials_at(server, lambda: bc_token).list([1])
    assert server.requests == ()


def test_what_the_callable_raises_is_told_without_its_text(server):
    def failing():
        raise LookupError(f"the vault has no {BC_TOKEN}")

    with pytest.raises(ConfigurationError, match=r"bc_token= failed: LookupError$") as caught:
        credentials_at(server, failing).list([1])
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_no_repr_shows_a_secret(server, credentials):
    record = credentials.create("A", accounts=[1], operations=[READ])
    for shown in (repr(record), str(record), f"{[record]}", repr(credentials), repr(server)):
        assert record.client_secret not in shown
        assert BC_TOKEN not in shown
    assert server.credentials_url in repr(credentials)


def test_it_cannot_be_pickled_but_a_record_can(credentials):
    with pytest.raises(TypeError, match="holds a BC_TOKEN"):
        pickle.dumps(credentials)
    record = credentials.create("A", accounts=[1], operations=[READ])
    assert pickle.loads(pickle.dumps(record)) == record
    assert {record: 1}[record] == 1


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(400, {"error": "invalid_request", "error_description": f"what is {BC_TOKEN}?"}),
        json_answer(403, [{"error_code": "FORBIDDEN", "message": f"BC_TOKEN {BC_TOKEN}"}]),
        json_answer(500, {"error": f"{BC_TOKEN}"}),
    ],
)
def test_a_server_that_says_the_bc_token_back_is_not_quoted(server, credentials, answer):
    server.api_faults.always(answer)
    with pytest.raises(OAuthError) as caught:
        credentials.list([1])
    assert BC_TOKEN not in f"{caught.value} {vars(caught.value)}"


# --- what the server refuses --------------------------------------------------------------------------------------


def test_a_wrong_bc_token_is_told_with_what_may_be_the_matter(server):
    credentials = credentials_at(server, "a-bc-token-that-has-ended")
    calls_ = (
        lambda: credentials.create("A", accounts=[1], operations=[READ]),
        lambda: credentials.list([1]),
        lambda: credentials.show("x"),
        lambda: credentials.update("x", name="B"),
        lambda: credentials.delete("x"),
    )
    for call in calls_:
        with pytest.raises(ResponseError, match=r"answered 401: access_denied: The request.* after 24 hours") as caught:
            call()
        assert (caught.value.error, caught.value.status) == ("access_denied", 401)
        assert not caught.value.transient
    assert len(calls(server)) == len(calls_)


def test_errors_of_both_shapes_are_read(server, credentials):
    server.api_faults.add(json_answer(409, [{"error_code": "ILLEGAL_FIELD", "message": "There is no field x."}]))
    with pytest.raises(ResponseError, match=r"did not create the credential 'A'.*409: ILLEGAL_FIELD") as caught:
        credentials.create("A", accounts=[1], operations=[READ])
    assert (caught.value.error, caught.value.error_description) == ("ILLEGAL_FIELD", "There is no field x.")
    server.api_faults.add(json_answer(400, {"error": "invalid_request"}))
    with pytest.raises(ResponseError, match="400: invalid_request"):
        credentials.create("A", accounts=[1], operations=[READ])


def test_a_401_without_a_word_is_told_with_the_hint_too(server, credentials):
    server.api_faults.add(html_page(status=401))
    with pytest.raises(InvalidResponseError, match=r"answered 401.*BC_TOKEN may have ended"):
        credentials.list([1])


# --- what is lost -------------------------------------------------------------------------------------------------

LOST = "may have been made nevertheless.*delete it before"


@pytest.mark.parametrize(
    "fault",
    [
        Drop("after"),
        Drop("midway"),
        html_page(),
        Answer(502, body="bad gateway"),
        json_answer(200, []),
        json_answer(201, {"client_id": 5}),
        without("client_secret"),
        with_members(client_secret=None),
        Answer(201, body=b"{" * 5000),
        Answer(204),
    ],
    ids=[
        *(
            "no answer",
            "half an answer",
            "a page",
            "502",
            "a list",
            "no text",
            "no secret",
            "null",
            "no JSON",
            "nothing",
        )
    ],
)
def test_an_answer_that_is_lost_is_never_asked_for_again_by_itself(server, credentials, fault):
    server.api_faults.add(fault)
    with pytest.raises((TransportError, InvalidResponseError), match=LOST) as caught:
        credentials.create("A", accounts=[1], operations=[READ])
    assert not caught.value.transient
    assert len(calls(server)) == 1


def test_where_nothing_was_sent_nothing_can_have_been_made():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}/v4/client_credentials"
    credentials = BrightcoveCredentials(BC_TOKEN, endpoint=endpoint, timeout=5)
    with pytest.raises(TransportError) as caught:
        credentials.create("A", accounts=[1], operations=[READ])
    assert not caught.value.sent
    assert caught.value.transient
    assert "made nevertheless" not in str(caught.value)


def test_a_server_that_does_not_answer_ends_the_call_in_time(server):
    credentials = credentials_at(server, timeout=0.5)
    server.api_faults.always(Delay(20))
    with pytest.raises(TransportError, match=LOST):
        credentials.create("A", accounts=[1], operations=[READ])
    with pytest.raises(TransportError, match=r"0\.5 s") as caught:
        credentials.list([1])
    assert caught.value.transient
    assert len(calls(server)) == 2


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan"), float("inf"), None])
def test_a_timeout_is_a_number_of_seconds(timeout):
    with pytest.raises(ConfigurationError, match="timeout="):
        BrightcoveCredentials(BC_TOKEN, timeout=timeout)


def test_an_async_client_cannot_lend_anything():
    with pytest.raises(ConfigurationError, match="AsyncClient cannot be used"):
        BrightcoveCredentials(BC_TOKEN, http_client=httpx.AsyncClient())


# --- strange answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b"[1]", b'"text"', b"<html>", b"[" * 100_000, b"\xff", b'[{"client_id": "\\ud800"}]']
)
def test_nonsense_is_one_error(server, credentials, body):
    server.api_faults.always(Answer(200, body=body))
    calls_ = (lambda: credentials.list([1]), lambda: credentials.show("x"), lambda: credentials.update("x", name="A"))
    for call in calls_:
        with pytest.raises(InvalidResponseError):
            call()


@pytest.mark.parametrize(
    "scope",
    [None, [], 5, "text", [5], [{}], [{"identity": None}], [{"identity": {"account-id": "x"}, "operations": "all"}]],
)
def test_a_maximum_scope_that_nobody_knows_does_not_hide_the_others(server, credentials, scope):
    strange = {"client_id": "strange", "maximum_scope": scope, "name": None, "revoked": "no"}
    plain = {"client_id": "plain", "maximum_scope": maximum_scope([1], [READ]), "name": "A", "revoked": True}
    server.api_faults.always(json_answer(200, [strange, plain]))
    first, second = credentials.list([1])
    assert (first.client_id, first.name, first.revoked) == ("strange", "", False)
    assert all(one.account_id is None and one.operations == () for one in first.maximum_scope)
    assert (second.name, second.revoked, second.maximum_scope[0].operations) == ("A", True, (READ,))


def test_a_credential_that_is_for_no_account_is_not_changed_by_guessing(server, credentials):
    server.api_faults.always(json_answer(200, {"client_id": "x", "name": "A", "maximum_scope": []}))
    for change in ({"operations": [READ]}, {"accounts": [1]}):
        with pytest.raises(ConfigurationError, match="for no account yet"):
            credentials.update("x", **change)
    assert {call.method for call in calls(server)} == {"GET"}


def test_operations_inside_the_identity_are_found_too():
    """One line of the vendor's reference has them there."""
    scope = json.loads('[{"identity": {"type": "video-cloud-account", "account-id": "7", "operations": ["a/b"]}}]')
    record = CredentialRecord.from_response({"client_id": "x", "maximum_scope": scope})
    assert record.maximum_scope == (
        AccountScope(account_id=7, operations=("a/b",), account_type="video-cloud-account"),
    )
