"""Small EMADL projects, exported untrained, that together contain everything a network can be made of."""
import json
from pathlib import Path

from conftest import export_newest, make_model, spread_codebook

# Ends of a network that hold each kind of layer, and all that MXNet's fusion changed or lost before the C++ layer
# handled it. BODY stands for a convolution to the network's own channels.
TAILS = {
    "a convolution": "Convolution(kernel=(3,3), channels=1)",
    "a convolution and relu": "Convolution(kernel=(3,3), channels=1) -> Relu()",
    "a convolution and sigmoid": "Convolution(kernel=(3,3), channels=1) -> Sigmoid()",
    "sigmoid read twice": "Convolution(kernel=(3,3), channels=8) -> (Sigmoid() | ) -> Add() -> BODY",
    "relu read twice": "Convolution(kernel=(3,3), channels=8) -> (Relu() | ) -> Add() -> BODY",
    "relu read twice and joined": "Convolution(kernel=(3,3), channels=8) -> ( | Relu()) -> Concatenate() -> BODY",
    "a leaky relu": "Convolution(kernel=(3,3), channels=8) -> LeakyRelu(alpha=0.1) -> BODY",
    "batch normalization": "Convolution(kernel=(3,3), channels=8) -> BatchNorm() -> Relu() -> BODY",
    "padded pooling": 'Pooling(pool_type="avg", kernel=(3,3)) -> Pooling(pool_type="max", kernel=(2,2)) -> BODY',
    "an even kernel": "Convolution(kernel=(2,2), channels=8) -> Tanh() -> BODY",
    "an odd crop": 'UpConvolution(kernel=(3,3), channels=8, stride=(2,2)) -> Pooling(pool_type="max", kernel=(2,2), '
    "stride=(2,2)) -> BODY",
    "normalized responses": "Lrn(nsize=3) -> BODY",
    "parts": "Split(n=3) -> ([0] | [1] -> Relu() | [2]) -> Concatenate() -> BODY",
}


def export_tail(part: str, tail: str, folder: Path) -> Path:
    """Export a project, (1, 12, 8) -> 6 x 4 codes out of 7, whose ``part`` (encoder or decoder) ends in ``tail``."""
    body = tail.replace("BODY", "Convolution(kernel=(3,3), channels=1)")
    encoder = "Convolution(kernel=(4,4), channels=8, stride=(2,2))"
    decoder = "UpConvolution(kernel=(4,4), channels=8, stride=(2,2))"
    if part == "decoder":
        decoder = f"{decoder} -> {body}"
    else:
        encoder, decoder = f"{encoder} -> {body}", f"{decoder} -> UpConvolution(kernel=(3,3), channels=1) -> Sigmoid()"
    depth = 8 if part == "decoder" else 1
    texts = {
        "Enc.emadl": f"package p; component Enc {{ ports in Q(0:1)^{{1,12,8}} data, out Q^{{{depth},6,4}} encoding; "
        f"implementation CNN {{ data -> {encoder} -> VectorQuantize(num_embeddings=7) -> encoding; }} }}",
        "Dec.emadl": f"package p; component Dec {{ ports in Q^{{{depth},6,4}} encoding, out Q(0:1)^{{1,12,8}} data; "
        f"implementation CNN {{ encoding -> {decoder} -> data; }} }}",
        "Dec.conf": "configuration Dec { learning_method: vae encoder: p.Enc }",
    }
    model = export_newest(spread_codebook(make_model(name="vqvae_emadl", emadl=texts)), folder / "model")
    components = {"encoder": "p.Enc", "decoder": "p.Dec"}
    (folder / "manifest.json").write_text(json.dumps({"files": {}, "components": components}))
    return model
