"""Vector quantization: each vector is replaced by its nearest codebook row.

Source: van den Oord et al., "Neural Discrete Representation Learning" (2017); EMADL layer
``VectorQuantize(num_embeddings, beta)``.
"""
from typing import Any, NamedTuple, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from ..errors import VQVAEError
from .tensor import Operators, Tensor

UPDATES = ("gradient", "ema")


class Quantized(NamedTuple):
    """What a quantizer returns for N x D x H x W encoder outputs z, whatever its update rule.

    ``quantized`` (N, D, H, W) equals the codebook rows bit for bit and passes its gradient
    straight through to z. ``codes`` (N, H, W) are float32 integers in [0, K). The two losses (N,)
    are means over D, H and W: ``commitment_loss`` pulls z to the codebook, ``codebook_loss`` the
    codebook to z.
    """

    quantized: mx.nd.NDArray
    codes: mx.nd.NDArray
    commitment_loss: mx.nd.NDArray
    codebook_loss: mx.nd.NDArray


def likeness(F: Operators, z: Tensor, codebook: Tensor, num_embeddings: int) -> Tensor:
    """Return the similarity (N, K, H, W) of each codebook row to each vector of z; the nearest row has the highest.

    |z - e|^2 = |z|^2 - 2 (z.e - |e|^2 / 2), and |z|^2 does not change the order: what remains is the expression in
    parentheses, a 1x1 convolution, which MXNet runs three to four times as fast as ``dot``.
    """
    return F.Convolution(
        z,
        weight=F.reshape(codebook, shape=(0, 0, 1, 1)),
        bias=-0.5 * F.sum(F.square(codebook), axis=1),
        kernel=(1, 1),
        num_filter=num_embeddings,
    )


def nearest_codes(F: Operators, z: Tensor, codebook: Tensor, num_embeddings: int) -> Tensor:
    """Return the (N, H, W) index of the codebook row nearest to each vector of z, the first of equally near rows."""
    return F.argmax(likeness(F, z, codebook, num_embeddings), axis=1)


def codebook_rows(F: Operators, codes: Tensor, codebook: Tensor, num_embeddings: int, embedding_dim: int) -> Tensor:
    """Return the (N, D, H, W) codebook rows of (N, H, W) codes."""
    rows = F.Embedding(codes, codebook, input_dim=num_embeddings, output_dim=embedding_dim)
    return F.transpose(rows, axes=(0, 3, 1, 2))


def mean_square(F: Operators, differences: Tensor) -> Tensor:
    """Return the mean squares (N,) of (N, D, H, W) numbers."""
    return F.mean(F.square(differences), axis=(1, 2, 3))


