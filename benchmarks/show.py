"""The tables on a terminal, ratios first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable

from .tables import Goal, Table, written

__all__ = ["show", "show_goals"]


def show(table: Table, console: Console) -> None:
    """Print one table."""
    shown = RichTable("", title=table.title, title_justify="left", title_style="bold")
    for column in table.columns:
        shown.add_column(column.name, justify="right")
    for row in table.rows:
        values = zip(row.values, table.columns, strict=True)
        shown.add_row(row.name, *(written(value, column.unit) for value, column in values))
    console.print(shown)


def show_goals(goals: Sequence[Goal], console: Console) -> None:
    """Print what was to be reached and what was measured."""
    shown = RichTable("figure", "goal", title="Goals", title_justify="left", title_style="bold")
    shown.add_column("measured", justify="right")
    shown.add_column("")
    for goal in goals:
        limit, measured = written(goal.limit, goal.unit), written(goal.measured, goal.unit)
        shown.add_row(goal.what, f"{goal.sense} {limit}", measured, "[green]met" if goal.met else "[red]missed")
    console.print(shown)
