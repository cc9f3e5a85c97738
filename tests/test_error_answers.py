"""What a token endpoint says when it says no: read in every shape, shown safely, never with a secret of ours."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    InvalidResponseError,
    OAuthClient,
    OAuthError,
    ResourceOwnerPassword,
    ResponseError,
    TokenSource,
    TransportError,
)
from video_oauth_auth.client import ClientCredential
from video_oauth_auth.endpoints import HTTPResponse, form_request, grant_parameters, read_token, refresh_parameters
from video_oauth_auth.testing import Answer, json_answer, unavailable

ENDPOINT = "https://login.example.com/token"
SECRET = "inv ented/secret+=%7~"
CREDENTIAL = ClientCredential("client", SECRET)


def refusal(status: int, body: Any = b"", *, request: Any = None, **headers: str) -> OAuthError:
    """Give the error as which an answer is read; `body` is text, bytes, or a value that is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if request is None:
        request = form_request(ENDPOINT, CREDENTIAL, "client_secret_post", grant_parameters(ClientCredentials()))
    with pytest.raises(OAuthError) as caught:
        read_token(HTTPResponse(status=status, headers=headers, body=content), request, issued_at=0.0)
    return caught.value


# --- shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "error", "description"),
    [
        ({"error": "invalid_client", "error_description": "No."}, "invalid_client", "No."),
        ({"error": "invalid_client"}, "invalid_client", None),
        ({"error": "access_denied", "error_description": None}, "access_denied", None),
        ([{"error_code": "UNAUTHORIZED", "message": "Permission denied."}], "UNAUTHORIZED", "Permission denied."),
        ([{"error_code": "RESOURCE_NOT_FOUND"}], "RESOURCE_NOT_FOUND", None),
        (["a text first", {"error_code": "UNAUTHORIZED"}], "UNAUTHORIZED", None),
        ({"success": False, "error": {"code": 10009, "error": "Wrong client."}}, "10009", "Wrong client."),
        ({"error": {"error": "Wrong client."}}, "Wrong client.", None),
        ({"error": {"type": "OAuthException", "message": "No."}}, "OAuthException", "No."),
        ({"error": "The client is not known to us."}, "The client is not known to us.", None),
        ({"error_code": 17, "message": "No."}, "17", "No."),
        ({"message": "The client is not known to us."}, "", "The client is not known to us."),
        (b"error=invalid_client&error_description=No+way", "invalid_client", "No way"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_code_and_description_are_found_in_every_shape(status, body, error, description):
    refused = refusal(status, body)
    assert isinstance(refused, ResponseError)
    assert (refused.error, refused.error_description, refused.status) == (error, description, status)
    assert not refused.transient
    for said in (error, description):
        assert (said or "") in str(refused)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        None,
        b"<!doctype html><html><h1>403 Forbidden</h1></html>",
        b"Forbidden",
        [],
        {},
        "Forbidden",
        7,
        {"error": []},
        {"error": {}},
        {"error": True},
        [["nested"], [{"error_code": "deeper"}]],
        b'{"error": "invalid_gra',
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_an_answer_that_says_nothing_is_nonsense_and_not_a_refusal(status, body):
    unreadable = refusal(status, body)
    assert type(unreadable) is InvalidResponseError
    assert unreadable.status == status
    assert unreadable.transient


def test_further_members_are_in_extra_and_read_only():
    refused = refusal(400, {"error": "invalid_scope", "error_uri": "https://e.example/1", "trace_id": "t", "n": [1]})
    assert isinstance(refused, ResponseError)
    assert refused.error_uri == "https://e.example/1"
    assert refused.extra["trace_id"] == "t"
    assert "error" not in refused.extra
    with pytest.raises(TypeError):
        refused.extra["trace_id"] = "other"  # type: ignore[index]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", {"error": "invalid_grant"}, [{"error_code": "TIMEOUT"}]])
def test_429_and_5xx_are_transient_whatever_code_the_body_carries(status, body):
    failed = refusal(status, body)
    assert type(failed) is TransportError
    assert failed.transient
    assert failed.status == status


@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error"])
def test_an_error_that_calls_itself_temporary_is_transient(error):
    assert type(refusal(400, {"error": error})) is TransportError


# --- shown safely -------------------------------------------------------------------------------------------------

NASTY = "\x1b]8;;https://evil.example\x07click\x1b[31m\r\nFAKE LOG LINE\x00\x7f\x9b2J\u202egnp.exe\u200b\ufeff"


@pytest.mark.parametrize(
    "body",
    [
        {"error": NASTY, "error_description": NASTY, "error_uri": NASTY, "trace": NASTY, "deep": {"a": [NASTY]}},
        [{"error_code": NASTY, "message": NASTY}],
        {"error": {"code": NASTY, "error": NASTY}},
    ],
)
def test_control_characters_and_direction_marks_never_come_through(body):
    refused = refusal(400, body)
    assert isinstance(refused, ResponseError)
    shown = [str(refused), refused.error, refused.error_description, refused.error_uri, *refused.extra.values()]
    for text in map(str, shown):
        assert not set(text) & set("\x00\x07\x0d\x0a\x1b\x7f\x9b\u202e\u200b\ufeff")


def test_a_long_text_is_capped():
    refused = refusal(400, {"error": "e" * 2**20, "error_description": "d" * 2**20, "error_uri": "u" * 2**20})
    assert isinstance(refused, ResponseError)
    assert len(str(refused)) < 1000
    assert all(len(text or "") <= 300 for text in (refused.error, refused.error_description, refused.error_uri))


def test_extra_is_capped_in_number_and_length():
    members = {f"member{number}": "x" * 10_000 for number in range(1000)}
    refused = refusal(400, {"error": "invalid_request", **members})
    assert isinstance(refused, ResponseError)
    assert len(refused.extra) <= 20
    assert all(len(str(value)) <= 300 for value in refused.extra.values())


# --- secrets that a server says back ------------------------------------------------------------------------------

BASIC = b64encode(f"client:{quote_plus(SECRET)}".encode()).decode()


ECHOES = {
    "plain": SECRET,
    "in a sentence, twice": f"wrong secret '{SECRET}' for client ({SECRET})",
    "cut by the cap": "x" * 290 + SECRET,
    "form-encoded": f"cannot use {quote_plus(SECRET)}",
    "percent-encoded": f"cannot use {quote(SECRET)}",
}
ECHOES_OF_BASIC = {"the header": f"Authorization: Basic {BASIC}", "the header's value": f"cannot decode {BASIC}"}


@pytest.mark.parametrize(
    ("method", "echo"),
    [
        *(pytest.param("client_secret_post", echo, id=f"post, {name}") for name, echo in ECHOES.items()),
        *(
            pytest.param("client_secret_basic", echo, id=f"basic, {name}")
            for name, echo in (ECHOES | ECHOES_OF_BASIC).items()
        ),
    ],
)
@pytest.mark.parametrize("status", [400, 503])
def test_our_client_secret_is_not_shown_when_the_server_echoes_it(method, status, echo):
    request = form_request(ENDPOINT, CREDENTIAL, method, grant_parameters(ClientCredentials()))
    refused = refusal(status, {"error": "invalid_client", "error_description": echo, "seen": [echo]}, request=request)
    shown = f"{refused} {refused!r} {refused.__dict__}"
    assert "invalid_client" in shown
    for secret in (SECRET, quote_plus(SECRET), quote(SECRET), BASIC):
        assert secret[:8] not in shown  # no long piece of it either


@pytest.mark.parametrize("where", ["error", "error_description", "error_uri", "trace"])
@pytest.mark.parametrize(
    ("secret", "parameters"),
    [
        ("an-invented-refresh-token", refresh_parameters("an-invented-refresh-token", None)),
        ("an-invented-password", grant_parameters(ResourceOwnerPassword("ann", "an-invented-password"))),
    ],
)
def test_a_refresh_token_or_password_is_not_shown_when_the_server_echoes_it(where, secret, parameters):
    request = form_request(ENDPOINT, ClientCredential("client"), "none", parameters)
    refused = refusal(400, {"error": "invalid_grant", where: f"{secret} is not known"}, request=request)
    assert secret not in f"{refused} {refused!r} {refused.__dict__}"
    assert "is not known" in f"{refused} {refused.__dict__}"


def test_a_secret_in_the_content_type_is_not_shown():
    refused = refusal(200, b"x", **{"content-type": f"text/plain; seen={SECRET}"})
    assert "text/plain" in str(refused)
    assert SECRET not in str(refused)


def test_a_token_that_stands_somewhere_in_an_error_answer_is_not_shown():
    seen = {"access_token": "an-invented-access-token", "kind": "old"}
    refused = refusal(400, {"error": "invalid_request", "data": [seen], "refresh_token": "an-invented-refresh-token"})
    assert "an-invented" not in f"{refused!r} {refused.__dict__}"
    assert "old" in f"{refused.__dict__}"


def test_a_short_secret_cuts_no_words():
    request = form_request(ENDPOINT, ClientCredential("client", "s"), "client_secret_post", {"grant_type": "x"})
    assert "Session is closed" in str(refusal(400, {"error": "x", "error_description": "Session is closed"}))
    refused = refusal(400, {"error": "x", "error_description": "Session is closed"}, request=request)
    assert "Session is closed" in str(refused)


def test_the_query_of_an_endpoint_is_not_shown():
    """Some gateways want a key there."""
    url = f"{ENDPOINT}?code=an-invented-gateway-key"
    request = form_request(url, CREDENTIAL, "client_secret_post", grant_parameters(ClientCredentials()))
    for status in (302, 400, 418, 503):
        told = str(refusal(status, {"error": "invalid_client"} if status == 400 else b"", request=request))
        assert ENDPOINT in told
        assert "an-invented-gateway-key" not in told
    source = TokenSource(AuthorizationServer(token_endpoint=url), OAuthClient("client", SECRET), None)
    assert "an-invented-gateway-key" not in f"{source!r} {source.key}"


@pytest.mark.parametrize(
    ("error", "advice"), [("invalid_client", "Compare the client id"), ("unauthorized_client", "this grant")]
)
def test_what_to_do_is_told_where_it_is_known(error, advice):
    assert advice in str(refusal(400, {"error": error, "error_description": "No."}))
    assert ".." not in str(refusal(400, {"error": error, "error_description": "No."}))


def test_an_echoed_secret_stays_out_of_what_a_caller_sees(client, oauth_server, auth_for, caplog):
    secret = oauth_server.client_secret
    echo = {"error": "invalid_client", "error_description": f"no client with secret {secret}"}
    oauth_server.token_faults.always(json_answer(401, echo))
    with caplog.at_level("DEBUG"), pytest.raises(ResponseError) as caught:
        client.send(auth_for(oauth_server), "GET", f"{oauth_server.api_url}/me")
    assert caught.value.error == "invalid_client"
    assert secret not in f"{caught.value!r} {caught.value.__dict__} {caplog.text}"


# --- Retry-After --------------------------------------------------------------------------------------------------


def http_date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-7", 0.0),
        ("86400", 300.0),
        ("9" * 30, 300.0),
        (http_date(-3600), 0.0),
        (http_date(86400), 300.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 0.0),
        ("Wed Oct 21 07:28:00 2015", 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("7 seconds", None),
        ("Wed, 99 Oct 2015 99:99:99 GMT", None),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_or_a_date_and_at_most_five_minutes(status, value, seconds):
    failed = refusal(status, **{"retry-after": value})
    assert failed.retry_after == seconds


def test_a_date_in_the_near_future_is_so_many_seconds_away():
    failed = refusal(503, **{"retry-after": http_date(100)})
    assert failed.retry_after is not None
    assert 60 < failed.retry_after <= 100


@given(st.text(max_size=60) | st.from_regex(r"\A\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [+-]?\w+\Z", fullmatch=True))
@example("Mon, 1 Jan 1 00:00:00 +2400")
@example("\ud800")
@example("9" * 400)
def test_any_retry_after_is_a_bounded_number_of_seconds_or_nothing(value):
    failed = refusal(429, **{"retry-after": value})
    assert failed.retry_after is None or 0 <= failed.retry_after <= 300


@pytest.mark.parametrize("retry_after", ["0", "Thu, 01 Jan 1970 00:00:00 GMT", "garbage"])
def test_a_renewal_goes_on_after_a_503_whatever_its_retry_after_says(oauth_server, auth_for, retry_after):
    oauth_server.token_faults.add(unavailable(retry_after))
    auth_for(oauth_server).source.get_token()
    assert [call.status for call in oauth_server.token_calls] == [503, 200]


def test_a_retry_after_beyond_the_budget_ends_the_renewal_at_once(oauth_server, auth_for):
    oauth_server.token_faults.always(Answer(429, headers={"Retry-After": "120"}))
    source = auth_for(oauth_server, token_timeout=20.0).source
    with pytest.raises(TransportError) as caught:
        source.get_token()
    assert (caught.value.status, caught.value.retry_after) == (429, 120.0)
    assert len(oauth_server.token_calls) == 1
