"""FileStore where it must not or cannot keep tokens: links, other owners, open directories, full and broken disks."""

import errno
import logging
import os
import sys

import pytest

from video_oauth_auth import StoreError, Token
from video_oauth_auth.stores import FileStore
from video_oauth_auth.stores import folder as folders
from video_oauth_auth.testing.store_contract import make_key, make_token

from .engine import aged, refresh_token_works, settle, source_of
from .file_store_programs import NOBODY, folder_of_nobody, run

KEY = make_key("ann")


@pytest.fixture
def store(tmp_path):
    store = FileStore(tmp_path / "tokens")
    save(store, KEY, make_token("old"))
    return store


def save(store, key, token):
    with store.transaction(key, timeout=30) as entry:
        entry.save(token)


def uses(store):
    """What can be done with a store: nothing of it may happen in a place that is refused."""
    return {
        "load": lambda: store.load(KEY),
        "save": lambda: save(store, KEY, make_token("new")),
        "entries": lambda: list(store.entries()),
    }


def assert_refused(store, *words):
    for name, use in uses(store).items():
        with pytest.raises(StoreError) as caught:
            use()
        for word in (str(store.path), *words):
            assert word in str(caught.value), name
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None


# --- links --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["POSIX", "without descriptors"])
def posix(request, monkeypatch):
    monkeypatch.setattr(folders, "POSIX", request.param)


def test_a_link_in_the_place_of_the_directory_is_refused(store, tmp_path, posix):
    (tmp_path / "link").symlink_to(store.path)
    assert_refused(FileStore(tmp_path / "link"), "ELOOP", "Symbolic links")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert_refused(FileStore(tmp_path / "dangling"), "ELOOP")
    assert not (tmp_path / "nowhere").exists()


def test_a_link_above_the_directory_is_followed(store, tmp_path):
    (tmp_path / "above").symlink_to(tmp_path)
    assert FileStore(tmp_path / "above" / "tokens").load(KEY) == make_token("old")


@pytest.mark.parametrize("suffix", ["json", "lock"])
def test_a_link_in_the_place_of_a_file_is_refused_and_its_target_untouched(store, tmp_path, posix, suffix):
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    victim.chmod(0o644)
    path = store.path / f"{KEY.id}.{suffix}"
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(StoreError, match=rf"ELOOP.*{path.name}.*Symbolic links"):
        save(store, KEY, make_token("new"))
    assert path.is_symlink()
    assert victim.read_text() == "of somebody else"
    assert victim.stat().st_mode & 0o777 == 0o644
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="ELOOP"):
        save(store, KEY, make_token("new"))
    assert not (tmp_path / "nowhere").exists()


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(store, tmp_path, monkeypatch):
    monkeypatch.setattr(folders.secrets, "token_hex", lambda size: "guessed")
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    real = os.listdir  # what removes left files must not help here
    monkeypatch.setattr(os, "listdir", lambda place: [name for name in real(place) if "guessed" not in name])
    (store.path / f"{KEY.id}.json.guessed.tmp").symlink_to(victim)
    with pytest.raises(StoreError, match="written"):
        save(store, KEY, make_token("new"))
    assert victim.read_text() == "of somebody else"
    assert store.load(KEY) == make_token("old")


def test_a_directory_that_is_exchanged_between_two_steps_gets_nothing(store, tmp_path, monkeypatch):
    """What was checked is what is used: everything is done relative to the opened directory."""
    trap, real = tmp_path / "trap", os.fsync
    trap.mkdir()

    def exchange(descriptor):
        if not (tmp_path / "moved").exists():
            store.path.rename(tmp_path / "moved")
            store.path.symlink_to(trap)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", exchange)
    save(store, KEY, make_token("new"))
    assert list(trap.iterdir()) == []
    assert FileStore(tmp_path / "moved").load(KEY) == make_token("new")


# --- owners and modes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o740, 0o777, 0o1777])
def test_a_directory_that_is_open_to_others_is_refused_with_the_way_out(tmp_path, mode):
    path = tmp_path / "my tokens"
    path.mkdir()
    path.chmod(mode)
    assert_refused(FileStore(path), f"mode {mode:04o}", f"chmod 700 '{path}'")
    assert list(path.iterdir()) == []
    path.chmod(0o700)
    save(FileStore(path), KEY, make_token())


