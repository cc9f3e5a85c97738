"""Every block of code in the README and the docs runs as it stands there."""

from __future__ import annotations

import ast
import hashlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from .test_tls import self_signed
from .world import World, world

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"text", "console"}


def blocks(document: str, language: str) -> list[str]:
    """Give a document's blocks in one language."""
    return [code for kind, code in BLOCK.findall((ROOT / document).read_text()) if kind == language]


FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in FILES)
# Their blocks are for real hosts, and each goes on where the one before it ended; those of the others are programs.
PAGES = {
    "README.md": ("brightcove",),
    "docs/brightcove.md": ("brightcove",),
    "docs/movingimage.md": ("movingimage",),
    "docs/ibm_video_streaming.md": ("ibm_video_streaming",),
    "docs/cidaas.md": ("cidaas",),
    "docs/how_to/corporate_network.md": ("example",),
    "docs/discovery.md": ("example",),
    "docs/signing_in.md": ("movingimage", "ibm_video_streaming", "cidaas"),
}
TUTORIAL = "docs/tutorial.md"  # its blocks are one program, which grows
MOVING = tuple(name for name in DOCUMENTS if "/moving_from_" in name)  # test_moving.py runs theirs, in two columns
PROGRAMS = [name for name in DOCUMENTS if name not in (*PAGES, *MOVING, TUTORIAL)]
IN_DOCS = [(name, number) for name in PROGRAMS for number in range(len(blocks(name, "python")))]


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("HOME", "LOCALAPPDATA", "XDG_STATE_HOME"):  # where FileStore keeps tokens
        monkeypatch.setenv(name, str(tmp_path / "home"))
    with world() as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        made.brightcove.add_video("123", "Summer")
        films = made.movingimage.add_video_manager("Films")
        made.movingimage.add_video(films, "Summer")
        made.ibm_video_streaming.add_channel("News")
        made.ibm_video_streaming.add_views(datetime(2026, 1, 15, tzinfo=UTC), 11)
        made.cidaas.add_group("crew", "Crew")
        yield made


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_has_a_language_that_is_run_or_known_to_be_shown_only(document: str) -> None:
    languages = {kind for kind, _ in BLOCK.findall((ROOT / document).read_text())}
    assert languages <= {"python", "diff", *SHOWN_ONLY}
    assert (ROOT / document).read_text().count("```") % 2 == 0


@pytest.mark.parametrize("document", PAGES)
def test_the_blocks_of_a_page_for_real_hosts_run_one_after_the_other(
    document: str,
    hosts: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("company-ca.pem", "client.pem"):
        (tmp_path / name).write_bytes(self_signed(tmp_path).read_bytes())
    monkeypatch.chdir(tmp_path)
    names = {**hosts.names(), "answer": hosts.movingimage.issue_token(subject="ann")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for number, code in enumerate(blocks(document, "python")):
        code = code.replace("127.0.0.1:8400", f"127.0.0.1:{port}")  # which may be taken on this machine
        exec(compile(code, f"{document}, block {number}", "exec"), names)
    assert capsys.readouterr().out  # they print what they got
    for platform in PAGES[document]:
        assert 200 in [call.status for call in getattr(hosts, platform).token_calls]


@pytest.mark.parametrize(("document", "number"), IN_DOCS)
def test_each_block_of_the_docs_runs_by_itself(document: str, number: int, pytester: pytest.Pytester) -> None:
    """As a program, or with pytest where it holds tests."""
    code = blocks(document, "python")[number]
    path = pytester.makepyfile(test_block=code)
    command = [sys.executable, str(path)]
    if "def test_" in code:
        command[1:1] = ["-m", "pytest", "-q", "-p", "video_oauth_auth.testing.plugin"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=path.parent)
    assert run.returncode == 0, run.stdout + run.stderr


def test_each_block_of_the_tutorial_prints_what_the_page_shows_below_it(tmp_path: Path) -> None:
    found = BLOCK.findall((ROOT / TUTORIAL).read_text())
    steps = [
        (code, below if kind == "text" else "")
        for (language, code), (kind, below) in pairwise([*found, ("", "")])
        if language == "python"
    ]
    (tmp_path / "tutorial.py").write_text("print('---', flush=True)\n".join(code for code, _ in steps))
    command = [sys.executable, "tutorial.py"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    ports = re.compile(r"(?<=127\.0\.0\.1:)\d+")
    assert ports.sub("PORT", run.stdout) == ports.sub("PORT", "---\n".join(below for _, below in steps))


def test_the_readmes_script_uploads_a_folder_after_its_three_changed_lines(
    hosts: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    brightcove = hosts.brightcove
    (diff,) = blocks("README.md", "diff")
    before = "\n".join(line[1:] for line in diff.splitlines() if not line.startswith("+"))
    after = "\n".join(line[1:] for line in diff.splitlines() if not line.startswith("-"))
    ast.parse(before)
    bodies = {f"film {number}.mp4": bytes([number]) * 10_000 for number in range(20)}
    for name, body in bodies.items():
        (tmp_path / name.replace(" ", "_")).write_bytes(body)
    monkeypatch.setenv("BRIGHTCOVE_ACCOUNT_ID", "123")
    monkeypatch.setattr(sys, "argv", ["upload.py", str(tmp_path)])
    exec(compile(after, "README.md, the script", "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) == len(bodies)
    stored = {request.sha256 for request in brightcove.requests if request.role == "storage"}
    assert stored == {hashlib.sha256(body).hexdigest() for body in bodies.values()}
    assert len(brightcove.token_calls) == 1


def test_the_readmes_first_two_commands_are_the_demo_and_the_tests() -> None:
    assert re.findall(r"make \w+", (ROOT / "README.md").read_text())[:2] == ["make demo", "make test"]
