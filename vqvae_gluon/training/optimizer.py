"""The optimizer of a training: built from settings, kept in checkpoints, put back."""
from pathlib import Path
from typing import Dict, List, Optional

import mxnet as mx
import numpy as np
from gluoncv.utils import LRScheduler, LRSequential
from mxnet import gluon
from mxnet.gluon import Block

from ..errors import VQVAEError
from .checkpoint import damaged


def build_trainer(
    model: Block, optimizer: str, learning_rate: float, schedule: str, updates: int, warm_up: float = 0.0
) -> gluon.Trainer:
    """Return the trainer of a model's parameters.

    ``optimizer`` is MXNet's name of it; ``schedule`` is 'constant', or 'cosine': from ``learning_rate`` to zero over
    all ``updates`` of the training. In the first ``warm_up`` of them, a share in [0, 1), the rate rises from zero.
    """
    # Updates count from 1 and gluoncv ends one early: so the first has the whole rate, the last not yet zero.
    rising = int(warm_up * updates)
    scheduler = LRScheduler(schedule, base_lr=learning_rate, niters=updates + 1 - rising, offset=1)
    if rising:
        rise = LRScheduler("linear", base_lr=0, target_lr=learning_rate, niters=rising + 1)
        scheduler = LRSequential([rise, scheduler])
        scheduler.base_lr = learning_rate  # or MXNet prints that it has another
    return gluon.Trainer(
        model.collect_params(),
        mx.optimizer.create(optimizer, learning_rate=learning_rate, lr_scheduler=scheduler),
        kvstore="device",
        update_on_kvstore=False,
    )


def check_batches(examples: int, batch_size: int, devices: int) -> None:
    """Raise VQVAEError if the last batch of an epoch leaves a device without an example."""
    if (examples % batch_size or batch_size) < devices:
        raise VQVAEError(
            f"the last of the batches of {batch_size} from {examples} images is smaller "
            f"than the {devices} devices: choose another batch size"
        )


def optimizer_state(trainer: gluon.Trainer) -> Dict[str, np.ndarray]:
    """Return the optimizer's arrays as "<parameter index>.<slot>".

    ``Trainer.save_states`` would pickle them. The private attribute is safe to read: MXNet 1.9.1 is
    the last release. Each device holds the same numbers; the first one speaks.
    """
    return {
        f"{index}.{slot}": array.asnumpy()
        for index, state in trainer._updaters[0].states.items()
        for slot, array in enumerate(_slots(state))
    }


def restore_optimizer(trainer: gluon.Trainer, arrays: Dict[str, np.ndarray], updates: int, path: Path) -> None:
    """Let a new trainer go on after ``updates`` with the arrays of :func:`optimizer_state`, on every device.

    Raises VQVAEError, naming the checkpoint ``path``, if they do not fit.
    """
    # What optimizers have begin_num_update for; they count the updates of each parameter from there.
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
