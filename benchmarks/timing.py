"""The clocks, the same for every contender."""
import time
from typing import Callable, Dict, Iterator, List, Tuple, TypeVar

Model = TypeVar("Model")

#: The running training MSE of a stretch is this much above the target at most when validation starts.
_NEAR = 1.25
_WARM_UP = 20


def rate(work: Callable[[], object], images: int) -> Dict[str, float]:
    """Return the images per second of some work on ``images`` images."""
    start = time.perf_counter()
    work()
    return {"images/s": images / (time.perf_counter() - start)}


def latencies(work: Callable[[int], object], images: int) -> Dict[str, float]:
    """Return :func:`percentiles` of the times of ``work(i)`` for each image i, after a few that are not counted."""
    times = []
    for index in range(-min(_WARM_UP, images), images):
        start = time.perf_counter()
        work(abs(index))
        times.append(1000 * (time.perf_counter() - start))
    return percentiles(times[-images:])


def percentiles(times: List[float]) -> Dict[str, float]:
    """Return the median and the 99th percentile of times, in milliseconds."""
    ordered = sorted(times)
    return {f"p{share} ms": ordered[min(len(ordered) * share // 100, len(ordered) - 1)] for share in (50, 99)}


def seconds_until(
    target: float, stretches: Iterator[Tuple[Model, float]], validate: Callable[[Model], float]
) -> Dict[str, float]:
    """Return the seconds of training until the validation MSE is ``target`` or less.

    Parameters
    ----------
    stretches : iterator
        Trains up to the next yield, which gives the model and the MSE of the images since the last one. Its setup
        before the first yield is timed, too.
    validate : callable
        Returns the MSE of a model on the validation split. It is not timed, and skipped while training is far off.

    Raises RuntimeError if the training ends before that.
    """
    seconds, count = 0.0, 0
    while True:
        start = time.perf_counter()
        model, mse = next(stretches, (None, None))
        seconds += time.perf_counter() - start
        if mse is None:
            raise RuntimeError(f"the training ended before its validation MSE was {target}")
        count += 1
        if mse <= _NEAR * target:
            mse = validate(model)
            if mse <= target:
                return {"s": seconds, "stretches": count, "mse": mse}
