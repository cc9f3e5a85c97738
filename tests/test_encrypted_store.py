"""EncryptedStore: the store contract, what the inner store gets to see, and what happens to keys and entries."""

import json
import pickle
import sys
from base64 import b64decode, b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_oauth_auth import ConfigurationError, MemoryStore, StoreError, StoreKey, Token
from video_oauth_auth.stores import EncryptedStore, FileStore, encoding, sealing
from video_oauth_auth.testing import StoreContract
from video_oauth_auth.testing.store_contract import make_key, make_token, members

KEY, OTHER = EncryptedStore.new_key(), EncryptedStore.new_key()


class TestAroundAMemoryStore(StoreContract):
    @pytest.fixture
    def inner(self):
        return MemoryStore()

    @pytest.fixture
    def store(self, inner):
        return EncryptedStore(inner, key=KEY)

    @pytest.fixture
    def another(self, store, inner):
        return EncryptedStore(inner, key=[KEY, OTHER])


class TestAroundAFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return EncryptedStore(FileStore(tmp_path), key=KEY)

    @pytest.fixture
    def another(self, store, tmp_path):
        return EncryptedStore(FileStore(tmp_path), key=KEY)


@pytest.fixture
def inner():
    return MemoryStore()


@pytest.fixture
def store(inner):
    return EncryptedStore(inner, key=KEY)


@pytest.fixture
def key():
    return make_key("ann")


def save(store, key, token):
    with store.transaction(key, timeout=0) as entry:
        entry.save(token)


def delete(store, key):
    with store.transaction(key, timeout=0) as entry:
        entry.delete()


def sealed_in(inner, key):
    return inner.load(key).access_token


def put(inner, key, text):
    save(inner, key, Token(access_token=text, issued_at=0.0))


def texts_of(value):
    """Give every text that a token holds, names included."""
    if isinstance(value, dict):
        return {text for pair in value.items() for one in pair for text in texts_of(one)}
    if isinstance(value, list):
        return {text for one in value for text in texts_of(one)}
    return {value} if isinstance(value, str) else set()


# --- what the inner store sees ------------------------------------------------------------------------------------


def test_the_inner_store_sees_when_entries_end_and_nothing_else(inner, store, key):
    token = make_token()
    save(store, key, token)
    stored = inner.load(key)
    assert members(stored) == members(
        Token(
            access_token=stored.access_token,
            issued_at=token.issued_at,
            expires_at=token.expires_at,
            refresh_token="encrypted",
            refresh_expires_at=token.refresh_expires_at,
        )
    )
    save(store, key, Token(access_token="without one", issued_at=1.0))
    assert inner.load(key).refresh_token is None


def test_no_text_of_a_token_is_in_a_file(tmp_path, key):
    token = make_token()
    save(EncryptedStore(FileStore(tmp_path), key=KEY), key, token)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key.id.encode() in written, "the right files were read"
    shown = {*members(token), "Bearer", "encrypted"}  # names of members stand in every entry
    for text in texts_of(members(token)) - shown - {""}:
        for form in (text.encode(), json.dumps(text)[1:-1].encode(), b64encode(text.encode()).rstrip(b"=")):
            assert len(form) < 4 or form not in written
    assert KEY.encode() not in written
    assert b64decode(KEY + "=", altchars=b"-_") not in written


def test_the_same_token_never_looks_the_same(inner, store, key):
    seen = set()
    for _ in range(50):
        save(store, key, make_token())
        seen.add(sealed_in(inner, key))
    assert len(seen) == 50


def test_entries_that_cannot_be_decrypted_are_listed(inner, store, key):
    put(inner, key, "plain")
    assert list(store.entries()) == [key]


# --- what was changed ---------------------------------------------------------------------------------------------


def refused(store, key, match):
    """See that an entry is refused, by each way, and left as it is; and that no key or token shows in the errors."""
    before = store.inner.load(key)
    with pytest.raises(StoreError, match=match) as loading:
        store.load(key)
    with store.transaction(key, timeout=0) as entry:
        with pytest.raises(StoreError, match=match) as reading:
            _ = entry.token
        with pytest.raises(StoreError, match=match) as saving:
            entry.save(Token(access_token="of a new sign-in", issued_at=1.0))
    assert members(store.inner.load(key)) == members(before)
    for caught in (loading, reading, saving):
        assert key.issuer in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None
        shown = repr([frame.frame.f_locals for frame in caught.traceback[1:]])
        for secret in (KEY, OTHER, "access-token", "of a new sign-in", b64decode(KEY + "=", altchars=b"-_")):
            assert str(secret) not in shown + str(caught.value)


