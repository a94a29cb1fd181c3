"""Build and load models by name."""
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, Union

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from .emadl import OWN_PROJECT, Texts
from .emadl.block import build
from .emadl.component import read
from .emadl.project import Geometry, parse_project, read_project
from .errors import VQVAEError
from .model_files.folder import find_model, load_parameters, pretrained_folder
from .nn import (
    VQVAE,
    DenseLayerChannelReduction,
    InceptionResNetV2Encoder,
    ResidualDecoder,
    ResidualEncoder,
    VectorQuantizer,
)
from .nn.vqvae import ComponentNames, code_grid
from .recipes.autoencoder import Recipe

_EMADL_STRIDE = 4  # of this package's EMADL project, whose text says height / 4


def _emadl_decoder(
    channels: int, embedding_dim: int, image_size: Tuple[int, int], stride: int, prefix: str
) -> HybridBlock:
    """Return the decoder that ``Decoder.emadl`` in this package describes."""
    if stride != _EMADL_STRIDE:
        raise VQVAEError(
            f"decoder 'emadl' was given for stride {stride}: it makes images {_EMADL_STRIDE} times as high and wide "
            "as their codes; choose the residual one"
        )
    height, width = image_size
    path = OWN_PROJECT / "Decoder.emadl"
    sizes = {"channels": channels, "height": height, "width": width, "embedding_dim": embedding_dim}
    return build(read(path, **sizes), prefix)


DECODERS: Dict[str, Callable[..., HybridBlock]] = {"emadl": _emadl_decoder, "residual": ResidualDecoder}


def compose(
    encoder: HybridBlock,
    decoder: str,
    channels: int = 1,
    embedding_dim: int = 16,
    num_embeddings: int = 64,
    update: str = "gradient",
    image_size: Tuple[int, int] = (28, 28),
    decoder_width: Optional[int] = None,
    stride: Optional[int] = None,
) -> VQVAE:
    """Return the VQ-VAE around an encoder that was built for the same ``channels`` and ``embedding_dim``.

    ``encoder.stride`` is the side, in pixels, of the square that one code covers; ``stride``, if given, must equal it.
    ``decoder`` is 'emadl', which needs stride 4, or 'residual'; ``decoder_width`` is the width of the latter. See
    :func:`get_model` for the other parameters. Raises VQVAEError for another stride, an unknown decoder, one that does
    not fit the stride, or an image size that is not a multiple of the stride.
    """
    if stride not in (None, encoder.stride):
        raise VQVAEError(
            f"stride was given as {stride}: that of {type(encoder).__name__} is always {encoder.stride}; leave it out"
        )
    codes_shape = code_grid(image_size, encoder.stride)
    # Fixed prefixes: exported names must not depend on how many models a process has made.
    return VQVAE(
        encoder,
        VectorQuantizer(num_embeddings, embedding_dim, update, prefix="vectorquantize0_"),
        _make_decoder(decoder, channels, embedding_dim, image_size, encoder.stride, decoder_width),
        (channels, *image_size),
        codes_shape,
        prefix="",
    )


def _make_decoder(
    name: str, channels: int, embedding_dim: int, image_size: Tuple[int, int], stride: int, width: Optional[int]
) -> HybridBlock:
    if name not in DECODERS:
        raise VQVAEError(f"unknown decoder {name!r}: choose one of {', '.join(DECODERS)}")
    settings = {} if width is None else {"width": width}
    return DECODERS[name](channels, embedding_dim, image_size, stride=stride, **settings, prefix="decoder_")


def vqvae_emadl(
    channels: Optional[int] = None,
    embedding_dim: Optional[int] = None,
    num_embeddings: Optional[int] = None,
    update: str = "gradient",
    image_size: Optional[Tuple[int, int]] = None,
    decoder: Optional[str] = None,
    decoder_width: Optional[int] = None,
    stride: Optional[int] = None,
    emadl: Optional[Union[str, Path, Texts]] = None,
    quantizer: Type[VectorQuantizer] = VectorQuantizer,
) -> VQVAE:
    """Return the VQ-VAE that EMADL text describes: this package's own project, or ``emadl``.

    ``emadl`` is a project folder, see :func:`vqvae_gluon.emadl.read_project`, or a project's texts by file name. The
    sizes default to those of the text; they can be changed where its components have parameters called channels,
    height, width, embedding_dim and num_embeddings, as this package's do. ``decoder`` is the project's own by default,
    or else 'emadl' or 'residual', see :func:`compose`. ``stride`` follows from the text; any other value is refused.
    """
    if emadl is None:
        code_grid(image_size or (_EMADL_STRIDE,) * 2, _EMADL_STRIDE)
        emadl = OWN_PROJECT
    height, width = image_size or (None, None)
    wanted = {"channels": channels, "height": height, "width": width}
    wanted.update(embedding_dim=embedding_dim, num_embeddings=num_embeddings)
    sizes = {name: size for name, size in wanted.items() if size is not None}
    project = parse_project(emadl, None, **sizes) if isinstance(emadl, dict) else read_project(emadl, **sizes)
    geometry = project.geometry
    if stride is not None and not _has_stride(geometry, stride):
        raise VQVAEError(
            f"stride was given as {stride}: the EMADL text makes codes of {geometry.encoding[1:]} "
            f"of images of {geometry.image[1:]}; leave it out"
        )
    names = ComponentNames(project.encoder.full_name, project.decoder.full_name)
    if decoder is None and decoder_width is None:
        decoding = build(project.decoder, "decoder_")
    else:
        decoding = _other_decoder(decoder or "emadl", geometry, decoder_width)
        names = names._replace(decoder=f"{project.encoder.package}.Decoder")
    return VQVAE(
        build(project.encoder.without_quantizer()[0], "encoder_"),
        quantizer(geometry.num_embeddings, geometry.encoding[0], update, prefix="vectorquantize0_"),
        decoding,
        geometry.image,
        geometry.encoding[1:],
        names,
        prefix="",
    )


