"""Classes of images: turn the class names of the images in three splits into labels."""
from collections import Counter
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import VQVAEError
from .dataset import SPLITS, Dataset, Split
from .stream import Stream, hold

_WAY_OUT = "or learn without classes (--classes none)"


class Classes(NamedTuple):
    """The class names of all images, split by split, and the words for error messages about them.

    ``names`` has a list for each split, with '' for an image without a class. ``source`` is the folder or file that
    they come from. Labels are numbered in the order of ``known``. ``own_splits`` is true if the user made the splits,
    false if they are drawn at random. ``few(count)`` is the part of a message that says that the training images have
    only ``count`` classes, and ``image(split, number)`` is the name of an image. ``fault`` says why the classes cannot
    be determined; it is empty if they can.
    """

    source: str
    names: List[List[str]]
    known: Sequence[str]
    own_splits: bool
    few: Callable[[int], str]
    image: Callable[[int, int], str]
    fault: str = ""

    def dataset(self, classes: str, streams: Sequence[Stream], memory: float) -> Dataset:
        """Return all splits with their :meth:`labels`; images of at most ``memory`` GiB in all are kept in memory."""
        names, labels = self.labels(classes)
        return Dataset(*(Split(images, label, names) for images, label in zip(hold(streams, memory), labels)))

    def labels(
        self, classes: str, splits: Sequence[str] = SPLITS
    ) -> Tuple[Tuple[str, ...], List[Optional[np.ndarray]]]:
        """Return the names of the training split's classes and the labels of each split.

        With fewer than two classes there are no names, and None for the labels of each split. ``classes`` is as in
        :func:`load_dataset`: with 'none' there are no labels, and with 'folders' ``splits`` must pass :meth:`check`.
        Raises VQVAEError if they do not, or if the classes cannot be determined.
        """
        if classes == "none":
            return (), [None] * len(self.names)
        self._check_fault()
        if classes == "folders":
            self.check(splits)
        learnt = set(self.names[0])
        known = tuple(name for name in self.known if name in learnt)
        if len(known) < 2:
            return (), [None] * len(self.names)
        numbers = {name: number for number, name in enumerate(known)}
        return known, [np.array([numbers.get(name, -1) for name in of_split], np.int64) for of_split in self.names]

    def check(self, splits: Sequence[str] = SPLITS) -> None:
        """Raise VQVAEError, naming the source or an image, unless the classes of ``splits`` can be learnt and measured.

        There must be at least two classes, each with at least two images. Each image of ``splits`` must have a class
        that has training images. If the user made the splits, each of them must have all classes; if they are drawn at
        random, a class may be missing from validation or test by chance.
        """
        self._check_fault()
        names = dict(zip(SPLITS, self.names))
        classes = set(names["train"]) - {""}
        if len(classes) < 2:
            few = self.few(len(classes))
            raise VQVAEError(f"{self.source}: holds no classes: images to train on {few}, {_WAY_OUT}")
        for name, count in sorted(Counter(name for of_split in names.values() for name in of_split).items()):
            if name and count == 1:
                raise VQVAEError(f"{self.source}: class {name!r} has one image: give it more, {_WAY_OUT}")
        for split in splits:
            found = set(names[split])
            if "" in found:
                image = self.image(SPLITS.index(split), names[split].index(""))
                held = f"{names[split].count('')} of {len(names[split])} images"
                raise VQVAEError(
                    f"{self.source}: the {split} split holds {held} without a class of the training split "
                    f"({', '.join(sorted(classes))}), such as {image}: give each image one, {_WAY_OUT}"
                )
            differences = [(name, split, "train") for name in found - classes]
            if self.own_splits:
                differences += [(name, "train", split) for name in classes - found]
            for name, present, absent in sorted(differences):
                raise VQVAEError(
                    f"{self.source}: class {name!r} has images in the {present} split and none in the {absent} split: "
                    f"give it {'some there' if self.own_splits else 'more'}, {_WAY_OUT}"
                )

    def _check_fault(self) -> None:
        if self.fault:
            raise VQVAEError(self.fault)
