"""The C++ headers as users install them: a prefix, a wheel, CMake, pkg-config, and programs built with them."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mxnet
import numpy as np
import pytest

import vqvae_gluon
from conftest import DIGITS, PRETRAINED, ROOT, run_cpp, run_python
from vqvae_gluon import Predictor, read_image, to_bytes

MXNET = Path(mxnet.__file__).parent
FLAGS = "-O0 -Wall -Wextra -Wpedantic -Wconversion -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"
# As in tools/sanitize.sh.
SANITIZERS = {
    "ASAN_OPTIONS": "alloc_dealloc_mismatch=0:detect_container_overflow=0:allocator_may_return_null=1",
    "LSAN_OPTIONS": f"suppressions='{ROOT / 'cpp' / 'test' / 'leaks.supp'}':print_suppressions=0",
}


def call(*words, environment=(), **kwargs):
    """Run a command without the environment variable that would help it to find MXNet."""
    variables = {name: value for name, value in os.environ.items() if name != "MXNET_ROOT"}
    variables.update(environment)
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, env=variables, **kwargs)


def done(*words, **kwargs):
    """Run a command that must succeed; return its output."""
    result = call(*words, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def quiet(*words, **kwargs):
    """Run an example that must succeed and print nothing to standard error; return its output."""
    result = call(*words, environment=SANITIZERS, **kwargs)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installed prefix that was moved after the installation."""
    folder = tmp_path_factory.mktemp("install")
    done("cmake", "--install", ROOT / "cpp" / "build", "--prefix", folder / "first")
    return (folder / "first").rename(folder / "moved prefix")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The files that the wheel contains beside its modules, laid out as in the wheel."""
    package = tmp_path_factory.mktemp("wheel") / "vqvae_gluon"
    for name in ("include", "cmake"):
        shutil.copytree(ROOT / "cpp" / name, package / "cpp" / name)
    shutil.copy(ROOT / "vqvae_gluon" / "__init__.py", package)
    return package / "cpp" / "cmake"


def configure(folder, version, *options, environment=()):
    """Configure a project that asks for a version and prints what it got."""
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(mine LANGUAGES CXX)\n"
        f"find_package(vqvae {version} REQUIRED)\n"
        'message(STATUS "got ${vqvae_VERSION} with ${MXNET_ROOT} and ${vqvae_INCLUDE_DIR}")\n'
    )
    return call("cmake", "-S", folder, "-B", folder / "build", *options, environment=environment)


def sentences(result):
    return " ".join(result.stderr.split())


def test_prefix_holds_all_of_it(prefix):
    names = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    assert {"bin/vqvae", "include/vqvae/codec.hpp", "share/pkgconfig/vqvae.pc"} <= names
    assert {f"share/cmake/vqvae/vqvaeConfig{suffix}.cmake" for suffix in ("", "Version")} <= names
    assert "share/vqvae/pre-trained/model/vqvae.Prior/model_0_newest_step-symbol.json" in names


def test_installed_program_finds_its_model(prefix, tmp_path):
    shutil.copytree(prefix, tmp_path / "P")
    assert done(tmp_path / "P" / "bin" / "vqvae", "encode", DIGITS[3]) == run_cpp("encode", DIGITS[3]).stdout.decode()
    manifest = tmp_path / "P" / "share" / "vqvae" / "pre-trained" / "manifest.json"
    manifest.write_text("damaged")
    result = call(tmp_path / "P" / "bin" / "vqvae", "encode", DIGITS[3])
    assert result.returncode == 2 and result.stderr == f"vqvae: error: {manifest}: is damaged or no JSON\n"


@pytest.mark.parametrize("version, fits", [("0.2", True), ("0.2.0", True), ("0.1", False), ("0.3", False)])
def test_versions(prefix, wheel, tmp_path, version, fits):
    for number, option in enumerate((f"-DCMAKE_PREFIX_PATH={prefix}", f"-Dvqvae_DIR={wheel}")):
        (tmp_path / str(number)).mkdir()
        result = configure(tmp_path / str(number), version, option, f"-DMXNET_ROOT={MXNET}")
        assert (result.returncode == 0) == fits, result.stderr
        if fits:
            include = prefix / "include" if number == 0 else wheel.parent / "include"
            assert f"got {vqvae_gluon.__version__} with {MXNET} and {include}" in result.stdout


def test_mxnet_is_found_by_a_variable_or_in_a_python(prefix, tmp_path):
    option = f"-DCMAKE_PREFIX_PATH={prefix}"
    for number, (options, environment) in enumerate(
        (([], {"MXNET_ROOT": str(MXNET)}), ([f"-DPython3_EXECUTABLE={sys.executable}"], {}))
    ):
        (tmp_path / str(number)).mkdir()
        result = configure(tmp_path / str(number), "0.2", option, *options, environment=environment)
        assert result.returncode == 0 and f"with {MXNET} and" in result.stdout, result.stderr


def test_mxnet_that_is_nowhere_is_told_in_one_sentence(prefix, tmp_path):
    bare = tmp_path / "python"  # a Python without packages
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    for number, (option, words) in enumerate(
        (
            (f"-DMXNET_ROOT={tmp_path}", f"No libmxnet.so in '{tmp_path}': give -DMXNET_ROOT="),
            (f"-DPython3_EXECUTABLE={bare}", f"{bare} has no mxnet: give -DMXNET_ROOT="),
        )
    ):
        (tmp_path / str(number)).mkdir()
        result = configure(tmp_path / str(number), "0.2", f"-DCMAKE_PREFIX_PATH={prefix}", option)
        assert result.returncode != 0 and words in sentences(result), result.stderr
        assert result.stderr.count("CMake Error") == 1


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="pkg-config is missing (Debian's name)")
def test_pkg_config(prefix, tmp_path):
    (tmp_path / "main.cpp").write_text(
        '#include <vqvae/codec.hpp>\n#include <iostream>\nint main(int, char** words) {\n'
        "  vqvae::Codec codec(words[1]);\n"
        "  std::cout << vqvae::format_codes(codec.encode(codec.read_image(words[2])), 7);\n}\n"
    )
    environment = {"PKG_CONFIG_PATH": str(prefix / "share" / "pkgconfig")}
    assert done("pkg-config", "--modversion", "vqvae", environment=environment).strip() == vqvae_gluon.__version__
    flags = "$(pkg-config --cflags --libs vqvae | sed 's/moved prefix/moved\\\\ prefix/')"
    command = f'eval c++ -std=c++17 -O0 main.cpp -o main "{flags}"'
    done("bash", "-c", command, environment=environment, cwd=tmp_path)
    codes = done(tmp_path / "main", prefix / "share" / "vqvae" / "pre-trained", DIGITS[8])
    assert codes == run_python("encode", DIGITS[8]).stdout.decode()


def test_the_page_s_program(prefix, tmp_path):
    page = (ROOT / "docs" / "cpp.md").read_text()
    for language, name in (("cmake", "CMakeLists.txt"), ("cpp", "main.cpp")):
        (tmp_path / name).write_text(re.search(rf"```{language}\n(.*?)```", page, re.DOTALL).group(1))
    build = tmp_path / "build"
    done("cmake", "-S", tmp_path, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", f"-DMXNET_ROOT={MXNET}")
    done("cmake", "--build", build)
    done(build / "mine", prefix / "share" / "vqvae" / "pre-trained", DIGITS[6], tmp_path / "a.png")
    assert run_python("reconstruct", DIGITS[6], tmp_path / "b.png").returncode == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


#: The public headers that include nlohmann/json and OpenSSL.
HEAVY = {"codec": True, "batch_codec": True, "sampler": True, "generation": True, "model_files": True, "executor": True}


@pytest.mark.parametrize("path", sorted((ROOT / "cpp" / "include" / "vqvae").glob("*.hpp")), ids=lambda path: path.stem)
def test_a_header_alone_brings_no_more_than_it_needs(path):
    flags = ["-std=c++17", f"-I{ROOT / 'cpp' / 'include'}", f"-I{MXNET / 'include'}"]
    files = done("c++", *flags, "-M", "-x", "c++", path)
    assert bool(re.search("nlohmann|openssl", files)) == HEAVY.get(path.stem, False)
    if path.stem not in HEAVY:  # the others are compiled by other tests
        done("c++", *flags, "-fsyntax-only", "-x", "c++", path)


def test_cmake_dir_of_the_checkout_and_its_version(tmp_path):
    folder = run_python("--cmake-dir").stdout.decode().strip()
    result = configure(tmp_path, "0.2", f"-Dvqvae_DIR={folder}", f"-DMXNET_ROOT={MXNET}")
    assert f"got {vqvae_gluon.__version__} with" in result.stdout, result.stderr


@pytest.fixture(scope="module", params=["g++", "clang++"])
def examples(request, prefix, tmp_path_factory):
    """The examples, built outside the checkout from the installed prefix, with sanitizers and -Werror."""
    if request.param == "clang++" and not shutil.which("clang++"):
        pytest.skip("clang++ is missing (Debian's names: clang, libclang-rt-dev)")
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "cpp" / "examples", folder / "source")
    compiler = [f"-DCMAKE_CXX_COMPILER={request.param}", f"-DCMAKE_CXX_FLAGS={FLAGS}"]
    # Warnings in our headers count, too.
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DMXNET_ROOT={MXNET}", "-DCMAKE_NO_SYSTEM_FROM_IMPORTED=ON"]
    done("cmake", "-S", folder / "source", "-B", folder / "build", *compiler, *options)
    done("cmake", "--build", folder / "build", "--parallel", "2")
    return folder / "build"


def test_example_that_reconstructs_a_folder(examples, tmp_path):
    (tmp_path / "images").mkdir()
    for path in DIGITS:
        shutil.copy(path, tmp_path / "images")
    assert quiet(examples / "reconstruct_folder", PRETRAINED, tmp_path / "images", tmp_path / "out") == ""
    expected = to_bytes(Predictor().reconstruct(np.stack([read_image(path, 1, (28, 28)) for path in DIGITS])))
    for path, image in zip(DIGITS, expected):
        np.testing.assert_array_equal(read_image(tmp_path / "out" / path.name, 1, (28, 28), strict=True), image)


def test_example_that_serves(examples, tmp_path):
    requests = [*DIGITS, tmp_path / "missing.png", *DIGITS]
    text = "".join(f"{path}\n" for path in requests)
    lines = quiet(examples / "serve", PRETRAINED, 3, input=text).splitlines()
    expected = {path: " ".join(map(str, Predictor().encode(str(path)).ravel())) for path in DIGITS}
    expected[requests[10]] = f"error: {requests[10]}: no such file"
    assert sorted(lines) == sorted(f"{path}\t{expected[path]}" for path in requests)


def test_example_that_generates(examples, tmp_path):
    assert quiet(examples / "generate", PRETRAINED, tmp_path / "a.png", 4, 7) == ""
    assert run_cpp("generate", tmp_path / "b.png", "--count", "4", "--seed", "7").returncode == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    result = call(examples / "generate", tmp_path, tmp_path / "c.png", environment=SANITIZERS)
    assert result.returncode == 2 and result.stderr.startswith("generate: error: ") and result.stderr.count("\n") == 1
