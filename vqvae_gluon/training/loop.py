"""The training loop, which knows what it trains only as :class:`Trained`."""
import contextlib
import os
import time
from itertools import chain
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..data import batches
from ..errors import VQVAEError
from ..files import locked, read_bytes, write_bytes
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
from .events import Events
from .history import History
from .optimizer import optimizer_state, restore_optimizer
from .trained import Trained

_SEEDS_APART = 1_000_003


class Loop:
    """One training in one folder: ``recipe.json``, ``metrics.csv``, pictures and ``checkpoints/``.

    Parameters
    ----------
    trained : Trained
        What is trained, newly made from its recipe.
    folder : path
        A new folder or, with ``resume``, that of an interrupted training with the same recipe.
    resume : bool
        Continue from the newest checkpoint. The recipe may have another ``num_epoch`` than the folder's, but not less
        than the number of epochs trained already; from there on, the learning rate follows the schedule of a training
        with the new number.
    events : Events, optional
        Receives every epoch, for TensorBoard.

    Raises
    ------
    VQVAEError
        If the folder is taken, or belongs to another recipe or other data, or if more epochs have been trained already.
    """

    def __init__(
        self, trained: Trained, folder: Path, resume: bool = False, events: Optional[Events] = None
    ) -> None:
        self.trained = trained
        self.recipe = trained.recipe
        self.model = trained.model
        self.trainer = trained.trainer
        self.averages = trained.averages
        self.workers = trained.trainer.workers
        self.folder = Path(folder)
        self.events = events
        self.history = History(trained.kind)
        self.epoch = 0
        #: The number of epochs in the folder's recipe: ``recipe``'s own or, until :meth:`run`, an earlier one.
        self.planned: int = self.recipe.num_epoch
        #: The training time of each epoch of this process; not in the history, which must not depend on a clock.
        self.epoch_seconds: List[float] = []
        self._unsaved: Optional[Checkpoint] = None
        self._concerned = False  # whether the last epoch's concern was reported
        self._open_folder(resume)
        newest = list_checkpoints(self.folder)[-1:]
        if newest:
            self._restore(checkpoint_path(self.folder, newest[0]))
        if self.epoch > self.recipe.num_epoch:
            raise VQVAEError(
                f"{self.folder}: {self.epoch} epochs are trained already: num_epoch was given as "
                f"{self.recipe.num_epoch}; give at least {self.epoch}"
            )
        self.workers.agree(
            settings=self.recipe.to_json(), data=trained.fingerprint, the_epoch_they_continue_at=str(self.epoch)
        )

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe is done."""
        return self.epoch >= self.recipe.num_epoch

    def run(self, num_epoch: Optional[int] = None) -> None:
        """Train to the recipe's end, or for ``num_epoch`` more epochs; if interrupted, save the last finished epoch.

        Raises VQVAEError for a loss that is no longer finite (the last checkpoint stays), and if another process is
        training in the folder.
        """
        last = self.recipe.num_epoch
        if num_epoch is not None:
            last = min(last, self.epoch + num_epoch)
        if not self.workers.first:
            self._run_until(last)
            return
        with locked(self.folder):
            for path in _leftovers(self.folder):
                path.unlink()
            self._change_length()
            try:
                self._run_until(last)
            except KeyboardInterrupt:
                with uninterrupted():
                    self._save()
                raise
            finally:
                if self.events:
                    self.events.close()
                if self._made_folder:
                    with contextlib.suppress(OSError):
                        self.folder.rmdir()  # if it is still empty

    def _change_length(self) -> None:
        """If the recipe's number of epochs differs from the folder's, write it to the folder and say so."""
        if self.planned == self.recipe.num_epoch:
            return
        write_bytes(self.folder / "recipe.json", self.recipe.to_json().encode())
        if self.epoch and not self.finished:
            before = self.history.rows[-1]["learning_rate"]
            with printing():
                tqdm.write(
                    f"{self.folder}: {self.recipe.num_epoch} epochs instead of {self.planned}; the learning rate "
                    f"follows the schedule of that many: {self.trainer.learning_rate:.3g} at the start of epoch "
                    f"{self.epoch}, after {before:.3g} at that of epoch {self.epoch - 1}"
                )
        self.planned = self.recipe.num_epoch

    def _run_until(self, last: int) -> None:
        while self.epoch < last:
            rng = np.random.RandomState([self.recipe.seed, self.epoch])
            # For models with random operators such as dropout, which each worker applies to its own share of a batch.
            mx.random.seed(self.recipe.seed + self.epoch + _SEEDS_APART * self.workers.rank)
            learning_rate = self.trainer.learning_rate
            if self.epoch == 0:
                self.trained.start(rng)
            start = time.perf_counter()
            training = self.train_epoch(rng)
            self.epoch_seconds.append(time.perf_counter() - start)
            self.workers.align(self.model)
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
        """Return the metrics of predictions on a whole split; raise VQVAEError for a loss that is not finite."""
        with self._finite("in validation"):
            return self.trained.measure(split)

    def train_epoch(self, rng: np.random.RandomState) -> Dict[str, float]:
        """Run the passes of one epoch, each in an order drawn from ``rng``; return the training metrics."""
        meter = self.trained.meter()
        numbers, passes = np.arange(self.trained.examples), self.recipe.epoch_passes
        bar = tqdm(
            total=passes * len(numbers),
            desc=f"epoch {self.epoch}",
            unit=f" {self.trained.unit}",
            leave=False,
            disable=None,
        )
        with bar:
            orders = (batches(numbers, self.recipe.batch_size, rng) for _ in range(passes))
            ahead = chain.from_iterable(map(self.trained.ahead, orders))
            for batch_number, chosen in enumerate(ahead):
                stop_if_asked()
                with self._finite(f"in batch {batch_number}"):
                    self.trained.step(chosen, meter, rng)
                bar.update(len(chosen))
                if not bar.disable:
                    bar.set_postfix(meter.progress(), refresh=False)
        return meter.summary()

    @contextlib.contextmanager
    def _finite(self, where: str) -> Iterator[None]:
        try:
            yield
        except FloatingPointError:
            saved = list_checkpoints(self.folder)
            good = "there is no checkpoint yet"
            if saved:
                good = f"the last good checkpoint is {checkpoint_path(self.folder, saved[-1])}"
            raise VQVAEError(
                f"the loss is not finite in epoch {self.epoch}, {where}; {good}; try a lower learning rate"
            ) from None

    def _finish_epoch(self) -> None:
        if not self.workers.first:
            self.epoch += 1
            return
        best_epoch = int(self.history.best()["epoch"])
        best = best_epoch == self.epoch
        if self.epoch == 0:
            for name, text in self.recipe.files().items():
                (self.folder / name).parent.mkdir(exist_ok=True)
                write_bytes(self.folder / name, text.encode())
        self.epoch += 1
        due = self.epoch % self.recipe.checkpoint_period == 0 or self.finished
        self._unsaved = self._checkpoint()
        if best or due:
            self.trained.draw(self.folder, self._unsaved.epoch)
        if due:
            self.trained.draw_loss(self.folder / "loss_graph.png", self.history.rows, best_epoch)
        self.history.write_csv(self.folder / "metrics.csv")
        if self.events:
            drawn = self.trained.pictures(self._unsaved.epoch) if best or due else []
            pictures = [self.folder / name for name in drawn if (self.folder / name).exists()]
            self.events.write(self.folder, self.history.rows, pictures, self.trained.histograms)
        # The checkpoint comes last: a training killed before this point repeats the epoch, and everything above with
        # it.
        if best or due:
            self._save()
        row = self.history.rows[-1]
        line = f"epoch {row['epoch']:3d} of {self.recipe.num_epoch}: {self.trained.describe(row)}"
        with printing():
            tqdm.write(line + ("; best so far" if best else ""))
            concern = self.trained.concern(row)
            if concern and not self._concerned:
                tqdm.write(concern)
            self._concerned = bool(concern)

    def _save(self) -> None:
        """Write the checkpoint of the last finished epoch if it has not been written yet."""
        if self._unsaved is None:
            return
        save_checkpoint(self.folder, self._unsaved)
        for old in list_checkpoints(self.folder):
            if old not in (self._unsaved.epoch, self.history.best()["epoch"]):
                self._remove(old)
        self._unsaved = None

    def _checkpoint(self) -> Checkpoint:
        parameters = self.model.collect_params().items()
        return Checkpoint(
            epoch=self.epoch - 1,
            updates=self.trainer.optimizer.num_update,
            recipe=self.recipe,
            data_fingerprint=self.trained.fingerprint,
            weights={name: parameter.list_data()[0].asnumpy() for name, parameter in parameters},
            optimizer=optimizer_state(self.trainer),
            averages=self.averages.state() if self.averages else {},
            rows=list(self.history.rows),
        )

    def _remove(self, epoch: int) -> None:
        for name in self.trained.pictures(epoch):
            picture = self.folder / name
            if picture.exists():
                picture.unlink()
        # Last, so that a training killed before this point finds the checkpoint again and removes it.
        checkpoint_path(self.folder, epoch).unlink()

    def _restore(self, path: Path) -> None:
        checkpoint = load_checkpoint(path, self.trained.kind)
        if checkpoint.data_fingerprint != self.trained.fingerprint:
            raise VQVAEError(f"{self.folder}: was trained on other data; resume with the same data")
        set_weights(self.model, checkpoint.weights, path)
        restore_optimizer(self.trainer, checkpoint.optimizer, checkpoint.updates, path)
        if self.averages:
            shapes = {name: array.shape for name, array in checkpoint.averages.items()}
            if shapes != {name: array.shape for name, array in self.averages.state().items()}:
                raise damaged(path)
            self.averages.restore(checkpoint.averages)
        self.history = History(self.trained.kind, checkpoint.rows)
        self.epoch = checkpoint.epoch + 1

    def _open_folder(self, resume: bool) -> None:
        if not self.workers.first:
            return
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
        there: Any = self.trained.kind.recipe.from_json(read_bytes(path).decode(), str(path))
        differences = there.replace(num_epoch=self.recipe.num_epoch).differences(self.recipe)
        if differences:
            raise other_settings(self.folder, differences)
        self.planned = there.num_epoch


def other_settings(folder: Path, differences: List[str]) -> VQVAEError:
    """Return the error for a folder whose training has other settings, each given as 'name: there, now'."""
    return VQVAEError(
        f"{folder}: was trained with other settings ({'; '.join(differences)}: there, now); "
        "resume with the same or choose another folder"
    )


def _leftovers(folder: Path) -> List[Path]:
    """Return the temporary files of :func:`vqvae_gluon.files.writing` that a killed process left in a run's folder."""
    return [path for place in (folder, folder / "checkpoints") for path in place.glob(".*.????????")]
