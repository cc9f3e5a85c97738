"""The command `video-oauth-auth`. Only its entry point imports this package, which needs the extra `cli`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command with the arguments of this process."""
    try:
        from .commands import commands
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write("video-oauth-auth needs the libraries of an extra: pip install 'video-oauth-auth[cli]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    commands(prog_name="video-oauth-auth")
