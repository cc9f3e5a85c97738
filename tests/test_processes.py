"""Children that are forked or spawned at every moment of a renewal."""

import multiprocessing
import sys

import pytest

from video_oauth_auth.testing import Hold

from . import program as programs
from .program import given, is_live

pytestmark = pytest.mark.timeout(60)
program = programs.program

FORK = """
    source = source_of()
    waiting = threading.Thread(target=lambda: say("parent", source.get_token().access_token))
    waiting.start()
    told()
    child = os.fork()
    if not child:
        say("child", source.get_token().access_token)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say("status", status)
    waiting.join()
"""


def test_a_child_that_is_forked_during_a_renewal_gets_a_token_of_its_own(oauth_server, program):
    oauth_server.token_faults.add(Hold())
    running = program(FORK)
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    running.tell()
    who, childs_token = running.said().split()
    assert who == "child"
    assert running.said() == "status 0"
    oauth_server.release()
    who, parents_token = running.said().split()
    assert who == "parent"
    running.end(within=10)
    assert is_live(oauth_server, childs_token)
    assert is_live(oauth_server, parents_token)
    assert len(oauth_server.token_calls) == 2


@pytest.mark.parametrize("before", ["", "source_of().get_token()"], ids=["first use", "used before"])
def test_a_child_that_is_forked_while_many_threads_wait_works(oauth_server, program, before):
    """Whatever lock the parent's threads held at that moment, nobody will ever open it in the child."""
    url = f"{oauth_server.api_url}/me"
    running = program(
        f"""
        {before}
        sources = [source_of(user=str(number), token_timeout=10) for number in range(20)]
        waiting = [threading.Thread(target=source.get_token) for source in sources for _ in range(3)]
        for thread in waiting:
            thread.start()
        children = []
        for _ in range(10):
            child = os.fork()
            if not child:
                auth = OAuth2Auth(sources[0], origins=[{oauth_server.api_url!r}])
                import httpx, requests
                for source in sources:
                    source.get_token()
                assert requests.get({url!r}, auth=auth, timeout=20).ok
                assert httpx.get({url!r}, auth=auth, timeout=20).is_success
                os._exit(0)
            children.append(child)
        say(*[os.waitpid(child, 0)[1] for child in children])
        for thread in waiting:
            thread.join()
        """
    )
    assert running.said().split() == ["0"] * 10
    running.end(within=20)


def test_a_child_that_is_forked_between_renewals_works(oauth_server, program):
    running = program(
        """
        source = source_of()
        old = source.get_token()
        child = os.fork()
        new = source.get_token(rejected=old)
        say(new.access_token)
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """
    )
    tokens = {running.said(), running.said()}
    running.end(within=10)
    assert len(tokens) == 2
    assert all(is_live(oauth_server, token) for token in tokens)


ending = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which threads it has not ended yet")


@ending
def test_a_fork_waits_until_the_thread_of_a_renewal_has_gone(oauth_server, program):
    """OpenSSL cleans up behind it, with a lock closed that nobody would open in the child."""
    running = program(
        """
        threads = []

        def secret():
            threads.append(threading.get_native_id())
            return "test-client-secret"

        for number in range(20):
            source_of(secret=secret).get_token()
            child = os.fork()
            if not child:
                os._exit(0)
            say(os.path.exists(f"/proc/self/task/{threads.pop()}"))
            os.waitpid(child, 0)
        """
    )
    assert [running.said() for _ in range(20)] == ["False"] * 20
    running.end(within=10)


@ending
@pytest.mark.parametrize(("seconds", "alive"), [(0.2, "False"), (30, "True")], ids=["it ends", "it does not end"])
def test_a_fork_waits_for_a_thread_that_is_ending_but_not_for_ever(seconds, alive, program):
    running = program(
        f"""
        from video_oauth_auth import forks
        begun = threading.Event()

        def end():
            forks.ending()
            begun.set()
            time.sleep({seconds})

        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        begun.wait()
        child = os.fork()
        if not child:
            os._exit(0)
        say(thread.is_alive())
        os.waitpid(child, 0)
        """
    )
    assert running.said() == alive
    running.end(within=10)


SPENDING = """
    source = source_of(None, token=Token(**{token!r}){store})
    if not os.fork():
        say(source.get_token().access_token)
        source.get_token()
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_a_child_that_spends_an_inherited_refresh_token_in_memory_says_so_once(oauth_server, program):
    token = given(oauth_server)
    running = program(SPENDING.format(token=token, store=""))
    assert is_live(oauth_server, running.said())
    errors = running.end(within=10)
    assert errors.count("FileStore") == 1
    assert token["refresh_token"] not in errors


def test_a_child_that_shares_a_store_with_its_parent_says_nothing(oauth_server, program):
    running = program(SPENDING.format(token=given(oauth_server), store=", store=FolderStore()"))
    assert is_live(oauth_server, running.said())
    assert running.end(within=10) == ""


def test_a_child_without_refresh_token_says_nothing(oauth_server, program):
    running = program(
        """
        source = source_of()
        old = source.get_token()
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: a fork while the renewal's thread ends
        if not os.fork():
            source.get_token(rejected=old)
            os._exit(0)
        assert os.wait()[1] == 0
        """
    )
    assert running.end(within=10) == ""
    assert len(oauth_server.token_calls) == 2


def test_children_of_every_kind_work_during_a_renewal(oauth_server, program):
    oauth_server.token_faults.add(Hold())
    running = program(
        """
        import multiprocessing, subprocess


        def work(name):
            say(name, source_of().get_token().access_token)


        def main():
            source = source_of()
            waiting = threading.Thread(target=source.get_token)
            waiting.start()
            told()
            subprocess.run([sys.executable, "-c", "print('subprocess works')"], check=True)
            for kind in ("spawn", "fork"):
                child = multiprocessing.get_context(kind).Process(target=work, args=(kind,))
                child.start()
                child.join(30)
                assert child.exitcode == 0
            auth = OAuth2Auth(source, origins=["https://api.example.com"])
            try:
                multiprocessing.get_context("spawn").Process(target=work, args=(auth,)).start()
            except TypeError as error:
                say(error)
            waiting.join()


        if __name__ == "__main__":
            main()
        """
    )
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    running.tell()
    assert running.said() == "subprocess works"
    for kind in ("spawn", "fork"):
        name, token = running.said().split()
        assert name == kind
        assert is_live(oauth_server, token)
    assert "worker" in running.said()
    oauth_server.release()
    running.end(within=20)
    assert "fork" in multiprocessing.get_all_start_methods()


def test_a_fork_waits_for_an_import_before_it_takes_the_lock_of_logging(program):
    """Each would wait for the other: modules ask for a logger while they are imported."""
    running = program(
        """
        import logging
        from video_oauth_auth import forks

        importing = threading.Event()

        def imports():
            with forks.held_off:
                importing.set()
                time.sleep(0.2)
                logging.getLogger("of a module")

        threading.Thread(target=imports).start()
        importing.wait()
        child = os.fork()
        if not child:
            os._exit(0)
        say(os.waitpid(child, 0)[1])
        """
    )
    assert running.said() == "0"
    running.end(within=10)
