"""Answers of a token endpoint: which are accepted, which are refused, and that a refused one changes nothing."""

import json
import math
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from video_oauth_auth import InvalidResponseError, MemoryStore, ResponseError, Token, TransportError
from video_oauth_auth.client import ClientCredential
from video_oauth_auth.endpoints import HTTPRequest, HTTPResponse, form_request, read_token
from video_oauth_auth.testing import Answer, Mutate, form_encoded, gzip_bomb, html_page, oversized, with_members

ENDPOINT = "https://login.example.com/token"
ISSUED_AT = 1_800_000_000.0
OURS = (TransportError, ResponseError, InvalidResponseError)
TEN_YEARS = 10 * 365.25 * 86400


def a_request() -> HTTPRequest:
    credential = ClientCredential("client", "an-invented-secret")
    return form_request(ENDPOINT, credential, "client_secret_basic", {"grant_type": "client_credentials"})


def read(body: bytes | str, *, status: int = 200, **headers: str) -> Token:
    response = HTTPResponse(
        status=status,
        headers={"content-type": "application/json", **headers},
        body=body.encode() if isinstance(body, str) else body,
    )
    return read_token(response, a_request(), issued_at=ISSUED_AT)


def read_members(status: int = 200, **members: Any) -> Token:
    return read(json.dumps(members), status=status)


# --- accepted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        (300, 300.0),
        (0.5, 0.5),
        ("3600", 3600.0),
        ("3599.5", 3599.5),
        (" 60 ", 60.0),
        (TEN_YEARS, TEN_YEARS),
        (TEN_YEARS + 1, None),
        (10**400, None),
        (0, None),
        (-1, None),
        ("-300", None),
        (None, None),
        ("", None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        ([300], None),
        ({"seconds": 300}, None),
    ],
)
def test_expires_in_is_a_number_or_a_numeric_text_and_anything_else_means_that_the_end_is_not_known(
    expires_in, lifetime
):
    token = read_members(access_token="at", token_type="Bearer", expires_in=expires_in)
    assert token.expires_at == (None if lifetime is None else ISSUED_AT + lifetime)
    assert token.issued_at == ISSUED_AT


def test_a_token_without_expires_in_has_no_known_end():
    assert read_members(access_token="at").expires_at is None


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_token_type_counts_in_any_case(token_type):
    assert read_members(access_token="at", token_type=token_type).token_type == token_type


@pytest.mark.parametrize("members", [{}, {"token_type": None}, {"token_type": ""}])
def test_a_missing_token_type_is_taken_for_bearer(members):
    assert read_members(access_token="at", **members).token_type == "Bearer"


def test_status_201_is_as_good_as_200():
    assert read_members(status=201, access_token="at").access_token == "at"


@pytest.mark.parametrize(
    ("scope", "read_as"),
    [
        ("videos:read videos:write", "videos:read videos:write"),
        (["videos:read", "videos:write"], "videos:read videos:write"),
        (["videos:read", 7, None], "videos:read"),
        ("", None),
        ("  ", None),
        ([], None),
        (None, None),
        (7, None),
    ],
)
def test_scope_may_be_a_list(scope, read_as):
    assert read_members(access_token="at", scope=scope).scope == read_as


def test_unknown_members_are_kept_and_read_only():
    token = read_members(access_token="at", session_state="s", nested={"a": [1, None]})
    assert token.extra == {"session_state": "s", "nested": {"a": [1, None]}}
    with pytest.raises(TypeError):
        token.extra["session_state"] = "other"  # type: ignore[index]


def test_a_form_encoded_answer_is_read_like_a_json_one():
    body = urlencode({"access_token": "a+t/=", "expires_in": "300", "token_type": "bearer", "scope": "a b"})
    token = read(body, **{"content-type": "application/x-www-form-urlencoded"})
    assert (token.access_token, token.expires_at, token.scope) == ("a+t/=", ISSUED_AT + 300, "a b")
    assert read("expires_in=60&access_token=at").expires_at == ISSUED_AT + 60


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_in_any_unicode_encoding_is_read(encoding):
    assert read('{"access_token": "at", "name": "é"}'.encode(encoding)).extra == {"name": "é"}


def test_refresh_expires_in_0_means_that_a_refresh_token_does_not_end():
    endless = read_members(access_token="at", refresh_token="rt", refresh_expires_in=0)
    assert (endless.refresh_token, endless.refresh_expires_at) == ("rt", None)
    ends = read_members(access_token="at", refresh_token="rt", refresh_expires_in=1800)
    assert ends.refresh_expires_at == ISSUED_AT + 1800


# --- refused ------------------------------------------------------------------------------------------------------

