"""`request`: a call of an API with a good token, from the command line."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ..errors import ConfigurationError, OAuthError, cleaned
from ..origin import origin_of, written
from ..profiles import profile_names
from .answers import check_place, save, show
from .bodies import TOKEN, Body, body_of, headers_of
from .chosen import PLATFORMS, Chosen, from_environment, from_profile, sends_token_to
from .options import Examples, chosen_in, takes_server
from .output import LATER, OTHER, say

__all__ = ["request"]

API_ERROR = 22  # as curl --fail has it
TIMEOUT = httpx.Timeout(300.0, connect=30.0)  # analytics take their time


@click.command(
    cls=Examples,
    examples=(
        "video-oauth-auth request GET https://cms.api.brightcove.com/v1/accounts/123/videos",
        "video-oauth-auth request -p acme POST https://api.example.com/videos -d @video.json \\",
        "    -H 'Content-Type: application/json'",
        "video-oauth-auth request PUT https://api.example.com/films/1 -F title=Summer -F file=@summer.mp4",
        "video-oauth-auth request GET https://api.example.com/films/1.mp4 -o summer.mp4",
    ),
)
@click.argument("method")
@click.argument("url")
@click.option("-p", "--profile", metavar="NAME", help="The profile; the one that has the URL's origin, if not given.")
@takes_server
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; 'Name:' leaves it out."
)
@click.option(
    "-d",
    "--data",
    multiple=True,
    metavar="TEXT|@FILE|@-",
    help="The body; a form, unless a Content-Type is given. @FILE sends a file as it is, @- what stdin has.",
)
@click.option(
    "-F",
    "--form",
    "fields",
    multiple=True,
    metavar="NAME=TEXT|NAME=@FILE",
    help="A part of a multipart body; ;type=TYPE and ;filename=NAME may follow.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the answer there; - is stdout."
)
@click.option("-L", "--location", is_flag=True, help="Follow redirects; the token goes to listed origins only.")
def request(
    *,
    method: str,
    url: str,
    profile: str | None,
    headers: tuple[str, ...],
    data: tuple[str, ...],
    fields: tuple[str, ...],
    output: Path | None,
    location: bool,
    **server: Any,
) -> None:
    """Send a request with a token, and write what comes back to stdout.

    JSON is laid out on a terminal, and written as it is into a pipe. An answer of 400 or more is written too, never
    into the file, and ends with the status 22.
    """
    if not TOKEN.fullmatch(method):
        raise click.UsageError("METHOD is a word: GET, POST, PUT, ...")
    target = _url(url)
    lines = headers_of(headers)
    output = None if output == Path("-") else output
    if output is not None:
        check_place(output)
    chosen = chosen_in(profile, server) or _by_origin(target)
    if not sends_token_to(chosen.auth, target):
        say(f"Warning: {_origin(target)} is no origin of {chosen.name}: this request carries no token.")
    elif any(name.lower() == "authorization" for name, _ in lines):
        say(f"Warning: the token of {chosen.name} takes the place of the Authorization that -H gives.")
    chosen.check_secrets()
    with ExitStack() as stack:
        progress = _progress()  # started where there is something to show
        stack.callback(progress.stop)
        body = body_of(data, fields, stack, progress)
        client = stack.enter_context(_client(chosen, location))
        made = client.build_request(method.upper(), target, headers=_headers(lines, body), **body.keywords)
        for name in (name for name, value in lines if value is None):
            made.headers.pop(name, None)
        status = _exchange(client, made, body, output, progress)
    click.get_current_context().exit(status)


def _client(chosen: Chosen, location: bool) -> httpx.Client:  # noqa: FBT001 - an option
    try:
        return httpx.Client(auth=chosen.auth, follow_redirects=location, timeout=TIMEOUT)
    except ImportError:
        failure = "a SOCKS proxy needs a library: pip install 'httpx[socks]'"
    except (ValueError, httpx.InvalidURL):  # what it says may hold the proxy's password
        failure = "the proxy is no URL of a kind that httpx knows. Look at HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
    except OSError as error:
        failure = f"the certificates cannot be read ({error.strerror}). Look at SSL_CERT_FILE and SSL_CERT_DIR"
    raise ConfigurationError(f"no HTTP client can be made of the environment: {failure}")


def _exchange(client: httpx.Client, made: httpx.Request, body: Body, output: Path | None, progress: Progress) -> int:
    try:
        response = client.send(made, stream=True)
        try:
            return _told(response, body, output, progress)
        finally:
            response.close()
    except OAuthError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # the second for some redirects
        failure: Exception = error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "h11":  # whose errors httpx lets through while a body is sent
            raise
        raise click.ClickException("the body was not as long as its file: the file has changed meanwhile") from None
    say(f"video-oauth-auth: {_origin(str(made.url))}: {cleaned(str(failure)) or type(failure).__name__}")
    return LATER if isinstance(failure, httpx.TransportError) else OTHER


def _told(response: httpx.Response, body: Body, output: Path | None, progress: Progress) -> int:
    status = response.status_code
    if status < 400 and output is not None:
        save(response, output, progress)
        return 0
    progress.stop()
    show(response)
    if status < 400:
        return 0
    say(f"HTTP {status} {cleaned(response.reason_phrase)}")
    if status == 401 and body.once:
        say("The body came from a pipe and could not be sent a second time. Run the command again: the token is new.")
    return API_ERROR


def _headers(lines: list[tuple[str, str | None]], body: Body) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in lines}
    pairs = [(name, value) for name, value in lines if value is not None]
    if body.content_type and "content-type" not in given:
        pairs.append(("Content-Type", body.content_type))
    if "accept-encoding" not in given:
        pairs.append(("Accept-Encoding", "identity"))  # what is written is what came, and it does not grow
    return [(name.encode(), value.encode()) for name, value in pairs]  # as curl sends what is no ASCII


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or origin_of(text) is None:
        raise click.UsageError("URL has to be absolute: https://host/path")
    return str(url)


def _origin(url: str) -> str:
    origin = origin_of(url)
    return "" if origin is None else written(origin)


def _by_origin(url: str) -> Chosen:
    """Give what the URL's origin belongs to.

    Raises:
        click.UsageError: nothing, or more than one.
    """
    names = profile_names()
    found: list[Chosen] = []
    for name in (*names, *(platform for platform in PLATFORMS if platform not in names)):
        try:
            chosen = from_profile(name, "") if name in names else from_environment(name, "")
            if sends_token_to(chosen.look(chosen.given), url):
                found.append(chosen)
        except OAuthError as error:
            if name in names:
                say(f"Warning: {error}")
    if len(found) == 1:
        context = click.get_current_context()
        context.find_root().obj = shlex.join(("login", *found[0].arguments))
        return found[0]
    whose = (
        " and ".join(one.name for one in found) or "no profile, and no platform whose environment variables are set,"
    )
    raise click.UsageError(f"{whose} {'have' if found else 'has'} the origin {_origin(url)}: name one by --profile")
