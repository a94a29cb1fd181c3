"""Use an exported model: turn images into codes, and codes into images."""
from pathlib import Path
from typing import Iterator, Optional, Sequence, Union

import mxnet as mx
import numpy as np

from ..background import parse_background
from ..data.dataset import to_unit
from ..data.image_file import read_image
from ..errors import VQVAEError
from ..model_files.executor import Executor
from ..model_files.folder import find_model
from ..model_files.graph import find_scores

File = Union[str, Path]
Images = Union[File, Sequence[File], np.ndarray]


class Predictor:
    """Encode, decode and reconstruct images with an exported model.

    Inputs are split into batches of ``batch_size``; the results do not depend on it. Threads may share a predictor, but
    it computes for one at a time. To compute in parallel, give each thread its own predictor, on a CPU device of its
    own: ``mx.cpu(1)``, ``mx.cpu(2)`` and so on. MXNet waits for results on ``mx.cpu(0)``.

    Parameters
    ----------
    model : path, optional
        A run of ``vqvae train`` or its ``model`` folder; default: the pre-trained model.
    ctx : mx.Context
        The device to run on.
    batch_size : int
        Number of images per pass.
    strict : bool
        Refuse image files of another size or colour instead of converting them.
    background : str
        'black', 'white' or '#rrggbb': the colour that image files with an alpha channel are flattened onto; default:
        such files are refused.

    Raises
    ------
    VQVAEError
        For missing, damaged or mismatched files, a background that is not a colour, or a batch size below 1.

    Examples
    --------
    >>> predictor = Predictor()
    >>> codes = predictor.encode("digit.png")      # (1, 7, 7) int64 in [0, 64)
    >>> images = predictor.decode(codes)           # (1, 1, 28, 28) float32 in [0, 1]
    """

    def __init__(
        self,
        model: Optional[File] = None,
        ctx: mx.Context = mx.cpu(),
        batch_size: int = 100,
        strict: bool = False,
        background: str = "",
    ) -> None:
        parse_background(background)
        if batch_size < 1:
            raise VQVAEError(f"batch_size was given as {batch_size}: it must be at least 1")
        folder = find_model(model)
        encoder, decoder = folder.load(folder.encoder), folder.load(folder.decoder)
        self.ctx = ctx
        self.batch_size = batch_size
        self.strict = strict
        self.background = background
        #: (channels, height, width) of an image.
        self.image_shape = encoder.input_shape
        #: (height, width) of an image's codes.
        self.codes_shape = decoder.input_shape[1:]
        #: The codebook, (K, D) float32.
        self.codebook = encoder.codebook
        encoding = (self.codebook.shape[1], *encoder.output_shape("codes"))
        if encoding != decoder.input_shape:
            raise VQVAEError(
                f"{folder.path}: the encoder makes encodings of {encoding}, "
                f"the decoder takes {decoder.input_shape}; they are from different models"
            )
        if decoder.output_shape("data") != self.image_shape:
            raise VQVAEError(
                f"{folder.path}: the decoder makes images of {decoder.output_shape('data')}, "
                f"the encoder takes {self.image_shape}; they are from different models"
            )
        # Choosing the codes here takes half as long as MXNet's argmax, but a GPU would have to send all the scores.
        scores = find_scores(encoder.symbol) if ctx.device_type == "cpu" else None
        self._gives_scores = scores is not None
        self._encoder = Executor(encoder, ctx, scores or "codes")
        self._decoder = Executor(decoder, ctx, "data")

    def encode(self, images: Images) -> np.ndarray:
        """Return the codes (N, h, w), int64 in [0, K), of N images.

        ``images``: a file, a list of files, or an array (N, C, H, W) of uint8 or of floats in [0, 1].
        Raises VQVAEError for a file that cannot be read, or another shape, dtype or range.
        """
        images = self._as_images(images)
        codes = np.empty((len(images), *self.codes_shape), np.int64)
        for some in self._pieces(len(images)):
            output = self._encoder(_to_input(images[some]))[0]
            codes[some] = output.argmax(axis=1) if self._gives_scores else output
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return the images (N, C, H, W), float32 in [0, 1], of codes (N, h, w).

        Raises VQVAEError for another shape, or codes that are not integers in [0, K).
        """
        codes = self.as_codes(codes)
        images = np.empty((len(codes), *self.image_shape), np.float32)
        for some in self._pieces(len(codes)):
            self._decoder(self.codebook[codes[some]].transpose(0, 3, 1, 2), out=images[some])
        return images

    def reconstruct(self, images: Images) -> np.ndarray:
        """Return ``decode(encode(images))``, (N, C, H, W) float32 in [0, 1]."""
        return self.decode(self.encode(images))

    def _pieces(self, count: int) -> Iterator[slice]:
        for start in range(0, count, self.batch_size):
            yield slice(start, start + self.batch_size)

    def to_tensor(self, images: Images) -> np.ndarray:
        """Return the encoder's input, (N, C, H, W) float32 in [0, 1]; ``images`` is as in :meth:`encode`."""
        return _to_input(self._as_images(images))

    def _as_images(self, images: Images) -> np.ndarray:
        if isinstance(images, (str, Path)):
            images = [images]
        if isinstance(images, (list, tuple)) and all(isinstance(file, (str, Path)) for file in images):
            channels, height, width = self.image_shape
            size, strict, background = (height, width), self.strict, self.background
            images = np.array([read_image(file, channels, size, strict, background) for file in images])
        images = np.asarray(images)
        expected = f"(N, {', '.join(map(str, self.image_shape))})"
        if images.ndim != 4 or images.shape[1:] != self.image_shape or not len(images):
            raise VQVAEError(f"images were given with shape {images.shape}: the model takes {expected}, N at least 1")
        if images.dtype == np.uint8:
            return images
        if images.dtype.kind != "f":
            raise VQVAEError(f"images were given as {images.dtype}: give uint8, or floats in [0, 1]")
        if not ((images >= 0) & (images <= 1)).all():
            raise VQVAEError("images were given with values outside [0, 1] or not a number: divide bytes by 255")
        return images

    def as_codes(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (N, h, w) unchanged; raise VQVAEError if they are not codes of the model, see :meth:`decode`."""
        codes = np.asarray(codes)
        expected = f"(N, {', '.join(map(str, self.codes_shape))})"
        if codes.ndim != 3 or codes.shape[1:] != self.codes_shape or not len(codes):
            raise VQVAEError(f"codes were given with shape {codes.shape}: the model takes {expected}, N at least 1")
        if codes.dtype.kind not in "iu":
            raise VQVAEError(f"codes were given as {codes.dtype}: give integers")
        if codes.min() < 0 or codes.max() >= len(self.codebook):
            raise VQVAEError(
                f"codes were given from {codes.min()} to {codes.max()}: the model has 0 to {len(self.codebook) - 1}"
            )
        return codes


def _to_input(images: np.ndarray) -> np.ndarray:
    return to_unit(images) if images.dtype == np.uint8 else images.astype(np.float32)
