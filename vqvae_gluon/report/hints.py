"""What is wrong with a run, as far as its figures tell, and what to try."""
import math
from typing import List, NamedTuple

from ..training.collapse import explain_collapse
from .run import Row, Run

_JUMP = 2.0  # from one epoch's validation error to the next one's
_OVERFIT = 1.5  # validation error by training error, in the exported epoch
_LEARNT = 0.98  # of the bits that codes take which say nothing of each other
_MORE = "What keeps a codebook alive is told in docs/training.md."


class Hint(NamedTuple):
    """What is wrong, in a ``title``, and a ``text`` that says why and what to try."""

    title: str
    text: str


def find_hints(run: Run, vectors: int) -> List[Hint]:
    """Return what is wrong with the training of a run, whose validation images have so many ``vectors``."""
    last = run.rows[-1]
    collapse = _collapse(run, run.exported, vectors)
    later = "" if collapse else _collapse(run, last, vectors)
    hints = []
    if collapse:
        hints.append(Hint("Few codes are in use", f"{_sentence(collapse)} {_MORE}"))
    if later:
        text = f"Epoch {run.exported['epoch']} is exported, before that. At the end, {later}. {_MORE}"
        hints.append(Hint("The codebook collapsed later", text))
    return hints + _jump(run) + _overfit(run)


def prior_hints(run: Run, places: int) -> List[Hint]:
    """Return what is wrong with the training of a run's prior, of so many codes an image."""
    independent = places * math.log2(max(1.0, run.exported["validation_perplexity"]))
    bits = min((row["validation_bits_per_image"] for row in run.prior_rows), default=0.0)
    if bits < _LEARNT * independent:
        return []
    text = (
        f"It needs {bits:.1f} bits for a validation image; codes drawn each for itself, as often as they are used, "
        f"need {independent:.1f}. Train it for more epochs, or with another learning rate."
    )
    return [Hint("The prior has learnt next to nothing", text)]


def _collapse(run: Run, row: Row, vectors: int) -> str:
    return explain_collapse(row["validation_codes_used"], row["validation_perplexity"], vectors, run.recipe)


def _jump(run: Run) -> List[Hint]:
    """Return where the validation error leapt up; of several times, the worst one."""
    pairs = list(zip(run.rows, run.rows[1:]))
    before, after = max(pairs, key=lambda pair: _times(*pair), default=(run.rows[0], run.rows[0]))
    if _times(before, after) < _JUMP:
        return []
    shortened = f"a lower --clip than {run.recipe.clip:g}" if run.recipe.clip else "--clip 2, which shortens them,"
    text = (
        f"In epoch {after['epoch']} the validation MSE rose from {before['validation_mse']:.5f} to "
        f"{after['validation_mse']:.5f}. Single long gradients do that: try {shortened} or a lower --learning-rate "
        f"than {run.recipe.highest_learning_rate:g}."
    )
    return [Hint("The error jumped", text)]


def _overfit(run: Run) -> List[Hint]:
    training, validation = run.exported["train_mse"], run.exported["validation_mse"]
    if validation < _OVERFIT * training:
        return []
    text = (
        f"The validation MSE is {validation:.5f}, that of the training images {training:.5f}. Give it more images, or "
        "make the model smaller: fewer codes, or a lower --width where it has one."
    )
    return [Hint("The model knows its training images better than others", text)]


def _times(before: Row, after: Row) -> float:
    return after["validation_mse"] / max(before["validation_mse"], 1e-12)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
