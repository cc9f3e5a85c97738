"""`credentials brightcove`: client credentials, made and changed with the BC_TOKEN of a Studio session."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any, TypeVar, get_args

import click
from rich.table import Column, Table
from rich.text import Text

from ..errors import cleaned
from ..profile_secrets import Secret
from ..profiles import profile_names, profiles_path, read_profile
from ..providers.brightcove_credentials import OPERATIONS, BrightcoveCredentials, CredentialRecord
from ..providers.brightcove_records import AccountType, account_ids, maximum_scope
from .new_credential import NewSecret
from .options import Examples
from .output import results, say

__all__ = ["credentials"]

F = TypeVar("F", bound=Callable[..., Any])

VARIABLE = "BC_TOKEN"


@click.group()
def credentials() -> None:
    """Client credentials of a platform."""


@credentials.group()
def brightcove() -> None:
    """Make, list, show, change and delete client credentials of Brightcove.

    They are made in the name of somebody who is signed in to Studio: with the cookie BC_TOKEN of that session. It is
    taken from the environment variable BC_TOKEN, or from --bc-token-file, or typed. It ends when its user leaves
    Studio, and after 24 hours.
    """


def takes_bc_token(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for the BC_TOKEN; the command gets a function that makes a `BrightcoveCredentials`."""

    @click.option("--bc-token-file", metavar="FILE", help="The file that holds the BC_TOKEN.")
    @wraps(function)
    def command(bc_token_file: str | None, **parameters: Any) -> Any:
        return function(lambda: BrightcoveCredentials(_bc_token(bc_token_file)), **parameters)

    return command


