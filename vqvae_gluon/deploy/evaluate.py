"""Figures of an exported model over a whole split."""
import json
from pathlib import Path
from typing import Any, Dict, Optional, Union

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..data import batches, load_dataset, to_unit
from ..files import read_bytes
from ..metrics import CodeCounts, psnr
from .artifacts import find_model
from .predictor import Predictor


def evaluate_model(
    model: Optional[Union[str, Path]] = None,
    data: Optional[str] = None,
    split: str = "test",
    ctx: mx.Context = mx.cpu(),
) -> Dict[str, Any]:
    """Return ``images``, ``mse`` per pixel, ``psnr`` in dB, ``perplexity`` and ``codes_used`` of a split.

    ``data`` is a source of :func:`load_dataset`; default: what the model's manifest names.
    Raises VQVAEError for a missing or damaged model or data set.
    """
    predictor = Predictor(model, ctx)
    recipe = _recipe(find_model(model))
    channels, *size = predictor.image_shape
    dataset = load_dataset(data or recipe.get("data", "mnist"), channels, tuple(size), recipe.get("seed", 0))
    images = dataset.split(split).images
    counts = CodeCounts(len(predictor.codebook))
    squared_error = 0.0
    with tqdm(total=len(images), unit=" images", leave=False, disable=None) as bar:
        for batch in batches(images, predictor.batch_size):
            codes = predictor.encode(batch)
            counts.update(codes)
            squared_error += np.square(predictor.decode(codes) - to_unit(batch)).sum(dtype=np.float64)
            bar.update(len(batch))
    mse = float(squared_error / images.size)
    return {"split": split, "images": len(images), "mse": mse, "psnr": psnr(mse), **counts.summary()}


def _recipe(folder: Path) -> Dict[str, Any]:
    manifest = folder.parent / "manifest.json"
    return json.loads(read_bytes(manifest))["recipe"] if manifest.exists() else {}
