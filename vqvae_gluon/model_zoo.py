"""From a model's name to the model."""
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import mxnet as mx

from .errors import VQVAEError
from .nn import VQVAE, EMADLDecoder, EMADLEncoder, VectorQuantizer


def vqvae_emadl(
    num_embeddings: int = 64,
    embedding_dim: int = 16,
    update: str = "gradient",
    channels: int = 1,
    image_size: Tuple[int, int] = (28, 28),
) -> VQVAE:
    """Return the VQ-VAE of the EMADL project, for images (channels, height, width).

    ``update`` is the codebook's update rule, see :class:`VectorQuantizer`. Height and width must
    be multiples of 4.
    """
    # Fixed prefixes: exported names must not depend on how many models a process has made.
    return VQVAE(
        EMADLEncoder(channels, embedding_dim, prefix="encoder_"),
        VectorQuantizer(num_embeddings, embedding_dim, update, prefix="vectorquantize0_"),
        EMADLDecoder(channels, embedding_dim, image_size, prefix="decoder_"),
        channels,
        image_size,
        prefix="",
    )


_MODELS: Dict[str, Callable[..., VQVAE]] = {"vqvae_emadl": vqvae_emadl}


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
        Settings of the model: num_embeddings, embedding_dim, update, channels, image_size.

    Raises
    ------
    VQVAEError
        For an unknown name or setting, and for missing, damaged or foreign parameter files.
    """
    if name.lower() not in _MODELS:
        raise VQVAEError(f"unknown model {name!r}: choose one of {', '.join(get_model_list())}")
    try:
        model = _MODELS[name.lower()](**kwargs)
    except TypeError as error:
        raise VQVAEError(f"model {name!r}: {error}") from None
    if pretrained:
        from .deploy.artifacts import load_parameters, pretrained_folder

        folder = Path(root) if root else pretrained_folder()
        load_parameters(model, folder / pretrained if isinstance(pretrained, str) else folder, ctx)
    return model
