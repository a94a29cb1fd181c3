"""Parallel branches of a network."""
from typing import Any, Sequence

from mxnet.gluon import HybridBlock

from .tensor import Operators, Tensor


class Branches(HybridBlock):
    """Pass one input to several blocks and concatenate their channels, see :func:`concatenate_channels`.

    (N, C, H, W) -> (N, sum of the branches' channels, H', W') float32.
    """

    def __init__(self, *blocks: HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plain = False
        for block in blocks:
            self.register_child(block)

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return concatenate_channels(F, [block(x) for block in self._children.values()], self.plain)


def concatenate_channels(F: Operators, parts: Sequence[Tensor], plain: bool = False) -> Tensor:
    """Concatenate the channels of parts (N, C_i, H, W).

    MXNet 1.9.1's backward pass of ``concat`` fails ("could not construct a sub-memory") if the total number of channels
    is a multiple of 8 and that of a part is not. Concatenating with the pixels as one axis takes another path through
    the library and gives the same numbers. ``plain`` selects an ordinary ``concat``, the form that is exported.
    """
    if plain:
        return F.concat(*parts, dim=1)
    flat = F.concat(*(F.reshape(part, shape=(0, 0, -1)) for part in parts), dim=1)
    return F.reshape_like(flat, parts[0], lhs_begin=2, lhs_end=3, rhs_begin=2, rhs_end=4)
