"""Figures of an exported model over a whole split."""
import math
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..data import Dataset, load_dataset, to_unit
from ..data.mnist import DIGITS
from ..errors import VQVAEError
from ..files import parse_json, read_bytes
from ..metrics import CodeCounts, psnr, ssim
from ..training.recipe import Recipe
from .artifacts import ModelFolder, find_model
from .judge import Judge
from .predictor import Predictor
from .sampler import Sampler

_SSIM_WINDOW = 11
_JUDGED = (1, 28, 28)  # the judge's images


def evaluate_model(
    model: Optional[Union[str, Path]] = None,
    data: Optional[str] = None,
    split: str = "test",
    ctx: mx.Context = mx.cpu(),
    background: Optional[str] = None,
) -> Dict[str, Any]:
    """Measure a model on a whole split.

    Returns ``images``, ``mse`` per pixel, ``psnr`` in dB (of that mean), ``ssim`` (mean over images, which
    must be 11 x 11 at least), ``perplexity`` and ``codes_used``; for MNIST also the accuracy of the
    LeNet judge on originals and on reconstructions. ``data`` is a source of :func:`load_dataset`;
    default: what the model's manifest names. ``background``, if given, takes the place of the recipe's. Where the model
    has a prior: ``bits_per_image``, minus log2 of the codes' likelihood without a class, ``bits_per_pixel`` and, if all
    images have labels, ``bits_per_image_with_class``.

    Raises VQVAEError for a missing or damaged model, prior, judge or data set, and for a class that the prior lacks.
    """
    folder = find_model(model)
    sampler = Sampler(model, ctx) if folder.prior else None
    predictor = sampler.predictor if sampler else Predictor(model, ctx)
    _, *size = predictor.image_shape
    dataset = load_origin(folder, predictor, data, background)
    images, labels, classes = dataset.split(split)
    judge = Judge(ctx=ctx) if classes == DIGITS and predictor.image_shape == _JUDGED else None
    has_labels = bool(classes) and labels.min() >= 0
    counts = CodeCounts(len(predictor.codebook))
    squared_error, similarity, right = 0.0, 0.0, np.zeros(2, int)
    bits: Dict[str, float] = defaultdict(float)
    with tqdm(total=len(images), unit=" images", leave=False, disable=None) as bar:
        for start in range(0, len(images), predictor.batch_size):
            batch = slice(start, start + predictor.batch_size)
            originals = to_unit(images[batch])
            codes = predictor.encode(originals)
            reconstructions = predictor.decode(codes)
            counts.update(codes)
            if sampler:
                bits["bits_per_image"] += sampler.bits(codes).sum()
                if sampler.classes and has_labels:
                    bits["bits_per_image_with_class"] += sampler.bits(codes, [classes[i] for i in labels[batch]]).sum()
            squared_error += np.square(reconstructions - originals).sum(dtype=np.float64)
            if min(size) >= _SSIM_WINDOW:
                similarity += ssim(originals, reconstructions).sum()
            if judge:
                right += [(judge.classify(x) == labels[batch]).sum() for x in (originals, reconstructions)]
            bar.update(len(originals))
    metrics = {"split": split, "images": len(images), "mse": float(squared_error / images.size)}
    metrics["psnr"] = psnr(metrics["mse"])
    if min(size) >= _SSIM_WINDOW:
        metrics["ssim"] = float(similarity / len(images))
    metrics.update(counts.summary())
    metrics.update((name, float(total / len(images))) for name, total in bits.items())
    if sampler:
        metrics["bits_per_pixel"] = metrics["bits_per_image"] / math.prod(size)
    if judge:
        metrics["judge_accuracy_originals"], metrics["judge_accuracy_reconstructions"] = (
            float(share) for share in right / len(images)
        )
    return metrics


def load_origin(
    folder: ModelFolder, predictor: Predictor, data: Optional[str] = None, background: Optional[str] = None
) -> Dataset:
    """Return the data set that a model's manifest names, or ``data`` read in the same way, ``background`` apart.

    Raises VQVAEError if it is missing, or is no longer what the model was trained on.
    """
    channels, *size = predictor.image_shape
    recipe, fingerprint = _origin(folder.manifest)
    settings = {**recipe.data_settings(), "channels": channels, "image_size": tuple(size)}
    settings["source"] = data or recipe.data
    if background is not None:
        settings["background"] = background
    dataset = load_dataset(**settings)
    if not data and fingerprint not in (None, dataset.fingerprint()):
        raise VQVAEError(
            f"{recipe.data}: has changed since the model was trained on it, so that its splits may mix; "
            "restore it, or name data with --data"
        )
    return dataset


def _origin(manifest: Path) -> Tuple[Recipe, Optional[str]]:
    """Return the recipe and the data fingerprint of a model's manifest, or the defaults where it has none."""
    if not manifest.exists():
        return Recipe(), None
    content = parse_json(manifest, read_bytes(manifest))
    try:
        return Recipe.from_dict(content["recipe"]), content["data_fingerprint"]
    except (KeyError, TypeError):
        raise VQVAEError(f"{manifest}: is damaged: it lacks the recipe or the data's fingerprint") from None
