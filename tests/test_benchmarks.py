"""The benchmarks run, and their page shows what was measured last.

No time is asserted: speed belongs to the machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.figures import FIGURES
from benchmarks.render import DOCUMENT, RESULTS, document, read
from benchmarks.site import ROOT
from benchmarks.tables import Goal, Report

TIMES = {"ratio", "ms", "µs", "s", "per second"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str, str]:
    """A run with tiny numbers and without the other libraries: the report, the page, what was printed."""
    folder = tmp_path_factory.mktemp("benchmarks")
    results, page = folder / "results.json", folder / "benchmarks.md"
    ended = run("--quick", "--without-peers", "--results", str(results), "--document", str(page))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return read(results), page.read_text(encoding="utf-8"), ended.stdout


def test_every_figure_gives_a_table_with_ours_in_it(quick: tuple[Report, str, str]) -> None:
    report, page, printed = quick
    assert len(report.tables) == len(FIGURES)
    for table in report.tables:
        assert table.goals
        assert any(row.name.startswith("video_oauth_auth") for row in table.rows)
        assert all(len(row.values) == len(table.columns) for row in table.rows)
        assert f"## {table.title}\n" in page
        assert table.title in printed


def test_what_is_counted_is_right_with_tiny_numbers_too(quick: tuple[Report, str, str]) -> None:
    report, _, _ = quick
    counted = [goal for table in report.tables for goal in table.goals if goal.unit not in TIMES]
    assert len(counted) >= 12
    assert [goal.what for goal in counted if not goal.met] == []


def test_a_quick_run_never_replaces_what_was_measured() -> None:
    ended = run("--quick")
    assert ended.returncode == 2
    assert "measures nothing" in ended.stderr


def test_a_library_that_is_missing_fails_the_run_instead_of_leaving_a_gap(tmp_path: Path) -> None:
    (tmp_path / "requests_oauth2client.py").write_text("raise ImportError('not installed')")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from benchmarks.contenders import all_contenders\n"
        "all_contenders(peers=True)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert "not installed" in ended.stderr


def test_the_page_shows_exactly_what_was_measured_last() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(read(RESULTS))


@pytest.mark.parametrize(
    ("sense", "measured", "met"),
    [
        ("under", 3.9, True),
        ("under", 4.0, False),
        ("at most", 4.0, True),
        ("at most", 4.1, False),
        ("at least", 4.0, True),
        ("at least", 3.9, False),
    ],
)
def test_a_goal_is_met_or_missed_at_its_very_limit(sense: str, measured: float, met: bool) -> None:
    assert Goal(what="", sense=sense, limit=4.0, measured=measured, unit="ratio").met is met  # type: ignore[arg-type]
