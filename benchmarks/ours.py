"""What the package does in the benchmarks: functions that run.py calls through worker.py."""
from vqvae_gluon.runtime import use_all_cores

use_all_cores()

import os  # noqa: E402
import platform  # noqa: E402
import shutil  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from functools import lru_cache  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Dict, Iterator, Tuple, Union  # noqa: E402

import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402
from timing import latencies, rate, seconds_until  # noqa: E402
from worker import serve  # noqa: E402

from vqvae_gluon import Predictor, Recipe, Training, get_model, get_recipe, load_dataset  # noqa: E402
from vqvae_gluon.data import SPLITS, Dataset, Split  # noqa: E402
from vqvae_gluon.data.codes import CodesDataset, CodesSplit  # noqa: E402
from vqvae_gluon.deploy.encoding import encode_dataset  # noqa: E402
from vqvae_gluon.deploy.sampler import Sampler, step_inputs  # noqa: E402
from vqvae_gluon.export.network import export_model  # noqa: E402
from vqvae_gluon.model_files.folder import DECODER, ENCODER, PARAMETERS, STEP, SYMBOL, find_model  # noqa: E402
from vqvae_gluon.recipes.prior import get_prior_recipe  # noqa: E402
from vqvae_gluon.training.loop import Loop  # noqa: E402
from vqvae_gluon.training.prior import CodePrior  # noqa: E402

_GOLDEN_IMAGES = 1000
_SGEMM_SIDE, _SGEMM_TRIES = 4096, 5


def versions() -> Dict[str, str]:
    """Return the versions of what we use."""
    return {"python": platform.python_version(), "mxnet": mx.__version__, "numpy": np.__version__}


def prepare() -> None:
    """Write, for the peers and the C++ programs: the data, the pre-trained weights, and what they make of images."""
    for name in SPLITS:
        np.save(f"{name}.npy", _dataset().split(name).images)
    images = _dataset().test.images
    images.tofile("test.bytes")
    parameters = {}
    for name in (ENCODER, DECODER):
        for key, array in find_model().load(name).parameters.items():
            parameters[key.split(":", 1)[1]] = array.asnumpy()
    np.savez("weights.npz", **parameters)
    predictor, golden = Predictor(), images[:_GOLDEN_IMAGES]
    codes = predictor.encode(golden)
    for name, array in (("images", golden), ("codes", codes), ("reconstructions", predictor.decode(codes))):
        np.save(f"golden-{name}.npy", array)
    _prepare_prior(codes, _dataset().test.labels[:_GOLDEN_IMAGES])


def _prepare_prior(codes: np.ndarray, labels: np.ndarray) -> None:
    """Write the prior's weights and sizes, the bits that it needs for some codes, and the codes that it learns from."""
    sampler = Sampler()
    prior = find_model().load(find_model().prior, STEP, step_inputs)
    weights = {key.split(":", 1)[1]: array.asnumpy() for key, array in prior.parameters.items()}
    sizes = {name: getattr(sampler.size, name) for name in ("places", "num_classes", "width", "layers", "heads")}
    np.savez("prior.npz", num_embeddings=sampler.size.num_embeddings, **sizes, **weights)
    bits = sampler.bits(codes, [sampler.classes[label] for label in labels])
    np.savez("prior-golden.npz", codes=codes.reshape(len(codes), -1), labels=labels, bits=bits)
    train = _codes().train
    np.savez("prior-train.npz", codes=train.codes.reshape(len(train.codes), -1), labels=train.labels)


@lru_cache(maxsize=None)
def _codes() -> CodesDataset:
    return encode_dataset(_predictor(500), _dataset())


def train_prior(batch: int, images: int) -> Dict[str, float]:
    """Return images/s of an epoch of ``images`` training images: all that recipe ``prior`` does in it."""
    count = images // batch * batch
    training = _prior_training(batch, count)
    return rate(lambda: training.train_epoch(np.random.RandomState(0)), count)


@lru_cache(maxsize=None)
def _prior_training(batch: int, images: int) -> Loop:
    codes = _codes()
    part = codes._replace(train=CodesSplit(*(array[:images] for array in codes.train)))
    return Loop(CodePrior(get_prior_recipe("prior").replace(batch_size=batch), part), _folder())


def train(batch: int, images: int) -> Dict[str, float]:
    """Return images/s of an epoch of ``images`` training images: all that recipe ``ema`` does in it."""
    count = images // batch * batch
    training = _training(batch, count)
    return rate(lambda: training.train_epoch(np.random.RandomState(0)), count)


@lru_cache(maxsize=None)
def _training(batch: int, images: int) -> Training:
    part = _dataset()._replace(train=Split(_dataset().train.images[:images]))
    return Training(get_recipe("ema").replace(batch_size=batch), part, _folder())


