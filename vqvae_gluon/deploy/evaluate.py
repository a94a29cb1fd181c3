"""Figures of an exported model over a whole split."""
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..data import load_dataset, to_unit
from ..errors import VQVAEError
from ..files import parse_json, read_bytes
from ..metrics import CodeCounts, psnr, ssim
from ..training.recipe import Recipe
from .artifacts import find_model
from .judge import Judge
from .predictor import Predictor

_SSIM_WINDOW = 11


def evaluate_model(
    model: Optional[Union[str, Path]] = None,
    data: Optional[str] = None,
    split: str = "test",
    ctx: mx.Context = mx.cpu(),
) -> Dict[str, Any]:
    """Measure a model on a whole split.

    Returns ``images``, ``mse`` per pixel, ``psnr`` in dB (of that mean), ``ssim`` (mean over images, which
    must be 11 x 11 at least), ``perplexity`` and ``codes_used``; for MNIST also the accuracy of the
    LeNet judge on originals and on reconstructions. ``data`` is a source of :func:`load_dataset`;
    default: what the model's manifest names.

    Raises VQVAEError for a missing or damaged model, judge or data set.
    """
    predictor = Predictor(model, ctx)
    channels, *size = predictor.image_shape
    recipe, fingerprint = _origin(find_model(model).manifest)
    settings = {**recipe.data_settings(), "channels": channels, "image_size": tuple(size)}
    dataset = load_dataset(**{**settings, "source": data or recipe.data})
    if not data and fingerprint not in (None, dataset.fingerprint()):
        raise VQVAEError(
            f"{recipe.data}: has changed since the model was trained on it, so that its splits may mix; "
            "restore it, or name data with --data"
        )
    images, labels = dataset.split(split)
    judge = Judge(ctx=ctx) if labels is not None else None
    counts = CodeCounts(len(predictor.codebook))
    squared_error, similarity, right = 0.0, 0.0, np.zeros(2, int)
    with tqdm(total=len(images), unit=" images", leave=False, disable=None) as bar:
        for start in range(0, len(images), predictor.batch_size):
            batch = slice(start, start + predictor.batch_size)
            originals = to_unit(images[batch])
            codes = predictor.encode(originals)
            reconstructions = predictor.decode(codes)
            counts.update(codes)
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
    if judge:
        metrics["judge_accuracy_originals"], metrics["judge_accuracy_reconstructions"] = (
            float(share) for share in right / len(images)
        )
    return metrics


def _origin(manifest: Path) -> Tuple[Recipe, Optional[str]]:
    """Return the recipe and the data fingerprint of a model's manifest, or the defaults where it has none."""
    if not manifest.exists():
        return Recipe(), None
    content = parse_json(manifest, read_bytes(manifest))
    try:
        return Recipe.from_dict(content["recipe"]), content["data_fingerprint"]
    except (KeyError, TypeError):
        raise VQVAEError(f"{manifest}: is damaged: it lacks the recipe or the data's fingerprint") from None
