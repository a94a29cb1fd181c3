"""The order in which images are read, as their numbers in batches."""
from typing import Callable, List

import numpy as np

#: From the numbers of a batch to those that this worker needs; other workers learn from the rest.
Share = Callable[[np.ndarray], np.ndarray]


def in_batches(numbers: np.ndarray, batch_size: int) -> List[np.ndarray]:
    """Return numbers (N,) cut into batches; the last one may be short."""
    return [numbers[start : start + batch_size] for start in range(0, len(numbers), batch_size)]
