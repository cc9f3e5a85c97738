"""Measure, print, and write the values and their page: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from .contenders import all_contenders
from .figures import FIGURES
from .machine import machine, versions
from .render import DOCUMENT, RESULTS, document, read
from .scale import FULL, QUICK, Scale
from .show import show, show_goals
from .site import running_site
from .tables import Report, Table

__all__ = ["main"]


def main() -> None:
    """Do what the command line says."""
    options = _options()
    console = Console()
    names: Sequence[str] = options.only or list(FIGURES)
    report = Report(measured_on=datetime.now(UTC).date().isoformat(), machine=machine(), versions=versions())
    scale = QUICK if options.quick else FULL
    report = replace(report, tables=_measured(names, scale, console, peers=not options.without_peers))
    show_goals([goal for table in report.tables for goal in table.goals], console)
    if options.only and not options.results:
        return  # a part is no page
    results, page = options.results or RESULTS, options.document or DOCUMENT
    results.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write_text(document(read(results)), encoding="utf-8")


def _measured(names: Sequence[str], scale: Scale, console: Console, *, peers: bool) -> tuple[Table, ...]:
    contenders = all_contenders(peers=peers)
    tables = []
    with running_site() as site:
        for name in names:
            with console.status(f"measuring {name} ..."):
                table = FIGURES[name](site, contenders, scale)
            show(table, console)
            tables.append(table)
    return tuple(tables)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "only", nargs="*", metavar="FIGURE", help=f"only these, nothing is written: {', '.join(FIGURES)}"
    )
    parser.add_argument("--quick", action="store_true", help="tiny numbers: shows that it runs, measures nothing")
    parser.add_argument("--without-peers", action="store_true", help="only video_oauth_auth and the static header")
    parser.add_argument("--results", type=Path, help="write the values there")
    parser.add_argument("--document", type=Path, help="write the page there")
    options = parser.parse_args()
    unknown = set(options.only) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    if options.quick and not (options.results and options.document):
        parser.error("--quick measures nothing: say with --results and --document where that is written")
    return options


if __name__ == "__main__":
    main()
