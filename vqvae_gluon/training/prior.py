"""The parts of training that are specific to a prior over codes: its model, a step, its metrics, its pictures."""
import math
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import HybridBlock

from ..data import batches
from ..data.codes import CodesDataset
from ..evaluation.metrics import CodeCounts
from ..nn.prior import Prior
from ..nn.prior_step import PriorStep
from ..nn.tensor import Operators, Tensor
from ..recipes.prior import PriorRecipe
from ..sampling import sample_codes
from ..workers import ALONE, Workers
from .checkpoint import start_from
from .kind import Kind
from .optimizer import build_trainer, check_batches

PRIOR = Kind(
    recipe=PriorRecipe,
    metrics=("bits_per_image", "bits_per_image_with_class"),
    selection="bits_per_image_with_class",
)

_EVALUATION_BATCH = 100
_MOVED = 0.5  # share of an epoch's images that are moved, if the recipe moves any
_COLUMNS = 10  # samples of a class in a picture
_MOST_ROWS = 10

#: (N, h, w) codes -> (N, C, H, W) uint8.
Decode = Callable[[np.ndarray], np.ndarray]
#: Returns a prior's parameters by name.
Weights = Callable[[], Dict[str, np.ndarray]]


class PriorObjective(HybridBlock):
    """A prior and its loss in one graph: codes (N, h, w), classes (N,) -> bits (N,), minus log2 of their likelihood."""

    def __init__(self, prior: Prior) -> None:
        super().__init__(prefix="")
        self.prior = prior

    def hybrid_forward(self, F: Operators, codes: Tensor, label: Tensor) -> Tensor:
        likelihoods = F.log_softmax(self.prior(codes, label), axis=-1)
        chosen = F.pick(likelihoods, F.reshape(codes, shape=(0, -1)), axis=-1)
        return F.sum(chosen, axis=1) * (-1 / math.log(2))


class BitsMeter:
    """Averages bits per image over an epoch, separately for images with and without their class."""

    def __init__(self, workers: Workers = ALONE) -> None:
        self._workers = workers
        self._sums, self._counts = np.zeros(2), np.zeros(2, int)

    def update(self, bits: np.ndarray, with_class: np.ndarray) -> None:
        """Add the bits (N,) of images; raise FloatingPointError for bits that are not finite."""
        if not np.isfinite(bits).all():
            raise FloatingPointError
        for kind in (0, 1):
            chosen = bits[with_class == kind]
            self._sums[kind] += chosen.sum(dtype=np.float64)
            self._counts[kind] += len(chosen)

    def summary(self) -> Dict[str, float]:
        """Return the means over all workers; a kind without any images has the mean of the other kind."""
        return self._means(*self._workers.sum(self._sums, self._counts))

    @staticmethod
    def _means(sums: np.ndarray, counts: np.ndarray) -> Dict[str, float]:
        means = sums / counts if counts.all() else np.full(2, sums.sum() / counts.sum())
        return dict(zip(PRIOR.metrics, map(float, means)))

    def progress(self) -> Dict[str, str]:
        """Return the means of this worker as short texts."""
        summary = self._means(self._sums, self._counts)
        return {"bits": f"{summary['bits_per_image']:.1f}", "with class": f"{summary['bits_per_image_with_class']:.1f}"}