@pytest.mark.parametrize("bit", [0, 95, 96, 200, -1, -128])
def test_an_entry_with_a_flipped_bit_is_refused(inner, store, key, bit):
    save(store, key, make_token())
    head, _, text = sealed_in(inner, key).rpartition(".")
    sealing = bytearray(b64decode(text + "=" * (-len(text) % 4), altchars=b"-_"))
    bit %= len(sealing) * 8
    sealing[bit // 8] ^= 1 << bit % 8
    put(inner, key, f"{head}.{urlsafe_b64encode(sealing).decode().rstrip('=')}")
    refused(store, key, "damaged")


def test_an_entry_that_was_cut_off_is_refused(inner, store, key):
    save(store, key, make_token())
    text = sealed_in(inner, key)
    for length in (len("v1.0123456789abcdef.A"), len("v1.0123456789abcdef.") + 16, len(text) - 4):
        put(inner, key, text[:length])
        refused(store, key, "damaged")


def test_an_entry_that_was_put_in_the_place_of_another_is_refused(inner, store, key):
    """Who can write into the inner store must not be able to sign Ann in as Bob."""
    other = StoreKey(id=make_key().id, issuer=key.issuer, client_id=key.client_id, user="bob")
    save(store, key, make_token("ann"))
    save(store, other, make_token("bob"))
    put(inner, key, sealed_in(inner, other))
    refused(store, key, "another entry")
    assert members(store.load(other)) == members(make_token("bob"))


def test_moments_are_those_that_were_encrypted(inner, store, key):
    """Those that the inner store sees decide nothing."""
    save(store, key, make_token())
    put(inner, key, sealed_in(inner, key))
    assert members(store.load(key)) == members(make_token())


@pytest.mark.parametrize("text", ["access-token", "v2.0123456789abcdef.AAAA", "v1.x.AAAA", "v1..", "", "v1.a.b.c"])
def test_an_entry_that_is_not_encrypted_is_refused(inner, store, key, text):
    """Else who can write into the inner store could put a token of their own there."""
    put(inner, key, text)
    refused(store, key, "not encrypted")


def test_what_was_sealed_by_the_right_key_but_is_no_entry_is_refused(inner, store, key):
    class Malicious:
        def __reduce__(self):
            return pytest.fail, ("what was stored was executed",)

    first = sealing.Key.read(KEY)
    for data in (b"", b"{}", pickle.dumps(Malicious()), encoding.encoded(key, make_token())[:-9]):
        put(inner, key, sealing.sealed(first, key.id, data))
        refused(store, key, "cannot be read")


def test_an_entry_of_a_newer_format_is_left_alone(inner, store, key):
    data = json.loads(encoding.encoded(key, make_token())) | {"format": 2}
    put(inner, key, sealing.sealed(sealing.Key.read(KEY), key.id, json.dumps(data).encode()))
    refused(store, key, "format 2")


def test_what_a_newer_version_has_added_stays(inner, store, key):
    first = sealing.Key.read(KEY)
    put(inner, key, sealing.sealed(first, key.id, encoding.encoded(key, make_token(), unknown={"added": [1]})))
    save(store, key, make_token("newer"))
    document = encoding.decoded(sealing.opened(first, key.id, sealed_in(inner, key)))
    assert document.unknown == {"added": [1]}
    assert document.token == make_token("newer")


# --- keys ---------------------------------------------------------------------------------------------------------


def test_with_another_key_an_entry_is_refused_and_can_still_be_read_with_its_own(inner, store, key):
    save(store, key, make_token())
    refused(EncryptedStore(inner, key=OTHER), key, r"which is not among those.*key=\[new, old\]")
    assert members(store.load(key)) == members(make_token())


def test_what_cannot_be_decrypted_can_be_deleted_and_made_again(inner, store, key):
    save(store, key, make_token())
    other = EncryptedStore(inner, key=OTHER)
    with other.transaction(key, timeout=0) as entry:
        entry.delete()
        assert entry.token is None
        entry.save(make_token("second"))
        assert members(entry.token) == members(make_token("second"))
    assert members(other.load(key)) == members(make_token("second"))


def test_keys_are_exchanged_step_by_step(inner, key):
    """The new one first and the old one behind it, until every entry was saved once more."""
    untouched = make_key("bob")
    old, both, new = (EncryptedStore(inner, key=keys) for keys in (KEY, [OTHER, KEY], OTHER))
    for one in (key, untouched):
        save(old, one, make_token("first"))
    assert members(both.load(key)) == members(make_token("first"))
    save(both, key, make_token("second"))
    assert members(new.load(key)) == members(make_token("second"))
    refused(old, key, "another key|with the key")
    refused(new, untouched, "with the key")
    assert members(both.load(untouched)) == members(make_token("first"))


def test_a_new_key_is_32_random_bytes_as_text():
    keys = {EncryptedStore.new_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(len(b64decode(key + "=", altchars=b"-_", validate=True)) == 32 for key in keys)


@pytest.mark.parametrize(
    "given",
    [
        b64decode(KEY + "=", altchars=b"-_"),
        KEY.encode(),
        KEY + "=",  # as keys of cryptography's Fernet are written
        f" {KEY}\n",  # out of a file
        b64encode(b64decode(KEY + "=", altchars=b"-_")).decode(),
        (KEY,),
        [OTHER, KEY],
    ],
    ids=["bytes", "text as bytes", "padded", "with a line end", "plain base64", "tuple", "list"],
)
def test_a_key_can_be_written_in_several_ways(inner, store, key, given):
    save(store, key, make_token())
    assert members(EncryptedStore(inner, key=given).load(key)) == members(make_token())


@pytest.mark.parametrize(
    "given",
    ["", [], [KEY, ""], KEY[:-1], KEY + "A", "ü" * 43, "*" * 43, b"short", bytes(31), bytes(33), 5, [[KEY]], object()],
)
def test_a_key_that_is_none_is_refused_and_never_replaced_by_that_of_the_keyring(inner, given):
    with pytest.raises(ConfigurationError, match="32 bytes") as caught:
        EncryptedStore(inner, key=given)
    assert KEY[:-1] not in str(caught.value)


def test_given_keys_are_not_rotated_here(store):
    with pytest.raises(ConfigurationError, match=r"key=\[new, old\]"):
        store.rotate()


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=[])), st.text(max_size=5))
def test_what_was_sealed_opens_with_its_key_and_name_only(data, name, other):
    first, second = sealing.Key.read(KEY), sealing.Key.read(OTHER)
    text = sealing.sealed(first, name, data)
    assert sealing.key_id_of(text) == first.id
    assert sealing.opened(first, name, text) == data
    assert sealing.opened(second, name, text) is None
    assert sealing.opened(second, name, text.replace(first.id, second.id)) is None
    assert other == name or sealing.opened(first, other, text) is None


