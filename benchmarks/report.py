"""Turns measured rounds into tables."""
import statistics
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

_EAGER, _COMPILE, _ONNX, _VQP = "PyTorch eager", "torch.compile", "ONNX Runtime", "vector-quantize-pytorch"
_NAIVE, _TWO = ", NaiveEngine", ", two callers"
_START = "start to first reconstruction"


class Comparison(NamedTuple):
    """Two contenders at one kind of work, the unit, and how many times better ours must be (None: for information)."""

    work: str
    unit: str
    ours: str
    theirs: str
    required: Optional[float]


COMPARISONS = (
    *(
        Comparison(f"training, batch {batch}", "images/s", "ours", theirs, required)
        for batch, eager in ((32, 1.0), (128, 1.4), (500, 1.4))
        for theirs, required in ((_EAGER, eager), (_COMPILE, 1.0))
    ),
    *(
        Comparison("reconstructing in bulk", "images/s", ours, theirs, required)
        for ours in ("ours, Python", "ours, C++")
        for theirs, required in ((_EAGER, 1.2), (_ONNX, 2.0))
    ),
    Comparison("reconstructing in bulk", "images/s", "ours, Python", "ours, C++", 0.95),
    *(
        Comparison("reconstructing in bulk", "images/s", f"ours, C++{_TWO}", f"{theirs}{_TWO}", required)
        for theirs, required in ((_EAGER, 1.3), (_ONNX, None))
    ),
    *(
        Comparison("one at a time", unit, ours, theirs, required)
        for ours, pytorch, onnx in (
            ("ours, C++", 1.5, 1.2),
            ("ours, Python", 1.8, 0.75),
            (f"ours, Python{_NAIVE}", None, None),
        )
        for theirs, required in (("PyTorch", pytorch), (_ONNX, onnx))
        for unit in ("p50 ms", "p99 ms")
    ),
    *(
        Comparison("one at a time", f"{unit}, {threads}", "ours, C++", theirs, None)
        for theirs in ("PyTorch", _ONNX)
        for threads in ("one thread", "all threads")
        for unit in ("p50 ms", "p99 ms")
    ),
    Comparison(_START, "s", "ours, C++", "PyTorch", 5.0),
    *(
        Comparison("imports", "s", ours, "import mxnet", required)
        for ours, required in (
            ("import vqvae_gluon", 1 / 1.15),
            ("vqvae --help", 1 / 1.15),
            ("from vqvae_gluon import Predictor", None),
        )
    ),
    Comparison("training to the target MSE", "s", "ours", _VQP, 1.5),
    Comparison("training the prior, batch 64", "images/s", "ours", _EAGER, 1.0),
    Comparison("drawing the codes of 1", "p50 ms", "ours, C++", _EAGER, 2.0),
    Comparison("drawing the codes of 100", "p50 ms", "ours, C++", _EAGER, 1.5),
)

Rounds = Dict[str, Dict[str, List[Dict[str, float]]]]
Row = Dict[str, Any]


def is_rate(unit: str) -> bool:
    """Return whether higher values of a unit are better."""
    return unit.endswith("/s")


def multiply_adds(side: int = 28) -> int:
    """Return the multiply-adds of the EMADL VQ-VAE's six layers for one image of side x side, without biases."""
    half, quarter = (side // 2) ** 2, (side // 4) ** 2
    encoder = half * 1 * 32 * 3**2 + quarter * 32 * 64 * 3**2 + quarter * 64 * 16
    # A transposed convolution does its work at each pixel of its input.
    decoder = quarter * 16 * 64 * 4**2 + half * 64 * 32 * 4**2 + side**2 * 32 * 1 * 3**2
    return encoder + decoder


def summarize(rounds: Rounds) -> List[Row]:
    """Return a row for each measured comparison, and for each share of the matrix product's speed.

    Each row has medians with the minimum and maximum over the rounds. The ratio is the median of the ratios within a
    round; above 1, ours is better.
    """
    rows = [_compare(comparison, rounds) for comparison in COMPARISONS if comparison.work in rounds]
    return rows + [_share(work, rounds) for work in rounds if work.startswith("training, batch")]


def _compare(comparison: Comparison, rounds: Rounds) -> Row:
    work, unit, *names, required = comparison
    ours, theirs = ([figures[unit] for figures in rounds[work][name]] for name in names)
    ratios = [a / b if is_rate(unit) else b / a for a, b in zip(ours, theirs)]
    row = {"work": work, "unit": unit, "our_name": names[0], "their_name": names[1]}
    row.update(ours=_spread(ours), theirs=_spread(theirs), ratio=_spread(ratios), required=required)
    return {**row, "met": None if required is None else row["ratio"]["median"] >= required}


def _share(work: str, rounds: Rounds) -> Row:
    """Return training's share of a matrix product's speed, counting the backward pass as two forward passes."""
    flops = 3 * 2 * multiply_adds()
    ours = [1e-9 * flops * figures["images/s"] for figures in rounds[work]["ours"]]
    peak = [figures["GFLOP/s"] for figures in rounds["matrix product"]["ours"]]
    row = {"work": work, "unit": "GFLOP/s", "our_name": "ours", "their_name": "matrix product"}
    row.update(ours=_spread(ours), theirs=_spread(peak), ratio=_spread([a / b for a, b in zip(ours, peak)]))
    return {**row, "required": None, "met": None}


def _spread(values: Sequence[float]) -> Dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def format_table(rows: Sequence[Row]) -> str:
    """Return a Markdown table of :func:`summarize`: medians, with the spread over the rounds in brackets."""
    lines = [["work", "ours", "theirs", "ratio", "asked"]]
    for row in rows:
        lines.append(
            [
                row["work"],
                f"{row['our_name']}: {_format(row['ours'])} {row['unit']}",
                f"{row['their_name']}: {_format(row['theirs'])}",
                _format(row["ratio"]),
                "" if row["required"] is None else f"{row['required']:.3g}, {'met' if row['met'] else '**missed**'}",
            ]
        )
    return markdown_table(lines)


def format_memory(rows: Sequence[Row]) -> str:
    """Return a Markdown table of peak memory."""
    if not rows:
        return ""
    columns = ("work", "batch", "side", "MiB")
    return markdown_table([list(columns)] + [[_cell(row.get(column, "")) for column in columns] for row in rows])


def _cell(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _format(spread: Dict[str, float]) -> str:
    median, low, high = (f"{spread[name]:,.0f}" if spread[name] >= 1000 else f"{spread[name]:.3g}" for name in spread)
    return f"{median} [{low} to {high}]"


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of rows of cells; the first row holds the titles."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    return "\n".join([text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]])
