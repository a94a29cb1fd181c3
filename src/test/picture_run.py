"""A quickly trained run with a prior on pictures of quarters, and helpers to make and check one."""
import hashlib
import json
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from vqvae_gluon import Predictor, Training, export_run, get_recipe, load_dataset, write_png
from vqvae_gluon.deploy.encoding import encode_dataset
from vqvae_gluon.export.prior import export_prior
from vqvae_gluon.model_files.folder import PARAMETERS, SYMBOL
from vqvae_gluon.recipes.prior import PriorRecipe
from vqvae_gluon.training.loop import Loop
from vqvae_gluon.training.prior import CodePrior

FIRST_EXPORT = Path(__file__).resolve().parent / "deploy" / "first_export"
PRIOR = "vqvae.Prior"
CLASSES = ("left & up", "right, %")
RECIPE = PriorRecipe(width=8, layers=2, heads=2, batch_size=20, num_epoch=2, learning_rate=0.01, pictures=0)


def pictures(count, label, rng):
    """Return images (N, 1, 8, 8) of four quarters, each dark or bright; in a class, one half is mostly bright."""
    bright = rng.rand(count, 2, 2) < np.where(np.arange(2) == label, 0.9, 0.3)
    quarters = np.where(bright, 220, 30).repeat(4, axis=1).repeat(4, axis=2)
    return (quarters + rng.randint(-30, 31, quarters.shape)).clip(0, 255).astype(np.uint8)[:, None]


def write_classes(folder):
    """Write three splits with images of two classes to a folder; the test split also has one image without a class."""
    rng = np.random.RandomState(0)
    for split, count in (("train", 30), ("validation", 15), ("test", 12)):
        for label, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for number, image in enumerate(pictures(count, label, rng)):
                write_png(folder / split / name / f"{number}.png", image)
    write_png(folder / "test" / "stray.png", pictures(1, 0, rng)[0])
    return folder


def autoencoder(folder, data, **settings):
    """Train an autoencoder quickly; its best epoch is not its last."""
    recipe = get_recipe("ema").replace(
        data=str(data), image_size=(8, 8), num_embeddings=8, embedding_dim=4, batch_size=20, num_epoch=2, pictures=0
    )
    recipe = recipe.replace(**settings)
    training = Training(recipe, load_dataset(str(data), image_size=(8, 8)), folder)
    measure = training.measure

    def worse_in_the_end(split):
        metrics = measure(split)
        metrics["reconstruction"] += 100 * training.epoch
        return metrics

    training.measure = worse_in_the_end
    training.run()
    return folder


def codes_of(run, with_classes=True):
    predictor = Predictor(run)
    return encode_dataset(predictor, load_dataset(str(manifest_of(run)["recipe"]["data"]), 1, (8, 8)), with_classes)


def manifest_of(run):
    return json.loads((run / "manifest.json").read_text())


def train_prior(run, codes, **settings):
    training = Loop(CodePrior(RECIPE.replace(**settings), codes), run / "prior")
    training.run()
    return training


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def all_digests(run):
    """Return the SHA-256 of each file of a run's model, by its name in a manifest."""
    return {f"model/{name}": hashlib.sha256(content).hexdigest() for name, content in files(run / "model").items()}


def train_with_prior(run, data):
    """Train a run and its prior, whose best epoch is not its last.

    Returns the run, the prior's training, its codes, and the manifest from before there was a prior.
    """
    autoencoder(run, data)
    before = export_run(run)
    codes = codes_of(run)
    training = Loop(CodePrior(RECIPE.replace(num_epoch=3), codes), run / "prior")
    measure = training.trained.measure

    def worse_in_the_end(split):
        return {name: value + 100 * (training.epoch == 2) for name, value in measure(split).items()}

    training.trained.measure = worse_in_the_end
    training.run()
    export_prior(run, codes)
    return run, training, codes, before


def bits_by_hand(run, codes, labels):
    """Return the bits (N,) of codes, computed from the logits of the exported graph."""
    part = run / "model" / PRIOR
    with pytest.warns(UserWarning):  # that MXNet cannot infer the types of inputs
        network = gluon.SymbolBlock.imports(str(part / SYMBOL), ["data", "label"], str(part / PARAMETERS))
    logits = network(mx.nd.array(codes), mx.nd.array(labels)).asnumpy().astype(np.float64)
    flat = codes.reshape(len(codes), -1)
    bits = np.zeros(len(codes))
    for image, place in np.ndindex(flat.shape):
        numbers = logits[image, place]
        bits[image] -= np.log2(np.exp(numbers[flat[image, place]]) / np.exp(numbers).sum())
    return bits
