"""The training loop."""
import contextlib
import math
import os
import time
from itertools import chain
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import HybridBlock
from tqdm import tqdm

from ..data import Dataset, batches, to_bytes, to_unit
from ..errors import VQVAEError
from ..files import locked, read_bytes, write_bytes
from ..metrics import CodeCounts
from ..model_zoo import get_model
from ..nn import VQVAE, CodebookAverages, VQVAEOutput
from ..nn.quantizer import vector_sums
from ..runtime import printing, stop_if_asked, uninterrupted
from .checkpoint import (
    Checkpoint,
    checkpoint_path,
    damaged,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
    set_weights,
)
from .history import History
from .optimizer import build_trainer, optimizer_state, restore_optimizer
from .recipe import Recipe

_EVALUATION_BATCH = 100
_KMEANS_IMAGES = 1000


class Part(NamedTuple):
    """What one device computed of a batch of N images.

    ``loss`` (N,); ``figures`` (4, N): the terms of :func:`loss_terms` and the squared error summed over an image;
    ``codes`` (N, h, w). Where averages move the codebook, they need ``z`` (N, D, h, w) and :func:`vector_sums`.
    Only ``loss`` has a gradient.
    """

    loss: mx.nd.NDArray
    figures: mx.nd.NDArray
    codes: mx.nd.NDArray
    z: mx.nd.NDArray
    sums: Optional[mx.nd.NDArray] = None


class Objective(HybridBlock):
    """A model and the loss of a recipe in one graph: (N, C, H, W) in [0, 1] -> :class:`Part`."""

    def __init__(self, model: VQVAE, recipe: Recipe) -> None:
        super().__init__(prefix="")
        self.model = model
        self._recipe = recipe

    def __call__(self, images) -> Part:
        return Part(*super().__call__(images))

    def hybrid_forward(self, F, images):
        recipe, output = self._recipe, self.model(images)
        terms = loss_terms(F, output, images, recipe.reconstruction_loss)
        squared_error = terms[0]
        if recipe.reconstruction_loss != "mse":
            squared_error = loss_terms(F, output, images, "mse")[0]
        figures = F.BlockGrad(F.stack(*terms, squared_error))
        z = F.BlockGrad(output.z)
        part = total_loss(terms, recipe.beta), figures, output.codes, z
        if recipe.update == "ema":
            part += (vector_sums(F, z, output.codes, recipe.num_embeddings, recipe.embedding_dim),)
        return part


class EpochMeter:
    """Sums loss terms and counts codes over an epoch."""

    def __init__(self, num_embeddings: int, image_numbers: int) -> None:
        self._codes = CodeCounts(num_embeddings)
        self._image_numbers = image_numbers
        self._sums = np.zeros(4)
        self.images = 0

    def update(self, figures: np.ndarray, codes: np.ndarray) -> None:
        """Add the ``figures`` (4, N) and ``codes`` of a :class:`Part`."""
        self._sums += figures.sum(axis=1, dtype=np.float64)
        self._codes.update(codes)
        self.images += figures.shape[1]

    def summary(self) -> Dict[str, float]:
        """Return means per image of the loss terms, MSE per pixel, perplexity and codes used."""
        reconstruction, commitment, codebook, squared_error = (float(mean) for mean in self._sums / self.images)
        return {
            "reconstruction": reconstruction,
            "commitment": commitment,
            "codebook": codebook,
            "mse": squared_error / self._image_numbers,
            **self._codes.summary(),
        }


def reconstruction_error(F, reconstruction, images, kind: str = "mse"):
    """Return the squared error ('mse') or the binary cross-entropy ('bce') of each number of images in [0, 1]."""
    if kind == "mse":
        return F.square(reconstruction - images)
    inside = F.clip(reconstruction, 1e-7, 1 - 1e-7)
    return -(images * F.log(inside) + (1 - images) * F.log(1 - inside))


