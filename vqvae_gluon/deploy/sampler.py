"""Use an exported prior: sample new codes and images, and compute how likely given codes are."""
import math
import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple, Union
from urllib.parse import unquote

import mxnet as mx
import numpy as np

from ..errors import VQVAEError
from ..model_files.component import Component, Inputs, codebook_digest
from ..model_files.executor import Executor
from ..model_files.folder import STEP, find_model
from ..nn.prior import PriorSize
from ..runtime import stop_if_asked
from ..sampling import (
    FEW,
    LAST_SEED,
    MANY,
    MOST_IMAGES,
    agree,
    check_settings,
    count_fault,
    sample_codes,
    seed_fault,
)
from .predictor import File, Predictor

#: The name of a class, or a list with one for each image; None for no class.
Label = Union[None, str, int, Sequence[Union[str, int]]]


class Sampler:
    """Sample new images from a model with a prior, complete partial ones, and compute how likely codes are.

    Asking for more images with the same seed gives the same first images. The C++ class of the same name draws the
    same images.

    Parameters
    ----------
    model : path, optional
        A run of ``vqvae train`` and ``vqvae prior``, or its ``model`` folder; default: the pre-trained model.
    ctx : mx.Context
        The device to run on. Another kind of device may give other images.

    Raises
    ------
    VQVAEError
        If there is no prior, or if it is damaged or belongs to another model; otherwise as :class:`Predictor`.

    Examples
    --------
    >>> sampler = Sampler()
    >>> codes = sampler.sample(count=4, label="3", seed=7)      # (4, 7, 7) int64 in [0, 64)
    >>> images = sampler.predictor.decode(codes)                # (4, 1, 28, 28) float32 in [0, 1]
    >>> bits = sampler.bits(codes)                              # (4,) float64
    """

    def __init__(self, model: Optional[File] = None, ctx: mx.Context = mx.cpu()) -> None:
        self._folder = find_model(model)
        #: The predictor of the model that the codes belong to.
        self.predictor = Predictor(model, ctx)
        if not self._folder.prior:
            raise VQVAEError(f"{self._folder.path}: holds no prior; train one with vqvae prior")
        step = self._folder.load(self._folder.prior, STEP, step_inputs)
        self.size = _read_size(step, self.predictor.codes_shape)
        self._check_model(step)
        #: The names of the classes.
        self.classes = _read_classes(step)
        if len(self.classes) != self.size.num_classes:
            raise VQVAEError(
                f"{step.symbol_file}: names {len(self.classes)} classes, the prior has {self.size.num_classes}"
            )
        self._ctx = ctx
        self._step = Executor(step, ctx)
        self._rows = (FEW, MANY) if agree(self.step, self.size) else (MANY,)
        self._whole: Optional[Executor] = None  # loaded when it is first needed

    def sample(
        self,
        count: int = 1,
        label: Label = None,
        seed: int = 0,
        temperature: float = 1.0,
        top_k: int = 0,
        given: Optional[np.ndarray] = None,
    ) -> np.ndarray:
        """Return new codes (count, h, w), int64 in [0, K).

        ``label``: a class, a list with one for each image, or None for any. ``temperature``: 1 samples what the prior
        has learnt, lower values favour likely codes, 0 always takes the likeliest. ``top_k``: sample only from this
        many likeliest codes; 0: from all. ``given`` (R, w), with R at most h: the codes of the first rows, which all
        images keep.

        Raises VQVAEError for an unknown class or a setting out of range.
        """
        return np.concatenate(list(self.stream(count, label, seed, temperature, top_k, given)))

    def stream(
        self,
        count: int = 1,
        label: Label = None,
        seed: int = 0,
        temperature: float = 1.0,
        top_k: int = 0,
        given: Optional[np.ndarray] = None,
    ) -> Iterator[np.ndarray]:
        """Yield what :meth:`sample` returns, a few images at a time."""
        if not _is_whole(count, 1, MOST_IMAGES):
            raise VQVAEError(count_fault(count))
        if not _is_whole(seed, 0, LAST_SEED):
            raise VQVAEError(seed_fault(seed))
        check_settings(temperature, top_k, self.size.num_embeddings)
        labels = self._labels(label, count)
        given = None if given is None else self._checked_rows(given)
        rng = np.random.RandomState(seed)
        for start in range(0, count, MANY):
            stop_if_asked()
            some = labels[start : start + MANY]
            random = rng.random_sample((len(some), self.size.places))
            yield sample_codes(self.step, self.size, some, random, temperature, top_k, given, self._rows)

    def bits(self, codes: np.ndarray, label: Label = None) -> np.ndarray:
        """Return the bits (N,) float64 of each image's codes (N, h, w) under the prior: minus log2 of their likelihood.

        ``label`` is as in :meth:`sample`. Raises VQVAEError for codes that the model does not have.
        """
        codes = self.predictor.as_codes(codes)
        pieces = []
        for start, logits in self._logits(codes, self._labels(label, len(codes))):
            most = logits.max(axis=2)
            chosen = codes[start : start + len(logits)].reshape(len(logits), -1, 1)
            nats = most + np.log(np.exp(logits - most[..., None]).sum(axis=2))
            nats -= np.take_along_axis(logits, chosen, axis=2)[..., 0]
            pieces.append(nats.sum(axis=1) / math.log(2))
        return np.concatenate(pieces)

    def logits(self, codes: np.ndarray, label: Label = None) -> np.ndarray:
        """Return the logits (N, P, K) float64 of each code (N, h, w) given those before it.

        They come from the graph of all places, not from :meth:`step`. ``label`` is as in :meth:`sample`. Raises
        VQVAEError for codes that the model does not have.
        """
        codes = self.predictor.as_codes(codes)
        return np.concatenate([logits for _, logits in self._logits(codes, self._labels(label, len(codes)))])

    def _logits(self, codes: np.ndarray, labels: np.ndarray) -> Iterator[Tuple[int, np.ndarray]]:
        """Yield, for each batch, the number of its first image and the logits (n, P, K) float64."""
        if self._whole is None:
            self._whole = self._load_whole()
        for start in range(0, len(codes), self.predictor.batch_size):
            piece = slice(start, start + self.predictor.batch_size)
            (logits,) = self._whole(codes[piece], labels[piece])
            yield start, logits.astype(np.float64)

    def step(self, inputs: Sequence[np.ndarray]) -> List[np.ndarray]:
        """Compute one place; :class:`vqvae_gluon.nn.prior_step.PriorStep` describes the inputs and the outputs."""
        return self._step(*inputs)

    def _check_model(self, step: Component) -> None:
        """Raise VQVAEError unless the prior was trained on codes of the model's codebook, as many per image."""
        digest = step.symbol.attr_dict().get("before", {}).get("__codebook__", "")
        codebook, places = self.predictor.codebook, math.prod(self.predictor.codes_shape)
        fits = self.size.num_embeddings == len(codebook) and step.inputs["keys0"][1] == places
        if not fits or digest != codebook_digest(codebook):
            raise VQVAEError(
                f"{self._folder.path / self._folder.prior}: was trained on another model's codes; "
                "train one for this model with vqvae prior"
            )

    def _load_whole(self) -> Executor:
        whole = self._folder.load(self._folder.prior, inputs=lambda _: {"data": (0, None, None), "label": (0,)})
        logits = (1, self.size.places, self.size.num_embeddings)
        if whole.inputs["data"][1:] != self.size.codes_shape or whole.head_shapes() != [logits]:
            raise VQVAEError(f"{whole.symbol_file}: is no prior of vqvae prior")
        return Executor(whole, self._ctx, "logits")

    def _labels(self, label: Label, count: int) -> np.ndarray:
        if label is None:
            return np.full(count, self.size.num_classes)
        names = [label] * count if isinstance(label, (str, int, np.integer)) else list(label)
        if len(names) != count:
            raise VQVAEError(f"{len(names)} classes were given for {count} images: give one, or one for each image")
        return np.array([self._number(str(name)) for name in names])

    def _number(self, name: str) -> int:
        if not self.classes:
            raise VQVAEError(f"class {name} was given: the prior was trained without classes; leave it out")
        if name not in self.classes:
            raise VQVAEError(f"class {name} was given: the prior was trained on {', '.join(self.classes)}")
        return self.classes.index(name)

    def _checked_rows(self, given: np.ndarray) -> np.ndarray:
        height, width = self.size.codes_shape
        given = np.asarray(given)
        if given.ndim != 2 or given.shape[1] != width or not 1 <= len(given) <= height:
            raise VQVAEError(
                f"rows of codes were given with shape {given.shape}: the model takes from 1 to {height} rows of {width}"
            )
        # Fill the other rows with the first code: only the given rows are kept.
        rest = np.full((height - len(given), width), given[0, 0])
        return self.predictor.as_codes(np.concatenate([given, rest])[None])[0, : len(given)]


