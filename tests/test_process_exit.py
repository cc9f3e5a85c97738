"""The end of a process at every moment of a renewal, and user code that wants to end it."""

import socket

import pytest

from video_oauth_auth.testing import Drop, Hold, unavailable

from . import program as programs
from .engine import refresh_token_works
from .program import given, is_live, saved

pytestmark = pytest.mark.timeout(60)
program = programs.program

AT_ONCE = 4.0  # seconds: less than a process would wait at its end for an answer that is on its way


LEAVES = """
    source = source_of(None, store=FolderStore())
    source.set(Token(**{token!r}))
    {start}
    told()
    say("leaving")
"""
BESIDE = "source.get_token()"
ON_A_THREAD = "threading.Thread(target=source.get_token, daemon=True).start()"


@pytest.mark.parametrize(("age", "start"), [(270, BESIDE), (301, ON_A_THREAD)], ids=["nobody waits", "a thread waits"])
def test_a_process_that_ends_during_an_exchange_waits_for_its_answer_and_saves_it(
    oauth_server, program, tmp_path, age, start
):
    oauth_server.token_faults.add(Hold(when="after"))  # the server has rotated, its answer is still to come
    running = program(LEAVES.format(token=given(oauth_server, age), start=start))
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    running.tell()
    assert running.said() == "leaving"
    oauth_server.release()
    assert running.end(within=10) == ""
    assert refresh_token_works(oauth_server, saved(tmp_path))


def test_a_process_that_ends_waits_no_longer_than_five_seconds(oauth_server, program):
    oauth_server.token_faults.add(Hold(when="after", timeout=50))
    running = program(LEAVES.format(token=given(oauth_server), start=ON_A_THREAD))
    oauth_server.wait_for(lambda: oauth_server.held == 1)
    running.tell()
    assert running.said() == "leaving"
    running.end(within=12)
    assert oauth_server.held == 1


def test_a_process_that_ends_after_an_exchange_does_not_wait(oauth_server, program, tmp_path):
    running = program(LEAVES.format(token=given(oauth_server), start="say(source.get_token().access_token)"))
    assert is_live(oauth_server, running.said())
    running.tell()
    assert running.said() == "leaving"
    assert running.end(within=AT_ONCE) == ""
    assert refresh_token_works(oauth_server, saved(tmp_path))


def test_a_process_that_ends_while_it_connects_does_not_wait(oauth_server, program):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"https://127.0.0.1:{silent.getsockname()[1]}/token"
        running = program(LEAVES.format(token=given(oauth_server), start=ON_A_THREAD), endpoint)
        connection, _ = silent.accept()
        running.tell()
        assert running.said() == "leaving"
        running.end(within=AT_ONCE)
        connection.close()


def test_a_process_that_ends_while_it_waits_for_the_store_does_not_wait(oauth_server, program):
    running = program(
        f"""
        class Hanging(FolderStore):
            def transaction(self, key, *, timeout):
                say("in the store")
                time.sleep(60)

        source = source_of(None, token=Token(**{given(oauth_server)!r}), store=Hanging())
        {ON_A_THREAD}
        told()
        say("leaving")
        """
    )
    assert running.said() == "in the store"
    running.tell()
    assert running.said() == "leaving"
    running.end(within=AT_ONCE)


def test_a_process_that_ends_between_two_tries_does_not_wait(oauth_server, program):
    """The server has answered: nothing is on its way."""
    oauth_server.token_faults.always(unavailable(retry_after=20))
    running = program(LEAVES.format(token=given(oauth_server), start=ON_A_THREAD))
    oauth_server.wait_for(lambda: any(call.status for call in oauth_server.token_calls))
    running.tell()
    assert running.said() == "leaving"
    running.end(within=AT_ONCE)


def test_a_process_that_ends_after_a_failure_does_not_wait(oauth_server, program):
    oauth_server.token_faults.always(Drop("before"))
    start = """
    try:
        source.get_token()
    except OAuthError as error:
        say(type(error).__name__)
    """
    running = program(LEAVES.format(token=given(oauth_server), start=start.strip()))
    assert running.said() == "TransportError"
    running.tell()
    assert running.said() == "leaving"
    running.end(within=AT_ONCE)


def test_a_token_can_still_be_had_while_the_interpreter_shuts_down(oauth_server, program):
    running = program(
        """
        import atexit

        source = source_of()
        atexit.register(lambda: say(source.get_token().access_token))
        """
    )
    assert is_live(oauth_server, running.said())
    assert running.end(within=10) == ""


# --- user code that wants to end the program ------------------------------------------------------------------------

EXITS = """
    works = False
    {defined}
    failures = 0
    for _ in range(40):
        try:
            source.get_token()
        except (OAuthError, SystemExit):
            failures += 1
    say(failures)
    works = True
    say(source.get_token().access_token)
"""
EXITING = {
    "secret callable": """
    def secret():
        return "test-client-secret" if works else sys.exit("no password given")

    source = source_of(secret=secret)
    """,
    "store": """
    class Exiting(FolderStore):
        def load(self, key):
            return super().load(key) if works else sys.exit("the disk is gone")

    source = source_of(store=Exiting())
    """,
}


@pytest.mark.parametrize("defined", EXITING.values(), ids=EXITING)
@pytest.mark.timeout(20)
def test_what_calls_sys_exit_in_a_renewal_fails_it_and_takes_no_worker_with_it(oauth_server, program, defined):
    """Each caller is told, and after 40 of them there is still one of the 32 workers left."""
    running = program(EXITS.format(defined=defined.strip()))
    assert running.said() == "40"
    assert is_live(oauth_server, running.said())
    running.end(within=10)
    assert len(oauth_server.token_calls) == 1