def loss_terms(F, output: VQVAEOutput, images, kind: str = "mse") -> List:
    """Return the (N,) reconstruction, commitment and codebook terms of EMADL's loss, unweighted.

    The reconstruction term is a sum over the C*H*W numbers of an image, see :func:`reconstruction_error`; the others
    are means, see :class:`Quantized`.
    """
    error = reconstruction_error(F, output.reconstruction, images, kind)
    # A matrix product with ones: ten times as fast as F.sum.
    ones = F.ones_like(F.slice_axis(F.reshape(error, shape=(0, -1)), axis=0, begin=0, end=1))
    reconstruction = F.FullyConnected(error, ones, num_hidden=1, no_bias=True)
    reconstruction = F.reshape(reconstruction, shape=(-1,))
    return [reconstruction, output.commitment_loss, output.codebook_loss]


def total_loss(terms: Sequence, beta: float):
    """Return EMADL's loss: reconstruction + beta * commitment + codebook."""
    reconstruction, commitment, codebook = terms
    return reconstruction + beta * commitment + codebook


class Training:
    """One training in one folder: ``recipe.json``, ``metrics.csv``, pictures and ``checkpoints/``.

    Parameters
    ----------
    recipe : Recipe
    dataset : Dataset
        Only its training and validation splits are looked at.
    folder : path
        A new folder or, with ``resume``, that of an interrupted training with the same recipe.
    ctx : list of mx.Context
        Each batch is divided among these devices.
    resume : bool
        Go on after the newest checkpoint.

    Raises
    ------
    VQVAEError
        If the folder is taken, belongs to another recipe, or the data do not fit the recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        folder: Path,
        ctx: Sequence[mx.Context] = (mx.cpu(),),
        resume: bool = False,
    ) -> None:
        self.recipe = recipe
        self.dataset = dataset
        self.folder = Path(folder)
        self.ctx = list(ctx)
        self.history = History()
        self.epoch = 0
        #: How long each epoch of this process trained; left out of the history, which a clock must not change.
        self.epoch_seconds: List[float] = []
        self._unsaved: Optional[Checkpoint] = None
        self.fingerprint = dataset.fingerprint()
        self._check_data()
        self.model = self._build_model()
        self.objective = Objective(self.model, recipe)
        self.objective.hybridize(static_alloc=True, static_shape=True)
        self._open_folder(resume)
        self.averages = self._build_averages()
        self.trainer = self._build_trainer()
        newest = list_checkpoints(self.folder)[-1:]
        if newest:
            self._restore(load_checkpoint(checkpoint_path(self.folder, newest[0])))

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe is done."""
        return self.epoch >= self.recipe.num_epoch

    def run(self, num_epoch: Optional[int] = None) -> None:
        """Train to the recipe's end, or for ``num_epoch`` more epochs; interrupted, save the last finished epoch.

        Raises VQVAEError for a loss that is no longer finite (the last checkpoint stays), and if another process
        trains in the folder.
        """
        last = self.recipe.num_epoch
        if num_epoch is not None:
            last = min(last, self.epoch + num_epoch)
        with locked(self.folder):
            for path in _leftovers(self.folder):
                path.unlink()
            try:
                self._run_until(last)
            except KeyboardInterrupt:
                with uninterrupted():
                    self._save()
                raise
            finally:
                if self._made_folder:
                    with contextlib.suppress(OSError):
                        self.folder.rmdir()  # if nothing came of it

    def _run_until(self, last: int) -> None:
        while self.epoch < last:
            rng = np.random.RandomState([self.recipe.seed, self.epoch])
            mx.random.seed(self.recipe.seed + self.epoch)  # for models with random operators, such as dropout
            learning_rate = self.trainer.learning_rate
            if self.epoch == 0 and self.averages:
                self._start_codebook(rng)
            start = time.perf_counter()
            training = self.train_epoch(rng)
            self.epoch_seconds.append(time.perf_counter() - start)
            if self.recipe.training_metrics == "prediction":
                training = self.measure("train")
            validation = self.measure("validation")
            row = {"epoch": self.epoch, "learning_rate": learning_rate}
            row.update({f"train_{name}": value for name, value in training.items()})
            row.update({f"validation_{name}": value for name, value in validation.items()})
            with uninterrupted():
                self.history.append(row)
                self._finish_epoch()

    def measure(self, split: str) -> Dict[str, float]:
        """Return the metrics of predictions on a whole split."""
        meter = self._meter()
        for batch in batches(self.dataset.split(split).images, _EVALUATION_BATCH):
            self._measure(meter, [self.objective(mx.nd.array(to_unit(batch), ctx=self.ctx[0]))])
        return meter.summary()

    def train_epoch(self, rng: np.random.RandomState) -> Dict[str, float]:
        """Make the passes of one epoch, each in an order drawn from ``rng``; return the training metrics."""
        meter = self._meter()
        images, passes = self.dataset.train.images, self.recipe.epoch_passes
        bar = tqdm(
            total=passes * len(images), desc=f"epoch {self.epoch}", unit=" images", leave=False, disable=None
        )
        with bar:
            orders = chain.from_iterable(batches(images, self.recipe.batch_size, rng) for _ in range(passes))
            for number, batch in enumerate(orders):
                stop_if_asked()
                parts = self._step(batch)
                self._measure(meter, parts, number)
                if self.averages:
                    self.averages.step([part.sums for part in parts], [part.z for part in parts], rng)
                bar.update(len(batch))
                if not bar.disable:
                    bar.set_postfix(_short(meter.summary()), refresh=False)
        return meter.summary()

    def _step(self, batch: np.ndarray) -> List[Part]:
        # Unlike mx.nd.array, from_numpy does not wait for the work that MXNet has in hand.
        images = mx.nd.from_numpy(to_unit(batch))
        slices = gluon.utils.split_and_load(images, self.ctx, even_split=False)
        with autograd.record():
            parts = [self.objective(images) for images in slices]
        autograd.backward([part.loss for part in parts])
        self.trainer.step(len(batch))
        return parts

    def _measure(self, meter: EpochMeter, parts: List[Part], batch_number: Optional[int] = None) -> None:
        for part in parts:
            figures = part.figures.asnumpy()
            if not np.isfinite(figures).all():
                raise VQVAEError(self._divergence(batch_number))
            meter.update(figures, part.codes.asnumpy())

    def _divergence(self, batch_number: Optional[int]) -> str:
        saved = list_checkpoints(self.folder)
        good = "there is no checkpoint yet"
        if saved:
            good = f"the last good checkpoint is {checkpoint_path(self.folder, saved[-1])}"
        where = "in validation" if batch_number is None else f"in batch {batch_number}"
        return f"the loss is not finite in epoch {self.epoch}, {where}; {good}; try a lower learning rate"

    def _start_codebook(self, rng: np.random.RandomState) -> None:
        images = self.dataset.train.images
        chosen = rng.permutation(len(images))[:_KMEANS_IMAGES]
        z = [
            self.model(mx.nd.array(to_unit(batch), ctx=self.ctx[0])).z.asnumpy()
            for batch in batches(images[np.sort(chosen)], _EVALUATION_BATCH)
        ]
        self.averages.start(np.concatenate(z), self.recipe.batch_size, rng)

    def _finish_epoch(self) -> None:
        best = self.history.best()["epoch"] == self.epoch
        if self.epoch == 0:
            for name, text in self.recipe.files().items():
                (self.folder / name).parent.mkdir(exist_ok=True)
                write_bytes(self.folder / name, text.encode())
        self.epoch += 1
        due = self.epoch % self.recipe.checkpoint_period == 0 or self.finished
        self._unsaved = self._checkpoint()
        if best or due:
            self._draw_reconstructions()
        if due:
            self._draw_loss()
        self.history.write_csv(self.folder / "metrics.csv")
        # The checkpoint comes last: a training killed before it does the epoch again, and everything above with it.
        if best or due:
            self._save()
        with printing():
            tqdm.write(_line(self.history.rows[-1], self.recipe.num_epoch, best))

    def _save(self) -> None:
        """Write the checkpoint of the last finished epoch if it is not written yet."""
        if self._unsaved is None:
            return
        save_checkpoint(self.folder, self._unsaved)
        for old in list_checkpoints(self.folder):
            if old not in (self._unsaved.epoch, self.history.best()["epoch"]):
                self._remove(old)
        self._unsaved = None

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            epoch=self.epoch - 1,
            updates=self.trainer.optimizer.num_update,
            recipe=self.recipe,
            data_fingerprint=self.fingerprint,
            weights={name: value.data(self.ctx[0]).asnumpy() for name, value in self.model.collect_params().items()},
            optimizer=optimizer_state(self.trainer),
            averages=self.averages.state() if self.averages else {},
            rows=list(self.history.rows),
        )

    def _remove(self, epoch: int) -> None:
        from ..plots import reconstruction_name

        for index in range(self.recipe.pictures):
            picture = self.folder / reconstruction_name(index, epoch, self.recipe.batch_size)
            if picture.exists():
                picture.unlink()
        # Last, for a training that is killed before it looks for checkpoints to remove.
        checkpoint_path(self.folder, epoch).unlink()

    def _restore(self, checkpoint: Checkpoint) -> None:
        if checkpoint.data_fingerprint != self.fingerprint:
            raise VQVAEError(f"{self.folder}: was trained on other data; resume with the same data")
        path = checkpoint_path(self.folder, checkpoint.epoch)
        set_weights(self.model, checkpoint.weights, path)
        restore_optimizer(self.trainer, checkpoint.optimizer, checkpoint.updates, path)
        if self.averages:
            shapes = {name: array.shape for name, array in checkpoint.averages.items()}
            if shapes != {name: array.shape for name, array in self.averages.state().items()}:
                raise damaged(path)
            self.averages.restore(checkpoint.averages)
        self.history = History(checkpoint.rows)
        self.epoch = checkpoint.epoch + 1

    def _meter(self) -> EpochMeter:
        return EpochMeter(self.recipe.num_embeddings, math.prod(self.model.image_shape))

    def _check_data(self) -> None:
        expected = (self.recipe.channels, *self.recipe.image_size)
        for name in ("train", "validation"):
            images = self.dataset.split(name).images
            if images.shape[1:] != expected or not len(images) or images.dtype != np.uint8:
                raise VQVAEError(
                    f"the {name} split holds {images.dtype} images of shape {images.shape}: "
                    f"the recipe asks for uint8 of (N, {', '.join(map(str, expected))})"
                )
        count = len(self.dataset.train.images)
        if (count % self.recipe.batch_size or self.recipe.batch_size) < len(self.ctx):
            raise VQVAEError(
                f"the last of the batches of {self.recipe.batch_size} from {count} images is smaller "
                f"than the {len(self.ctx)} devices: choose another batch size"
            )

    def _open_folder(self, resume: bool) -> None:
        try:
            self._made_folder = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            empty = set(self.folder.iterdir()) <= set(_leftovers(self.folder))
        except OSError as error:
            raise VQVAEError(f"{self.folder}: cannot be used as a folder ({error.strerror})") from None
        if not os.access(self.folder, os.W_OK):
            raise VQVAEError(f"{self.folder}: cannot be written to; choose another folder")
        path = self.folder / "recipe.json"
        if empty:
            return  # the first epoch writes the recipe: a training that never got there leaves nothing
        if not path.exists():
            raise VQVAEError(f"{self.folder}: is not empty and holds no training; choose another folder")
        if not resume:
            raise VQVAEError(f"{self.folder}: holds a training already; add --resume or choose another folder")
        differences = Recipe.from_json(read_bytes(path).decode(), str(path)).differences(self.recipe)
        if differences:
            raise VQVAEError(
                f"{self.folder}: was trained with other settings ({'; '.join(differences)}: "
                "there, now); resume with the same or choose another folder"
            )

    def _build_model(self) -> VQVAE:
        recipe = self.recipe
        model = get_model(recipe.model, **recipe.model_settings())
        mx.random.seed(recipe.seed)
        np.random.seed(recipe.seed)  # MXNet's initializers draw from both
        start = {"normal": mx.init.Normal(0.01), "xavier": mx.init.Xavier()}[recipe.initializer]
        model.initialize(start, ctx=self.ctx)
        if recipe.output_bias == "mean":
            model.decoder.output_bias.set_data(mx.nd.array(_mean_logit(self.dataset.train.images)))
        return model

    def _build_averages(self) -> Optional[CodebookAverages]:
        if self.recipe.update != "ema":
            return None
        return CodebookAverages(
            self.model.quantizer, decay=self.recipe.ema_decay, dead_below=self.recipe.dead_below
        )

    def _build_trainer(self) -> gluon.Trainer:
        recipe = self.recipe
        pass_updates = math.ceil(len(self.dataset.train.images) / recipe.batch_size)
        updates = recipe.num_epoch * recipe.epoch_passes * pass_updates
        return build_trainer(
            self.model, recipe.optimizer, recipe.learning_rate, recipe.learning_rate_schedule, updates
        )

    def _draw_loss(self) -> None:
        from ..plots import draw_loss

        draw_loss(self.folder / "loss_graph.png", self.history.rows, self.history.best()["epoch"])

    def _draw_reconstructions(self) -> None:
        from ..plots import draw_rows, reconstruction_name

        for index, images in enumerate(_pictures(self.dataset.validation.images, self.recipe.pictures)):
            output = self.model(mx.nd.array(to_unit(images), ctx=self.ctx[0]))
            draw_rows(
                self.folder / reconstruction_name(index, self.epoch - 1, self.recipe.batch_size),
                [("original", images), ("reconstruction", to_bytes(output.reconstruction.asnumpy()))],
            )


