"""The VQ-VAE: encoder, quantizer, decoder."""
from typing import Any, NamedTuple, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from ..errors import VQVAEError
from .quantizer import NearestRow, VectorQuantizer
from .tensor import Operators, Tensor


class VQVAEOutput(NamedTuple):
    """What a :class:`VQVAE` returns for N images.

    ``reconstruction`` (N, C, H, W) in [0, 1]; ``z`` (N, D, h, w), the encoder's output; ``codes``
    (N, h, w), float32 integers; ``commitment_loss`` and ``codebook_loss`` (N,).
    """

    reconstruction: mx.nd.NDArray
    z: mx.nd.NDArray
    codes: mx.nd.NDArray
    commitment_loss: mx.nd.NDArray
    codebook_loss: mx.nd.NDArray


class ComponentNames(NamedTuple):
    """The names, ``<package>.<Component>``, under which the two parts of a model are exported."""

    encoder: str
    decoder: str


COMPONENTS = ComponentNames("vqvae.Encoder", "vqvae.Decoder")


class VQVAE(HybridBlock):
    """Compose an encoder, a quantizer and a decoder.

    Takes images (N, *image_shape), float32 in [0, 1]; their codes are (N, *codes_shape). Source: van den Oord et al.
    (2017).

    Raises VQVAEError, when called, for images of a wrong shape or dtype.
    """

    def __init__(
        self,
        encoder: HybridBlock,
        quantizer: VectorQuantizer,
        decoder: HybridBlock,
        image_shape: Tuple[int, int, int],
        codes_shape: Tuple[int, int],
        components: ComponentNames = COMPONENTS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_shape = image_shape
        self.codes_shape = codes_shape
        self.components = components
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder

    def __call__(self, images: Tensor) -> VQVAEOutput:
        if isinstance(images, mx.nd.NDArray):
            self._check(images)
        return VQVAEOutput(*super().__call__(images))

    def _check(self, images: mx.nd.NDArray) -> None:
        if images.ndim != 4 or images.shape[1:] != self.image_shape or not len(images):
            raise VQVAEError(
                f"the model was given images of shape {images.shape}: "
                f"it takes (N, {', '.join(map(str, self.image_shape))}) with N at least 1"
            )
        if images.dtype != np.float32:
            raise VQVAEError(
                f"the model was given {np.dtype(images.dtype).name} images: it takes float32 in [0, 1]"
            )

    def hybrid_forward(self, F: Operators, images: Tensor) -> Tuple[Tensor, ...]:
        z = self.encoder(images)
        quantized, codes, commitment_loss, codebook_loss = self.quantizer(z)
        return self.decoder(quantized), z, codes, commitment_loss, codebook_loss


class EncodingNetwork(HybridBlock):
    """The part of a model that is exported as ``vqvae.Encoder``.

    (N, C, H, W) in [0, 1] -> heads ``encoding`` (N, D, h, w), ``commitment_loss`` (N,) and ``codebook_loss`` (N,), like
    EMADL's ``VectorQuantize``. The codes (N, h, w) are the internal output ``codes`` of its graph.
    """

    def __init__(self, model: VQVAE) -> None:
        super().__init__(prefix="")
        self.encoder = model.encoder
        self.nearest = NearestRow(model.quantizer)

    def hybrid_forward(self, F: Operators, data: Tensor) -> Tuple[Tensor, ...]:
        encoding, _, *losses = self.nearest(self.encoder(data))
        heads = zip(("encoding", "commitment_loss", "codebook_loss"), (encoding, *losses))
        return tuple(F.identity(head, name=name) for name, head in heads)


class DecodingNetwork(HybridBlock):
    """The part of a model that is exported as ``vqvae.Decoder``.

    (N, D, h, w) -> head ``data`` (N, C, H, W) in [0, 1].
    """

    def __init__(self, model: VQVAE) -> None:
        super().__init__(prefix="")
        self.decoder = model.decoder

    def hybrid_forward(self, F: Operators, encoding: Tensor) -> Tensor:
        return F.identity(self.decoder(encoding), name="data")


def code_grid(image_size: Tuple[int, int], stride: int) -> Tuple[int, int]:
    """Return the (height, width) of an image's codes; raise VQVAEError unless the stride divides both sides."""
    if min(image_size) < stride or any(side % stride for side in image_size):
        raise VQVAEError(
            f"image size {image_size[0]}x{image_size[1]} does not fit the model: "
            f"height and width must be multiples of {stride}"
        )
    return image_size[0] // stride, image_size[1] // stride
