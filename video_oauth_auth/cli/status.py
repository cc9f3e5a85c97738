"""`status`: the sign-ins that are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click
from rich.table import Column, Table
from rich.text import Text

from ..budget import now
from ..errors import OAuthError, StoreError, cleaned
from ..freshness import hold
from ..profiles import profile_names, store_of
from ..providers.brightcove import BrightcoveAuth
from ..providers.ibm_video_streaming import IBMVideoStreamingAuth
from ..providers.movingimage import MovingimageAuth
from ..stores import StoreKey, TokenStore
from ..token import Token
from .chosen import from_profile
from .options import Examples
from .output import exit_code, moment, results, say

__all__ = ["status"]

RENEW_AHEAD = 60.0  # seconds, as sources have it
COLUMNS = ("platform", "client", "user", "profile", "state", "expires", "last renewal")
STYLES = {"fresh": "green", "stale": "green", "expired": "yellow", "login_required": "red"}
KNOWN = {
    BrightcoveAuth.SERVER.name: "brightcove",
    IBMVideoStreamingAuth.SERVER.name: "ibm_video_streaming",
    MovingimageAuth.API_URL: "movingimage",
}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A profile, as far as its sign-ins are concerned.

    Attributes:
        name: the profile.
        platform: its platform.
        needs_person: whether a token cannot be had without somebody signing in.
    """

    name: str
    platform: str
    needs_person: bool


@click.command(cls=Examples, examples=("video-oauth-auth status",))
@click.pass_context
def status(ctx: click.Context) -> None:
    """List the stored sign-ins. No server is asked, and no token is fetched.

    States: fresh; stale (renewed at its next use); expired (renewed at its next use, if the server agrees);
    login_required (somebody has to sign in).
    """
    failures: list[OAuthError] = []
    profiles = _Profiles(failures)
    table = Table(*(Column(name, overflow="fold") for name in COLUMNS), box=None, pad_edge=False)
    count = 0
    for key, token, known in sorted(profiles.sign_ins(), key=lambda one: (one[0].issuer, one[0].user, one[0].id)):
        count += 1
        table.add_row(*_cells(key, token, known))
    if count:
        results().print(table)
    else:
        say("No sign-in is stored.")
    for failure in failures:
        say(f"video-oauth-auth: {failure}")
    ctx.exit(max(map(exit_code, failures), default=0))


def _cells(key: StoreKey, token: Token, known: Known | None) -> list[Text]:
    state = _state(token, known)
    platform = known.platform if known else KNOWN.get(key.issuer, "")
    texts = [platform if platform not in ("", "generic") else key.issuer, key.client_id, key.user]
    cells = [Text(cleaned(text)) for text in (*texts, known.name if known else "")]
    moments = (moment(token.expires_at) or "unknown", moment(token.issued_at))
    return [*cells, Text(state, STYLES[state]), *map(Text, moments)]


def _state(token: Token, known: Known | None) -> str:
    held, at = hold(token, RENEW_AHEAD), now()
    if at < held.usable_until:
        return "fresh" if at < held.fresh_until else "stale"
    can_refresh = token.refresh_token is not None and at < held.refresh_until
    return "expired" if can_refresh or known is None or not known.needs_person else "login_required"


class _Profiles:
    """The stores and keys of all profiles.

    Args:
        failures: where errors go that concern one profile or one store only.
    """

    def __init__(self, failures: list[OAuthError]) -> None:
        self._failures = failures
        default = store_of("file")
        self._stores: dict[str, TokenStore] = {repr(default): default}
        self._settings = []
        for name in profile_names():
            try:
                chosen = from_profile(name, "")
                settings = chosen.unread_source().settings
            except OAuthError as error:
                failures.append(error)
                continue
            store = getattr(settings.store, "inner", settings.store)  # moments can be read without the key
            self._stores[repr(store)] = store
            grant = settings.grant
            known = Known(name=name, platform=chosen.platform, needs_person=grant is None or grant.needs_person)
            self._settings.append((settings, repr(store), known))

    def sign_ins(self) -> Iterator[tuple[StoreKey, Token, Known | None]]:
        """Give what is stored: key, token, and the profile it belongs to."""
        for name, store in self._stores.items():
            try:
                for key in store.entries():
                    token = store.load(key)
                    if token is not None:
                        yield key, token, self._known(key, name)
            except StoreError as error:
                self._failures.append(error)

    def _known(self, key: StoreKey, store: str) -> Known | None:
        return next(
            (known for settings, where, known in self._settings if where == store and settings.key(key.user) == key),
            None,
        )
