"""The numbers of a report: tables, and the curves of a history."""
import dataclasses
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..recipes.autoencoder import Recipe
from .charts import Curve, draw_curves
from .run import Row, Run

#: The title of each metric, and whether lower (-1) or higher (1) is better; 0 if neither is.
_FIGURES = {
    "images": ("Images", 0),
    "mse": ("MSE per pixel", -1),
    "psnr": ("PSNR, dB", 1),
    "ssim": ("SSIM", 1),
    "perplexity": ("Perplexity", 0),
    "codes_used": ("Codes used", 0),
    "bits_per_image": ("Bits per image", 0),
    "bits_per_pixel": ("Bits per pixel", 0),
    "bits_per_image_with_class": ("Bits per image, given the class", 0),
    "judge_accuracy_originals": ("Classifier accuracy on originals", 0),
    "judge_accuracy_reconstructions": ("Classifier accuracy on reconstructions", 1),
}


class Table(NamedTuple):
    """A caption, the titles of the columns, and rows whose first cell is the title of the row."""

    caption: str
    head: List[str]
    rows: List[List[str]]


def key_figures(summary: Dict[str, Any], codes: int) -> List[Tuple[str, str]]:
    """Return the names and values of the most important metrics."""
    key = [("MSE per pixel", number(summary["mse"])), ("PSNR", f"{summary['psnr']:.1f} dB")]
    key += [("Perplexity", f"{summary['perplexity']:.1f}"), ("Codes used", f"{summary['codes_used']} of {codes}")]
    if "bits_per_image" in summary:
        key.append(("Bits per image", f"{summary['bits_per_image']:.1f}"))
    return key


def figures_table(summary: Dict[str, Any]) -> Table:
    """Return a table of the metrics of ``vqvae evaluate``."""
    rows = [[title, number(summary[name])] for name, (title, _) in _FIGURES.items() if name in summary]
    return Table(f"Metrics over {summary['images']:,} images", ["metric", "value"], rows)


def comparison_table(own: Dict[str, Any], other: Dict[str, Any]) -> Table:
    """Return a table of the metrics of two models on the same images; for some metrics it names the better model."""
    rows = []
    for name, (title, sign) in _FIGURES.items():
        values: List[Any] = [summary.get(name) for summary in (own, other)]
        if values == [None, None]:
            continue
        verdict = ""
        if sign and None not in values:
            ahead = sign * (values[0] - values[1])
            verdict = "equal" if ahead == 0 else "this run" if ahead > 0 else "other run"
        rows.append([title, *("none" if value is None else number(value) for value in values), verdict])
    return Table("Both runs on the same images", ["metric", "this run", "other run", "better"], rows)


def classes_table(by_class: Dict[str, Dict[str, Any]]) -> Optional[Table]:
    """Return a table of the metrics of each class, the largest error first, or None if there are no classes."""
    if not by_class:
        return None
    names = [name for name in _FIGURES if name in next(iter(by_class.values()))]
    order = sorted(by_class, key=lambda name: -by_class[name]["mse"])
    rows = [[name, *(number(by_class[name][figure]) for figure in names)] for name in order]
    head = ["class", *(_FIGURES[name][0] for name in names)]
    return Table("Metrics by class, largest error first", head, rows)


def history_table(rows: Sequence[Row], caption: str) -> Optional[Table]:
    """Return a table of all metrics of all epochs, or None if there are no epochs."""
    if not rows:
        return None
    names = [name.replace("_", " ") for name in rows[0]]
    return Table(caption, names, [[number(value) for value in row.values()] for row in rows])


def settings_table(recipe: Recipe, other: Optional[Recipe]) -> Dict[str, Any]:
    """Return tables of the settings that differ from the recipe 'ema' or between the runs, and of the others.

    The former is ``chosen``, None if no setting differs, the latter ``rest``. ``texts`` has the EMADL texts of the
    recipe, as sorted (name, text) pairs.
    """
    usual = Recipe()
    chosen: List[List[str]] = []
    rest: List[List[str]] = []
    for field in dataclasses.fields(Recipe):
        recipes = [recipe] + ([other] if other else [])
        if field.name == "emadl":
            continue
        values = [getattr(each, field.name) for each in recipes]
        row = [field.name, *(_setting(each, field.name) for each in recipes), field.metadata["help"]]
        differs = len(set(values)) > 1 or values[0] != getattr(usual, field.name)
        (chosen if differs else rest).append(row)
    head = ["setting", "this run", "other run", "meaning"] if other else ["setting", "value", "meaning"]
    which = "differ between the runs or from the recipe 'ema'" if other else "differ from the recipe 'ema'"
    return {
        "chosen": Table(f"Settings that {which}", head, chosen) if chosen else None,
        "rest": Table("Settings with the same value as in the recipe 'ema'", head, rest),
        "texts": sorted(recipe.emadl.items()),
    }


def history_charts(run: Run, other: Optional[Run]) -> List[Tuple[str, str]]:
    """Return charts of the training and their titles; of the other run, they show only the validation metrics."""
    shown = [
        ("mse", "MSE per pixel", True),
        ("perplexity", "Perplexity", False),
        ("codes_used", "Codes used", False),
        ("commitment", "Commitment loss", True),
    ]
    charts = []
    for name, title, log in shown:
        curves = [_curve(run.rows, f"train_{name}", "training", 1, True)]
        curves.append(_curve(run.rows, f"validation_{name}", "validation", 0))
        if other:
            curves.append(_curve(other.rows, f"validation_{name}", "other run, validation", 2))
        charts.append(_chart(name, title, curves, log, run.exported))
    rate = [_curve(run.rows, "learning_rate", "learning rate", 0)]
    charts.append(_chart("learning_rate", "Learning rate", rate, False, run.exported))
    return charts


def prior_chart(run: Run) -> Optional[Tuple[str, str]]:
    """Return a chart of the training of a run's prior and its title, or None if there is no history."""
    rows = run.prior_rows
    if not rows:
        return None
    curves = [_curve(rows, "train_bits_per_image", "training", 1, True)]
    curves += [_curve(rows, "validation_bits_per_image", "validation", 0)]
    if any(row["validation_bits_per_image_with_class"] != row["validation_bits_per_image"] for row in rows):
        curves += [_curve(rows, "validation_bits_per_image_with_class", "given the class", 2)]
    return _chart("prior_bits", "Bits per image", curves, False, None)


def number(value: float) -> str:
    """Return a number for display: with thousands separators if it is whole, else with four significant digits.

    From 1,000 on, a number that is not whole has one decimal.
    """
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def _curve(rows: Sequence[Row], name: str, label: str, series: int, dashed: bool = False) -> Curve:
    return Curve(label, [row["epoch"] for row in rows], [row[name] for row in rows], series, dashed)


def _chart(name: str, title: str, curves: List[Curve], log: bool, exported: Optional[Row]) -> Tuple[str, str]:
    """Return an SVG and its title; its text for screen readers says where the curves begin and end."""
    told = [f"{curve.label} from {number(curve.values[0])} to {number(curve.values[-1])}" for curve in curves]
    about = f"{title} over {len(curves[0].values)} epochs: {'; '.join(told)}"
    mark = exported["epoch"] if exported else None
    return draw_curves(name, about, curves, log, name == "codes_used", mark), title


def _setting(recipe: Recipe, name: str) -> str:
    value = getattr(recipe, name)
    if name == "learning_rate" and value is None:
        return f"{recipe.highest_learning_rate:g} (the model's default)"
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "none"
    return "none" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)
