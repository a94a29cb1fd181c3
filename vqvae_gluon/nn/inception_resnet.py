"""Inception-ResNet-v2 as an encoder.

Sources: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning" (2016); cut
down to an encoder by wrrogers/VQ-VAE_v1, with a stem that keeps the image's size. All channel counts are multiples of a
base width n; those of the paper are for n = 32.
"""
from typing import Any, Callable, Tuple, Union

from mxnet.gluon import HybridBlock, nn

from ..errors import VQVAEError
from .branches import Branches
from .reduction import PointwiseReduction
from .tensor import Operators, Tensor

_MOST_BLOCKS = 1000  # of each kind; memory runs out before


class InceptionResNetV2Encoder(HybridBlock):
    """Stem, blocks A, reduction, blocks B, reduction, blocks C, and a reduction from 64 n channels.

    (N, channels, H, W) float32 in [0, 1] -> (N, embedding_dim, H/4, W/4), unbounded.

    Parameters
    ----------
    channels, embedding_dim : int
    width : int
        The base width n, at least 1.
    blocks : (int, int, int)
        The numbers of blocks A, B and C; the paper has (10, 20, 10).
    reduction : callable
        (in_channels, out_channels) -> the block that ends the encoder.
    """

    stride = 4

    def __init__(
        self,
        channels: int = 1,
        embedding_dim: int = 64,
        width: int = 32,
        blocks: Tuple[int, int, int] = (1, 1, 1),
        reduction: Callable[[int, int], HybridBlock] = PointwiseReduction,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if width < 1:
            raise VQVAEError(f"the base width of Inception-ResNet-v2 was given as {width}: it must be at least 1")
        if len(blocks) != 3 or min(blocks) < 0 or max(blocks) > _MOST_BLOCKS:
            expected = f"three counts from 0 to {_MOST_BLOCKS}, of blocks A, B, C"
            raise VQVAEError(f"blocks was given as {blocks}: it must be {expected}")
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(_stem(channels, width))
            for _ in range(blocks[0]):
                self.layers.add(_block_a(width))
            self.layers.add(_reduction_a(width))
            for _ in range(blocks[1]):
                self.layers.add(_block_b(width))
            self.layers.add(_reduction_b(width))
            for _ in range(blocks[2]):
                self.layers.add(_block_c(width))
            self.layers.add(reduction(64 * width, embedding_dim))

    def hybrid_forward(self, F: Operators, data: Tensor) -> Tensor:
        return self.layers(data)


class ScaledResidual(HybridBlock):
    """ReLU(x + scale * 1x1(branches(x))); the scale keeps deep stacks stable.

    ``branches`` takes ``channels`` channels and returns ``inside`` channels.
    """

    def __init__(self, branches: HybridBlock, channels: int, inside: int, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        with self.name_scope():
            self.branches = branches
            self.up = nn.Conv2D(channels, 1, in_channels=inside)

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return F.relu(x + self.scale * self.up(self.branches(x)))


def _convolution(
    in_channels: int, channels: int, kernel: Union[int, Tuple[int, int]] = 1, stride: int = 1
) -> HybridBlock:
    """Convolution, batch normalization, ReLU."""
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    block = nn.HybridSequential()
    block.add(
        nn.Conv2D(
            channels, (height, width), stride, (height // 2, width // 2), use_bias=False, in_channels=in_channels
        ),
        nn.BatchNorm(epsilon=1e-3, in_channels=channels),
        nn.Activation("relu"),
    )
    return block


def _chain(*blocks: HybridBlock) -> HybridBlock:
    chain = nn.HybridSequential()
    chain.add(*blocks)
    return chain


def _stem(channels: int, n: int) -> HybridBlock:
    return _chain(
        _convolution(channels, n, 3),
        _convolution(n, n, 3),
        _convolution(n, 2 * n, 3),
        _convolution(2 * n, 3 * n),
        _convolution(3 * n, 6 * n, 3),
        Branches(
            _convolution(6 * n, 3 * n),
            _chain(_convolution(6 * n, 2 * n), _convolution(2 * n, 2 * n, 5)),
            _chain(_convolution(6 * n, 2 * n), _convolution(2 * n, 3 * n, 3), _convolution(3 * n, 3 * n, 3)),
            _chain(nn.AvgPool2D(3, 1, 1, count_include_pad=False), _convolution(6 * n, 2 * n)),
        ),
    )


def _block_a(n: int) -> HybridBlock:
    branches = Branches(
        _convolution(10 * n, n),
        _chain(_convolution(10 * n, n), _convolution(n, n, 3)),
        _chain(_convolution(10 * n, n), _convolution(n, 2 * n, 3), _convolution(2 * n, 2 * n, 3)),
    )
    return ScaledResidual(branches, 10 * n, 4 * n, 0.17)


def _reduction_a(n: int) -> HybridBlock:
    return Branches(
        _convolution(10 * n, 12 * n, 3, 2),
        _chain(_convolution(10 * n, 8 * n), _convolution(8 * n, 8 * n, 3), _convolution(8 * n, 12 * n, 3, 2)),
        nn.MaxPool2D(3, 2, 1),
    )


def _block_b(n: int) -> HybridBlock:
    branches = Branches(
        _convolution(34 * n, 6 * n),
        _chain(_convolution(34 * n, 4 * n), _convolution(4 * n, 5 * n, (1, 7)), _convolution(5 * n, 6 * n, (7, 1))),
    )
    return ScaledResidual(branches, 34 * n, 12 * n, 0.10)


def _reduction_b(n: int) -> HybridBlock:
    return Branches(
        _chain(_convolution(34 * n, 8 * n), _convolution(8 * n, 12 * n, 3, 2)),
        _chain(_convolution(34 * n, 8 * n), _convolution(8 * n, 9 * n, 3, 2)),
        _chain(_convolution(34 * n, 8 * n), _convolution(8 * n, 9 * n, 3), _convolution(9 * n, 9 * n, 3, 2)),
        nn.MaxPool2D(3, 2, 1),
    )


def _block_c(n: int) -> HybridBlock:
    branches = Branches(
        _convolution(64 * n, 6 * n),
        _chain(_convolution(64 * n, 6 * n), _convolution(6 * n, 7 * n, (1, 3)), _convolution(7 * n, 8 * n, (3, 1))),
    )
    return ScaledResidual(branches, 64 * n, 14 * n, 0.20)
