"""The examples of README and of the pages in docs/ run as written, on small data.

Each page has its own checkout, in which its ``bash`` and ``python`` blocks run one after the other. A comment ``<!--
not run: REASON -->`` before a block keeps it from being run; NOT_RUN lists single lines that are left out.
"""
import os
import re
import shutil
import subprocess
import sys
from typing import List, NamedTuple

import pytest
from server import Server

from conftest import COMMAND, DIGITS, PROJECT, ROOT, SMALL_PRIOR, random_images
from vqvae_gluon import write_png

PAGES = ["README.md", "pre-trained/README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

#: Lines in blocks that are not run, and why.
NOT_RUN = {
    r"bash (build|test)\.sh": "set up the checkout that this runs in",
    r"pip install": "what is installed here already",
    r"http\.server": "serves until it is stopped",
    r"--hosts": "needs other machines",
    r"vqvae page": "src/test/web/test_page.py runs it",
    r"examples/dask_encode\.py": "src/test/deploy/test_dask.py runs it",
    r"cmake --install": "src/test/cpp/test_install.py runs it",
    r"experiments/\w+\.py": "takes hours",
}

#: The files that a page must have created.
MADE = {
    "README.md": ["reconstruction.png", "runs/mine/model", "new.png"],
    "docs/generation.md": ["three.png", "threes.png", "many", "scores.csv", "samples.png"],
    "docs/onnx.md": ["model-onnx-mine/encoder.onnx", "out.png", "threes.png"],
    "docs/records.md": ["images.idx", "runs/mine/manifest.json", "runs/python/manifest.json"],
    "docs/training.md": ["runs/compare/comparison.csv"],
}

SHORT = "--num-epoch 1 --batch-size 8 --pictures 0"

#: .venv/bin/vqvae of the checkout: adds options to the page's commands that make trainings short and data small, and
#: hands them to the server at ADDRESS.
SHIM = f"""#!/bin/sh
words=" $* "
case "$words" in
  *" prior "*) set -- "$@" {" ".join(SMALL_PRIOR)} ;;
  *" compare "*) set -- "$@" {SHORT} --seeds 0 --output runs/compare ;;
  *" --emadl "*) set -- "$@" {SHORT} ;;
  *" train "*) set -- "$@" {SHORT} --image-size 16x16 ;;
  *" export-onnx "*) set -- "$@" --samples 1 ;;
esac
case "$words" in
  *" --data "*) ;;
  *" compare "* | *" train "* | *" export-onnx "* | *" evaluate "*) set -- "$@" --data my/images ;;
esac
case "$words" in
  *" - "*) exec '{COMMAND}' "$@" ;;  # reads from a command that runs on the server at the same time
esac
exec '{sys.executable}' -I -S '{ROOT}/src/test/server.py' ADDRESS "$@"
"""


class Block(NamedTuple):
    """A block of a page that is to be run, or the reason why it is not."""

    language: str
    text: str
    reason: str = ""


def blocks(path: str) -> List[Block]:
    text = (ROOT / path).read_text()
    found = re.finditer(r"(?:<!-- not run: (.+?) -->\n+)?^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(language, code, reason or "") for reason, language, code in (match.groups() for match in found)]


def is_run(line: str) -> bool:
    return not any(re.search(pattern, line) for pattern in NOT_RUN)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of thirty colour images of 64 x 64 pixels."""
    folder = tmp_path_factory.mktemp("examples")
    for index, image in enumerate(random_images(30, 3, (64, 64))):
        write_png(folder / f"{index}.png", image)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """What runs the commands and the Python examples of all pages; its home is an empty folder."""
    server = Server(HOME=str(tmp_path_factory.mktemp("home")))
    yield server
    server.close()


@pytest.fixture
def checkout(images, prior_run, server, tmp_path):
    """A folder that looks like the checkout to commands that only read, with a digit, images, a project and a run."""
    for name in ("pre-trained", "src", "cpp", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(DIGITS[5], tmp_path / "digit.png")
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "images").symlink_to(images)
    (tmp_path / "my" / "project").symlink_to(PROJECT / "mnist")
    vqvae = SHIM.replace("ADDRESS", server.address)
    for name, text in {"vqvae": vqvae, "python": f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n"}.items():
        program = tmp_path / ".venv" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


def run_bash(code, folder):
    environment = {**os.environ, "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}", "HOME": str(folder)}
    words = ["bash", "-e", "-o", "pipefail", "-c", code]
    check(subprocess.run(words, cwd=str(folder), capture_output=True, env=environment, timeout=300))


def check(result):
    assert result.returncode == 0, f"{result.args[-1]}\n{result.stdout.decode()}\n{result.stderr.decode()}"


def has_examples(path: str) -> bool:
    return any(block.language in ("bash", "python") and not block.reason for block in blocks(path))


@pytest.mark.parametrize("path", [path for path in PAGES if has_examples(path)])
def test_examples(path, checkout, prior_run, server):
    found = [block for block in blocks(path) if not block.reason]
    if not any("--output runs/mine" in block.text for block in found):
        for name in ("mine", "other"):
            shutil.copytree(prior_run, checkout / "runs" / name)
    if "ImageRecordDataset" in "".join(block.text for block in found):
        for name in ("train", "validation", "test"):
            check(server.run(["pack", "my/images", f"{name}.rec"], cwd=checkout))
    for block in found:
        if block.language == "bash":
            lines = [line for line in block.text.splitlines() if is_run(line)]
            run_bash("\n".join(lines), checkout)
        elif block.language == "python":
            # One epoch is enough; a separate folder, as for a reader who uses Python instead of the command line.
            code = block.text.replace(".run()", ".run(1)").replace("runs/mine", "runs/python")
            check(server.run(["-c", code], cwd=checkout))
    missing = [name for name in MADE.get(path, ()) if not (checkout / name).exists()]
    assert not missing


def test_what_is_not_run_is_there():
    lines = [line for path in PAGES for block in blocks(path) for line in block.text.splitlines()]
    assert not [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)]
    assert set(MADE) <= set(PAGES)


@pytest.mark.parametrize(
    ("path", "picture"), [("README.md", "reconstruction.png"), ("docs/generation.md", "threes.png")]
)
def test_cpp_example_as_a_project_of_its_own(path, picture, checkout):
    (checkout / "main.cpp").write_text(next(block.text for block in blocks(path) if block.language == "cpp"))
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
    assert (checkout / picture).exists()
