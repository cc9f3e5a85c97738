"""A pytest plugin that watches the whole run: no secret of any bundled server may come out anywhere.

It looks at what tests printed, at log records of every library down to DEBUG, at warnings, and at each exception that
a test failed with or expected: text, traceback, attributes, causes. Whatever it finds is listed at the end, and the
run fails. A test that shows a secret on purpose is marked with `shows_secrets`.
"""

from __future__ import annotations

import json
import logging
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from _pytest.raises import RaisesExc

from video_oauth_auth.testing import LoopbackServer

MARKER = "shows_secrets"
SHORTEST = 12  # characters; a shorter secret would be found in innocent text
TESTS = Path(__file__).parent


class Secrets:
    """The secrets of all servers of the run; finds them in a text in time that does not depend on their number."""

    def __init__(self) -> None:
        self._by_start: dict[str, set[str]] = {}

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these texts from now on, and the ways in which they are written into URLs, JSON and `repr`."""
        for secret in secrets:
            for written in {secret, quote_plus(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]}:
                if len(written) >= SHORTEST:
                    self._by_start.setdefault(written[:SHORTEST], set()).add(written)

    def found_in(self, text: str) -> Iterator[str]:
        """Give each secret that the text holds, as it was written, also where its last quarter was cut off."""
        for position in range(len(text) - SHORTEST + 1):
            for secret in self._by_start.get(text[position : position + SHORTEST], ()):
                if text.startswith(secret[: max(SHORTEST, len(secret) * 3 // 4)], position):
                    yield secret


class Canary:
    """Collects text during a test, and looks for secrets in it when the test is over.

    Attributes:
        findings: what was found, one line each; no secret in full.
    """

    def __init__(self) -> None:
        self.secrets = Secrets()
        self.findings: list[str] = []
        self._texts: list[tuple[str, str]] = []
        self._servers: list[LoopbackServer] = []
        self._lock = threading.Lock()  # servers and log records come from any thread

    def watch(self, server: LoopbackServer) -> None:
        """Remember a server, for the secrets that it will have."""
        with self._lock:
            self._servers.append(server)

    def hear(self, where: str, text: str) -> None:
        """Keep a text until the end of the test."""
        with self._lock:
            self._texts.append((where, text))

    def hear_exception(self, error: BaseException) -> None:
        """Keep everything that an exception shows: text, traceback, attributes, and those of what caused it."""
        for one in chain_of(error):
            name = f"an exception ({type(one).__name__})"
            attributes = {key: value for key, value in vars(one).items() if not isinstance(value, BaseException)}
            self.hear(name, f"{one}\n{one!r}\n{one.args!r}\n{attributes!r}\n{library_frames(one)}")

    def judge(self, test: str, *, forgiven: bool) -> None:
        """Look for secrets in what was heard since the last time."""
        with self._lock:
            texts, self._texts = self._texts, []
            servers, self._servers = self._servers, []
        for server in servers:
            # A client id and the names of users are no secrets, even where a test uses one text for both.
            self.secrets.learn(server.secrets() - {server.client_id, *server.users})
        if forgiven:
            return
        for where, text in dict.fromkeys(texts):
            for secret in dict.fromkeys(self.secrets.found_in(text)):
                self.findings.append(f"{test}: {where} shows {secret[:4]}... ({len(secret)} characters of a secret)")


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and everything that hangs on it: causes, contexts, groups, arguments, attributes."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, *one.args, *vars(one).values(), *getattr(one, "exceptions", ())]


def library_frames(error: BaseException) -> str:
    """Give the traceback without the lines of tests: these may name a secret that they invented themselves."""
    frames = traceback.extract_tb(error.__traceback__)
    return "".join(frames.format_frame_summary(one) for one in frames if not Path(one.filename).is_relative_to(TESTS))


class Ear(logging.Handler):
    """Hears every log record."""

    def __init__(self, canary: Canary) -> None:
        super().__init__(logging.DEBUG)
        self._canary = canary

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text, and its exception."""
        try:
            text = record.getMessage()
        except Exception as error:  # the arguments do not fit: the test will hear of it from its own handlers
            text = f"{record.msg} {record.args!r} {error!r}"
        self._canary.hear(f"the log {record.name} at {record.levelname}", text)
        if record.exc_info and record.exc_info[1]:
            self._canary.hear_exception(record.exc_info[1])


class CanaryPlugin:
    """Connects a canary with a run of pytest."""

    def __init__(self) -> None:
        self.canary = Canary()
        self._undo: list[Callable[[], object]] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Hear servers, log records and expected exceptions from now on."""
        canary = self.canary
        make, leave = LoopbackServer.__post_init__, RaisesExc.__exit__

        def watched_make(server: LoopbackServer) -> None:
            make(server)
            canary.watch(server)

        def watched_leave(raises: Any, kind: Any, error: Any, trace: Any) -> bool:
            if error is not None:
                canary.hear_exception(error)
            return leave(raises, kind, error, trace)

        patch = pytest.MonkeyPatch()
        patch.setattr(LoopbackServer, "__post_init__", watched_make)
        patch.setattr(RaisesExc, "__exit__", watched_leave)
        ear, root = Ear(canary), logging.getLogger()
        root.addHandler(ear)
        self._undo += [patch.undo, lambda: root.removeHandler(ear)]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Judge each test when its fixtures are gone and its warnings are told."""
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.DEBUG)
        try:
            return (yield)
        finally:
            root.setLevel(level)
            self.canary.judge(item.nodeid, forgiven=item.get_closest_marker(MARKER) is not None)

    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Hear what a test failed with."""
        if call.excinfo is not None:
            self.canary.hear_exception(call.excinfo.value)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear what was printed."""
        for name, text in report.sections:
            self.canary.hear(name.lower(), text)

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Hear a warning."""
        self.canary.hear("a warning", f"{warning_message.message}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run if anything was found."""
        while self._undo:
            self._undo.pop()()
        self.canary.judge("after the last test", forgiven=False)
        if self.canary.findings and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List what was found."""
        if self.canary.findings:
            terminalreporter.section("secrets came out", red=True, bold=True)
            for line in self.canary.findings:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the watcher."""
    config.addinivalue_line("markers", f"{MARKER}: this test shows secrets on purpose")
    # Records below WARNING exist only for the canary; caplog gets them where a test asks for them.
    if config.getini("log_level") is None and config.getoption("log_level") is None:
        config.option.log_level = "WARNING"
    config.pluginmanager.register(CanaryPlugin(), "secrets-canary")
