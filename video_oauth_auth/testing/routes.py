"""Which function answers which path of an API, and how queries are read."""

import re
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from .answers import Answer
from .recording import RecordedRequest

Route = tuple[str, str, Callable[..., Answer]]


class Routes:
    """Methods and paths (patterns, whose named groups become keyword arguments) and who answers them."""

    def __init__(self, routes: Iterable[Route], *, error: Callable[[int], Answer]) -> None:
        self._routes = [(method, re.compile(pattern), answer) for method, pattern, answer in routes]
        self._error = error

    def answer(self, request: RecordedRequest) -> Answer:
        """What this request gets; the error of 404 or 405 if nobody answers."""
        status = 404
        for method, pattern, answer in self._routes:
            if match := pattern.fullmatch(request.path):
                if method == request.method:
                    return answer(request, **match.groupdict())
                status = 405
        return self._error(status)


def query_of(request: RecordedRequest) -> dict[str, str]:
    """The parameters of the query; of a repeated name the last value."""
    return {name: values[-1] for name, values in parse_qs(request.query).items()}


def whole_number(text: str | None, *, default: int, least: int, most: int | None = None) -> int | None:
    """The number that a parameter names, the default if it is missing, None if it is nonsense or out of bounds."""
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        return None
    return None if most is not None and int(text) > most else int(text)
