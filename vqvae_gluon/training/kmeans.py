"""Start a codebook by mini-batch k-means, which takes seconds for thousands of rows and can be interrupted."""
from typing import Tuple

import numpy as np
from tqdm import tqdm

from ..data import batches
from ..errors import VQVAEError
from ..runtime import let_in_sklearn, stop_if_asked

_LEAST_VECTORS, _VECTORS_A_ROW = 1 << 15, 8
_PASSES = 2
_LEAST_BATCH = 1 << 12
_SPREAD = 512  # rows up to which k-means++ chooses the start: its time grows with K^2, its benefit fades


def vectors_needed(num_embeddings: int) -> int:
    """Return the number of vectors that :func:`kmeans` makes good use of."""
    return max(_LEAST_VECTORS, _VECTORS_A_ROW * num_embeddings)


def kmeans(vectors: np.ndarray, num_embeddings: int, rng: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """Return K = ``num_embeddings`` centres (K, D) float32 of vectors (V, D), and the number of vectors (K,) of each.

    Source: Sculley, "Web-Scale K-Means Clustering" (2010); scikit-learn's MiniBatchKMeans. Raises VQVAEError for fewer
    than K distinct vectors.
    """
    let_in_sklearn()
    from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus

    # Encoder outputs repeat (a digit's background), and one vector must not start two rows.
    distinct, repeats = np.unique(vectors, axis=0, return_counts=True)
    if len(distinct) < num_embeddings:
        raise VQVAEError(
            f"k-means was given {len(distinct)} distinct vectors to start "
            f"{num_embeddings} embeddings: give more images or fewer embeddings"
        )
    start = distinct[rng.permutation(len(distinct))[: max(num_embeddings, _LEAST_BATCH)]]
    if num_embeddings <= _SPREAD:
        start, _ = kmeans_plusplus(start, num_embeddings, random_state=rng)
    start = start[:num_embeddings]
    clusters = MiniBatchKMeans(num_embeddings, init=start, n_init=1, random_state=rng)
    batch_size = max(_LEAST_BATCH, num_embeddings)
    counts = np.zeros(num_embeddings)
    with tqdm(total=(_PASSES + 1) * len(distinct), desc="k-means", unit=" vectors", leave=False, disable=None) as bar:
        for _ in range(_PASSES):
            for batch in batches(distinct, batch_size, rng):
                stop_if_asked()
                clusters.partial_fit(batch)
                bar.update(len(batch))
        for chosen in batches(np.arange(len(distinct)), batch_size):
            stop_if_asked()
            counts += np.bincount(clusters.predict(distinct[chosen]), repeats[chosen], num_embeddings)
            bar.update(len(chosen))
    return clusters.cluster_centers_.astype(np.float32), counts


def count_nearest(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the number of vectors (V, D) to which each of the rows (K, D) is nearest, (K,) float64, at least 1.

    With moving averages, a row whose count is 0 would be the mean of nothing and move to zero at once.
    """
    from scipy.cluster.vq import vq

    return np.maximum(np.bincount(vq(vectors, rows)[0], minlength=len(rows)), 1.0)
