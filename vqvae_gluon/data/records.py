"""Load record files as a data set."""
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

import numpy as np

from ..errors import VQVAEError
from ..runtime import MEMORY
from .classes import Classes
from .dataset import SPLITS, Dataset
from .encoded import Encoded, Form, draw_splits
from .record_file import RecordFile, names_path
from .stream import Stream

SUFFIX = ".rec"


def has_records(source: Union[str, Path]) -> bool:
    """Return whether a source is named like a record file, or is a folder that holds a record file of a split."""
    path = Path(source)
    return path.suffix.lower() == SUFFIX or any((path / (name + SUFFIX)).exists() for name in SPLITS)


def load_records(
    source: Union[str, Path],
    channels: int = 1,
    size: Tuple[int, int] = (28, 28),
    seed: int = 0,
    mixed_sizes: str = "refuse",
    background: str = "",
    classes: str = "auto",
    memory: float = MEMORY,
) -> Dataset:
    """Load a record file, split 80 / 10 / 10, or ``train.rec``, ``validation.rec`` and ``test.rec`` in a folder.

    The parameters are those of :func:`load_folder`, and images are converted in the same way. Labels come from the
    records, see :class:`RecordFile`; their names are those in ``FILE.labels`` or, without that file, the numbers.

    Raises VQVAEError as :func:`load_folder` and :class:`RecordFile` do, and if only some of a folder's record files
    have names for their labels.
    """
    splits = _find_splits(Path(source), seed)
    streams: List[Stream] = []
    first = None
    for file, numbers in splits:
        encoded = Encoded(len(file), file.read, Form(channels, size, mixed_sizes, background), first)
        first = encoded.first
        streams.append(encoded.stream(numbers))
    return _classes(source, splits).dataset(classes, streams, memory)


def check_classes(source: Union[str, Path], seed: int = 0, splits: Sequence[str] = SPLITS) -> None:
    """Raise VQVAEError unless the classes of these splits can be learnt, see :meth:`Classes.check`."""
    _classes(source, _find_splits(Path(source), seed)).check(splits)


def _find_splits(source: Path, seed: int) -> List[Tuple[RecordFile, Optional[np.ndarray]]]:
    """Return, for each split, a file and the numbers of its records; None stands for all of them."""
    if source.suffix.lower() != SUFFIX:
        missing = [name for name in SPLITS if not (source / (name + SUFFIX)).exists()]
        if missing:
            present = next(name for name in SPLITS if name not in missing)
            raise VQVAEError(
                f"{source}: holds {present}{SUFFIX} but no {missing[0]}{SUFFIX}; give all three splits, "
                "or name one file to be split"
            )
        return [(RecordFile(source / (name + SUFFIX)), None) for name in SPLITS]
    file = RecordFile(source)
    if len(file) < 10:
        raise VQVAEError(f"{source}: holds {len(file)} records; give at least 10 to split")
    return [(file, numbers) for numbers in draw_splits(len(file), seed)]


def _classes(source: Union[str, Path], splits: List[Tuple[RecordFile, Optional[np.ndarray]]]) -> Classes:
    """Return the classes of splits; they have a fault if only some of the files have names for their labels."""
    files = [file for file, _ in splits]
    named = [file for file in files if file.classes]
    unnamed = [file for file in files if not file.classes]
    fault = ""
    if named and unnamed:
        fault = (
            f"{names_path(unnamed[0].path)}: no such file, though {named[0].path} has its names in "
            f"{names_path(named[0].path)}; pack both alike, or learn without classes (--classes none)"
        )
    known = list(files[0].classes) or [str(label) for label in np.unique(files[0].labels) if label >= 0]
    return Classes(
        source=str(source),
        names=[_names(file, numbers) for file, numbers in splits],
        known=known,
        own_splits=files[0] is not files[1],
        few=lambda count: f"have {count} labels{_met(*splits[0])}; give at least two different ones",
        image=lambda split, number: _image(*splits[split], number),
        fault=fault,
    )


def _names(file: RecordFile, numbers: Optional[np.ndarray]) -> List[str]:
    labels = file.labels if numbers is None else file.labels[numbers]
    names = {label: file.classes[label] if file.classes else str(label) for label in set(labels.tolist()) - {-1}}
    return [names.get(label, "") for label in labels.tolist()]


def _met(file: RecordFile, numbers: Optional[np.ndarray]) -> str:
    """Return words about the label of the first record of a split without a class, or '' if all have one."""
    without = np.flatnonzero(file.labels < 0 if numbers is None else file.labels[numbers] < 0)
    if not len(without):
        return ""
    number = _number(numbers, without[0])
    return f" that are one whole number from 0 ({file.name(number)} has {file.describe_label(number)})"


def _image(file: RecordFile, numbers: Optional[np.ndarray], number: int) -> str:
    """Return the name of an image without a class, with its label unless that is -1, which means no class."""
    number = _number(numbers, number)
    label = file.describe_label(number)
    return file.name(number) + ("" if label == "the label -1" else f" with {label}")


def _number(numbers: Optional[np.ndarray], number: int) -> int:
    return int(number if numbers is None else numbers[number])
