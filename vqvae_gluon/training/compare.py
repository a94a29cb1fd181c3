"""Several models trained alike, and the table and the plot that compare them."""
import csv
import io
import json
import math
import statistics
import time
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import Block

from ..data import Dataset
from ..emadl.block import Network
from ..errors import VQVAEError
from ..files import parse_json, read_bytes, write_bytes
from ..model_zoo import get_model
from ..nn import VQVAE
from ..recipes.autoencoder import Recipe
from .autoencoder import AUTOENCODER, Training
from .checkpoint import checkpoint_path, load_checkpoint, set_weights
from .loss import total_loss

#: What all recipes of a comparison must share; the decoder, too, see :func:`check_comparable`.
SHARED = (
    *("data", "channels", "image_size", "split_seed", "mixed_sizes", "background", "classes"),
    *("decoder_width", "reconstruction_loss", "batch_size", "num_epoch", "epoch_passes", "training_metrics"),
)
_CURVES = ("loss", "mse", "perplexity", "codes_used")
#: The figures of one training, in the order of the CSV: at its best epoch (lowest validation error) and its last.
FIGURES = (
    "encoder_parameters",
    "decoder_parameters",
    "updates",
    "images_per_second",
    "best_epoch",
    *(f"{when}_{split}_{name}" for when in ("best", "last") for split in ("train", "validation") for name in _CURVES),
)
#: Columns of the printed table and what they show of FIGURES.
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


class Comparison:
    """Train each recipe with each seed, in ``<folder>/<label>/seed<seed>``, on one data set.

    The seeds take turns outermost, so that an interrupted comparison has whole rounds. Each training is
    an ordinary run: `vqvae export` and `vqvae evaluate` take its folder.

    Parameters
    ----------
    recipes : dict
        From a label, which names a folder, to a recipe. They differ in the model and in what
        belongs to it, but share :data:`SHARED` and the decoder.
    seeds : sequence of int
    dataset : Dataset
    folder : path
        A new folder, or that of an interrupted comparison: it then goes on where it was.
    ctx : list of mx.Context

    Raises
    ------
    VQVAEError
        Before any training starts: for labels, recipes or seeds that cannot be compared, and for models
        that cannot be built.
    """

    def __init__(
        self,
        recipes: Dict[str, Recipe],
        seeds: Sequence[int],
        dataset: Dataset,
        folder: Path,
        ctx: Sequence[mx.Context] = (mx.cpu(),),
    ) -> None:
        check_comparable(recipes, seeds)
        self.recipes = recipes
        self.seeds = list(seeds)
        self.dataset = dataset
        self.folder = Path(folder)
        self.ctx = ctx
        self._clock = Clock(len(self.seeds), {label: recipe.num_epoch for label, recipe in recipes.items()})

    def run(self) -> List[Result]:
        """Train what is not trained yet, write the results into the folder and return them.

        ``comparison.csv`` has a row for each training, ``curves.csv`` for each epoch and, where the data have classes,
        ``classes.csv`` for each class of the validation split; ``table.md`` is :func:`format_table`, ``curves.png`` the
        training and validation curves.
        """
        runs = [(seed, label) for seed in self.seeds for label in self.recipes]
        results = []
        for number, (seed, label) in enumerate(runs, 1):
            print(f"-- {number} of {len(runs)}: {label}, seed {seed}; {self._clock.left()}", flush=True)
            results.append(self._train(label, seed))
        self._write(results)
        return results

    def _train(self, label: str, seed: int) -> Result:
        recipe = self.recipes[label].replace(seed=seed)
        folder = self.folder / label / f"seed{seed}"
        training = Training(recipe, self.dataset, folder, self.ctx, resume=True)
        self._clock.skip(label, training.epoch)
        first = training.epoch
        while not training.finished:
            start = time.perf_counter()
            training.run(1)
            self._clock.add(label, time.perf_counter() - start)
            if training.epoch == first + 1:
                print(f"   {self._clock.left()}", flush=True)
        figures = _figures(training)
        return Result(label, seed, figures, training.history.rows, _measure_classes(training))

    def _write(self, results: List[Result]) -> None:
        from ..evaluation.plots import draw_curves

        figures = [{"model": r.label, "seed": r.seed, **r.figures} for r in results]
        rows = [{"model": r.label, "seed": r.seed, **row} for r in results for row in r.rows]
        _write_csv(self.folder / "comparison.csv", figures)
        _write_csv(self.folder / "curves.csv", rows)
        classes = [
            {"model": r.label, "seed": r.seed, "class": name, **found}
            for r in results
            for name, found in r.by_class.items()
        ]
        if classes:
            _write_csv(self.folder / "classes.csv", classes)
        write_bytes(self.folder / "table.md", (format_table(results) + "\n").encode())
        curves = {
            label: [
                [[row[f"{split}_mse"] for row in result.rows] for result in results if result.label == label]
                for split in ("train", "validation")
            ]
            for label in self.recipes
        }
        draw_curves(self.folder / "curves.png", curves)


