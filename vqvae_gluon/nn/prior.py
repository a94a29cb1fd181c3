"""A prior over the codes of a VQ-VAE: which code comes next, given those before it in raster order.

A decoder-only transformer with pre-normalization. Sources: van den Oord et al. (2017), section 3.3, for the idea;
Vaswani et al., "Attention Is All You Need" (2017); Shazeer, "Fast Transformer Decoding: One Write-Head is All You Need"
(2019), for keys and values that all heads share, so that a sampler's step reads little memory; Zhang and Sennrich,
"Root Mean Square Layer Normalization" (2019).
"""
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock, nn

from ..errors import VQVAEError
from .tensor import Operators, Tensor

#: A score that softmax turns into zero.
MASKED = -1e9


class PriorSize(NamedTuple):
    """The sizes that determine the shapes of a :class:`Prior`."""

    num_embeddings: int
    codes_shape: Tuple[int, ...]
    num_classes: int = 0
    width: int = 96
    layers: int = 4
    heads: int = 4

    @property
    def places(self) -> int:
        """P = h * w, the number of codes of an image."""
        return self.codes_shape[0] * self.codes_shape[1]

    @property
    def head_width(self) -> int:
        """The length of a key, of a value, and of a head's query."""
        return self.width // self.heads

    @property
    def kept(self) -> List[str]:
        """The names, layer by layer, of what each place passes on to later ones, see :mod:`.prior_step`."""
        return [f"{kind}{number}" for number in range(self.layers) for kind in ("keys", "values")]

    def check(self) -> None:
        """Raise VQVAEError, naming the setting, for impossible sizes."""
        for name in ("num_embeddings", "width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise VQVAEError(f"{name} was given as {getattr(self, name)}: it must be at least 1")
        if len(self.codes_shape) != 2 or min(self.codes_shape) < 1:
            raise VQVAEError(f"codes_shape was given as {self.codes_shape}: it must be two sides of at least 1")
        if self.num_classes < 0:
            raise VQVAEError(f"num_classes was given as {self.num_classes}: it must be 0 (no classes) or more")
        if self.width % self.heads:
            raise VQVAEError(f"width was given as {self.width}: it must be a multiple of the {self.heads} heads")


class Normalization(HybridBlock):
    """Scale vectors (V, width) to a root mean square of 1; the matrix that follows makes a gain redundant.

    ``plain`` scales them to a length of 1, for weights that include the rest, see :func:`.prior_step.fold_scales`.
    """

    def __init__(self, width: int) -> None:
        super().__init__(prefix="")
        self.plain = False
        self._width = width

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        # Not LayerNorm: its backward pass took 30 % of a training step, see docs/performance.md.
        unit = F.L2Normalization(x, mode="instance")
        return unit if self.plain else unit * self._width**0.5


class Layer(HybridBlock):
    """One layer of the transformer: (N * T, width), with the T vectors of an image together -> the same shape.

    Also returns the keys and values (N, T, head_width). ``mask`` (N, T * heads, S) is added to the scores; S counts the
    places of ``past_keys`` and ``past_values`` (N, S - T, head_width), if given, followed by the T current places.
    """

    def __init__(self, size: PriorSize, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plain = False  # see prior_step.fold_scales
        self._size = size
        width, shared = size.width, 2 * size.head_width
        with self.name_scope():
            self.before_attention, self.before_network = Normalization(width), Normalization(width)
            self.projection = nn.Dense(width + shared, in_units=width, prefix="projection_")
            self.attention = nn.Dense(width, in_units=width, prefix="attention_")
            self.hidden = nn.Dense(4 * width, in_units=width, activation="relu", prefix="hidden_")
            self.output = nn.Dense(width, in_units=4 * width, prefix="output_")
            self.dropout = nn.Dropout(dropout)

    def hybrid_forward(
        self,
        F: Operators,
        x: Tensor,
        mask: Tensor,
        past_keys: Optional[Tensor] = None,
        past_values: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        width, head_width = self._size.width, self._size.head_width
        places = self._size.places if past_keys is None else 1
        projected = self.projection(self.before_attention(x))
        queries = F.slice_axis(projected, axis=1, begin=0, end=width)
        if not self.plain:
            queries = queries * head_width**-0.5
        # The heads of a place are adjacent, so that no axis has to be moved.
        queries = F.reshape(queries, shape=(-1, places * self._size.heads, head_width))
        starts = (width, width + head_width)
        shared = [F.slice_axis(projected, axis=1, begin=start, end=start + head_width) for start in starts]
        keys, values = (F.reshape(vectors, shape=(-1, places, head_width)) for vectors in shared)
        all_keys, all_values = keys, values
        if past_keys is not None:
            all_keys = F.concat(past_keys, keys, dim=1)
            all_values = F.concat(past_values, values, dim=1)
        shares = F.softmax(F.batch_dot(queries, all_keys, transpose_b=True) + mask, axis=-1)
        attended = F.reshape(F.batch_dot(shares, all_values), shape=(-1, width))
        x = x + self.drop(self.attention(attended))
        return x + self.drop(self.output(self.hidden(self.before_network(x)))), keys, values

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout, except in the plain form."""
        return x if self.plain else self.dropout(x)


class Prior(HybridBlock):
    """Codes (N, h, w) and classes (N,) -> logits (N, h * w, K) of each code given its class and the codes before it.

    Codes are in raster order, and the logits of a place depend on earlier codes only. The class ``num_classes`` stands
    for "no class". The input at a place is its number, the code before it and the class.

    Parameters
    ----------
    num_embeddings : int
        K, the number of codebook rows.
    codes_shape : (int, int)
        (h, w), the grid of an image's codes.
    num_classes : int
        The number of classes besides "no class"; 0 for images without classes.
    width, layers, heads : int
        Length of the vectors, number of layers, and heads per layer; ``width`` is a multiple of ``heads``.
    dropout : float
        The dropout rate in training, in [0, 1).

    Raises
    ------
    VQVAEError
        For settings out of range and, when called, for codes or classes of a wrong shape.

    Examples
    --------
    >>> prior = Prior(num_embeddings=64, codes_shape=(7, 7), num_classes=10)
    >>> prior.initialize()
    >>> prior(mx.nd.zeros((2, 7, 7)), mx.nd.array([3, 10])).shape
    (2, 49, 64)
    """

    def __init__(
        self,
        num_embeddings: int,
        codes_shape: Sequence[int],
        num_classes: int = 0,
        width: int = 96,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        prefix: str = "prior_",
    ) -> None:
        super().__init__(prefix=prefix)
        self.plain = False  # see prior_step.fold_scales
        self.size = size = PriorSize(num_embeddings, tuple(codes_shape), num_classes, width, layers, heads)
        size.check()
        if not 0 <= dropout < 1:
            raise VQVAEError(f"dropout was given as {dropout}: it must be in [0, 1)")
        with self.name_scope():
            self.before = self._embedding(num_embeddings + 1, "before_")
            self.place = self._embedding(size.places, "place_")
            self.label = self._embedding(num_classes + 1, "label_")
            self.dropout = nn.Dropout(dropout)
            self.layers = nn.HybridSequential(prefix="")
            for number in range(layers):
                self.layers.add(Layer(size, dropout, prefix=f"layer{number}_"))
            self.last = Normalization(width)
            self.logits = nn.Dense(num_embeddings, in_units=width, prefix="logits_")

    def _embedding(self, rows: int, prefix: str) -> nn.Embedding:
        return nn.Embedding(rows, self.size.width, weight_initializer=mx.init.Normal(0.05), prefix=prefix)

    def __call__(self, codes: Tensor, label: Tensor) -> Tensor:
        if isinstance(codes, mx.nd.NDArray):
            self._check(codes, label)
        return super().__call__(codes, label)

    def _check(self, codes: mx.nd.NDArray, label: mx.nd.NDArray) -> None:
        height, width = self.size.codes_shape
        if codes.ndim != 3 or codes.shape[1:] != (height, width) or not len(codes):
            raise VQVAEError(
                f"the prior was given codes of shape {codes.shape}: it takes (N, {height}, {width}) with N at least 1"
            )
        if label.shape != codes.shape[:1]:
            raise VQVAEError(f"the prior was given classes of shape {label.shape}: it takes {codes.shape[:1]}")

    def hybrid_forward(self, F: Operators, codes: Tensor, label: Tensor) -> Tensor:
        size = self.size
        codes = F.reshape(codes, shape=(0, -1))
        numbers = F.broadcast_like(F.reshape(F.arange(size.places), shape=(1, -1)), codes)
        labels = F.broadcast_like(F.reshape(label, shape=(-1, 1)), codes)
        x = F.reshape(self.embed(F, self._before(F, codes), numbers, labels), shape=(-1, size.width))
        mask = F.broadcast_like(self._causal_mask(F), codes, lhs_axes=(0,), rhs_axes=(0,))
        for layer in self.layers:
            x, _, _ = layer(x, mask)
        return F.reshape(self.logits(self.last(x)), shape=(-1, size.places, size.num_embeddings))

    def embed(self, F: Operators, before: Tensor, place: Tensor, label: Tensor) -> Tensor:
        """Return the vectors (..., width) of places, from the codes before them, their numbers and their classes."""
        x = self.before(before) + self.place(place) + self.label(label)
        return x if self.plain else self.dropout(x)

    def _before(self, F: Operators, codes: Tensor) -> Tensor:
        """Return for each place the code before it, or K where there is none."""
        none = F.ones_like(F.slice_axis(codes, axis=1, begin=0, end=1)) * self.size.num_embeddings
        if self.size.places == 1:
            return none
        return F.concat(none, F.slice_axis(codes, axis=1, begin=0, end=-1), dim=1)

    def _causal_mask(self, F: Operators) -> Tensor:
        """Return (1, P * heads, P), which is zero where a place may attend: to itself and to earlier places."""
        places, heads = self.size.places, self.size.heads
        from_, to = F.arange(places, repeat=heads), F.arange(places)
        later = F.broadcast_lesser(F.reshape(from_, shape=(1, -1, 1)), F.reshape(to, shape=(1, 1, -1)))
        return later * MASKED
