"""What the plots show, taken from the tables; `drawing` draws it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from .contenders import OURS, STATIC
from .figures.proxy import DIRECT, PROXY
from .tables import WITHOUT_UNIT, Row, Table, Unit, written

__all__ = ["PLOTS", "Bar", "Bars", "Plot", "Span", "Spans", "Strip", "Strips", "digest", "plots_of"]

DRAWING = Path(__file__).with_name("drawing.py")
Kind = Literal["ours", "other", "limit"]
CALLED: Mapping[Kind, str] = {"ours": OURS, "other": "the other libraries", "limit": "the limit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    name: str
    value: float
    label: str
    kind: Kind
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Horizontal bars from zero."""

    title: str
    axis: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    name: str
    low: float
    high: float
    label: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Two points of each row and the line between them, on a logarithmic axis."""

    title: str
    axis: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    name: str
    note: str
    step: float
    values: tuple[float, ...]
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """Something over time, one strip below the other, all with the same axes."""

    title: str
    axis: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One picture: its panels from top to bottom, and in words what they show."""

    alt: str
    panels: tuple[Bars | Spans | Strips, ...]


def plots_of(tables: Mapping[str, Table]) -> dict[str, Plot]:
    """Give the plots of these tables, by the name of the figure."""
    return {name: plot(tables[name]) for name, plot in PLOTS.items() if name in tables}


