"""A protected API that knows nothing about tokens: for every request it asks the provider (RFC 7662)."""

import base64
import hashlib
import http.client
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

INTROSPECTION_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived, and how it was answered."""

    method: str
    path: str
    access_token: str | None
    body: bytes
    status: int


class IntrospectingApi(ThreadingHTTPServer):
    """Answers GET and PUT at any path, to those whose access token the provider calls active."""

    daemon_threads = True
    request_queue_size = 512  # 250 callers connect at the same moment

    def __init__(self, introspection_endpoint: str, client_id: str, client_secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"
        self._introspection = urlsplit(introspection_endpoint)
        credentials = f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()
        self._authorization = f"Basic {base64.b64encode(credentials).decode()}"
        self._received: list[Received] = []
        self._lock = threading.Lock()

    def introspect(self, token: str) -> dict[str, Any]:
        """The provider's answer about this token, asked now."""
        connection = http.client.HTTPConnection(self._introspection.netloc, timeout=INTROSPECTION_TIMEOUT)
        headers = {
            "Authorization": self._authorization,
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            connection.request("POST", self._introspection.path, urlencode({"token": token}), headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"introspection failed: {response.status} {answer}")
        return answer

    def accepts(self, token: str | None) -> bool:
        # oidc-provider and Keycloak call refresh tokens active too, but only access tokens are of the type Bearer.
        if token is None:
            return False
        answer = self.introspect(token)
        return answer["active"] is True and answer.get("token_type") == "Bearer"

    def public(self, path: str) -> object | None:
        """A document that everybody gets without a token, if there is one at this path (which has the query)."""
        return None

    def resource(self, path: str) -> object | None:
        """What those get who have a token, instead of what is known about their request."""
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A caller may hang up; anything else is a fault of this server and is shown.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def record(self, received: Received) -> None:
        with self._lock:
            self._received.append(received)

    def received(self, path: str) -> list[Received]:
        """The requests for one path so far, in the order in which they were answered."""
        with self._lock:
            return [received for received in self._received if received.path == path]


class _Exchange(BaseHTTPRequestHandler):
    server: IntrospectingApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        self._exchange()

    def do_PUT(self) -> None:
        self._exchange()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the parent's parameter
        """Stays silent: the record says it better."""

    def _exchange(self) -> None:
        body = self._read_body()
        token = self._bearer_token()
        content = self.server.public(self.path)
        status = 200 if content is not None or self.server.accepts(token) else 401
        self.server.record(Received(method=self.command, path=self.path, access_token=token, body=body, status=status))
        if content is None and status == 200:
            content = self.server.resource(self.path)
        self._answer(status, content or {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()})

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _bearer_token(self) -> str | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme == "Bearer" and token else None

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="interop", error="invalid_token"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


Api = TypeVar("Api", bound=IntrospectingApi)


@contextmanager
def running_api(api: Api) -> Iterator[Api]:
    """Serves on a thread until the block ends."""
    with api:
        thread = threading.Thread(target=api.serve_forever, name="interop-api")
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()