class VectorQuantizer(HybridBlock):
    """Replace each D-vector of a (N, D, H, W) float32 map by its nearest codebook row.

    Parameters
    ----------
    num_embeddings : int
        K, the number of codebook rows.
    embedding_dim : int
        D, the length of a row and the number of channels of z.
    update : {'gradient', 'ema'}
        'gradient' trains the codebook through ``codebook_loss`` (EMADL). 'ema' gives the codebook no gradient;
        :class:`vqvae_gluon.nn.CodebookAverages` updates it instead.

    Raises
    ------
    VQVAEError
        For an unknown update rule, fewer than one row or dimension, and, when called, for an empty batch, a wrong
        number of axes or channels, or a dtype other than float32.

    Examples
    --------
    >>> quantizer = VectorQuantizer(num_embeddings=64, embedding_dim=16)
    >>> quantizer.initialize()
    >>> result = quantizer(mx.nd.random.uniform(shape=(2, 16, 7, 7)))
    >>> result.quantized.shape, result.codes.shape, result.commitment_loss.shape
    ((2, 16, 7, 7), (2, 7, 7), (2,))
    """

    def __init__(
        self, num_embeddings: int = 64, embedding_dim: int = 16, update: str = "gradient", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_embeddings < 1 or embedding_dim < 1:
            raise VQVAEError(
                f"a codebook of {num_embeddings} x {embedding_dim} is impossible: "
                "give at least one embedding of at least one dimension"
            )
        if update not in UPDATES:
            raise VQVAEError(f"unknown codebook update {update!r}: choose one of {', '.join(UPDATES)}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.update = update
        with self.name_scope():
            # EMADL's initializer and name: Uniform(0.07), "<layer>_embeddings".
            self.embeddings = self.params.get(
                "embeddings",
                shape=(num_embeddings, embedding_dim),
                init=mx.init.Uniform(0.07),
                grad_req="write" if update == "gradient" else "null",
            )

    def __call__(self, z: Tensor) -> Quantized:
        if isinstance(z, mx.nd.NDArray):
            self._check(z)
        return Quantized(*super().__call__(z))

    def _check(self, z: mx.nd.NDArray) -> None:
        expected = f"(N, {self.embedding_dim}, H, W)"
        if z.ndim != 4 or z.shape[1] != self.embedding_dim:
            raise VQVAEError(f"the quantizer was given shape {z.shape}: it takes {expected}")
        if 0 in z.shape:
            raise VQVAEError(f"the quantizer was given an empty batch, shape {z.shape}: it takes {expected}")
        if z.dtype != np.float32:
            raise VQVAEError(f"the quantizer was given {np.dtype(z.dtype).name} values: it takes float32")

    def hybrid_forward(self, F: Operators, z: Tensor, embeddings: Tensor) -> Tuple[Tensor, ...]:
        codes = nearest_codes(F, F.BlockGrad(z), F.BlockGrad(embeddings), self.num_embeddings)
        rows = codebook_rows(F, codes, embeddings, self.num_embeddings, self.embedding_dim)
        fixed = F.BlockGrad(rows)
        # z - sg(z) is exactly zero, so the value is the codebook row itself; sg(rows - z) + z would be off by a
        # rounding error, and training would see other numbers than prediction.
        quantized = fixed + (z - F.BlockGrad(z))
        commitment_loss = mean_square(F, fixed - z)
        # Without a gradient of the codebook it is the same number, and there is nothing to pass one to.
        is_fixed = self.update != "gradient"
        codebook_loss = F.BlockGrad(commitment_loss) if is_fixed else mean_square(F, rows - F.BlockGrad(z))
        return quantized, codes, commitment_loss, codebook_loss


class NearestRow(HybridBlock):
    """The prediction form of a :class:`VectorQuantizer`, sharing its codebook.

    (N, D, H, W) float32 -> the fields of :class:`Quantized`, where ``quantized`` holds just the codebook rows and the
    losses have the gradients of EMADL's layer, whatever the update rule. In its graph, ``likeness`` (N, K, H, W) is for
    callers that choose the codes themselves, as the C++ layer does, and the codes are called ``codes``, without a
    prefix.
    """

    def __init__(self, quantizer: VectorQuantizer) -> None:
        super().__init__(prefix=quantizer.prefix, params=quantizer.params)
        self._size = (quantizer.num_embeddings, quantizer.embedding_dim)
        with self.name_scope():
            self.embeddings = self.params.get("embeddings")

    def hybrid_forward(self, F: Operators, z: Tensor, embeddings: Tensor) -> Tuple[Tensor, ...]:
        # The slice takes everything and only changes the layout in memory, from oneDNN's own to row-major, in one pass
        # where a reshape makes two. argmax needs this anyway, and otherwise whoever copies the values out of MXNet
        # would do it in their own thread.
        alike = likeness(F, z, embeddings, self._size[0])
        alike = F.slice(alike, begin=(None,), end=(None,), name="likeness")
        with mx.name.NameManager():  # which adds no prefix
            codes = F.argmax(alike, axis=1, name="codes")
        rows = codebook_rows(F, codes, embeddings, *self._size)
        return rows, codes, mean_square(F, F.BlockGrad(rows) - z), mean_square(F, rows - F.BlockGrad(z))
