"""One oidc-provider and one introspecting API for the run; a client and a URL of its own for each test."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .exchange import Exchange
from .introspecting_api import IntrospectingApi, running_api
from .oidc_provider import OidcProvider, RegisteredClient, running_oidc_provider


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    """Everything here is on loopback, which a proxy from the environment cannot reach."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("NO_PROXY", "no_proxy"):
            environment.setenv(name, "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    log: Path = tmp_path_factory.mktemp("oidc-provider") / "stderr.log"
    with running_oidc_provider(log) as provider:
        yield provider


@pytest.fixture(scope="session")
def api(provider: OidcProvider) -> Iterator[IntrospectingApi]:
    client = RegisteredClient(client_id="api", client_secret=secrets.token_urlsafe())
    provider.register(client)
    with running_api(IntrospectingApi(provider.introspection_endpoint, client)) as api:
        yield api


@pytest.fixture
def url(api: IntrospectingApi) -> str:
    """A resource that no other test asks for."""
    return f"{api.origin}/{secrets.token_hex(8)}"


@pytest.fixture
def exchange(provider: OidcProvider, api: IntrospectingApi, url: str) -> Exchange:
    return Exchange(provider=provider, api=api, url=url)


@pytest.fixture
def register(provider: OidcProvider) -> Callable[..., RegisteredClient]:
    """Registers a client that no other test uses, with what the test says about it."""

    def register(**about: Any) -> RegisteredClient:
        fresh: dict[str, Any] = {
            "client_id": f"client-{secrets.token_hex(8)}",
            "client_secret": secrets.token_urlsafe(),
        }
        return provider.register(RegisteredClient(**(fresh | about)))

    return register
