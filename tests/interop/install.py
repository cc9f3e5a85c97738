"""Installs what a server or the browser needs: `python -m tests.interop.install keycloak`."""

import sys
from collections.abc import Callable

from .browser import install as browser
from .keycloak import install as keycloak
from .oidc_provider import install as oidc_provider
from .redis import install as redis

INSTALLERS: dict[str, Callable[[], str]] = {
    "oidc-provider": oidc_provider.install,
    "keycloak": keycloak.install,
    "redis": redis.install,
    "browser": browser.install,
}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(INSTALLERS[name](), file=sys.stderr)