def _other_decoder(name: str, geometry: Geometry, width: Optional[int]) -> HybridBlock:
    """Return a decoder that is not the project's own, if it fits the project's codes."""
    channels, height, breadth = geometry.image
    if not _has_stride(geometry, _EMADL_STRIDE):
        raise VQVAEError(
            f"decoder {name!r} was given for codes of {geometry.encoding[1:]}: "
            f"it makes images {_EMADL_STRIDE} times as high and wide; leave it out"
        )
    return _make_decoder(name, channels, geometry.encoding[0], (height, breadth), _EMADL_STRIDE, width)


def _has_stride(geometry: Geometry, stride: int) -> bool:
    return geometry.image[1:] == tuple(stride * side for side in geometry.encoding[1:])


def vqvae_residual(
    channels: int = 1,
    embedding_dim: int = 16,
    width: int = 128,
    decoder: str = "residual",
    stride: int = 4,
    **settings: Any,
) -> VQVAE:
    """Return the VQ-VAE with the basic residual encoder, see :class:`ResidualEncoder`."""
    encoder = ResidualEncoder(channels, embedding_dim, width, stride=stride, prefix="encoder_")
    return compose(encoder, decoder, channels, embedding_dim, **settings)


def vqvae_inception_resnet_v2_1x1(
    channels: int = 1,
    embedding_dim: int = 16,
    width: int = 32,
    blocks: Tuple[int, int, int] = (1, 1, 1),
    decoder: str = "residual",
    **settings: Any,
) -> VQVAE:
    """Return the VQ-VAE with an :class:`InceptionResNetV2Encoder` that ends in one 1x1 convolution."""
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
    """Return the VQ-VAE with an :class:`InceptionResNetV2Encoder` that ends in :class:`DenseLayerChannelReduction`.

    ``reduced_width`` is the number of channels at which halving stops; default: ``embedding_dim``.
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
    """Register a model of your own for :func:`get_model`, recipes and the ``vqvae`` commands of this process.

    ``build`` takes the settings of :func:`get_model` and returns the model, see :func:`compose`. Raises
    VQVAEError for a name that is taken or not in lower case.
    """
    if name != name.lower() or name in _MODELS:
        raise VQVAEError(f"model name {name!r} is taken or not in lower case; choose another one")
    _MODELS[name] = build


def get_model_list() -> List[str]:
    """Return the names that :func:`get_model` accepts, sorted."""
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
        Load trained parameters from ``root`` (True), or from its subfolder of this name ('emadl': the configuration of
        the original EMADL project). Otherwise the model is not initialized.
    root : path, optional
        The folder of a run of ``vqvae train``; default: the models that come with the package.
    ctx : mx.Context
        The device of pre-trained parameters.
    **kwargs
        Settings of the model; those of a pre-trained one need not be given. All models have num_embeddings (64),
        embedding_dim (16), update ('gradient' or 'ema', see :class:`VectorQuantizer`), channels (1), image_size
        (height, width; (28, 28)), decoder ('emadl' or 'residual'), decoder_width and stride (the side, in pixels, of
        the square that one code covers: 4, 8 or 16 for 'vqvae_residual', 4 for the others). The encoders have settings
        of their own: width, blocks and reduced_width; for emadl, see :func:`vqvae_emadl`.

    Raises
    ------
    VQVAEError
        For an unknown name or setting, for settings that do not fit together, and for missing, damaged or foreign
        parameter files.
    """
    if name.lower() not in _MODELS:
        raise VQVAEError(f"unknown model {name!r}: choose one of {', '.join(get_model_list())}")
    if not pretrained:
        return _build(name, kwargs)
    folder = Path(root) if root else pretrained_folder()
    folder = folder / pretrained if isinstance(pretrained, str) else folder
    model = _build(name, {**_trained_settings(folder, name), **kwargs})
    load_parameters(model, folder, ctx)
    return model


def get_weights(root: Union[str, Path]) -> Dict[str, np.ndarray]:
    """Return the trained parameters, by name, of the model in a run or a model folder.

    Raises VQVAEError for missing or damaged files.
    """
    folder = find_model(root)
    return {**folder.load(folder.encoder).weights, **folder.load(folder.decoder).weights}


def _build(name: str, settings: Dict[str, Any]) -> VQVAE:
    try:
        return _MODELS[name.lower()](**settings)
    except TypeError as error:
        raise VQVAEError(f"model {name!r}: {str(error).split('() ', 1)[-1]}") from None


def _trained_settings(folder: Path, name: str) -> Dict[str, Any]:
    """Return the settings in a trained model's manifest (default: the default recipe's); none if of another model."""
    recipe = Recipe.from_dict(find_model(folder).read_origin()[0])
    if recipe.model != name.lower():
        return {}
    return {setting: value for setting, value in recipe.model_settings().items() if setting != "update"}
