"""The documentation as a site: its navigation, its links, and that the API reference leaves nothing out.

`make docs` builds it and finds dead links by itself; here they are found without its tools.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest

from .test_documents import DOCUMENTS, blocks

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SITE = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md"))
# Whose names are public. What a module takes over from another one is described once, under either name.
MODULES = (
    "video_oauth_auth",
    "video_oauth_auth.errors",
    "video_oauth_auth.events",
    "video_oauth_auth.providers.brightcove_credentials",
    "video_oauth_auth.proxy",
    "video_oauth_auth.stores",
    "video_oauth_auth.testing",
)

DIRECTIVE = re.compile(r"^::: (\S+)$", re.MULTILINE)
SNIPPET = re.compile(r'^--8<-- "(\S+)"$', re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")


@cache
def text(page: str) -> str:
    """A page as it is shown: with the files that it includes, without blocks of code."""
    with_files = SNIPPET.sub(lambda match: (ROOT / match[1]).read_text(), (DOCS / page).read_text())
    return FENCE.sub("", with_files)


def in_navigation(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for inner in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(inner, str):
                yield inner
            else:
                yield from in_navigation(inner)


def slug(heading: str) -> str:
    """The anchor of a heading, as Python-Markdown makes it."""
    shown = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading)
    ascii_only = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


@cache
def anchors(page: str) -> set[str]:
    slugs: Counter[str] = Counter()
    found = set(DIRECTIVE.findall(text(page)))
    for heading in HEADING.findall(text(page)):
        name = slug(heading)
        found.add(f"{name}_{slugs[name]}" if slugs[name] else name)
        slugs[name] += 1
    return found


def is_described(name: str, page: str) -> bool:
    """Is it a member of what a directive on that page shows?"""
    return any(name.startswith(f"{shown}.") and found(name) is not None for shown in DIRECTIVE.findall(text(page)))


def found(name: str) -> object:
    """What has a dotted name: a module, or what is in one."""
    module = max((module for module in MODULES if name.startswith(f"{module}.")), key=len)
    return reduce(getattr, name.removeprefix(f"{module}.").split("."), importlib.import_module(module))


def test_every_page_is_in_the_navigation_once() -> None:
    assert Counter(in_navigation(SITE["nav"])) == Counter(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    dead = []
    for link in LINK.findall(CODE.sub("", text(page))):
        target, _, anchor = link.partition("#")
        if re.match(r"https?://", target):
            continue
        path = (DOCS / page).parent.joinpath(target).resolve() if target else DOCS / page
        if not path.is_relative_to(DOCS) or not path.is_file():
            dead.append(link)
            continue
        other = str(path.relative_to(DOCS))
        if anchor and anchor not in anchors(other) and not is_described(anchor, other):
            dead.append(link)
    assert not dead


def test_a_reference_page_describes_each_public_name_once() -> None:
    described = Counter(id(found(name)) for page in PAGES for name in DIRECTIVE.findall(text(page)))
    public = {
        f"{module}.{name}": found(f"{module}.{name}")
        for module in MODULES
        for name in importlib.import_module(module).__all__
    }
    assert {name for name, value in public.items() if described[id(value)] != 1} == set()
    assert set(described.values()) == {1}


def test_a_reference_page_describes_what_code_in_the_documents_imports() -> None:
    described = {id(found(name)) for page in PAGES for name in DIRECTIVE.findall(text(page))}
    trees = [ast.parse(code) for document in DOCUMENTS for code in blocks(document, "python")]
    imported = {
        f"{node.module}.{alias.name}"
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("video_oauth_auth")
        for alias in node.names
    }
    assert {name for name in imported if id(found(name)) not in described} == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("reference/")])
def test_what_a_reference_page_describes_tells_about_itself(page: str) -> None:
    names = [name for name in DIRECTIVE.findall(text(page)) if callable(found(name))]
    assert [name for name in names if not found(name).__doc__] == []


def test_the_first_page_shows_the_three_lines_that_change_in_the_readmes_script() -> None:
    (whole,), (shown,) = blocks("README.md", "diff"), blocks("docs/index.md", "diff")
    changed = [line for line in whole.splitlines() if line.startswith(("+", "-"))]
    assert [line for line in shown.splitlines() if line.startswith(("+", "-"))] == changed
    assert set(shown.splitlines()) <= set(whole.splitlines())


def test_the_page_of_examples_shows_each_program_once() -> None:
    page = (DOCS / "examples.md").read_text()
    programs = {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")} - {"examples/demo.py"}
    assert Counter(SNIPPET.findall(page)) == Counter(programs)
    inside = ["\n".join(block.splitlines()[1:-1]) for block in FENCE.findall(page)]
    assert all(SNIPPET.fullmatch(code) for code in inside)  # no code but theirs
