"""`proxy`: one process that holds the credential, for many applications that do not."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import TYPE_CHECKING

import click

from ..errors import ConfigurationError, TransportError
from ..origin import is_loopback
from ..profile_secrets import Secret
from .chosen import Chosen
from .options import Examples, takes_auth
from .output import OTHER, say

if TYPE_CHECKING:
    from ..proxy import ProxyApp

__all__ = ["proxy"]

GRACE = 20  # seconds that requests have to end in, when the proxy is told to stop
LOOPBACK = "127.0.0.1"


@click.command(
    cls=Examples,
    examples=(
        "video-oauth-auth proxy brightcove",
        "curl http://127.0.0.1:8700/cms.api.brightcove.com/v1/accounts/123/videos",
        "video-oauth-auth proxy brightcove --host 0.0.0.0 --key-env PROXY_KEY",
    ),
)
@takes_auth
@click.option("--host", default=LOOPBACK, metavar="ADDRESS", show_default=True, help="Where it listens.")
@click.option("--port", default=8700, type=click.IntRange(0, 65535), show_default=True, help="0 for any free one.")
@click.option("--key-env", metavar="NAME", help="The variable that holds what callers have to show.")
@click.option("--key-file", metavar="FILE", help="The file that holds it.")
@click.option(
    "--allowed-origin", "allowed_origins", multiple=True, metavar="URL", help="A web page's origin. May be repeated."
)
@click.option("--max-body", default=1024**3, metavar="BYTES", show_default=True, help="The largest body it forwards.")
@click.option("--max-concurrency", default=100, metavar="N", show_default=True, help="Requests at one time.")
@click.option("--timeout", default=60.0, metavar="SECONDS", show_default=True, help="For a connection, or a piece.")
def proxy(
    chosen: Chosen,
    *,
    host: str,
    port: int,
    key_env: str | None,
    key_file: str | None,
    allowed_origins: tuple[str, ...],
    max_body: int,
    max_concurrency: int,
    timeout: float,
) -> None:
    """Forward requests of other programs to the platform, with a token.

    http://127.0.0.1:8700/HOST/PATH is https://HOST/PATH, for the hosts of the profile. Anywhere but on loopback,
    callers have to show a key, as X-Proxy-Key or as a bearer token. Ctrl-C or SIGTERM ends it.
    """
    key = _key(key_env, key_file)
    if key is None and not is_loopback(host):
        raise click.UsageError(f"everybody could use your credential on {host}: give --key-env or --key-file")
    from ..proxy import ProxyApp

    chosen.check_secrets()
    app = ProxyApp(
        chosen.auth,
        key=key,
        allowed_origins=allowed_origins,
        max_body=max_body,
        max_concurrency=max_concurrency,
        timeout=timeout,
    )
    _run(app, host, port, timeout)


def _run(app: ProxyApp, host: str, port: int, timeout: float) -> None:
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise ConfigurationError("the proxy needs a library: pip install 'video-oauth-auth[cli,proxy]'") from None
    config = uvicorn.Config(
        app,
        http="h11",  # the strictest of its parsers, and the one that is always there
        access_log=False,  # it would write queries
        log_level="warning",
        proxy_headers=False,  # who calls is whoever has connected
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )
    with _listening(host, port) as listener:
        family, bound = listener.family, listener.getsockname()[1]
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        # asyncio does so for sockets that it makes; without, the end of each answer may wait for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # else who takes nothing keeps its connection after it was given up
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(min(timeout * 1000, 2**31 - 1)))
        server = uvicorn.Server(config)
        logging.getLogger("uvicorn.error").addFilter(_without_traceback)

        def end(*_: object) -> None:  # before uvicorn listens to signals; and after, when it raises this one again
            server.should_exit = True

        signal.signal(signal.SIGTERM, end)
        say(f"http://{shown}:{bound}/HOST/PATH is https://HOST/PATH, for {app.targets}")
        server.run(sockets=[listener])


def _without_traceback(record: logging.LogRecord) -> bool:
    """Say in one line what ends a connection on purpose."""
    failure = record.exc_info[1] if record.exc_info else None
    if isinstance(failure, TransportError | asyncio.CancelledError):
        record.msg, record.args, record.exc_info = str(failure), (), None
    return True


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        failure = error.strerror or type(error).__name__
    say(f"video-oauth-auth: {host}:{port} cannot be listened on: {failure}")
    return click.get_current_context().exit(OTHER)


def _key(variable: str | None, path: str | None) -> str | None:
    if variable is not None and path is not None:
        raise click.UsageError("--key-env and --key-file: give one")
    if variable is not None:
        return Secret("env", variable)()
    return None if path is None else Secret("file", path)()
