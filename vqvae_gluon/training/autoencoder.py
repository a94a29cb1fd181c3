"""The parts of training that are specific to an autoencoder: its model, a step, its metrics, its pictures."""
import math
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from tqdm import tqdm

from ..data import Dataset, Images, batches, to_bytes, to_unit
from ..data.dataset import ahead, channel_means, read
from ..data.order import in_batches
from ..errors import VQVAEError
from ..model_zoo import get_model, get_weights
from ..nn import VQVAE, CodebookAverages
from ..nn.averages import CodebookRule, as_vectors
from ..recipes.autoencoder import Recipe
from ..runtime import stop_if_asked
from ..workers import ALONE, Workers
from .checkpoint import start_from
from .collapse import explain_collapse
from .epoch_meter import EpochMeter
from .events import Events
from .kind import Kind
from .kmeans import count_nearest, kmeans, vectors_needed
from .loop import Loop
from .loss import Objective
from .optimizer import build_trainer, check_batches

AUTOENCODER = Kind(
    recipe=Recipe,
    metrics=("reconstruction", "commitment", "codebook", "mse", "perplexity", "codes_used"),
    selection="reconstruction",
)

_EVALUATION_BATCH, _EVALUATION_PIXELS = 100, 100 << 12  # upper limits; images of 64 x 64 pixels reach both
_KMEANS_IMAGES, _KMEANS_PIXELS = 16, 100 << 12  # lower limits, however many vectors an image has
_COLUMNS = 8  # images in a picture


class Training(Loop):
    """The training of an autoencoder in one folder: ``recipe.json``, ``metrics.csv``, pictures and ``checkpoints/``.

    Parameters
    ----------
    recipe : Recipe
    dataset : Dataset
        Only its training and validation splits are used.
    folder : path
        A new folder or, with ``resume``, that of an interrupted training with the same recipe.
    ctx : list of mx.Context
        Each batch is divided among these devices.
    resume : bool
        Continue from the newest checkpoint, with the same recipe or another ``num_epoch``, see :class:`Loop`.
    workers : Workers
        The workers that train together, each with a share of every batch.
    events : Events, optional
        Receives every epoch, for TensorBoard.

    Raises
    ------
    VQVAEError
        If the folder is taken or belongs to another recipe, or if the data do not fit the recipe.
    """

    trained: "Autoencoder"

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        folder: Path,
        ctx: Sequence[mx.Context] = (mx.cpu(),),
        resume: bool = False,
        workers: Workers = ALONE,
        events: Optional[Events] = None,
    ) -> None:
        super().__init__(Autoencoder(recipe, dataset, ctx, workers), folder, resume, events)

    @property
    def dataset(self) -> Dataset:
        """The data set to learn from."""
        return self.trained.dataset

    @property
    def ctx(self) -> List[mx.Context]:
        """The devices."""
        return self.trained.ctx

    @property
    def objective(self) -> Objective:
        """The model and its loss."""
        return self.trained.objective