REFUSED: dict[str, bytes] = {
    "an HTML page": b"<!doctype html><html><body>Sign in</body></html>",
    "nothing": b"",
    "blanks": b"  \n ",
    "truncated JSON": b'{"access_token": "at", "expires_in": 30',
    "a JSON text": b'"access_token"',
    "a JSON number": b"7",
    "null": b"null",
    "a list of tokens": b'[{"access_token": "at"}]',
    "an empty object": b"{}",
    "no access_token": b'{"token_type": "Bearer", "expires_in": 300}',
    "an empty access_token": b'{"access_token": ""}',
    "null as access_token": b'{"access_token": null}',
    "a number as access_token": b'{"access_token": 12345}',
    "a list as access_token": b'{"access_token": ["at"]}',
    "true as access_token": b'{"access_token": true}',
    "a header in the access_token": rb'{"access_token": "at\r\nX-Evil: 1"}',
    "NUL in the access_token": rb'{"access_token": "a\u0000t"}',
    "DEL in the access_token": rb'{"access_token": "a\u007ft"}',
    "a tab in the access_token": rb'{"access_token": "a\tt"}',
    "a blank before the access_token": b'{"access_token": " at"}',
    "a newline after the access_token": rb'{"access_token": "at\n"}',
    "non-ASCII in the access_token": '{"access_token": "töken"}'.encode(),
    "half a surrogate pair in the access_token": rb'{"access_token": "\ud800"}',
    "half a surrogate pair in the refresh_token": rb'{"access_token": "at", "refresh_token": "\ud800"}',
    "a number as refresh_token": b'{"access_token": "at", "refresh_token": 7}',
    "a list as id_token": b'{"access_token": "at", "id_token": []}',
    "token_type mac": b'{"access_token": "at", "token_type": "mac"}',
    "token_type DPoP": b'{"access_token": "at", "token_type": "DPoP"}',
    "a list as token_type": b'{"access_token": "at", "token_type": ["Bearer"]}',
    "very deep JSON": b'{"access_token": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 10,000 digits": b'{"access_token": "at", "expires_in": ' + b"9" * 10_000 + b"}",
    "bytes that are no text": b"\xff\xfe\xfa\x00\x01",
    "a form without an access_token": b"token_type=bearer&expires_in=300",
    "a form with an empty access_token": b"access_token=&expires_in=300",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_token_answer_is_refused_with_one_typed_error(body):
    with pytest.raises(InvalidResponseError) as caught:
        read(body)
    assert "an-invented-secret" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("status", [202, 204, 206])
def test_other_2xx_are_no_token_answers(status):
    with pytest.raises(InvalidResponseError) as caught:
        read_members(status=status, access_token="at")
    assert caught.value.status == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_not_taken_for_a_refusal(status):
    with pytest.raises(InvalidResponseError, match="redirect"):
        read("<html>moved</html>", status=status, location="https://evil.example/")


def test_an_error_in_a_200_is_an_error_even_beside_a_token():
    with pytest.raises(ResponseError) as caught:
        read_members(error="invalid_grant", access_token="at")
    assert (caught.value.error, caught.value.status) == ("invalid_grant", 200)
    assert "access_token" not in caught.value.extra


# --- never anything else ------------------------------------------------------------------------------------------

json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known = ["access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "scope", "id_token"]
known += ["expires_at", "issued_at", "error", "error_description", "error_uri", "error_code", "message"]
answers: Any = st.dictionaries(st.sampled_from(known), json_values | st.sampled_from(["at", "Bearer", "rt"]))
statuses: Any = st.sampled_from([200, 201, 400, 401, 403, 429, 500, 503]) | st.integers(100, 599)


@given(answers | json_values, statuses, st.dictionaries(st.just("retry-after"), st.text(max_size=40)))
@example({"access_token": "at", "expires_in": 10**400}, 200, {})
@example({"error": {"code": {"deep": []}}}, 400, {})
@example([{"error_code": ["UNAUTHORIZED"]}], 401, {})
def test_any_json_gives_a_token_or_one_of_our_errors(value, status, headers):
    try:
        token = read(json.dumps(value), status=status, **headers)
    except OURS as error:
        message = str(error)
    else:
        message = ""
        assert status in (200, 201)
        assert token.access_token.isascii()
        assert token.access_token.isprintable()
        assert token.expires_at is None or 0 < token.expires_at < math.inf
    assert len(message) < 1500


@given(st.binary(max_size=200), statuses)
@example(b"access_token=%ff%fe", 200)
@example(b"error=%00&access_token=at", 200)
def test_any_bytes_give_a_token_or_one_of_our_errors(body, status):
    with suppress(*OURS):
        assert read(body, status=status).access_token


# --- end to end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        Mutate(form_encoded),
        with_members(expires_in="300"),
        with_members(expires_in=None, token_type="BEARER"),
        with_members(scope=["a", "b"], session_state="s"),
    ],
    ids=["form", "text", "null", "list"],
)
def test_a_request_succeeds_with_each_accepted_kind_of_answer(client, oauth_server, auth_for, change):
    oauth_server.token_faults.always(change)
    assert client.send(auth_for(oauth_server), "GET", f"{oauth_server.api_url}/me").status_code == 200
    assert len(oauth_server.token_calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        html_page(),
        Answer(200, body='{"access_token": "at'),
        Answer(200, body="[]"),
        Answer(200, body='{"access_token": "", "expires_in": 300}'),
        Answer(200, body='{"access_token": "at", "token_type": "mac"}'),
        Answer(200, body='{"error": "invalid_grant"}'),
        oversized(),
        gzip_bomb(),
    ],
    ids=["html", "truncated", "list", "empty", "mac", "error", "1 MiB", "bomb"],
)
def test_a_refused_answer_leaves_the_stored_token_as_it_was(oauth_server, auth_for, answer):
    store = MemoryStore()
    source = auth_for(oauth_server, store=store, token_timeout=5.0).source
    first = source.get_token()
    oauth_server.token_faults.always(answer)
    with pytest.raises((InvalidResponseError, ResponseError)):
        source.get_token(rejected=first)
    assert store.load(source.key) == first
    assert oauth_server.token_calls[-1].status == 200
