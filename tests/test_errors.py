"""Errors are values: copied, pickled, caught by handlers that people already have, and without any secret."""

import copy
import gc
import pickle
import sys
import traceback
import weakref
from typing import Any

import httpx
import httpx2
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import video_oauth_auth
from video_oauth_auth import (
    ConfigurationError,
    InsecureTransportError,
    InvalidResponseError,
    LoginRequired,
    OAuthError,
    ResponseError,
    StoreError,
    TransportError,
)
from video_oauth_auth.errors import cleaned, for_library

MODULES: dict[str, Any] = {"requests": requests, "httpx": httpx, "httpx2": httpx2}


def examples() -> list[OAuthError]:
    return [
        OAuthError("something", transient=True, retry_after=3.0),
        TransportError("busy", status=503, sent=False, retry_after=7.5),
        ResponseError(
            "refused",
            error="invalid_grant",
            error_description="gone",
            error_uri="https://e.example/",
            status=400,
            extra={"trace": "t"},
        ),
        InvalidResponseError("nonsense", status=200),
        LoginRequired("sign in", reason="revoked", user="ann"),
        StoreError("disk"),
        InsecureTransportError("http"),
        ConfigurationError("wrong"),
    ]


def members(error: OAuthError) -> dict[str, Any]:
    names = ("transient", "retry_after", "status", "sent", "error", "error_description", "error_uri", "reason", "user")
    kept = {name: getattr(error, name) for name in names if hasattr(error, name)}
    return {**kept, "extra": dict(getattr(error, "extra", {})), "text": str(error), "args": error.args}


def request_of(library: str) -> Any:
    url, headers = "https://api.example.com/v1", {"Authorization": "Bearer an-invented-token"}
    if library == "requests":
        return requests.Request("GET", url, headers).prepare()
    return MODULES[library].Request("GET", url, headers=headers)


def thrown(error: OAuthError) -> OAuthError:
    """Give the error as it is after it was raised from another one, with a secret in a frame."""
    secret = "an-invented-secret"
    try:
        try:
            raise ValueError(secret)
        except ValueError as cause:
            raise error from cause
    except OAuthError as caught:
        return caught


every_error = pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
every_library = pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])


@every_error
def test_a_copy_has_all_members_and_no_traceback_cause_or_context(error):
    raised = thrown(error)
    assert raised.__traceback__ is not None
    copied = raised.copied()
    assert type(copied) is type(raised)
    assert copied is not raised
    assert members(copied) == members(raised)
    assert (copied.__traceback__, copied.__cause__, copied.__context__) == (None, None, None)
    assert "an-invented-secret" not in "".join(traceback.format_exception(copied))


@every_error
def test_raising_copies_adds_nothing_to_the_remembered_error(error):
    remembered = error.copied()

    def raise_copy() -> None:
        raise remembered.copied()

    for _ in range(3):
        with pytest.raises(type(error)):
            raise_copy()
    assert (remembered.__traceback__, remembered.__context__) == (None, None)


@every_error
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_copying_and_pickling_keep_the_members(error, again):
    other = again(error)
    assert type(other) is type(error)
    assert members(other) == members(error)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (OAuthError("m"), False),
        (TransportError("m"), True),
        (InvalidResponseError("m"), True),
        (ResponseError("m"), False),
        (LoginRequired("m"), False),
        (StoreError("m"), False),
        (InsecureTransportError("m"), False),
        (ConfigurationError("m"), False),
    ],
)
def test_each_class_says_whether_a_later_try_may_succeed(error, transient):
    assert isinstance(error, OAuthError)
    assert error.transient is transient
    assert error.retry_after is None


def test_every_error_is_exported_and_derives_from_one():
    names = [name for name in video_oauth_auth.__all__ if name.endswith("Error") or name == "LoginRequired"]
    assert {type(error).__name__ for error in examples()} == set(names)
    assert all(issubclass(getattr(video_oauth_auth, name), OAuthError) for name in names)


# --- inside a call of requests, httpx, httpx2 ---------------------------------------------------------------------


