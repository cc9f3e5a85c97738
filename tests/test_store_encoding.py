"""Entries as bytes: every token survives, and nothing else is taken for one."""

import json
import pickle
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_oauth_auth import StoreError, StoreKey, Token
from video_oauth_auth.stores.encoding import FORMAT, Unreadable, decoded, encoded
from video_oauth_auth.testing.store_contract import make_key, make_token, members

KEY = make_key("ann")
ENTRY = json.loads(encoded(KEY, make_token()))

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
objects = st.dictionaries(st.text(), values, max_size=4)
texts = st.text(st.characters(exclude_categories=[]), max_size=20)  # lone surrogates too: servers send anything
moments = st.floats(-1e15, 1e15)
tokens = st.builds(
    Token,
    access_token=texts.filter(bool),
    token_type=texts,
    issued_at=moments,
    expires_at=st.none() | moments,
    refresh_token=st.none() | texts,
    refresh_expires_at=st.none() | moments,
    scope=st.none() | texts,
    id_token=st.none() | texts,
    claims=st.none() | objects,
    extra=objects,
)
keys = st.builds(StoreKey, id=texts, issuer=texts, client_id=texts, user=texts)


@given(keys, tokens, st.dictionaries(st.text().map(lambda name: f"x-{name}"), values, max_size=3))
def test_every_token_survives_with_its_key_and_what_a_newer_version_added(key, token, unknown):
    data = encoded(key, token, unknown=unknown)
    document = decoded(data)
    assert document.key == key
    assert members(document.token) == members(token)
    assert document.unknown == unknown
    assert encoded(document.key, document.token, unknown=document.unknown) == data
    assert data.isascii()
    assert data.count(b"\n") == 1


def test_every_member_of_a_token_and_of_a_key_is_written_under_its_own_name():
    """Whoever adds a member to one of them has to decide what stored entries without it mean."""
    names = [one.name for one in (*fields(StoreKey), *fields(Token))]
    assert sorted(ENTRY) == sorted(["format", *names])
    assert ENTRY["format"] == FORMAT == 1


def test_numbers_that_json_does_not_have_survive_in_extra():
    """Servers answer 1e999; the refresh token beside it must not be lost for that."""
    token = Token(access_token="a", extra={"weird": float("inf")})
    assert decoded(encoded(KEY, token)).token.extra == {"weird": float("inf")}


@pytest.mark.parametrize("extra", [{"when": object()}, {"set": {1}}, {"bytes": b"x"}, {("a", "b"): 1}])
def test_a_token_that_json_cannot_hold_is_told_without_showing_it(extra):
    token = Token(access_token="an-invented-secret", extra=extra)
    with pytest.raises(StoreError, match="extra") as caught:
        encoded(KEY, token)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "an-invented-secret" not in str(caught.value)


def test_a_token_with_too_many_levels_is_told():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(StoreError, match="levels"):
        encoded(KEY, Token(access_token="a", extra={"deep": deep}))


# --- what is no entry ---------------------------------------------------------------------------------------------


def changed(**changes):
    return json.dumps({**ENTRY, **changes}).encode()


def without(name):
    return json.dumps({member: value for member, value in ENTRY.items() if member != name}).encode()


WHOLE = encoded(KEY, make_token())
UNREADABLE = {
    "empty": b"",
    "cut off": WHOLE[: len(WHOLE) // 2],
    "without its last bracket": WHOLE.rstrip()[:-1],
    "NUL": b"\x00" * len(WHOLE),
    "NUL at its end": WHOLE + b"\x00" * 512,
    "random": bytes(range(256)) * 8,
    "twice": WHOLE + WHOLE,
    "UTF-16": WHOLE.decode().encode("utf-16"),
    "broken UTF-8": WHOLE.replace(b"access-token", b"access-\xff\xfe"),
    "a list": b"[1, 2]",
    "a number": b"1",
    "null": b"null",
    "YAML": b"format: 1\naccess_token: text\n",
    "pickle": pickle.dumps(ENTRY),
    "JSON of another program": b'{"access_token": "text", "expires_at": 1700000000}',
    "too deep": b'{"extra":' + b"[" * 200_000,
    "a member twice": WHOLE.replace(b'{"format"', b'{"access_token": "other", "format"'),
    "endless digits": WHOLE.replace(b'"format": 1', b'"format": ' + b"1" * 10_000),
    "no format": without("format"),
    **{f"format {value!r}": changed(format=value) for value in (0, -1, True, "1", 1.0, None, [1])},
    **{f"no {name}": without(name) for name in ("id", "issuer", "client_id", "user", "access_token", "issued_at")},
    **{f"no {name}": without(name) for name in ("token_type", "extra")},
    **{f"{name} is a number": changed(**{name: 1}) for name in ("issuer", "user", "access_token", "scope", "claims")},
    **{f"{name} is a text": changed(**{name: "soon"}) for name in ("issued_at", "expires_at", "refresh_expires_at")},
    **{f"expires_at {value!r}": changed(expires_at=value) for value in (True, [], float("nan"), float("inf"), 10**400)},
    "an empty access token": changed(access_token=""),
    "a refresh token that is an object": changed(refresh_token={"value": "x"}),
    "extra is a list": changed(extra=[]),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_entry_is_told_without_showing_it(data):
    with pytest.raises(Unreadable) as caught:
        decoded(data)
    assert not caught.value.newer
    assert caught.value.__context__ is None
    assert "access-token" not in str(caught.value)
    assert len(str(caught.value)) < 100


@given(st.binary(max_size=200))
def test_whatever_bytes_are_there_nothing_else_than_unreadable_is_raised(data):
    with pytest.raises(Unreadable):
        decoded(data)


@given(st.dictionaries(st.sampled_from(sorted(ENTRY)), values, max_size=4))
def test_whatever_the_members_are_nothing_else_than_unreadable_is_raised(changes):
    try:
        decoded(changed(**changes))
    except Unreadable:
        assert changes


def test_an_entry_of_a_newer_format_is_told_apart():
    for data in (changed(format=2), json.dumps({"format": 7, "tokens": []}).encode()):
        with pytest.raises(Unreadable, match=r"format [27];") as caught:
            decoded(data)
        assert caught.value.newer


@pytest.mark.parametrize("moment", [0, 1, -5, 1e12, 1_700_000_000_000, 2**100])
def test_absurd_moments_are_read(moment):
    """The token counts as expired then; its refresh token may still be good."""
    token = decoded(changed(issued_at=moment, expires_at=moment)).token
    assert (token.issued_at, token.expires_at) == (moment, moment)
    assert token.refresh_token == make_token().refresh_token


def test_optional_members_may_be_missing():
    entry = {name: ENTRY[name] for name in ("format", "id", "issuer", "client_id", "user", "access_token", "issued_at")}
    token = decoded(json.dumps({**entry, "token_type": "Bearer", "extra": {}}).encode()).token
    assert members(token) == members(Token(access_token="access-token", issued_at=ENTRY["issued_at"]))


def test_the_entry_that_was_read_shows_no_token():
    document = decoded(changed(more="an-invented-secret"))
    assert document.unknown == {"more": "an-invented-secret"}
    assert "secret" not in repr(document)
    assert "access-token" not in repr(document)
