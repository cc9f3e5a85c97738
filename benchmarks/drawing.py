"""Draws the plots as SVG, the same bytes from the same values; needs matplotlib.

They stand on white pages and on dark ones: no background, and colours that are as far from white as from black.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

from .plots import Bar, Bars, Plot, Span, Spans, Strip, Strips, digest

__all__ = ["draw"]

TEXT = "#7a7e85"
FAINT = "#7a7e8555"
COLOURS = {"ours": "#10899a", "other": "#8b9097", "limit": "#8b909780"}
DOTS_PER_INCH = 96  # so that the lengths below are those of a page
WIDTH = 540
EDGE = 8
TITLE = 34
ROW = 38
STRIP = 80
AXIS = 46
STEPS = (1, 2, 5, 10)  # from tick to tick
SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 11.25,  # points: 15 pixels, 10 where the page is 360 wide
    "svg.hashsalt": "benchmarks",
    "text.color": TEXT,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
}


def draw(plot: Plot, path: Path, width: int = WIDTH) -> None:
    """Write the plot to a file, whose suffix says how: .svg, or .png to look at.

    Args:
        plot: what to draw.
        path: the file.
        width: pixels of a PNG.
    """
    with mpl.rc_context(SETTINGS):
        heights = [_height(panel) for panel in plot.panels]
        figure = Figure(figsize=(WIDTH / DOTS_PER_INCH, sum(heights) / DOTS_PER_INCH))
        top = float(sum(heights))
        for panel, height in zip(plot.panels, heights, strict=True):
            _draw_panel(_Page(figure, sum(heights)), panel, top)
            top -= height
        metadata: dict[str, Any] = {}
        if path.suffix == ".svg":
            metadata = {"Date": None, "Creator": None, "Identifier": digest(plot)}
        figure.savefig(path, transparent=True, metadata=metadata, dpi=DOTS_PER_INCH * width / WIDTH)


def _height(panel: Bars | Spans | Strips) -> int:
    match panel:
        case Bars(bars=bars):
            rows = len(bars) * ROW
        case Spans(spans=spans):
            rows = len(spans) * ROW
        case Strips(strips=strips):
            rows = len(strips) * STRIP
    return TITLE + rows + AXIS


class _Page:
    """A figure that is measured in pixels from its lower left corner."""

    def __init__(self, figure: Figure, height: int) -> None:
        self._figure, self._height = figure, height

    def axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        place = (left / WIDTH, bottom / self._height, width / WIDTH, height / self._height)
        axes = self._figure.add_axes(place)
        axes.patch.set_visible(False)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
        return axes

    def write(self, left: float, bottom: float, text: str, **how: Any) -> None:
        self._figure.text(left / WIDTH, bottom / self._height, text, **how)


def _draw_panel(page: _Page, panel: Bars | Spans | Strips, top: float) -> None:
    page.write(EDGE, top - 22, panel.title, weight="bold")
    top -= TITLE
    if isinstance(panel, Strips):
        _draw_strips(page, panel, top)
        return
    rows = panel.bars if isinstance(panel, Bars) else panel.spans
    height = len(rows) * ROW
    axes = page.axes(EDGE, top - height, WIDTH - 2 * EDGE, height)
    axes.set(ylim=(len(rows), 0), yticks=[], xlabel=panel.axis)
    if isinstance(panel, Bars):
        _draw_bars(axes, panel.bars)
    else:
        _draw_spans(axes, panel.spans)


def _draw_bars(axes: Any, bars: tuple[Bar, ...]) -> None:
    axes.set_xlim(0, max([bar.value for bar in bars] + [1e-9]) * 1.16)
    axes.xaxis.set_major_locator(
        MaxNLocator(5, steps=STEPS, integer=all(float(bar.value).is_integer() for bar in bars))
    )
    _format_x(axes)
    for number, bar in enumerate(bars):
        axes.barh(number + 0.72, bar.value, height=0.36, color=COLOURS[bar.kind])
        _name(axes, number, bar)
        _at_the_right(axes, number, bar.note)
        end = (bar.value, number + 0.72)
        axes.annotate(bar.label, end, (5, 0), textcoords="offset points", va="center", **_face(bar))


def _draw_spans(axes: Any, spans: tuple[Span, ...]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(span.low for span in spans) / 1.5, max(span.high for span in spans) * 1.5)
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.minorticks_off()
    _format_x(axes)
    for number, span in enumerate(spans):
        colour = COLOURS[span.kind]
        axes.plot((span.low, span.high), (number + 0.72,) * 2, color=colour, linewidth=2)
        axes.plot((span.low,), (number + 0.72,), color=colour, marker="o", markersize=8)
        axes.plot((span.high,), (number + 0.72,), color=colour, marker="|", markersize=11, markeredgewidth=2.5)
        _name(axes, number, span)
        _at_the_right(axes, number, span.label)


def _draw_strips(page: _Page, panel: Strips, top: float) -> None:
    most = max(max(strip.values) for strip in panel.strips)
    left = 62
    for number, strip in enumerate(panel.strips):
        bottom = top - (number + 1) * STRIP + 8
        axes = page.axes(left, bottom, WIDTH - left - EDGE, STRIP - 34)
        axes.set(ylim=(0, most), xlim=(0, len(strip.values) * strip.step))
        axes.bar(
            [(step + 0.5) * strip.step for step in range(len(strip.values))],
            strip.values,
            width=strip.step,
            color=COLOURS[strip.kind],
        )
        axes.yaxis.set_major_locator(MaxNLocator(2, steps=STEPS, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.tick_params(length=0)
        page.write(EDGE, bottom + STRIP - 30, strip.name, **_face(strip))
        page.write(WIDTH - EDGE, bottom + STRIP - 30, strip.note, ha="right")
        if number < len(panel.strips) - 1:
            axes.set_xticklabels([])
    axes.set_xlabel(panel.axis)


def _format_x(axes: Any) -> None:
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _face(row: Bar | Span | Strip) -> dict[str, Any]:
    return {"color": COLOURS["ours"], "weight": "bold"} if row.kind == "ours" else {}


def _name(axes: Any, number: int, row: Bar | Span) -> None:
    axes.text(0, number + 0.3, row.name, transform=axes.get_yaxis_transform(), va="center", **_face(row))


def _at_the_right(axes: Any, number: int, text: str) -> None:
    axes.text(1, number + 0.3, text, transform=axes.get_yaxis_transform(), ha="right", va="center")
