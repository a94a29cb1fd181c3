"""Train several models alike and compare them."""
import csv
import io
import json
import statistics
import time
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

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
from .loop import other_settings
from .loss import total_loss
from .results import CURVES, Result, format_table

#: The settings that all recipes of a comparison must share, besides the decoder, see :func:`check_comparable`.
SHARED = (
    *("data", "channels", "image_size", "split_seed", "mixed_sizes", "background", "classes"),
    *("decoder_width", "reconstruction_loss", "batch_size", "num_epoch", "epoch_passes", "training_metrics"),
)


class Comparison:
    """Train each recipe with each seed, in ``<folder>/<label>/seed<seed>``, on one data set.

    The outer loop is over the seeds, so that an interrupted comparison has complete rounds. Each training is an
    ordinary run: `vqvae export` and `vqvae evaluate` accept its folder.

    Parameters
    ----------
    recipes : dict
        Recipes by label, which names a folder. They differ in the model and in what belongs to it, but share
        :data:`SHARED` and the decoder.
    seeds : sequence of int
    dataset : Dataset
    folder : path
        A new folder, or that of an interrupted comparison, which is then continued.
    ctx : list of mx.Context

    Raises
    ------
    VQVAEError
        Before any training starts, for labels, recipes or seeds that cannot be compared, and for models that cannot be
        built.
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
        """Train what has not been trained yet, write the results into the folder and return them.

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
        if training.planned != recipe.num_epoch:  # prolonging it is not the same as training for as long from the start
            raise other_settings(folder, [f"num_epoch: {training.planned}, {recipe.num_epoch}"])
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
    """Estimates the time left from the times of each model's epochs so far."""

    def __init__(self, seeds: int, epochs: Dict[str, int]) -> None:
        self._left = {label: seeds * count for label, count in epochs.items()}
        self._seconds: Dict[str, List[float]] = {label: [] for label in epochs}

    def skip(self, label: str, epochs: int) -> None:
        """Leave out epochs that were trained before."""
        self._left[label] -= epochs

    def add(self, label: str, seconds: float) -> None:
        """Count one epoch and its time."""
        self._left[label] -= 1
        self._seconds[label].append(seconds)

    def left(self) -> str:
        """Return 'about N min left'; for models without a finished epoch, the mean of the others is used."""
        known = {label: statistics.mean(seconds) for label, seconds in self._seconds.items() if seconds}
        if not known:
            return "time left unknown"
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
    """Return a decoder's name and what distinguishes it from others of that name: for EMADL text, its layers."""
    if isinstance(model.decoder, Network):
        return model.decoder.component.full_name, "\n".join(map(str, model.decoder.component.layers))
    return type(model.decoder).__name__, ""


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
            for name in CURVES[1:]:
                figures[f"{when}_{split}_{name}"] = row[f"{split}_{name}"]
    return figures


def _measure_classes(training: Training) -> Dict[str, Dict[str, float]]:
    """Return the best epoch's metrics for the validation images of each class, if there are classes."""
    if not training.dataset.validation.classes:
        return {}
    path = checkpoint_path(training.folder, int(training.history.best()["epoch"]))
    set_weights(training.model, load_checkpoint(path, AUTOENCODER).weights, path)
    return training.trained.measure_classes("validation")


def _speed(training: Training) -> float:
    """Return images/s in training, from the median epoch, kept in a file because the history records no times."""
    path = training.folder / "speed.json"
    if training.epoch_seconds:
        images = training.recipe.epoch_passes * len(training.dataset.train.images)
        speed = images / statistics.median(training.epoch_seconds)
        write_bytes(path, json.dumps({"images_per_second": round(speed, 1)}).encode())
    return parse_json(path, read_bytes(path))["images_per_second"] if path.exists() else float("nan")


def count_parameters(block: Block) -> int:
    """Return the number of values in a block that are trained by their gradient."""
    parameters = block.collect_params().values()
    return sum(int(np.prod(parameter.shape)) for parameter in parameters if parameter.grad_req != "null")