def test_a_directory_that_everybody_can_replace_is_refused(store, tmp_path):
    tmp_path.chmod(0o777)
    assert_refused(store, f"chmod o-w {tmp_path}")
    tmp_path.chmod(0o1777)  # as /tmp
    assert store.load(KEY) == make_token("old")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    assert_refused(FileStore(tmp_path / "file"), "no directory")


def test_a_directory_or_a_file_of_another_user_is_refused(store, monkeypatch):
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert_refused(store, f"number {me}", f"runs as {me + 1}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others; the test above does without")
def test_root_does_not_use_what_belongs_to_somebody_else(store):
    os.chown(store.path / f"{KEY.id}.json", NOBODY, NOBODY)
    for use in (lambda: store.load(KEY), lambda: save(store, KEY, make_token("new"))):
        with pytest.raises(StoreError, match=f"{KEY.id}.json belongs to the user with the number {NOBODY}"):
            use()
    os.chown(store.path, NOBODY, NOBODY)
    assert_refused(store, f"number {NOBODY}")


def test_a_place_without_the_right_to_write_or_read_is_told():
    text = """
    save(key_of("a"), token_of(1))
    told = {}
    for mode in (0o500, 0o000):
        FOLDER.chmod(mode)
        for name, use in {
            "load": lambda: store.load(key_of("a")).access_token,
            "save": lambda: save(key_of("a"), token_of(2)),
            "new": lambda: save(key_of("b"), token_of(2)),
        }.items():
            try:
                told[f"{mode:o} {name}"] = use()
            except StoreError as error:
                told[f"{mode:o} {name}"] = str(error)
    FOLDER.chmod(0o700)
    give([told, store.load(key_of("a")).access_token])
    """
    with folder_of_nobody() as folder:
        told, stored = run(text, folder / "tokens", as_nobody=True)
    assert stored == "access-1"
    assert told.pop("500 load") == "access-1"
    assert all("EACCES" in text and "tokens" in text for text in told.values())
    assert len(told) == 5


def test_a_directory_that_cannot_be_made_is_told():
    with folder_of_nobody() as folder:
        folder.chmod(0o500)
        text = "try: save(key_of('a'), token_of(1))\nexcept StoreError as error: give(str(error))"
        assert "EACCES" in run(text, folder / "a" / "tokens", as_nobody=True)


# --- broken disks -------------------------------------------------------------------------------------------------

CALLS = ("open", "write", "fsync", "replace", "unlink", "listdir", "mkdir", "close")
ERRORS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO)


class Broken:
    """Lets the calls of a name fail from some call on.

    Attributes:
        calls: how many there were.
    """

    def __init__(self, patch, name, number, from_call=1):
        self.calls, real = 0, getattr(os, name)

        def call(*args, **keywords):
            self.calls += 1
            if self.calls < from_call:
                return real(*args, **keywords)
            if name == "close":
                real(*args)
            raise OSError(number, os.strerror(number))

        patch.setattr(os, name, call)


def failure_of(use):
    try:
        use()
    except StoreError as error:
        return error
    return None


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize(("name", "from_call"), [(name, call) for name in CALLS for call in (1, 2, 3)])
def test_a_save_that_fails_at_any_step_is_told_and_leaves_a_whole_entry(store, monkeypatch, name, from_call, number):
    with store.transaction(KEY, timeout=30) as entry:
        with monkeypatch.context() as patch:
            broken = Broken(patch, name, number, from_call)
            failure = failure_of(lambda: entry.save(make_token("new")))
        if broken.calls >= from_call:
            assert str(store.path) in str(failure)
            assert errno.errorcode[number] in str(failure)
            assert failure.__context__ is None
        else:
            assert failure is None
        assert store.load(KEY) in (make_token("old"), make_token("new"))
        assert len(list(store.path.glob("*.tmp"))) <= 1
        entry.save(make_token("newer"))
        assert list(store.path.glob("*.tmp")) == []
    assert store.load(KEY) == make_token("newer")


