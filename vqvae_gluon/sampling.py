"""Draw codes from a prior, place by place.

Every choice is a comparison of numbers that are the same in every language: the probabilities are those of MXNet's
softmax, they are summed as doubles in the order of the codes, and the random numbers are those of the Mersenne Twister
(``numpy.random.RandomState``, ``std::mt19937``).
"""
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from .errors import VQVAEError
from .nn.prior import PriorSize
from .nn.prior_step import masked

#: The batch sizes with which images are drawn: FEW for a single image, else MANY, padded where there are fewer. MXNet
#: computes the last bits of a matrix product in one way for a single row, in another for 2 to 15 rows, and in a third
#: for more, but an image must get the same codes in any batch. A sampler checks whether the two sizes agree, see
#: :func:`agree`.
FEW, MANY = 2, 15

#: The range of temperatures other than 0.
COLDEST, HOTTEST = 1e-3, 1e3

#: The inputs of a :class:`vqvae_gluon.nn.prior_step.PriorStep` -> its heads.
Step = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]

#: The largest number of images to draw, and the largest seed.
MOST_IMAGES, LAST_SEED = 1_000_000, 2**32 - 1


def count_fault(given: object) -> str:
    """Return the message for a count of images that is out of range; ``given`` is what the user gave."""
    return f"count was given as {given}: it must be from 1 to {MOST_IMAGES}"


def seed_fault(given: object) -> str:
    """Return the message for a seed that is out of range."""
    return f"seed was given as {given}: it must be from 0 to {LAST_SEED}"


def temperature_fault(given: object) -> str:
    """Return the message for a temperature that is out of range."""
    return (
        f"temperature was given as {given}: it must be 0 (always the likeliest code) or from {COLDEST:g} to {HOTTEST:g}"
    )


def top_k_fault(given: object, num_embeddings: int) -> str:
    """Return the message for a top-k that is out of range."""
    return f"top-k was given as {given}: it must be from 1 to {num_embeddings}, or 0 for all codes"


def check_settings(temperature: float, top_k: int, num_embeddings: int) -> None:
    """Raise VQVAEError for a temperature or a top-k that is out of range."""
    if not _is_number(temperature) or not (temperature == 0 or COLDEST <= temperature <= HOTTEST):
        raise VQVAEError(temperature_fault(f"{temperature:g}" if _is_number(temperature) else temperature))
    if not isinstance(top_k, (int, np.integer)) or isinstance(top_k, bool) or not 0 <= top_k <= num_embeddings:
        raise VQVAEError(top_k_fault(top_k, num_embeddings))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def choose(probabilities: np.ndarray, random: np.ndarray, temperature: float, top_k: int) -> np.ndarray:
    """Return codes (N,) drawn from ``probabilities`` (N, K) float32 by ``random`` (N,) in [0, 1).

    Temperature 0 takes the most probable code; ``top_k`` above 0 draws among that many most probable codes. Of equally
    probable codes, the first one counts. Raises VQVAEError for probabilities that are not finite.
    """
    if not np.isfinite(probabilities).all():
        raise VQVAEError("the prior gives probabilities that are no numbers: it is damaged or was badly trained")
    if temperature == 0:
        return probabilities.argmax(axis=1)
    weights = probabilities.astype(np.float64)
    if top_k:
        order = np.argsort(-probabilities, axis=1, kind="stable")
        np.put_along_axis(weights, order[:, top_k:], 0.0, axis=1)
    sums = np.cumsum(weights, axis=1)
    return (sums <= random[:, None] * sums[:, -1:]).sum(axis=1)


def agree(step: Step, size: PriorSize) -> bool:
    """Return whether a step gives the same bits for FEW rows as for the first FEW of MANY rows.

    How a product is computed depends on its shape and not on its numbers, so any numbers will do.
    """
    rng = np.random.RandomState(0)
    inputs = [rng.random_sample(shape).astype(np.float32) for shape in step_shapes(size, MANY)]
    inputs[:3] = [np.zeros(MANY, np.float32)] * 3  # indices of codes, places and classes
    heads = zip(step([values[:FEW] for values in inputs]), step(inputs))
    return all(few.tobytes() == many[:FEW].tobytes() for few, many in heads)


def sample_codes(
    step: Step,
    size: PriorSize,
    labels: np.ndarray,
    random: np.ndarray,
    temperature: float = 1.0,
    top_k: int = 0,
    given: Optional[np.ndarray] = None,
    rows: Sequence[int] = (MANY,),
) -> np.ndarray:
    """Return codes (N, h, w), int64, of images of the classes ``labels`` (N,), drawn by ``random`` (N, P) in [0, 1).

    ``given`` (R, w), if present, are the codes of the first rows, which all images share. ``rows`` are the batch sizes
    that the step supports, ascending.
    """
    codes = np.zeros((len(labels), size.places), np.int64)
    fixed = 0
    if given is not None:
        fixed = given.size
        codes[:, :fixed] = given.reshape(-1)
    for start in range(0, len(labels), rows[-1]):
        part = slice(start, start + rows[-1])
        count = next(number for number in rows if number >= len(labels[part]))
        _sample_rows(step, size, count, labels[part], random[part], temperature, top_k, codes[part], fixed)
    return codes.reshape(-1, *size.codes_shape)


def _sample_rows(
    step: Step,
    size: PriorSize,
    rows: int,
    labels: np.ndarray,
    random: np.ndarray,
    temperature: float,
    top_k: int,
    codes: np.ndarray,
    fixed: int,
) -> None:
    """Fill in the codes (n, P) of up to ``rows`` images after the first ``fixed`` places."""
    count = len(labels)

    def column(values: np.ndarray) -> np.ndarray:
        """Return values (n,) as (rows,) float32, padded with the last one."""
        return np.append(values, np.full(rows - count, values[-1])).astype(np.float32)

    past = [np.zeros(shape, np.float32) for shape in step_shapes(size, rows)[5:]]
    label, heat = column(labels), np.full((rows, 1), temperature or 1.0, np.float32)
    for place in range(size.places):
        before = codes[:, place - 1] if place else np.full(count, size.num_embeddings)
        numbers = np.full(rows, place, np.float32)
        probabilities, *news = step([column(before), numbers, label, heat, masked(size, rows, place), *past])
        for kept, new in zip(past, news):
            kept[:, place] = new[:, 0]
        if place >= fixed:
            codes[:, place] = choose(probabilities[:count], random[:, place], temperature, top_k)


def step_shapes(size: PriorSize, rows: int) -> List[Tuple[int, ...]]:
    """Return the shapes of a step's inputs."""
    past = (rows, size.places, size.head_width)
    mask = (rows, size.heads, size.places + 1)
    return [(rows,), (rows,), (rows,), (rows, 1), mask, *[past] * (2 * size.layers)]
