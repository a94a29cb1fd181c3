"""The zeros that convolution and pooling layers add around an image.

Source: CNNArchLang's reference.
"""
from typing import NamedTuple

from ..errors import VQVAEError


class Padding(NamedTuple):
    """The zeros added before and after one axis, and the resulting size."""

    before: int
    after: int
    output: int


def pad(kind: str, size: int, kernel: int, stride: int) -> Padding:
    """Return EMADL's padding of one axis for a convolution or a pooling.

    'same' gives an output of ceil(size / stride), 'valid' pads nothing, and 'no_loss' pads the least that leaves no
    input unused. An odd zero goes before. Raises VQVAEError if the kernel does not fit.
    """
    if kind == "valid" and kernel > size:
        raise VQVAEError(f"a kernel of {kernel} does not fit into {size} without padding")
    output = {
        "same": -(-size // stride),
        "valid": (size - kernel) // stride + 1,
        "no_loss": 1 + max(0, -(-(size - kernel) // stride)),
    }[kind]
    total = max(0, (output - 1) * stride + kernel - size) if kind != "valid" else 0
    return Padding(-(-total // 2), total // 2, output)
