"""A pytest plugin: servers as fixtures, and a guard that keeps every token call on loopback.

To use it, write `pytest_plugins = ["video_oauth_auth.testing.plugin"]` into the `conftest.py` at the top.
"""

from collections.abc import Iterator

import pytest

from .brightcove import BrightcoveServer
from .cidaas import CidaasServer
from .ibm_video_streaming import IBMVideoStreamingServer
from .loopback import loopback_only
from .movingimage import MovingimageServer
from .oauth_server import OAuthServer

MARKER = "real_token_calls"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", f"{MARKER}: this test may make token calls that leave loopback")


@pytest.fixture
def oauth_server() -> Iterator[OAuthServer]:
    """A fresh `OAuthServer`, started; its settings can be changed by the test."""
    with OAuthServer() as server:
        yield server


@pytest.fixture
def brightcove_server() -> Iterator[BrightcoveServer]:
    """A fresh server that speaks like Brightcove, started."""
    with OAuthServer.brightcove() as server:
        yield server


@pytest.fixture
def movingimage_server() -> Iterator[MovingimageServer]:
    """A fresh server that speaks like movingimage, started."""
    with OAuthServer.movingimage() as server:
        yield server


@pytest.fixture
def ibm_video_streaming_server() -> Iterator[IBMVideoStreamingServer]:
    """A fresh server that speaks like IBM Video Streaming, started."""
    with OAuthServer.ibm_video_streaming() as server:
        yield server


@pytest.fixture
def cidaas_server() -> Iterator[CidaasServer]:
    """A fresh server that speaks like a cidaas tenant, started."""
    with OAuthServer.cidaas() as server:
        yield server


@pytest.fixture(autouse=True)
def _token_calls_stay_on_loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if one of its token calls tries to leave loopback, even if that error was swallowed."""
    if request.node.get_closest_marker(MARKER):
        yield
        return
    from video_oauth_auth import transport

    with loopback_only() as guard, pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "send", guard.watch(transport.send))
        yield
    if guard.attempts:
        hosts = ", ".join(dict.fromkeys(guard.attempts))
        pytest.fail(
            f"token calls tried to leave loopback: {hosts}. Let the test use a server of "
            f"video_oauth_auth.testing, mock the token call, or mark the test with @pytest.mark.{MARKER}.",
            pytrace=False,
        )
