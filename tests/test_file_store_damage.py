"""FileStore over files that are damaged, foreign or of newer versions: set aside, told about, never overwritten."""

import json
import logging
import os
import pickle
import stat
import time

import pytest

from video_oauth_auth import LoginRequired, OAuthError, StoreError, Token
from video_oauth_auth.stores import FileStore
from video_oauth_auth.stores.encoding import encoded
from video_oauth_auth.testing.store_contract import make_key, make_token, members

from .engine import aged, grant_types, settle, source_of

KEY = make_key("ann")
WHOLE = encoded(KEY, make_token())


class Bomb:
    """Pickled data that would run a program when somebody loads it."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


DAMAGED = {
    "empty": b"",
    "cut off": WHOLE[:300],
    "NUL": b"\0" * len(WHOLE),
    "binary": bytes(range(256)) * 16,
    "JSON of another program": b'{"access_token": "canary-of-another-program", "expires_in": 300}',
    "YAML": b"!!python/object/apply:os.mkdir [exploded]\n",
    "pickle": pickle.dumps(Bomb()),
    "10 MB": WHOLE + b" " * 10_000_000,
    "the entry of another key": encoded(make_key("bob"), make_token()),
}
NEWER = json.dumps({"format": 2, "tokens": ["of the future"]}).encode()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = FileStore("tokens")
    save(store, OTHER, make_token("other"))
    return store


OTHER = make_key("other")


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "video_oauth_auth")
    return caplog


def save(store, key, token):
    with store.transaction(key, timeout=30) as entry:
        entry.save(token)


def file_of(store, key=KEY):
    return store.path / f"{key.id}.json"


def set_aside(store, key=KEY):
    return sorted(path.name.removeprefix(f"{key.id}.json.") for path in store.path.glob(f"{key.id}.json.*"))


@pytest.mark.parametrize("first", ["load", "transaction"])
@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_set_aside_and_told_about_once(store, warnings, tmp_path, data, first):
    file_of(store).write_bytes(data)
    if first == "load":
        assert store.load(KEY) is None
    with store.transaction(KEY, timeout=0) as entry:
        assert entry.token is None
    assert store.load(KEY) is None
    assert set_aside(store) == ["corrupt-1"]
    kept = store.path / f"{KEY.id}.json.corrupt-1"
    assert kept.read_bytes() == data
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    (record,) = warnings.records
    assert str(file_of(store)) in record.getMessage()
    assert kept.name in record.getMessage()
    assert "canary" not in record.getMessage()
    save(store, KEY, make_token())
    assert members(store.load(KEY)) == members(make_token())
    assert kept.read_bytes() == data
    assert store.load(OTHER) == make_token("other")
    assert set(store.entries()) == {KEY, OTHER}
    assert not (tmp_path / "exploded").exists()


def test_a_file_of_a_newer_format_is_set_aside_and_the_way_out_is_told(store, warnings):
    file_of(store).write_bytes(NEWER)
    assert store.load(KEY) is None
    save(store, KEY, make_token())
    assert set_aside(store) == ["newer-1"]
    assert (store.path / f"{KEY.id}.json.newer-1").read_bytes() == NEWER
    (record,) = warnings.records
    assert "format 2" in record.getMessage()
    assert "Update video-oauth-auth" in record.getMessage()


def test_a_directory_in_the_place_of_a_file_is_set_aside_with_what_is_in_it(store, warnings):
    file_of(store).mkdir()
    (file_of(store) / "of somebody else").write_text("x")
    assert store.load(KEY) is None
    save(store, KEY, make_token())
    assert store.load(KEY) == make_token()
    with store.transaction(KEY, timeout=30) as entry:
        entry.delete()
    assert (store.path / f"{KEY.id}.json.corrupt-1" / "of somebody else").read_text() == "x"
    assert "no regular file" in warnings.text


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(store, warnings):
    os.mkfifo(file_of(store), 0o600)
    assert store.load(KEY) is None
    assert set_aside(store) == ["corrupt-1"]
    os.mkfifo(store.path / f"{OTHER.id}.lock.new", 0o600)
    (store.path / f"{OTHER.id}.lock.new").rename(store.path / f"{OTHER.id}.lock")
    with pytest.raises(StoreError, match=f"{OTHER.id}.lock is no regular file"):
        save(store, OTHER, make_token())


def test_only_a_handful_is_kept_and_the_newest_of_them(store, warnings):
    for number in range(1, 13):
        file_of(store).write_text(f"damage {number}")
        assert store.load(KEY) is None
    assert len(warnings.records) == 12
    assert set_aside(store) == sorted(f"corrupt-{number}" for number in range(8, 13))
    assert (store.path / f"{KEY.id}.json.corrupt-12").read_text() == "damage 12"


def test_names_that_are_no_numbers_do_not_disturb(store, warnings):
    (store.path / f"{KEY.id}.json.corrupt-old").write_text("kept by a person")
    file_of(store).write_text("damage")
    assert store.load(KEY) is None
    assert set_aside(store) == ["corrupt-1", "corrupt-old"]


def test_a_damaged_file_whose_lock_is_taken_is_left_to_who_holds_it(store, warnings):
    """It may be replaced by a good one at any moment."""
    with store.transaction(KEY, timeout=0) as entry:
        file_of(store).write_text("damage")
        assert store.load(KEY) is None
        assert set_aside(store) == []
        entry.save(make_token())
    assert store.load(KEY) == make_token()
    assert not warnings.records


def test_a_damaged_file_that_cannot_be_set_aside_is_not_overwritten(store, monkeypatch):
    file_of(store).write_text("damage")

    def refuse(*args, **keywords):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    for use in (lambda: store.load(KEY), lambda: save(store, KEY, make_token())):
        with pytest.raises(StoreError, match=r"set aside.*EROFS"):
            use()
    assert file_of(store).read_text() == "damage"


def test_damaged_files_do_not_hide_the_other_entries(store):
    for name in ("v1-empty.json", "v1-renamed.json", "notes.txt", ".json", ".hidden.json"):
        (store.path / name).write_bytes(encoded(OTHER, make_token()) if "renamed" in name else b"")
    (store.path / "v1-directory.json").mkdir()
    (store.path / "v1-link.json").symlink_to("nowhere")
    (store.path / f"{KEY.id}.json").write_bytes(NEWER)
    assert list(store.entries()) == [OTHER]


# --- what a source makes of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [*DAMAGED.values(), NEWER], ids=[*DAMAGED, "newer"])
def test_a_source_over_a_damaged_file_gets_a_token_and_stores_it(oauth_server, store, warnings, data):
    source = source_of(oauth_server, store=store)
    file_of(store, source.key).write_bytes(data)
    token = source.get_token()
    settle()
    assert grant_types(oauth_server) == ["client_credentials"]
    assert source_of(oauth_server, store=FileStore(store.path)).get_token() == token
    assert len(oauth_server.token_calls) == 1
    assert len(warnings.records) == 1
    assert len(set_aside(store, source.key)) == 1


def test_a_source_that_needs_a_person_says_so_over_a_damaged_file(oauth_server, store, warnings):
    source = source_of(oauth_server, None, store=store)
    file_of(store, source.key).write_bytes(WHOLE[:300])
    with pytest.raises(LoginRequired) as caught:
        source.get_token()
    assert caught.value.reason == "never_signed_in"
    assert "corrupt-1" in warnings.text


@pytest.mark.parametrize(
    "moments",
    [
        {"expires_at": 0.0},
        {"issued_at": 0.0, "expires_at": 1.0},
        {"expires_at": 1.7e12},
        {"expires_at": -1e18},
        {"issued_at": "now + 1 year", "expires_at": "now + 2 years"},
    ],
    ids=str,
)
def test_absurd_moments_count_as_expired_and_the_refresh_token_is_used(oauth_server, store, moments):
    oauth_server.refresh_tokens = True
    source = source_of(oauth_server, None, store=store)
    token = aged(oauth_server, 0)
    year = 365 * 86400
    said = {"now + 1 year": time.time() + year, "now + 2 years": time.time() + 2 * year}
    stored = Token(
        access_token=token.access_token,
        refresh_token=token.refresh_token,
        **{"issued_at": token.issued_at, **{name: said.get(value, value) for name, value in moments.items()}},
    )
    save(store, source.key, stored)
    assert source.get_token() != stored
    assert grant_types(oauth_server) == ["refresh_token"]
    assert oauth_server.reuse_detected == 0
    assert store.load(source.key) == source.get_token()


def test_a_refresh_token_of_another_issuer_is_never_sent(oauth_server, brightcove_server, store, warnings):
    """Even if somebody copies the file to the name of another entry."""
    oauth_server.refresh_tokens = True
    one, another = source_of(oauth_server, None, store=store), source_of(brightcove_server, None, store=store)
    save(store, one.key, aged(oauth_server, 301))
    file_of(store, another.key).write_bytes(file_of(store, one.key).read_bytes())
    with pytest.raises(OAuthError):
        another.get_token()
    assert not brightcove_server.token_calls
    assert "another sign-in" in warnings.text
