"""FileStore between processes: killed while they save, forked while they hold locks, many at once."""

import json
import os
import signal
import threading
from textwrap import dedent

import pytest

from video_oauth_auth import AuthorizationServer, OAuthClient, Token, TokenSource
from video_oauth_auth.stores import FileStore
from video_oauth_auth.testing.store_contract import make_key, make_token

from . import program as programs
from .file_store_programs import ended, run, start
from .program import given

pytestmark = pytest.mark.timeout(120)
program = programs.program


def save(store, key, token):
    with store.transaction(key, timeout=30) as entry:
        entry.save(token)


# --- killed -------------------------------------------------------------------------------------------------------

KILLED = """
def kill_while_saving(number, doom):
    '''Fork a process that saves and is killed; tell whether it had saved, and what it left.'''
    key = key_of("a")
    child = os.fork()
    if not child:
        try:
            doom()
            while True:
                save(key, token_of(number))
        finally:
            os._exit(70)
    return child, key


def state(key):
    with store.transaction(key, timeout=0) as entry:  # no lock is left
        assert is_whole(entry.token)
    assert is_whole(store.load(key))
    assert sum(path.suffix == ".tmp" for path in FOLDER.iterdir()) <= 1
    assert [path.name for path in FOLDER.iterdir() if "corrupt" in path.name] == []
"""


def test_a_process_that_is_killed_at_any_moment_leaves_a_whole_entry_and_no_lock(tmp_path):
    """At 200 moments; the pause before each kill grows slowly over the time that some saves take."""
    text = """
    began_at = time.perf_counter()
    for _ in range(10):
        save(key_of("a"), token_of(0))
    took = time.perf_counter() - began_at
    longest = min(max(0.008, took / 2), 0.3)  # seconds: five saves, where a disk takes long
    saved = set()
    for number in range(1, 201):
        ready, told = os.pipe()
        child, key = kill_while_saving(number, lambda: os.write(told, b"."))
        os.close(told)
        os.read(ready, 1)
        os.close(ready)
        ends_at = time.perf_counter() + longest * number / 200
        while time.perf_counter() < ends_at:
            pass
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        state(key)
        saved.add(store.load(key).access_token)
    save(key, token_of(999))
    give([len(saved), sorted(path.suffix for path in FOLDER.iterdir())])
    """
    different, names = run(KILLED + dedent(text), tmp_path / "tokens", within=100)
    assert different > 5  # it was killed before the first save, and after it
    assert names == [".json", ".lock"]


def test_a_process_that_is_killed_at_each_step_leaves_the_old_or_the_new_entry(tmp_path):
    """Before and after every call that a save makes, one after the other."""
    text = """
    CALLS = ("open", "fstat", "listdir", "write", "fsync", "replace", "unlink", "close", "stat", "fchmod")


    def die_at(step):
        '''Let this process be killed at the given step: odd ones before a call, even ones after it.'''
        steps = 0

        def watch(real):
            def call(*args, **keywords):
                nonlocal steps
                steps += 1
                if steps == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = real(*args, **keywords)
                steps += 1
                if steps == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return call

        for name in CALLS:
            setattr(os, name, watch(getattr(os, name)))


    save(key_of("a"), token_of(0))
    seen, old, step = [], "access-0", 0
    while sum(seen) < 12:
        step = number = step + 1
        child, key = kill_while_saving(number, lambda: die_at(step))
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        state(key)
        new = store.load(key).access_token
        assert new in (old, f"access-{number}")
        seen.append(new != old)
        old = new
    save(key, token_of(999))
    give([seen, sorted(path.suffix for path in FOLDER.iterdir())])
    """
    seen, names = run(KILLED + dedent(text), tmp_path / "tokens", within=100)
    assert len(seen) >= 20
    assert seen == sorted(seen)  # up to one step always the old one, from there on the new one
    assert seen[0] is False
    assert seen[-1] is True
    assert names == [".json", ".lock"]


def test_the_lock_of_a_process_that_is_killed_goes_to_the_next_within_a_second(tmp_path):
    holder = start(
        """
        with store.transaction(key_of("a"), timeout=30):
            give("holds")
            time.sleep(600)
        """,
        tmp_path / "tokens",
    )
    try:
        assert json.loads(holder.stdout.readline()) == "holds"
        waiting = start(
            """
            try:
                save(key_of("a"), token_of(1), timeout=0)
            except TimeoutError:
                give("is taken")
            killed_at = sys.stdin.readline()
            save(key_of("a"), token_of(1), timeout=1)
            give("taken over")
            """,
            tmp_path / "tokens",
        )
        assert json.loads(waiting.stdout.readline()) == "is taken"
    finally:
        holder.kill()
        holder.communicate()
    waiting.stdin.write("killed\n")
    waiting.stdin.flush()
    assert ended(waiting) == "taken over"


