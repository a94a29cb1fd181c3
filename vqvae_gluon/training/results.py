"""The results of several models trained alike: numbers, their means over the seeds, and the table of them."""
import math
import statistics
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

#: The metrics of each split.
CURVES = ("loss", "mse", "perplexity", "codes_used")
#: The numbers of one training, in the order of the CSV: at its best epoch (lowest validation error) and its last.
FIGURES = (
    "encoder_parameters",
    "decoder_parameters",
    "updates",
    "images_per_second",
    "best_epoch",
    *(f"{when}_{split}_{name}" for when in ("best", "last") for split in ("train", "validation") for name in CURVES),
)
#: The columns of the printed table, the one of FIGURES that each shows, and its format.
_TABLE = (
    ("parameters", "encoder_parameters", "{:.0f}"),
    ("best epoch", "best_epoch", "{:.1f}"),
    ("train MSE", "best_train_mse", "{:.5f}"),
    ("validation MSE", "best_validation_mse", "{:.5f}"),
    ("loss", "best_validation_loss", "{:.3f}"),
    ("perplexity", "best_validation_perplexity", "{:.1f}"),
    ("codes", "best_validation_codes_used", "{:.1f}"),
    ("last train MSE", "last_train_mse", "{:.5f}"),
    ("last validation MSE", "last_validation_mse", "{:.5f}"),
    ("images/s", "images_per_second", "{:.0f}"),
)


class Result(NamedTuple):
    """One finished training: its model's label, its seed, its :data:`FIGURES` and its history's rows.

    ``by_class`` has, for each class of the validation split, the number of ``images`` and the best epoch's metrics.
    """

    label: str
    seed: int
    figures: Dict[str, float]
    rows: List[Dict[str, float]]
    by_class: Mapping[str, Dict[str, float]] = {}


def summarize(results: Sequence[Result]) -> Dict[str, Dict[str, Tuple[float, float]]]:
    """Return, for each label and each of :data:`FIGURES`, the mean and standard deviation over the seeds."""
    summary: Dict[str, Dict[str, Tuple[float, float]]] = {}
    for label in dict.fromkeys(result.label for result in results):
        runs = [result.figures for result in results if result.label == label]
        summary[label] = {}
        for name in FIGURES:
            # A training that was killed just before its end may lack its speed.
            values = [run[name] for run in runs if not math.isnan(run[name])] or [math.nan]
            summary[label][name] = _spread(values)
    return summary


def summarize_classes(results: Sequence[Result]) -> Dict[str, Dict[str, Tuple[float, float]]]:
    """Return, for each label and each class, the mean and standard deviation of the best epoch's validation MSE."""
    summary: Dict[str, Dict[str, Tuple[float, float]]] = {}
    for label in dict.fromkeys(result.label for result in results):
        runs = [result.by_class for result in results if result.label == label]
        summary[label] = {name: _spread([run[name]["mse"] for run in runs]) for name in runs[0]}
    return summary


def _spread(values: Sequence[float]) -> Tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def format_table(results: Sequence[Result]) -> str:
    """Return a Markdown table with a row for each model: means over the seeds and, after ±, standard deviations.

    MSE, loss, perplexity and codes used are those of the best epoch unless a column says otherwise; the perplexity is
    that of the whole validation split. If the data have classes, a second table has a row for each, with the validation
    MSE of its images at the best epoch.
    """
    rows = [["model", *(title for title, _, _ in _TABLE)]]
    for label, figures in summarize(results).items():
        rows.append([label, *(_mean(*figures[name], form) for _, name, form in _TABLE)])
    tables, by_class = [_markdown(rows)], summarize_classes(results)
    images = {name: found["images"] for name, found in results[0].by_class.items()}
    if images:
        rows = [["validation MSE of class", "images", *by_class]]
        for name, count in images.items():
            rows.append([name, str(count), *(_mean(*found[name], "{:.5f}") for found in by_class.values())])
        tables.append(_markdown(rows))
    return "\n\n".join(tables)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _mean(mean: float, deviation: float, form: str) -> str:
    return form.format(mean) + (f" ± {form.format(deviation)}" if deviation else "")
