"""The basic residual encoder and its mirror image, the decoder. Source: wrrogers/VQ-VAE_v1."""
from typing import Any, Callable, List, Tuple

from mxnet.gluon import HybridBlock, Parameter, nn

from ..errors import VQVAEError
from .reduction import PointwiseReduction
from .tensor import Operators, Tensor
from .up_convolution import UpConvolution

#: The sides, in pixels, of the square that one code of a residual model can cover.
STRIDES = (4, 8, 16)


class ResidualBlock(HybridBlock):
    """(N, channels, H, W) -> the same shape: x + 1x1(ReLU(3x3(ReLU(x)))), without biases."""

    def __init__(self, channels: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(
                nn.Activation("relu"),
                nn.Conv2D(hidden, 3, padding=1, use_bias=False, in_channels=channels, activation="relu"),
                nn.Conv2D(channels, 1, use_bias=False, in_channels=hidden),
            )

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualEncoder(HybridBlock):
    """Strided convolutions, each of which halves height and width, and two residual blocks.

    (N, channels, H, W) float32 in [0, 1] -> (N, embedding_dim, H/stride, W/stride), unbounded. The first convolution
    has half the width, each other one the full width. A larger stride takes no longer for the same image: the
    convolution that it adds costs less than the blocks save, which then see a quarter of the places.

    Parameters
    ----------
    channels, embedding_dim : int
    width : int
        The number of channels of the residual blocks, a multiple of 4; inside, they have a quarter of it.
    reduction : callable
        (in_channels, out_channels) -> the block that ends the encoder.
    stride : int
        The side, in pixels, of the square that one code covers: 4, 8 or 16, with two, three or four strided
        convolutions.

    Raises
    ------
    VQVAEError
        For any other width or stride.
    """

    def __init__(
        self,
        channels: int = 1,
        embedding_dim: int = 64,
        width: int = 128,
        reduction: Callable[[int, int], HybridBlock] = PointwiseReduction,
        stride: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_width(width)
        self.stride = stride
        stages = _stages(channels, width, stride)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for outer, inner in zip(stages, stages[1:]):
                self.layers.add(nn.Conv2D(inner, 4, 2, 1, in_channels=outer, activation="relu"))
            self.layers.add(
                nn.Conv2D(width, 3, 1, 1, in_channels=width),
                ResidualBlock(width, width // 4),
                ResidualBlock(width, width // 4),
                nn.Activation("relu"),
                reduction(width, embedding_dim),
            )

    def hybrid_forward(self, F: Operators, data: Tensor) -> Tensor:
        return self.layers(data)


class ResidualDecoder(HybridBlock):
    """The mirror image of :class:`ResidualEncoder`, with a sigmoid at the end.

    (N, embedding_dim, H/stride, W/stride) float32 -> (N, channels, H, W) in [0, 1]. ``width``, ``stride`` and errors
    are as in the encoder; ``image_size`` (H, W) must be multiples of the stride.
    """

    def __init__(
        self,
        channels: int = 1,
        embedding_dim: int = 64,
        image_size: Tuple[int, int] = (28, 28),
        width: int = 128,
        stride: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_width(width)
        stages = _stages(channels, width, stride)
        height, breadth = image_size
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(
                nn.Conv2D(width, 3, 1, 1, in_channels=embedding_dim),
                ResidualBlock(width, width // 4),
                ResidualBlock(width, width // 4),
            )
            for level in reversed(range(len(stages) - 1)):
                size = (height >> level, breadth >> level)
                self.layers.add(
                    nn.Activation("relu"), UpConvolution(stages[level], 4, 2, stages[level + 1], size)
                )
            self.layers.add(nn.Activation("sigmoid"))

    @property
    def output_bias(self) -> Parameter:
        """The bias (channels,) of the last layer, before the sigmoid."""
        return self.layers[-2].bias

    def hybrid_forward(self, F: Operators, encoding: Tensor) -> Tensor:
        return self.layers(encoding)


def _stages(channels: int, width: int, stride: int) -> List[int]:
    """Return the numbers of channels at an image's full size, at half of it, and so on down to that of the codes."""
    if stride not in STRIDES:
        raise VQVAEError(f"stride was given as {stride}: it must be 4, 8 or 16")
    return [channels, width // 2] + [width] * (STRIDES.index(stride) + 1)


def _check_width(width: int) -> None:
    if width < 4 or width % 4:
        raise VQVAEError(f"the width of a residual network was given as {width}: it must be a multiple of 4")
