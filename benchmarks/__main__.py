"""Measure, print, and write the values, their page and its plots: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from .contenders import Contender, all_contenders
from .figures import FIGURES
from .machine import machine, versions
from .render import DOCUMENT, RESULTS, document, draw_plots, read, save
from .scale import FULL, QUICK, Scale
from .show import show, show_goals
from .site import running_site
from .tables import Report, Table

__all__ = ["main"]


def main() -> None:
    """Do what the command line says."""
    options = _options()
    console = Console()
    results, page = options.results or RESULTS, options.document or DOCUMENT
    if options.render:
        _write(read(results), page, plots=not options.quick)
        return
    report = _begun(read(results) if options.merge else None)
    is_kept = options.merge or options.results or not options.only  # a part is no page
    contenders = all_contenders(peers=not options.without_peers)
    failed = []
    for name in options.only or FIGURES:
        table = _measured(name, contenders, QUICK if options.quick else FULL, console)
        if table is None:
            failed.append(name)
            continue
        report = replace(report, tables={**report.tables, name: table})
        if is_kept:
            save(report, results)
    show_goals([goal for table in report.tables.values() for goal in table.goals], console)
    if is_kept:
        _write(report, page, plots=not options.quick)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _begun(saved: Report | None) -> Report:
    """Give what is measured now a report: a new one, or a saved one of this machine and these versions."""
    report = Report(machine=machine(), versions=versions())
    if saved is None:
        return report
    if _lasting(saved) != _lasting(report):
        sys.exit("what is saved was measured on another machine, or with other versions: measure everything")
    return saved


def _lasting(report: Report) -> tuple[object, object]:
    return {**report.machine, "load before": ""}, dict(report.versions)


def _measured(name: str, contenders: Sequence[Contender], scale: Scale, console: Console) -> Table | None:
    """Measure one figure with a server of its own; None if it fails, which takes nothing from the others."""
    begin = time.monotonic()
    try:
        with running_site() as site, console.status(f"measuring {name} ..."):
            table = FIGURES[name](site, contenders, scale)
    except Exception:  # noqa: BLE001 - shown, and it ends the run with a failure
        console.print_exception()
        return None
    show(table, console)
    console.print(f"{name}: measured in {time.monotonic() - begin:.0f} s")
    return replace(table, measured_on=datetime.now(UTC).date().isoformat())


def _write(report: Report, page: Path, *, plots: bool) -> None:
    page.write_text(document(report), encoding="utf-8")
    if plots:
        draw_plots(report, page.with_suffix(""))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "only", nargs="*", metavar="FIGURE", help=f"only these, nothing is written: {', '.join(FIGURES)}"
    )
    parser.add_argument("--merge", action="store_true", help="put them into the saved values and the page")
    parser.add_argument("--render", action="store_true", help="measure nothing: page and plots from the saved values")
    parser.add_argument(
        "--quick", action="store_true", help="tiny numbers, no plots: shows that it runs, measures nothing"
    )
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
