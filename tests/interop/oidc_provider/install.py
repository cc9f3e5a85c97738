"""Installs oidc-provider and the Node that it needs, from the npm registry, as `package-lock.json` pins them.

The folder is named after the hash of the lock file: a second run finds it and does nothing, a changed one
gets its own. A half-finished installation never has that name.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = ("package.json", "package-lock.json", ".npmrc")
APT_GET = ("apt-get", "-o", "DPkg::Lock::Timeout=120")


def cache() -> Path:
    """The folder that holds the installations: `INTEROP_CACHE`, or `.interop` at the top of the checkout."""
    return Path(os.environ.get("INTEROP_CACHE") or HERE.parents[2] / ".interop").resolve()


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


def require_npm() -> None:
    """Leaves npm on the path, from Debian's packages where it is missing."""
    if shutil.which("npm"):
        return
    if not shutil.which("apt-get"):
        raise SystemExit("npm is missing and there is no apt-get: install Node.js with npm first.")
    sudo = _sudo()
    print("npm is missing: installing Debian's nodejs and npm", flush=True)
    _run(*sudo, *APT_GET, "update")
    _run(*sudo, *APT_GET, "install", "-y", "--no-install-recommends", "nodejs", "npm")


def install() -> Path:
    """Installs what is missing and returns the folder; ends with the reason where it cannot."""
    target = installation()
    if target.is_dir():
        return target
    require_npm()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent) as half_finished:
        build = Path(half_finished, "installation")
        build.mkdir()
        for name in MANIFEST:
            shutil.copy(HERE / name, build)
        # No package here needs an install script, so none gets to run.
        _run("npm", "ci", "--ignore-scripts", cwd=build)
        _run(str(node(build)), "--version")
        _publish(build, target)
    return target


def _publish(build: Path, target: Path) -> None:
    try:
        build.rename(target)
    except OSError:
        if not target.is_dir():  # else another run was faster, with the same versions
            raise


def _sudo() -> tuple[str, ...]:
    if os.geteuid() == 0:
        return ()
    if not shutil.which("sudo"):
        raise SystemExit("npm is missing, and Debian packages need root or sudo: install npm first.")
    return ("sudo", "DEBIAN_FRONTEND=noninteractive")


def _run(*command: str, cwd: Path | None = None) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, cwd=cwd, env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"cannot install oidc-provider: {error}") from error


if __name__ == "__main__":
    print(f"oidc-provider is in {install()}", file=sys.stderr)
