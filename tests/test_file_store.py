"""FileStore: the store contract, what is in its directory, and who can read it."""

import json
import os
import pickle
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from video_oauth_auth import ConfigurationError, StoreError, StoreKey, Token
from video_oauth_auth.stores import FileStore, lock_file
from video_oauth_auth.stores import folder as folders
from video_oauth_auth.testing import StoreContract
from video_oauth_auth.testing.store_contract import make_key, make_token, members

from .file_store_programs import folder_of_nobody, run

ON_LINUX = sys.platform == "linux"


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FileStore(tmp_path / "tokens")

    @pytest.fixture
    def another(self, store):
        return FileStore(store.path)


class TestFileStoreWithoutModesAndDescriptors(TestFileStore):
    """The ways of Windows, as far as they can be gone elsewhere."""

    @pytest.fixture(autouse=True)
    def _no_posix(self, monkeypatch):
        monkeypatch.setattr(folders, "POSIX", False)


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "tokens")


@pytest.fixture
def key():
    return make_key("ann")


def save(store, key, token):
    with store.transaction(key, timeout=30) as entry:
        entry.save(token)


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


# --- where it is --------------------------------------------------------------------------------------------------


def test_the_default_is_the_place_for_state_of_this_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    store = FileStore()
    assert store.path.name == "video-oauth-auth"
    assert store.path.is_relative_to(tmp_path)
    if ON_LINUX:
        assert store.path == tmp_path / "state" / "video-oauth-auth"


def test_making_a_store_and_looking_into_it_makes_no_file(tmp_path, key):
    store = FileStore(tmp_path / "a" / "tokens")
    assert store.load(key) is None
    assert list(store.entries()) == []
    assert list(tmp_path.iterdir()) == []
    save(store, key, make_token())
    assert store.load(key) == make_token()