def digest(plot: Plot) -> str:
    """Tell this plot, and how it is drawn, from every other: the file has it in its metadata."""
    shown = json.dumps(asdict(plot), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(shown.encode() + DRAWING.read_bytes()).hexdigest()


# --- the figures --------------------------------------------------------------------------------------------------


def _auth_work(table: Table) -> Plot:
    bars = _bars(table.rows, 0, "ratio")
    return _plot("Auth work per request while the token is fresh", "times a static header", bars)


def _threads(table: Table) -> Plot:
    calls = Bars(title=table.title, axis="token calls", bars=_worst(table, 0))
    failed = Bars(title="The same with a refresh token that rotates", axis="failed requests", bars=_worst(table, 4))
    return Plot(alt=f"{_told(calls)} {_told(failed)}", panels=(calls, failed))


def _tasks(table: Table) -> Plot:
    calls = Bars(title=table.title, axis="token calls", bars=_worst(table, 0))
    seconds = Bars(title="Until all tasks have their answer", axis="seconds", bars=_bars(table.rows, 2, "s"))
    return Plot(alt=f"{_told(calls)} {_told(seconds)}", panels=(calls, seconds))


def _steady(table: Table) -> Plot:
    series = {one.row: one for one in table.series}
    strips, slowest = [], []
    for row in _first_of_each(table.rows):
        course, kind = series[row.name], _kind(row.name)
        failed, calls = (written(row.values[column], "count") for column in (3, 5))
        most = max(course.values)
        slowest.append((kind, most, f"{most:,.0f}"))
        note = f"{most:,.0f} ms; failed: {failed}; token calls: {calls}"
        strips.append(Strip(name=row.name, note=note, step=course.step, values=course.values, kind=kind))
    title = "Slowest request of each 0.1 s, ms, while tokens expire"
    alt = f"Slowest request while tokens expire, ms: {_compared(slowest)}."
    return Plot(alt=alt, panels=(Strips(title=title, axis="seconds", strips=tuple(strips)),))


def _loop_stall(table: Table) -> Plot:
    rows = [Row(name=row.name, values=(max(_number(row, 0), _number(row, 2)),)) for row in table.rows]
    return _plot("Event loop stands still while the token endpoint hangs", "ms", _bars(rows, 0, "ms"))


def _memory(table: Table) -> Plot:
    bars = _bars(table.rows, 0, "KiB")
    threads = max(_number(row, 2) for row in table.rows if row.name.startswith(OURS))
    title = f"Memory per auth object; {table.title.partition(' ')[0]} of ours: {written(threads, 'count')} threads"
    return _plot(title, "KiB", bars)


def _throughput(table: Table) -> Plot:
    panels = []
    for client in ("requests", "httpx", "httpx2"):
        own = f" in {client}"
        rows = [Row(name=row.name.removesuffix(own), values=row.values) for row in table.rows if row.name.endswith(own)]
        bars = _bars(rows, 2, "per second")
        panels.append(Bars(title=f"16 threads, {client}", axis="requests per second", bars=bars))
    return Plot(alt=" ".join(map(_told, panels)), panels=tuple(panels))


def _processes(table: Table) -> Plot:
    column = max(number for number, one in enumerate(table.columns) if one.name.startswith("token calls"))
    axis, _, many = table.columns[column].name.partition(", ")
    return _plot(f"{many} that share a file of tokens", axis, _bars(table.rows, column, "count"))


def _proxy(table: Table) -> Plot:
    direct = {row.name.removeprefix(DIRECT): row for row in table.rows if row.name.startswith(DIRECT)}
    bars, spans = [], []
    for row in table.rows:
        name, kind = row.name.removeprefix(f"{OURS} "), _kind(row.name)
        low, high = _number(row, 2), _number(row, 3)
        spans.append(Span(name=name, low=low, high=high, label=f"{low:,.1f} and {high:,.1f} ms", kind=kind))
        if kind == "ours":
            beside = direct.get(row.name.removeprefix(PROXY))
            note = f"direct: {_label(_number(beside, 1), 'per second')}" if beside else ""
            value = _number(row, 1)
            bars.append(Bar(name=name, value=value, label=_label(value, "per second"), kind=kind, note=note))
    rates = Bars(title=table.title, axis="requests per second", bars=tuple(bars))
    latencies = Spans(title="Latency: median and 99th percentile", axis="ms", spans=tuple(spans))
    failed = sum(_number(row, 5) for row in table.rows)
    medians = _compared([(one.kind, one.low, f"{one.low:,.1f}") for one in spans])
    alt = f"{_told(rates)} Median latency, ms: {medians}. Failed requests: {written(failed, 'count')}."
    return Plot(alt=alt, panels=(rates, latencies))


def _proxy_bodies(table: Table) -> Plot:
    bars = _bars(table.rows, 1, "MiB per second")
    return _plot(table.title, "MiB per second", bars)


PLOTS: Mapping[str, Callable[[Table], Plot]] = {
    "auth-work": _auth_work,
    "threads": _threads,
    "tasks": _tasks,
    "steady": _steady,
    "loop-stall": _loop_stall,
    "memory": _memory,
    "throughput": _throughput,
    "processes": _processes,
    "proxy": _proxy,
    "proxy-bodies": _proxy_bodies,
}


# --- what they are made of ----------------------------------------------------------------------------------------


def _plot(title: str, axis: str, bars: tuple[Bar, ...]) -> Plot:
    panel = Bars(title=title, axis=axis, bars=bars)
    return Plot(alt=_told(panel), panels=(panel,))


def _told(panel: Bars) -> str:
    return f"{panel.title}, {panel.axis}: {_compared([(bar.kind, bar.value, bar.label) for bar in panel.bars])}."


def _compared(values: Iterable[tuple[Kind, float, str]]) -> str:
    """Tell the finding: ours, and from where to where the others go."""
    found = sorted(values, key=lambda one: one[1])
    parts = []
    for kind, name in CALLED.items():
        labels = [label for of, _, label in found if of == kind]
        if labels:
            parts.append(f"{name} {' to '.join(dict.fromkeys((labels[0], labels[-1])))}")
    return "; ".join(parts)


def _bars(rows: Iterable[Row], column: int, unit: Unit) -> tuple[Bar, ...]:
    return tuple(
        Bar(name=row.name, value=value, label=_label(value, unit), kind=_kind(row.name))
        for row in rows
        if isinstance(value := row.values[column], int | float)
    )


def _label(value: float, unit: Unit) -> str:
    return f"{value:,.0f}" if unit in WITHOUT_UNIT else f"{value:,.1f}"


def _worst(table: Table, column: int) -> tuple[Bar, ...]:
    """Give one bar for each library: that of its client with the largest count."""
    found: dict[str, Row] = {}
    for row in table.rows:
        package = row.name.partition(" in ")[0]
        if row.values[column] is None or package == STATIC:
            continue
        if package not in found or _number(row, column) > _number(found[package], column):
            found[package] = Row(name=package, values=row.values)
    return _bars(found.values(), column, "count")


def _first_of_each(rows: Sequence[Row]) -> list[Row]:
    """Give one row of each library, in the first client that it is measured in."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.name.partition(" in ")[0], row)
    return list(found.values())


def _kind(name: str) -> Kind:
    if name.startswith(OURS):
        return "ours"
    return "limit" if name.startswith((STATIC, DIRECT)) else "other"


def _number(row: Row, column: int) -> float:
    value = row.values[column]
    assert isinstance(value, int | float)
    return value
