"""A row of checks, each told in a line: ok, failed or skipped, and what to mend."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rich.text import Text

from ..errors import LoginRequired, OAuthError, TransportError, cleaned
from .output import LATER, OTHER, REFUSED, SIGN_IN, USAGE, exit_code, results

__all__ = ["Checkup", "Skipped", "Trouble"]

WORST_FIRST = (USAGE, REFUSED, SIGN_IN, LATER, OTHER)
STYLES = {"ok": "green", "failed": "red", "skipped": "yellow"}

T = TypeVar("T")


class Trouble(Exception):
    """Something is not as it should be.

    Args:
        text: what, and what to do.
        code: the exit status.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Skipped(Exception):
    """There is nothing to look at, or what it needs has failed."""


class Checkup:
    """Runs checks, and remembers what failed.

    Args:
        login: what to type to sign in.
    """

    def __init__(self) -> None:
        self.login = ""
        self._codes: set[int] = set()

    def look(self, name: str, check: Callable[[], tuple[str, T]]) -> T | None:
        """Run one check, and tell how it went.

        Args:
            name: what is looked at.
            check: gives what was found, in words and as a value.

        Returns:
            The value; None where the check failed or was skipped.
        """
        try:
            text, value = check()
        except Skipped as reason:
            self._tell("skipped", name, str(reason))
        except Trouble as trouble:
            self._fail(name, str(trouble), trouble.code)
        except OAuthError as error:
            self._fail(name, f"{error}{self._hint(error)}", exit_code(error))
        else:
            self._tell("ok", name, text)
            return value
        return None

    @property
    def exit_status(self) -> int:
        """The exit status of the worst that was found: that which most has to be done about."""
        return next((code for code in WORST_FIRST if code in self._codes), 0)

    def _fail(self, name: str, text: str, code: int) -> None:
        self._codes.add(code)
        self._tell("failed", name, text)

    def _tell(self, outcome: str, name: str, text: str) -> None:
        line = Text(f"{outcome:8}", STYLES[outcome])
        line.append(f"{name:14} ", "bold")
        line.append(cleaned(text, limit=1000), "default")
        results().print(line, soft_wrap=True)

    def _hint(self, error: OAuthError) -> str:
        if isinstance(error, LoginRequired):
            return f". Sign in with: video-oauth-auth {self.login}"
        if isinstance(error, TransportError):
            return ". Look at the network, the proxy (HTTPS_PROXY, NO_PROXY), and whether the URL is right"
        return ""
