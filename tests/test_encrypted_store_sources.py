"""EncryptedStore under token sources: restarts, keys that are missing, sign-ins."""

import logging

import pytest

from video_oauth_auth import LoginRequired, MemoryStore, StoreError
from video_oauth_auth.stores import EncryptedStore, FileStore
from video_oauth_auth.testing.store_contract import members

from . import engine, keyrings, sign_ins
from .engine import aged, grant_types, refresh_token_works, source_of
from .sign_ins import auth_of, callback, codes_sent, sign_in, whose

clock, ring, server = engine.clock, keyrings.ring, sign_ins.server

KEY, OTHER = EncryptedStore.new_key(), EncryptedStore.new_key()


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "video_oauth_auth")
    return caplog


@pytest.fixture
def inner():
    return MemoryStore()


def everything_in(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_sign_in_outlives_restarts_and_no_secret_of_it_is_in_a_file(server, tmp_path, clock):
    def started():
        return auth_of(server, store=EncryptedStore(FileStore(tmp_path), key=KEY))

    sign_in(started())
    for _ in range(3):
        clock.advance(301)
        auth = started().for_user("ann")
        assert whose(auth, server) == "ann"
    assert grant_types(server) == ["authorization_code"] + ["refresh_token"] * 3
    assert server.reuse_detected == 0
    written = everything_in(tmp_path)
    assert auth.source.key.id.encode() in written
    assert not [secret for secret in server.secrets() if secret.encode() in written]


def test_the_key_of_the_keyring_serves_every_start(server, ring, tmp_path, clock):
    sign_in(auth_of(server, store=EncryptedStore(FileStore(tmp_path))))
    kept = dict(ring.secrets)
    clock.advance(301)
    assert whose(auth_of(server, store=EncryptedStore(FileStore(tmp_path))).for_user("ann"), server) == "ann"
    assert ring.secrets == kept
    assert not [secret for secret in kept.values() if secret.encode() in everything_in(tmp_path)]


def test_an_exchanged_key_takes_effect_at_the_next_renewal(oauth_server, inner, clock):
    oauth_server.refresh_tokens = True
    source_of(oauth_server, None, store=EncryptedStore(inner, key=KEY)).set(aged(oauth_server, 0))
    clock.advance(301)
    source_of(oauth_server, None, store=EncryptedStore(inner, key=[OTHER, KEY])).get_token()
    assert source_of(oauth_server, None, store=EncryptedStore(inner, key=OTHER)).get_token()
    assert grant_types(oauth_server) == ["refresh_token"]


def test_with_another_key_no_refresh_token_is_spent_and_none_is_lost(oauth_server, inner, clock, warnings):
    oauth_server.refresh_tokens = True
    token = aged(oauth_server, 0)
    source_of(oauth_server, None, store=EncryptedStore(inner, key=KEY)).set(token)
    clock.advance(301)
    with pytest.raises(StoreError, match="is encrypted with the key"):
        source_of(oauth_server, None, store=EncryptedStore(inner, key=OTHER)).get_token()
    assert not oauth_server.token_calls
    renewed = source_of(oauth_server, None, store=EncryptedStore(inner, key=KEY)).get_token()
    assert renewed != token
    assert oauth_server.reuse_detected == 0


def test_with_a_locked_keyring_no_refresh_token_is_spent(oauth_server, ring, inner, clock, warnings):
    """What comes of it could not be saved."""
    oauth_server.refresh_tokens = True
    token = aged(oauth_server, 0)
    source_of(oauth_server, None, store=EncryptedStore(inner)).set(token)
    clock.advance(301)
    ring.lock()
    source = source_of(oauth_server, None, store=EncryptedStore(inner))
    with pytest.raises(StoreError, match="locked"):
        source.get_token()
    assert not oauth_server.token_calls
    ring.failure = None
    assert source.get_token() != token
    assert refresh_token_works(oauth_server, source.peek())


def test_a_grant_that_needs_no_person_goes_on_without_the_keyring(oauth_server, ring, inner, warnings):
    ring.lock()
    source = source_of(oauth_server, store=EncryptedStore(inner))
    token = source.get_token()
    assert grant_types(oauth_server) == ["client_credentials"]
    assert "is locked" in warnings.text
    assert list(inner.entries()) == []
    assert source.get_token() == token


def test_a_keyring_that_is_locked_later_changes_nothing(oauth_server, ring, inner, clock):
    source = source_of(oauth_server, store=EncryptedStore(inner))
    source.get_token()
    ring.lock()
    clock.advance(301)
    token = source.get_token()
    assert members(EncryptedStore(inner, key=ring.secrets["video-oauth-auth", "store-key"]).load(source.key)) == (
        members(token)
    )


# --- people -------------------------------------------------------------------------------------------------------


def test_nobody_is_asked_to_sign_in_while_nothing_could_be_kept(server, ring):
    ring.lock()
    auth = auth_of(server, store=EncryptedStore(MemoryStore()))
    with pytest.raises(StoreError, match=r"(?s)locked.*EncryptedStore\(inner, key="):
        auth.begin_login(user="ann")
    opened = []
    script = auth_of(server, redirect_uri=None, store=EncryptedStore(MemoryStore()))
    with pytest.raises(StoreError, match="locked"):
        script.login(open_browser=opened.append)
    assert not opened
    assert not server.requests


def test_what_a_sign_in_brings_is_not_lost_where_the_entry_is_of_another_key(server, inner, warnings):
    """It serves this process; what only the other key can read stays."""
    first = sign_in(auth_of(server, store=EncryptedStore(inner, key=KEY)))
    auth = auth_of(server, store=EncryptedStore(inner, key=OTHER))
    pending = auth.begin_login(user="ann")
    second = auth.complete_login(pending, callback(pending))
    assert whose(auth.for_user("ann"), server) == "ann"
    assert "is encrypted with the key" in warnings.text
    assert len(codes_sent(server)) == 2
    kept = EncryptedStore(inner, key=KEY).load(auth.for_user("ann").source.key)
    assert (kept == first, kept == second) == (True, False)


def test_an_entry_of_a_lost_key_is_deleted_by_hand_and_made_anew(server, inner, warnings):
    sign_in(auth_of(server, store=EncryptedStore(inner, key=KEY)))
    store = EncryptedStore(inner, key=OTHER)
    auth = auth_of(server, store=store)
    with store.transaction(auth.for_user("ann").source.key, timeout=5) as entry:
        entry.delete()
    with pytest.raises(LoginRequired):
        auth.for_user("ann").source.get_token()
    token = sign_in(auth)
    assert store.load(auth.for_user("ann").source.key) == token


def test_signing_out_leaves_nothing_in_the_files(server, tmp_path):
    auth = auth_of(server, store=EncryptedStore(FileStore(tmp_path), key=KEY))
    sign_in(auth)
    ann = auth.for_user("ann")
    (sealed,) = [FileStore(tmp_path).load(key).access_token for key in FileStore(tmp_path).entries()]
    assert sealed.encode() in everything_in(tmp_path)
    ann.logout()
    assert sealed.encode() not in everything_in(tmp_path)
    assert list(EncryptedStore(FileStore(tmp_path), key=KEY).entries()) == []
