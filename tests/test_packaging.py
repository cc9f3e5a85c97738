"""What is published: what the sdist and the wheel hold, and that the wheel works in an empty environment."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from video_oauth_auth.testing import OAuthServer

pytestmark = pytest.mark.timeout(600)  # the first test builds everything and fills an environment

PROJECT = Path(__file__).parent.parent
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program without anything of this test run in its way, and give what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE", "COV_"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Distributions:
    """What is published, and what it is compared with.

    Attributes:
        sdist: the source distribution.
        wheel: built from the sdist.
        wheel_of_the_tree: built from the tree, without an sdist in between.
    """

    sdist: Path
    wheel: Path
    wheel_of_the_tree: Path


def project_files() -> list[str]:
    """Give the names of the project's files: what git has and what is new, or what an unpacked sdist brought."""
    if (PROJECT / ".git").exists():
        listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=PROJECT).split("\0")
    else:
        listed = (PROJECT / "video_oauth_auth.egg-info" / "SOURCES.txt").read_text(encoding="utf-8").splitlines()
        listed = [name for name in listed if not name.startswith("video_oauth_auth.egg-info/")]
    return [name for name in listed if (PROJECT / name).is_file()]


@cache
def built_in(folder: Path) -> Distributions:
    """Build from a clean copy, so that nothing of a checkout gets in; what is in the folder DIST is built already."""
    source, tree, dist = folder / "source", folder / "tree", Path(os.environ.get("DIST", folder / "dist"))
    for name in project_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((PROJECT / name).read_bytes())
    build = (sys.executable, "-W", "ignore", "-m", "build", "--outdir")
    if "DIST" not in os.environ:
        run(*build, dist, source, cwd=folder)
    run(*build, tree, "--wheel", source, cwd=folder)
    (sdist,), (wheel,), (wheel_of_the_tree,) = dist.glob("*.tar.gz"), dist.glob("*.whl"), tree.glob("*.whl")
    return Distributions(sdist, wheel, wheel_of_the_tree)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel; built once, for the tests of other modules too."""
    return built_in(tmp_path_factory.getbasetemp()).wheel


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The sdist and the wheels; built once."""
    return built_in(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel, what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True)
    interpreter = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
    return interpreter


@pytest.fixture
def ask(python: Path, tmp_path: Path) -> Any:
    """Run a program in the empty environment; give what it prints, read as JSON."""

    def answer(program: str, *arguments: str) -> Any:
        return json.loads(run(python, "-I", "-W", "error", "-c", program, *arguments, cwd=tmp_path))

    return answer


