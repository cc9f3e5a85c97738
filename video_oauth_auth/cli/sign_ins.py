"""`login`, `logout` and `token`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import click

from ..auth import OAuth2Auth
from ..errors import ConfigurationError, cleaned
from ..grants import DeviceCode
from ..profile_keys import GENERIC
from ..stores import Entry, StoreKey, TokenStore
from ..token import Token
from .chosen import Chosen
from .options import Examples, takes_auth
from .output import moment, say

__all__ = ["login", "logout", "token"]


@click.command(
    cls=Examples,
    examples=(
        "video-oauth-auth login movingimage",
        "video-oauth-auth login acme --no-browser          # over ssh: paste the address that it ends at",
        "video-oauth-auth login acme --device              # a code for another device",
        "video-oauth-auth login --issuer https://login.example.com --client-id app --scope openid",
    ),
)
@takes_auth
@click.option("--no-browser", is_flag=True, help="Show the URL, and open nothing.")
@click.option("--device", is_flag=True, help="Show a code, to be typed on another device (RFC 8628).")
@click.option("--force", is_flag=True, help="Ask in any case, also where somebody is signed in.")
@click.option("--timeout", default=300.0, metavar="SECONDS", show_default=True, help="How long you have.")
def login(chosen: Chosen, *, no_browser: bool, device: bool, force: bool, timeout: float) -> None:
    """Sign in; returns at once where a stored sign-in is still good.

    PROFILE is a profile, or a platform whose environment variables are set.
    """
    chosen.check_secrets()
    auth = _on_device(chosen) if device else chosen.auth
    found = auth.login(force=force, open_browser=False if no_browser else None, timeout=timeout)
    whose = f" as {cleaned(str(found.claims.get('sub')))}" if found.claims else ""
    until = f"; this token ends at {moment(found.expires_at)}" if found.expires_at else ""
    say(f"Signed in{whose} at {chosen.source.key.issuer}{until}.")


@click.command(cls=Examples, examples=("video-oauth-auth logout movingimage",))
@takes_auth
def logout(chosen: Chosen) -> None:
    """Sign out: have the tokens revoked at the server, and forget them here."""
    chosen.check_secrets()
    if chosen.auth.logout():
        say("Signed out; the server has revoked the tokens.")
    else:
        say("Signed out here. The server was not told: it offers no revocation, or could not be reached.")


@click.command(
    cls=Examples,
    examples=(
        'curl -H "Authorization: Bearer $(video-oauth-auth token brightcove)" https://cms.api.brightcove.com/...',
        "video-oauth-auth token acme --json",
    ),
)
@takes_auth
@click.option("--json", "as_json", is_flag=True, help="With type, scope and moment of its end (epoch seconds).")
def token(chosen: Chosen, *, as_json: bool) -> None:
    """Print an access token that is good now; it is renewed before, where that is needed."""
    chosen.check_secrets()
    found = chosen.source.get_token()
    click.echo(json.dumps(_members(found)) if as_json else found.access_token)


def _members(found: Token) -> dict[str, Any]:
    return {
        "access_token": found.access_token,
        "token_type": found.token_type,
        "expires_at": found.expires_at,
        "scope": found.scope,
    }


# --- on a device --------------------------------------------------------------------------------------------------


def _on_device(chosen: Chosen) -> OAuth2Auth:
    """Make an auth object that signs in by a device code, and keeps the tokens where the chosen one looks for them."""
    settings = chosen.source.settings
    if settings.grant is None or not settings.grant.needs_person:
        raise ConfigurationError(f"nobody signs in for {chosen.name}: its client asks in its own name")
    grant = DeviceCode(scope=settings.grant.scope, resource=settings.grant.resource, audience=settings.grant.audience)
    others: dict[str, dict[str, Any]] = {"movingimage": {"refresh_extra": None}}
    others[GENERIC] = {"audience": None, "resource": None}
    return chosen.with_keywords(
        **others.get(chosen.platform, {}),
        grant=grant,
        redirect_uri=None,
        scope=None,
        store=_FiledAs(settings.store, chosen.source.key),
    )


class _FiledAs:
    """A store that files everything under one key of another store."""

    def __init__(self, store: TokenStore, key: StoreKey) -> None:
        self._store, self._key = store, key

    def load(self, key: StoreKey) -> Token | None:
        del key
        return self._store.load(self._key)

    def transaction(self, key: StoreKey, *, timeout: float) -> AbstractContextManager[Entry]:
        del key
        return self._store.transaction(self._key, timeout=timeout)

    def entries(self) -> Iterable[StoreKey]:
        return self._store.entries()

    def check(self) -> None:
        """Find out whether tokens can be kept; a login does so before anybody signs in."""
        check = getattr(self._store, "check", None)
        if callable(check):
            check()
