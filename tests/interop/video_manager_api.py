"""The API of movingimage as a customer has it on a host of their own: it says where its Keycloak is."""

from urllib.parse import urlencode

from .introspecting_api import IntrospectingApi
from .keycloak import API, Realm

OPENID = "/.well-known/openid-configuration"
ISSUER_LINK = "http://openid.net/specs/connect/1.0/issuer"
VIDEO_MANAGERS = "/v1/vms"
VIDEO_MANAGER = {"id": 4001, "name": "Films"}


class VideoManagerApi(IntrospectingApi):
    """Has one VideoManager, and asks the realm about each token."""

    def __init__(self, realm: Realm) -> None:
        super().__init__(realm.introspection_endpoint, API, realm.settings.api_secret)
        self.realm = realm
        self.url = f"{self.origin}/v1/"
        self.video_managers_url = f"{self.origin}{VIDEO_MANAGERS}"
        self._configuration_url = f"{realm.issuer}{OPENID}"
        self._web_finger = f"/.well-known/webfinger?{urlencode({'resource': self.url})}"

    def public(self, path: str) -> object | None:
        """The WebFinger document, whose link names the configuration and not the issuer."""
        if path != self._web_finger:
            return None
        return {"subject": self.url, "links": [{"rel": ISSUER_LINK, "href": self._configuration_url}]}

    def resource(self, path: str) -> object | None:
        return [VIDEO_MANAGER] if path == VIDEO_MANAGERS else None
