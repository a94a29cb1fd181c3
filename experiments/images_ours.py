"""Train this package's model for images.py, by as many updates at a time as requested."""
import time
from itertools import islice
from typing import Any, Dict, Iterator, List, Tuple

import mxnet as mx
import numpy as np
from worker import serve

from vqvae_gluon import Recipe
from vqvae_gluon.data import SPLITS, Dataset, Split, batches, to_bytes, to_unit
from vqvae_gluon.training.autoencoder import Autoencoder


class Run:
    """One training, with exactly the updates of ``vqvae train``, that can be paused within an epoch."""

    def begin(self, images: str, recipe: Dict[str, Any]) -> None:
        """Start a training with a recipe on the splits, uint8 (N, C, H, W), of an .npz file."""
        arrays = np.load(images)
        dataset = Dataset(*(Split(arrays[name]) for name in SPLITS))
        self._trained = Autoencoder(Recipe.from_dict(recipe), dataset)
        self._batches = self._order()

    def _order(self) -> Iterator[Tuple[np.ndarray, np.random.RandomState]]:
        """Yield for each update the numbers of its images and the generator of its epoch, drawn as in ``Loop``."""
        trained, recipe = self._trained, self._trained.recipe
        for epoch in range(recipe.num_epoch):
            rng = np.random.RandomState([recipe.seed, epoch])
            if epoch == 0:
                trained.start(rng)
            for chosen in batches(np.arange(trained.examples), recipe.batch_size, rng):
                yield chosen, rng

    def advance(self, updates: int) -> Dict[str, float]:
        """Run updates; return their time, with the codebook's initialisation, and metrics of the validation split."""
        meter = self._trained.meter()
        start, cpu_start = time.perf_counter(), time.process_time()
        for chosen, rng in islice(self._batches, updates):
            self._trained.step(chosen, meter, rng)
        mx.nd.waitall()
        seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
        figures = self._trained.measure("validation")
        return {**seconds, **{name: figures[name] for name in ("mse", "perplexity", "codes_used")}}

    def reconstruct(self, chosen: List[int], path: str) -> None:
        """Write the reconstructions of some validation images, uint8, to an .npy file."""
        images = self._trained.dataset.validation.images[chosen]
        output = self._trained.model(mx.nd.array(to_unit(images)))
        np.save(path, to_bytes(output.reconstruction.asnumpy()))


if __name__ == "__main__":
    run = Run()
    serve(run.begin, run.advance, run.reconstruct)