def test_a_store_stays_where_it_is_when_the_program_goes_elsewhere(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    store = FileStore("tokens")
    monkeypatch.chdir("/")
    save(store, key, make_token())
    assert store.path == tmp_path / "tokens"
    assert (tmp_path / "tokens").is_dir()


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FileStore("~/tokens").path == FileStore(Path("~/tokens")).path == tmp_path / "tokens"


@pytest.mark.parametrize("path", ["", "a\0b", b"tokens", 3, ["tokens"], {}], ids=repr)
def test_a_path_that_is_none_is_told_at_once(path):
    with pytest.raises(ConfigurationError, match="path of a FileStore"):
        FileStore(path)


@pytest.mark.parametrize("library", ["filelock", "platformdirs"])
def test_without_its_libraries_it_says_what_to_install(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'video-oauth-auth\[file\]'"):
        FileStore()


def test_it_shows_its_path_and_can_be_given_to_another_process(store):
    assert repr(store) == f"FileStore('{store.path}')"
    assert pickle.loads(pickle.dumps(store)).path == store.path


def test_the_package_of_stores_has_no_other_names():
    import video_oauth_auth.stores as stores

    with pytest.raises(AttributeError, match="NoStore"):
        stores.NoStore  # noqa: B018 - it has to raise


@pytest.mark.parametrize("name", ["../v1-x", "v1/x", "", ".", "v1-x.json", "v1-\0", "v1-ü", "x" * 300])
def test_an_id_that_could_name_another_file_is_refused(store, name):
    key = StoreKey(id=name, issuer="https://login.example.com", client_id="client")
    with pytest.raises(StoreError, match="letters, digits"):
        store.load(key)
    with pytest.raises(StoreError, match="letters, digits"):
        save(store, key, make_token())
    assert not store.path.exists()


# --- what is in it ------------------------------------------------------------------------------------------------


def test_an_entry_is_one_readable_file_named_after_the_id_of_its_key(store, key):
    save(store, key, make_token())
    assert sorted(path.name for path in store.path.iterdir()) == [f"{key.id}.json", f"{key.id}.lock"]
    stored = json.loads((store.path / f"{key.id}.json").read_text(encoding="ascii"))
    assert (stored["format"], stored["user"], stored["access_token"]) == (1, "ann", "access-token")
    assert (store.path / f"{key.id}.lock").read_bytes() == b""


def test_what_a_newer_version_added_is_kept(store, key):
    save(store, key, make_token("first"))
    path = store.path / f"{key.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "from-the-future": {"a": [1]}}))
    save(store, key, make_token("second"))
    stored = json.loads(path.read_text())
    assert stored["from-the-future"] == {"a": [1]}
    assert stored["access_token"] == "access-second"


def test_what_is_deleted_leaves_no_byte_behind(store, key):
    """Nor do copies that were set aside, nor what a killed process left; those of others stay."""
    other = make_key("bob")
    for one in (key, other):
        for number in range(3):
            save(store, one, Token(access_token=f"canary-{one.user}-{number}"))
            (store.path / f"{one.id}.json").write_bytes(b"canary-" + one.user.encode())
            store.load(one)
        (store.path / f"{one.id}.json.0123456789abcdef.tmp").write_bytes(b"canary-" + one.user.encode())
        save(store, one, make_token())
        (store.path / f"{one.id}.json.0123456789abcdef.tmp").write_bytes(b"canary-" + one.user.encode())
    with store.transaction(key, timeout=30) as entry:
        entry.delete()
    left = b"".join(path.read_bytes() for path in store.path.iterdir())
    assert b"canary-ann" not in left
    assert b"canary-bob" in left
    assert store.load(other) == make_token()


def test_an_entry_cannot_be_changed_when_its_lock_is_free_again(store, key):
    with store.transaction(key, timeout=30) as entry:
        entry.save(make_token())
    for change in (lambda: entry.save(make_token("late")), entry.delete):
        with pytest.raises(StoreError, match="without its lock"):
            change()
    assert store.load(key) == make_token()


def test_a_lock_file_that_somebody_removes_is_made_again(store, key):
    with store.transaction(key, timeout=30):
        (store.path / f"{key.id}.lock").unlink()
    save(store, key, make_token())
    assert store.load(key) == make_token()


def test_a_lock_that_was_won_on_a_removed_file_does_not_count(store, key, monkeypatch):
    """Somebody empties the directory just between opening and locking: others would lock a new file beside ours."""
    import filelock

    real, removed = filelock.lock_descriptor, []

    def lock_too_late(descriptor, **keywords):
        if not removed:
            removed.append(True)
            (store.path / f"{key.id}.lock").unlink()
        return real(descriptor, **keywords)

    monkeypatch.setattr(filelock, "lock_descriptor", lock_too_late)
    with store.transaction(key, timeout=30):
        monkeypatch.undo()
        with pytest.raises(TimeoutError), FileStore(store.path).transaction(key, timeout=0):
            pass


def test_a_lock_is_free_even_if_something_else_has_its_descriptor(store, key):
    """C code that forks tells nobody; what it has inherited stays open."""
    with store.transaction(key, timeout=0):
        copies = [os.dup(descriptor) for descriptor in lock_file._descriptors]
    with store.transaction(key, timeout=0):
        pass
    assert len(copies) == 1
    os.close(*copies)


def test_a_timeout_of_the_system_is_none_of_the_lock(store, key, monkeypatch):
    """NFS says ETIMEDOUT, which Python calls TimeoutError: nobody holds the lock, the store does not work."""
    import filelock

    def fail(descriptor, **keywords):
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(filelock, "lock_descriptor", fail)
    with pytest.raises(StoreError, match="locked"):
        save(store, key, make_token())


# --- who can read it ----------------------------------------------------------------------------------------------


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_directory_and_files_are_closed_from_their_first_moment_whatever_the_umask(tmp_path, umask, key, monkeypatch):
    store = FileStore(tmp_path / "tokens")
    seen, done = set(), threading.Event()

    def look():
        while not done.is_set():
            for path in (store.path, *(store.path.iterdir() if store.path.exists() else ())):
                with suppress(FileNotFoundError):
                    seen.add((path.suffix if path != store.path else "directory", mode_of(path)))

    real_open, real_mkdir = os.open, os.mkdir

    def watched_open(path, flags, mode=0o777, **keywords):
        descriptor = real_open(path, flags, mode, **keywords)
        if flags & os.O_CREAT:
            seen.add((Path(path).suffix, stat.S_IMODE(os.fstat(descriptor).st_mode)))
        return descriptor

    def watched_mkdir(path, mode=0o777, **keywords):
        real_mkdir(path, mode, **keywords)
        seen.add(("directory", stat.S_IMODE(os.stat(path).st_mode)))

    monkeypatch.setattr(os, "open", watched_open)
    monkeypatch.setattr(os, "mkdir", watched_mkdir)
    watching = threading.Thread(target=look)
    watching.start()
    for number in range(20):
        save(store, key, make_token(str(number)))
    (store.path / f"{key.id}.json").write_text("no JSON")
    save(store, key, make_token())
    done.set()
    watching.join()
    assert {kind for kind, _ in seen} >= {"directory", ".json", ".lock", ".tmp"}
    assert [(kind, oct(mode)) for kind, mode in seen if mode & 0o077] == []
    assert mode_of(store.path) == 0o700
    assert {mode_of(path) for path in store.path.iterdir()} == {0o600}


def test_a_umask_that_keeps_out_oneself_keeps_nothing_out_of_the_store():
    with folder_of_nobody() as folder:
        text = "os.umask(0o777); save(key_of('a'), token_of(1)); save(key_of('a'), token_of(2))\n"
        run(text + "give(store.load(key_of('a')).access_token)", folder / "tokens", as_nobody=True)
        assert run("give(store.load(key_of('a')).access_token)", folder / "tokens", as_nobody=True) == "access-2"


def test_files_that_were_opened_to_others_are_closed_again(store, key):
    """By a backup that was played back, or by a chmod of everything."""
    save(store, key, make_token())
    path = store.path / f"{key.id}.json"
    path.chmod(0o644)
    (store.path / f"{key.id}.lock").chmod(0o666)
    assert store.load(key) == make_token()
    assert mode_of(path) == 0o600
    path.write_text("no JSON")
    path.chmod(0o644)
    save(store, key, make_token())
    assert {mode_of(one) for one in store.path.iterdir()} == {0o600}


def test_another_name_of_a_file_is_left_as_it_is(store, key, tmp_path):
    """A hard link: nothing is ever written into a file that is there already."""
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    victim.chmod(0o644)
    store.path.mkdir(mode=0o700)
    os.link(victim, store.path / f"{key.id}.json")
    os.link(victim, store.path / f"{key.id}.lock")
    save(store, key, make_token())
    assert store.load(key) == make_token()
    assert victim.read_text() == "of somebody else"
    assert mode_of(victim) == 0o644


# --- what survives ------------------------------------------------------------------------------------------------


def test_a_file_is_flushed_before_it_gets_its_name_and_the_directory_after(store, key, monkeypatch):
    save(store, key, make_token("first"))
    steps = []

    def watch(name, shown):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, **keywords: (steps.append(shown(*args)), real(*args, **keywords))[1]
        )

    watch("write", lambda descriptor, data: "write")
    watch(
        "fsync", lambda descriptor: "flush " + ("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
    )
    watch("replace", lambda old, new: "rename")
    save(store, key, make_token("second"))
    assert steps == ["write", "flush file", "rename", "flush directory"]
    steps.clear()
    with store.transaction(key, timeout=30) as entry:
        entry.delete()
    assert steps == ["flush directory"]


def test_a_drive_is_told_to_flush_its_cache_where_that_is_a_step_of_its_own(store, key, monkeypatch):
    """macOS: fsync alone does not do it."""
    asked = []
    monkeypatch.setattr(folders, "FULL_SYNC", 51)
    monkeypatch.setattr(folders.fcntl, "fcntl", lambda descriptor, command: asked.append(command))
    save(store, key, make_token())
    assert asked == [51]

    def refuse(descriptor, command):
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(folders.fcntl, "fcntl", refuse)
    save(store, key, make_token("second"))
    assert members(store.load(key)) == members(make_token("second"))


@pytest.mark.parametrize("name", ["replace", "open", "unlink"])
def test_what_another_process_has_just_opened_is_tried_again_on_windows(store, key, monkeypatch, name):
    """A reader keeps a file from being replaced there, for the moment that reading takes."""
    save(store, key, make_token("first"))
    (store.path / f"{key.id}.json.0123456789abcdef.tmp").touch()
    monkeypatch.setattr(folders, "POSIX", False)
    real, refused = getattr(os, name), []

    def refuse(*args, **keywords):
        if len(refused) < 3:
            refused.append(True)
            raise PermissionError(13, "Access is denied")
        return real(*args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, refuse)
        save(store, key, make_token("second"))
    assert len(refused) == 3
    assert store.load(key) == make_token("second")
    monkeypatch.setattr(folders, "PATIENCE", 0.05)
    (store.path / f"{key.id}.json.0123456789abcdef.tmp").touch()

    def always_refuse(*args, **keywords):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, name, always_refuse)
    with pytest.raises(StoreError, match="EACCES"):
        save(store, key, make_token("third"))
