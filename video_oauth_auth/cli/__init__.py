"""The command `video-oauth-auth`. Only its entry point imports this package, which needs the extra `cli`."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run the command with the arguments of this process."""
    _open_streams()
    try:
        from .commands import commands
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write("video-oauth-auth needs the libraries of an extra: pip install 'video-oauth-auth[cli]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        commands(prog_name="video-oauth-auth")
    except OSError as error:
        failure = error.strerror or type(error).__name__
    _give_up(failure)


def _open_streams() -> None:
    """Lead streams that are closed to nowhere; and let no letter that a stream does not know end the command."""
    for name, flags, mode in (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_WRONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, flags)
            setattr(sys, name, open(nowhere, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - open to the end
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # it is the one of the process


def _give_up(failure: str) -> NoReturn:
    """End where a stream takes no more, on a full disk for instance; what it has not taken goes nowhere."""
    with suppress(OSError):
        sys.stderr.write(f"video-oauth-auth: {failure}\n")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(1)
