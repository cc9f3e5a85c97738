"""Installs oidc-provider and the Node that it needs, from the npm registry, as `package-lock.json` pins them.

The folder is named after the hash of the lock file: a second run finds it and does nothing, a changed one
gets its own.
"""

import hashlib
import shutil
from pathlib import Path

from ..machine import cache, make_once, require, run

HERE = Path(__file__).resolve().parent
MANIFEST = ("package.json", "package-lock.json", ".npmrc")


def installation() -> Path:
    """Where the pinned versions are, or will be."""
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in MANIFEST)).hexdigest()
    return cache() / f"oidc-provider-{digest[:16]}"


def node(folder: Path) -> Path:
    """The Node binary inside an installation: npm unpacks the one of this machine's architecture only."""
    binaries = sorted(folder.glob("node_modules/node-linux-*/bin/node"))
    if not binaries:
        raise SystemExit(f"{folder} holds no Node for this machine: there is Linux on x64 and arm64.")
    return binaries[0]


def install() -> str:
    """Installs what is missing and says where it is; ends with the reason where it cannot."""
    make_once(installation(), _fill)
    return f"oidc-provider is in {installation()}"


def _fill(folder: Path) -> None:
    require("npm", "nodejs", "npm")
    for name in MANIFEST:
        shutil.copy(HERE / name, folder)
    # No package here needs an install script, so none gets to run.
    run("oidc-provider", "npm", "ci", "--ignore-scripts", cwd=folder)
    run("oidc-provider", str(node(folder)), "--version")
