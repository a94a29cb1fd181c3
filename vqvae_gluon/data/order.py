"""In which order images are read: their numbers, a batch at a time."""
from typing import Callable, List

import numpy as np

#: What is needed of the numbers of a batch, where others learn from the rest.
Share = Callable[[np.ndarray], np.ndarray]


def in_batches(numbers: np.ndarray, batch_size: int) -> List[np.ndarray]:
    """Return numbers (N,) in pieces of a batch; the last one may be short."""
    return [numbers[start : start + batch_size] for start in range(0, len(numbers), batch_size)]
