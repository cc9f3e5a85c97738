"""A server that answers 401 as soon as it has read the headers of an upload."""

from __future__ import annotations

import hashlib
import io
import socketserver
import threading
from collections.abc import Iterator

import pytest

FILM = bytes(range(256)) * 40_000  # more than the buffers between client and server hold


class EarlyServer(socketserver.ThreadingTCPServer):
    """Answers 401 before the body of the first request, and takes the second one."""

    daemon_threads = True

    def __init__(self) -> None:
        self.tries = 0
        self.taken: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    server: EarlyServer

    def handle(self) -> None:
        headers: dict[bytes, bytes] = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        self.server.tries += 1
        is_first = self.server.tries == 1
        if is_first:
            self._say(b"401 Unauthorized")
        body = self.rfile.read(int(headers[b"content-length"]))
        if not is_first:
            self.server.taken.append(hashlib.sha256(body).hexdigest())
            self._say(b"200 OK")

    def _say(self, status: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def early_server() -> Iterator[EarlyServer]:
    with EarlyServer() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("client", ["requests", "httpx", "httpx2"], indirect=True)
def test_a_401_that_comes_before_the_body_is_read_leads_to_a_whole_replay(
    client, early_server, oauth_server, auth_for
) -> None:
    auth = auth_for(oauth_server, origins=[early_server.url])
    response = client.send(auth, "PUT", f"{early_server.url}/upload", **client.raw(io.BytesIO(FILM)))
    assert response.status_code == 200
    assert early_server.taken == [hashlib.sha256(FILM).hexdigest()]
    assert early_server.tries == 2
    assert len(oauth_server.token_calls) == 2
