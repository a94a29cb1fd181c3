"""Vector quantization: each vector is replaced by its nearest codebook row.

Source: van den Oord et al., "Neural Discrete Representation Learning" (2017); EMADL layer
``VectorQuantize(num_embeddings, beta)``.
"""
from typing import Dict, NamedTuple, Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from ..errors import VQVAEError

UPDATES = ("gradient", "ema")


class Quantized(NamedTuple):
    """What a quantizer returns for N x D x H x W encoder outputs z, whatever its update rule.

    ``quantized`` (N, D, H, W) equals the codebook rows bit for bit and passes its gradient
    straight through to z. ``codes`` (N, H, W) are float32 integers in [0, K). The two losses (N,)
    are means over D, H and W: ``commitment_loss`` pulls z to the codebook, ``codebook_loss`` the
    codebook to z.
    """

    quantized: mx.nd.NDArray
    codes: mx.nd.NDArray
    commitment_loss: mx.nd.NDArray
    codebook_loss: mx.nd.NDArray


def likeness(F, z, codebook, num_embeddings: int):
    """Return (N, K, H, W): how like each codebook row is to each vector of z; the nearest row is the most alike.

    |z - e|^2 = |z|^2 - 2 (z.e - |e|^2 / 2), and |z|^2 does not change the order: what remains is the bracket, a 1x1
    convolution, which MXNet runs three to four times as fast as ``dot``.
    """
    return F.Convolution(
        z,
        weight=F.reshape(codebook, shape=(0, 0, 1, 1)),
        bias=-0.5 * F.sum(F.square(codebook), axis=1),
        kernel=(1, 1),
        num_filter=num_embeddings,
    )


def nearest_codes(F, z, codebook, num_embeddings: int):
    """Return the (N, H, W) index of the codebook row nearest to each vector of z, the first of equally near ones."""
    return F.argmax(likeness(F, z, codebook, num_embeddings), axis=1)


def codebook_rows(F, codes, codebook, num_embeddings: int, embedding_dim: int):
    """Return the (N, D, H, W) codebook rows of (N, H, W) codes."""
    rows = F.Embedding(codes, codebook, input_dim=num_embeddings, output_dim=embedding_dim)
    return F.transpose(rows, axes=(0, 3, 1, 2))


def mean_square(F, differences):
    """Return (N,): the means of the squares of (N, D, H, W) numbers."""
    return F.mean(F.square(differences), axis=(1, 2, 3))


def vector_sums(F, z, codes, num_embeddings: int, embedding_dim: int):
    """Return (K, D + 1): the sum of the vectors of each code and, last, how many there are.

    ``z`` (N, D, H, W) are the vectors, ``codes`` (N, H, W) their codes. The one-hot codes (K, V) times the vectors
    (V, D + 1), of which the last number is one: ``FullyConnected`` multiplies faster than ``dot``.
    """
    one_hot = F.one_hot(F.reshape(codes, shape=(-1,)), num_embeddings)
    ones = F.ones_like(F.slice_axis(z, axis=1, begin=0, end=1))
    vectors = F.reshape(F.transpose(F.concat(z, ones, dim=1), axes=(1, 0, 2, 3)), shape=(0, -1))
    return F.FullyConnected(F.transpose(one_hot), vectors, num_hidden=embedding_dim + 1, no_bias=True)


