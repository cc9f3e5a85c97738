"""How a server misbehaves: small frozen values, and the plan that says which request meets which of them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .answers import Answer
from .recording import RecordedRequest

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait, then go on.

    Args:
        seconds: How long.
        when: Before the request is processed, or after (a token has been issued, the answer comes late).
    """

    seconds: float
    when: When = field(default="before", kw_only=True)


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold requests until enough of them are in, or until `release()`.

    Args:
        until: Go on once this many requests have met this fault; None: only `release()` lets them go.
        when: Before the request is processed, or after.
        timeout: Seconds after which a request goes on in any case.
    """

    until: int | None = None
    when: When = field(default="before", kw_only=True)
    timeout: float = field(default=30.0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Drop:
    """End the connection without a whole answer.

    Args:
        when: Before the request is processed; after (the token was issued, the answer is lost); or midway
            through the body of the answer.
        how: `reset` (TCP RST) or `close` (an orderly end).
    """

    when: Literal["before", "after", "midway"]
    how: Literal["reset", "close"] = field(default="reset", kw_only=True)


@dataclass(frozen=True, slots=True)
class Drip:
    """Send one part of the answer a byte at a time.

    Args:
        part: Which part.
        interval: Seconds between two bytes.
        total: Seconds after which the rest is sent at once.
    """

    part: Literal["status", "headers", "body"]
    interval: float = field(default=0.05, kw_only=True)
    total: float = field(default=30.0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Mutate:
    """Change the members of an answer that is a JSON object, after it was made.

    Args:
        change: Gets the members in a dict of its own; returns the members to send, or a whole `Answer`.
    """

    change: Callable[[dict[str, Any]], Mapping[str, Any] | Answer] = field(repr=False)


Fault = Answer | Delay | Hold | Drop | Drip | Mutate


def without(*names: str) -> Mutate:
    """Leave these members out of the answer."""
    return Mutate(lambda members: {key: value for key, value in members.items() if key not in names})


def with_members(**members: Any) -> Mutate:
    """Add these members to the answer, or give them other values."""
    return Mutate(lambda original: {**original, **members})


class Rule:
    """Some faults, and which requests meet them together."""

    def __init__(
        self,
        faults: tuple[Fault, ...],
        *,
        times: int | None,
        path: str | None,
        when: Callable[[RecordedRequest], bool] | None,
    ) -> None:
        self.faults = faults
        self.times = times
        self.met = 0
        self.gate: threading.Event = threading.Event()
        self._path = path
        self._when = when

    def applies(self, request: RecordedRequest) -> bool:
        """Whether this request meets these faults."""
        if self.times is not None and self.met >= self.times:
            return False
        if self._path is not None and self._path != request.path:
            return False
        return self._when is None or self._when(request)


NO_FAULTS = Rule((), times=0, path=None, when=None)


class FaultPlan:
    """Which requests meet which faults: `add` for the next ones, `always` for all, `clear` to behave again.

    Faults given together meet the same request. Those of `add` come first, in the order they were added;
    `always` holds for requests that no `add` takes.
    """

    def __init__(self, *, notify: Callable[[], None], stopping: threading.Event) -> None:
        self._lock = threading.Lock()  # guards the rules, their counts and _held
        self._next: list[Rule] = []
        self._always: list[Rule] = []
        self._held = 0
        self._notify = notify
        self._stopping = stopping

    def add(
        self,
        *faults: Fault,
        times: int | None = None,
        path: str | None = None,
        when: Callable[[RecordedRequest], bool] | None = None,
    ) -> None:
        """Let the next requests meet these faults, all of them together.

        Args:
            *faults: What happens.
            times: How many requests; by default 1, or as many as a `Hold` waits for.
            path: Only requests to exactly this path.
            when: Only requests for which this is true.
        """
        waits_for = max((fault.until or 1 for fault in faults if isinstance(fault, Hold)), default=1)
        with self._lock:
            self._next.append(Rule(faults, times=waits_for if times is None else times, path=path, when=when))

    def always(
        self,
        *faults: Fault,
        path: str | None = None,
        when: Callable[[RecordedRequest], bool] | None = None,
    ) -> None:
        """Let all requests meet these faults until `clear()`. Arguments as for `add`."""
        with self._lock:
            self._always.append(Rule(faults, times=None, path=path, when=when))

    def clear(self) -> None:
        """Forget all faults, and let go of what is held."""
        with self._lock:
            for rule in self._next + self._always:
                rule.gate.set()
            self._next, self._always = [], []

    def release(self) -> None:
        """Let go of what is held; the holds of this plan hold nothing any more."""
        with self._lock:
            for rule in self._next + self._always:
                rule.gate.set()

    @property
    def held(self) -> int:
        """How many requests are being held at this moment."""
        return self._held

    def take(self, request: RecordedRequest) -> Rule:
        """The faults that this request meets."""
        with self._lock:
            for rule in self._next + self._always:
                if rule.applies(request):
                    rule.met += 1
                    return rule
            return NO_FAULTS

    def endure(self, rule: Rule, when: When) -> None:
        """Spend the time that the delays and holds of this rule take."""
        for fault in rule.faults:
            if isinstance(fault, Delay) and fault.when == when:
                self._stopping.wait(fault.seconds)
            elif isinstance(fault, Hold) and fault.when == when:
                self._hold(rule, fault)

    def _hold(self, rule: Rule, hold: Hold) -> None:
        with self._lock:
            self._held += 1
            if hold.until is not None and rule.met >= hold.until:
                rule.gate.set()
        self._notify()
        rule.gate.wait(hold.timeout)
        with self._lock:
            self._held -= 1
        self._notify()
