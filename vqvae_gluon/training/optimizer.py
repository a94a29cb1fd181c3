"""The optimizer of a training: built from settings, saved in checkpoints and restored."""
import math
from pathlib import Path
from typing import Dict, List, Optional

import mxnet as mx
import numpy as np
from gluoncv.utils import LRScheduler, LRSequential
from mxnet import gluon
from mxnet.gluon import Block

from ..errors import VQVAEError
from ..workers import ALONE, Workers
from .checkpoint import damaged


class Trainer(gluon.Trainer):
    """Gluon's trainer, clipping gradients whose norm is more than ``clip`` times the usual one; 0: no clipping.

    The usual norm is a moving average, so that ``clip`` means the same for every model, loss and image size. It guards
    against jumps of the loss, after which Adam would take steps as long as if such gradients were the rule.

    With several ``workers``, a gradient is the sum of theirs, and each of them updates its own copy of the parameters.
    """

    _DECAY = 0.9

    def __init__(
        self,
        parameters: gluon.ParameterDict,
        optimizer: mx.optimizer.Optimizer,
        clip: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        super().__init__(parameters, optimizer, kvstore=workers.store or "device", update_on_kvstore=False)
        self.clip = clip
        self.workers = workers
        # Here and not in the first step: with several devices, the update of BatchNorm's averages in that step would be
        # lost, and a prediction may leave weights in oneDNN's own layout, which the servers would take for row-major.
        self._init_kvstore()
        self._init_params()
        #: The moving average of the gradient norm per example; 0 before the first update.
        self.usual_norm = 0.0

    def step(self, batch_size: int, ignore_stale_grad: bool = False) -> None:
        """Update all parameters by the gradients of a batch, summed over its examples.

        ``batch_size`` counts the examples of all workers.
        """
        if not self.clip:
            super().step(batch_size, ignore_stale_grad)
            return
        self.allreduce_grads()
        self.update(batch_size / self._share(batch_size), ignore_stale_grad)

    def _share(self, batch_size: int) -> float:
        """Return the factor by which to scale the gradients, and add their norm to the moving average."""
        gradients = [parameter.list_grad()[0] for parameter in self._params if parameter.grad_req != "null"]
        squares = mx.nd.multi_sum_sq(*gradients, num_arrays=len(gradients)).asnumpy()
        norm = math.sqrt(squares.sum(dtype=np.float64)) / batch_size
        if not 0 < norm < math.inf:
            return 1.0  # a loss that is not finite is reported where it is measured
        limit = self.clip * (self.usual_norm or norm)
        share = min(1.0, limit / norm)
        self.usual_norm = self._DECAY * (self.usual_norm or norm) + (1 - self._DECAY) * share * norm
        return share


def build_trainer(
    model: Block,
    optimizer: str,
    learning_rate: float,
    schedule: str,
    updates: int,
    warm_up: float = 0.0,
    clip: float = 0.0,
    workers: Workers = ALONE,
) -> Trainer:
    """Return the trainer of a model's parameters.

    ``optimizer`` is its name in MXNet; ``schedule`` is 'constant', or 'cosine': from ``learning_rate`` to zero over all
    ``updates`` of the training. Over the first ``warm_up`` of them, a share in [0, 1), the rate rises from zero.
    ``clip`` and ``workers``: see :class:`Trainer`.
    """
    # MXNet counts updates from 1 and gluoncv ends one early; so the first has the full rate, and the last is not yet
    # zero.
    rising = int(warm_up * updates)
    scheduler = LRScheduler(schedule, base_lr=learning_rate, niters=updates + 1 - rising, offset=1)
    if rising:
        rise = LRScheduler("linear", base_lr=0, target_lr=learning_rate, niters=rising + 1)
        scheduler = LRSequential([rise, scheduler])
        scheduler.base_lr = learning_rate  # or MXNet prints that they differ
    made = mx.optimizer.create(optimizer, learning_rate=learning_rate, lr_scheduler=scheduler)
    return Trainer(model.collect_params(), made, clip, workers)


def check_batches(examples: int, batch_size: int, devices: int, workers: Workers = ALONE) -> None:
    """Raise VQVAEError if the last batch of an epoch leaves a worker or one of its devices without an example."""
    if (examples % batch_size or batch_size) < devices * workers.count:
        takers = f"{devices} devices" if workers.count == 1 else f"{workers.count} workers"
        takers += f" with {devices} devices each" if workers.count > 1 < devices else ""
        raise VQVAEError(
            f"the last of the batches of {batch_size} from {examples} images is smaller "
            f"than the {takers}: choose another batch size{' or fewer workers' if workers.count > 1 else ''}"
        )


def optimizer_state(trainer: Trainer) -> Dict[str, np.ndarray]:
    """Return the optimizer's arrays as "<parameter index>.<slot>" and, where it clips, the trainer's "usual_norm".

    ``Trainer.save_states`` would pickle them. The private attribute is safe to read, because MXNet 1.9.1 is the last
    release. All devices hold the same numbers; those of the first one are returned.
    """
    arrays = {
        f"{index}.{slot}": array.asnumpy()
        for index, state in trainer._updaters[0].states.items()
        for slot, array in enumerate(_slots(state))
    }
    return {**arrays, "usual_norm": np.array(trainer.usual_norm, np.float64)} if trainer.clip else arrays


def restore_optimizer(trainer: Trainer, arrays: Dict[str, np.ndarray], updates: int, path: Path) -> None:
    """Make a new trainer continue after ``updates`` with the arrays of :func:`optimizer_state`, on every device.

    Raises VQVAEError, naming the checkpoint ``path``, if they do not fit.
    """
    if trainer.clip:
        saved = arrays.get("usual_norm")
        if saved is None or saved.shape != () or saved.dtype != np.float64:
            raise damaged(path)
        trainer.usual_norm = float(saved)
    # This is what begin_num_update is for; optimizers count the updates of each parameter from there.
    trainer.optimizer.begin_num_update = trainer.optimizer.num_update = updates
    for updater, position in zip(trainer._updaters, range(len(trainer._updaters))):
        for index, parameter in enumerate(trainer._params):
            if parameter.grad_req == "null":
                continue
            state = trainer.optimizer.create_state_multi_precision(index, parameter.list_data()[position])
            for slot, array in enumerate(_slots(state)):
                saved = arrays.get(f"{index}.{slot}")
                if saved is None or saved.shape != array.shape or saved.dtype != array.dtype:
                    raise damaged(path)
                array[:] = mx.nd.array(saved, dtype=array.dtype)
            updater.states[index] = state
            updater.states_synced[index] = True


def _slots(state: Optional[object]) -> List[mx.nd.NDArray]:
    if state is None:
        return []
    return list(state) if isinstance(state, (tuple, list)) else [state]
