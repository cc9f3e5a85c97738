"""docs/benchmarks.md and its plots from the measured values: `python -m benchmarks --render`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from .figures import FIGURES
from .plots import plots_of
from .site import ROOT
from .tables import Report, Table, written

__all__ = ["DOCUMENT", "PLOTS_FOLDER", "RESULTS", "document", "draw_plots", "read", "save"]

RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLOTS_FOLDER = DOCUMENT.with_suffix("")

INTRODUCTION = """\
# Benchmarks

What video_oauth_auth costs and does under load, beside the other libraries for OAuth 2.0 and beside a static header as the limit. All are measured in one run by

```console
$ make bench
```

which installs the other libraries into a virtual environment of its own (and wrk and redis-server, on Debian, where they are missing), prints the tables, and writes this page and its plots from what it measured. Nothing here is asserted by a test: times belong to the machine. Ratios come first: they travel better from machine to machine than times. "Middle half" is the range in which half of the rounds lay, around the median; `-` means that a library does not do this. In the plots video_oauth_auth is coloured, and everything else grey.
"""  # noqa: E501 - a paragraph of the document is one line

PEERS = """\
Each library is used as its documentation says, in the current release, with one auth object (or session) for all requests. The client credentials are the grant wherever it can renew by them on its own. requests-oauthlib and google-auth renew by a refresh token only. httpx-auth and requests_auth know refresh tokens with the password grant, which is what they use where a refresh token is called for (and which lets them fall back on the password). The server is raw asyncio in a process of its own, so that its work does not compete for the interpreter lock; it does as little as it can, but it checks tokens, and the reuse of refresh tokens.
"""  # noqa: E501 - a line of Markdown


def document(report: Report) -> str:
    """Write the page."""
    return "\n".join(_parts(report))


def _parts(report: Report) -> Iterator[str]:
    yield INTRODUCTION
    tables = {name: report.tables[name] for name in FIGURES if name in report.tables}
    plots = plots_of(tables)
    yield f"Measured on {' and '.join(sorted({table.measured_on for table in tables.values()}))}.\n"
    if missing := [name for name in FIGURES if name not in tables]:
        yield f"Not measured: {', '.join(missing)}.\n"
    yield "## Goals\n"
    yield _goals(tables.values())
    for name, table in tables.items():
        yield f"## {table.title}\n"
        if name in plots:
            yield f"![{plots[name].alt}]({PLOTS_FOLDER.name}/{name}.svg)\n"
        yield _measured(table)
        yield f"{table.method}\n"
    yield "## What takes part\n"
    yield PEERS
    yield _pairs("", "version", report.versions)
    yield _pairs("machine", "", report.machine)


def _goals(tables: Iterable[Table]) -> str:
    goals = [goal for table in tables for goal in table.goals]
    lines = [
        (
            goal.what,
            f"{goal.sense} {written(goal.limit, goal.unit)}",
            written(goal.measured, goal.unit),
            "met" if goal.met else "**missed**",
        )
        for goal in goals
    ]
    return _grid(("figure", "goal", "measured", ""), lines)


def _measured(table: Table) -> str:
    lines = [
        (row.name, *(written(value, column.unit) for value, column in zip(row.values, table.columns, strict=True)))
        for row in table.rows
    ]
    return _grid(("", *(column.name for column in table.columns)), lines)


def _pairs(left: str, right: str, pairs: Mapping[str, str]) -> str:
    return _grid((left, right), pairs.items())


def _grid(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    ruler = ["---", *["---:" for _ in head[1:]]]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ruler, *lines)) + "\n"


def read(path: Path) -> Report:
    """Read the values of a run."""
    return Report.from_dict(json.loads(path.read_text(encoding="utf-8")))


def save(report: Report, path: Path) -> None:
    """Keep the values of a run."""
    path.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def draw_plots(report: Report, folder: Path) -> None:
    """Draw the plots that the page shows, and remove those that it does not."""
    from .drawing import draw  # matplotlib is needed for nothing else

    plots = plots_of(report.tables)
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.stem not in plots:
            old.unlink()
    for name, plot in plots.items():
        draw(plot, folder / f"{name}.svg")