def step_inputs(symbol: mx.sym.Symbol) -> Inputs:
    """Return the inputs of a prior's graph of one place, see :class:`vqvae_gluon.nn.prior_step.PriorStep`."""
    layers = sum(bool(re.fullmatch("keys[0-9]+", name)) for name in symbol.list_arguments())
    inputs: Dict[str, Tuple[Optional[int], ...]] = dict.fromkeys(("before", "place", "label"), (0,))
    inputs.update(temperature=(0, 1), mask=(0, None, None))
    for number in range(layers):
        inputs[f"keys{number}"] = inputs[f"values{number}"] = (0, None, None)
    return inputs


def _read_size(step: Component, codes_shape: Tuple[int, ...]) -> PriorSize:
    """Return the size of a prior; raise VQVAEError if the shapes in the graph are not those of a prior."""
    found, (_, heads, places) = step.head_shapes(), step.inputs["mask"]
    past = step.inputs.get("keys0", (1, 0, 0))
    vectors, layers = _shape(step, "prior_label_weight"), sum(name.startswith("keys") for name in step.inputs)
    fits = layers and len(vectors) == 2 and len(found[0]) == 2 and found[0][0] == 1 and places == past[1] + 1
    kept = all(step.inputs[name] == past for name in step.inputs if name.startswith(("keys", "values")))
    if not fits or not kept or found[1:] != [(1, 1, past[2])] * (2 * layers):
        raise VQVAEError(f"{step.symbol_file}: is no prior of vqvae prior")
    return PriorSize(found[0][1], codes_shape, vectors[0] - 1, heads * past[2], layers, heads)


def _read_classes(step: Component) -> Tuple[str, ...]:
    text = step.symbol.attr_dict().get("label", {}).get("__classes__", "")
    return tuple(unquote(name) for name in text.split(",")) if text else ()


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= int(value) <= most


def _shape(component: Component, name: str) -> Tuple[int, ...]:
    parameter = component.parameters.get(f"arg:{name}")
    return () if parameter is None else parameter.shape
