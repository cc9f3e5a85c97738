"""The options that say which auth object a command is about."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from ..profile_secrets import Secret
from .chosen import Chosen, from_options, named

__all__ = ["Examples", "chosen_in", "takes_auth", "takes_server"]

F = TypeVar("F", bound=Callable[..., Any])

_SERVER_OPTIONS = (
    click.option("--user", default="", metavar="NAME", help="Whose tokens, where several people sign in."),
    click.option("--issuer", metavar="URL", help="A server without a profile: its issuer."),
    click.option("--client-id", metavar="ID", help="With --issuer: the client."),
    click.option("--client-secret-env", metavar="NAME", help="With --issuer: the variable that holds its secret."),
    click.option("--client-secret-file", metavar="FILE", help="With --issuer: the file that holds it."),
    click.option("--client-secret-prompt", is_flag=True, help="With --issuer: you type it."),
    click.option("--scope", metavar="TEXT", help="With --issuer: what to ask for."),
    click.option("--redirect-uri", metavar="URL", help="With --issuer: where a sign-in comes back to."),
    click.option(
        "--origin",
        "origins",
        metavar="URL",
        multiple=True,
        help="With --issuer: where the token may go; that of the issuer if not given. May be repeated.",
    ),
)
_NAMES = (
    "user",
    "issuer",
    "client_id",
    "client_secret_env",
    "client_secret_file",
    "client_secret_prompt",
    "scope",
    "redirect_uri",
    "origins",
)


def takes_server(function: F) -> F:
    """Add the options for a server without a profile."""
    for option in reversed(_SERVER_OPTIONS):
        function = option(function)
    return function


def takes_auth(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take a profile, or the options for a server without one; it gets a `Chosen` as first argument."""

    @click.argument("profile", required=False)
    @takes_server
    @wraps(function)
    def command(profile: str | None, **parameters: Any) -> Any:
        chosen = chosen_in(profile, parameters)
        if chosen is None:
            raise click.UsageError("name a profile or a platform, or give --issuer and --client-id")
        return function(chosen, **parameters)

    return command


def chosen_in(profile: str | None, parameters: dict[str, Any]) -> Chosen | None:
    """Take what names an auth object out of the parameters of a command; None where nothing does.

    Raises:
        click.UsageError: the options contradict each other.
        ConfigurationError: there is no such profile, or it cannot be used.
    """
    given = {name: value for name in _NAMES if (value := parameters.pop(name)) not in (None, (), False)}
    user = given.pop("user", "")
    chosen: Chosen | None = None
    if "issuer" in given:
        chosen = _without_profile(profile, given, user)
    elif given:
        raise click.UsageError(f"{_written(next(iter(given)))} goes with --issuer")
    elif profile is not None:
        chosen = named(profile, user)
    if chosen is not None:
        click.get_current_context().find_root().obj = shlex.join(("login", *chosen.arguments))
    return chosen


def _without_profile(profile: str | None, given: dict[str, Any], user: str) -> Chosen:
    if profile is not None:
        raise click.UsageError("name a profile, or give --issuer: not both")
    if "client_id" not in given:
        raise click.UsageError("--issuer goes with --client-id")
    secrets = [name for name in given if name.startswith("client_secret_")]
    if len(secrets) > 1:
        raise click.UsageError(f"{' and '.join(map(_written, secrets))}: give one")
    arguments = tuple(part for name, value in given.items() for part in _arguments(name, value))
    for name in secrets:
        way, place = name.rpartition("_")[2], given.pop(name)
        given["client_secret"] = Secret(way, f"secret of the client {given['client_id']}" if place is True else place)
    return from_options(given, user, arguments)


def _arguments(name: str, value: Any) -> list[str]:
    if value is True:
        return [_written(name)]
    values = value if isinstance(value, tuple) else (value,)
    return [part for one in values for part in (_written(name), one)]


def _written(name: str) -> str:
    return "--origin" if name == "origins" else f"--{name.replace('_', '-')}"


class Examples(click.Command):
    """A command whose help ends with examples, one on a line.

    Args:
        examples: the lines.
        settings: the arguments of `click.Command`.
    """

    def __init__(self, *, examples: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(**settings)
        self._examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples; click calls this."""
        super().format_epilog(ctx, formatter)
        if self._examples:
            with formatter.section("Examples"):
                for line in self._examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
