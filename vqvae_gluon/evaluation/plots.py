"""Plots of a training; reconstructions have the file names of the original project."""
import io
import tempfile
from pathlib import Path
from typing import Dict, Mapping, Sequence, Tuple

import matplotlib.pyplot as plt
import numpy as np

from ..errors import VQVAEError
from ..files import write_bytes

_INCH = 96  # pixels of an image that fit into an inch unscaled, next to frames and titles
_MOST_INCHES = 4  # per side: eight images fill a wide screen
_NO_CLOCK = {"Software": None}  # equal runs write equal files


def reconstruction_name(index: int, epoch: int, batch_size: int) -> str:
    """Return the original project's file name for the ``index``-th picture of an epoch."""
    return f"test_reconstruction_{index}_epoch{epoch}_batch_size{batch_size}.png"


def draw_rows(path: Path, rows: Sequence[Tuple[str, np.ndarray]]) -> None:
    """Draw rows of images, each a title and (N, C, H, W) uint8, with the same N in all rows.

    An image is one inch on a side; larger images get as much as their pixels need, up to four inches.
    """
    count, _, *sides = rows[0][1].shape
    inches = min(max(1, max(sides) / _INCH), _MOST_INCHES)
    figsize = (count * inches, (inches + 0.25) * len(rows))
    figure, axes = plt.subplots(len(rows), figsize=figsize, constrained_layout=True)
    for axis, (title, images) in zip(np.atleast_1d(axes), rows):
        framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=255)
        line = np.concatenate(list(framed), axis=2)  # one picture per row: hundreds of axes are slow
        axis.imshow(line.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
        axis.axis("off")
        axis.set_title(title, loc="left", fontsize=9)
    _save(figure, path)


def draw_loss(path: Path, rows: Sequence[Dict[str, float]], best_epoch: int, metric: str, label: str) -> None:
    """Draw a metric of the training and the validation split over the epochs; ``label`` is the label of its axis."""
    from gluoncv.utils import TrainingHistory

    history = TrainingHistory(["training", "validation"])
    for row in rows:
        history.update([row[f"train_{metric}"], row[f"validation_{metric}"]])
    values = [value for curve in history.history.values() for value in curve]
    figure, axis = plt.subplots(figsize=(7, 4), constrained_layout=True)
    axis.set(xlabel="epoch", ylabel=label, yscale="log")
    axis.axvline(best_epoch, color="gray", linestyle=":", linewidth=1)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(True, which="both", alpha=0.3)
    # gluoncv draws into the current figure and always writes it to a file.
    try:
        with tempfile.TemporaryDirectory() as folder:
            history.plot(y_lim=(0.9 * min(values), 1.1 * max(values)), save_path=str(Path(folder, "loss.png")))
    except OSError as error:
        raise VQVAEError(f"{path}: cannot be written ({error.strerror})") from None
    _save(figure, path)


def draw_curves(path: Path, curves: Mapping[str, Sequence[Sequence[Sequence[float]]]]) -> None:
    """Draw training (dashed) and validation curves of several models.

    ``curves`` maps a label to (training, validation), each with a sequence of one value per epoch for every seed. Lines
    are means over the seeds, bands their range.
    """
    figure, axis = plt.subplots(figsize=(9, 5.5), constrained_layout=True)
    for number, (label, splits) in enumerate(curves.items()):
        for values, style in zip(splits, ("--", "-")):
            epochs = np.arange(len(values[0]))
            colour = f"C{number}"
            name = label if style == "-" else None
            axis.plot(epochs, np.mean(values, axis=0), style, color=colour, label=name, linewidth=1.5)
            axis.fill_between(epochs, np.min(values, axis=0), np.max(values, axis=0), color=colour, alpha=0.12)
    axis.set(xlabel="epoch", ylabel="mean squared error per pixel", yscale="log")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(True, which="both", alpha=0.3)
    axis.legend(title="validation; dashed: training", fontsize=8)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata=_NO_CLOCK)
    plt.close(figure)
    write_bytes(path, content.getvalue())
