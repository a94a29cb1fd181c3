"""Export a model to run without MXNet: as ONNX files for ONNX Runtime in Python, C++ and the browser.

``encoder.onnx``: images (N, C, H, W) float32 in [0, 1] -> codes (N, h, w) int64 in [0, K) and encoding (N, D, h, w).
``decoder.onnx``: codes (N, h, w) int64 -> images (N, C, H, W) float32 in [0, 1].
``prior.onnx``, if there is a prior, computes one place of N images: previous_code, place, class (N,) int64, temperature
(N, 1) float32, above 0, and for each layer past_keys0, past_values0 (N, P, head width) float32 -> probabilities (N, K)
float32 of the code at that place and keys0, values0, which are the past_keys0, past_values0 of the next place. Places
are in raster order. At the first place, previous_code is K, and the past keys and values are zeros; the class number
after the last class means "no class".
"""
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

import numpy as np

from .. import __version__
from ..files import new_folder, sha256
from ..model_files.component import Component
from ..model_files.folder import STEP, ModelFolder, find_model, read_manifest
from ..nn.prior import MASKED
from .onnx_graph import INSIDE, convert, find_onnx, rename
from .predictor import File
from .sampler import Sampler, step_inputs

if TYPE_CHECKING:
    import onnx

ENCODER, DECODER, PRIOR = "encoder.onnx", "decoder.onnx", "prior.onnx"


def export_onnx(output: File, model: Optional[File] = None) -> List[Path]:
    """Write a model's ONNX files to a new or empty folder and return their paths; default: the pre-trained model.

    Their metadata hold the name of the ``model``, the ``value_range`` of images, the exported ``epoch`` and the
    ``manifest_sha256`` of the run's manifest, if there is one, and for a prior its ``classes`` as JSON.

    Raises
    ------
    VQVAEError
        If the library onnx is missing or too new, the model is missing, damaged or not from this package, one of its
        operators has no ONNX form, or the folder is neither new nor empty or cannot be written.
    """
    with new_folder(output) as folder:
        names = write_onnx(folder, model)
    return [Path(output, name) for name in names]


def write_onnx(folder: Path, model: Optional[File] = None) -> List[str]:
    """Write a model's ONNX files to an existing folder and return their names; see :func:`export_onnx`."""
    graphs = build_onnx(model)
    write_graphs(folder, graphs)
    return list(graphs)


def write_graphs(folder: Path, graphs: "Dict[str, onnx.ModelProto]") -> None:
    """Write graphs to an existing folder, each under its name."""
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString())


def build_onnx(model: Optional[File] = None) -> "Dict[str, onnx.ModelProto]":
    """Return a model's graphs by file name, checked by the library onnx; see :func:`export_onnx`."""
    onnx = find_onnx()
    folder = find_model(model)
    about = _about(folder)
    encoder, decoder = folder.load(folder.encoder), folder.load(folder.decoder)
    graphs = {ENCODER: _encoder(encoder), DECODER: _decoder(decoder, encoder.codebook)}
    described = {ENCODER: about, DECODER: about}
    if folder.prior:
        sampler = Sampler(model)  # it checks that the prior belongs to this model
        graphs[PRIOR] = _prior(folder.load(folder.prior, STEP, step_inputs), sampler)
        described[PRIOR] = {**about, "classes": json.dumps(list(sampler.classes))}
    for name, graph in graphs.items():
        graph.producer_name, graph.producer_version = "vqvae_gluon", __version__
        onnx.helper.set_model_props(graph, described[name])
        onnx.checker.check_model(graph, full_check=True)
    return graphs


def _about(folder: ModelFolder) -> Dict[str, str]:
    """Return the metadata that all files share."""
    about = {"model": folder.encoder.rpartition(".")[0], "value_range": "images: float32 in [0, 1], a byte's 255th"}
    manifest = read_manifest(folder.manifest)
    recipe = manifest.get("recipe")
    if isinstance(recipe, dict):
        about.update(model=str(recipe.get("model")), epoch=str(manifest.get("epoch")))
    if manifest:
        about["manifest_sha256"] = sha256(folder.manifest)
    return about


