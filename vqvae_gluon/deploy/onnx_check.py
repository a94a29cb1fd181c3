"""Check that ONNX files compute the same as their model, by running both."""
import json
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..data import to_bytes, to_unit
from ..errors import VQVAEError
from ..model_files.component import Component
from ..model_files.folder import ModelFolder, find_model
from ..nn.prior import PriorSize
from ..sampling import MANY, sample_codes
from .bulk import progress_bar
from .onnx import DECODER, ENCODER, PRIOR
from .onnx_graph import INSTALL
from .origin import load_origin
from .predictor import File, Predictor
from .sampler import Sampler

if TYPE_CHECKING:
    import onnxruntime

#: The largest ``share`` of a :class:`Tie` that counts as a near tie; anything above it is a fault.
NEAR = 1e-4

_NOISE = 100  # images of noise to compare if the data set is not available


class Tie(NamedTuple):
    """A code that ONNX Runtime chose differently, and how close the choice was.

    ``distance`` is the difference between the squared distances of the two codebook rows from the encoder's output, or
    between the random number in [0, 1) and the cumulative probability that separates the two codes. ``share`` is the
    distance relative to the largest of these values.
    """

    image: int
    row: int
    column: int
    code: int
    onnx_code: int
    distance: float
    share: float


def find_runtime() -> Tuple[Optional[ModuleType], str]:
    """Return the library ``onnxruntime`` and '', or None and the reason why it cannot be used."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            return None, f"onnxruntime cannot be imported ({error})"
        return None, f"onnxruntime is not installed; {INSTALL}"
    except Exception as error:  # a library built for another NumPy or Python may raise anything
        return None, f"onnxruntime cannot be imported ({error})"
    return onnxruntime, ""


def check_counts(images: Optional[int], samples: int) -> None:
    """Raise VQVAEError for numbers below 1, with which :func:`check_onnx` would compare nothing."""
    for name, count in (("images", images), ("samples", samples)):
        if count is not None and count < 1:
            raise VQVAEError(f"{name} was given as {count}: it must be at least 1")


def check_onnx(
    folder: File,
    model: Optional[File] = None,
    data: Optional[str] = None,
    images: Optional[int] = None,
    samples: int = 100,
) -> Dict[str, Any]:
    """Compare the ONNX files in a folder with the model that they were exported from.

    ``data`` is a source of :func:`vqvae_gluon.data.load_dataset` whose test split is compared; default: the data that
    the model was trained on or, if they are not available, noise. ``images`` is the number of images to compare;
    default: all. ``samples`` is the number of images to sample from a prior.

    Returns ``runtime``, the version of ONNX Runtime; ``source``, a description of the images, and ``images``, their
    number; ``equal_images``, the number of those with all codes equal, and their ``share``; ``bytes``,
    ``different_bytes`` and ``different_bytes_of_equal_images``; ``ties``, see :class:`Tie`; and with a prior
    ``samples``, ``equal_samples`` and ``sample_ties``.

    Raises VQVAEError if onnxruntime is missing or cannot run the files, and for a difference that is not a near tie.
    """
    runtime, reason = find_runtime()
    if runtime is None:
        raise VQVAEError(reason)
    check_counts(images, samples)
    found = find_model(model)
    sampler = Sampler(model) if found.prior else None
    predictor = sampler.predictor if sampler else Predictor(model)
    source, originals = _images(predictor, found, data, images)
    report = {"runtime": runtime.__version__, "source": source}
    likeness = _Likeness(found.load(found.encoder))
    report.update(_compare_images(runtime, Path(folder), predictor, likeness, originals))
    if sampler:
        report.update(_compare_samples(_session(runtime, Path(folder, PRIOR)), sampler, samples))
    return report


def _session(runtime: ModuleType, path: Path) -> "onnxruntime.InferenceSession":
    try:
        return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many kinds
        reason = str(error).splitlines()[0]
        raise VQVAEError(f"{path.name}: ONNX Runtime {runtime.__version__} cannot run it ({reason})") from None


def _images(
    predictor: Predictor, folder: ModelFolder, data: Optional[str], count: Optional[int]
) -> Tuple[str, np.ndarray]:
    """Return a description of the images to compare, and the images (N, C, H, W) uint8."""
    try:
        recipe, _ = folder.read_origin()
        if not data and not recipe:
            raise VQVAEError("no manifest says what trained the model")
        images = load_origin(folder, predictor, data).test.images
        source = f"test images of {data or recipe['data']}"
    except VQVAEError as error:
        if data:
            raise
        source = f"images of noise, for the data that trained the model are not at hand ({error})"
        images = np.random.RandomState(0).randint(0, 256, (_NOISE, *predictor.image_shape)).astype(np.uint8)
    return source, images[:count]


def _compare_images(
    runtime: ModuleType, folder: Path, predictor: Predictor, likeness: "_Likeness", images: np.ndarray
) -> Dict[str, Any]:
    encoder, decoder = (_session(runtime, folder / name) for name in (ENCODER, DECODER))
    ties: List[Tie] = []
    equal, different, different_of_equal = 0, 0, 0
    with progress_bar(len(images)) as bar:
        for start in range(0, len(images), predictor.batch_size):
            batch = to_unit(images[start : start + predictor.batch_size])
            ours = predictor.encode(batch)
            codes, encoding = encoder.run(["codes", "encoding"], {"images": batch})
            if not np.array_equal(encoding, predictor.codebook[codes].transpose(0, 3, 1, 2)):
                raise VQVAEError(f"{ENCODER}: does not give the codebook's rows")
            ties += [tie._replace(image=tie.image + start) for tie in likeness.ties(batch, ours, codes)]
            (decoded,) = decoder.run(["images"], {"codes": codes})
            apart = np.abs(to_bytes(predictor.decode(ours)).astype(int) - to_bytes(decoded))
            same = (ours == codes).all(axis=(1, 2))
            if same.any() and apart[same].max() > 1:
                levels = apart[same].max()
                raise VQVAEError(f"{DECODER}: makes other images of the same codes, by {levels} levels of 255")
            equal += int(same.sum())
            different += int(np.count_nonzero(apart))
            different_of_equal += int(np.count_nonzero(apart[same]))
            bar.update(len(batch))
    return {
        "images": len(images),
        "equal_images": equal,
        "share": equal / len(images),
        "bytes": images.size,
        "different_bytes": different,
        "different_bytes_of_equal_images": different_of_equal,
        "ties": [tie._asdict() for tie in ties],
    }


class _Likeness:
    """Measures how close a choice between codes was, by their scores, of which the encoder takes the largest.

    The score of a codebook row is minus half its squared distance from the encoder's output, plus a term that all rows
    share.
    """

    def __init__(self, encoder: Component) -> None:
        nodes = json.loads(encoder.symbol.tojson())["nodes"]
        codes = next(node for node in nodes if node["name"] == "codes")
        self._network = encoder.network(mx.cpu(), nodes[codes["inputs"][0][0]]["name"])

    def ties(self, images: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> List[Tie]:
        """Return the differences between codes (N, h, w); raise VQVAEError if one is not a near tie."""
        ties = []
        for number in np.flatnonzero((ours != theirs).any(axis=(1, 2))):
            alike = self._network(mx.nd.array(images[number : number + 1])).asnumpy()[0].astype(np.float64)
            for row, column in zip(*np.nonzero(ours[number] != theirs[number])):
                here, pair = alike[:, row, column], (ours[number, row, column], theirs[number, row, column])
                distance = 2 * abs(here[pair[0]] - here[pair[1]])
                share = distance / max(2 * np.abs(here).max(), np.finfo(np.float32).tiny)
                place = (int(number), int(row), int(column))
                ties.append(_checked(ENCODER, Tie(*place, int(pair[0]), int(pair[1]), float(distance), float(share))))
        return ties


def _checked(name: str, tie: Tie) -> Tie:
    """Return a near tie unchanged; raise VQVAEError if it is not one."""
    if not tie.share <= NEAR:
        raise VQVAEError(
            f"{name}: gives code {tie.onnx_code} instead of {tie.code} for image {tie.image}, row {tie.row}, column "
            f"{tie.column}, although they are {tie.distance:.2g} apart: it does not do what the model does"
        )
    return tie


def _compare_samples(session: "onnxruntime.InferenceSession", sampler: Sampler, count: int) -> Dict[str, Any]:
    """Sample images of every class and of none with both, from the same random numbers, and compare their codes."""
    size, classes = sampler.size, [*sampler.classes, None]
    labels = np.arange(count) % len(classes)
    random = np.random.RandomState(0).random_sample((count, size.places))
    drawn = []
    with progress_bar(2 * count) as bar:
        for step in (sampler.step, partial(onnx_step, session, size)):
            codes = []
            for start in range(0, count, MANY):
                part = slice(start, start + MANY)
                codes.append(sample_codes(step, size, labels[part], random[part]))
                bar.update(len(codes[-1]))
            drawn.append(np.concatenate(codes))
    ours, theirs = drawn
    different = np.flatnonzero((ours != theirs).any(axis=(1, 2)))
    ties = []
    for number in different:
        # Only the first difference counts: the codes after it follow different codes.
        place = int(np.flatnonzero((ours[number] != theirs[number]).reshape(-1))[0])
        logits = sampler.logits(ours[number][None], classes[labels[number]])[0, place]
        shares = np.cumsum(np.exp(logits - logits.max()))
        shares /= shares[-1]
        pair = (int(ours[number].flat[place]), int(theirs[number].flat[place]))
        distance = float(np.abs(shares[min(pair) : max(pair)] - random[number, place]).max())
        tie = Tie(int(number), *divmod(place, size.codes_shape[1]), *pair, distance, distance)
        ties.append(_checked(PRIOR, tie))
    equal = count - len(different)
    return {"samples": count, "equal_samples": equal, "sample_ties": [tie._asdict() for tie in ties]}


def onnx_step(
    session: "onnxruntime.InferenceSession", size: PriorSize, inputs: Sequence[np.ndarray]
) -> List[np.ndarray]:
    """Compute one place with ``prior.onnx`` as :class:`vqvae_gluon.nn.prior_step.PriorStep` does."""
    before, place, label, temperature, _, *past = inputs
    numbers = zip(("previous_code", "place", "class"), (before, place, label))
    fed = {name: values.astype(np.int64) for name, values in numbers}
    fed["temperature"] = temperature
    fed.update((f"past_{name}", values) for name, values in zip(size.kept, past))
    probabilities, *kept = session.run(["probabilities", *size.kept], fed)
    here = int(place[0])
    return [probabilities, *(values[:, here : here + 1] for values in kept)]
