"""Channel reductions: from an encoder's many channels to the dimensions of an embedding."""
from typing import Any

from mxnet.gluon import HybridBlock, nn

from ..errors import VQVAEError
from .branches import Branches
from .tensor import Operators, Tensor


class PointwiseReduction(nn.Conv2D):
    """One 1x1 convolution: (N, in_channels, H, W) -> (N, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__(out_channels, 1, in_channels=in_channels, **kwargs)


class DenseLayerChannelReduction(HybridBlock):
    """DLCR: halve the channels step by step, then reduce them by one 1x1 convolution.

    (N, in_channels, H, W) -> (N, out_channels, H, W). A step concatenates two 1x1 convolutions to a quarter of its
    channels each, one linear and one followed by ReLU. Source: wrrogers/VQ-VAE_v1, where the linear convolution was
    recreated with random weights in every pass; here both are trained.

    Parameters
    ----------
    in_channels, out_channels : int
    width : int
        The number of channels at which halving stops: ``in_channels`` / 2^k for some k of at least 1. Each number that
        is halved on the way must be a multiple of 4.

    Raises
    ------
    VQVAEError
        If halving does not lead from ``in_channels`` to ``width``.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _check_width(in_channels, width)
        with self.name_scope():
            self.steps = nn.HybridSequential()
            channels = in_channels
            while channels > width:
                self.steps.add(self._step(channels))
                channels //= 2
            self.steps.add(PointwiseReduction(channels, out_channels))

    def _step(self, channels: int) -> HybridBlock:
        return Branches(
            nn.Conv2D(channels // 4, 1, in_channels=channels),
            nn.Conv2D(channels // 4, 1, in_channels=channels, activation="relu"),
        )

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return self.steps(x)


def _check_width(in_channels: int, width: int) -> None:
    reachable, channels = [], in_channels
    while channels % 4 == 0:
        channels //= 2
        reachable.append(channels)
    if width not in reachable:
        choices = f"choose one of {', '.join(map(str, reachable))}" if reachable else "they cannot be quartered"
        raise VQVAEError(f"a reduction from {in_channels} to {width} channels cannot be reached by halving: {choices}")
