"""How answers and events are told in one line."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from rich.text import Text

from video_oauth_auth.events import RenewalFailed, TokenRenewed

REASONS = {
    "first": "fetched for the first requests",
    "stale": "fetched ahead of time",
    "expired": "fetched, the last one has expired",
    "rejected": "fetched after a 401",
    "login": "fetched for the person",
}


class Answered(Protocol):
    """An answer, as far as it is shown."""

    @property
    def method(self) -> str: ...

    @property
    def status(self) -> int: ...


def about_renewal(event: TokenRenewed) -> str:
    """Tell why a token was fetched and who waited for it."""
    waiters = f"{event.waiters} waited {event.duration * 1000:.0f} ms" if event.waiters else "nobody waited"
    return f"{REASONS[event.reason]}; {waiters}"


def about_failure(event: RenewalFailed) -> str:
    """Tell why no token was fetched."""
    return f"could not be fetched: {event.message}"


def sum_of(answers: Sequence[Answered], problem: str) -> Text:
    """Count many answers instead of writing them in a row: `200 x 22  401 ↻ 200 x 2`."""
    steps = [f"{before.status} ↻ {after.status}" for before, after in pairwise(answers) if before.status == 401]
    last = [after for before, after in zip((None, *answers), answers, strict=False) if not _is_401(before)]
    steps += [f"{answer.status}" for answer in last if answer.status != 401]
    line = Text()
    for step, times in sorted(Counter(steps).items()):
        line.append(f"{step} x {times}  ", "yellow" if "↻" in step else style_of(int(step)))
    line.append(problem, "bold red")
    line.rstrip()
    return line


def _is_401(answer: Answered | None) -> bool:
    return answer is not None and answer.status == 401


def steps_of(answers: Sequence[Answered], problem: str) -> Text:
    """Write answers in a row: `POST 201  GET 401 ↻ 200  PUT 307 → 200`."""
    line, before = Text(), 0
    for answer in answers:
        if before == 401:
            line.append(" ↻ ", "yellow")
        elif 300 <= before < 400:
            line.append(" → ", "dim")
        else:
            line.append(f"{'  ' if before else ''}{answer.method} ", "dim")
        line.append(str(answer.status), style_of(answer.status))
        before = answer.status
    if problem:
        line.append(f"  {problem}", "bold red")
    return line


def style_of(status: int) -> str:
    """Choose the colour of a status."""
    if status < 400:
        return "green"
    return "yellow" if status == 401 else "bold red"
