"""The measured tables as values, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["WITHOUT_UNIT", "Column", "Goal", "Report", "Row", "Series", "Table", "Unit", "Value", "written"]

Unit = Literal["ratio", "count", "ms", "µs", "s", "KiB", "MiB", "per second", "MiB per second"]
Value = float | tuple[float, float] | None  # a pair is a spread: the middle half of what was measured; None: cannot do


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What was to be reached, and what was measured."""

    what: str
    sense: Literal["under", "at most", "at least"]
    limit: float
    measured: float
    unit: Unit

    @property
    def met(self) -> bool:
        if self.sense == "at least":
            return self.measured >= self.limit
        return self.measured < self.limit or (self.sense == "at most" and self.measured == self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What a row did over time: the largest value of each step, which is so many seconds long."""

    row: str
    step: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One figure: what it shows, how it was measured, the goals that belong to it, and what only its plot shows."""

    title: str
    method: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    goals: tuple[Goal, ...] = ()
    series: tuple[Series, ...] = ()
    measured_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that was measured: tables by the name of the figure."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    tables: Mapping[str, Table] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Report:
        return cls(**{**members, "tables": {name: _table(one) for name, one in members["tables"].items()}})


def _table(members: Mapping[str, Any]) -> Table:
    rows = tuple(Row(name=row["name"], values=tuple(map(_value, row["values"]))) for row in members["rows"])
    columns = tuple(Column(**column) for column in members["columns"])
    goals = tuple(Goal(**goal) for goal in members["goals"])
    series = tuple(Series(**{**one, "values": tuple(one["values"])}) for one in members["series"])
    return Table(**{**members, "columns": columns, "rows": rows, "goals": goals, "series": series})


def _value(value: Any) -> Value:
    return (value[0], value[1]) if isinstance(value, list) else value


_DIGITS: Mapping[Unit, int] = {
    "ratio": 2,
    "count": 0,
    "ms": 1,
    "µs": 2,
    "s": 1,
    "KiB": 1,
    "MiB": 1,
    "per second": 0,
    "MiB per second": 0,
}


WITHOUT_UNIT = ("count", "per second", "MiB per second")  # the name of the column says it


def written(value: Value, unit: Unit) -> str:
    """Write a value as the tables show it."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return f"{_number(value[0], unit)} to {_number(value[1], unit)}"
    if unit == "ratio":
        return f"{_number(value, unit)} x"
    return (
        _number(value, unit) if unit in ("count", "per second", "MiB per second") else f"{_number(value, unit)} {unit}"
    )


def _number(value: float, unit: Unit) -> str:
    digits = 3 if unit == "ratio" and abs(value) < 0.1 else _DIGITS[unit]
    return f"{value:,.{digits}f}"