def test_an_interrupt_at_any_moment_frees_the_lock_and_leaves_a_whole_entry(tmp_path):
    """A storm of Ctrl-C in the thread that saves."""
    text = """
    save(key_of("a"), token_of(0))
    main, done, armed = threading.get_ident(), threading.Event(), False


    def interrupt(*_):
        global armed
        if armed:
            armed = False
            raise KeyboardInterrupt


    def storm():
        while not done.wait(0.0007):
            signal.pthread_kill(main, signal.SIGINT)


    signal.signal(signal.SIGINT, interrupt)
    threading.Thread(target=storm).start()
    number = interrupts = 0
    while interrupts < 300:
        try:
            number += 1
            armed = True
            save(key_of("a"), token_of(number), timeout=1)
            armed = False
        except KeyboardInterrupt:
            interrupts += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done.set()
    with store.transaction(key_of("a"), timeout=0) as entry:
        assert is_whole(entry.token)
        entry.save(token_of(number))
    give(sorted(path.suffix for path in FOLDER.iterdir()))
    """
    assert run(text, tmp_path / "tokens") == [".json", ".lock"]


# --- forked -------------------------------------------------------------------------------------------------------


def test_a_child_does_not_hold_the_lock_that_another_thread_of_its_parent_held(tmp_path):
    """The parent frees it, or is killed: in both cases the child, which has inherited it, stands in nobody's way."""
    text = """
    held, go_on = threading.Event(), threading.Event()


    def hold():
        with store.transaction(key_of("a"), timeout=30):
            held.set()
            go_on.wait(30)


    threading.Thread(target=hold, daemon=True).start()
    held.wait(30)
    child = os.fork()
    if not child:
        try:
            save(key_of("a"), token_of(1), timeout=0)
        except TimeoutError:
            give("the parent holds it")
        sys.stdin.readline()  # the parent is dead now
        save(key_of("a"), token_of(1), timeout=1)
        give(store.load(key_of("a")).access_token)
        os._exit(0)
    os.waitpid(child, 0)
    """
    parent = start(text, tmp_path / "tokens")
    try:
        assert json.loads(parent.stdout.readline()) == "the parent holds it"
        parent.kill()
        parent.wait()
        with FileStore(tmp_path / "tokens").transaction(make_key(), timeout=0):
            pass
        run("save(key_of('a'), token_of(0), timeout=1)", tmp_path / "tokens")  # the child lives, and holds nothing
        parent.stdin.write("dead\n")
        parent.stdin.flush()
        assert json.loads(parent.stdout.readline()) == "access-1"
    finally:
        parent.kill()
        parent.communicate()


def test_a_child_of_the_holder_neither_frees_its_lock_nor_changes_its_entry(tmp_path):
    """The block is left in both processes."""
    text = """
    with store.transaction(key_of("a"), timeout=30) as entry:
        entry.save(token_of(1))
        child = os.fork()
        if not child:
            for change in (lambda: entry.save(token_of(2)), entry.delete):
                try:
                    change()
                except StoreError as error:
                    assert "forked" in str(error)
                else:
                    os._exit(1)
            opened = [os.open(FOLDER, os.O_RDONLY) for _ in range(20)]  # among them the number that the lock had
    if not child:
        for number in opened:
            os.fstat(number)
        try:
            save(key_of("a"), token_of(2), timeout=0)
        except TimeoutError:
            os._exit(3)
        os._exit(0 if store.load(key_of("a")).access_token == "access-2" else 2)
    _, status = os.waitpid(child, 0)
    give([os.waitstatus_to_exitcode(status), store.load(key_of("a")).access_token])
    """
    # Whether the parent has left its block by then is left open: the child gets the lock, or is told that it is taken.
    code, stored = run(text, tmp_path / "tokens")
    assert (code, stored) in ((0, "access-2"), (3, "access-1"))


def test_children_that_are_forked_in_the_middle_of_everything_hold_no_lock(tmp_path):
    """Threads take and free locks without a pause; whatever a child has inherited, it is closed."""
    text = """
    def descriptors():
        found = []
        for number in os.listdir("/dev/fd"):
            try:
                found.append(os.readlink(f"/dev/fd/{number}"))
            except OSError:
                pass
        return [name for name in found if name.endswith(".lock")]


    with store.transaction(key_of("a"), timeout=0):
        assert len(descriptors()) == 1  # else this test could not fail
    done = threading.Event()


    def work(name):
        number = 0
        while not done.is_set():
            number += 1
            save(key_of(name), token_of(number))


    threads = [threading.Thread(target=work, args=(f"k{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(100):
        child = os.fork()
        if not child:
            os._exit(1 if descriptors() else 0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    done.set()
    for thread in threads:
        thread.join()
    assert descriptors() == []
    give(codes)
    """
    assert run(text, tmp_path / "tokens") == [0] * 100