class Autoencoder:
    """A VQ-VAE, its codebook's averages and its optimizer, for a :class:`Loop`; its members are those of Trained.

    Parameters and errors are those of :class:`Training`.
    """

    kind = AUTOENCODER
    unit = "images"

    def __init__(
        self, recipe: Recipe, dataset: Dataset, ctx: Sequence[mx.Context] = (mx.cpu(),), workers: Workers = ALONE
    ) -> None:
        self.recipe = recipe
        self.workers = workers
        self.dataset = dataset
        self.ctx = list(ctx)
        self.histograms: Dict[str, np.ndarray] = {}
        self._check_data()
        self.fingerprint = dataset.fingerprint()
        self.model = self._build_model()
        self.objective = Objective(self.model, recipe)
        self.objective.hybridize(static_alloc=True, static_shape=True)
        self.averages = self._build_averages()
        updates = recipe.num_epoch * recipe.epoch_passes * math.ceil(self.examples / recipe.batch_size)
        self.trainer = build_trainer(
            self.model,
            recipe.optimizer,
            recipe.highest_learning_rate,
            recipe.learning_rate_schedule,
            updates,
            recipe.warm_up,
            recipe.clip,
            workers,
        )

    @property
    def examples(self) -> int:
        return len(self.dataset.train.images)

    def start(self, rng: np.random.RandomState) -> None:
        """Load the weights of the recipe's ``init_from``, and start moving averages from the encoder's outputs.

        Without ``init_from``, a codebook with moving averages starts at k-means centres of encoder outputs. Worker 0
        computes them.
        """
        source = self.recipe.init_from
        if source:
            start_from(self.model, get_weights(source), source, "model", "encoder, decoder, channels and codebook")
        if not self.averages:
            return
        rows, counts = self.averages.codebook(), np.zeros(self.recipe.num_embeddings)
        if self.workers.first:
            vectors, per_image = self._sample_vectors(rng)
            if source:
                counts = count_nearest(vectors, rows)
            else:
                rows, counts = kmeans(vectors, self.recipe.num_embeddings, rng)
            counts *= self.recipe.batch_size * per_image / len(vectors)
        self.averages.start(self.workers.from_first(rows), self.workers.from_first(counts))
        self.workers.share_random_state(rng)

    def _sample_vectors(self, rng: np.random.RandomState) -> Tuple[np.ndarray, int]:
        """Return as many encoder outputs (V, D) as k-means needs, and the number of outputs per image."""
        images, per_image = self.dataset.train.images, math.prod(self.model.codes_shape)
        needed = vectors_needed(self.recipe.num_embeddings)
        enough = max(math.ceil(needed / per_image), _KMEANS_PIXELS // math.prod(self.recipe.image_size), _KMEANS_IMAGES)
        chosen = np.sort(rng.permutation(len(images))[:enough])
        kept = min(per_image, math.ceil(needed / len(chosen)))
        vectors = []
        with tqdm(total=len(chosen), desc="encoding", unit=" images", leave=False, disable=None) as bar:
            for batch in read(images, in_batches(chosen, self._evaluation_batch)):
                stop_if_asked()
                z = as_vectors(self.model(self._to_array(batch)).z.asnumpy())
                places = [rng.permutation(per_image)[:kept] + per_image * number for number in range(len(batch))]
                vectors.append(z if kept == per_image else z[np.concatenate(places)])
                bar.update(len(batch))
        return np.concatenate(vectors), per_image

    def meter(self) -> EpochMeter:
        return EpochMeter(self.recipe.num_embeddings, math.prod(self.model.image_shape), self.workers)

    def ahead(self, orders: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return ahead(self.dataset.train.images, orders, self.workers.share)

    def step(self, chosen: np.ndarray, meter: EpochMeter, rng: np.random.RandomState) -> None:
        # Unlike mx.nd.array, from_numpy does not wait for MXNet's pending work.
        images = mx.nd.from_numpy(to_unit(self.dataset.train.images[self.workers.share(chosen)]))
        slices = gluon.utils.split_and_load(images, self.ctx, even_split=False)
        with autograd.record():
            parts = [self.objective(images) for images in slices]
        autograd.backward([part.loss for part in parts])
        self.trainer.step(len(chosen))
        meter.update(parts)
        if self.averages:
            self.averages.step([part.codes for part in parts], [part.z for part in parts], rng)

    def measure(self, split: str) -> Dict[str, float]:
        images, meter = self.dataset.split(split).images, self.meter()
        figures = self._measure(images, np.arange(len(images)), meter)
        self.histograms = {f"{split}_codes": meter.usage}
        return figures

    def measure_classes(self, split: str) -> Dict[str, Dict[str, float]]:
        """Return, for each class with images in a split, their number as ``images`` and their metrics."""
        labels: Any  # (N,) if there are class names
        images, labels, names = self.dataset.split(split)
        chosen = {name: np.flatnonzero(labels == number) for number, name in enumerate(names) if number in labels}
        return {name: {"images": len(of), **self._measure(images, of, self.meter())} for name, of in chosen.items()}

    def _measure(self, images: Images, chosen: np.ndarray, meter: EpochMeter) -> Dict[str, float]:
        for batch in read(images, self.workers.in_turn(in_batches(chosen, self._evaluation_batch))):
            meter.update([self.objective(self._to_array(batch))])
        return meter.summary()

    def describe(self, row: Dict[str, float]) -> str:
        return (
            f"MSE training {row['train_mse']:.5f}, validation {row['validation_mse']:.5f}; "
            f"perplexity {row['validation_perplexity']:.1f}; codes used {row['validation_codes_used']}"
        )

    def concern(self, row: Dict[str, float]) -> str:
        """Return a warning if the codebook has collapsed, with less than a third of usable codes in use, else ''."""
        vectors = len(self.dataset.validation.images) * math.prod(self.model.codes_shape)
        return explain_collapse(row, vectors, self.recipe)

    def pictures(self, epoch: int) -> List[str]:
        from ..evaluation.plots import reconstruction_name

        return [reconstruction_name(index, epoch, self.recipe.batch_size) for index in range(self.recipe.pictures)]

    def draw(self, folder: Path, epoch: int) -> None:
        """Draw validation images and their reconstructions."""
        from ..evaluation.plots import draw_rows

        for name, images in zip(self.pictures(epoch), batches(self.dataset.validation.images, _COLUMNS)):
            output = self.model(self._to_array(images))
            reconstruction = to_bytes(output.reconstruction.asnumpy())
            draw_rows(folder / name, [("original", images), ("reconstruction", reconstruction)])

    def draw_loss(self, path: Path, rows: List[Dict[str, float]], best_epoch: int) -> None:
        from ..evaluation.plots import draw_loss

        draw_loss(path, rows, best_epoch, "mse", "mean squared error per pixel")

    @property
    def _evaluation_batch(self) -> int:
        return max(1, min(_EVALUATION_BATCH, _EVALUATION_PIXELS // math.prod(self.recipe.image_size)))

    def _to_array(self, images: np.ndarray) -> mx.nd.NDArray:
        return mx.nd.array(to_unit(images), ctx=self.ctx[0])

    def _check_data(self) -> None:
        expected = (self.recipe.channels, *self.recipe.image_size)
        for name in ("train", "validation"):
            images = self.dataset.split(name).images
            if images.shape[1:] != expected or not len(images) or images.dtype != np.uint8:
                raise VQVAEError(
                    f"the {name} split holds {images.dtype} images of shape {images.shape}: "
                    f"the recipe asks for uint8 of (N, {', '.join(map(str, expected))})"
                )
        check_batches(self.examples, self.recipe.batch_size, len(self.ctx), self.workers)

    def _build_model(self) -> VQVAE:
        recipe = self.recipe
        model = get_model(recipe.model, **recipe.model_settings())
        if recipe.freeze_codebook:
            model.quantizer.embeddings.grad_req = "null"
        mx.random.seed(recipe.seed)
        np.random.seed(recipe.seed)  # MXNet's initializers draw from both
        start = {"normal": mx.init.Normal(0.01), "xavier": mx.init.Xavier()}[recipe.initializer]
        model.initialize(start, ctx=self.ctx)
        if recipe.output_bias == "mean":
            model.decoder.output_bias.set_data(mx.nd.array(_mean_logit(self.dataset.train.images)))
        return model

    def _build_averages(self) -> Optional[CodebookRule]:
        recipe = self.recipe
        if recipe.update != "ema" or recipe.freeze_codebook:
            return None
        equal_use = recipe.batch_size * math.prod(self.model.codes_shape) / recipe.num_embeddings
        dead_below = max(recipe.dead_below, recipe.dead_share * equal_use)
        return CodebookAverages(
            self.model.quantizer, decay=recipe.ema_decay, dead_below=dead_below, workers=self.workers
        )


def _mean_logit(images: Images) -> np.ndarray:
    """Return the logit of each channel's mean.

    Starting from gray, the decoder's first updates all darken a mostly black picture; they overshoot until the sigmoid
    passes no gradient, and training never recovers.
    """
    mean = np.clip(channel_means(images) / 255, 0.01, 0.99)
    return np.log(mean / (1 - mean))
