"""The board: it watches what the programs get and what happens to the token, shows it, and keeps the records.

It sees answers through what requests and httpx offer to everybody, their response hooks, and the token through
`on_event=`. The programs do not know about it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from video_oauth_auth.events import Event, LoginNeeded, RenewalFailed, TokenRenewed

from .words import about_failure, about_renewal, steps_of, sum_of

WIDTH = 48  # characters that are left in a line of 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that came back from a server."""

    method: str
    status: int


@dataclass(slots=True, kw_only=True)
class Record:
    """What one program did for one thing, mostly a film."""

    client: str
    subject: str
    answers: list[Answer] = field(default_factory=list)
    problem: str = ""


class Board:
    """Shows one line for each film and for each event of the token, as they happen."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.records: list[Record] = []
        self.renewals: list[TokenRenewed] = []
        self._current: ContextVar[Record | None] = ContextVar("record", default=None)
        self._lock = threading.Lock()  # guards the two lists, and keeps the lines in the order of the lists
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._started

    @contextmanager
    def record(self, client: str, subject: str) -> Iterator[None]:
        """Keep a record of what a program does in this block; an error ends the block, not the demo."""
        record = Record(client=client, subject=subject)
        token = self._current.set(record)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the figures count it as a failure
            record.problem = f"{type(error).__name__}: {error}"
        finally:
            self._current.reset(token)
        with self._lock:
            self.records.append(record)
            told = steps_of if len(steps_of(record.answers, "")) <= WIDTH else sum_of
            self._show(f"{client:<13} ", Text(f"{subject:<8} "), told(record.answers, record.problem))

    def note(self, response: Any, *_: Any, **__: Any) -> None:
        """Take note of an answer: a response hook for requests, httpx and httpx2."""
        record = self._current.get()
        if record is not None:
            # A hook of requests sees the answer to the replay, with the 401 in its history; one of httpx sees both.
            for answer in (*response.history, response):
                record.answers.append(Answer(method=answer.request.method, status=answer.status_code))

    async def note_async(self, response: Any) -> None:
        """Do the same for asynchronous clients."""
        self.note(response)

    def on_event(self, event: Event) -> None:
        """Show what happened to the token."""
        with self._lock:
            if isinstance(event, TokenRenewed):
                self.renewals.append(event)
                self._show(f"token {len(self.renewals):<7} ", Text(about_renewal(event)), style="cyan")
            elif isinstance(event, LoginNeeded):
                self._show(f"{'token':<13} ", Text("there is none: somebody has to sign in"), style="cyan")
            elif isinstance(event, RenewalFailed) and event.error != "LoginRequired":
                self._show("token ", Text(about_failure(event)), style="red")

    def tell(self, text: str, *, who: str = "server") -> None:
        """Show what the server does to the token, or what a person does."""
        with self._lock:
            self._show(f"{who:<13} ", Text(text), style="magenta")

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.console.print()
        self.console.rule(Text(text, style="bold"), align="left")

    def _show(self, who: str, *parts: Text, style: str = "") -> None:
        line = Text.assemble((f"{self.seconds:5.1f} s  ", "dim"), who, *parts)
        line.stylize(style, 9)
        self.console.print(line, soft_wrap=True)
