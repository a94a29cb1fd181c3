"""The README's programs run as they stand there."""
import re
import shutil
import subprocess
import sys

from conftest import DIGITS, ROOT

README = (ROOT / "README.md").read_text()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL).group(1)


def test_python_example(tmp_path):
    shutil.copy(DIGITS[5], tmp_path / "digit.png")
    subprocess.run([sys.executable, "-c", block("python")], cwd=str(tmp_path), check=True)
    assert (tmp_path / "reconstruction.png").exists()


def test_cpp_example_as_a_project_of_its_own(tmp_path):
    shutil.copy(DIGITS[5], tmp_path / "digit.png")
    (tmp_path / "pre-trained").symlink_to(ROOT / "pre-trained")
    (tmp_path / "main.cpp").write_text(block("cpp"))
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(mine LANGUAGES CXX)\n"
        f'add_subdirectory("{ROOT / "cpp"}" vqvae)\n'
        "add_executable(mine main.cpp)\ntarget_link_libraries(mine PRIVATE vqvae::vqvae)\n"
    )
    build = tmp_path / "build"
    for command in (
        ["cmake", "-S", ".", "-B", str(build), f"-DPython3_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", str(build)],
        [str(build / "mine")],
    ):
        subprocess.run(command, cwd=str(tmp_path), check=True, capture_output=True)
    assert (tmp_path / "reconstruction.png").exists()
