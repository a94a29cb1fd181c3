"""EMADL: text of components and configurations, and what it means as blocks and settings.

docs/emadl.md describes what is read. Names are loaded when they are first used: only who reads EMADL text loads its
parser, and only :func:`load` and :func:`build` load MXNet.
"""
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Union

if TYPE_CHECKING:
    from .block import Network

#: The texts of a project by their file names.
Texts = Dict[str, str]
#: The project that this package is built around, as text.
OWN_PROJECT = Path(__file__).with_name("vqvae")
#: The classifier that judges reconstructions, as text.
LENET = Path(__file__).with_name("mnist") / "LeNetNetwork.emadl"

_HOMES = {
    "Component": ".component",
    "Configuration": ".configuration",
    "Layer": ".component",
    "Network": ".block",
    "Project": ".project",
    "build": ".block",
    "parse": ".component",
    "parse_configuration": ".configuration",
    "parse_project": ".project",
    "read": ".component",
    "read_project": ".project",
}

__all__ = sorted([*_HOMES, "LENET", "OWN_PROJECT", "Texts", "load"])


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)


def load(path: Union[str, Path], **parameters: Any) -> "Network":
    """Return the block of the component in a file, not initialized, see :class:`~vqvae_gluon.emadl.block.Network`.

    ``parameters`` give values to the component's own parameters. Raises VQVAEError, beginning with
    ``FILE:LINE:COLUMN:``, for text that is no EMADL or not supported, see :func:`~vqvae_gluon.emadl.component.parse`.

    >>> network = load("LeNetNetwork.emadl", classes=7)
    >>> network.initialize()
    >>> network(mx.nd.zeros((5, 1, 28, 28))).shape
    (5, 7)
    """
    from .block import build
    from .component import read

    return build(read(path, **parameters))
