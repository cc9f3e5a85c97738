"""`doctor`: looks at one thing after the other that a good token needs, and says what to mend."""

from __future__ import annotations

import os
import time
from email.utils import parsedate_to_datetime
from typing import Any

import click
import httpx

from ..budget import Budget
from ..client import authentication_method
from ..documents import get
from ..endpoints import HTTPResponse
from ..errors import OAuthError
from ..freshness import CLOCK_SKEW
from ..origin import origin_of, written
from ..server import AuthorizationServer
from ..token import Token
from ..transport import Via
from .checkup import Checkup, Skipped, Trouble
from .chosen import Chosen, sends_token_to
from .options import Examples, chosen_in, takes_server
from .output import LATER, OTHER, REFUSED, moment

__all__ = ["doctor"]

PATIENCE = 10.0  # seconds for one look
API_PATIENCE = httpx.Timeout(60.0, connect=PATIENCE)


@click.command(
    cls=Examples,
    examples=(
        "video-oauth-auth doctor movingimage",
        "video-oauth-auth doctor acme --url https://cms.api.brightcove.com/v1/accounts/123/counts/videos",
    ),
)
@click.argument("profile", required=False)
@takes_server
@click.option("--url", metavar="URL", help="A GET that the token should be good for; a small one, if not given.")
def doctor(*, profile: str | None, url: str | None, **server: Any) -> None:
    """Look at everything that a good token needs, and say what to mend. No secret is shown.

    The exit status is that of the worst finding.
    """
    checkup = Checkup()
    chosen = checkup.look("configuration", lambda: _configuration(profile, server, checkup))
    if chosen is not None:
        _look(checkup, chosen, url)
    click.get_current_context().exit(checkup.exit_status)


def _look(checkup: Checkup, chosen: Chosen, url: str | None) -> None:
    answer = checkup.look("network", lambda: _network(chosen))
    checkup.look("clock", lambda: _clock(answer))
    endpoint = checkup.look("endpoint", lambda: _endpoint(chosen, answer))
    checkup.look("store", lambda: _store(chosen))
    token = checkup.look("token", lambda: _token(chosen, endpoint))
    checkup.look("API", lambda: _api(chosen, token, url))


def _configuration(profile: str | None, server: dict[str, Any], checkup: Checkup) -> tuple[str, Chosen]:
    chosen = chosen_in(profile, server)
    if chosen is None:
        raise click.UsageError("name a profile or a platform, or give --issuer and --client-id")
    checkup.login = click.get_current_context().find_root().obj
    settings = chosen.source.settings
    chosen.check_secrets(always=not any(secret.is_typed for secret in chosen.secrets))
    grant = "refresh_token" if settings.grant is None else settings.grant.grant_type
    return f"{chosen.platform}, client {settings.client.client_id}, {grant}", chosen


def _network(chosen: Chosen) -> tuple[str, HTTPResponse]:
    origin = origin_of(chosen.source.key.issuer)
    assert origin is not None  # noqa: S101 - checked when the source was made
    url = f"{written(origin)}/"
    return f"{written(origin)} answers", get(url, _via(chosen), Budget(PATIENCE))


def _clock(answer: HTTPResponse | None) -> tuple[str, bool]:
    if answer is None:
        raise Skipped("needs an answer of the server")
    try:
        off = time.time() - parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        raise Skipped("the server does not say what time it is") from None
    if abs(off) > CLOCK_SKEW:
        way = "ahead of" if off > 0 else "behind"
        raise Trouble(f"this machine is {abs(off):.0f} s {way} the server: set its clock (NTP)", OTHER)
    return f"{abs(off):.0f} s from that of the server", True


def _endpoint(chosen: Chosen, answer: HTTPResponse | None) -> tuple[str, AuthorizationServer]:
    if answer is None:
        raise Skipped("needs the network")
    settings = chosen.source.settings
    server = settings.directory.current(_via(chosen), Budget(PATIENCE))
    return f"{server.token_endpoint}, {authentication_method(settings.client, server)}", server


def _store(chosen: Chosen) -> tuple[str, bool]:
    source = chosen.source
    store = source.settings.store
    check = getattr(store, "check", None)
    if callable(check):
        check()
    try:
        with store.transaction(source.key, timeout=PATIENCE) as entry:
            found = entry.token
    except TimeoutError:
        raise Trouble(f"{store!r}: another program has held the lock for {PATIENCE:g} s", LATER) from None
    return f"{store!r}, {'nothing stored yet' if found is None else f'stored {moment(found.issued_at)}'}", True


def _token(chosen: Chosen, endpoint: AuthorizationServer | None) -> tuple[str, Token]:
    if endpoint is None:
        raise Skipped("needs the endpoint")
    token = chosen.source.get_token()
    return f"good until {moment(token.expires_at)}" if token.expires_at else "good; its end is not known", token


def _api(chosen: Chosen, token: Token | None, url: str | None) -> tuple[str, bool]:
    if token is None:
        raise Skipped("needs a token")
    url = url or _small_call(chosen)
    if not url or not sends_token_to(chosen.auth, url):
        raise Skipped(f"give --url with a GET that the token should be good for, at {', '.join(chosen.auth.origins)}")
    try:
        with httpx.stream("GET", url, auth=chosen.auth, timeout=API_PATIENCE) as response:
            status = response.status_code
    except OAuthError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # the second for some redirects
        failure = type(error).__name__
    else:
        return _judged(url.partition("?")[0], status, chosen), True
    raise Trouble(f"{url.partition('?')[0]} could not be reached ({failure})", LATER)


def _judged(url: str, status: int, chosen: Chosen) -> str:
    if status in (401, 403):
        raise Trouble(f"{url} answers {status} to a good token. {chosen.auth.hint}", REFUSED)
    if status == 429 or status >= 500:
        raise Trouble(f"{url} answers {status}: try later", LATER)
    if status >= 400:
        raise Trouble(f"{url} answers {status}", OTHER)
    return f"{url} answers {status}"


def _small_call(chosen: Chosen) -> str:
    """Give the URL of a call that is always there on a platform; empty where none is known."""
    source = chosen.source
    if chosen.platform == "brightcove" and (account := os.environ.get("BRIGHTCOVE_ACCOUNT_ID", "")).isdecimal():
        return f"https://cms.api.brightcove.com/v1/accounts/{account}/counts/videos"
    if chosen.platform == "movingimage":
        return f"{source.key.issuer.rstrip('/')}/vms"
    if chosen.platform == "ibm_video_streaming":
        return "https://api.video.ibm.com/users/self/channels.json?p=1&pagesize=1"
    needs_person = source.settings.grant is None or source.settings.grant.needs_person
    return f"{source.key.issuer}/users-srv/userinfo" if chosen.platform == "cidaas" and needs_person else ""


def _via(chosen: Chosen) -> Via:
    return chosen.source.settings.via or Via("httpx")
