"""`demo`: one act on the bundled server, for those who have installed the command and want to see what it is about.

The whole play, with five HTTP clients, uploads and a sign-in, is examples/demo.py.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import click
import httpx

from ..auth import OAuth2Auth
from ..events import Event, TokenRenewed
from ..providers.brightcove import BrightcoveAuth
from .options import Examples
from .output import OTHER

if TYPE_CHECKING:
    from ..testing import BrightcoveServer

__all__ = ["demo"]

THREADS, REQUESTS = 8, 20  # requests of each thread
ROUND = 5  # requests of each thread, after which all wait for each other: a request never meets two revocations
REVOKED_AFTER = (60, 100, 140)  # answers, each in the midst of a round, at which the server revokes the token


@click.command(cls=Examples, examples=("video-oauth-auth demo",))
def demo() -> None:
    """See it work: threads use an API on this machine, while the server revokes their token again and again."""
    from ..testing import OAuthServer  # which other commands need not wait for

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # a proxy could not reach this machine's loopback
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    with OAuthServer.brightcove() as server:
        server.add_video("123", "Summer")
        click.echo(f"A server like Brightcove, on this machine. {THREADS} threads send {REQUESTS} requests each.")
        act = Act(server)
        act.play()
        calls = len(server.token_calls)
        unauthorized = sum(request.status == 401 for request in server.requests_to("api"))
    click.echo(f"The programs have seen {act.answers} answers, {act.failures} of them no 200.")
    click.echo(f"The API has answered 401 {unauthorized} times, to requests that were then sent again.")
    click.echo(f"{act.revocations} revocations, {calls} token calls: one at the beginning, one for each revocation.")
    is_good = not act.failures and calls == 1 + act.revocations == 1 + len(REVOKED_AFTER)
    click.get_current_context().exit(0 if is_good else OTHER)


class Act:
    """Threads that share one auth object.

    Args:
        server: where they send requests.

    Attributes:
        answers: how many the programs have seen.
        failures: how many of those were no 200.
        revocations: how often the token was revoked.
    """

    def __init__(self, server: BrightcoveServer) -> None:
        self.answers = self.failures = self.revocations = 0
        self._server = server
        self._lock = threading.Lock()
        self._round = threading.Barrier(THREADS)

    def play(self) -> None:
        """Let all threads do their work."""
        auth = BrightcoveAuth(
            self._server.client_id,
            self._server.client_secret,
            server=self._server.authorization_server,
            origins=[self._server.api_url],
            on_event=_tell,
        )
        with ThreadPoolExecutor(THREADS) as pool:
            for working in [pool.submit(self._work, auth) for _ in range(THREADS)]:
                working.result()

    def _work(self, auth: OAuth2Auth) -> None:
        try:
            with httpx.Client(auth=auth, base_url=self._server.api_url, timeout=30) as client:
                for _ in range(REQUESTS // ROUND):
                    for _ in range(ROUND):
                        self._count(client.get("/v1/accounts/123/videos").status_code)
                    self._round.wait()
        except threading.BrokenBarrierError:
            pass  # another thread has failed, and tells why
        except BaseException:
            self._round.abort()
            raise

    def _count(self, status: int) -> None:
        with self._lock:
            self.answers += 1
            self.failures += status != 200
            if self.answers in REVOKED_AFTER:
                click.echo(f"  answer {self.answers}: the server revokes the token")
                self.revocations += self._server.revoke_access_tokens()


def _tell(event: Event) -> None:
    if isinstance(event, TokenRenewed):
        click.echo(f"  a token was fetched in {event.duration * 1000:.0f} ms; {event.waiters} requests waited for it")
