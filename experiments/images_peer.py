"""Train the same architecture with vector-quantize-pytorch for images.py; runs in the environment of benchmarks/."""
import os
import time
from itertools import islice
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize
from worker import serve

_EVALUATION_BATCH = 100
_LAYOUT = torch.channels_last  # faster by about a tenth: 0.39 instead of 0.43 s per update with colour images

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class ResidualBlock(nn.Module):
    """(N, channels, H, W) -> the same shape: x + 1x1(ReLU(3x3(ReLU(x)))), without biases."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class VQVAE(nn.Module):
    """The layers of ``vqvae_residual`` around the library's quantizer; (N, C, H, W) in [0, 1] -> the same.

    ``mean`` (C,) is the mean of each channel in [0, 1], which is the decoder's first guess, as in our recipe.
    """

    def __init__(self, mean: Tensor, width: int, stride: int, dim: int, **quantizer: Any) -> None:
        super().__init__()
        stages = [len(mean), width // 2] + [width] * {4: 1, 8: 2, 16: 3}[stride]
        down, up = [], []
        for outer, inner in zip(stages, stages[1:]):
            down += [nn.Conv2d(outer, inner, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
            up = [nn.ReLU(), nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1), *up]
        self.encoder = nn.Sequential(
            *down,
            nn.Conv2d(width, width, 3, padding=1),
            ResidualBlock(width, width // 4),
            ResidualBlock(width, width // 4),
            nn.ReLU(),
            nn.Conv2d(width, dim, 1),
        )
        self.quantizer = VectorQuantize(
            dim=dim, kmeans_init=True, threshold_ema_dead_code=2, accept_image_fmap=True, **quantizer
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, width, 3, padding=1),
            ResidualBlock(width, width // 4),
            ResidualBlock(width, width // 4),
            *up,
            nn.Sigmoid(),
        )
        with torch.no_grad():
            self.decoder[-2].bias.copy_(torch.logit(mean.clamp(0.01, 0.99)))

    def forward(self, images: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return reconstructions, codes (N, h, w) and the library's commitment loss."""
        quantized, codes, commitment = self.quantizer(self.encoder(images))
        return self.decoder(quantized), codes, commitment.sum()


class Run:
    """One training: Adam with cosine decay to zero, on the MSE plus the library's weighted commitment loss."""

    def begin(
        self,
        images: str,
        seed: int,
        batch: int,
        epochs: int,
        learning_rate: float,
        width: int,
        stride: int,
        **model: Any,
    ) -> None:
        """Start a training on the splits, uint8 (N, C, H, W), of an .npz file; ``model``: what VQVAE takes besides."""
        torch.manual_seed(seed)
        arrays = np.load(images)
        self._train, self._validation = (_to_unit(arrays[name]) for name in ("train", "validation"))
        self._model = VQVAE(self._train.mean((0, 2, 3)), width, stride, **model).to(memory_format=_LAYOUT)
        self._codes = model["codebook_size"]
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=learning_rate, fused=True)
        updates = epochs * -(-len(self._train) // batch)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, updates)
        self._batches = self._order(epochs, batch)

    def _order(self, epochs: int, batch: int) -> Iterator[Tensor]:
        for _ in range(epochs):
            yield from torch.randperm(len(self._train)).split(batch)

    def advance(self, updates: int) -> Dict[str, float]:
        """Run updates; return their time, with the codebook's initialisation, and metrics of the validation split."""
        start, cpu_start = time.perf_counter(), time.process_time()
        for chosen in islice(self._batches, updates):
            images = self._train[chosen].contiguous(memory_format=_LAYOUT)
            reconstructions, _, commitment = self._model(images)
            self._optimizer.zero_grad(set_to_none=True)
            (F.mse_loss(reconstructions, images) + commitment).backward()
            self._optimizer.step()
            self._schedule.step()
        seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
        return {**seconds, **self._measure()}

    @torch.inference_mode()
    def _measure(self) -> Dict[str, float]:
        total, counts = 0.0, torch.zeros(self._codes)
        self._model.eval()
        for images in self._validation.split(_EVALUATION_BATCH):
            reconstructions, codes, _ = self._model(images)
            total += F.mse_loss(reconstructions, images, reduction="sum").item()
            counts += torch.bincount(codes.flatten(), minlength=self._codes)
        self._model.train()
        return {
            "mse": total / self._validation.numel(),
            "perplexity": torch.special.entr(counts / counts.sum()).sum().exp().item(),
            "codes_used": int((counts > 0).sum()),
        }

    @torch.inference_mode()
    def reconstruct(self, chosen: List[int], path: str) -> None:
        """Write the reconstructions of some validation images, uint8, to an .npy file."""
        self._model.eval()
        reconstructions = self._model(self._validation[chosen])[0]
        np.save(path, (reconstructions * 255).round().byte().contiguous().numpy())


def _to_unit(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).float() / 255


if __name__ == "__main__":
    run = Run()
    serve(run.begin, run.advance, run.reconstruct)
