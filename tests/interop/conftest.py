"""One server of each kind for the run, started when a test first asks for it, and what each test has for itself.

oidc-provider: `exchange` has the server, an API that asks it about every token, and a URL of the test's own; `register`
makes clients.

Keycloak: `platform` is a realm with the lifetimes of movingimage, `short` one whose tokens live for seconds. Both have
the clients of `keycloak.realm` and the people `alice` and `bob`, and know no event when a test begins. `platform_api`
and `short_api` are a VideoManager's API that asks them about every token.

Redis: `redis_server` has entries of other tests; `own_redis` is the test's own, which may hang or end; `redis_cluster`
is a node that has all slots of a cluster.

A person: `browser` is a Chromium of the test's own, which has never been anywhere; `sign_in`, `deny` and `sign_out` in
`browser.pages` do what a person does with the pages of both servers, as `test_logins.opened_by` for a `login()`.
`landing` is a page on loopback to which an authorization server can send the browser back.
"""

import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from .browser.driver import open_browser
from .browser.landing import Landing, running_landing
from .exchange import Exchange
from .introspecting_api import IntrospectingApi, running_api
from .keycloak import Keycloak, Realm, RealmSettings, running_keycloak
from .keycloak.process import START_TIMEOUT
from .oidc_provider import OidcProvider, RegisteredClient, running_oidc_provider
from .redis import RedisServer, running_redis
from .video_manager_api import VideoManagerApi

ONE_TEST = 120.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that asks for Keycloak waits for its start, too."""
    for item in items:
        if "keycloak" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(START_TIMEOUT + ONE_TEST))


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    """Everything here is on loopback, which a proxy from the environment cannot reach."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("NO_PROXY", "no_proxy"):
            environment.setenv(name, "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="session", autouse=True)
def _stopped_by_sigterm() -> Iterator[None]:
    """A SIGTERM ends this run as Ctrl-C does, so that the servers and the browser do not outlive it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    log: Path = tmp_path_factory.mktemp("oidc-provider") / "stderr.log"
    with running_oidc_provider(log) as provider:
        yield provider


@pytest.fixture(scope="session")
def api(provider: OidcProvider) -> Iterator[IntrospectingApi]:
    client = RegisteredClient(client_id="api", client_secret=secrets.token_urlsafe())
    provider.register(client)
    with running_api(IntrospectingApi(provider.introspection_endpoint, client.client_id, client.client_secret)) as api:
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


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    with running_keycloak(tmp_path_factory.mktemp("keycloak")) as keycloak:
        yield keycloak


@pytest.fixture(scope="session")
def platform_api(keycloak: Keycloak) -> Iterator[VideoManagerApi]:
    settings = RealmSettings(name="platform", access_token_lifespan=300, session_idle=3600)
    with running_api(VideoManagerApi(keycloak.add_realm(settings))) as api:
        yield api


@pytest.fixture(scope="session")
def short_api(keycloak: Keycloak) -> Iterator[VideoManagerApi]:
    settings = RealmSettings(name="short", access_token_lifespan=3, session_idle=7)
    with running_api(VideoManagerApi(keycloak.add_realm(settings))) as api:
        yield api


@pytest.fixture
def platform(platform_api: VideoManagerApi) -> Realm:
    platform_api.realm.forget_events()
    return platform_api.realm


@pytest.fixture
def short(short_api: VideoManagerApi) -> Realm:
    short_api.realm.forget_events()
    return short_api.realm


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), cluster_enabled="yes") as server:
        server.make_cluster()
        yield server


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with open_browser(tmp_path) as browser:
        yield browser


@pytest.fixture
def landing() -> Iterator[Landing]:
    with running_landing() as landing:
        yield landing
