"""EMADL's transposed convolution."""
from typing import Tuple

from mxnet.gluon import HybridBlock

# oneDNN keeps channels in blocks of this many; where they come out even, it need not rearrange what it computes.
_BLOCK = 16


class UpConvolution(HybridBlock):
    """EMADL's ``UpConvolution``: a transposed convolution padded to ``stride`` times the size.

    (N, C_in, H, W) -> (N, channels, stride*H, stride*W) float32; the padding is
    floor((kernel - stride) / 2).

    MXNet 1.9.1 cannot run the backward pass of a ``Deconvolution`` with one output channel, whatever its
    stride. Such a layer trains as a 1x1 convolution to the kernel's taps, gathered by ``col2im``: the same
    sums from the same weight, and faster. ``plain`` selects ``Deconvolution`` for every
    shape, the form that is exported. Its bias is added by :func:`add_bias`: ``Deconvolution`` itself takes longer over
    the bias than over everything else. Only in the plain form, and for channels that fill no block, it adds the bias
    itself, as fast for so few: MXNet in C++ would fuse a convolution with the sigmoid, to other bits than Gluon's.

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
        self.in_channels = in_channels
        self.output_size = output_size
        self.plain = False
        pad = (kernel - stride) // 2
        self._geometry = {"kernel": (kernel,) * 2, "stride": (stride,) * 2, "pad": (pad,) * 2}
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(in_channels, channels, kernel, kernel))
            self.bias = self.params.get("bias", shape=(channels,), init="zeros")

    def hybrid_forward(self, F, x, weight, bias):
        if self.plain and self.channels % _BLOCK:
            return F.Deconvolution(x, weight, bias, num_filter=self.channels, no_bias=False, **self._geometry)
        if self.plain or self.channels > 1:
            image = F.Deconvolution(x, weight, num_filter=self.channels, no_bias=True, **self._geometry)
        else:
            image = self._by_taps(F, x, weight)
        return add_bias(F, image, bias, self.channels, self.plain)

    def _by_taps(self, F, x, weight):
        taps = self._geometry["kernel"][0] ** 2
        by_tap = F.expand_dims(F.transpose(F.reshape(weight, shape=(0, -1))), axis=2)
        idle = -taps % _BLOCK
        if idle:
            by_tap = F.concat(by_tap, F.zeros((idle, self.in_channels, 1)), dim=0)
        columns = F.Convolution(
            x, F.expand_dims(by_tap, axis=3), kernel=(1, 1), num_filter=taps + idle, no_bias=True
        )
        columns = F.reshape(F.slice_axis(columns, axis=1, begin=0, end=taps), shape=(0, 0, -1))
        return F.col2im(columns, output_size=self.output_size, **self._geometry)


def add_bias(F, x, bias, channels: int, plain: bool = False):
    """Add a bias (channels,) to (N, channels, H, W), bit for bit as ``broadcast_add`` would.

    A convolution of each channel with the number one, which oneDNN runs two to four times as fast, backward above all.
    In prediction it would first rearrange the blocks of channels: there (``plain``) each block is multiplied by the
    identity instead.
    """
    groups = channels
    if plain and channels % _BLOCK == 0:
        groups = channels // _BLOCK
        identities = F.linalg.makediag(F.ones((groups, _BLOCK)))
        weight = F.reshape(identities, shape=(channels, _BLOCK, 1, 1))
    else:
        weight = F.ones((channels, 1, 1, 1))
    return F.Convolution(x, weight, bias, kernel=(1, 1), num_filter=channels, num_group=groups)