def _encoder(component: Component) -> "onnx.ModelProto":
    from onnx import TensorProto, helper

    model = convert(component, ("codes", "encoding"))
    graph = model.graph
    rename(graph, f"{INSIDE}data.input", "images")
    rename(graph, f"{INSIDE}encoding", "encoding")
    graph.node.append(helper.make_node("Cast", [f"{INSIDE}codes"], ["codes"], "codes", to=TensorProto.INT64))
    encoding = next(port for port in graph.output if port.name == "encoding")
    _set_ports(graph.output, [_numbers("codes", component.output_shape("codes")), encoding])
    return model


def _decoder(component: Component, codebook: np.ndarray) -> "onnx.ModelProto":
    from onnx import helper, numpy_helper

    model = convert(component, ("data",))
    graph = model.graph
    rename(graph, f"{INSIDE}data", "images")
    graph.initializer.append(numpy_helper.from_array(codebook, "codebook"))
    nodes = [
        helper.make_node("Gather", ["codebook", "codes"], ["rows"], "rows", axis=0),
        helper.make_node("Transpose", ["rows"], [f"{INSIDE}data.input"], "encoding", perm=(0, 3, 1, 2)),
    ]
    _put_first(graph, nodes)
    _set_ports(graph.input, [_numbers("codes", component.input_shape[1:])])
    return model


def _prior(component: Component, sampler: Sampler) -> "onnx.ModelProto":
    """Return a prior's step that masks the places not filled yet and inserts the new keys and values."""
    from onnx import helper, numpy_helper

    size = sampler.size
    kept = size.kept
    model = convert(component, ("probabilities", *kept))
    graph = model.graph
    names = {"before": "previous_code", "place": "place", "label": "class", "temperature": "temperature"}
    names.update((name, f"past_{name}") for name in kept)
    for old, new in names.items():
        rename(graph, f"{INSIDE}{old}.input", new)
    rename(graph, f"{INSIDE}probabilities", "probabilities")
    constants = {
        "places": np.array([*range(size.places), -1]),  # the last is the current place, which is never masked
        "places_kept": np.arange(size.places),
        "seen": np.float32(0),
        "unseen": np.float32(MASKED),
        "axis1": np.array([1]),
        "axis2": np.array([2]),
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    mask = [
        ("Unsqueeze", ("place", "axis1"), "place_column"),
        ("Less", ("places", "place_column"), "is_seen"),
        ("Where", ("is_seen", "seen", "unseen"), "scores"),
        ("Unsqueeze", ("scores", "axis1"), f"{INSIDE}mask.input"),
    ]
    keep = [
        ("Equal", ("places_kept", "place_column"), "is_here"),
        ("Unsqueeze", ("is_here", "axis2"), "is_here_column"),
        *(("Where", ("is_here_column", f"{INSIDE}{name}", f"past_{name}"), name) for name in kept),
    ]
    _put_first(graph, [helper.make_node(kind, inputs, [output], output) for kind, inputs, output in mask])
    graph.node.extend(helper.make_node(kind, inputs, [output], output) for kind, inputs, output in keep)
    numbers = [_numbers(name, ()) for name in ("previous_code", "place", "class")]
    past = (size.places, size.head_width)
    pasts = [_floats(f"past_{name}", past) for name in kept]
    _set_ports(graph.input, [*numbers, _floats("temperature", (1,)), *pasts])
    heads = [_floats("probabilities", (size.num_embeddings,)), *(_floats(name, past) for name in kept)]
    _set_ports(graph.output, heads)
    return model


def _numbers(name: str, shape: Sequence[int]) -> "onnx.ValueInfoProto":
    """Return an input or output of int64, (N, *shape)."""
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.INT64, ("N", *shape))


def _floats(name: str, shape: Sequence[int]) -> "onnx.ValueInfoProto":
    """Return an input or output of float32, (N, *shape)."""
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", *shape))


def _set_ports(ports: Any, wanted: "Sequence[onnx.ValueInfoProto]") -> None:
    """Replace the inputs or the outputs of a graph."""
    wanted = list(wanted)
    del ports[:]
    ports.extend(wanted)


def _put_first(graph: "onnx.GraphProto", nodes: "Sequence[onnx.NodeProto]") -> None:
    """Insert nodes before those of a graph; nodes must be in the order in which they run."""
    after = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *after])
