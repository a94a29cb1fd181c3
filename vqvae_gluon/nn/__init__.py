"""Hybrid blocks; they do not depend on data or training."""
from .averages import CodebookAverages
from .branches import Branches
from .inception_resnet import InceptionResNetV2Encoder
from .prior import Prior
from .quantizer import Quantized, VectorQuantizer
from .reduction import DenseLayerChannelReduction, PointwiseReduction
from .residual import ResidualDecoder, ResidualEncoder
from .up_convolution import UpConvolution
from .vqvae import VQVAE, ComponentNames, DecodingNetwork, EncodingNetwork, VQVAEOutput

__all__ = [
    "VQVAE",
    "Branches",
    "CodebookAverages",
    "ComponentNames",
    "DecodingNetwork",
    "DenseLayerChannelReduction",
    "EncodingNetwork",
    "InceptionResNetV2Encoder",
    "PointwiseReduction",
    "Prior",
    "Quantized",
    "ResidualDecoder",
    "ResidualEncoder",
    "UpConvolution",
    "VQVAEOutput",
    "VectorQuantizer",
]
