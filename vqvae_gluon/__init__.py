"""VQ-VAE for MXNet Gluon.

Names are loaded on first use, so that ``import vqvae_gluon`` costs next to nothing.
"""
import importlib
import os

__version__ = "0.2.0"

# MXNet copies large arrays with OpenMP in the thread that asks for it. That thread then has its own team of threads
# beside the engine's, so there are more threads than cores; from then on libgomp lets all of them sleep after each
# operator instead of spinning, and training with small batches takes 1.7 times as long. MXNet reads this variable at
# its first copy.
os.environ.setdefault("MXNET_CPU_PARALLEL_SIZE", str(2**31 - 1))

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
