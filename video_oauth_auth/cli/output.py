"""What the command says: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import time

import click
from rich.console import Console

from ..errors import (
    ConfigurationError,
    InsecureTransportError,
    LoginRequired,
    OAuthError,
    ResponseError,
    StoreError,
    TransportError,
)

__all__ = ["LATER", "OTHER", "REFUSED", "SIGN_IN", "USAGE", "exit_code", "moment", "results", "say"]

# 0 is for success, 130 for Ctrl-C.
OTHER, USAGE, SIGN_IN, REFUSED, LATER = 1, 2, 3, 4, 5

WIDE = 1000  # columns of a table where nobody looks at it on a screen


def results() -> Console:
    """Give the console for results; colours only on a terminal, and not where NO_COLOR is set."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if not console.is_terminal:
        console.width = WIDE
    return console


def say(text: str) -> None:
    """Say something to the person, on stderr."""
    click.echo(text, err=True)


def moment(epoch: float | None) -> str:
    """Write a moment in local time; empty for None."""
    return "" if epoch is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch))


def exit_code(error: OAuthError) -> int:
    """Give the exit status for an error, by who must act."""
    kinds: dict[int, tuple[type[OAuthError], ...]] = {
        USAGE: (ConfigurationError, InsecureTransportError),
        SIGN_IN: (LoginRequired,),
        REFUSED: (ResponseError,),
        LATER: (TransportError, StoreError),
    }
    return next((code for code, classes in kinds.items() if isinstance(error, classes)), OTHER)
