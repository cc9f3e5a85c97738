"""The built wheel: what is in it, and that it works in an empty environment without any extra."""

import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from video_oauth_auth.testing import OAuthServer

pytestmark = pytest.mark.timeout(600)  # the first test builds a wheel and fills an environment

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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git has (and what is new), so that nothing is left in the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=PROJECT)
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    run(sys.executable, "-W", "ignore", "-m", "build", "--wheel", "--outdir", target, source, cwd=target)
    (built,) = target.glob("*.whl")
    return built


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
names = ["httpx2", "rich", "pytest", "trio", "hypothesis"]
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