def takes_scope(function: F) -> F:
    """Add the options for accounts and operations."""
    options = (
        click.option("--account", "accounts", metavar="ID", multiple=True, help="An account. May be repeated."),
        click.option(
            "--operation",
            "operations",
            metavar="NAME",
            multiple=True,
            help="What is allowed in these accounts: `credentials brightcove operations` lists them. May be repeated.",
        ),
        click.option(
            "--other-operation",
            "other_operations",
            metavar="NAME",
            multiple=True,
            help="An operation that this version does not know. May be repeated.",
        ),
        click.option(
            "--account-type",
            type=click.Choice(get_args(AccountType)),
            default=get_args(AccountType)[0],
            show_default=True,
            help="What kind of accounts these are.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
Make = Callable[[], BrightcoveCredentials]


@brightcove.command(
    cls=Examples,
    examples=(
        "video-oauth-auth credentials brightcove create Nightly --account 123 \\",
        "    --operation video-cloud/video/read --profile nightly",
    ),
)
@click.argument("name")
@takes_scope
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@click.option("--profile", metavar="NAME", help="The profile whose entry in the keyring gets the secret.")
@click.option("--replace", is_flag=True, help="Also if a secret is there already; it is lost then.")
@click.option("--show-secret", is_flag=True, help="Print the secret.")
@as_json
@takes_bc_token
def create(
    make: Make, *, name: str, profile: str | None, replace: bool, show_secret: bool, as_json: bool, **scope: Any
) -> None:
    """Make a credential called NAME.

    Its secret is told once. It goes into the keyring, where the profile finds it, and is printed only if you ask for
    that. Whether the keyring keeps secrets is tried before anything is made.
    """
    wanted = {key: value for key, value in scope.items() if key != "description"}
    if not wanted["accounts"] or not (wanted["operations"] or wanted["other_operations"]):
        raise click.UsageError("name at least one --account and one --operation")
    maximum_scope(**wanted)
    if profile is None and not show_secret:
        raise click.UsageError("say where the secret shall go: --profile (into the keyring), or --show-secret")
    if replace and profile is None:
        raise click.UsageError("--replace goes with --profile")
    if profile is not None:
        _check_profile(profile)
    new = NewSecret(profile, print_it=(lambda record: _print(record, as_json, secret=True)) if show_secret else None)
    new.check(replace=replace)
    at = make()
    record = at.create(name, keep=lambda record: new.keep(record, at), **scope)
    if not show_secret:
        _print(record, as_json)
    new.tell(record)
    click.get_current_context().exit(new.exit_status)


@brightcove.command(name="list", cls=Examples, examples=("video-oauth-auth credentials brightcove list --account 123",))
@click.option("--account", "accounts", metavar="ID", multiple=True, required=True, help="An account. May be repeated.")
@as_json
@takes_bc_token
def list_(make: Make, *, accounts: Sequence[str], as_json: bool) -> None:
    """List the credentials of accounts."""
    account_ids(accounts)
    found = make().list(accounts)
    if as_json:
        click.echo(json.dumps([_members(record) for record in found]))
    elif found:
        results().print(_table(found))
    else:
        say("There are none.")


@brightcove.command(cls=Examples, examples=("video-oauth-auth credentials brightcove show 1f0b...",))
@click.argument("client_id")
@as_json
@takes_bc_token
def show(make: Make, *, client_id: str, as_json: bool) -> None:
    """Show one credential: what it may do where."""
    _print(make().show(client_id), as_json)


@brightcove.command(
    cls=Examples,
    examples=("video-oauth-auth credentials brightcove update 1f0b... --operation video-cloud/video/all",),
)
@click.argument("client_id")
@takes_scope
@click.option("--name", metavar="TEXT", help="Another name.")
@click.option("--description", metavar="TEXT", help="Another description.")
@as_json
@takes_bc_token
def update(make: Make, *, client_id: str, as_json: bool, **changes: Any) -> None:
    """Change a credential; what is not given stays. Accounts and operations are given as a whole."""
    given = {key: value for key, value in changes.items() if value not in (None, ())}
    if set(given) <= {"account_type"}:
        raise click.UsageError("say what shall change: --name, --description, --account or --operation")
    _print(make().update(client_id, **given), as_json)


@brightcove.command(cls=Examples, examples=("video-oauth-auth credentials brightcove delete 1f0b...",))
@click.argument("client_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@takes_bc_token
def delete(make: Make, *, client_id: str, yes: bool) -> None:
    """Delete a credential. Whatever uses it gets no tokens any more."""
    if not yes:
        click.confirm(f"Delete the credential {cleaned(client_id)}?", abort=True, err=True)
    make().delete(client_id)
    say("Deleted. Tokens that it has brought live on for five minutes at most.")


@brightcove.command()
def operations() -> None:
    """List the known operations, by API."""
    for api, names in OPERATIONS.items():
        for name in names:
            click.echo(f"{name:<50}{api}")


# --- inside -------------------------------------------------------------------------------------------------------


def _bc_token(path: str | None) -> str:
    if path is not None:
        return Secret("file", path)()
    return Secret("env" if os.environ.get(VARIABLE, "").strip() else "prompt", VARIABLE)()


def _check_profile(name: str) -> None:
    """Refuse a profile that could not use the credential, before one is made."""
    profiles_path()
    if name in profile_names() and (platform := read_profile(name).platform) != "brightcove":
        raise click.UsageError(f"the profile {name!r} is for the platform {platform}")


def _print(record: CredentialRecord, as_json: bool, *, secret: bool = False) -> None:  # noqa: FBT001 - an option
    members = _members(record)
    if secret:
        members["client_secret"] = record.client_secret
    if as_json:
        click.echo(json.dumps(members))
        return
    scopes = members.pop("maximum_scope")
    for name, value in members.items():
        click.echo(f"{name}: {cleaned(str('' if value is None else value))}".rstrip())
    for scope in scopes:
        click.echo(f"{cleaned(scope['account_type'])} {scope['account_id']}:")
        for operation in scope["operations"]:
            click.echo(f"    {cleaned(operation)}")


def _members(record: CredentialRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "client_secret"}


def _table(found: Sequence[CredentialRecord]) -> Table:
    names = ("client id", "name", "accounts", "operations", "issued", "")
    table = Table(*(Column(name, overflow="fold") for name in names), box=None, pad_edge=False)
    for record in found:
        accounts = ", ".join(str(scope.account_id) for scope in record.maximum_scope)
        count = len({operation for scope in record.maximum_scope for operation in scope.operations})
        state = "revoked" if record.revoked else ""
        cells = (record.client_id, record.name, accounts, f"{count}", record.issued_at or "", state)
        table.add_row(*(Text(cleaned(cell)) for cell in cells))
    return table
