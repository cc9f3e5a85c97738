"""Installs Keycloak by Maven, built with the options that it always runs with here, and the Java that it needs.

The folder is named after the version and the options: a second run finds it and does nothing, other ones get
their own.
"""

import hashlib
import os
import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

from ..machine import cache, install_packages, make_once, require, run

VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
OLDEST_JAVA = 17
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
# Without /auth before /realms its URLs would not be like movingimage's.
BUILD_OPTIONS = (
    "--db=dev-mem",
    "--http-relative-path=/auth",
    "--health-enabled=false",
    "--metrics-enabled=false",
)


def installation() -> Path:
    """Where this version, built with these options, is or will be."""
    digest = hashlib.sha256(" ".join((SHA256, *BUILD_OPTIONS)).encode()).hexdigest()
    return cache() / f"keycloak-{VERSION}-{digest[:16]}"


def install() -> str:
    """Installs what is missing and says where it is; ends with the reason where it cannot."""
    require_java()
    make_once(installation(), _fill)
    return f"Keycloak {VERSION} is in {installation()}"


def require_java() -> None:
    """Leaves a Java that Keycloak runs on, from Debian's packages where there is none."""
    if java_version() >= OLDEST_JAVA:
        return
    reason = f"Java {OLDEST_JAVA} or later is missing"
    if not os.environ.get("JAVA_HOME"):
        install_packages(reason, "default-jre-headless")
    if java_version() < OLDEST_JAVA:
        found = java_version() or "nothing"
        raise SystemExit(f"{reason}: `{java()} -version` says {found}. Correct JAVA_HOME or PATH.")


def java() -> str:
    """The Java that Keycloak's own script starts."""
    home = os.environ.get("JAVA_HOME")
    return f"{home}/bin/java" if home else "java"


def java_version() -> int:
    """The major version of that Java, 0 if there is none."""
    try:
        said = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(\d+)', said.stderr + said.stdout)
    return int(found[1]) if found else 0


def _fill(folder: Path) -> None:
    require("mvn", "maven")
    with tempfile.TemporaryDirectory(dir=folder.parent) as downloads:
        # A Maven repository of its own: its copy of the archive is not needed afterwards.
        run(
            "Keycloak",
            *("mvn", "--batch-mode", "--quiet", "--strict-checksums", f"-Dmaven.repo.local={downloads}/repository"),
            *(COPY, f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip", f"-DoutputDirectory={downloads}"),
            cwd=Path(downloads),
        )
        _unpack(Path(downloads, f"keycloak-quarkus-dist-{VERSION}.zip"), folder)
    run("Keycloak", str(folder / "bin" / "kc.sh"), "build", *BUILD_OPTIONS)


def _unpack(archive: Path, folder: Path) -> None:
    with archive.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != SHA256:
            raise SystemExit(f"cannot install Keycloak: {archive.name} is not the archive that is pinned here.")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    (top,) = folder.iterdir()
    for entry in top.iterdir():
        entry.rename(folder / entry.name)
    top.rmdir()
    (folder / "bin" / "kc.sh").chmod(0o755)