def test_file_systems_that_cannot_flush_a_directory_or_lock_are_told_apart(store, monkeypatch):
    import filelock

    real = os.fsync

    def no_directories(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}") or os.path.isdir(f"/dev/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", no_directories)
    save(store, KEY, make_token("new"))
    assert store.load(KEY) == make_token("new")

    def no_locks(descriptor, **keywords):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock, "lock_descriptor", no_locks)
    with pytest.raises(StoreError, match=r"ENOLCK.*Locks do not work on that file system.*local disk"):
        save(store, KEY, make_token("newer"))
    assert store.load(KEY) == make_token("new")


def test_a_full_disk_keeps_the_old_entry(tmp_path):
    """RLIMIT_FSIZE: the kernel refuses, as it does on a full disk, after some bytes or at the first."""
    text = """
    import resource
    save(key_of("a"), token_of(1))
    told = []
    for most in (0, 1, 100, 4000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        try:
            save(key_of("a"), token_of(2))
        except StoreError as error:
            told.append(str(error))
        told.append(store.load(key_of("a")).access_token)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told.append(sorted(path.suffix for path in FOLDER.iterdir()))
    save(key_of("a"), token_of(3))
    give([*told, store.load(key_of("a")).access_token])
    """
    *told, names, last = run(text, tmp_path / "tokens")
    assert told[1::2] == ["access-1"] * 4
    assert all("EFBIG" in text for text in told[::2])
    assert names == [".json", ".lock"]
    assert last == "access-3"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount; see the tests above")
def test_real_full_and_read_only_file_systems(tmp_path):
    text = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(kind, flags, options):
        if libc.mount(b"none", bytes(FOLDER.parent), kind, flags, options):
            raise OSError(ctypes.get_errno(), "mount")

    assert libc.unshare(0x00020000) == 0  # CLONE_NEWNS: nobody else sees these mounts
    if libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None):  # MS_REC | MS_PRIVATE
        raise OSError(ctypes.get_errno(), "private")
    mount(b"tmpfs", 0, b"size=64k")
    told, number = [], 0
    try:
        while True:
            number += 1
            save(key_of(f"n{number}"), token_of(number))
    except StoreError as error:
        told.append(str(error))
    told.append(all(is_whole(store.load(key)) for key in store.entries()))
    told.append(len(store.entries()) == number - 1)
    mount(None, 0x20 | 0x1, b"")  # MS_REMOUNT | MS_RDONLY
    try:
        save(key_of("n1"), token_of(99))
    except StoreError as error:
        told.append(str(error))
    give([*told, store.load(key_of("n1")).access_token])
    """
    (tmp_path / "mount").mkdir()
    full, whole, complete, read_only, kept = run(text, tmp_path / "mount" / "tokens")
    assert "ENOSPC" in full
    assert whole
    assert complete
    assert "EROFS" in read_only
    assert kept == "access-1"


# --- what a source makes of it ------------------------------------------------------------------------------------


def test_a_save_that_fails_loses_no_rotated_refresh_token(oauth_server, store, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, "video_oauth_auth")
    oauth_server.refresh_tokens = True
    source = source_of(oauth_server, None, store=store)
    old = aged(oauth_server, 301)
    save(store, source.key, old)
    with monkeypatch.context() as patch:
        Broken(patch, "replace", errno.ENOSPC)
        token = source.get_token()
        assert token != old
        settle()
        assert store.load(source.key) == old
    assert "ENOSPC" in caplog.text
    assert "Tokens serve this process only" in caplog.text
    source.set(token)
    stored = FileStore(store.path).load(source.key)
    assert stored == token
    assert refresh_token_works(oauth_server, stored)


def test_a_refresh_token_is_not_spent_where_the_place_is_refused(oauth_server, store):
    oauth_server.refresh_tokens = True
    source = source_of(oauth_server, None, store=store)
    save(store, source.key, aged(oauth_server, 301))
    store.path.chmod(0o755)
    with pytest.raises(StoreError, match="chmod 700"):
        source.get_token()
    assert not oauth_server.token_calls
    store.path.chmod(0o700)
    assert isinstance(source.get_token(), Token)


def test_a_grant_that_needs_no_person_goes_on_without_the_store(oauth_server, store, caplog):
    caplog.set_level(logging.WARNING, "video_oauth_auth")
    store.path.chmod(0o755)
    assert source_of(oauth_server, store=store).get_token()
    settle()
    assert "chmod 700" in caplog.text
