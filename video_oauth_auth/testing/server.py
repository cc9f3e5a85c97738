"""The bundled authorization server with its API, a storage and a foreign site, all on loopback."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from .api import Api
from .dialect import Dialect
from .exchange import Exchange
from .faults import FaultPlan
from .listener import Listener, Port
from .metadata import metadata
from .minting import ID_TOKEN_LIFETIME, Mint
from .recording import RecordedRequest, Recording, Role
from .settings import Settings
from .site import Site
from .storage import Storage, Upload
from .tokens import Ledger
from .wiring import Documents, Wiring

if TYPE_CHECKING:
    from video_oauth_auth.server import AuthorizationServer


@dataclass(kw_only=True, eq=False, repr=False)
class LoopbackServer(Settings):
    """A real authorization server and a protected API on loopback, for tests.

    Four origins: the authorization server, an API that checks every token, a storage for presigned uploads,
    and a foreign site. A context manager; or `start()` and `stop()`. All arguments are settings (see
    `Settings`) and can be changed while it runs.

    Attributes:
        authorization_faults: How the authorization endpoint misbehaves.
        device_faults: How the device authorization endpoint misbehaves.
        token_faults: How the token endpoint misbehaves.
        revocation_faults: How the revocation endpoint misbehaves.
        metadata_faults: How the metadata misbehave.
        api_faults: How the API misbehaves.
        storage_faults: How the storage misbehaves.
        foreign_faults: How the foreign site misbehaves.
        failures: Errors of the servers themselves (say, in a function given to `Mutate`). Such a request got
            500; leaving the `with` block raises the first.
    """

    # What makes it speak like one platform; `apis` are on ports of their own.
    dialect: ClassVar[Dialect] = Dialect()
    mint: ClassVar[type[Mint]] = Mint
    apis: ClassVar[Mapping[Role, type[Api]]] = {"api": Api}
    documents: ClassVar[Documents] = {}

    def __post_init__(self) -> None:
        self.failures: list[Exception] = []
        self._stopping = threading.Event()
        self._recording = Recording()
        self._listener: Listener | None = None
        # A server that is started again keeps its URLs.
        self._site = Site(
            settings=self,
            dialect=self.dialect,
            ports=dict.fromkeys(("token", *self.apis, "storage", "foreign"), 0),
        )
        self._ledger = Ledger(self.mint(self._site))
        self._storage = Storage()
        self._wiring = Wiring(
            self._site,
            self._ledger,
            storage=self._storage,
            apis={role: api(self._site, self._ledger, self._storage) for role, api in self.apis.items()},
            documents=self.documents,
            notify=self._recording.notify,
            stopping=self._stopping,
        )
        self.api: Api = self._wiring.apis["api"]
        plans = self._wiring.plans
        self.authorization_faults: FaultPlan = plans["authorization"]
        self.device_faults: FaultPlan = plans["device"]
        self.token_faults: FaultPlan = plans["token"]
        self.revocation_faults: FaultPlan = plans["revocation"]
        self.metadata_faults: FaultPlan = plans["metadata"]
        self.api_faults: FaultPlan = plans["api"]
        self.storage_faults: FaultPlan = plans["storage"]
        self.foreign_faults: FaultPlan = plans["foreign"]

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
            Port(name, port=number, endpoint=partial(self._wiring.behind, name), exchange=exchange)
            for name, number in self._site.ports.items()
        ]
        self._site.ports.update({port.name: port.server_address[1] for port in ports})
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
        """The origin of the authorization server."""
        return self._site.origin("token")

    @property
    def issuer(self) -> str:
        """The issuer identifier, as clients know it: the origin, and `issuer_path`."""
        return self._site.issuer

    @property
    def token_endpoint(self) -> str:
        """The URL for token requests."""
        return self.url + self.dialect.endpoints["token_endpoint"]

    @property
    def api_url(self) -> str:
        """The origin of the protected API."""
        return self._site.origin("api")

    @property
    def storage_url(self) -> str:
        """The origin that takes presigned uploads and refuses an `Authorization` header."""
        return self._site.origin("storage")

    @property
    def foreign_url(self) -> str:
        """The origin of a site that must never see a token; it answers `foreign_answer`."""
        return self._site.origin("foreign")

    @property
    def authorization_server(self) -> "AuthorizationServer":
        """This server as the value that a `TokenSource` takes: what its metadata say, discovered or not."""
        from video_oauth_auth.server import AuthorizationServer

        members = metadata(self._site)
        return AuthorizationServer.from_metadata(
            {name: value for name, value in members.items() if name != "issuer" or self.discovery_documents}
        )

    # Tokens

    def issue_token(self, *, subject: str | None = None, scope: str | None = None) -> Mapping[str, object]:
        """The members of a token answer for a new grant, without a token request: a seed for `token=`.

        Args:
            subject: The user whose token it is; by default the client's own.
            scope: The granted scope.
        """
        return self._ledger.grant(user=subject, client_id=self.client_id, scope=scope)

    def revoke_access_token(self, text: str) -> bool:
        """Revoke this access token before its time; False if it was not live."""
        return self._ledger.revoke_access_tokens(text) == 1

    def revoke_access_tokens(self) -> int:
        """Revoke all live access tokens; gives how many."""
        return self._ledger.revoke_access_tokens()

    def revoke_refresh_tokens(self) -> int:
        """Revoke all refresh tokens; gives how many."""
        return self._ledger.revoke_refresh_tokens()

    def rotate_keys(self) -> None:
        """Sign with another key from now on; the JWKS has this one alone, and only its `kid`."""
        self._site.key.rotate()

    def sign(self, claims: Mapping[str, object]) -> str:
        """A JWT with these claims, signed with the key of the server: for an ID token that says something else.

        `iat`, `jti` and `exp` (in 300 s) are added where they are not among the claims; one that is None is left
        out.
        """
        return self._site.key.sign(claims, lifetime=ID_TOKEN_LIFETIME)

    def advance(self, seconds: float) -> None:
        """Move the server's clock on, so that tokens and codes expire without waiting. (The client's clock stays.)"""
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
        """Every token, code, client secret and password that was ever issued or known, to look for in output.

        With what clients made for logins: `state`, `nonce`, `code_verifier`.
        """
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
        return sum(plan.held for plan in self._wiring.plans.values())

    def release(self) -> None:
        """Let go of all requests that are held."""
        for plan in self._wiring.plans.values():
            plan.release()

    def clear(self) -> None:
        """Forget the recorded requests."""
        self._recording.clear()
