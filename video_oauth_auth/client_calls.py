"""One call of a client to one of the server's endpoints: where it is, who asks, the exchange."""

from __future__ import annotations

from typing import Protocol

from . import transport
from .budget import Budget
from .client import ClientCredential, OAuthClient, authentication_method
from .discovery import Directory
from .documents import endpoint_of
from .endpoints import HTTPRequest, HTTPResponse, Parameters, form_request
from .errors import ConfigurationError, TransportError

__all__ = ["ClientCalls", "is_enough"]

LEAST = 1.0  # seconds that an exchange is begun with


def is_enough(budget: Budget, *, after: float = 0.0) -> bool:
    """Tell whether there is time for an exchange, so many seconds from now: one whose answer could be read."""
    return budget.remaining() - after >= min(LEAST, budget.seconds / 10)


class Means(Protocol):
    """What an exchange is made with: a renewal's `Attempt`, or an `Errand`."""

    @property
    def budget(self) -> Budget: ...
    @property
    def via(self) -> transport.Via: ...


class ClientCalls:
    """Makes calls as one client.

    Args:
        directory: knows where the endpoints are and which client authentication they take.
        client: who asks.
    """

    __slots__ = ("_client", "_directory")

    def __init__(self, directory: Directory, client: OAuthClient) -> None:
        self._directory = directory
        self._client = client

    def send(
        self, endpoint: str, parameters: Parameters, means: Means, *, credential: ClientCredential | None = None
    ) -> tuple[HTTPRequest, HTTPResponse]:
        """Send a form to an endpoint; gives what was sent and the complete answer, whatever its status.

        Args:
            endpoint: the metadata member that names it.
            parameters: the form parameters.
            means: the budget and the library.
            credential: the client's id and secret; asked for, if not given.

        Raises:
            ConfigurationError: the server has no such endpoint.
            TransportError, InvalidResponseError: no complete answer.
        """
        transport.warm_up(means.via.library)
        server = self._directory.current(means.via, means.budget)
        url = endpoint_of(server, endpoint, self._directory.insecure_origins)
        if url is None:
            raise ConfigurationError(f"{server.name} names no {endpoint} in its metadata")
        if credential is None:
            means.budget.phase = "asking for the client's secret"
            credential = self._client.current()
        method = authentication_method(self._client, server)
        request = form_request(url, credential, method, parameters, server=server)
        budget = means.budget
        if not is_enough(budget):
            raise TransportError(f"no time was left for {endpoint} after {budget.phase}; nothing was sent", sent=False)
        return request, transport.send(request, via=means.via, budget=means.budget)
