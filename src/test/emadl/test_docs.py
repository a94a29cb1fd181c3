"""docs/emadl.md describes what the reader does."""
import re

import pytest

from conftest import PROJECT, ROOT
from vqvae_gluon import emadl, get_model
from vqvae_gluon.emadl.configuration import _KEYS
from vqvae_gluon.emadl.expressions import show
from vqvae_gluon.emadl.layers import LAYERS

TEXT = (ROOT / "docs" / "emadl.md").read_text()


def rows(title):
    """Return the cells of the table whose first column has this title."""
    table = re.search(rf"^\| {title} \|.*?\n\n", TEXT, re.DOTALL | re.MULTILINE)[0]
    return [line.strip("| \n").split(" | ") for line in table.splitlines()[2:]]


def test_every_layer_is_listed_with_its_defaults():
    listed = {}
    for cell, *arguments in rows("layer"):
        for name in re.findall(r"`(\w+)`", cell):
            listed[name] = arguments[0] if arguments else ""
    assert set(listed) == set(LAYERS)
    listed["UpConvolution"] = listed["Convolution"]  # "the same"
    for name, kind in LAYERS.items():
        for key, argument in kind.arguments.items():
            written = key if argument.default is None else f"{key}={show(argument.default)}"
            assert re.search(rf"(?<![\w=]){re.escape(written)}(?![\w.])", listed[name]), (name, written)


def test_every_key_of_a_configuration_is_listed():
    listed = re.findall(r"`(\w+)(?:: \w+)?`", " ".join(cells[0] for cells in rows("key")))
    assert set(listed) == set(_KEYS) - {"learning_method"} | {"optimizer"}


def test_the_example_is_a_component():
    component = emadl.parse(re.search(r"```\n(package.*?)```", TEXT, re.DOTALL)[1], "example")
    assert [kind.shape for kind in component.input_types] == [(1, 28, 28), (1,)]
    assert [kind.shape for kind in component.output_types] == [(10,)]


def test_the_python_lines_run():
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    code = code.replace("my/project/Encoder", str(PROJECT / "mnist" / "Encoder")).replace("my/project", str(PROJECT))
    names = {}
    exec(code, names)
    assert names["network"].component.full_name == "mnist.Encoder"
    assert names["model"].codes_shape == (14, 14)


@pytest.mark.parametrize("settings, shape", [({}, (1, 28, 28)), ({"channels": 3, "image_size": (12, 8)}, (3, 12, 8))])
def test_sizes_are_those_of_the_text_unless_given(settings, shape):
    assert get_model("vqvae_emadl", **settings).image_shape == shape
