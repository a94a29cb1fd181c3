"""EMADL's transposed convolution."""
from typing import Any, Optional, Tuple, Union

from mxnet.gluon import HybridBlock

from .tensor import Operators, Tensor

Pair = Tuple[int, int]

# oneDNN keeps channels in blocks of this size; if they fill whole blocks, it need not rearrange what it computes.
_BLOCK = 16


class UpConvolution(HybridBlock):
    """EMADL's ``UpConvolution``: a transposed convolution that multiplies the size by ``stride``.

    (N, C_in, H, W) -> (N, channels, stride*H, stride*W) float32. The padding is floor((kernel - stride) / 2). If the
    kernel is larger than the stride by an odd number, the last row and column are cut off; if it is smaller, the last
    rows and columns get the bias only. With ``valid`` nothing is padded or cut, and the size is stride * (H - 1) +
    kernel.

    MXNet 1.9.1 cannot run the backward pass of a ``Deconvolution`` with one output channel, whatever its stride. Such a
    layer trains as a 1x1 convolution to the kernel's taps, which ``col2im`` gathers: the same sums from the same
    weight, and faster. ``plain`` selects ``Deconvolution`` for every shape, the form that is exported. The bias is
    added by :func:`add_bias`, because ``Deconvolution`` itself takes longer for the bias than for everything else. Only
    in the plain form, and if the channels do not fill whole blocks, does ``Deconvolution`` add the bias itself, which
    is as fast for so few channels: otherwise MXNet in C++ would fuse a convolution with the sigmoid and give other bits
    than Gluon.

    Parameters
    ----------
    channels, in_channels : int
    kernel, stride : int or (int, int)
        A single number applies to both axes.
    output_size : (int, int)
        Height and width of the output, which ``col2im`` needs to know.
    valid, use_bias : bool
    """

    def __init__(
        self,
        channels: int,
        kernel: Union[int, Pair],
        stride: Union[int, Pair],
        in_channels: int,
        output_size: Pair,
        valid: bool = False,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.in_channels = in_channels
        self.output_size = output_size
        self.plain = False
        self._use_bias = use_bias
        kernel, stride = (side if isinstance(side, tuple) else (side, side) for side in (kernel, stride))
        excess = [0 if valid else long - step for long, step in zip(kernel, stride)]
        self._geometry = {"kernel": kernel, "stride": stride, "pad": tuple(max(0, more) // 2 for more in excess)}
        self._cut = tuple(max(0, more) % 2 for more in excess)
        #: Rows and columns that no tap reaches.
        self._added = {"adj": tuple(max(0, -more) for more in excess)} if min(excess) < 0 else {}
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(in_channels, channels, *kernel))
            if use_bias:
                self.bias = self.params.get("bias", shape=(channels,), init="zeros")

    def hybrid_forward(self, F: Operators, x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
        if self.plain and self._use_bias and self.channels % _BLOCK:
            return self._trim(F, self._deconvolution(F, x, weight, bias, no_bias=False))
        if self.plain or self.channels > 1:
            image = self._trim(F, self._deconvolution(F, x, weight, no_bias=True))
        else:
            image = self._trim(F, self._by_taps(F, x, weight))
        return add_bias(F, image, bias, self.channels, self.plain) if self._use_bias else image

    def _deconvolution(self, F: Operators, *arrays: Tensor, no_bias: bool) -> Tensor:
        return F.Deconvolution(*arrays, num_filter=self.channels, no_bias=no_bias, **self._geometry, **self._added)

    def _trim(self, F: Operators, image: Tensor) -> Tensor:
        if not any(self._cut):
            return image
        return F.slice(image, begin=(None, None, None, None), end=(None, None, *self.output_size))

    def _by_taps(self, F: Operators, x: Tensor, weight: Tensor) -> Tensor:
        kernel = self._geometry["kernel"]
        taps = kernel[0] * kernel[1]
        by_tap = F.expand_dims(F.transpose(F.reshape(weight, shape=(0, -1))), axis=2)
        idle = -taps % _BLOCK
        if idle:
            by_tap = F.concat(by_tap, F.zeros((idle, self.in_channels, 1)), dim=0)
        columns = F.Convolution(
            x, F.expand_dims(by_tap, axis=3), kernel=(1, 1), num_filter=taps + idle, no_bias=True
        )
        columns = F.reshape(F.slice_axis(columns, axis=1, begin=0, end=taps), shape=(0, 0, -1))
        whole = tuple(side + cut for side, cut in zip(self.output_size, self._cut))
        return F.col2im(columns, output_size=whole, **self._geometry)


def add_bias(F: Operators, x: Tensor, bias: Tensor, channels: int, plain: bool = False) -> Tensor:
    """Add a bias (channels,) to (N, channels, H, W), bit for bit as ``broadcast_add`` would.

    This is a convolution of each channel with the number one, which oneDNN runs two to four times as fast, above all in
    the backward pass. In prediction it would first rearrange the blocks of channels, so there (``plain``) each block is
    multiplied by the identity instead.
    """
    groups = channels
    if plain and channels % _BLOCK == 0:
        groups = channels // _BLOCK
        identities = F.linalg.makediag(F.ones((groups, _BLOCK)))
        weight = F.reshape(identities, shape=(channels, _BLOCK, 1, 1))
    else:
        weight = F.ones((channels, 1, 1, 1))
    return F.Convolution(x, weight, bias, kernel=(1, 1), num_filter=channels, num_group=groups)
