"""The defects of the two original projects as models, so that their cost can be measured."""
from functools import partial
from typing import Any

import mxnet as mx
from mxnet.gluon import HybridBlock, nn

from vqvae_gluon.model_zoo import compose, register_model, vqvae_emadl
from vqvae_gluon.nn import (
    VQVAE,
    Branches,
    DenseLayerChannelReduction,
    InceptionResNetV2Encoder,
    VectorQuantizer,
)


class RandomLinear(HybridBlock):
    """A 1x1 convolution with new random weights in every pass, as in wrrogers/VQ-VAE_v1: it never learns."""

    def __init__(self, in_channels: int, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._size = (channels, in_channels)
        self._bound = in_channels**-0.5  # PyTorch's default initialisation

    def hybrid_forward(self, F, x: mx.nd.NDArray) -> mx.nd.NDArray:
        weight = F.random.uniform(-self._bound, self._bound, shape=(*self._size, 1, 1))
        bias = F.random.uniform(-self._bound, self._bound, shape=self._size[:1])
        return F.Convolution(x, weight, bias, kernel=(1, 1), num_filter=self._size[0])


class RandomBranchReduction(DenseLayerChannelReduction):
    """DLCR with random linear branches."""

    def _step(self, channels: int) -> HybridBlock:
        return Branches(
            RandomLinear(channels, channels // 4),
            nn.Conv2D(channels // 4, 1, in_channels=channels, activation="relu"),
        )


class SignFlippedQuantizer(VectorQuantizer):
    """EMADL's straight-through estimator: x - sg(x + q) passes -q forward, and the gradient has the wrong sign."""

    def hybrid_forward(self, F, z: mx.nd.NDArray, embeddings: mx.nd.NDArray):
        quantized, *others = super().hybrid_forward(F, z, embeddings)
        return (z - F.BlockGrad(z + quantized), *others)


def random_branch_dlcr(
    channels: int = 1, embedding_dim: int = 16, width: int = 32, decoder: str = "residual", **settings: Any
) -> VQVAE:
    """Return ``vqvae_inception_resnet_v2_dlcr`` with random linear branches."""
    reduction = partial(RandomBranchReduction, width=embedding_dim)
    encoder = InceptionResNetV2Encoder(channels, embedding_dim, width, reduction=reduction, prefix="encoder_")
    return compose(encoder, decoder, channels, embedding_dim, **settings)


def sign_flipped_emadl(**settings: Any) -> VQVAE:
    """Return ``vqvae_emadl`` with the sign-flipped estimator."""
    return vqvae_emadl(**settings, quantizer=SignFlippedQuantizer)


def register() -> None:
    """Register these models for the recipes and commands of this process."""
    register_model("vqvae_dlcr_random_branch", random_branch_dlcr)
    register_model("vqvae_emadl_sign_flipped", sign_flipped_emadl)
