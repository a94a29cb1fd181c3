"""The package's rooms (modules and folders) are layered: nothing imports from above, and there are no cycles."""
import ast
from pathlib import Path

import pytest
from graphlib import CycleError, TopologicalSorter

import vqvae_gluon

PACKAGE = Path(vqvae_gluon.__file__).parent

#: The rooms from the bottom up: each a module or a folder of modules. Rooms on one line do not import each other.
ORDER = (
    {"errors"},
    {"runtime", "background"},
    {"files", "workers"},
    {"nn", "data"},
    {"emadl", "sampling", "model_files"},
    {"recipes"},
    {"model_zoo"},
    {"deploy"},
    {"evaluation"},
    {"training"},
    {"export"},
    {"launch", "report"},
    {"cli"},
    {"__main__"},
)


def read_modules(package):
    """Return the text of each module of a package by its name within the package; "" is the package itself."""
    modules = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return modules


def imports(modules, folders):
    """Return the modules that each module imports, anywhere in its text, by their names within the package.

    ``folders`` are the modules that contain others, where relative names start.
    """
    found = {}
    for name, text in modules.items():
        found[name] = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{_source(node, name, name in folders)}.{alias.name}" for alias in node.names]
            else:
                continue
            for imported in names:
                first, _, rest = imported.partition(".")
                if first == "vqvae_gluon":
                    found[name].add(rest if rest in modules else rest.rpartition(".")[0])
    return found


def _source(node, name, is_folder):
    """Return the absolute name of the module imported from; relative names are resolved."""
    if not node.level:
        return node.module
    here = ["vqvae_gluon", *filter(None, name.split("."))]
    here = here[: len(here) - node.level + is_folder]
    return ".".join([*here, *filter(None, [node.module])])


def check(found):
    """Raise AssertionError for a module without a room and for an import from above, and CycleError for a cycle."""
    floors = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
    for name, imported in found.items():
        for other in imported:
            room, below = name.split(".")[0], other.split(".")[0]
            # Every module may import the version from the package itself; its public names are strings, loaded on
            # use.
            if below and room != below:
                assert room and floors[below] < floors[room], f"{name or 'vqvae_gluon'} imports {other} from above it"
        assert not name or name.split(".")[0] in floors, f"{name} stands in no room"
    TopologicalSorter(found).prepare()


def folders_of(modules):
    return {"", *(name.rpartition(".")[0] for name in modules)}


@pytest.fixture(scope="module")
def modules():
    return read_modules(PACKAGE)


def test_no_arrow_runs_up_and_none_round(modules):
    found = imports(modules, folders_of(modules))
    check(found)
    assert {name.split(".")[0] for name in modules if name} == set().union(*ORDER)
    # The graph must contain an import at the top, one in a function, one of a package, and that of the version.
    assert "training.loop" in found["training.autoencoder"] and "training.loop" in found["cli.prior"]
    assert "nn" in found["model_zoo"] and "" in found["workers"] and "cli.train" in found["cli"]


def test_public_names_are_not_imported_with_the_package(modules):
    assert imports(modules, folders_of(modules))[""] == set()


def test_training_knows_nothing_of_exported_files(modules):
    for name, imported in imports(modules, folders_of(modules)).items():
        if name.startswith("training"):
            assert not {room.split(".")[0] for room in imported} & {"model_files", "deploy"}, name


@pytest.mark.parametrize(
    ("name", "line", "error"),
    [
        ("nn.prior", "from ..training import loop", "nn.prior imports training.loop"),
        ("nn.prior", "def late():\n    from ..training.loop import Loop", "nn.prior imports training.loop"),
        ("nn.prior", "import vqvae_gluon.training.loop", "nn.prior imports training.loop"),
        ("nn.prior", "from ..data.codes import CodesDataset", "nn.prior imports data.codes"),
        ("deploy", "from vqvae_gluon.evaluation.metrics import psnr", "deploy imports evaluation.metrics"),
        ("", "from .deploy.predictor import Predictor", "vqvae_gluon imports deploy.predictor"),
        ("attic", "", "attic stands in no room"),
    ],
)
def test_an_arrow_that_runs_up_is_found(modules, name, line, error):
    changed = {**modules, name: f"{modules.get(name, '')}\n{line}\n"}
    with pytest.raises(AssertionError, match=error):
        check(imports(changed, folders_of(modules)))


@pytest.mark.parametrize("line", ["from .optimizer import Trainer", "if TYPE_CHECKING:\n    from .loop import Loop"])
def test_a_way_round_is_found(modules, line):
    changed = {**modules, "training.checkpoint": f"{modules['training.checkpoint']}\n{line}\n"}
    with pytest.raises(CycleError):
        check(imports(changed, folders_of(modules)))
