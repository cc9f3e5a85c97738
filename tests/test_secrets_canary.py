"""The canary of the test run can fail: whatever way a secret takes out of a program, the run notices."""

import re
from pathlib import Path

import pytest

from tests import secrets_canary
from tests.secrets_canary import Secrets

# A way out for a secret; each becomes the body of a test.
LEAKS = {
    "stdout": "print(secret)",
    "stderr": "print(secret, file=sys.stderr)",
    "the output of a child": "subprocess.run([sys.executable, '-c', f'print({secret!r})'])",
    "a debug record": "logging.getLogger('urllib3.connectionpool').debug('sent %s', secret)",
    "an exception in a record": """
try:
    raise ValueError(secret)
except ValueError:
    logging.getLogger('x').exception('hm')
""",
    "a record of a thread": """
thread = threading.Thread(target=logging.warning, args=(secret,))
thread.start()
thread.join()
""",
    "a warning": "warnings.warn(secret)",
    "an expected exception": """
with pytest.raises(ValueError):
    raise ValueError(f'no {secret}')
""",
    "the cause of an expected exception": """
with pytest.raises(KeyError):
    try:
        raise ValueError(secret)
    except ValueError as error:
        raise KeyError('x') from error
""",
    "an attribute of an expected exception": """
error = ValueError('x')
error.body = {'said': [secret]}
with pytest.raises(ValueError):
    raise error
""",
    "an exception in a group": """
with pytest.raises(ExceptionGroup):
    raise ExceptionGroup('several', [ValueError('x'), ValueError(secret)])
""",
    "the form encoding": "print(quote_plus('an invented+secret/é'))",
    "repr": "print([server.client_secret])",
    "most of it": "print(secret[:-3])",
    "a refresh token": "print(server.issue_token()['refresh_token'])",
    "the client secret": "print(server.client_secret)",
    "a replaced client secret": """
old = server.client_secret
server.change_secret("another-invented-secret")
print(old)
""",
    "a password": "print(server.users['ann'])",
    "a token of a platform's server": """
with OAuthServer.brightcove() as brightcove:
    print(brightcove.issue_token()['access_token'])
""",
}
INNOCENT = {
    "names and lengths": "print(server.client_id, len(secret), secret[:8], list(server.users))",
    "an expected exception without a secret": """
with pytest.raises(ValueError):
    raise ValueError('x')
""",
    "reprs": "print(server, server.requests, server.authorization_server)",
    "a secret in a local of a test": """
with pytest.raises(ZeroDivisionError):
    len(secret) / 0
""",
}
HEAD = """
import logging, subprocess, sys, threading, warnings
from urllib.parse import quote_plus
import pytest
from video_oauth_auth.testing import OAuthServer


@pytest.fixture
def server():
    settings = {"client_secret": "an invented+secret/é", "users": {"ann": "an-invented-password"}}
    with OAuthServer(refresh_tokens=True, **settings) as server:
        yield server
"""


def name_of(how: str) -> str:
    return f"test_{re.sub(r'[^a-z]', '_', how)}"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project that has the canary."""
    pytester.makepyfile(secrets_canary=Path(secrets_canary.__file__).read_text(encoding="utf-8"))
    pytester.makeconftest('pytest_plugins = ["secrets_canary"]')
    pytester.makeini("[pytest]\n")
    return pytester


def run(project: pytest.Pytester, bodies: dict[str, str], marker: str = "") -> pytest.RunResult:
    """Run tests with these bodies in the project."""
    tests = [HEAD]
    for how, body in bodies.items():
        lines = ["secret = server.issue_token()['access_token']", *body.strip().splitlines()]
        tests.append("\n    ".join([f"{marker}\ndef {name_of(how)}(server):", *lines]))
    project.makepyfile("\n\n".join(tests))
    return project.runpytest_subprocess("-q")


def test_a_secret_that_comes_out_in_whatever_way_fails_the_run(project):
    result = run(project, LEAKS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=len(LEAKS), warnings=1)
    said = result.stdout.str().partition("secrets came out")[2]
    assert set(re.findall(r"::(test_\w+): ", said)) == {name_of(how) for how in LEAKS}
    assert "an invented+secret" not in said


def test_a_run_without_a_leak_passes(project):
    result = run(project, INNOCENT)
    assert "secrets came out" not in result.stdout.str()
    assert result.ret == pytest.ExitCode.OK


def test_a_test_may_be_marked_as_showing_secrets_on_purpose(project):
    leak = {"stdout": LEAKS["stdout"]}
    assert run(project, leak, marker="@pytest.mark.shows_secrets").ret == pytest.ExitCode.OK


def test_a_test_that_asks_for_log_records_is_not_disturbed(project):
    project.makepyfile(
        """
import logging


def test_it(caplog):
    logging.getLogger("urllib3").debug("below")
    logging.getLogger("mine").warning("above")
    assert [record.getMessage() for record in caplog.records] == ["above"]
    with caplog.at_level(logging.DEBUG, logger="mine"):
        logging.getLogger("mine").debug("asked for")
    assert caplog.records[-1].getMessage() == "asked for"
"""
    )
    project.runpytest_subprocess("-q").assert_outcomes(passed=1)


def test_the_search_finds_one_of_many_secrets():
    many = Secrets()
    many.learn(f"access-{number}-{'y' * 24}" for number in range(20_000))
    one = "access-7-" + "y" * 24
    assert list(many.found_in("an innocent line that says nothing\n" * 1000)) == []
    assert list(many.found_in("an innocent line that says nothing\n" * 1000 + one)) == [one]