class CodePrior:
    """A prior and its optimizer, for a :class:`Loop`; its members are those of Trained.

    Parameters
    ----------
    recipe : PriorRecipe
    dataset : CodesDataset
    ctx : list of mx.Context
        Each batch is divided among these devices.
    decode : callable, optional
        Makes images from codes, for pictures of samples; without it, there are none.
    weights : callable, optional
        Returns the initial parameters by name, from a prior of this size that knows no moved images.
    workers : Workers
        The workers that train together, each with a share of every batch.

    Raises
    ------
    VQVAEError
        If a batch is too small for the workers and their devices and, when training starts, if the weights are those of
        a prior of another size.
    """

    kind = PRIOR
    unit = "images"
    averages = None

    def __init__(
        self,
        recipe: PriorRecipe,
        dataset: CodesDataset,
        ctx: Sequence[mx.Context] = (mx.cpu(),),
        decode: Optional[Decode] = None,
        weights: Optional[Weights] = None,
        workers: Workers = ALONE,
    ) -> None:
        self.recipe = recipe
        self.workers = workers
        self.dataset = dataset
        self.ctx = list(ctx)
        self.fingerprint = self.dataset.fingerprint()
        self.histograms: Dict[str, np.ndarray] = {}
        self._decode: Any = decode
        self._weights = weights
        self._no_class = len(self.dataset.classes)
        check_batches(self.examples, recipe.batch_size, len(self.ctx), workers)
        self.model = self._build_model()
        self.objective = PriorObjective(self.model)
        self.objective.hybridize(static_alloc=True, static_shape=True)
        updates = recipe.num_epoch * recipe.epoch_passes * math.ceil(self.examples / recipe.batch_size)
        self.trainer = build_trainer(
            self.model,
            recipe.optimizer,
            recipe.learning_rate,
            recipe.learning_rate_schedule,
            updates,
            workers=workers,
        )

    @property
    def examples(self) -> int:
        return len(self.dataset.train.codes)

    def start(self, rng: np.random.RandomState) -> None:
        """Load the weights that were given; the vectors for moved images start as those for images not moved."""
        if self._weights is None:
            return
        weights, label = dict(self._weights()), self.model.label.weight
        ways = 1 + len(self.dataset.moved)
        if label.name in weights:
            weights[label.name] = np.tile(weights[label.name], (ways, 1))
        start_from(self.model, weights, self.recipe.init_from, "prior", "width, layers, heads, classes and codes")

    def meter(self) -> BitsMeter:
        return BitsMeter(self.workers)

    def ahead(self, orders: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return iter(orders)

    def step(self, chosen: np.ndarray, meter: BitsMeter, rng: np.random.RandomState) -> None:
        codes, labels = (array[chosen] for array in self.dataset.train)
        labels = np.where(rng.random_sample(len(chosen)) < self.recipe.no_class, self._no_class, labels)
        with_class = labels != self._no_class
        if self.dataset.moved:
            codes, labels = self._move(chosen, codes, labels, rng)
        codes, labels, with_class = (self.workers.share(array) for array in (codes, labels, with_class))
        parts = [gluon.utils.split_and_load(_to_array(array), self.ctx, even_split=False) for array in (codes, labels)]
        with autograd.record():
            bits = [self.objective(*part) for part in zip(*parts)]
        autograd.backward(bits)
        self.trainer.step(len(chosen))
        meter.update(np.concatenate([part.asnumpy() for part in bits]), with_class)

    def _move(
        self, chosen: np.ndarray, codes: np.ndarray, labels: np.ndarray, rng: np.random.RandomState
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Replace the codes of some images by those of the moved images, and their classes by the ones for that move.

        Source: Jun et al., "Distribution Augmentation for Generative Modeling" (2020): what is learnt from changed
        images helps with the others, but the changed ones are not mistaken for them.
        """
        moved = rng.random_sample(len(chosen)) < _MOVED
        ways = np.where(moved, 1 + rng.randint(len(self.dataset.moved), size=len(chosen)), 0)
        codes = np.stack([self.dataset.moved[way - 1][i] if way else own for i, own, way in zip(chosen, codes, ways)])
        return codes, labels + ways * (self._no_class + 1)

    def measure(self, split: str) -> Dict[str, float]:
        self.histograms = {}
        meter = self.meter()
        codes, labels = self.dataset.split(split)
        without = np.full_like(labels, self._no_class)
        ways = (labels, without) if self._no_class else (without,)
        for chosen in self.workers.in_turn(batches(np.arange(len(codes)), _EVALUATION_BATCH)):
            for given in (way[chosen] for way in ways):
                arrays = (_to_array(array).as_in_context(self.ctx[0]) for array in (codes[chosen], given))
                meter.update(self.objective(*arrays).asnumpy(), given != self._no_class)
        return meter.summary()

    def describe(self, row: Dict[str, float]) -> str:
        texts = [
            f"training {row[f'train_{name}']:.2f}, validation {row[f'validation_{name}']:.2f}"
            for name in self.kind.metrics[: 2 if self._no_class else 1]
        ]
        return f"bits per image {'; given its class '.join(texts)}"

    def concern(self, row: Dict[str, float]) -> str:
        return ""

    def pictures(self, epoch: int) -> List[str]:
        count = self.recipe.pictures if self._decode else 0
        return [f"samples_{index}_epoch{epoch}.png" for index in range(count)]

    def draw(self, folder: Path, epoch: int) -> None:
        """Draw samples, one row for each of the first classes or, without classes, a single row."""
        from ..evaluation.plots import draw_rows

        rows = max(1, min(self._no_class, _MOST_ROWS))
        labels = np.repeat(np.arange(rows), _COLUMNS)
        step = PriorStep(self.model)
        step.hybridize(static_alloc=True, static_shape=True)

        def run(inputs: Sequence[np.ndarray]) -> List[np.ndarray]:
            return [head.asnumpy() for head in step(*(mx.nd.array(value, ctx=self.ctx[0]) for value in inputs))]

        usage = CodeCounts(self.dataset.num_embeddings)
        for index, name in enumerate(self.pictures(epoch)):
            rng = np.random.RandomState([self.recipe.seed, index])
            random = rng.random_sample((len(labels), self.model.size.places))
            codes = sample_codes(run, self.model.size, labels, random)
            usage.update(codes)
            images = self._decode(codes)
            titles = self.dataset.classes or ("samples",)
            draw_rows(folder / name, list(zip(titles, np.split(images, rows))))
        if self._decode:
            self.histograms["sampled_codes"] = usage.counts

    def draw_loss(self, path: Path, rows: List[Dict[str, float]], best_epoch: int) -> None:
        from ..evaluation.plots import draw_loss

        draw_loss(path, rows, best_epoch, self.kind.selection, "bits per image, given its class")

    def _build_model(self) -> Prior:
        dataset = self.dataset
        shape = dataset.train.codes.shape[1:]
        classes = (1 + len(dataset.moved)) * (len(dataset.classes) + 1) - 1
        model = Prior(dataset.num_embeddings, shape, classes, **self.recipe.model_settings())
        mx.random.seed(self.recipe.seed)
        np.random.seed(self.recipe.seed)  # MXNet's initializers draw from both
        model.initialize(mx.init.Xavier(), ctx=self.ctx)
        return model


def without_moved(prior: Prior, weights: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Return a checkpoint's weights without those for moved images, for a ``prior`` that knows none."""
    name, rows = prior.label.weight.name, prior.size.num_classes + 1
    return {**weights, name: weights[name][:rows]} if name in weights else weights


def _to_array(values: np.ndarray) -> mx.nd.NDArray:
    # Unlike mx.nd.array, from_numpy does not wait for MXNet's pending work.
    return mx.nd.from_numpy(values.astype(np.float32))
