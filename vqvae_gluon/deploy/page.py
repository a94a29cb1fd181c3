"""A model as a browser page: the files of ``web/``, the runtime that npm fetches, the ONNX files and ``model.json``.

``model.json`` describes the model to the page: the shapes of images and of their codes, a colour for each code, the
sizes of the prior and its classes, and the mean bits of a validation image.
"""
import colorsys
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from .. import __version__
from ..errors import VQVAEError
from ..files import new_folder, shipped_folder
from ..model_files.folder import ModelFolder, find_model, read_manifest
from .onnx import ENCODER, build_onnx, write_graphs
from .predictor import File, Predictor
from .sampler import Sampler

INSTALL_NPM = "install Node.js with npm (Debian: apt-get install npm)"

#: The files that the page uses of the package onnxruntime-web: WebAssembly only, without WebGPU.
_RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_LOCK = ("package.json", "package-lock.json")
_DIGITS = (1, 28, 28)  # the shape of the images in ``web/examples``


def web_folder() -> Path:
    """Return the folder of the page's own files."""
    return shipped_folder("web", "web")


def build_page(output: File, model: Optional[File] = None) -> List[Path]:
    """Write the page of a model to a new or empty folder and return the paths of its files.

    Default: the pre-trained model. Any web server can serve the folder, under any path and without internet access;
    ``python -m http.server -d OUTPUT`` is enough.

    Raises
    ------
    VQVAEError
        If npm is missing or cannot install the runtime, the folder is neither new nor empty or cannot be written, or
        the model cannot be exported, see :func:`vqvae_gluon.deploy.onnx.export_onnx`. Nothing is left behind then.
    """
    with new_folder(output) as folder:
        npm = _find_npm()
        write_model(folder, model)
        _write_files(folder)
        _write_runtime(folder / "runtime", npm)
        names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [Path(output, name) for name in names]


def write_model(folder: Path, model: Optional[File] = None) -> None:
    """Write the files that describe a model, ``model.json``, the ONNX files and the examples, to an existing folder.

    Raises VQVAEError as :func:`build_page` does.
    """
    graphs = build_onnx(model)
    about = {prop.key: prop.value for prop in graphs[ENCODER].metadata_props}
    found = find_model(model)
    sampler = Sampler(model) if found.prior else None
    predictor = sampler.predictor if sampler else Predictor(model)
    if predictor.image_shape[0] not in (1, 3):
        raise VQVAEError(f"the model's images have {predictor.image_shape[0]} channels: a page shows those of 1 or 3")
    described = {
        "version": __version__,
        "name": about["model"],
        "epoch": about.get("epoch"),
        "isOwn": found == find_model(),
        "image": predictor.image_shape,
        "codes": predictor.codes_shape,
        "colours": code_colours(predictor.codebook),
        "prior": _describe_prior(sampler, found) if sampler else None,
        "examples": [],
    }
    if predictor.image_shape == _DIGITS:
        described["examples"] = [path.name for path in _copy(web_folder() / "examples", folder / "examples")]
    write_graphs(folder, graphs)
    (folder / "model.json").write_text(json.dumps(described, indent=1) + "\n")


def code_colours(codebook: np.ndarray) -> List[str]:
    """Return a colour '#rrggbb' for each row of a codebook (K, D), light enough for dark text.

    Similar rows get similar colours: the hue is the rank of a row's angle in the plane of the first two principal
    components, the lightness is its rank along the third.
    """
    rows = codebook.astype(np.float64) - codebook.mean(axis=0)
    axes = np.linalg.svd(rows, full_matrices=False)[2]
    places = np.zeros((len(rows), 3))
    places[:, : len(axes)] = (rows @ axes.T)[:, :3]
    hues, lights = _ranks(np.arctan2(places[:, 1], places[:, 0])), _ranks(places[:, 2])
    colours = []
    for hue, light in zip(hues, lights):
        rgb = colorsys.hls_to_rgb(hue, 0.62 + 0.2 * light, 0.62)
        colours.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return colours


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, in [0, 1)."""
    return values.argsort(kind="stable").argsort(kind="stable") / len(values)


def _describe_prior(sampler: Sampler, folder: ModelFolder) -> Dict[str, Any]:
    metrics = read_manifest(folder.manifest).get("prior", {}).get("metrics", {})
    return {
        "layers": sampler.size.layers,
        "headWidth": sampler.size.head_width,
        "classes": list(sampler.classes),
        "validationBits": metrics.get("validation_bits_per_image"),
    }


def _write_files(folder: Path) -> None:
    own = web_folder()
    for path in sorted(own.iterdir()):
        if path.is_file() and path.name not in _LOCK:
            shutil.copyfile(path, folder / path.name)


def _copy(source: Path, target: Path) -> List[Path]:
    """Copy the files of a folder to a new folder and return the copies, sorted by name."""
    target.mkdir()
    paths = [target / path.name for path in sorted(source.iterdir())]
    for path in paths:
        shutil.copyfile(source / path.name, path)
    return paths


def _find_npm() -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise VQVAEError(f"npm is missing, which fetches the page's runtime, onnxruntime-web: {INSTALL_NPM}")
    return npm


def _write_runtime(folder: Path, npm: str) -> None:
    """Install the runtime with npm in a temporary folder, and copy the files that the page needs."""
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="vqvae-page-") as temporary:
        for name in _LOCK:
            shutil.copyfile(web_folder() / name, Path(temporary, name))
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        try:
            done = subprocess.run(command, cwd=temporary, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise VQVAEError(f"{npm}: cannot be run ({error.strerror}); {INSTALL_NPM}") from None
        if done.returncode:
            raise VQVAEError(f"npm ci cannot install onnxruntime-web: {_fault(done.stderr or done.stdout)}")
        for name in _RUNTIME:
            shutil.copyfile(Path(temporary, "node_modules", "onnxruntime-web", "dist", name), folder / name)


def _fault(said: bytes) -> str:
    """Return the line of npm's output that says what is wrong: the first that is more than an error code."""
    lines = (re.sub("^npm (error|ERR!)", "", line).strip() for line in said.decode("utf-8", "replace").splitlines())
    return next((line for line in lines if line and not re.match("code |errno |syscall ", line)), "it does not say why")