def _leftovers(folder: Path) -> List[Path]:
    """Return the temporary files of :func:`vqvae_gluon.files.writing` that a killed process left in a run's folder."""
    return [path for place in (folder, folder / "checkpoints") for path in place.glob(".*.????????")]


def _pictures(images: np.ndarray, pictures: int, columns: int = 8) -> Iterator[np.ndarray]:
    for start in range(0, min(pictures * columns, len(images)), columns):
        yield images[start : start + columns]


def _mean_logit(images: np.ndarray) -> np.ndarray:
    """Return the sigmoid's argument for the mean of each channel.

    From gray, the decoder's first updates all darken a mostly black picture; they overshoot until
    the sigmoid passes no gradient, and training never recovers.
    """
    mean = np.clip(images.mean(axis=(0, 2, 3)) / 255, 0.01, 0.99)
    return np.log(mean / (1 - mean))


def _short(summary: Dict[str, float]) -> Dict[str, str]:
    return {
        "rec": f"{summary['reconstruction']:.3f}",
        "commit": f"{summary['commitment']:.4f}",
        "codebook": f"{summary['codebook']:.4f}",
        "perplexity": f"{summary['perplexity']:.1f}",
        "codes": f"{summary['codes_used']}",
    }


def _line(row: Dict[str, float], num_epoch: int, best: bool) -> str:
    return (
        f"epoch {row['epoch']:3d} of {num_epoch}: MSE training {row['train_mse']:.5f}, "
        f"validation {row['validation_mse']:.5f}; perplexity {row['validation_perplexity']:.1f}; "
        f"codes used {row['validation_codes_used']}" + ("; best so far" if best else "")
    )
