"""The bundled authorization server with its API, a storage and a foreign site, all on loopback."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from .api import Api
from .exchange import Endpoint, Exchange
from .faults import FaultPlan
from .grants import TokenEndpoint
from .listener import Listener, Port
from .metadata import metadata_answer
from .recording import RecordedRequest, Recording, Role
from .settings import Settings
from .storage import Storage, Upload
from .tokens import Ledger

if TYPE_CHECKING:
    from video_oauth_auth.server import AuthorizationServer

    from .brightcove import BrightcoveServer

GRANT_TYPES = ("client_credentials", "password", "refresh_token")
PORTS = ("token", "api", "storage", "foreign")


@dataclass(kw_only=True, eq=False, repr=False)
class OAuthServer(Settings):
    """A real authorization server and a protected API on loopback, for tests.

    Four origins: the authorization server, an API that checks every token, a storage for presigned uploads,
    and a foreign site. A context manager; or `start()` and `stop()`. All arguments are settings (see
    `Settings`) and can be changed while it runs.

    Attributes:
        token_faults, metadata_faults, api_faults, storage_faults, foreign_faults: How each misbehaves.
        failures: Errors of the servers themselves (say, in a function given to `Mutate`). Such a request got
            500; leaving the `with` block raises the first.
    """

    # What a dialect changes, besides the defaults of the settings.
    token_path: ClassVar[str] = "/token"  # noqa: S105 - a path
    has_metadata: ClassVar[bool] = True
    form_in_query: ClassVar[bool] = False
    api_class: ClassVar[type[Api]] = Api

    def __post_init__(self) -> None:
        self.failures: list[Exception] = []
        self._stopping = threading.Event()
        self._recording = Recording()
        self._ledger = Ledger(self)
        self._storage = Storage()
        self._listener: Listener | None = None
        self._port_numbers = dict.fromkeys(PORTS, 0)  # a server that is started again keeps its URLs
        self.api = self.api_class(self, self._ledger, self._storage)
        self.token_faults = self._plan()
        self.metadata_faults = self._plan()
        self.api_faults = self._plan()
        self.storage_faults = self._plan()
        self.foreign_faults = self._plan()
        self._endpoints = self._make_endpoints()

    def __repr__(self) -> str:
        where = self.url if self._listener else "not started"
        return f"<{type(self).__name__} {where}, {len(self.requests)} requests>"

    # Starting and stopping

    def start(self) -> Self:
        """Open the ports and serve; after a `stop()` on the same ports as before."""
        if self._listener:
            raise RuntimeError("the server has been started already")
        self._stopping.clear()
        exchange = Exchange(recording=self._recording, stopping=self._stopping, failures=self.failures)
        ports = [
            Port(
                name,
                port=self._port_numbers[name],
                endpoint=self._endpoint_behind(name),
                exchange=exchange,
            )
            for name in PORTS
        ]
        self._port_numbers = {port.name: port.server_address[1] for port in ports}
        self._listener = Listener(ports)
        self._storage.url = self.storage_url
        return self

    def stop(self) -> None:
        """Close the ports and every open connection; whatever is held or delayed is let go."""
        if not self._listener:
            return
        listener, self._listener = self._listener, None
        self._stopping.set()
        self.release()
        listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if error is None and self.failures:
            raise self.failures[0]

    # Where things are

    @property
    def url(self) -> str:
        """The origin of the authorization server, which is also its issuer."""
        return self._url_of("token")

    @property
    def token_endpoint(self) -> str:
        """The URL for token requests."""
        return self.url + self.token_path

    @property
    def api_url(self) -> str:
        """The origin of the protected API."""
        return self._url_of("api")

    @property
    def storage_url(self) -> str:
        """The origin that takes presigned uploads and refuses an `Authorization` header."""
        return self._url_of("storage")

    @property
    def foreign_url(self) -> str:
        """The origin of a site that must never see a token; it answers `foreign_answer`."""
        return self._url_of("foreign")

    @property
    def authorization_server(self) -> "AuthorizationServer":
        """This server as the value that a `TokenSource` takes."""
        from video_oauth_auth.server import AuthorizationServer

        issuer = self.url if self.has_metadata else None
        return AuthorizationServer(issuer=issuer, token_endpoint=self.token_endpoint)

    # Tokens

    def issue_token(self, *, subject: str | None = None, scope: str | None = None) -> Mapping[str, object]:
        """The members of a token answer for a new grant, without a token request: a seed for `token=`.

        Args:
            subject: Whose token it is; by default the client's own.
            scope: The granted scope.
        """
        return self._ledger.grant(subject=subject or self.client_id, scope=scope)

    def revoke_access_token(self, text: str) -> bool:
        """Revoke this access token before its time; False if it was not live."""
        return self._ledger.revoke_access_tokens(text) == 1

    def revoke_access_tokens(self) -> int:
        """Revoke all live access tokens; gives how many."""
        return self._ledger.revoke_access_tokens()

    def revoke_refresh_tokens(self) -> int:
        """Revoke all refresh tokens; gives how many."""
        return self._ledger.revoke_refresh_tokens()

    def advance(self, seconds: float) -> None:
        """Move the server's clock on, so that tokens expire without waiting. (The client's clock stays.)"""
        self._ledger.advance(seconds)

    @property
    def reuse_detected(self) -> int:
        """How often a spent refresh token was presented after its grace."""
        return self._ledger.reuse_detected

    def change_secret(self, new: str) -> None:
        """Give the client another secret; the old one is refused from now on."""
        self._ledger.learn({"client_secret": self.client_secret})
        self.client_secret = new

    def secrets(self) -> frozenset[str]:
        """Every token, client secret and password that was ever issued or known, to look for in output."""
        return self._ledger.texts() | {self.client_secret, *self.users.values()}

    # What was received

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """All requests so far in the order of arrival, those still under way included."""
        return self._recording.requests

    @property
    def token_calls(self) -> tuple[RecordedRequest, ...]:
        """The requests to the token endpoint."""
        return self.requests_to("token")

    def requests_to(self, role: Role) -> tuple[RecordedRequest, ...]:
        """The requests to the servers of one role."""
        return tuple(request for request in self.requests if request.role == role)

    @property
    def uploads(self) -> Mapping[str, Upload]:
        """What the storage holds, by the path of the object."""
        return dict(self._storage.uploads)

    def presigned_url(self, key: str) -> str:
        """A signed URL of the storage to which this object may be put."""
        return self._storage.presigned_url(key)

    def wait_for(self, predicate: Callable[[], object], timeout: float = 10.0) -> None:
        """Wait until the predicate is true; it is asked again whenever something has happened.

        Args:
            predicate: Takes nothing: `lambda: len(server.token_calls) == 3`.
            timeout: Seconds.

        Raises:
            TimeoutError: It did not become true in time.
        """
        self._recording.wait_for(predicate, timeout)

    @property
    def held(self) -> int:
        """How many requests are held at this moment."""
        return sum(endpoint.faults.held for endpoint in self._endpoints.values())

    def release(self) -> None:
        """Let go of all requests that are held."""
        for endpoint in self._endpoints.values():
            endpoint.faults.release()

    def clear(self) -> None:
        """Forget the recorded requests."""
        self._recording.clear()

    # How it is put together

    @classmethod
    def brightcove(
        cls,
        *,
        client_id: str = "test-client",
        client_secret: str = "test-client-secret",  # noqa: S107 - a test server's own
        expires_in: float | None = 300,
    ) -> "BrightcoveServer":
        """A server that speaks like Brightcove Video Cloud (see `BrightcoveServer`).

        Args:
            client_id, client_secret: The one registered client.
            expires_in: Lifetime of access tokens in seconds.
        """
        from .brightcove import BrightcoveServer

        return BrightcoveServer(client_id=client_id, client_secret=client_secret, expires_in=expires_in)

    def _plan(self) -> FaultPlan:
        return FaultPlan(notify=self._recording.notify, stopping=self._stopping)

    def _url_of(self, name: str) -> str:
        if not self._port_numbers[name]:
            raise RuntimeError("the server has no URLs before it is started")
        return f"http://127.0.0.1:{self._port_numbers[name]}"

    def _make_endpoints(self) -> dict[Role, Endpoint]:
        tokens = TokenEndpoint(self, self._ledger, form_in_query=self.form_in_query).answer
        learn, state = self._ledger.learn, self.api.token_state
        endpoints = (
            Endpoint(role="token", answer=tokens, faults=self.token_faults, learn=learn),
            Endpoint(
                role="metadata",
                answer=lambda request: metadata_answer(request, self._metadata()),
                faults=self.metadata_faults,
            ),
            Endpoint(role="api", answer=self.api.answer, faults=self.api_faults, token_state=state),
            Endpoint(role="storage", answer=self._storage.answer, faults=self.storage_faults),
            Endpoint(role="foreign", answer=lambda _: self.foreign_answer, faults=self.foreign_faults),
        )
        return {endpoint.role: endpoint for endpoint in endpoints}

    def _endpoint_behind(self, name: str) -> Callable[[str], Endpoint]:
        if name == "token":
            return lambda path: self._endpoints["token" if path == self.token_path else "metadata"]
        role: Role = name  # type: ignore[assignment]  # the other ports are named after their role
        return lambda _: self._endpoints[role]

    def _metadata(self) -> Mapping[str, object]:
        if not self.has_metadata:
            return {}
        return {
            "issuer": self.url,
            "token_endpoint": self.token_endpoint,
            "token_endpoint_auth_methods_supported": self.token_endpoint_auth_methods,
            "grant_types_supported": GRANT_TYPES,
            "response_types_supported": [],
        }
