"""The benchmarks run, and their page shows what was measured last.

No time is asserted: speed belongs to the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.figures import FIGURES
from benchmarks.machine import machine, versions
from benchmarks.plots import PLOTS, Bars, Plot, digest, plots_of
from benchmarks.render import DOCUMENT, PLOTS_FOLDER, RESULTS, document, read, save
from benchmarks.site import ROOT
from benchmarks.tables import Goal, Report
from benchmarks.wrk import Load

pytestmark = pytest.mark.timeout(180)  # whichever test comes first waits for the quick run

TIMES = {"ratio", "ms", "µs", "s", "per second"}
# Asks as wrk does, but not as much, and prints what wrk prints: the tests need no wrk.
WRK = f"""\
#!{sys.executable}
import argparse, http.client, time
from urllib.parse import urlsplit

parser = argparse.ArgumentParser()
for name in ("threads", "connections", "duration", "timeout", "header"):
    parser.add_argument(f"--{{name}}", required=True)
parser.add_argument("--latency", action="store_true", required=True)
parser.add_argument("url")
options = parser.parse_args()
url, (name, value) = urlsplit(options.url), options.header.split(": ")
connection = http.client.HTTPConnection(url.netloc, timeout=10)
begin = time.monotonic()
latencies, refused = [], 0
while time.monotonic() < begin + int(options.duration.removesuffix("s")):
    sent = time.monotonic()
    connection.request("GET", url.path, headers={{name: value}})
    answer = connection.getresponse()
    answer.read()
    latencies.append(time.monotonic() - sent)
    refused += answer.status != 200
    time.sleep(0.01)
latencies.sort()
print("  Latency Distribution")
for percent in (50, 99):
    print(f"     {{percent}}%  {{latencies[len(latencies) * percent // 100] * 1000:.2f}}ms ")
print(f"  {{len(latencies)}} requests in {{options.duration}}, 1KB read")
if refused:
    print(f"  Non-2xx or 3xx responses: {{refused}}")
print(f"Requests/sec: {{len(latencies):9.2f}}")
"""


def run(*arguments: str, program: str | None = None, path: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(("-m", "benchmarks") if program is None else ("-c", program)), *arguments]
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str, str]:
    """A run with tiny numbers and without the other libraries: the report, the page, what was printed."""
    folder = tmp_path_factory.mktemp("benchmarks")
    results, page = folder / "results.json", folder / "benchmarks.md"
    (folder / "wrk").write_text(WRK)
    (folder / "wrk").chmod(0o700)
    arguments = ("--quick", "--without-peers", "--results", str(results), "--document", str(page))
    ended = run(*arguments, path=str(folder))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return read(results), page.read_text(encoding="utf-8"), ended.stdout


def test_every_figure_gives_a_table_with_ours_in_it(quick: tuple[Report, str, str]) -> None:
    report, page, printed = quick
    assert list(report.tables) == list(FIGURES)
    for table in report.tables.values():
        assert table.goals
        assert any(row.name.startswith("video_oauth_auth") for row in table.rows)
        assert all(len(row.values) == len(table.columns) for row in table.rows)
        assert f"## {table.title}\n" in page
        assert table.title in printed
    assert "Not measured" not in page


def test_what_is_counted_is_right_with_tiny_numbers_too(quick: tuple[Report, str, str]) -> None:
    report, _, _ = quick
    counted = [goal for table in report.tables.values() for goal in table.goals if goal.unit not in TIMES]
    assert len(counted) >= 12
    assert [goal.what for goal in counted if not goal.met] == []


def test_every_plot_has_ours_in_it_and_is_told_in_words(quick: tuple[Report, str, str]) -> None:
    report, page, _ = quick
    plots = plots_of(report.tables)
    assert list(plots) == list(PLOTS)
    for name, plot in plots.items():
        assert "video_oauth_auth" in plot.alt
        assert f"![{plot.alt}](benchmarks/{name}.svg)\n" in page
        assert not set("[]<>\n") & set(plot.alt)
    calls = plots["threads"].panels[0]
    assert isinstance(calls, Bars)
    assert [(bar.name, bar.value, bar.kind) for bar in calls.bars] == [("video_oauth_auth", 1, "ours")]


def test_the_plot_over_time_shows_the_slowest_request_of_the_table(quick: tuple[Report, str, str]) -> None:
    report, _, _ = quick
    steady = report.tables["steady"]
    assert [one.row for one in steady.series] == [row.name for row in steady.rows]
    for one, row in zip(steady.series, steady.rows, strict=True):
        slowest, median = row.values[0], row.values[6]
        assert isinstance(slowest, float)
        assert isinstance(median, float)
        assert slowest - 0.1 <= max(one.values) <= slowest + median + 0.1


def test_every_plot_of_the_page_is_drawn_from_what_was_measured_last_as_it_would_be_drawn_now() -> None:
    plots = plots_of(read(RESULTS).tables)
    assert {path.stem for path in PLOTS_FOLDER.glob("*.svg")} == set(plots)
    for name, plot in plots.items():
        drawn = (PLOTS_FOLDER / f"{name}.svg").read_text(encoding="utf-8")
        assert f"<dc:identifier>{digest(plot)}</dc:identifier>" in drawn, "python -m benchmarks --render draws it"
        assert "dc:date" not in drawn


def test_other_values_are_another_plot() -> None:
    plot = Plot(alt="one", panels=())
    assert digest(plot) == digest(replace(plot))
    assert digest(plot) != digest(replace(plot, alt="another"))


def test_what_wrk_prints_is_read_with_its_failures() -> None:
    printed = """\
