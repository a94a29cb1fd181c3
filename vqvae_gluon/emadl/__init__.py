"""EMADL: components and configurations as text, and the blocks and settings that they describe.

docs/emadl.md describes the supported language. Names are loaded on first use: the parser only when EMADL text is read,
and MXNet only by :func:`load` and :func:`build`.
"""
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Union

if TYPE_CHECKING:
    from .block import Network

#: The texts of a project by file name.
Texts = Dict[str, str]
#: The folder of the EMADL project that this package is built around.
OWN_PROJECT = Path(__file__).with_name("vqvae")
#: The EMADL file of the classifier that judges reconstructions.
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
    """Return the block of the component in a file, uninitialized, see :class:`~vqvae_gluon.emadl.block.Network`.

    ``parameters`` set the component's own parameters. Raises VQVAEError, with a message that begins with
    ``FILE:LINE:COLUMN:``, for text that is not EMADL or not supported, see :func:`~vqvae_gluon.emadl.component.parse`.

    Examples
    --------
    >>> network = load("LeNetNetwork.emadl", classes=7)
    >>> network.initialize()
    >>> network(mx.nd.zeros((5, 1, 28, 28))).shape
    (5, 7)
    """
    from .block import build
    from .component import read

    return build(read(path, **parameters))
