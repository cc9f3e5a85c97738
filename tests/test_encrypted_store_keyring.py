"""EncryptedStore with a key in the keyring of the operating system: where it is, what is refused, who comes first."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from keyring.backends import chainer, fail, null
from keyring.errors import NoKeyringError

from video_oauth_auth import MemoryStore, StoreError, Token
from video_oauth_auth.stores import EncryptedStore, keyring_keys
from video_oauth_auth.testing import StoreContract
from video_oauth_auth.testing.store_contract import make_key, make_token, members

from . import keyrings, program
from .keyrings import use
from .test_encrypted_store import delete, save

ring = keyrings.ring
program = program.program

PRESENT = ("video-oauth-auth", "store-key")


class TestWithAKeyInTheKeyring(StoreContract):
    @pytest.fixture(autouse=True)
    def ring(self, monkeypatch):
        return use(monkeypatch, keyrings.MemoryKeyring())

    @pytest.fixture
    def store(self):
        return EncryptedStore(MemoryStore())

    @pytest.fixture
    def another(self, store):
        return EncryptedStore(store.inner)


@pytest.fixture
def inner():
    return MemoryStore()


@pytest.fixture
def key():
    return make_key("ann")


# --- where the key is ---------------------------------------------------------------------------------------------


def test_there_is_one_key_for_all_stores_of_this_user(ring, inner, key):
    assert ring.asked == 0
    save(EncryptedStore(inner), key, make_token())
    after_the_first = dict(ring.secrets)
    another = MemoryStore()
    save(EncryptedStore(another), key, make_token())
    assert ring.secrets == after_the_first
    (secret,) = set(ring.secrets.values())
    assert ring.secrets[PRESENT] == secret
    for store in (inner, another):
        assert members(EncryptedStore(store, key=secret).load(key)) == members(make_token())


def test_entries_of_the_keyring_are_far_below_the_smallest_limit(ring, inner, key):
    store = EncryptedStore(inner)
    for _ in range(20):
        store.rotate()
        save(store, key, Token(access_token="a" * 20_000, issued_at=0.0))
    assert max(len(secret) for secret in ring.secrets.values()) < keyrings.LIMIT / 10
    assert store.load(key).access_token == "a" * 20_000


def test_each_key_is_asked_for_once(ring, inner, key):
    store = EncryptedStore(inner)
    save(store, key, make_token("first"))
    asked = ring.asked
    ring.lock()
    for name in ("second", "third"):
        save(store, key, make_token(name))
        assert members(store.load(key)) == members(make_token(name))
    assert ring.asked == asked


def test_reading_asks_the_keyring_for_one_entry_and_makes_none(ring, inner, key):
    """On macOS each entry may be a prompt."""
    assert EncryptedStore(inner).load(key) is None
    assert ring.asked == 0
    save(EncryptedStore(inner), key, make_token())
    ring.asked = 0
    store = EncryptedStore(inner)
    assert members(store.load(key)) == members(make_token())
    save(store, key, make_token("second"))
    assert ring.asked == 1


def test_a_new_key_is_used_from_now_on_and_old_entries_are_still_read(ring, inner, key):
    untouched = make_key("bob")
    store = EncryptedStore(inner)
    for one in (key, untouched):
        save(store, one, make_token("first"))
    old = ring.secrets[PRESENT]
    store.rotate()
    new = ring.secrets[PRESENT]
    assert new != old
    save(store, key, make_token("second"))
    assert members(EncryptedStore(inner, key=new).load(key)) == members(make_token("second"))
    assert members(EncryptedStore(inner, key=old).load(untouched)) == members(make_token("first"))
    for reader in (store, EncryptedStore(inner)):
        assert members(reader.load(key)) == members(make_token("second"))
        assert members(reader.load(untouched)) == members(make_token("first"))


def test_a_program_that_runs_reads_what_another_saved_with_a_newer_key(ring, inner, key):
    running, other = EncryptedStore(inner), EncryptedStore(inner)
    save(running, key, make_token("first"))
    other.rotate()
    save(other, key, make_token("second"))
    assert members(running.load(key)) == members(make_token("second"))
    save(running, key, make_token("third"))
    assert members(other.load(key)) == members(make_token("third"))


def test_a_key_that_a_person_has_put_into_the_keyring_is_used_and_not_lost(ring, inner, key):
    ring.secrets[PRESENT] = INVENTED_KEY
    store = EncryptedStore(inner)
    save(store, key, make_token())
    assert members(EncryptedStore(inner, key=INVENTED_KEY).load(key)) == members(make_token())
    store.rotate()
    assert ring.secrets[PRESENT] != INVENTED_KEY
    assert members(EncryptedStore(inner).load(key)) == members(make_token())


def test_who_loses_the_present_key_loses_no_token(ring, inner, key):
    save(EncryptedStore(inner), key, make_token())
    del ring.secrets[PRESENT]
    store = EncryptedStore(inner)
    assert members(store.load(key)) == members(make_token())
    save(store, make_key("bob"), make_token())
    assert members(store.load(key)) == members(make_token())


def test_an_entry_whose_key_is_gone_is_left_alone_until_it_is_deleted(ring, inner, key):
    save(EncryptedStore(inner), key, make_token())
    kept = dict(ring.secrets)
    ring.secrets.clear()
    store = EncryptedStore(inner)
    with pytest.raises(StoreError, match="which is not in the keyring of this user"):
        store.load(key)
    with store.transaction(key, timeout=0) as entry, pytest.raises(StoreError, match="not in the keyring"):
        entry.save(make_token("second"))
    ring.secrets |= {name: secret for name, secret in kept.items() if name != PRESENT}
    assert members(store.load(key)) == members(make_token())
    delete(store, key)
    save(store, key, make_token("second"))
    assert members(EncryptedStore(inner).load(key)) == members(make_token("second"))


@pytest.mark.parametrize("written", ["", "v2:something", "A" * 42])
def test_what_is_no_key_is_not_overwritten(ring, inner, key, written):
    ring.secrets[PRESENT] = written
    with pytest.raises(StoreError, match="holds no key") as caught:
        EncryptedStore(inner).check()
    assert not written or written not in str(caught.value)
    assert ring.secrets == {PRESENT: written}


# --- what is refused ----------------------------------------------------------------------------------------------

INVENTED_KEY = "an-invented-key-of-43-characters-0123456789"

WAYS_OUT = r"(?s)unlock or install a keyring.*key=\.\.\.\), made once by EncryptedStore\.new_key\(\)"


def refused(inner, key, match):
    """See that nothing can be saved, that `check` says so, and that both ways out are named."""
    store = EncryptedStore(inner)
    for pattern in (match, WAYS_OUT):
        with pytest.raises(StoreError, match=pattern) as caught:
            store.check()
        assert caught.value.__cause__ is caught.value.__context__ is None
    with store.transaction(key, timeout=0) as entry:
        with pytest.raises(StoreError, match=match):
            _ = entry.token
        with pytest.raises(StoreError, match=match):
            entry.save(make_token())
        entry.delete()
    assert list(inner.entries()) == []


@pytest.mark.parametrize(
    "backend",
    [fail.Keyring, null.Keyring, keyrings.PlaintextKeyring, keyrings.AnotherKeyring],
    ids=["fail", "null", "plain text", "a kind of plain text"],
)
def test_keyrings_that_keep_nothing_or_show_everything_are_refused(monkeypatch, inner, key, backend):
    one = use(monkeypatch, backend())
    refused(inner, key, "no keyring of this system can keep a secret")
    assert not getattr(one, "secrets", None)


@pytest.mark.parametrize(
    "backend",
    [keyrings.ForgetfulKeyring, keyrings.CuttingKeyring, keyrings.PickyKeyring, keyrings.SelfishKeyring],
)
def test_a_keyring_that_silently_keeps_nothing_or_less_is_found_out(monkeypatch, inner, key, backend):
    use(monkeypatch, backend())
    with pytest.raises(StoreError, match=r"does not keep what it is given|holds no key"):
        EncryptedStore(inner).check()
    with EncryptedStore(inner).transaction(key, timeout=0) as entry, pytest.raises(StoreError):
        entry.save(make_token())
    assert list(inner.entries()) == []


def test_a_locked_keyring_is_named(ring, inner, key):
    ring.lock()
    refused(inner, key, r"MemoryKeyring is locked")


@pytest.mark.parametrize("failure", [NoKeyringError("none"), OSError("D-Bus"), ValueError("anything")])
def test_whatever_a_keyring_raises_is_a_store_error(ring, inner, key, failure):
    ring.failure = failure
    refused(inner, key, f"could not be used \\({type(failure).__name__}\\)")


def test_a_keyring_that_cannot_even_be_loaded_is_a_store_error(monkeypatch, inner, key):
    use(monkeypatch, None)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no.such.Keyring")
    refused(inner, key, "could not be used")


def test_no_key_comes_out_of_a_keyring_that_tells_what_it_could_not_write(monkeypatch, inner):
    made = []
    monkeypatch.setattr(
        keyring_keys.Key, "new", classmethod(lambda cls: made.append(cls.read(INVENTED_KEY)) or made[0])
    )
    use(monkeypatch, keyrings.TellTaleKeyring())
    with pytest.raises(StoreError, match="PasswordSetError") as caught:
        EncryptedStore(inner).check()
    shown = repr([frame.frame.f_locals for frame in caught.traceback[1:]]) + str(caught.value)
    assert made
    assert INVENTED_KEY not in shown
    assert repr(made[0].secret) not in shown
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_prompt_that_nobody_answers_holds_one_thread_only(monkeypatch, inner, key):
    ring = use(monkeypatch, keyrings.PromptingKeyring())
    monkeypatch.setattr(keyring_keys, "PATIENCE", 0.1)
    store = EncryptedStore(inner)
    with ThreadPoolExecutor(1) as pool:
        prompted = pool.submit(store.check)
        assert ring.prompted.wait(30)
        with pytest.raises(StoreError, match="has not answered yet; perhaps it shows a prompt"):
            store.check()
        ring.answered.set()
        prompted.result(30)
    store.check()
    save(store, key, make_token())


def test_a_keyring_that_was_unlocked_works_at_once(ring, inner, key):
    ring.lock()
    store = EncryptedStore(inner)
    refused(inner, key, "locked")
    with pytest.raises(StoreError):
        store.check()
    ring.failure = None
    store.check()
    save(store, key, make_token())
    assert members(store.load(key)) == members(make_token())


# --- several keyrings at once -------------------------------------------------------------------------------------


@pytest.fixture
def chain(monkeypatch):
    """Make a chain of keyrings the keyring."""

    def make(*backends):
        monkeypatch.setattr(chainer.ChainerBackend, "backends", list(backends))
        use(monkeypatch, chainer.ChainerBackend())

    return make


def test_in_a_chain_those_of_plain_text_are_left_out(chain, inner, key):
    plain, good = keyrings.PlaintextKeyring(), keyrings.MemoryKeyring()
    chain(plain, good)
    save(EncryptedStore(inner), key, make_token())
    assert good.secrets
    assert not plain.asked
    chain(plain)
    refused(MemoryStore(), key, "no keyring of this system")


def test_in_a_chain_a_key_is_found_wherever_it_is(chain, inner, key):
    first, second = keyrings.MemoryKeyring(), keyrings.MemoryKeyring()
    chain(second)
    save(EncryptedStore(inner), key, make_token())
    chain(first, second)
    assert members(EncryptedStore(inner).load(key)) == members(make_token())
    assert not first.secrets


# --- at the same time ---------------------------------------------------------------------------------------------


def test_threads_that_come_first_together_make_one_key(monkeypatch, inner):
    ring = use(monkeypatch, keyrings.CrowdedKeyring())
    store, start = EncryptedStore(inner), threading.Barrier(20)

    def work(number):
        start.wait(30)
        save(store, make_key(str(number)), make_token())

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(20)))
    assert len(set(ring.secrets.values())) == 1
    assert len(list(store.entries())) == 20


def test_a_key_that_another_process_has_made_meanwhile_is_used(monkeypatch, inner, key):
    use(monkeypatch, keyrings.SharedKeyring())
    save(EncryptedStore(inner), key, make_token())
    assert members(EncryptedStore(inner, key=keyrings.SharedKeyring.other).load(key)) == members(make_token())


def test_nobody_gets_to_see_a_key_that_has_no_entry_of_its_own_yet(monkeypatch, inner):
    """What was encrypted with it would be lost as soon as another process makes one too."""
    ring = use(monkeypatch, keyrings.FullKeyring())
    with pytest.raises(StoreError, match="PasswordSetError"):
        EncryptedStore(inner).check()
    assert ring.secrets
    assert PRESENT not in ring.secrets


FIRST_SAVE = """
    from video_oauth_auth.stores import EncryptedStore, StoreKey

    say("has begun")
    store = EncryptedStore(FolderStore())
    for number in range(3):
        key = StoreKey(id=f"v1-{os.getpid()}-{number}", issuer="https://login.example.com", client_id="client")
        with store.transaction(key, timeout=30) as entry:
            entry.save(Token(access_token=key.id, issued_at=1.0, refresh_token="r"))
        say(key.id)
"""

READ = """
    from video_oauth_auth.stores import EncryptedStore, StoreKey

    store = EncryptedStore(FolderStore())
    for path in sorted(FOLDER.glob("v1-*")):
        key = StoreKey(id=path.name, issuer="https://login.example.com", client_id="client")
        assert store.load(key).access_token == key.id
        say(key.id)
"""


def test_processes_that_make_the_first_key_at_the_same_time_lose_no_token(program, monkeypatch, tmp_path):
    """Each has found that there is none before any of them writes one."""
    folder = tmp_path / "keyring"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.keyrings.FolderKeyring")
    monkeypatch.setenv("KEYRING_PROPERTY_FOLDER", str(folder))
    monkeypatch.setenv("KEYRING_PROPERTY_CROWD", "4")
    running = []
    for _ in range(4):
        running.append(program(FIRST_SAVE))
        assert running[-1].said() == "has begun"  # the next one writes the same file
    saved = sorted(one.said() for one in running for _ in range(3))
    for one in running:
        one.end(30)
    assert len(list(folder.glob("here.*"))) == 4, "all of them have met"
    reader = program(READ)
    assert [reader.said() for _ in saved] == saved
    reader.end(30)
