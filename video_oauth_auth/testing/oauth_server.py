"""The front door: a server that speaks as the RFCs do, and how to make those that speak like a platform."""

from collections.abc import Mapping
from dataclasses import dataclass

from .brightcove import BrightcoveServer
from .cidaas import CidaasServer
from .ibm_video_streaming import IBMVideoStreamingServer
from .movingimage import MovingimageServer
from .server import LoopbackServer

CLIENT_ID, CLIENT_SECRET = "test-client", "test-client-secret"
DAY = 86_400


@dataclass(kw_only=True, eq=False, repr=False)
class OAuthServer(LoopbackServer):
    """A real authorization server and a protected API on loopback, for tests (see `LoopbackServer`).

    `OAuthServer.movingimage()` and the others make servers that speak like a platform; what is no argument there
    is an attribute of what is made.
    """

    @staticmethod
    def brightcove(
        *, client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET, expires_in: float | None = 300
    ) -> BrightcoveServer:
        """A server that speaks like Brightcove Video Cloud (see `BrightcoveServer`).

        Args:
            client_id: The registered client.
            client_secret: Its secret.
            expires_in: Lifetime of access tokens in seconds.
        """
        return BrightcoveServer(client_id=client_id, client_secret=client_secret, expires_in=expires_in)

    @staticmethod
    def movingimage(
        *,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        users: Mapping[str, str] | None = None,
        expires_in: float | None = 300,
        refresh_expires_in: float | None = 3600,
    ) -> MovingimageServer:
        """A server that speaks like movingimage, which is a Keycloak and an API (see `MovingimageServer`).

        Args:
            client_id: The confidential client; the public client `anonymous` is there as well.
            client_secret: Its secret.
            users: Names and passwords of the people who can sign in.
            expires_in: Lifetime of access tokens in seconds.
            refresh_expires_in: Lifetime of refresh tokens in seconds; 0 for ever.
        """
        return MovingimageServer(
            client_id=client_id,
            client_secret=client_secret,
            users={} if users is None else users,
            expires_in=expires_in,
            refresh_expires_in=refresh_expires_in,
        )

    @staticmethod
    def ibm_video_streaming(
        *,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        users: Mapping[str, str] | None = None,
        expires_in: float | None = DAY,
    ) -> IBMVideoStreamingServer:
        """A server that speaks like IBM Video Streaming (see `IBMVideoStreamingServer`).

        Args:
            client_id: The registered client.
            client_secret: Its secret.
            users: Names and passwords of the people who can sign in.
            expires_in: Lifetime of access tokens in seconds.
        """
        return IBMVideoStreamingServer(
            client_id=client_id,
            client_secret=client_secret,
            users={} if users is None else users,
            expires_in=expires_in,
        )

    @staticmethod
    def cidaas(
        *,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        users: Mapping[str, str] | None = None,
        expires_in: float | None = DAY,
    ) -> CidaasServer:
        """A server that speaks like a cidaas tenant (see `CidaasServer`).

        Args:
            client_id: The registered client.
            client_secret: Its secret.
            users: Names and passwords of the people who can sign in.
            expires_in: Lifetime of access tokens in seconds.
        """
        return CidaasServer(
            client_id=client_id,
            client_secret=client_secret,
            users={} if users is None else users,
            expires_in=expires_in,
        )
