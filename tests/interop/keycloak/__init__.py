"""Keycloak, the engine of movingimage, run as a process of its own."""

from .process import Keycloak, Realm, running_keycloak
from .realm import ANONYMOUS, API, NATIVE_APP, TELEVISION, WEB_APP, RealmSettings

__all__ = [
    "ANONYMOUS",
    "API",
    "NATIVE_APP",
    "TELEVISION",
    "WEB_APP",
    "Keycloak",
    "Realm",
    "RealmSettings",
    "running_keycloak",
]
