"""Charts as SVG text inside a page, in the page's font and colours, light or dark.

Equal data make equal text.
"""
import io
import re
from html import escape
from typing import NamedTuple, Optional, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

# The colours that matplotlib draws in, and those of the page that replace them.
_TEXT, _GRID = "#010101", "#020202"
_SERIES = ("#030303", "#040404", "#050505")
_ON_PAGE = {_TEXT: "currentColor", _GRID: "var(--line)", "#030303": "var(--first)", "#040404": "var(--second)"}
_ON_PAGE["#050505"] = "var(--third)"

_SIZE = (4.7, 2.7)  # inches: about 340 points wide, so that text keeps its nominal size on a phone
_WIDE = 3.0  # ratio of the largest to the smallest value above which a logarithmic axis helps
_FEW = 12  # the points of a curve with fewer values than this are marked
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": _TEXT,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Curve(NamedTuple):
    """A curve with one value per epoch; ``series`` (0, 1 or 2) chooses its colour."""

    label: str
    epochs: Sequence[float]
    values: Sequence[float]
    series: int = 0
    dashed: bool = False


def draw_curves(
    name: str, about: str, curves: Sequence[Curve], log: bool = False, whole: bool = False, mark: Optional[float] = None
) -> str:
    """Return a chart of curves over the epochs.

    ``name`` must be unique in the page; ``about`` is the text for screen readers. ``log`` makes the axis logarithmic if
    the values span a wide range; otherwise ``whole`` lets it begin at 0. ``mark`` is an epoch to mark.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axis = _empty()
        if mark is not None:
            axis.axvline(mark, color=_TEXT, linestyle=":", linewidth=1)
        for curve in curves:
            marker = "o" if len(curve.values) < _FEW else ""
            style = "--" if curve.dashed else "-"
            colour = _SERIES[curve.series]
            axis.plot(curve.epochs, curve.values, style, color=colour, marker=marker, markersize=3, label=curve.label)
        values = [value for curve in curves for value in curve.values]
        if log and 0 < _WIDE * min(values) < max(values):
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 100 * min(values) else (1,)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_locator(NullLocator())
        elif whole:
            axis.set_ylim(bottom=0)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.grid(True, which="both", axis="y", linewidth=0.6)
        if len(curves) > 1:
            place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0}
            axis.legend(**place, ncol=len(curves), handlelength=1.6, columnspacing=1)
        return _to_svg(figure, about)


def draw_usage(name: str, about: str, shares: np.ndarray) -> str:
    """Return a chart of the ``shares`` (K,) of the codes in all uses, the most used first."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axis = _empty()
        heights = 100 * np.sort(shares)[::-1]
        axis.stairs(heights, fill=True, color=_SERIES[0], linewidth=0)
        axis.axhline(100 / len(shares), color=_TEXT, linestyle=":", linewidth=1, label="uniform use")
        axis.set(xlabel="codes, most used first", ylabel="% of positions", xlim=(0, len(shares)))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(True, axis="y", linewidth=0.6)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        return _to_svg(figure, about)


def draw_histogram(name: str, about: str, values: np.ndarray, label: str) -> str:
    """Return a histogram of the values (N,) of images; ``label`` is the label of their axis."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axis = _empty()
        heights, edges = np.histogram(values, bins=40)
        axis.stairs(heights, edges, fill=True, color=_SERIES[0], linewidth=0)
        axis.set(xlabel=label, ylabel="images")
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(True, axis="y", linewidth=0.6)
        return _to_svg(figure, about)


def _empty() -> Tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, constrained_layout=True)
    return figure, figure.subplots()


def _to_svg(figure: Figure, about: str) -> str:
    """Return the figure as an <svg> element that scales to the width it is given."""
    content = io.StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    # A <style> element would apply to the whole page.
    svg = re.sub(r"(<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>)\s*", "", svg, flags=re.DOTALL)
    frame = re.findall(r'viewBox="[^"]*"', svg)[0]
    svg = f'<svg {frame} role="img" aria-label="{escape(about)}">' + svg[svg.index(">") + 1 :]
    # Charts share a page, so ids must be unique: only those that are referred to stay, and they depend on the name.
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if f"#{found[1]}" in svg else "", svg)
    for colour, on_page in _ON_PAGE.items():
        svg = svg.replace(colour, on_page)
    return re.sub(r"(font-family|font-weight|font-style): [^;\"]*;? ?", "", svg)
