"""The command and its sub-commands; who writes another one adds it to the list at the end."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from ..errors import LoginRequired, OAuthError
from .credentials import credentials
from .demo import demo
from .discover import discover
from .doctor import doctor
from .output import exit_code, say
from .proxy import proxy
from .request import request
from .sign_ins import login, logout, token
from .status import status

__all__ = ["commands"]


class Commands(click.Group):
    """Turns what is expected to go wrong into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a sub-command; click calls this."""
        try:
            return super().invoke(ctx)
        except OAuthError as error:
            failure = error
        except KeyboardInterrupt:
            ctx.exit(130)
        except click.Abort as abort:  # of a question, which tells a Ctrl-C from an end of the input by this only
            if not isinstance(abort.__context__, KeyboardInterrupt):
                raise
            ctx.exit(130)
        return self._fail(ctx, failure)

    def _fail(self, ctx: click.Context, failure: OAuthError) -> NoReturn:
        say(f"video-oauth-auth: {failure}")
        if isinstance(failure, LoginRequired) and ctx.obj:
            say(f"Sign in with: video-oauth-auth {ctx.obj}")
        ctx.exit(exit_code(failure))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the sub-commands in the order in which they are added; click calls this."""
        del ctx
        return list(self.commands)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 something else, 2 bad usage or settings, 3 sign in first, 4 the server refused, "
    "5 try later, 22 the API answered with an error, 130 Ctrl-C.",
)
@click.version_option(package_name="video-oauth-auth", message="%(version)s")
def commands() -> None:
    """OAuth 2.0 tokens for Brightcove, movingimage, IBM Video Streaming, cidaas and others.

    Tokens are shared with the scripts of this user; profiles are in profiles.toml.
    """


for one in (login, logout, status, token, request, discover, doctor, demo, credentials, proxy):
    commands.add_command(one)
