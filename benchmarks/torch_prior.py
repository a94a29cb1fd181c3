"""The same prior in PyTorch: trained on whole images, sampled place by place with cached keys and values."""
from typing import List, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Layer(nn.Module):
    """A layer of the transformer; all heads share their keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads, self.head_width = width, heads, width // heads
        self.projection = nn.Linear(width, width + 2 * self.head_width)
        self.attention = nn.Linear(width, width)
        self.hidden, self.output = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def project(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return queries (N, heads, T, head_width), and keys and values (N, 1, T, head_width), of x (N, T, width)."""
        projected = self.projection(F.rms_norm(x, (self.width,)))
        queries, keys, values = projected.split([self.width, self.head_width, self.head_width], dim=-1)
        queries = queries.unflatten(-1, (self.heads, self.head_width)).transpose(1, 2)
        return queries, keys.unsqueeze(1), values.unsqueeze(1)

    def finish(self, x: Tensor, attended: Tensor, dropout: float = 0.0) -> Tensor:
        """Return the layer's output (N, T, width) from the result of its attention."""
        x = x + F.dropout(self.attention(attended.transpose(1, 2).flatten(2)), dropout)
        hidden = F.relu(self.hidden(F.rms_norm(x, (self.width,))))
        return x + F.dropout(self.output(hidden), dropout)


class Prior(nn.Module):
    """Codes (N, P) and classes (N,) -> logits (N, P, K), as in vqvae_gluon.nn.Prior."""

    def __init__(self, codes: int, places: int, classes: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.codes, self.places, self.head_width = codes, places, width // heads
        self.before, self.place = nn.Embedding(codes + 1, width), nn.Embedding(places, width)
        self.label = nn.Embedding(classes + 1, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.logits = nn.Linear(width, codes)
        self.width = width

    def forward(self, codes: Tensor, label: Tensor, dropout: float = 0.0) -> Tensor:
        """Return the logits of all places."""
        start = torch.full_like(codes[:, :1], self.codes)
        x = self.before(torch.cat([start, codes[:, :-1]], dim=1)) + self.place.weight + self.label(label)[:, None]
        x = F.dropout(x, dropout)
        for layer in self.layers:
            queries, keys, values = layer.project(x)
            attended = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
            x = layer.finish(x, attended, dropout)
        return self.logits(F.rms_norm(x, (self.width,)))

    @torch.inference_mode()
    def sample(self, label: Tensor, temperature: float = 1.0) -> Tensor:
        """Sample new codes (N, P) of classes (N,)."""
        count = len(label)
        cache = [
            torch.zeros(2, count, 1, self.places, self.head_width) for _ in self.layers
        ]
        codes = torch.full((count, self.places + 1), self.codes)
        of_label = self.label(label)
        for place in range(self.places):
            logits = self._step(codes[:, place], of_label, place, cache)
            codes[:, place + 1] = torch.multinomial(F.softmax(logits / temperature, dim=-1), 1)[:, 0]
        return codes[:, 1:]

    def _step(self, before: Tensor, of_label: Tensor, place: int, cache: List[Tensor]) -> Tensor:
        """Return the logits (N, K) of a place, and cache its keys and values."""
        x = (self.before(before) + self.place.weight[place] + of_label)[:, None]
        for layer, kept in zip(self.layers, cache):
            queries, kept[0, :, :, place : place + 1], kept[1, :, :, place : place + 1] = layer.project(x)
            keys, values = kept[:, :, :, : place + 1]
            x = layer.finish(x, F.scaled_dot_product_attention(queries, keys, values, enable_gqa=True))
        return self.logits(F.rms_norm(x, (self.width,)))[:, 0]
