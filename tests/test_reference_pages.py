"""The pages about errors, events, security, behaviour and dependencies say what the code has, and nothing else."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from video_oauth_auth import (
    OAuthError,
    TokenSource,
    documents,
    endpoints,
    errors,
    events,
    exchange,
    freshness,
    keeping,
    rejections,
    state,
    token_calls,
    workers,
)
from video_oauth_auth.errors import LoginReason
from video_oauth_auth.login import id_token, keys, sign_in

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "video_oauth_auth"
SOURCES = [path for path in PACKAGE.rglob("*.py") if not {"testing", "cli", "proxy"} & set(path.parts)]
CLASSES: list[type[OAuthError]] = [getattr(errors, name) for name in errors.__all__]
EVENTS: list[type[Any]] = [getattr(events, name) for name in events.__all__]
LEAST = 12  # characters of a message that have to be found


def page(name: str) -> str:
    return (ROOT / name).read_text()


def section(text: str, heading: str) -> str:
    """Give what stands under a heading, up to the next one of any level."""
    (found,) = re.findall(rf"^#+ `?{re.escape(heading)}`?\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(text: str) -> list[list[str]]:
    """Give the cells of all rows of tables whose first cell is one name in code font."""
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in cells if re.fullmatch(r"`\w+`", row[0].strip())]


def one_line(text: str) -> str:
    return " ".join(text.split())


# --- errors ---------------------------------------------------------------------------------------------------------


def attributes(kind: type[OAuthError]) -> set[str]:
    """Give the public attributes that a class adds to those of its base."""

    def of(one: type[OAuthError]) -> set[str]:
        names = {*vars(one("x")), *(name for name in dir(one) if not callable(getattr(one, name)))}
        return {name for name in names if not name.startswith("_")}

    return of(kind) - set(dir(Exception)) - (set() if kind is OAuthError else of(OAuthError))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_is_on_its_page_with_its_attributes_and_no_others(kind: type[OAuthError]) -> None:
    described = {row[0].strip("`") for row in rows(section(page("docs/errors.md"), kind.__name__))}
    assert described - set(get_args(LoginReason)) == attributes(kind)
    assert issubclass(kind, OAuthError)


def test_each_reason_for_a_login_is_on_the_page_and_in_the_code() -> None:
    described = {row[0].strip("`") for row in rows(section(page("docs/errors.md"), "LoginRequired"))}
    assert described - attributes(errors.LoginRequired) == set(get_args(LoginReason))
    given = {
        found for path in SOURCES for found in re.findall(r"reason(?:: LoginReason)? ?= ?\"(\w+)\"", path.read_text())
    }
    assert set(get_args(LoginReason)) - {"never_signed_in", "refresh_expired"} <= given


def raised() -> Iterator[tuple[str, list[str]]]:
    """Give the place of each message that is written where an error is made, and its pieces between what differs."""
    names = {kind.__name__ for kind in CLASSES} - {"ConfigurationError"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", literal(node.args[0])


def literal(node: ast.expr) -> list[str]:
    """Give the fixed pieces of a text; those of a word or less say nothing."""
    if isinstance(node, ast.Constant):
        found = [str(node.value)]
    elif isinstance(node, ast.JoinedStr):
        found = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
    else:
        found = []
    return [piece for piece in map(one_line, found) if len(piece) >= LEAST]


def test_every_message_about_servers_stores_and_sign_ins_is_on_the_page() -> None:
    text = one_line(page("docs/errors.md"))
    missing = [(place, piece) for place, pieces in raised() for piece in pieces if piece not in text]
    assert missing == []
    assert len(list(raised())) > 80  # it finds them


def test_every_message_on_the_page_is_in_the_code() -> None:
    said = " ".join(one_line(piece) for path in PACKAGE.rglob("*.py") for piece in literals(path))
    tables = page("docs/errors.md").partition("## The messages")[2]
    shown = [text for _, text in re.findall(r"(`+) ?(.+?) ?\1(?!`)", tables) if " " in text]
    pieces = [one_line(piece).removeprefix(". ") for text in shown for piece in re.split(r" ?… ?", text)]
    assert [piece for piece in pieces if len(piece) >= LEAST and piece not in said] == []


def literals(path: Path) -> list[str]:
    constants = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return [node.value for node in constants if isinstance(node.value, str)]


# --- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_each_event_is_on_its_page_with_its_fields_and_their_types(kind: type[Any]) -> None:
    described = {row[0].strip("`"): row[1].strip("`") for row in rows(section(page("docs/events.md"), kind.__name__))}
    own = set(inspect.get_annotations(kind))
    assert described == {one.name: one.type for one in dataclasses.fields(kind) if one.name in own}


def logged() -> Iterator[tuple[str, str]]:
    for path in [*SOURCES, PACKAGE / "proxy" / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
                assert isinstance(node.args[0], ast.Constant)
                yield ast.unparse(node.func).removeprefix("logger."), str(node.args[0].value)


def test_every_line_of_the_log_is_on_the_page() -> None:
    text = one_line(page("docs/events.md"))
    pieces = [one_line(piece) for _, line in logged() for piece in re.split(r"%[sd]", line)]
    assert [piece for piece in pieces if len(piece) >= LEAST and piece not in text] == []
    assert {level for level, _ in logged()} == {"warning", "error", "info"}


def test_every_logger_is_on_the_page() -> None:
    names = {found for path in PACKAGE.rglob("*.py") for found in re.findall(r'getLogger\("(.+?)"\)', path.read_text())}
    assert {name for name in names if name.startswith("video_oauth_auth")} == {
        row[0].strip(" `") for row in _log_rows(page("docs/events.md"))
    }


def _log_rows(text: str) -> list[list[str]]:
    return [
        line.strip("|").split("|") for line in re.findall(r"^\| `video_oauth_auth[\w.]*` \|.*$", text, re.MULTILINE)
    ]


# --- dependencies ---------------------------------------------------------------------------------------------------

PROJECT: dict[str, Any] = tomllib.loads(page("pyproject.toml"))


def split(requirement: str) -> tuple[str, str]:
    """Give name and bound of a requirement."""
    found = re.fullmatch(r"([\w.-]+)(?:\[.*])?(.*)", requirement)
    assert found
    return found[1], found[2]


def test_every_required_library_is_on_its_page_with_its_bound() -> None:
    described = [
        (row[0].strip("`"), row[1].strip("`")) for row in rows(section(page("docs/dependencies.md"), "Required"))
    ]
    assert described == [split(requirement) for requirement in PROJECT["project"]["dependencies"]]


def test_every_extra_is_on_the_page_with_its_libraries_and_bounds() -> None:
    described = [
        tuple(cell.strip("`") for cell in row[:3]) for row in rows(section(page("docs/dependencies.md"), "Extras"))
    ]
    extras = PROJECT["project"]["optional-dependencies"]
    assert described == [(extra, *split(requirement)) for extra in extras for requirement in extras[extra]]


def test_every_group_of_development_tools_is_on_the_page() -> None:
    described = {row[0].strip("`") for row in rows(section(page("docs/dependencies.md"), "For development"))}
    assert set(PROJECT["dependency-groups"]) <= described


def test_the_page_about_dependencies_tells_the_versions_of_python_and_setuptools() -> None:
    text = page("docs/dependencies.md")
    (build,) = PROJECT["build-system"]["requires"]
    assert f"Python {PROJECT['project']['requires-python'].removeprefix('>=')} or later" in text
    assert f"setuptools ({build.removeprefix('setuptools>=')} or later" in text


# --- security -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["docs/security.md", "docs/behaviour.md", "SECURITY.md"])
def test_every_test_that_is_named_on_a_page_exists(name: str) -> None:
    named = re.findall(r"`(?:tests/)?((?:test_|secrets_)\w+\.py)(?:::(\w+))?`", page(name))
    assert named
    for file, function in named:
        text = page(f"tests/{file}")
        assert not function or re.search(rf"^(?:async )?def {function}\(", text, re.MULTILINE), f"{file}::{function}"


def test_every_promise_names_a_test() -> None:
    promises = page("docs/security.md").partition("## The promises")[2].partition("## Standards")[0]
    told = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| promise |")]
    assert len(told) > 30
    assert [line for line in told if not re.search(r"`(?:test_|secrets_)\w+\.py", line)] == []


def test_the_algorithms_for_id_tokens_are_those_on_the_page() -> None:
    kinds = {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)}
    assert set(id_token._HASHES) == kinds | {"EdDSA", "Ed25519"}
    text = one_line(page("docs/security.md"))
    assert "RS, PS and ES with 256, 384 and 512, and EdDSA (Ed25519)" in text
    assert f"RSA keys from {keys.LEAST_BITS} bits" in text


# --- behaviour ------------------------------------------------------------------------------------------------------

FIGURES = [
    (workers.MOST_AT_ONCE, "more than {:d} renewals at once"),
    (workers.AT_EXIT, "At its end a process waits, at most five seconds"),
    (rejections.FIRST_PAUSE, "renewals for 401 pause for {:.0f}, 10, 20, 40, 60, 60"),
    (rejections.LONGEST_PAUSE, "pause for 5, 10, 20, 40, {:.0f}, {:.0f} ..."),
    (endpoints.RETRY_AFTER_CAP / 60, "at most five minutes, is kept to"),
    (token_calls.TRIES_WHEN_HOPELESS, "an unknown host or a bad certificate three times"),
    (token_calls.PRESENTED_AT_MOST - 1, "the same refresh token at most twice more"),
    (token_calls.PRESENTED_WITHIN, "twice more within {:.0f} s"),
    (token_calls.LOST_FIRST, "then one try after {:.0f}, 30, 60"),
    (token_calls.LOST_AT_MOST, "after 15, 30, 60 ... {:.0f} s"),
    (token_calls.PROBE_FIRST, "refresh token for {:.0f} s, doubling"),
    (token_calls.PROBE_AT_MOST / 60, "doubling to {:.0f} minutes"),
    (keeping.SAVE_AGAIN[0], "saving is tried again after {:.0f}, 10"),
    (keeping.SAVE_AGAIN[1], "after 5, 10 ... {:.0f} s"),
    (state.FAILED_PAUSE, "while the token is still good, after at most {:.0f} s"),
    (state.GRACE, "callers wait one second longer at most"),
    (freshness.CLOCK_SKEW / 60, "more than a minute from the future"),
    (exchange.CONNECT_TIMEOUT, "at most {:.0f} s to connect"),
    (exchange.MOST_BYTES / 2**20, "at most {:.0f} MiB"),
    (sign_in.TRIES, "tried three times, then `TransportError`; the same answer"),
    (documents.STALE_AT_MOST / 86400, "An old document serves up to a day longer"),
]
WORDS = {1: "one", 2: "twice", 3: "three", 5: "five"}


@pytest.mark.parametrize(("value", "told"), FIGURES, ids=[told for _, told in FIGURES])
def test_the_figures_on_the_page_about_behaviour_are_those_of_the_code(value: float, told: str) -> None:
    if "{" in told:
        told = told.format(*[value] * told.count("{"))
    else:
        assert WORDS[int(value)] in told or (value == 1 and " a " in told)
    assert told in one_line(page("docs/behaviour.md"))


def test_the_defaults_on_the_page_about_behaviour_are_those_of_a_source() -> None:
    defaults = {name: one.default for name, one in inspect.signature(TokenSource).parameters.items()}
    text = one_line(page("docs/behaviour.md"))
    assert f"`token_timeout` ({defaults['token_timeout']:.0f} s" in text
    assert f"`renew_ahead` ({defaults['renew_ahead']:.0f} s, at most a fifth of the life" in text
