"""The same VQ-VAE in PyTorch, and a program that reconstructs an image with it.

Usage: python torch_model.py WEIGHTS.pt IMAGE OUT.png
"""
import os
import sys
from typing import Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Of MNIST's mean brightness, where recipe ema starts: from gray, training may saturate the sigmoid for good.
MEAN_LOGIT = -1.9


def make_encoder() -> nn.Sequential:
    """Return (N, 1, H, W) in [0, 1] -> (N, 16, H/4, W/4)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 16, 1),
        nn.Tanh(),
    )


def make_decoder() -> nn.Sequential:
    """Return (N, 16, h, w) -> (N, 1, 4h, 4w) in [0, 1]."""
    return nn.Sequential(
        nn.ConvTranspose2d(16, 64, 4, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(32, 1, 3, stride=1, padding=1),
        nn.Sigmoid(),
    )


class VQVAE(nn.Module):
    """64 codes of 16 dimensions, updated by moving averages as in vqvae_gluon.nn.CodebookAverages.

    ``counts`` (64,) and ``sums`` (64, 16) are in vectors per batch; a row with fewer than ``dead_below`` restarts at a
    random encoder output.
    """

    def __init__(self, beta: float = 800.0, decay: float = 0.95, dead_below: float = 2.5) -> None:
        super().__init__()
        self.beta, self.decay, self.dead_below = beta, decay, dead_below
        self.encoder, self.decoder = make_encoder(), make_decoder()
        nn.init.constant_(self.decoder[-2].bias, MEAN_LOGIT)
        codebook = torch.empty(64, 16).uniform_(-0.07, 0.07)
        self.register_buffer("codebook", codebook)
        self.register_buffer("counts", torch.ones(64))
        self.register_buffer("sums", codebook.clone())

    def nearest(self, z: Tensor) -> Tensor:
        """Return the codes (N, h, w) of encoder outputs; a 1x1 convolution was never slower than a matrix product."""
        weight = -2 * self.codebook[:, :, None, None]
        return F.conv2d(z, weight, self.codebook.square().sum(1)).argmin(1)

    def rows(self, codes: Tensor) -> Tensor:
        """Return the codebook rows (N, 16, h, w) of codes."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    def forward(self, images: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the reconstructions and the codes of images."""
        codes = self.nearest(self.encoder(images))
        return self.decoder(self.rows(codes)), codes

    def loss(self, images: Tensor) -> Tuple[Tensor, Tensor]:
        """Return EMADL's loss, a mean over the batch, and the MSE per pixel; update the codebook."""
        z = self.encoder(images)
        with torch.no_grad():
            codes = self.nearest(z)
            rows = self.rows(codes)
        reconstructions = self.decoder(z + (rows - z).detach())
        mse = F.mse_loss(reconstructions, images)
        self._move_codebook(z.detach(), codes)
        return mse * images[0].numel() + self.beta * F.mse_loss(z, rows), mse.detach()

    @torch.no_grad()
    def _move_codebook(self, z: Tensor, codes: Tensor, epsilon: float = 1e-5) -> None:
        vectors, codes = z.permute(0, 2, 3, 1).reshape(-1, 16), codes.flatten()
        counts = torch.zeros_like(self.counts).index_add_(0, codes, torch.ones_like(vectors[:, 0]))
        sums = torch.zeros_like(self.sums).index_add_(0, codes, vectors)
        counts = torch.lerp(self.counts, counts, 1 - self.decay)
        sums = torch.lerp(self.sums, sums, 1 - self.decay)
        total = counts.sum()
        smoothed = (counts + epsilon) / (total + len(counts) * epsilon) * total
        # Without a branch on the data: no wait in eager mode, one graph when compiled.
        dead = counts < self.dead_below
        restarts = vectors[torch.randint(len(vectors), counts.shape)]
        self.codebook.copy_(torch.where(dead[:, None], restarts, sums / smoothed[:, None]))
        self.sums.copy_(torch.where(dead[:, None], restarts * self.dead_below, sums))
        self.counts.copy_(counts.clamp(min=self.dead_below))


def load_model(weights: str) -> VQVAE:
    """Return the model of a state saved with ``torch.save``, for prediction."""
    model = VQVAE()
    model.load_state_dict(torch.load(weights))
    return model.eval()


def main(weights: str, image: str, output: str) -> None:
    """Reconstruct one grayscale image."""
    import numpy as np
    from PIL import Image

    model = load_model(weights)
    pixels = torch.from_numpy(np.array(Image.open(image).convert("L"))) / 255
    with torch.inference_mode():
        reconstruction, _ = model(pixels[None, None])
    Image.fromarray((reconstruction[0, 0] * 255).round().byte().numpy()).save(output)
    os._exit(0)  # what is timed ends with the written file, not with the interpreter's farewell


if __name__ == "__main__":
    main(*sys.argv[1:])