def sgemm() -> Dict[str, float]:
    """Return the GFLOP/s of a large float32 matrix product, the best of a few."""
    a, b = (mx.nd.random.uniform(shape=(_SGEMM_SIDE, _SGEMM_SIDE)) for _ in range(2))
    times = []
    for _ in range(1 + _SGEMM_TRIES):
        mx.nd.waitall()
        start = time.perf_counter()
        mx.nd.FullyConnected(a, b, num_hidden=_SGEMM_SIDE, no_bias=True).wait_to_read()
        times.append(time.perf_counter() - start)
    return {"GFLOP/s": 2e-9 * _SGEMM_SIDE**3 / min(times[1:])}


def bulk(batch: int, images: int) -> Dict[str, float]:
    """Return images/s of reconstructing test images."""
    predictor, pixels = _predictor(batch), _dataset().test.images[:images]
    return rate(lambda: predictor.reconstruct(pixels), images)


def latency(images: int) -> Dict[str, float]:
    """Return percentiles of the milliseconds for test images, one at a time."""
    predictor, pixels = _predictor(1), _dataset().test.images
    return latencies(lambda i: predictor.reconstruct(pixels[i : i + 1]), images)


@lru_cache(maxsize=None)
def _predictor(batch: int) -> Predictor:
    return Predictor(batch_size=batch)


def reach(
    target: float,
    settings: Dict[str, Union[int, float, str]],
    seed: int,
    training: int,
    validation: int,
    stretch: int,
) -> Dict[str, float]:
    """Return the seconds until a validation MSE, of recipe ``ema`` with some settings changed.

    ``training`` and ``validation`` count images of these splits, ``stretch`` those between two looks.
    """
    recipe = get_recipe("ema").replace(seed=seed, **settings)
    dataset = _dataset()._replace(
        train=Split(_dataset().train.images[:training]), validation=Split(_dataset().validation.images[:validation])
    )
    return seconds_until(target, _stretches(recipe, dataset, stretch), lambda run: run.measure("validation")["mse"])


def _stretches(recipe: Recipe, dataset: Dataset, stretch: int) -> Iterator[Tuple[Training, float]]:
    """Train as ``Training.run`` does, but with a halt after each stretch, and without checkpoints and pictures."""
    run = Training(recipe, dataset, _folder())
    images = dataset.train.images
    stretch = stretch // recipe.batch_size * recipe.batch_size
    for epoch in range(recipe.num_epoch):
        rng = np.random.RandomState([recipe.seed, epoch])
        if epoch == 0:
            run.trained.start(rng)
        order = rng.permutation(len(images))
        for start in range(0, len(images), stretch):
            run.trained.dataset = dataset._replace(train=Split(images[order[start : start + stretch]]))
            yield run, run.train_epoch(rng)["mse"]


def export_untrained(side: int, images: int) -> None:
    """Write an untrained model for images of side x side as ``side<side>``, and random images for it."""
    model = get_model("vqvae_emadl", image_size=(side, side))
    model.initialize(mx.init.Xavier())
    folder = Path(f"side{side}")
    export_model(model, folder)
    for name in (ENCODER, DECODER):
        shutil.copy(folder / name / "model_0-symbol.json", folder / name / SYMBOL)
        shutil.copy(folder / name / "model_0-0000.params", folder / name / PARAMETERS)
    _noise(side, images).tofile(f"{folder}.bytes")


def train_on_noise(batch: int, side: int, images: int) -> None:
    """Train for an epoch on random images."""
    noise = Split(_noise(side, images))
    recipe = get_recipe("ema").replace(batch_size=batch, image_size=(side, side))
    Training(recipe, Dataset(noise, noise, noise), _folder()).train_epoch(np.random.RandomState(0))


def train_on_mnist() -> None:
    """Train for an epoch on all of MNIST, batches as in recipe ``ema``."""
    Training(get_recipe("ema"), _dataset(), _folder()).train_epoch(np.random.RandomState(0))


def encode_file(model: str, images: str, batch: int) -> None:
    """Encode a file of raw bytes."""
    predictor = Predictor(model, batch_size=batch)
    predictor.encode(np.fromfile(images, np.uint8).reshape(-1, *predictor.image_shape))


def _noise(side: int, images: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (images, 1, side, side), np.uint8)


@lru_cache(maxsize=None)
def _dataset() -> Dataset:
    return load_dataset("mnist")


def _folder() -> str:
    return tempfile.mkdtemp(dir=os.getcwd())


if __name__ == "__main__":
    timed = (train, sgemm, bulk, latency, reach)
    serve(train_prior, versions, prepare, *timed, export_untrained, train_on_noise, train_on_mnist, encode_file)
