"""The programs and commands of README and docs/generation.md run as they stand there."""
import re
import shlex
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from conftest import DIGITS, ROOT


class Page(NamedTuple):
    """A page and the picture that its programs write."""

    path: str
    by_python: str
    by_cpp: str


PAGES = [
    Page("README.md", "reconstruction.png", "reconstruction.png"),
    Page("docs/generation.md", "three.png", "threes.png"),
]


@pytest.fixture(params=PAGES, ids=lambda page: page.path)
def page(request):
    return request.param


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like the checkout to who only reads, with a digit to try things on."""
    for name in ("pre-trained", "src", "cpp", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(DIGITS[5], tmp_path / "digit.png")
    return tmp_path


def block(page, language):
    return re.search(rf"```{language}\n(.*?)```", (ROOT / page.path).read_text(), re.DOTALL).group(1)


def test_python_example(page, checkout):
    subprocess.run([sys.executable, "-c", block(page, "python")], cwd=str(checkout), check=True)
    assert (checkout / page.by_python).exists()


def test_cpp_example_as_a_project_of_its_own(page, checkout):
    (checkout / "main.cpp").write_text(block(page, "cpp"))
    (checkout / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(mine LANGUAGES CXX)\n"
        f'add_subdirectory("{ROOT / "cpp"}" vqvae)\n'
        "add_executable(mine main.cpp)\ntarget_link_libraries(mine PRIVATE vqvae::vqvae)\n"
    )
    build = checkout / "build"
    for command in (
        ["cmake", "-S", ".", "-B", str(build), f"-DPython3_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", str(build)],
        [str(build / "mine")],
    ):
        subprocess.run(command, cwd=str(checkout), check=True, capture_output=True)
    assert (checkout / page.by_cpp).exists()


def test_generate_commands(checkout):
    commands = [shlex.split(line, comments=True) for line in block(PAGES[1], "bash").splitlines()]
    commands = [command for command in commands if command[1] == "generate"]
    assert len(commands) >= 5
    for command in commands:
        result = subprocess.run(command, cwd=str(checkout), capture_output=True)
        assert (result.returncode, result.stderr) == (0, b""), command
    assert len(list((checkout / "many").iterdir())) == 1000
