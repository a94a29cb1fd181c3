"""An EMADL project: a folder with an encoder, a decoder and the configuration that joins them."""
import re
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple, Union, cast

from ..errors import VQVAEError
from . import Texts
from .component import Component, parse
from .configuration import Configuration, parse_configuration
from .expressions import show
from .syntax import read_text

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAINS_VAE = re.compile(r'\blearning_method\s*:\s*"?vae\b')
_MOST_FILES = 1000  # a project has about a dozen; a folder with more than this is a mistake

Sides = Tuple[int, int, int]


class Geometry(NamedTuple):
    """The sizes of an autoencoder: ``image`` (channels, height, width), ``encoding`` (D, h, w), and K codes."""

    image: Sides
    encoding: Sides
    num_embeddings: int

    def settings(self) -> Dict[str, int]:
        """Return the geometry under the names that a component's parameters may have."""
        channels, height, width = self.image
        sizes = {"channels": channels, "height": height, "width": width}
        return {**sizes, "embedding_dim": self.encoding[0], "num_embeddings": self.num_embeddings}


class Project(NamedTuple):
    """An encoder and a decoder that fit each other, the texts of the project, and its ``configuration``."""

    encoder: Component
    decoder: Component
    configuration: Configuration
    texts: Texts

    @property
    def geometry(self) -> Geometry:
        """The sizes of the encoder's input and output, and of its codebook."""
        _, quantizer = self.encoder.without_quantizer()
        image, encoding = self.encoder.input_types[0].shape, self.encoder.output_types[0].shape
        return Geometry(cast(Sides, image), cast(Sides, encoding), quantizer.arguments["num_embeddings"])

    @property
    def beta(self) -> float:
        """The weight of the commitment loss in the encoder's text."""
        return float(self.encoder.without_quantizer()[1].arguments["beta"])


def read_project(folder: Union[str, Path], **wanted: int) -> Project:
    """Read the project in or below a folder: a ``.conf`` with ``learning_method: vae`` and the components it joins.

    The configuration has the name of the decoder's component and names the encoder's. Apart from these files, only
    other ``.conf`` files are read. ``wanted``: see :func:`parse_project`.

    Raises VQVAEError for a folder without such files, or with several, and for text that :func:`parse` or
    :func:`parse_configuration` refuses.
    """
    paths = _find_files(Path(folder))
    texts = {path.name: read_text(path) for path in paths}
    return parse_project(texts, {path.name: str(path) for path in paths}, **wanted)


def _find_files(folder: Path) -> Tuple[Path, Path, Path]:
    """Return the files of the encoder, the decoder and the configuration."""
    if not folder.is_dir():
        raise VQVAEError(f"{folder}: is no folder; give the one with the project's .emadl and .conf files")
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".emadl", ".conf") and path.is_file())
    if len(paths) > _MOST_FILES:
        raise VQVAEError(f"{folder}: holds {len(paths)} EMADL files; give the folder of one project")
    configurations = [path for path in paths if path.suffix == ".conf" and _trains_vae(read_text(path))]
    if len(configurations) != 1:
        found = ", ".join(str(path.relative_to(folder)) for path in configurations) or "none"
        raise VQVAEError(
            f"{folder}: holds {len(configurations)} .conf with learning_method: vae ({found}); "
            "give a folder with one, which names the encoder"
        )
    configuration = parse_configuration(read_text(configurations[0]), str(configurations[0]))
    components = [path for path in paths if path.suffix == ".emadl"]
    decoder = _find(folder, components, configuration.name, configurations[0].parent)
    encoder = _find(folder, components, configuration.encoder.split(".")[-1], configurations[0].parent)
    return encoder, decoder, configurations[0]


def parse_project(texts: Texts, places: Optional[Mapping[str, str]] = None, **wanted: int) -> Project:
    """Return the project that three texts describe; ``places`` are the names of the texts in errors.

    ``wanted`` may give the sizes of :meth:`Geometry.settings`: where those of the texts differ, the components'
    parameters of these names are set. Raises VQVAEError like :func:`read_project`, and if this does not give the wanted
    sizes.
    """
    places = {**{name: name for name in texts}, **(places or {})}
    configurations = [name for name in texts if name.endswith(".conf")]
    if len(configurations) != 1:
        raise VQVAEError(f"a project was given with {len(configurations)} texts of a .conf: it must have one")
    conf = configurations[0]
    configuration = parse_configuration(texts[conf], places[conf])
    names = [f"{configuration.encoder.split('.')[-1]}.emadl", f"{configuration.name}.emadl"]
    if len(texts) != 3 or any(name not in texts for name in names):
        raise VQVAEError(f"{places[conf]}: joins {' and '.join(names)}; there are {', '.join(sorted(texts))}")
    components = [parse(texts[name], places[name]) for name in names]
    project = Project(components[0], components[1], configuration, dict(texts))
    by_default = project.geometry.settings()
    changed = {name: size for name, size in wanted.items() if by_default[name] != size}
    if changed:
        components = [
            parse(texts[name], places[name], **{key: changed[key] for key in changed if key in component.parameters})
            for name, component in zip(names, components)
        ]
        project = project._replace(encoder=components[0], decoder=components[1])
    for name, size in changed.items():
        if project.geometry.settings()[name] != size:
            raise VQVAEError(
                f"{name} was given as {size}: {places[names[0]]} says {project.geometry.settings()[name]} and has no "
                f"parameter {name} that would change it; change the text"
            )
    _check(project, places[conf])
    return project


def _check(project: Project, conf: str) -> None:
    encoder, decoder = project.encoder, project.decoder
    if project.configuration.encoder not in (encoder.full_name, encoder.name):
        raise VQVAEError(
            f"{conf}: names the encoder {project.configuration.encoder}, {encoder.path} holds {encoder.full_name}"
        )
    if decoder.name != project.configuration.name:
        raise VQVAEError(f"{conf}: configures {project.configuration.name}, {decoder.path} holds {decoder.full_name}")
    geometry = project.geometry
    if len(geometry.image) != 3 or geometry.image[0] not in (1, 3):
        raise VQVAEError(
            f"{encoder.path}: takes {show(geometry.image)}: images have 1 or 3 channels, a height and a width"
        )
    ends = [[kind.shape for kind in kinds] for kinds in (decoder.input_types, decoder.output_types)]
    for end, shape, verb in zip(ends, (geometry.encoding, geometry.image), ("takes", "gives")):
        if end != [shape]:
            given = " and ".join(map(show, end))
            word = "encodings" if verb == "takes" else "images"
            raise VQVAEError(f"{decoder.path}: {verb} {given}, {encoder.path} has {word} of {show(shape)}")
    if encoder.full_name == decoder.full_name:
        raise VQVAEError(f"{decoder.path}: encoder and decoder are both called {decoder.full_name}")


def _trains_vae(text: str) -> bool:
    return _TRAINS_VAE.search(_COMMENT.sub("", text)) is not None


def _find(folder: Path, paths: List[Path], name: str, beside: Path) -> Path:
    found = [path for path in paths if path.stem == name]
    found = [path for path in found if path.parent == beside] or found
    if not found:
        others = ", ".join(sorted(path.name for path in paths)) or "none"
        raise VQVAEError(f"{folder}: holds no {name}.emadl, which the configuration joins; there are {others}")
    if len(found) > 1:
        raise VQVAEError(f"{folder}: holds {len(found)} files {name}.emadl; leave one of them there")
    return found[0]
