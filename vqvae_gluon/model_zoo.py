"""From a model's name to the model."""
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, Union

import mxnet as mx
from mxnet.gluon import HybridBlock

from .errors import VQVAEError
from .nn import (
    VQVAE,
    DenseLayerChannelReduction,
    EMADLDecoder,
    EMADLEncoder,
    InceptionResNetV2Encoder,
    ResidualDecoder,
    ResidualEncoder,
    VectorQuantizer,
)

DECODERS = {"emadl": EMADLDecoder, "residual": ResidualDecoder}


def compose(
    encoder: HybridBlock,
    decoder: str,
    channels: int = 1,
    embedding_dim: int = 16,
    num_embeddings: int = 64,
    update: str = "gradient",
    image_size: Tuple[int, int] = (28, 28),
    decoder_width: Optional[int] = None,
    quantizer: Type[VectorQuantizer] = VectorQuantizer,
) -> VQVAE:
    """Return the VQ-VAE of an encoder built for the same ``channels`` and ``embedding_dim``.

    ``decoder`` is 'emadl' or 'residual'; ``decoder_width`` is the latter's width. See :func:`get_model`
    for the others. Raises VQVAEError for an unknown decoder or an image size the encoder's stride
    does not divide.
    """
    if decoder not in DECODERS:
        raise VQVAEError(f"unknown decoder {decoder!r}: choose one of {', '.join(DECODERS)}")
    width = {} if decoder_width is None else {"width": decoder_width}
    # Fixed prefixes: exported names must not depend on how many models a process has made.
    return VQVAE(
        encoder,
        quantizer(num_embeddings, embedding_dim, update, prefix="vectorquantize0_"),
        DECODERS[decoder](channels, embedding_dim, image_size, **width, prefix="decoder_"),
        channels,
        image_size,
        prefix="",
    )


def vqvae_emadl(
    channels: int = 1, embedding_dim: int = 16, decoder: str = "emadl", **settings: Any
) -> VQVAE:
    """Return the VQ-VAE of the EMADL project; ``settings``: see :func:`compose`."""
    encoder = EMADLEncoder(channels, embedding_dim, prefix="encoder_")
    return compose(encoder, decoder, channels, embedding_dim, **settings)


def vqvae_residual(
    channels: int = 1, embedding_dim: int = 16, width: int = 128, decoder: str = "residual", **settings: Any
) -> VQVAE:
    """Return the VQ-VAE with the basic residual encoder, see :class:`ResidualEncoder`."""
    encoder = ResidualEncoder(channels, embedding_dim, width, prefix="encoder_")
    return compose(encoder, decoder, channels, embedding_dim, **settings)


def vqvae_inception_resnet_v2_1x1(
    channels: int = 1,
    embedding_dim: int = 16,
    width: int = 32,
    blocks: Tuple[int, int, int] = (1, 1, 1),
    decoder: str = "residual",
    **settings: Any,
) -> VQVAE:
    """Return the VQ-VAE with :class:`InceptionResNetV2Encoder` that ends in one 1x1 convolution."""
    encoder = InceptionResNetV2Encoder(channels, embedding_dim, width, blocks, prefix="encoder_")
    return compose(encoder, decoder, channels, embedding_dim, **settings)


def vqvae_inception_resnet_v2_dlcr(
    channels: int = 1,
    embedding_dim: int = 16,
    width: int = 32,
    blocks: Tuple[int, int, int] = (1, 1, 1),
    reduced_width: Optional[int] = None,
    decoder: str = "residual",
    **settings: Any,
) -> VQVAE:
    """Return the VQ-VAE with :class:`InceptionResNetV2Encoder` that ends in :class:`DenseLayerChannelReduction`.

    ``reduced_width``: the channels at which halving ends; default: ``embedding_dim``.
    """
    target = embedding_dim if reduced_width is None else reduced_width
    reduction = partial(DenseLayerChannelReduction, width=target)
    encoder = InceptionResNetV2Encoder(channels, embedding_dim, width, blocks, reduction, prefix="encoder_")
    return compose(encoder, decoder, channels, embedding_dim, **settings)


_MODELS: Dict[str, Callable[..., VQVAE]] = {
    build.__name__: build
    for build in (vqvae_emadl, vqvae_residual, vqvae_inception_resnet_v2_1x1, vqvae_inception_resnet_v2_dlcr)
}


def register_model(name: str, build: Callable[..., VQVAE]) -> None:
    """Let :func:`get_model`, recipes and the ``vqvae`` commands of this process know a model of your own.

    ``build`` takes the settings of :func:`get_model` and returns the model, see :func:`compose`. Raises
    VQVAEError for a name that is taken or not in lower case.
    """
    if name != name.lower() or name in _MODELS:
        raise VQVAEError(f"model name {name!r} is taken or not in lower case; choose another one")
    _MODELS[name] = build


def get_model_list() -> List[str]:
    """Return the names :func:`get_model` knows."""
    return sorted(_MODELS)


def get_model(
    name: str,
    pretrained: Union[bool, str] = False,
    root: Optional[Union[str, Path]] = None,
    ctx: mx.Context = mx.cpu(),
    **kwargs: Any,
) -> VQVAE:
    """Return the model called ``name``.

    Parameters
    ----------
    name : str
        One of :func:`get_model_list`, in any case.
    pretrained : bool or str
        Load trained parameters: those of ``root`` (True), or of its subfolder of this name ('emadl': the
        seed's configuration). Without, the model is not initialized.
    root : path, optional
        A run of ``vqvae train``; default: the models that come with the package.
    ctx : mx.Context
        Where pre-trained parameters go.
    **kwargs
        Settings of the model. All have num_embeddings (64), embedding_dim (16), update ('gradient' or 'ema',
        see :class:`VectorQuantizer`), channels (1), image_size (height, width; (28, 28)), decoder ('emadl' or
        'residual') and decoder_width. The encoders' own: width, blocks, reduced_width.

    Raises
    ------
    VQVAEError
        For an unknown name or setting, settings that do not fit together, and for missing, damaged or foreign
        parameter files.
    """
    if name.lower() not in _MODELS:
        raise VQVAEError(f"unknown model {name!r}: choose one of {', '.join(get_model_list())}")
    try:
        model = _MODELS[name.lower()](**kwargs)
    except TypeError as error:
        raise VQVAEError(f"model {name!r}: {str(error).split('() ', 1)[-1]}") from None
    if pretrained:
        from .deploy.artifacts import load_parameters, pretrained_folder

        folder = Path(root) if root else pretrained_folder()
        load_parameters(model, folder / pretrained if isinstance(pretrained, str) else folder, ctx)
    return model
