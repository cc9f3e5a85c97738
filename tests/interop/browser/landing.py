"""A page on loopback to which an authorization server sends the browser back."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urljoin, urlsplit

WAIT_TIMEOUT = 30.0
PAGE = b"<!doctype html><title>Landed</title><p>You can close this page."


class Landing(ThreadingHTTPServer):
    """Shows the same page at every path and keeps what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/callback"
        self.visits: queue.Queue[str] = queue.Queue()

    def visited(self) -> str:
        """The URL of the first visit that was not asked about yet; waits for it."""
        return urljoin(self.url, self.visits.get(timeout=WAIT_TIMEOUT))

    def parameters(self) -> dict[str, str]:
        """The query of that URL."""
        return dict(parse_qsl(urlsplit(self.visited()).query, strict_parsing=True))


class _Visit(BaseHTTPRequestHandler):
    server: Landing

    def do_GET(self) -> None:
        known = self.path.startswith("/callback")
        if known:
            self.server.visits.put(self.path)
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the parent's parameter
        """Stays silent: a query has a code in it."""


@contextmanager
def running_landing() -> Iterator[Landing]:
    with Landing() as landing:
        thread = threading.Thread(target=landing.serve_forever, name="interop-landing")
        thread.start()
        try:
            yield landing
        finally:
            landing.shutdown()
            thread.join()