def test_no_child_is_forked_between_the_list_of_lock_files_and_the_end_of_one(tmp_path):
    """A child that is forked then would keep a lock file open that nobody tells it of."""
    text = """
    from video_oauth_auth.stores import lock_file

    codes = []


    def fork():
        child = os.fork()
        if not child:
            names = [os.readlink(f"/dev/fd/{number}") for number in os.listdir("/dev/fd") if number in open_before]
            os._exit(len([name for name in names if name.endswith(".lock")]))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


    class ForksBeforeClosing:
        def __getattr__(self, name):
            return getattr(os, name)

        def close(self, descriptor):
            if str(descriptor) in open_before:
                forking.start()
                forking.join(0.3)  # as long as the lock file is open, it waits
            os.close(descriptor)


    with store.transaction(key_of("a"), timeout=0):
        forking = threading.Thread(target=fork)
        open_before = [number for number in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{number}")
                       and os.readlink(f"/dev/fd/{number}").endswith(".lock")]
        assert len(open_before) == 1
        lock_file.os = ForksBeforeClosing()
    forking.join()
    give(codes)
    """
    assert run(text, tmp_path / "tokens") == [0]


def test_a_program_that_is_started_inside_a_transaction_does_not_inherit_the_lock(tmp_path):
    """It lives on when its parent is killed."""
    text = """
    import subprocess
    with store.transaction(key_of("a"), timeout=0):
        child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give(child.pid)
        time.sleep(600)
    """
    parent = start(text, tmp_path / "tokens")
    child = json.loads(parent.stdout.readline())
    try:
        parent.kill()
        parent.communicate()
        assert run("save(key_of('a'), token_of(1), timeout=1)\ngive(True)", tmp_path / "tokens")
        os.kill(child, 0)  # it lives
    finally:
        os.kill(child, signal.SIGKILL)


# --- many at once -------------------------------------------------------------------------------------------------


def test_two_processes_that_save_different_entries_lose_nothing(tmp_path):
    text = """
    mine = [key_of(f"{sys.argv[2]}{number}") for number in range(5)]
    for number in range(100):
        for key in mine:
            save(key, token_of(number))
            assert store.load(key) == token_of(number)
    give(len(store.entries()))
    """
    processes = [start(text, tmp_path / "tokens", name) for name in ("a", "b")]
    assert [ended(process) >= 5 for process in processes] == [True, True]
    store = FileStore(tmp_path / "tokens")
    assert len(store.entries()) == 10
    assert {store.load(key).access_token for key in store.entries()} == {"access-99"}
    assert {path.suffix for path in store.path.iterdir()} == {".json", ".lock"}


def test_processes_that_change_one_entry_lose_no_change(tmp_path):
    text = """
    for _ in range(100):
        with store.transaction(key_of("a"), timeout=60) as entry:
            number = 0 if entry.token is None else int(entry.token.access_token[7:])
            entry.save(token_of(number + 1))
    give(True)
    """
    processes = [start(text, tmp_path / "tokens") for _ in range(4)]
    assert all(ended(process) for process in processes)
    store = FileStore(tmp_path / "tokens")
    (key,) = store.entries()
    assert store.load(key).access_token == "access-400"


def test_entries_can_be_listed_and_read_while_others_write_and_delete(tmp_path):
    store, done = FileStore(tmp_path / "tokens"), threading.Event()
    fixed, changing = make_key("fixed"), [make_key(str(number)) for number in range(5)]
    save(store, fixed, make_token())

    def work(key):
        while not done.is_set():
            with store.transaction(key, timeout=30) as entry:
                entry.save(make_token(key.id))
                entry.delete()

    threads = [threading.Thread(target=work, args=(key,)) for key in changing]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            listed = store.entries()
            assert fixed in listed
            assert set(listed) <= {fixed, *changing}
            for key in changing:
                assert store.load(key) in (None, make_token(key.id))
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_processes_with_threads_spend_a_rotating_refresh_token_once(oauth_server, tmp_path, program):
    """Four programs with five threads each meet an expired token in one store, three times."""
    store = FileStore(tmp_path / "tokens")
    client = OAuthClient(oauth_server.client_id, oauth_server.client_secret)
    key = TokenSource(AuthorizationServer(token_endpoint=oauth_server.token_endpoint), client, None).key
    save(store, key, Token(**given(oauth_server)))
    running = [
        program(
            """
            from concurrent.futures import ThreadPoolExecutor
            from video_oauth_auth.stores import FileStore

            source = source_of(None, store=FileStore(FOLDER / "tokens"))
            old = None
            for _ in range(3):
                told()
                with ThreadPoolExecutor(5) as pool:
                    asked = [pool.submit(source.get_token, rejected=old) for _ in range(5)]
                (old,) = {one.result() for one in asked}
                say(old.access_token)
            """
        )
        for _ in range(4)
    ]
    for turn in range(1, 4):
        for one in running:
            one.tell()
        all_the_same = {one.said() for one in running} == {store.load(key).access_token}
        assert all_the_same
        assert len(oauth_server.token_calls) == turn
    assert oauth_server.reuse_detected == 0
    for one in running:
        assert one.end(within=20) == ""
