"""Every file, folder and name in docs/architecture.md exists, and it names all rooms of the package."""
import re

import pytest

from conftest import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
PICTURE = (ROOT / "docs" / "architecture.svg").read_text()
CODE = re.compile(r"`([^`]+)`")
#: `name` (`path`): a name in a file.
NAMED = re.compile(r"`(\w+)`(?:, `\w+`)*(?: (?:and|or) `\w+`)? \(`([\w./-]+)`\)")

#: A path has a slash or a suffix; RUN stands for any folder.
PATHS = sorted({code for code in CODE.findall(TEXT) if re.fullmatch(r"(?!RUN/)[\w.-]*[./][\w./-]+", code)})


@pytest.mark.parametrize("path", PATHS)
def test_every_path_exists(path):
    assert (ROOT / path).exists()


def test_paths_are_found():
    assert {"vqvae_gluon/nn", "cpp/app/main.cpp", "docs/emadl.md", "pyproject.toml"} <= set(PATHS)


def test_every_name_is_in_its_file():
    named = [(name, found[2]) for found in NAMED.finditer(TEXT) for name in CODE.findall(found[0])[:-1]]
    assert ("_FUNCTIONS", "vqvae_gluon/emadl/block.py") in named and len(named) > 40
    assert [(name, path) for name, path in named if not defines(path, name)] == []


def defines(path, name):
    """Return whether a Python or C++ file defines a name, as a class, a function, a variable or a method."""
    text = (ROOT / path).read_text()
    python = rf"^\s*(?:class|def) {name}\b|^{name}\b.*="
    cpp = rf"^const std::[^={{]+ {name}(?: =|\{{)|"
    cpp += rf"^(?!\s*//).*\b(?:class|struct) {name}\b|^(?!\s*//)[^\n;=]*[\w>&*] {name}\("
    return re.search(python if path.endswith(".py") else cpp, text, re.MULTILINE) is not None


@pytest.mark.parametrize("name", ["Absent", "Codec", "encode"])
def test_what_is_only_used_is_not_defined(name):
    assert not defines("vqvae_gluon/cli/reconstruct.py", name)


def test_the_picture_shows_every_room_and_no_other():
    drawn = {name.rstrip("/") for names in re.findall(r'class="name">([^<]+)', PICTURE) for name in names.split(", ")}
    package = ROOT / "vqvae_gluon"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms <= drawn
    others = {name for name in drawn - rooms - {"RUN/model"} if not (package / name).is_file()}
    assert all((ROOT / name).is_dir() for name in others)
