"""One TCP connection: reading requests (also chunked ones) and writing answers, whole or broken."""

import hashlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol, cast

from .answers import Answer
from .exchange import Delivery, Endpoint, Exchange
from .faults import Drip
from .recording import KEPT_BODY, RecordedRequest

BLOCK = 64 * 1024
MAX_LINE = 64 * 1024
BODYLESS = (204, 304)


class Accepting(Protocol):
    """The port that a connection belongs to."""

    @property
    def exchange(self) -> Exchange: ...

    @property
    def endpoint(self) -> Callable[[str], Endpoint]: ...

    def number_of(self, connection: Any) -> int: ...

    def reset(self, connection: socket.socket) -> None: ...


@dataclass(slots=True)
class _Body:
    """A body as it comes in: hashed whole, kept only while it is small."""

    kept: bytearray = field(default_factory=bytearray)
    size: int = 0
    complete: bool = True
    digest: Any = field(default_factory=hashlib.sha256)

    def take(self, block: bytes) -> None:
        self.digest.update(block)
        self.size += len(block)
        if self.size <= KEPT_BODY:
            self.kept += block
        else:
            self.kept.clear()


class Connection(BaseHTTPRequestHandler):
    """Serves the requests of one connection until either side ends it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Any:
        # The standard library looks for do_GET, do_PUT, ...; here every method takes the same way.
        if name.startswith("do_"):
            return self._respond
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the inherited name
        """Print nothing: what happened stands in the recording."""

    @property
    def _port(self) -> Accepting:
        return cast("Accepting", self.server)

    def _respond(self) -> None:
        body = self._read_body()
        path, _, query = self.path.partition("?")
        endpoint = self._port.endpoint(path)
        recording = self._port.exchange.recording
        request = RecordedRequest(
            role=endpoint.role,
            number=recording.next_number(),
            connection=self._port.number_of(self.request),
            elapsed=recording.elapsed,
            method=self.command,
            path=path,
            query=query,
            headers=tuple(self.headers.items()),
            body=bytes(body.kept),
            size=body.size,
            sha256=body.digest.hexdigest(),
            complete=body.complete,
        )
        if not body.complete:
            recording.arrived(request)
            self.close_connection = True
            return
        self._deliver(self._port.exchange.perform(endpoint, request))

    def _read_body(self) -> _Body:
        body = _Body()
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        try:
            length = int(self.headers["Content-Length"] or 0)
            for block in self._chunks() if chunked else self._counted(length):
                body.take(block)
        except (ConnectionError, EOFError, ValueError):
            body.complete = False
        return body

    def _counted(self, length: int) -> Iterator[bytes]:
        while length > 0:
            block = self.rfile.read(min(length, BLOCK))
            if not block:
                raise EOFError
            length -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._counted(size)
            self._line()
        while self._line().strip():  # trailers, up to the empty line
            pass

    def _line(self) -> bytes:
        line = self.rfile.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise EOFError
        return line

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self._send(delivery)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client has gone: nothing that the server has to say

    def _send(self, delivery: Delivery) -> None:
        answer = delivery.answer
        if answer is not None:
            status, headers, body = self._parts(answer)
            if delivery.drop:
                body = body[: len(body) // 2]
            for part, data in (("status", status), ("headers", headers), ("body", body)):
                if delivery.drip and delivery.drip.part == part:
                    self._drip(data, delivery.drip)
                else:
                    self.connection.sendall(data)
        if delivery.drop:
            self.close_connection = True
            if delivery.drop.how == "reset":
                self._port.reset(self.connection)

    def _drip(self, data: bytes, drip: Drip) -> None:
        end = time.monotonic() + drip.total
        for position in range(len(data)):
            if time.monotonic() >= end or self._port.exchange.stopping.wait(drip.interval):
                self.connection.sendall(data[position:])
                return
            self.connection.sendall(data[position : position + 1])

    def _parts(self, answer: Answer) -> tuple[bytes, bytes, bytes]:
        """Status line, headers with the empty line, and body as they go over the wire."""
        phrase = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else ""
        headers = [*answer.header_pairs, ("Date", self.date_time_string())]
        body = b"" if self.command == "HEAD" or answer.status in BODYLESS else answer.content
        if answer.chunks:
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"" if self.command == "HEAD" else _chunked(answer.chunks)
        elif answer.status not in BODYLESS and not (
            answer.names("Content-Length") or answer.names("Transfer-Encoding")
        ):
            headers.append(("Content-Length", f"{len(answer.content)}"))
        if self.close_connection:
            headers.append(("Connection", "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        return f"HTTP/1.1 {answer.status} {phrase}\r\n".encode(), lines.encode("latin-1", "replace"), body


def _chunked(chunks: tuple[bytes, ...]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"


def reset_on_close(connection: socket.socket) -> None:
    """Let `close` send a TCP reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
