"""Everything that a training needs to continue, in one file of arrays.

A checkpoint is an ``.npz`` without pickled objects, so it cannot run code. All randomness of epoch e is drawn from a
generator seeded with (seed, e), so the epoch number is the random state.
"""
import io
import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import mxnet as mx
import numpy as np
from mxnet.gluon import Block

from ..errors import VQVAEError
from ..files import DAMAGES, read_bytes, write_bytes
from .kind import Kind


class Checkpoint(NamedTuple):
    """The state of a training after ``epoch`` (from 0).

    ``weights`` are by parameter name, ``optimizer`` arrays by "<parameter index>.<slot>"; ``averages`` are the arrays
    that are updated without a gradient (may be empty). ``updates`` is the number of updates so far, ``rows`` are those
    of the history, and ``data_fingerprint`` is that of the data set.
    """

    epoch: int
    updates: int
    recipe: Any  # Settings, those of the kind
    data_fingerprint: str
    weights: Dict[str, np.ndarray]
    optimizer: Dict[str, np.ndarray]
    averages: Dict[str, np.ndarray]
    rows: List[Dict[str, float]]


_GROUPS = ("weights", "optimizer", "averages")


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Return the file of an epoch's checkpoint in a run's folder."""
    return folder / "checkpoints" / f"{epoch:04d}.npz"


def list_checkpoints(folder: Path) -> List[int]:
    """Return the epochs of a run that have a checkpoint, ascending."""
    return sorted(int(path.stem) for path in (folder / "checkpoints").glob("[0-9]*.npz"))


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint atomically and return its path."""
    meta = {
        "epoch": checkpoint.epoch,
        "updates": checkpoint.updates,
        "recipe": json.loads(checkpoint.recipe.to_json()),
        "data_fingerprint": checkpoint.data_fingerprint,
        "rows": checkpoint.rows,
    }
    arrays = {
        f"{group}/{name}": array
        for group in _GROUPS
        for name, array in getattr(checkpoint, group).items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array(json.dumps(meta)), **arrays)
    path = checkpoint_path(folder, checkpoint.epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
    return path


def load_checkpoint(path: Path, kind: Kind) -> Checkpoint:
    """Read a checkpoint; raise VQVAEError if it is missing, damaged or of another kind of training."""
    content = io.BytesIO(read_bytes(path))
    try:
        with np.load(content, allow_pickle=False) as file:
            arrays = dict(file.items())
        meta = json.loads(str(arrays.pop("meta")))
        groups: Dict[str, Dict[str, np.ndarray]] = {group: {} for group in _GROUPS}
        for name, array in arrays.items():
            group, key = name.split("/", 1)
            groups[group][key] = np.asarray(array)  # a member that is not an array comes as bytes
        recipe = kind.recipe.from_dict(meta["recipe"])
        rows = [{name: _number(row[name]) for name in kind.columns} for row in meta["rows"]]
        epoch, updates = meta["epoch"], meta["updates"]
        if (type(epoch), type(updates)) != (int, int) or [row["epoch"] for row in rows] != list(range(epoch + 1)):
            raise ValueError("the history is not that of the epoch")
        return Checkpoint(epoch, updates, recipe, str(meta["data_fingerprint"]), rows=rows, **groups)
    except (VQVAEError, *DAMAGES):
        raise damaged(path) from None


def damaged(path: Path) -> VQVAEError:
    """Return the error for a checkpoint that cannot be used."""
    return VQVAEError(f"{path}: is damaged or no checkpoint; delete it to continue from an older one")


def set_weights(model: Block, weights: Dict[str, np.ndarray], path: Path) -> None:
    """Load a checkpoint's weights into a model; raise VQVAEError, naming the checkpoint, if they do not match it."""
    parameters = model.collect_params()
    expected = {name: (parameter.shape, np.dtype(np.float32)) for name, parameter in parameters.items()}
    if expected != {name: (array.shape, array.dtype) for name, array in weights.items()}:
        raise damaged(path)
    _put(model, weights)


def start_from(model: Block, weights: Dict[str, np.ndarray], source: str, what: str, same: str) -> None:
    """Load the weights of another model into a new one.

    Raises VQVAEError if they differ in a name or a shape: ``source`` and ``what`` say whose weights they are, and
    ``same`` what the two models must have in common.
    """
    here = {name: parameter.shape for name, parameter in model.collect_params().items()}
    there = {name: array.shape for name, array in weights.items()}
    for name in (*here, *there):
        if here.get(name) != there.get(name):
            shapes = f"{here.get(name, 'missing')} here, {there.get(name, 'missing')} there"
            raise VQVAEError(
                f"{source}: its {what} is of another size ({name}: {shapes}); start from one of the same {same}"
            )
    _put(model, weights)


def _put(model: Block, weights: Dict[str, np.ndarray]) -> None:
    for name, parameter in model.collect_params().items():
        parameter.set_data(mx.nd.array(weights[name]))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is no number")
    return value
