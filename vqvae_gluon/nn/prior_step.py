"""A prior in its exported forms, with fewer operators: as a whole, and one place at a time."""
import re
from typing import Dict, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from .prior import MASKED, Layer, Normalization, Prior, PriorSize
from .tensor import Operators, Tensor


def fold_scales(prior: Prior) -> None:
    """Fold all scales into the weights and leave out dropout: the same predictions with fewer operators.

    The scales are the square root of the width in :class:`Normalization` and that of the head width in the scores.
    """
    width, head_width = prior.size.width, prior.size.head_width
    for layer in prior.layers:
        weight, bias = (parameter.data().asnumpy() for parameter in (layer.projection.weight, layer.projection.bias))
        weight *= np.float32(width**0.5)
        for array in (weight, bias):
            array[:width] *= np.float32(head_width**-0.5)
        layer.projection.weight.set_data(mx.nd.array(weight))
        layer.projection.bias.set_data(mx.nd.array(bias))
        layer.hidden.weight.set_data(layer.hidden.weight.data() * width**0.5)
    prior.logits.weight.set_data(prior.logits.weight.data() * width**0.5)

    def use_plain_form(block: HybridBlock) -> None:
        if isinstance(block, (Prior, Layer, Normalization)):
            block.plain = True

    prior.apply(use_plain_form)


def unfold_scales(weights: Dict[str, np.ndarray], size: PriorSize) -> Dict[str, np.ndarray]:
    """Return the weights, by name, from which :func:`fold_scales` made these, up to rounding."""
    weights, root, width = dict(weights), np.float32(size.width**0.5), size.width
    for name, array in weights.items():
        if re.search("_projection_(weight|bias)$", name):
            array = np.concatenate([array[:width] * np.float32(size.head_width**0.5), array[width:]])
        if re.search("_(projection|hidden|logits)_weight$", name):
            array = array / root
        weights[name] = array
    return weights


class PriorNetwork(HybridBlock):
    """The exported form of a :class:`Prior`, sharing its parameters; its head is called ``logits``."""

    def __init__(self, prior: Prior) -> None:
        super().__init__(prefix="")
        self.prior = prior

    def hybrid_forward(self, F: Operators, data: Tensor, label: Tensor) -> Tensor:
        return F.identity(self.prior(data, label), name="logits")


class PriorStep(HybridBlock):
    """A :class:`Prior` at one place, given the keys and values of earlier places; it shares the prior's parameters.

    Inputs: ``before``, ``place``, ``label`` (N,), see :class:`Prior`; ``temperature`` (N, 1), above zero; ``mask`` (N,
    heads, P + 1), see :func:`masked`; then for each layer keys and values (N, P, head_width). Heads: ``probabilities``
    (N, K), then for each layer the place's keys and values (N, 1, head_width).
    """

    def __init__(self, prior: Prior) -> None:
        super().__init__(prefix="")
        self.prior = prior

    def hybrid_forward(
        self,
        F: Operators,
        before: Tensor,
        place: Tensor,
        label: Tensor,
        temperature: Tensor,
        mask: Tensor,
        *past: Tensor,
    ) -> Tuple[Tensor, ...]:
        prior, heads = self.prior, []
        x = prior.embed(F, before, place, label)
        for number, layer in enumerate(prior.layers):
            x, keys, values = layer(x, mask, *past[2 * number : 2 * number + 2])
            heads += [F.identity(keys, name=f"keys{number}"), F.identity(values, name=f"values{number}")]
        logits = F.broadcast_div(prior.logits(prior.last(x)), temperature)
        return (F.softmax(logits, axis=-1, name="probabilities"), *heads)


def masked(size: PriorSize, rows: int, filled: int) -> np.ndarray:
    """Return the ``mask`` (rows, heads, P + 1) of a :class:`PriorStep` after ``filled`` places.

    It is 0 for the filled places and for the last entry, the current place, and masks out the others.
    """
    mask = np.zeros((rows, size.heads, size.places + 1), np.float32)
    mask[..., filled : size.places] = MASKED
    return mask
