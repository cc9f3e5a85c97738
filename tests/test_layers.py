"""Imports inside the package go downwards only, and libraries are imported where, and when, they are needed."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path
from sys import stdlib_module_names

import pytest

import video_oauth_auth

PACKAGE = "video_oauth_auth"
FOLDER = Path(video_oauth_auth.__file__).parent
PROJECT = Path(__file__).parent.parent

# From the bottom to the top. A module may import from its own layer and from those below it, never from above.
LAYERS: dict[str, set[str]] = {
    "values": {
        "errors",
        "token",
        "origin",
        "server",
        "assertion",
        "client",
        "grants",
        "events",
        "budget",
        "forks",
        "frozen",
    },
    "a person's browser": {"login", "login.browser", "login.page", "login.port", "login.receiver"},
    "messages and storage": {
        "endpoints",
        "stores",
        "stores.contract",
        "stores.encoding",
        "stores.encrypted",
        "stores.file",
        "stores.folder",
        "stores.keyring_keys",
        "stores.lock_file",
        "stores.memory",
        "stores.redis",
        "stores.redis_connection",
        "stores.sealing",
    },
    "threads, time and exchanges": {
        "documents",
        "freshness",
        "watchdog",
        "workers",
        "exchange",
        "by_httpx",
        "by_requests",
        "transport",
        "waiting",
        "rejections",
    },
    "one attempt": {"attempt", "errands", "discovery", "login.id_token", "login.keys", "reporting", "state"},
    "the way of a renewal": {"settings", "client_calls", "token_calls", "keeping", "renewal"},
    "the token source": {"provided", "source"},
    "signing in": {
        "login.asking",
        "login.authorization",
        "login.device",
        "login.interactive",
        "login.people",
        "login.redeemed",
        "login.sign_in",
        "signing_in",
    },
    "what HTTP libraries call": {"replay", "flow"},
    "profiles": {"generic", "profile_keys", "profile_secrets", "profiles"},
    "the auth object": {"auth", "organisations"},
    "platforms": {
        "providers",
        "providers.environment",
        "providers.platform",
        "providers.brightcove",
        "providers.brightcove_calls",
        "providers.brightcove_credentials",
        "providers.brightcove_operations",
        "providers.brightcove_records",
        "providers.cidaas",
        "providers.ibm_video_streaming",
        "providers.movingimage",
    },
    "the front door": {""},
    "the proxy": {
        "proxy",
        "proxy.answers",
        "proxy.app",
        "proxy.caller",
        "proxy.callers",
        "proxy.headers",
        "proxy.refusals",
        "proxy.targets",
    },
    "the command": {
        "cli",
        "cli.__main__",
        "cli.answers",
        "cli.bodies",
        "cli.checkup",
        "cli.chosen",
        "cli.commands",
        "cli.credentials",
        "cli.demo",
        "cli.discover",
        "cli.doctor",
        "cli.new_credential",
        "cli.new_secrets",
        "cli.options",
        "cli.output",
        "cli.proxy",
        "cli.request",
        "cli.sign_ins",
        "cli.status",
    },
}
RANKS = {module: rank for rank, modules in enumerate(LAYERS.values()) for module in modules}


@dataclass(frozen=True)
class Import:
    """One name that a module imports.

    Attributes:
        module: who imports, below the package; "" is the package itself.
        target: the module below the package, or the top-level name of a library.
        inside: True if the target is in the package.
        at_once: True if importing the module runs it (not in a function, not under TYPE_CHECKING).
        line: where.
    """

    module: str
    target: str
    inside: bool
    at_once: bool
    line: int


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    return tuple(one for module, path in modules().items() for one in imports_of(module, path))


def imports_of(module: str, path: Path) -> Iterator[Import]:
    for node, at_once in walk(ast.parse(path.read_text(encoding="utf-8")), at_once=True):
        for name in names_in(node, module, is_package=path.name == "__init__.py"):
            inside = name == PACKAGE or name.startswith(PACKAGE + ".")
            target = nearest_module(name.removeprefix(PACKAGE).lstrip(".")) if inside else name.partition(".")[0]
            if not inside or target != module:
                yield Import(module, target, inside, at_once, getattr(node, "lineno", 0))


def walk(node: ast.AST, *, at_once: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, at_once
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        at_once = False
    for child in ast.iter_child_nodes(node):
        for_checkers = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
        yield from walk(child, at_once=at_once and not for_checkers)


def names_in(node: ast.AST, module: str, *, is_package: bool) -> list[str]:
    """Give the absolute names that an import statement, or a call of import_module with a text, asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        own = [PACKAGE, *module.split(".")] if module else [PACKAGE]
        up = node.level - is_package
        start = own[: len(own) - up] if node.level else []
        name = ".".join([*start, *(node.module or "").split(".")]).rstrip(".")
        return [f"{name}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
        return [text.value for text in node.args if isinstance(text, ast.Constant) and isinstance(text.value, str)]
    return []


def nearest_module(name: str) -> str:
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name


def shown(one: Import) -> str:
    return f"{one.module or '__init__'}:{one.line} imports {one.target or 'the front door'}"


def is_testing(module: str) -> bool:
    return module.partition(".")[0] == "testing"


def plays_with_the_server(one: Import) -> bool:
    """Tell whether it is the demo of the command, which is about the bundled server."""
    return one.module == "cli.demo" and is_testing(one.target)


def is_command(module: str) -> bool:
    return module.partition(".")[0] == "cli"


def is_proxy(module: str) -> bool:
    return module.partition(".")[0] == "proxy"


def cycle_among(names: set[str]) -> list[str]:
    graph: dict[str, set[str]] = {name: set() for name in names}
    for one in imports():
        if one.inside and one.module in names and one.target in names:
            graph[one.module].add(one.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


# --- the package --------------------------------------------------------------------------------------------------


def test_the_graph_is_read_from_the_sources():
    """A guard for the tests below: they could not fail if imports were overlooked."""
    edges = {(one.module, one.target) for one in imports() if one.inside}
    assert {("", "auth"), ("auth", "source"), ("source", "workers"), ("stores.memory", "stores.contract")} <= edges
    assert {
        ("providers.brightcove", "providers.platform"),
        ("renewal", "stores"),
        ("client_calls", "transport"),
    } <= edges
    assert ("testing.plugin", "transport") in edges  # inside a function
    assert Import("by_requests", "requests", inside=False, at_once=False, line=0) in {
        Import(one.module, one.target, one.inside, one.at_once, 0) for one in imports()
    }


def test_every_module_has_its_layer():
    """Who adds a module decides where it stands; who removes one removes it here."""
    assert {name for name in modules() if not is_testing(name)} == set(RANKS)


def test_imports_go_downwards_only():
    upwards = [
        shown(one)
        for one in imports()
        if one.inside and not plays_with_the_server(one)
        if not is_testing(one.module) and RANKS.get(one.target, 99) > RANKS.get(one.module, -1)
    ]
    assert upwards == []


def test_nothing_in_the_package_imports_the_command():
    upwards = [one for one in imports() if is_command(one.target) and one.inside and not is_command(one.module)]
    assert list(map(shown, upwards)) == []


def test_nothing_but_the_command_imports_the_proxy():
    users = [one for one in imports() if is_proxy(one.target) and one.inside and not is_proxy(one.module)]
    assert {one.module for one in users} == {"cli.proxy"}


def test_nothing_in_the_package_imports_its_testing_part():
    users = [one for one in imports() if is_testing(one.target) and not is_testing(one.module)]
    assert [shown(one) for one in users if not plays_with_the_server(one)] == []


def test_there_is_no_circle_in_the_package_not_even_inside_functions_or_for_type_checkers():
    assert cycle_among({name for name in modules() if not is_testing(name)}) == []


def test_there_is_no_circle_in_the_testing_part_either():
    assert cycle_among({name for name in modules() if is_testing(name)}) == []


# --- libraries ----------------------------------------------------------------------------------------------------


def distributions(requirements: list[str]) -> set[str]:
    """Give the names of the distributions that requirements name."""
    return {
        requirement.partition(";")[0].partition("[")[0].split(">")[0].split("<")[0].strip()
        for requirement in requirements
    }


@cache
def project() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def imported_libraries() -> dict[str, set[str]]:
    """Give for each distribution that is imported the modules that import it."""
    names = packages_distributions()
    found: dict[str, set[str]] = {}
    for one in imports():
        if not one.inside and one.target not in stdlib_module_names:
            for distribution in set(names.get(one.target, [one.target])):
                found.setdefault(distribution.lower(), set()).add(one.module)
    return found


def test_every_library_that_is_imported_is_declared():
    extras: dict[str, list[str]] = project()["optional-dependencies"]  # type: ignore[assignment]
    required: list[str] = project()["dependencies"]  # type: ignore[assignment]
    declared = distributions([*required, *(name for extra in extras.values() for name in extra)])
    assert set(imported_libraries()) - declared == set()


def test_an_optional_library_is_imported_in_one_module_only():
    extras: dict[str, list[str]] = project()["optional-dependencies"]  # type: ignore[assignment]
    optional = distributions([name for extra in extras.values() for name in extra])
    users = {name: sorted(who) for name, who in imported_libraries().items() if name in optional}
    assert all(map(is_testing, users.pop("pytest")))  # the plugin and the store contract: test code themselves
    assert users["httpx2"] == ["flow"]
    assert all(map(is_proxy, users.pop("starlette")))  # it is made of it
    # The command is made of these two; and a profile has places and secrets of its own.
    assert all(is_command(who) for name in ("click", "rich") for who in users.pop(name))
    assert users.pop("platformdirs") == ["profiles", "stores.file"]
    assert users.pop("keyring") == ["cli.new_secrets", "profile_secrets", "stores.keyring_keys"]
    assert {name: who for name, who in users.items() if len(who) > 1} == {}


@pytest.mark.parametrize(
    ("library", "users"),
    [
        ("requests", {"by_requests", "exchange", "transport", "replay"}),  # exchanges, the second try
        ("authlib", {"endpoints", "assertion", "login.authorization"}),
        ("joserfc", {"assertion", "login.keys"}),  # signing and verifying
        (
            "httpx",
            {"flow", "origin", "by_httpx", "proxy.answers", "proxy.app", "proxy.targets"},
        ),  # URLs, types, forwarding
    ],
)
def test_a_required_library_is_imported_where_it_is_needed(library, users):
    found = {one.module for one in imports() if one.target == library and not is_testing(one.module)}
    assert {module for module in found if not is_command(module)} <= users


def test_only_httpx_is_imported_together_with_the_package():
    """requests and authlib cost time; the program of a user of httpx need not pay for them."""
    heavy = {
        (one.module, one.target)
        for one in imports()
        if one.at_once and not (one.inside or is_testing(one.module) or one.target in stdlib_module_names)
        if not is_command(one.module)  # which nothing imports but the command itself
        if not is_proxy(one.module)  # nor this, but the command and who mounts it
    }
    assert heavy == {("flow", "httpx"), ("flow", "httpx2"), ("origin", "httpx")}
    assert not [shown(one) for one in imports() if one.at_once and (one.module, one.target) == ("testing", "pytest")]
