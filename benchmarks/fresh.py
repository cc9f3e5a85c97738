"""A function in a fresh process: nothing that an earlier measurement imported, cached or started is there."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

from .scale import Scale

__all__ = ["run_fresh"]

PATIENCE = 300.0  # seconds; none takes half of it

P = ParamSpec("P")
T = TypeVar("T")


def run_fresh(scale: Scale, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function in a process that is started for it; right here if the scale says that nothing is measured.

    Raises:
        RuntimeError: it does not end, so that its process was killed.
    """
    if not scale.fresh_processes:
        return function(*args, **kwargs)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *args, **kwargs).result(PATIENCE)
        except TimeoutError:
            for process in multiprocessing.active_children():
                process.kill()
            raise RuntimeError(f"{function.__name__} did not end within {PATIENCE:g} s") from None