Running 10s test @ http://127.0.0.1:8700/127.0.0.1:9000/api
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   338.13ms  215.50ms   1.26s    79.01%
    Req/Sec   160.89     57.52   320.00     68.42%
  Latency Distribution
     50%  875.98us
     75%  435.99ms
     90%  628.01ms
     99%    1.21s 
  318 requests in 2.03s, 31.74KB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 50
Requests/sec:    156.82
Transfer/sec:     15.65KB
"""  # noqa: W291 - wrk prints blanks there
    load = Load.from_output(printed)
    assert load == Load(per_second=156.82, median=load.median, p99=1.21, requests=318, failed=60)
    assert load.median == pytest.approx(0.00087598)
    with pytest.raises(ValueError, match="not what wrk prints"):
        Load.from_output("unable to connect to 127.0.0.1:1 Connection refused")


def test_a_figure_that_fails_takes_nothing_from_the_others(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "benchmarks.md"
    program = (
        "from benchmarks.__main__ import FIGURES, main\n"
        "def fail(*_):\n    raise RuntimeError('the server is on fire')\n"
        "FIGURES['auth-work'] = fail\n"
        "main()"
    )
    arguments = ("--quick", "--without-peers", "--results", str(results), "--document", str(page))
    ended = run("auth-work", "memory", *arguments, program=program)
    assert ended.returncode == 1
    assert ended.stderr.endswith("failed: auth-work\n")
    assert "the server is on fire" in ended.stdout
    assert list(read(results).tables) == ["memory"]
    assert "Not measured: auth-work, " in page.read_text(encoding="utf-8")


def test_a_measurement_that_does_not_end_is_ended() -> None:
    program = (
        "import multiprocessing, time\n"
        "from benchmarks import fresh\n"
        "from benchmarks.scale import FULL\n"
        "fresh.PATIENCE = 0.5\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        fresh.run_fresh(FULL, time.sleep, 100)\n"
        "    except RuntimeError as error:\n"
        "        print(error, multiprocessing.active_children())\n"
    )
    ended = run(program=program)
    assert ended.stdout == "sleep did not end within 0.5 s []\n", ended.stderr


def test_a_figure_is_measured_again_among_those_of_the_same_machine_and_versions_only(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "benchmarks.md"
    saved = Report(machine=machine(), versions=versions(), tables={"import-time": read(RESULTS).tables["import-time"]})
    save(saved, results)
    arguments = ("--quick", "--without-peers", "--merge", "--results", str(results), "--document", str(page))
    ended = run("memory", *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    merged = read(results)
    assert merged.tables["import-time"] == saved.tables["import-time"]
    assert list(merged.tables) == ["import-time", "memory"]

    save(replace(saved, versions={"requests": "0.1"}), results)
    ended = run("memory", *arguments)
    assert ended.returncode == 1
    assert "with other versions: measure everything" in ended.stderr


def test_the_page_is_written_again_without_measuring(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    ended = run("--render", "--quick", "--results", str(RESULTS), "--document", str(page))
    assert ended.returncode == 0, ended.stderr
    assert page.read_text(encoding="utf-8") == document(read(RESULTS))


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
