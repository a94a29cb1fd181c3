"""VQ-VAE for MXNet Gluon.

Names are loaded when they are first used, so that ``import vqvae_gluon`` costs nothing.
"""
import importlib

__version__ = "0.2.0"

_HOMES = {
    "Predictor": ".deploy.predictor",
    "Prior": ".nn",
    "Recipe": ".recipes.autoencoder",
    "Sampler": ".deploy.sampler",
    "Training": ".training.autoencoder",
    "VQVAE": ".nn",
    "VQVAEError": ".errors",
    "VectorQuantizer": ".nn",
    "export_run": ".export.run",
    "get_model": ".model_zoo",
    "get_model_list": ".model_zoo",
    "get_recipe": ".recipes.autoencoder",
    "load_dataset": ".data",
    "read_image": ".data",
    "to_bytes": ".data",
    "write_png": ".data",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
