"""What the parts of one server share: settings, dialect, where everything is, and the key for signatures."""

import secrets
from dataclasses import dataclass, field

from .dialect import Dialect
from .settings import OAUTH_METADATA, OPENID_CONFIGURATION, Settings
from .signing import SigningKey


@dataclass(kw_only=True, eq=False, repr=False)
class Site:
    """The settings and the dialect of a server, and its URLs once its ports are open.

    Attributes:
        ports: The number of each port by its name; 0 until it has been opened.
        key: Signs what is a JWT.
    """

    settings: Settings
    dialect: Dialect
    ports: dict[str, int]
    key: SigningKey = field(default_factory=SigningKey)

    def origin(self, port: str) -> str:
        """The origin of a port on loopback."""
        if not self.ports[port]:
            raise RuntimeError("the server has no URLs before it is started")
        return f"http://127.0.0.1:{self.ports[port]}"

    def public_origin(self, port: str) -> str:
        """The origin under which clients know a port."""
        return self.settings.public_origins.get(port) or self.origin(port)

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.public_origin("token") + self.settings.issuer_path

    def endpoint(self, name: str) -> str | None:
        """The URL of an endpoint as clients know it, by its name in the metadata."""
        path = self.dialect.endpoints.get(name)
        return None if path is None else self.public_origin("token") + path

    def is_right_password(self, username: str, password: str) -> bool:
        """Whether there is such a user with this password."""
        known = self.settings.users.get(username)
        return known is not None and secrets.compare_digest(known.encode(), password.encode())

    def discovery_paths(self) -> tuple[str, ...]:
        """Where the metadata are (OpenID Connect Discovery section 4, RFC 8414 section 3.1)."""
        path = self.settings.issuer_path
        places = {
            OPENID_CONFIGURATION: f"{path}/.well-known/{OPENID_CONFIGURATION}",
            OAUTH_METADATA: f"/.well-known/{OAUTH_METADATA}{path}",
        }
        return tuple(places[name] for name in self.settings.discovery_documents)
