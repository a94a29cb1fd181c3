"""Hints at what is wrong with a run, as far as its metrics show it, and at what to try."""
import math
from typing import List, NamedTuple

from ..training.collapse import explain_collapse
from .run import Row, Run

_JUMP = 2.0  # ratio of an epoch's validation error to that of the epoch before
_OVERFIT = 1.5  # ratio of validation error to training error, in the exported epoch
_LEARNT = 0.98  # share of the bits of independent codes below which a prior has learnt something
_MORE = "See docs/training.md for what keeps a codebook alive."


class Hint(NamedTuple):
    """A ``title`` that says what is wrong, and a ``text`` that says why and what to try."""

    title: str
    text: str


def find_hints(run: Run, vectors: int) -> List[Hint]:
    """Return hints at problems in the training of a run; its validation images have ``vectors`` vectors in all."""
    last = run.rows[-1]
    collapse = explain_collapse(run.exported, vectors, run.recipe)
    later = "" if collapse else explain_collapse(last, vectors, run.recipe)
    hints = []
    if collapse:
        hints.append(Hint("Few codes are in use", f"{_sentence(collapse)} {_MORE}"))
    if later:
        text = f"The exported epoch, {run.exported['epoch']}, is from before the collapse. By the last epoch, {later}."
        hints.append(Hint("The codebook collapsed after the exported epoch", f"{text} {_MORE}"))
    return hints + _jump(run) + _overfit(run)


def prior_hints(run: Run, places: int) -> List[Hint]:
    """Return hints at problems in the training of a run's prior; an image has ``places`` codes."""
    independent = places * math.log2(max(1.0, run.exported["validation_perplexity"]))
    bits = min((row["validation_bits_per_image"] for row in run.prior_rows), default=0.0)
    if bits < _LEARNT * independent:
        return []
    text = (
        f"It needs {bits:.1f} bits per validation image; drawing each code independently, by how often it is used, "
        f"takes {independent:.1f}. Train it for more epochs or with a different learning rate."
    )
    return [Hint("The prior has learnt next to nothing", text)]


def _jump(run: Run) -> List[Hint]:
    """Return a hint at the epoch in which the validation error jumped most, if it jumped."""
    pairs = list(zip(run.rows, run.rows[1:]))
    before, after = max(pairs, key=lambda pair: _times(*pair), default=(run.rows[0], run.rows[0]))
    if _times(before, after) < _JUMP:
        return []
    shortened = f"a lower --clip than {run.recipe.clip:g}" if run.recipe.clip else "--clip 2, which limits them,"
    text = (
        f"In epoch {after['epoch']} the validation MSE rose from {before['validation_mse']:.5f} to "
        f"{after['validation_mse']:.5f}. Large gradients can cause this: try {shortened} or a lower "
        f"--learning-rate than {run.recipe.highest_learning_rate:g}."
    )
    return [Hint("The validation error jumped", text)]


def _overfit(run: Run) -> List[Hint]:
    training, validation = run.exported["train_mse"], run.exported["validation_mse"]
    if validation < _OVERFIT * training:
        return []
    text = (
        f"The validation MSE is {validation:.5f}, but the training MSE is only {training:.5f}. Use more training "
        "images or a smaller model: fewer codes, or a lower --width if the model has one."
    )
    return [Hint("The model overfits its training images", text)]


def _times(before: Row, after: Row) -> float:
    return after["validation_mse"] / max(before["validation_mse"], 1e-12)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