class VectorQuantizer(HybridBlock):
    """Replace each D-vector of a (N, D, H, W) float32 map by its nearest codebook row.

    >>> quantizer = VectorQuantizer(num_embeddings=64, embedding_dim=16)
    >>> quantizer.initialize()
    >>> result = quantizer(mx.nd.random.uniform(shape=(2, 16, 7, 7)))
    >>> result.quantized.shape, result.codes.shape, result.commitment_loss.shape
    ((2, 16, 7, 7), (2, 7, 7), (2,))

    Parameters
    ----------
    num_embeddings : int
        K, the number of codebook rows.
    embedding_dim : int
        D, the length of a row and the channels of z.
    update : {'gradient', 'ema'}
        'gradient' trains the codebook through ``codebook_loss`` (EMADL). 'ema' takes the codebook
        out of the gradient; a :class:`CodebookAverages` then moves it.

    Raises
    ------
    VQVAEError
        For an unknown update rule, fewer than one row or dimension, and, when called, for an
        empty batch, another number of axes or channels, or another type than float32.
    """

    def __init__(
        self, num_embeddings: int = 64, embedding_dim: int = 16, update: str = "gradient", **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if num_embeddings < 1 or embedding_dim < 1:
            raise VQVAEError(
                f"a codebook of {num_embeddings} x {embedding_dim} is impossible: "
                "give at least one embedding of at least one dimension"
            )
        if update not in UPDATES:
            raise VQVAEError(f"unknown codebook update {update!r}: choose one of {', '.join(UPDATES)}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.update = update
        with self.name_scope():
            # EMADL's start and name: Uniform(0.07), "<layer>_embeddings".
            self.embeddings = self.params.get(
                "embeddings",
                shape=(num_embeddings, embedding_dim),
                init=mx.init.Uniform(0.07),
                grad_req="write" if update == "gradient" else "null",
            )

    def __call__(self, z) -> Quantized:
        if isinstance(z, mx.nd.NDArray):
            self._check(z)
        return Quantized(*super().__call__(z))

    def _check(self, z: mx.nd.NDArray) -> None:
        expected = f"(N, {self.embedding_dim}, H, W)"
        if z.ndim != 4 or z.shape[1] != self.embedding_dim:
            raise VQVAEError(f"the quantizer was given shape {z.shape}: it takes {expected}")
        if 0 in z.shape:
            raise VQVAEError(f"the quantizer was given an empty batch, shape {z.shape}: it takes {expected}")
        if z.dtype != np.float32:
            raise VQVAEError(f"the quantizer was given {np.dtype(z.dtype).name} values: it takes float32")

    def hybrid_forward(self, F, z, embeddings):
        codes = nearest_codes(F, F.BlockGrad(z), F.BlockGrad(embeddings), self.num_embeddings)
        rows = codebook_rows(F, codes, embeddings, self.num_embeddings, self.embedding_dim)
        fixed = F.BlockGrad(rows)
        # z - sg(z) is exactly zero, so the value is the codebook row itself; sg(rows - z) + z
        # would be off by a rounding, and training would see other numbers than prediction.
        quantized = fixed + (z - F.BlockGrad(z))
        commitment_loss = mean_square(F, fixed - z)
        # With 'ema' the same number, and nothing to pass a gradient to.
        is_fixed = self.update == "ema"
        codebook_loss = F.BlockGrad(commitment_loss) if is_fixed else mean_square(F, rows - F.BlockGrad(z))
        return quantized, codes, commitment_loss, codebook_loss


class NearestRow(HybridBlock):
    """The prediction form of a :class:`VectorQuantizer`, sharing its codebook.

    (N, D, H, W) float32 -> what :class:`Quantized` names, where ``quantized`` is the codebook rows alone and
    the losses have the gradients of EMADL's layer, whatever the update rule. In its graph ``likeness`` (N, K, H, W)
    stands for those who choose the codes themselves, as the C++ layer does, and the codes are called ``codes``,
    without a prefix.
    """

    def __init__(self, quantizer: VectorQuantizer) -> None:
        super().__init__(prefix=quantizer.prefix, params=quantizer.params)
        self._size = (quantizer.num_embeddings, quantizer.embedding_dim)
        with self.name_scope():
            self.embeddings = self.params.get("embeddings")

    def hybrid_forward(self, F, z, embeddings):
        # The slice takes all and changes nothing but the layout in memory, from oneDNN's own to rows, in one pass where
        # a reshape makes two. argmax needs it anyway, and whoever copies the values out of MXNet would do it in his own
        # thread otherwise.
        alike = likeness(F, z, embeddings, self._size[0])
        alike = F.slice(alike, begin=(None,), end=(None,), name="likeness")
        with mx.name.NameManager():  # which adds no prefix
            codes = F.argmax(alike, axis=1, name="codes")
        rows = codebook_rows(F, codes, embeddings, *self._size)
        return rows, codes, mean_square(F, F.BlockGrad(rows) - z), mean_square(F, rows - F.BlockGrad(z))


class CodebookAverages:
    """Moves a codebook by exponential moving averages of the vectors assigned to each row.

    Source: van den Oord et al. (2017), appendix A.1: N_k <- g N_k + (1-g) n_k,
    m_k <- g m_k + (1-g) sum of the vectors of code k, e_k = m_k / N_k with N_k Laplace-smoothed.
    A row whose average count falls under ``dead_below`` restarts at a random encoder output.

    The counts (K,) and sums (K, D) are float64 NumPy arrays in vectors per batch; they are part of
    a training, not of a model.

    Parameters
    ----------
    quantizer : VectorQuantizer
        One with ``update='ema'``, initialized.
    decay : float
        g in [0, 1).
    epsilon : float
        Laplace smoothing of the counts.
    dead_below : float
        Average vectors per batch, 0 or more, under which a row is dead; 0 replaces none.

    Raises
    ------
    VQVAEError
        For a quantizer with another update rule, and a decay or a ``dead_below`` out of range.
    """

    def __init__(
        self,
        quantizer: VectorQuantizer,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        dead_below: float = 1.0,
    ) -> None:
        if quantizer.update != "ema":
            raise VQVAEError(
                f"moving averages were asked for a quantizer with update={quantizer.update!r}: "
                "build it with update='ema'"
            )
        if not 0 <= decay < 1:
            raise VQVAEError(f"decay was given as {decay}: it must be in [0, 1)")
        if not dead_below >= 0:
            raise VQVAEError(f"dead_below was given as {dead_below}: it must be 0 or more")
        self.quantizer = quantizer
        self.decay = decay
        self.epsilon = epsilon
        self.dead_below = dead_below
        self.counts = np.ones(quantizer.num_embeddings)
        self.sums = self.codebook().astype(np.float64)

    def codebook(self) -> np.ndarray:
        """Return the (K, D) float32 codebook."""
        embeddings = self.quantizer.embeddings
        return embeddings.data(embeddings.list_ctx()[0]).asnumpy()

    def start(self, z: np.ndarray, batch_size: int, rng: np.random.RandomState) -> None:
        """Set the codebook to k-means centres of (N, D, H, W) encoder outputs.

        The averages start as if a batch of ``batch_size`` images were distributed like z.
        """
        from scipy.cluster.vq import kmeans2

        vectors = _as_vectors(z)
        # Encoder outputs repeat (a digit's background), and k-means++ on fewer distinct vectors
        # than rows would choose one twice.
        distinct, repeats = np.unique(vectors, axis=0, return_counts=True)
        if len(distinct) <= self.quantizer.num_embeddings:
            raise VQVAEError(
                f"k-means was given {len(distinct)} distinct vectors to start "
                f"{self.quantizer.num_embeddings} embeddings: give more images or fewer embeddings"
            )
        centres, labels = kmeans2(
            distinct.astype(np.float64),
            self.quantizer.num_embeddings,
            iter=10,
            minit="++",
            missing="warn",
            seed=rng,
        )
        self.counts = np.bincount(labels, weights=repeats, minlength=len(centres)) * (batch_size / len(z))
        self.counts = np.maximum(self.counts, self.dead_below)
        self.sums = centres * self.counts[:, None]
        self._write(centres)

    def step(
        self, sums: Sequence[mx.nd.NDArray], z: Sequence[mx.nd.NDArray], rng: np.random.RandomState
    ) -> int:
        """Take in one training batch and move the codebook.

        ``z`` (N, D, H, W), the encoder's outputs, and ``sums`` (K, D + 1), what :func:`vector_sums` made of them and
        their codes; one of each for every device. Returns the number of dead rows replaced.
        """
        added = sum(part.asnumpy() for part in sums)
        self.counts = self.decay * self.counts + (1 - self.decay) * added[:, -1]
        self.sums = self.decay * self.sums + (1 - self.decay) * added[:, :-1]
        total = self.counts.sum()
        smoothed = (self.counts + self.epsilon) / (total + len(self.counts) * self.epsilon) * total
        codebook = self.sums / smoothed[:, None]

        dead = np.flatnonzero(self.counts < self.dead_below)
        if len(dead):
            vectors = np.concatenate([_as_vectors(part.asnumpy()) for part in z])
            codebook[dead] = vectors[rng.randint(len(vectors), size=len(dead))]
            self.counts[dead] = self.dead_below
            self.sums[dead] = codebook[dead] * self.dead_below
        self._write(codebook)
        return len(dead)

    def state(self) -> Dict[str, np.ndarray]:
        """Return the arrays a checkpoint must hold besides the codebook."""
        return {"counts": self.counts.copy(), "sums": self.sums.copy()}

    def restore(self, state: Dict[str, np.ndarray]) -> None:
        """Take the arrays of :meth:`state` back."""
        self.counts, self.sums = state["counts"].copy(), state["sums"].copy()

    def _write(self, codebook: np.ndarray) -> None:
        # Unlike mx.nd.array, from_numpy does not wait for the work that MXNet has in hand.
        self.quantizer.embeddings.set_data(mx.nd.from_numpy(codebook.astype(np.float32)))


def _as_vectors(z: np.ndarray) -> np.ndarray:
    return z.transpose(0, 2, 3, 1).reshape(-1, z.shape[1])
