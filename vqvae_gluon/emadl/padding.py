"""The zeros that convolutions and poolings add around an image.

Source: CNNArchLang's reference.
"""
from typing import NamedTuple

from ..errors import VQVAEError


class Padding(NamedTuple):
    """Zeros added before and after one axis, and the size that comes out."""

    before: int
    after: int
    output: int


def pad(kind: str, size: int, kernel: int, stride: int) -> Padding:
    """Return EMADL's padding of one axis for a convolution or a pooling.

    'same' gives ceil(size / stride), 'valid' pads nothing, 'no_loss' the least that leaves no input unused. What
    cannot be halved goes before. Raises VQVAEError where the kernel does not fit.
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
