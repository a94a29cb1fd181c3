"""Metrics of an exported model over a whole split."""
import math
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Union

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..data import Split, batches, to_unit
from ..data.mnist import DIGITS
from ..deploy.origin import load_origin
from ..deploy.predictor import Predictor
from ..deploy.sampler import Sampler
from ..model_files.folder import find_model
from ..runtime import MEMORY
from .judge import Judge
from .metrics import CodeCounts, psnr, ssim

_SSIM_WINDOW = 11
_JUDGED = (1, 28, 28)  # the shape of the judge's images


def evaluate_model(
    model: Optional[Union[str, Path]] = None,
    data: Optional[str] = None,
    split: str = "test",
    ctx: mx.Context = mx.cpu(),
    background: Optional[str] = None,
    classes: Optional[str] = None,
    memory: float = MEMORY,
) -> Dict[str, Any]:
    """Measure a model on a whole split.

    ``data`` is a source of :func:`load_dataset`; default: the data that the model's manifest names. ``background`` and
    ``classes``, if given, replace those of the recipe; ``memory`` is that of :func:`load_dataset`.

    Returns ``split``, the number of ``images``, ``mse`` per pixel, ``psnr`` in dB (of that mean), ``ssim`` (mean over
    images; only if they are at least 11 x 11), ``perplexity`` and ``codes_used``; for MNIST also the accuracy of the
    LeNet judge on originals and on reconstructions. If the model has a prior, also ``bits_per_image``, minus log2 of
    the likelihood of the codes without a class, ``bits_per_pixel`` and, if the prior has classes and all images have
    labels, ``bits_per_image_with_class``. If the data have classes, ``by_class`` has, for each class of the split, its
    number of ``images`` and the same metrics without ``perplexity`` and ``codes_used``.

    Raises VQVAEError for a missing or damaged model, prior, judge or data set, and for a class that the prior lacks.
    """
    folder = find_model(model)
    sampler = Sampler(model, ctx) if folder.prior else None
    predictor = sampler.predictor if sampler else Predictor(model, ctx)
    dataset = load_origin(folder, predictor, data, background, classes, memory=memory)
    measured = measure_images(dataset.split(split), sampler or predictor)
    return {"split": split, **measured.summary()}


class Measured(NamedTuple):
    """Metrics of each image of a split: ``figures``, arrays (N,) by name, and ``codes``, the counts of the codes."""

    split: Split
    figures: Dict[str, np.ndarray]
    codes: CodeCounts

    def summary(self) -> Dict[str, Any]:
        """Return the metrics of :func:`evaluate_model`, without the name of the split."""
        labels: Any  # (N,) where there are names
        images, labels, names = self.split
        pixels = math.prod(images.shape[2:])
        metrics = {**_means(self.figures, np.ones(len(images), bool), pixels), **self.codes.summary()}
        if names:
            metrics["by_class"] = {
                name: _means(self.figures, labels == number, pixels)
                for number, name in enumerate(names)
                if number in labels
            }
        return metrics


def measure_images(split: Split, model: Union[Predictor, Sampler]) -> Measured:
    """Measure a predictor, or a sampler, whose prior adds bits to the metrics, on each image of a split.

    The metrics are those of :func:`evaluate_model` that are means over images. Raises VQVAEError for a class that the
    prior lacks, or a missing or damaged judge.
    """
    sampler = model if isinstance(model, Sampler) else None
    predictor = model.predictor if isinstance(model, Sampler) else model
    labels: Any  # (N,) where there are names
    images, labels, names = split
    size = predictor.image_shape[1:]
    judge = Judge(ctx=predictor.ctx) if names == DIGITS and predictor.image_shape == _JUDGED else None
    has_labels = bool(names) and labels.min() >= 0
    counts = CodeCounts(len(predictor.codebook))
    parts: Dict[str, List[np.ndarray]] = defaultdict(list)  # metric -> (n,) for each batch
    with tqdm(total=len(images), unit=" images", leave=False, disable=None) as bar:
        for number, pixels in enumerate(batches(images, predictor.batch_size)):
            batch = slice(number * predictor.batch_size, number * predictor.batch_size + len(pixels))
            originals = to_unit(pixels)
            codes = predictor.encode(originals)
            reconstructions = predictor.decode(codes)
            counts.update(codes)
            errors = np.square(reconstructions - originals)
            parts["mse"].append(errors.mean(axis=(1, 2, 3), dtype=np.float64))
            if min(size) >= _SSIM_WINDOW:
                parts["ssim"].append(ssim(originals, reconstructions))
            if sampler:
                parts["bits_per_image"].append(sampler.bits(codes))
                if sampler.classes and has_labels:
                    given = [names[label] for label in labels[batch]]
                    parts["bits_per_image_with_class"].append(sampler.bits(codes, given))
            if judge:
                for kind, judged in (("originals", originals), ("reconstructions", reconstructions)):
                    parts[f"judge_accuracy_{kind}"].append(judge.classify(judged) == labels[batch])
            bar.update(len(originals))
    return Measured(split, {name: np.concatenate(arrays) for name, arrays in parts.items()}, counts)


def _means(figures: Dict[str, np.ndarray], chosen: np.ndarray, pixels: int) -> Dict[str, Any]:
    """Return the number of ``chosen`` images, a mask (N,), and the means of all metrics and derived ones over them."""
    means: Dict[str, Any] = {"images": int(np.count_nonzero(chosen))}
    for name, values in figures.items():
        means[name] = float(values[chosen].mean(dtype=np.float64))
        if name == "mse":
            means["psnr"] = psnr(means[name])
        if name == "bits_per_image":
            means["bits_per_pixel"] = means[name] / pixels
    return means
