"""What is installed on this machine for the tests: Debian's packages, and folders in a cache."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

APT_GET = ("apt-get", "-o", "DPkg::Lock::Timeout=120")
COMMAND_TIMEOUT = 900.0


def cache() -> Path:
    """The folder that holds the installations: `INTEROP_CACHE`, or `.interop` at the top of the checkout."""
    return Path(os.environ.get("INTEROP_CACHE") or Path(__file__).resolve().parents[2] / ".interop").resolve()


def make_once(target: Path, make: Callable[[Path], None]) -> None:
    """Lets `make` fill a folder that becomes `target`, unless there is one: a half-finished one never has that name."""
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent) as half_finished:
        build = Path(half_finished, "installation")
        build.mkdir()
        make(build)
        _publish(build, target)


def require(command: str, *packages: str) -> None:
    """Leaves a command on the path, from Debian's packages where it is missing."""
    if not shutil.which(command):
        install_packages(f"{command} is missing", *packages)


def install_packages(reason: str, *packages: str) -> None:
    """Installs Debian's packages; ends with the reason, and what to install by hand, where it cannot."""
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        raise SystemExit(f"{reason} and there is no apt-get: install what Debian has as {names}.")
    sudo = _sudo(reason, names)
    print(f"{reason}: installing Debian's {names}", flush=True)
    run(names, *sudo, *APT_GET, "update")
    run(names, *sudo, *APT_GET, "install", "-y", "--no-install-recommends", *packages)


def run(what: str, *command: str, cwd: Path | None = None) -> None:
    """Runs a command of the installation of `what`, which ends with the reason where the command fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, cwd=cwd, env=environment, check=True, timeout=COMMAND_TIMEOUT)
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemExit(f"cannot install {what}: {error}") from error


def _publish(build: Path, target: Path) -> None:
    try:
        build.rename(target)
    except OSError:
        if not target.is_dir():  # else another run was faster, with the same versions
            raise


def _sudo(reason: str, names: str) -> tuple[str, ...]:
    if os.geteuid() == 0:
        return ()
    if not shutil.which("sudo"):
        raise SystemExit(f"{reason}, and Debian's packages need root or sudo: install {names} first.")
    return ("sudo", "DEBIAN_FRONTEND=noninteractive")
