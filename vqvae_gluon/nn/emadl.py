"""The encoder and the decoder of the EMADL project ``vqvae``, layer by layer."""
from typing import Tuple

from mxnet.gluon import HybridBlock, Parameter, nn

from .up_convolution import UpConvolution


def _convolution(channels: int, kernel: int, stride: int, in_channels: int) -> nn.Conv2D:
    # EMADL's "same" padding; for even sizes and these kernels it is symmetric.
    return nn.Conv2D(channels, kernel, stride, padding=kernel // 2, in_channels=in_channels)


class EMADLEncoder(HybridBlock):
    """EMADL component ``vqvae.Encoder`` up to its quantizer.

    (N, channels, H, W) float32 in [0, 1] -> (N, embedding_dim, H/4, W/4) in (-1, 1).
    """

    stride = 4

    def __init__(self, channels: int = 1, embedding_dim: int = 16, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(
                _convolution(32, 3, 2, channels),
                nn.Activation("relu"),
                _convolution(64, 3, 2, 32),
                nn.Activation("relu"),
                _convolution(embedding_dim, 1, 1, 64),
                nn.Activation("tanh"),
            )

    def hybrid_forward(self, F, data):
        return self.layers(data)


class EMADLDecoder(HybridBlock):
    """EMADL component ``vqvae.Decoder``.

    (N, embedding_dim, H/4, W/4) float32 -> (N, channels, H, W) in [0, 1].
    """

    def __init__(
        self,
        channels: int = 1,
        embedding_dim: int = 16,
        image_size: Tuple[int, int] = (28, 28),
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        half_size = (image_size[0] // 2, image_size[1] // 2)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(
                UpConvolution(64, 4, 2, embedding_dim, half_size),
                nn.Activation("relu"),
                UpConvolution(32, 4, 2, 64, image_size),
                nn.Activation("relu"),
                UpConvolution(channels, 3, 1, 32, image_size),
                nn.Activation("sigmoid"),
            )

    @property
    def output_bias(self) -> Parameter:
        """The bias (channels,) of the last layer, before the sigmoid."""
        return self.layers[-2].bias

    def hybrid_forward(self, F, encoding):
        return self.layers(encoding)
