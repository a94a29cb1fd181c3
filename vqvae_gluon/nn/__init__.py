"""Hybrid blocks; they know nothing of data or training."""
from .emadl import EMADLDecoder, EMADLEncoder, UpConvolution
from .quantizer import CodebookAverages, Quantized, VectorQuantizer
from .vqvae import VQVAE, DecodingNetwork, EncodingNetwork, VQVAEOutput

__all__ = [
    "VQVAE",
    "CodebookAverages",
    "DecodingNetwork",
    "EMADLDecoder",
    "EMADLEncoder",
    "EncodingNetwork",
    "Quantized",
    "UpConvolution",
    "VQVAEOutput",
    "VectorQuantizer",
]
