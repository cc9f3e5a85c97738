"""The command as it is installed: without the extra `cli` it says so, with it the demo runs from the wheel alone."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

from .test_packaging import run, wheel

pytestmark = pytest.mark.timeout(600)

__all__ = ["wheel"]  # the fixture


def test_the_command_says_what_is_missing_and_works_once_it_is_there(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, wheel, cwd=tmp_path)
    command = [str(programs / "video-oauth-auth"), "demo"]
    alone = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr.endswith("pip install 'video-oauth-auth[cli]'\n")
    run(*pip, f"{wheel}[cli]", cwd=tmp_path)
    assert "160 answers, 0 of them no 200" in run(*command, cwd=tmp_path)
    home = {name: str(tmp_path / "home") for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    assert run(command[0], "status", cwd=tmp_path, **home) == ""
