"""The encoder and the decoder of the EMADL project ``vqvae``, layer by layer."""
from typing import Tuple

from mxnet.gluon import HybridBlock, Parameter, nn


class UpConvolution(HybridBlock):
    """EMADL's ``UpConvolution``: a transposed convolution padded to ``stride`` times the size.

    (N, C_in, H, W) -> (N, channels, stride*H, stride*W) float32; the padding is
    floor((kernel - stride) / 2).

    MXNet 1.9.1 cannot run the backward pass of a stride-1 ``Deconvolution`` with one output channel.
    Such a layer trains as a 1x1 convolution to the kernel's taps, gathered by ``col2im``: the same
    sums from the same weight, and faster. ``plain`` selects ``Deconvolution`` for every
    shape, the form that is exported.

    Parameters
    ----------
    channels, kernel, stride, in_channels : int
    output_size : (int, int)
        Height and width of the output, which ``col2im`` must know.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        stride: int,
        in_channels: int,
        output_size: Tuple[int, int],
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.output_size = output_size
        self.plain = False
        pad = (kernel - stride) // 2
        self._geometry = {"kernel": (kernel,) * 2, "stride": (stride,) * 2, "pad": (pad,) * 2}
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(in_channels, channels, kernel, kernel))
            self.bias = self.params.get("bias", shape=(channels,), init="zeros")

    def hybrid_forward(self, F, x, weight, bias):
        stride_one = self._geometry["stride"] == (1, 1)
        if self.plain or self.channels > 1 or not stride_one:
            return F.Deconvolution(x, weight, bias, num_filter=self.channels, no_bias=False, **self._geometry)
        taps = self._geometry["kernel"][0] ** 2
        by_tap = F.expand_dims(F.transpose(F.reshape(weight, shape=(0, -1))), axis=2)
        columns = F.Convolution(
            x, F.expand_dims(by_tap, axis=3), kernel=(1, 1), num_filter=taps, no_bias=True
        )
        image = F.col2im(F.reshape(columns, shape=(0, 0, -1)), output_size=self.output_size, **self._geometry)
        return F.broadcast_add(image, F.reshape(bias, shape=(1, -1, 1, 1)))


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
