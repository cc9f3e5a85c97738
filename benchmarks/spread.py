"""Interleaved rounds, and what stays of them: the median and the middle half."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence

__all__ = ["interleaved", "middle_half", "ratios"]


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each once per round, in another order each time: what disturbs the machine disturbs all of them."""
    order = list(measures)
    found: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            found[name].append(measures[name]())
    return found


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Give the ratio of each round, so that a round on a busy machine counts no more than a quiet one."""
    return [one / other for one, other in zip(of, to, strict=True)]


def middle_half(values: Sequence[float]) -> tuple[float, float]:
    """Give the first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third
