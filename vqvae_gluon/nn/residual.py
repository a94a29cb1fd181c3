"""The basic residual encoder and its mirror image, the decoder. Source: wrrogers/VQ-VAE_v1."""
from typing import Callable, Tuple

from mxnet.gluon import HybridBlock, Parameter, nn

from ..errors import VQVAEError
from .reduction import PointwiseReduction
from .up_convolution import UpConvolution


class ResidualBlock(HybridBlock):
    """(N, channels, H, W) -> the same shape: x + 1x1(ReLU(3x3(ReLU(x)))), without biases."""

    def __init__(self, channels: int, hidden: int, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(
                nn.Activation("relu"),
                nn.Conv2D(hidden, 3, padding=1, use_bias=False, in_channels=channels, activation="relu"),
                nn.Conv2D(channels, 1, use_bias=False, in_channels=hidden),
            )

    def hybrid_forward(self, F, x):
        return x + self.body(x)


class ResidualEncoder(HybridBlock):
    """Two strided convolutions and two residual blocks.

    (N, channels, H, W) float32 in [0, 1] -> (N, embedding_dim, H/4, W/4), unbounded.

    Parameters
    ----------
    channels, embedding_dim : int
    width : int
        Channels of the residual blocks, a multiple of 4; inside they have a quarter of it.
    reduction : callable
        (in_channels, out_channels) -> the block that ends the encoder.
    """

    stride = 4

    def __init__(
        self,
        channels: int = 1,
        embedding_dim: int = 64,
        width: int = 128,
        reduction: Callable[[int, int], HybridBlock] = PointwiseReduction,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        _check_width(width)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(
                nn.Conv2D(width // 2, 4, 2, 1, in_channels=channels, activation="relu"),
                nn.Conv2D(width, 4, 2, 1, in_channels=width // 2, activation="relu"),
                nn.Conv2D(width, 3, 1, 1, in_channels=width),
                ResidualBlock(width, width // 4),
                ResidualBlock(width, width // 4),
                nn.Activation("relu"),
                reduction(width, embedding_dim),
            )

    def hybrid_forward(self, F, data):
        return self.layers(data)


class ResidualDecoder(HybridBlock):
    """The mirror image of :class:`ResidualEncoder`, with a sigmoid at the end.

    (N, embedding_dim, H/4, W/4) float32 -> (N, channels, H, W) in [0, 1]. ``width``: as in the encoder.
    """

    def __init__(
        self,
        channels: int = 1,
        embedding_dim: int = 64,
        image_size: Tuple[int, int] = (28, 28),
        width: int = 128,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        _check_width(width)
        half_size = (image_size[0] // 2, image_size[1] // 2)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(
                nn.Conv2D(width, 3, 1, 1, in_channels=embedding_dim),
                ResidualBlock(width, width // 4),
                ResidualBlock(width, width // 4),
                nn.Activation("relu"),
                UpConvolution(width // 2, 4, 2, width, half_size),
                nn.Activation("relu"),
                UpConvolution(channels, 4, 2, width // 2, image_size),
                nn.Activation("sigmoid"),
            )

    @property
    def output_bias(self) -> Parameter:
        """The bias (channels,) of the last layer, before the sigmoid."""
        return self.layers[-2].bias

    def hybrid_forward(self, F, encoding):
        return self.layers(encoding)


def _check_width(width: int) -> None:
    if width < 4 or width % 4:
        raise VQVAEError(f"the width of a residual network was given as {width}: it must be a multiple of 4")
