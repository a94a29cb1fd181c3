"""The loss of an autoencoder, in one graph with its model."""
from typing import List, NamedTuple, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

from ..nn import VQVAE, VQVAEOutput
from ..nn.tensor import Operators, Tensor
from ..recipes.autoencoder import Recipe


class Part(NamedTuple):
    """The results of one device for its N images of a batch.

    ``loss`` (N,); ``figures`` (4, N): the terms of :func:`loss_terms` and the squared error summed over an image;
    ``codes`` (N, h, w) and ``z`` (N, D, h, w), from which moving averages update a codebook. Only ``loss`` has a
    gradient.
    """

    loss: mx.nd.NDArray
    figures: mx.nd.NDArray
    codes: mx.nd.NDArray
    z: mx.nd.NDArray


class Objective(HybridBlock):
    """A model and the loss of a recipe in one graph: (N, C, H, W) in [0, 1] -> :class:`Part`."""

    def __init__(self, model: VQVAE, recipe: Recipe) -> None:
        super().__init__(prefix="")
        self.model = model
        self._recipe = recipe

    def __call__(self, images: Tensor) -> Part:
        return Part(*super().__call__(images))

    def hybrid_forward(self, F: Operators, images: Tensor) -> Tuple[Tensor, ...]:
        recipe, output = self._recipe, self.model(images)
        terms = loss_terms(F, output, images, recipe.reconstruction_loss)
        squared_error = terms[0]
        if recipe.reconstruction_loss != "mse":
            squared_error = loss_terms(F, output, images, "mse")[0]
        figures = F.BlockGrad(F.stack(*terms, squared_error))
        return total_loss(terms, recipe.beta, recipe.error_weight), figures, output.codes, F.BlockGrad(output.z)


def reconstruction_error(F: Operators, reconstruction: Tensor, images: Tensor, kind: str = "mse") -> Tensor:
    """Return the squared error ('mse') or binary cross-entropy ('bce') of each number of images in [0, 1]."""
    if kind == "mse":
        return F.square(reconstruction - images)
    inside = F.clip(reconstruction, 1e-7, 1 - 1e-7)
    return -(images * F.log(inside) + (1 - images) * F.log(1 - inside))


def loss_terms(F: Operators, output: VQVAEOutput, images: Tensor, kind: str = "mse") -> List[Tensor]:
    """Return the (N,) reconstruction, commitment and codebook terms of EMADL's loss, unweighted.

    The reconstruction term is a sum over the C*H*W numbers of an image, see :func:`reconstruction_error`; the others
    are means, see :class:`Quantized`.
    """
    error = reconstruction_error(F, output.reconstruction, images, kind)
    # A matrix product with ones: ten times as fast as F.sum.
    ones = F.ones_like(F.slice_axis(F.reshape(error, shape=(0, -1)), axis=0, begin=0, end=1))
    reconstruction = F.FullyConnected(error, ones, num_hidden=1, no_bias=True)
    reconstruction = F.reshape(reconstruction, shape=(-1,))
    return [reconstruction, output.commitment_loss, output.codebook_loss]


def total_loss(terms: Sequence[Tensor], beta: float, error_weight: float = 1.0) -> Tensor:
    """Return error_weight * reconstruction + beta * commitment + codebook; EMADL's ``error_weight`` is 1."""
    reconstruction, commitment, codebook = terms
    if error_weight != 1:
        reconstruction = reconstruction * error_weight
    return reconstruction + beta * commitment + codebook