@every_error
@every_library
def test_handlers_written_for_the_library_catch_it_too(error, library):
    module, request = MODULES[library], request_of(library)
    adapted: Any = for_library(error, library, request)
    assert isinstance(adapted, type(error))
    assert isinstance(adapted, requests.RequestException if library == "requests" else module.HTTPError)
    unreachable = requests.ConnectionError if library == "requests" else module.TransportError
    assert isinstance(adapted, unreachable) is isinstance(error, TransportError)
    assert adapted.request is request
    assert members(adapted) == members(error)
    assert type(adapted).__name__ == type(error).__name__


@every_error
@every_library
def test_there_is_one_class_for_an_error_and_a_library(error, library):
    one = for_library(error, library, request_of(library))
    other = for_library(error.copied(), library, request_of(library))
    assert type(one) is type(other)
    assert type(one.copied()) is type(one)


@every_error
@every_library
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_adapted_error_survives_copying_and_pickling(error, library, again):
    adapted = for_library(error, library, request_of(library))
    other = again(adapted)
    assert type(other) is type(adapted)
    assert members(other) == members(error)


@every_error
@every_library
def test_the_pickle_of_an_adapted_error_does_not_hold_the_callers_authorization_header(error, library):
    pickled = pickle.dumps(thrown(for_library(error, library, request_of(library))))
    assert b"an-invented-token" not in pickled
    assert b"an-invented-secret" not in pickled


@pytest.mark.parametrize("outer", ["requests", "httpx", "httpx2"])
@pytest.mark.parametrize("inner", ["requests", "httpx", "httpx2"])
def test_an_error_of_one_library_passes_through_a_call_of_another(inner, outer):
    """A user's own token provider may itself use another auth object."""
    for error in examples():
        adapted = for_library(for_library(error, inner, request_of(inner)), outer, request_of(outer))
        assert isinstance(adapted, type(error))
        assert isinstance(adapted, requests.RequestException if outer == "requests" else MODULES[outer].HTTPError)
        assert members(adapted) == members(error)
        assert members(pickle.loads(pickle.dumps(adapted))) == members(error)


@every_library
def test_a_users_own_kind_of_error_is_adapted_as_well(library):
    adapted = for_library(OwnError("own", transient=True), library, request_of(library))
    assert isinstance(adapted, OwnError)
    assert adapted.transient
    assert isinstance(pickle.loads(pickle.dumps(adapted)), OwnError)


class OwnError(OAuthError):
    """An error that a user's own grant or provider raises."""


@every_library
def test_catching_one_error_a_thousand_times_makes_one_class_and_keeps_no_request(library):
    kinds, requests_seen = set(), weakref.WeakSet[Any]()
    for _ in range(1000):
        request = request_of(library)
        requests_seen.add(request)
        kinds.add(type(for_library(TransportError("busy"), library, request)))
        del request
    gc.collect()
    assert len(kinds) == 1
    assert len(requests_seen) == 0


def test_errors_can_be_used_without_requests_and_httpx2(monkeypatch):
    for name in ("requests", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)
    assert isinstance(for_library(TransportError("busy"), "httpx", request_of("httpx")), httpx.TransportError)


# --- text from outside --------------------------------------------------------------------------------------------


@given(st.text(max_size=2000), st.integers(1, 400))
def test_cleaned_text_is_one_short_line_without_control_characters(text, limit):
    shown = cleaned(text, limit=limit)
    assert len(shown) <= limit
    assert shown.splitlines() in ([], [shown])
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in shown)
    assert not set(shown) & set("\u200b\u200e\u202a\u202e\u2028\u2029\u2066\u2069\ufeff")
    assert cleaned(shown, limit=limit) == shown


def test_cleaning_keeps_what_a_person_can_read():
    assert cleaned("Zugriff verweigert: ä € 視 👍") == "Zugriff verweigert: ä € 視 👍"
    assert cleaned("a\x1b[31mb\r\nc") == "a [31mb c"