# --- what is in it ------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_its_marker_for_types_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    package = names - about
    sources = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "video_oauth_auth").rglob("*.py")}
    assert package == sources | {"video_oauth_auth/py.typed"}
    assert {name.partition("/")[2] for name in about} >= {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"}


def test_the_wheel_is_pure_python(wheel):
    assert wheel.name == f"video_oauth_auth-{METADATA['version']}-py3-none-any.whl"


def test_the_wheel_from_the_sdist_is_the_wheel_from_the_tree(distributions):
    one, other = (
        {name: archive.read(name) for name in archive.namelist()}
        for archive in map(zipfile.ZipFile, (distributions.wheel, distributions.wheel_of_the_tree))
    )
    assert one == other


def test_the_sdist_holds_the_project_with_all_its_tests_and_pages_and_nothing_else(distributions):
    """A new file beside the package is named in MANIFEST.in."""
    with tarfile.open(distributions.sdist) as archive:
        names = {Path(member.name) for member in archive.getmembers() if not member.isdir()}
    top = f"video_oauth_auth-{METADATA['version']}"
    assert distributions.sdist.name == f"{top}.tar.gz"
    assert {path.parts[0] for path in names} == {top}
    held = {path.relative_to(top).as_posix() for path in names}
    held = {name for name in held if not name.startswith("video_oauth_auth.egg-info/")}
    of_a_checkout = {name for name in project_files() if name == ".gitignore" or name.startswith(".ci/")}
    assert held - {"PKG-INFO"} == set(project_files()) - of_a_checkout


def test_the_tests_of_the_sdist_find_all_they_import(distributions, tmp_path):
    with tarfile.open(distributions.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (top,) = tmp_path.iterdir()
    said = run(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", cwd=top)
    assert "tests/test_packaging.py::test_the_tests_of_the_sdist_find_all_they_import" in said


def test_a_package_index_shows_the_readme(distributions):
    published = (distributions.sdist, distributions.wheel)
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *published, cwd=published[0].parent)
    assert said.count("PASSED") == 2


def test_its_metadata_are_those_of_the_project(ask):
    program = """
import json
from importlib.metadata import metadata, requires, version
about = metadata("video-oauth-auth")
print(json.dumps({
    "version": version("video-oauth-auth"), "requires": requires("video-oauth-auth"),
    "python": about["Requires-Python"], "license": about["License-Expression"],
    "extras": about.get_all("Provides-Extra"), "readme": len(about.get_payload()),
}))
"""
    told = ask(program)
    assert told["version"] == METADATA["version"]
    assert told["python"] == METADATA["requires-python"]
    assert told["license"] == "MIT"
    assert set(told["extras"]) == set(METADATA["optional-dependencies"])
    required = {Requirement(text) for text in told["requires"] if "extra ==" not in text}
    assert required == {Requirement(text) for text in METADATA["dependencies"]}
    assert told["readme"] > 1000


# --- importing it -------------------------------------------------------------------------------------------------


def test_no_extra_is_installed_there(ask):
    program = """
import importlib.util, json
names = ["httpx2", "filelock", "platformdirs", "redis", "keyring", "pytest", "rich", "click", "starlette", "uvicorn"]
print(json.dumps([name for name in names if importlib.util.find_spec(name)]))
"""
    assert ask(program) == []


@pytest.mark.parametrize("module", ["video_oauth_auth", "video_oauth_auth.testing", "video_oauth_auth.stores"])
def test_every_promised_name_is_there_without_any_extra(ask, module):
    program = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
missing = [name for name in module.__all__ if not hasattr(module, name)]
print(json.dumps({"missing": missing, "names": len(module.__all__), "pytest": "pytest" in sys.modules}))
"""
    told = ask(program, module)
    assert told["missing"] == []
    assert told["names"] > 2
    assert not told["pytest"]


# What needs an extra, and the error without it.
WITHOUT_EXTRA = {
    "FileStore()": "FileStore needs the libraries of an extra: pip install 'video-oauth-auth[file]'",
    "RedisStore('redis://cache')": "RedisStore needs the library of an extra: pip install 'video-oauth-auth[redis]'",
    "__import__('video_oauth_auth.proxy')": (
        "the proxy needs the libraries of an extra: pip install 'video-oauth-auth[proxy]'"
    ),
    "EncryptedStore(MemoryStore())": (
        "EncryptedStore without key= needs the library keyring: pip install 'video-oauth-auth[encrypted]'"
    ),
    "CidaasAuth.from_profile('acme')": ("profiles need the libraries of an extra: pip install 'video-oauth-auth[cli]'"),
}


@pytest.mark.parametrize("made", WITHOUT_EXTRA)
def test_what_needs_an_extra_names_it(ask, made):
    program = f"""
import json
from video_oauth_auth import CidaasAuth, ConfigurationError, MemoryStore
from video_oauth_auth.stores import EncryptedStore, FileStore, RedisStore
try:
    {made}
except ConfigurationError as error:
    print(json.dumps(str(error)))
"""
    assert ask(program) == WITHOUT_EXTRA[made]


def test_the_command_names_its_extra(python, tmp_path):
    done = subprocess.run(
        [python, "-I", "-m", "video_oauth_auth.cli", "status"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "video-oauth-auth needs the libraries of an extra: pip install 'video-oauth-auth[cli]'\n"


AUDITED = """
import json, os, sys, sysconfig, threading
allowed = {os.path.realpath(path) for path in sysconfig.get_paths().values()}
allowed |= {os.path.realpath(sys.base_prefix + path) for path in ("/lib", "/Lib", "/DLLs", "/lib64")}
allowed |= {os.path.realpath(path) for path in sys.path if path}
told = {"files": [], "network": [], "processes": [], "threads": [], "written": []}

def look(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not any(path.startswith(folder + os.sep) for folder in allowed):
            told["files"].append(path)
        if isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            told["written"].append(path)
    elif event.startswith("socket."):
        told["network"].append(event)
    elif event in ("subprocess.Popen", "os.system", "os.fork", "os.exec", "os.posix_spawn"):
        told["processes"].append(event)

def start(thread, start=threading.Thread.start):  # Python 3.11 has no event for it
    told["threads"].append(thread.name)
    start(thread)

threading.Thread.start = start
sys.dont_write_bytecode = True
sys.addaudithook(look)
"""


def test_importing_it_opens_no_file_of_the_user_no_socket_and_starts_no_thread(ask):
    program = f"""{AUDITED}
import video_oauth_auth
told["loaded"] = sorted({{"requests", "authlib", "urllib3", "joserfc", "cryptography"}} & set(sys.modules))
told["running"] = threading.active_count()
print(json.dumps(told))
"""
    told = ask(program)
    assert told.pop("running") == 1
    assert told == {"files": [], "network": [], "processes": [], "threads": [], "written": [], "loaded": []}


def test_making_an_auth_object_does_nothing_of_that_either(ask):
    program = f"""{AUDITED}
from video_oauth_auth import BrightcoveAuth, OAuth2Auth
BrightcoveAuth("id", "secret")
OAuth2Auth.client_credentials("https://login.example.com", "id", "secret", origins=["https://api.example.com"])
told["loaded"] = sorted({{"requests", "authlib"}} & set(sys.modules))
told["running"] = threading.active_count()
print(json.dumps(told))
"""
    told = ask(program)
    assert told.pop("running") == 1
    assert told == {"files": [], "network": [], "processes": [], "threads": [], "written": [], "loaded": []}


def test_the_audit_sees_what_it_is_there_for(ask, tmp_path):
    """A guard: without it the two tests above could not fail."""
    (tmp_path / "of-the-user").write_text("x")
    program = f"""{AUDITED}
import socket, pathlib
pathlib.Path(sys.argv[1]).read_text()
thread = threading.Thread(target=lambda: socket.socket().close())
thread.start(); thread.join()
print(json.dumps(told))
"""
    told = ask(program, str(tmp_path / "of-the-user"))
    assert told["files"] == [str((tmp_path / "of-the-user").resolve())]
    assert told["threads"]
    assert told["network"]


# --- using it -----------------------------------------------------------------------------------------------------

PROGRAMS = {
    "requests": """
import requests
session = requests.Session()
session.auth = auth
send = session.get
""",
    "httpx": """
import httpx
send = httpx.Client(auth=auth).get
""",
    "httpx, async": """
import asyncio, httpx
async def ask_once(url):
    async with httpx.AsyncClient(auth=auth) as client:
        return await client.get(url)
send = lambda url: asyncio.run(ask_once(url))
""",
    "the bare method": """
import urllib.request
class send:
    def __init__(self, url):
        with urllib.request.urlopen(urllib.request.Request(url, headers=auth.headers(url))) as answer:
            self.status_code = answer.status
""",
}


@pytest.mark.parametrize("library", PROGRAMS)
def test_a_token_is_fetched_and_renewed_with_required_libraries_only(ask, library):
    with OAuthServer() as server:
        program = f"""
import json, sys
from video_oauth_auth import AuthorizationServer, OAuth2Auth
endpoint, client_id, client_secret, api = sys.argv[1:]
server = AuthorizationServer(token_endpoint=endpoint)
auth = OAuth2Auth.client_credentials(server, client_id, client_secret, origins=[api])
{PROGRAMS[library]}
first = send(api + "/me").status_code
auth.source.get_token(rejected=auth.source.peek())
print(json.dumps([first, send(api + "/me").status_code, "httpx2" in sys.modules]))
"""
        arguments = (server.token_endpoint, server.client_id, server.client_secret, server.api_url)
        assert ask(program, *arguments) == [200, 200, False]
        assert [call.status for call in server.token_calls] == [200, 200]
        assert {call.token_state for call in server.requests_to("api")} == {"live"}


def test_the_bundled_server_runs_there_without_pytest(ask):
    program = """
import json, sys, requests
from video_oauth_auth import OAuth2Auth
from video_oauth_auth.testing import OAuthServer
with OAuthServer() as server:
    auth = OAuth2Auth.client_credentials(
        server.authorization_server, server.client_id, server.client_secret, origins=[server.api_url])
    status = [requests.get(server.api_url + "/me", auth=auth, timeout=20).status_code]
    server.revoke_access_tokens()
    status.append(requests.get(server.api_url + "/me", auth=auth, timeout=20).status_code)
    print(json.dumps([status, len(server.token_calls), "pytest" in sys.modules]))
"""
    assert ask(program) == [[200, 200], 2, False]