# --- the object ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [None, "redis://localhost", MemoryStore, object()])
def test_what_is_no_store_is_refused(inner):
    with pytest.raises(ConfigurationError, match="FileStore"):
        EncryptedStore(inner, key=KEY)


def test_repr_and_pickle_hold_no_key(store):
    assert repr(store) == "<EncryptedStore around MemoryStore>"
    assert KEY not in repr([getattr(store, name) for name in store.__slots__])
    assert "secret" not in repr(sealing.Key.read(KEY))
    with pytest.raises(TypeError, match="worker process"):
        pickle.dumps(store)


def test_check_asks_the_inner_store_too(inner):
    class Unready(MemoryStore):
        def check(self):
            raise StoreError("the disk is full")

    EncryptedStore(inner, key=KEY).check()
    with pytest.raises(StoreError, match="disk is full"):
        EncryptedStore(Unready(), key=KEY).check()


@pytest.mark.parametrize(("library", "key"), [("cryptography", KEY), ("cryptography", None), ("keyring", None)])
def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch, inner, library, key):
    for name in [name for name in sys.modules if name.partition(".")[0] == library] or [library]:
        monkeypatch.setitem(sys.modules, name, None)
    sealing._aesgcm.cache_clear()
    with pytest.raises(ConfigurationError, match=rf"{library}: pip install 'video-oauth-auth\[encrypted\]'"):
        EncryptedStore(inner, key=key)