def _write_csv(path: Path, rows: Sequence[Dict[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


class Clock:
    """Says how long is left, from what an epoch of each model took so far."""

    def __init__(self, seeds: int, epochs: Dict[str, int]) -> None:
        self._left = {label: seeds * count for label, count in epochs.items()}
        self._seconds: Dict[str, List[float]] = {label: [] for label in epochs}

    def skip(self, label: str, epochs: int) -> None:
        """Leave out epochs that were trained before."""
        self._left[label] -= epochs

    def add(self, label: str, seconds: float) -> None:
        """Take in one epoch."""
        self._left[label] -= 1
        self._seconds[label].append(seconds)

    def left(self) -> str:
        """Return 'about N min left'; models not seen yet count as the mean of the others."""
        known = {label: statistics.mean(seconds) for label, seconds in self._seconds.items() if seconds}
        if not known:
            return "time left unknown as yet"
        mean = statistics.mean(known.values())
        seconds = sum(count * known.get(label, mean) for label, count in self._left.items())
        return f"about {seconds / 60:.0f} min left"


def check_comparable(recipes: Dict[str, Recipe], seeds: Sequence[int]) -> None:
    """Raise VQVAEError unless the recipes share :data:`SHARED` and the decoder, and every model can be built."""
    if not recipes or not seeds:
        raise VQVAEError(f"{len(recipes)} models and {len(seeds)} seeds were given: give at least one of each")
    if len(set(seeds)) < len(seeds):
        raise VQVAEError(f"the seeds were given as {list(seeds)}: give each of them once")
    (first_label, first), *_ = recipes.items()
    decoders: Dict[str, Tuple[str, str]] = {}
    for label, recipe in recipes.items():
        if not label or label != Path(label).name or label.startswith("."):
            raise VQVAEError(f"label {label!r} cannot name a folder: choose another one")
        for name in SHARED:
            if getattr(recipe, name) != getattr(first, name):
                raise VQVAEError(
                    f"{name} is {getattr(first, name)!r} for {first_label} and {getattr(recipe, name)!r} for {label}: "
                    "a comparison needs one for all"
                )
        decoders[label] = _decoder(get_model(recipe.model, **recipe.model_settings()))
        if decoders[label] != decoders[first_label]:
            raise VQVAEError(
                f"{first_label} has the decoder {decoders[first_label][0]}, {label} has {decoders[label][0]}: "
                "give one to all with --decoder emadl or --decoder residual"
            )


def _decoder(model: VQVAE) -> Tuple[str, str]:
    """Return a decoder's name and what tells it from others of that name: for EMADL text, its layers."""
    if isinstance(model.decoder, Network):
        return model.decoder.component.full_name, "\n".join(map(str, model.decoder.component.layers))
    return type(model.decoder).__name__, ""


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
    """Return a Markdown table: a row for each model, means over the seeds and, after ±, deviations.

    MSE, loss, perplexity and codes used are those of the best epoch unless a column says otherwise; the
    perplexity is that of the whole validation split. Where the data have classes, a second table has a row for each:
    the validation MSE of its images at the best epoch.
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


def _figures(training: Training) -> Dict[str, float]:
    history, recipe = training.history, training.recipe
    figures = {
        "encoder_parameters": count_parameters(training.model.encoder),
        "decoder_parameters": count_parameters(training.model.decoder),
        "updates": training.trainer.optimizer.num_update,
        "images_per_second": _speed(training),
        "best_epoch": history.best()["epoch"],
    }
    for when, row in (("best", history.best()), ("last", history.rows[-1])):
        for split in ("train", "validation"):
            terms = [row[f"{split}_{name}"] for name in ("reconstruction", "commitment", "codebook")]
            figures[f"{when}_{split}_loss"] = total_loss(terms, recipe.beta, recipe.error_weight)
            for name in _CURVES[1:]:
                figures[f"{when}_{split}_{name}"] = row[f"{split}_{name}"]
    return figures


def _measure_classes(training: Training) -> Dict[str, Dict[str, float]]:
    """Return what the best epoch makes of the validation images of each class, if there are any."""
    if not training.dataset.validation.classes:
        return {}
    path = checkpoint_path(training.folder, training.history.best()["epoch"])
    set_weights(training.model, load_checkpoint(path, AUTOENCODER).weights, path)
    return training.trained.measure_classes("validation")


def _speed(training: Training) -> float:
    """Return images/s in training: the median epoch, kept in a file because the history has no clock."""
    path = training.folder / "speed.json"
    if training.epoch_seconds:
        images = training.recipe.epoch_passes * len(training.dataset.train.images)
        speed = images / statistics.median(training.epoch_seconds)
        write_bytes(path, json.dumps({"images_per_second": round(speed, 1)}).encode())
    return parse_json(path, read_bytes(path))["images_per_second"] if path.exists() else float("nan")


def count_parameters(block: Block) -> int:
    """Return how many numbers of a block are trained by their gradient."""
    parameters = block.collect_params().values()
    return sum(int(np.prod(parameter.shape)) for parameter in parameters if parameter.grad_req != "null")
