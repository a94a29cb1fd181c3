"""Short versions of the long runs of docs/reliability.md, and trainings with extreme numbers and full disks."""
import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import BOTH, BOTH_PROGRAMS, COMMAND, DIGITS, ROOT, random_images, run_python
from kills import kill_and_resume
from mutations import run_mutations
from vqvae_gluon import Predictor, Recipe, Training, VQVAEError, export_run, runtime
from vqvae_gluon.data import Dataset, Split
from vqvae_gluon.deploy.codes_file import format_codes, read_codes
from vqvae_gluon.export.run import find_export
from vqvae_gluon.model_files.graph import parse_symbol
from vqvae_gluon.model_files.parameters import parse_arrays
from vqvae_gluon.training.checkpoint import checkpoint_path, list_checkpoints


def dataset_of(train, validation=None):
    validation = train[:4] if validation is None else validation
    return Dataset(Split(train), Split(validation), Split(validation))


def test_damaged_files_are_refused_or_read():
    # In a separate process, because peak memory is measured over all children that a process has had.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        result = pool.submit(run_mutations, 144, seed=1).result()
    assert result["faults"] == []
    assert result["ends"]["an error"] > 50 and result["ends"]["a result"] > 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
SETTINGS = st.sampled_from([field.name for field in dataclasses.fields(Recipe)])


def returns_or_refuses(function, *arguments):
    """Call a function, which may only return or raise a one-line VQVAEError, whatever it is given."""
    try:
        return function(*arguments)
    except VQVAEError as error:
        assert str(error) and "\n" not in str(error)
        return None


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(SETTINGS, JSON, max_size=5) | JSON)
def test_any_json_is_a_recipe_or_refused(tree):
    recipe = returns_or_refuses(Recipe.from_dict, tree)
    if recipe is not None:
        assert Recipe.from_json(recipe.to_json()) == recipe


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | JSON.map(lambda tree: json.dumps(tree).encode()))
def test_any_bytes_are_read_or_refused(content):
    returns_or_refuses(parse_arrays, Path("x.params"), content)
    returns_or_refuses(parse_symbol, Path("x.json"), content)
    returns_or_refuses(Recipe.from_json, content.decode("latin1"), "x.json")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-1, 9), min_size=4, max_size=4), st.binary(max_size=30))
def test_codes_survive_text_and_other_text_is_refused(codes, content):
    with tempfile.NamedTemporaryFile() as file:
        file.write(format_codes(np.array(codes).reshape(2, 2)).encode())
        file.flush()
        read = returns_or_refuses(read_codes, file.name, (2, 2), 9)
        assert (read is None) == (min(codes) < 0 or max(codes) > 8)
        assert read is None or read.ravel().tolist() == codes
        file.write(content)
        file.flush()
        returns_or_refuses(read_codes, file.name, (2, 2), 9)


def test_a_killed_training_ends_as_one_that_was_not(tmp_path):
    assert kill_and_resume(tmp_path, kills=3, seed=1) == 3


def test_a_killed_training_of_a_prior_ends_as_one_that_was_not(tmp_path):
    assert kill_and_resume(tmp_path, kills=1, seed=5, prior=True) == 1


def limited(kind, size):
    """Return a function that sets a system limit for a new process only."""
    limits = (size, resource.getrlimit(kind)[1])
    return lambda: resource.setrlimit(kind, limits)


def no_file_beyond(size):
    """Return a function that keeps a new process from writing larger files, as a full disk would."""
    return limited(resource.RLIMIT_FSIZE, size)


def test_a_full_disk_keeps_the_last_checkpoint(picture_folder, tmp_path):
    run = tmp_path / "run"
    words = [str(COMMAND), "train", "--output", str(run), "--data", str(picture_folder)]
    words += ["--image-size", "8x8", "--num-embeddings", "8", "--batch-size", "8", "--num-epoch", "2", "--json"]
    words += ["--pictures", "0", "--checkpoint-period", "1"]

    def train(limit):
        return subprocess.run(words, capture_output=True, preexec_fn=no_file_beyond(limit), timeout=120)

    for limit in (100, 2_000, 100_000):  # the recipe, the metrics, the checkpoint
        result = train(limit)
        lines = result.stderr.decode().strip().splitlines()
        assert result.returncode == 2 and len(lines) == 1 and lines[0].endswith("cannot be written (File too large)")
        assert list_checkpoints(run) == []
        shutil.rmtree(run, ignore_errors=True)  # it is left behind if something had been written before
    assert train(resource.RLIM_INFINITY).returncode == 0
    checkpoint = checkpoint_path(run, list_checkpoints(run)[-1]).read_bytes()
    model = {path: path.read_bytes() for path in sorted((run / "model").rglob("*")) if path.is_file()}
    export = [words[0], "export", str(run)]
    for limit in (1_000, 10_000, 60_000):
        result = subprocess.run(export, capture_output=True, preexec_fn=no_file_beyond(limit), timeout=120)
        assert result.returncode == 2 and result.stderr.count(b"\n") == 1, result.stderr
        assert result.stderr.startswith(f"vqvae: error: {run}: cannot be written (".encode())
    assert checkpoint_path(run, list_checkpoints(run)[-1]).read_bytes() == checkpoint
    assert model == {path: path.read_bytes() for path in sorted((run / "model").rglob("*")) if path.is_file()}


@pytest.mark.parametrize("limit", [200, 4_000, 8_000])
def test_a_full_disk_leaves_no_record_file(picture_folder, tmp_path, limit):
    words = ["pack", picture_folder, tmp_path / "out.rec"]
    result = run_python(*words, preexec_fn=no_file_beyond(limit))
    assert result.returncode == 2 and result.stderr.count(b"\n") == 1, result.stderr
    assert result.stderr.startswith(f"vqvae: error: {tmp_path / 'out.rec'}: c".encode())
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_a_picture_that_may_not_grow_leaves_nothing(run, exported, tmp_path):
    words = ["reconstruct", DIGITS[0], tmp_path / "out.png", "--model", exported]
    result = run(*words, preexec_fn=no_file_beyond(500))
    assert result.returncode == 2 and b"out.png: cannot be written (File too large)\n" in result.stderr
    assert list(tmp_path.iterdir()) == []


@BOTH_PROGRAMS
def test_closed_streams_are_told_or_not_needed(exported, program):
    def shell(words):
        return subprocess.run(f"'{program}' {words} --model '{exported}'", capture_output=True, shell=True, check=False)

    result = shell("decode - out.png <&-")
    assert result.returncode == 2
    assert result.stderr == b"vqvae: error: standard input: cannot be read (it is closed)\n"
    encode = f"encode '{DIGITS[0]}'"
    result = shell(f"{encode} >&-")
    assert result.returncode == 2 and result.stdout == b""
    assert result.stderr == b"vqvae: error: standard output: cannot be written (it is closed)\n"
    assert shell(f"{encode} 2>&-").stdout == shell(encode).stdout != b""
    assert shell("encode none.png 2>&-").stdout == b""


def test_a_training_beyond_memory_is_told_in_a_line(picture_folder, tmp_path):
    words = ["train", "--data", picture_folder, "--output", tmp_path / "run", "--image-size", "40000x40000"]
    result = run_python(*words, preexec_fn=limited(resource.RLIMIT_AS, 4 << 30))
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and "vqvae: error: there is not enough memory for this; lower" in lines[-1]
    assert not any("Traceback" in line for line in lines)


@BOTH
def test_what_has_no_end_is_refused(run, exported, tmp_path):
    with open("/dev/zero", "rb") as endless:
        result = run("decode", "-", tmp_path / "out.png", "--model", exported, stdin=endless)
    expected = b"gives more than 268435456 bytes; give a file or a pipe that ends\n"
    assert result.returncode == 2 and result.stderr == b"vqvae: error: standard input: " + expected
    result = run("encode", "/dev/zero", "--model", exported)
    assert result.returncode == 2 and result.stderr == b"vqvae: error: /dev/zero: " + expected


@pytest.mark.parametrize("value", ["abc", "-1", "0", "100000", "2,2"])
def test_a_number_of_threads_that_libgomp_would_abort_on_is_refused(value):
    result = run_python("encode", DIGITS[0], env={**os.environ, "OMP_NUM_THREADS": value})
    expected = f"vqvae: error: OMP_NUM_THREADS was given as {value!r}: it must be a whole number from 1 to 1024\n"
    assert result.returncode == 2 and result.stderr.decode() == expected


LONG = "n" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["encode", LONG],
        ["encode", str(DIGITS[0]), "--model", LONG],
        ["encode", LONG, "-o", "codes.npz"],
        ["evaluate", "--model", LONG],
        ["train", "--data", LONG, "--output", "run"],
        ["train", "--output", LONG],
        ["export", LONG],
    ],
)
def test_a_name_that_is_too_long_is_told_in_a_line(tmp_path, words):
    result = run_python(*words, cwd=str(tmp_path))
    assert result.returncode == 2 and result.stderr.count(b"\n") == 1 and LONG.encode() in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_stop_waits_for_the_end_of_a_block_and_is_not_lost(small_recipe, small_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "_stop", {"asked": False, "held": False})
    done = []
    with pytest.raises(KeyboardInterrupt), runtime.uninterrupted():
        runtime.stop(signal.SIGINT, None)
        done.append("the rest of the block")
    assert done
    # As if a library's callback had swallowed the exception.
    training = Training(small_recipe, small_dataset, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        training.run()
    assert training.epoch == 0 and not (tmp_path / "run").exists()


def test_a_training_killed_between_two_removals_leaves_no_picture(small_recipe, small_dataset, tmp_path, monkeypatch):
    recipe = small_recipe.replace(checkpoint_period=1, num_epoch=4)
    Training(recipe, small_dataset, tmp_path / "whole").run()
    unlink, removed = Path.unlink, []

    def unlink_and_die(path, **options):
        removed.append(path)
        unlink(path, **options)
        raise SystemExit  # after the first removal

    monkeypatch.setattr(Path, "unlink", unlink_and_die)
    with pytest.raises(SystemExit):
        Training(recipe, small_dataset, tmp_path / "killed").run()
    monkeypatch.undo()
    assert removed
    Training(recipe, small_dataset, tmp_path / "killed", resume=True).run()
    whole, killed = (
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")} for name in ("whole", "killed")
    )
    assert killed == whole


def test_a_failed_training_leaves_no_empty_folder(small_recipe, small_dataset, tmp_path):
    with pytest.raises(VQVAEError):
        Training(small_recipe.replace(learning_rate=1e38), small_dataset, tmp_path / "run").run()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["manifest", "model", "file"])
def test_a_damaged_export_of_a_finished_training_is_made_again(small_recipe, small_dataset, tmp_path, damage):
    run = tmp_path / "run"
    Training(small_recipe, small_dataset, run).run()
    manifest = export_run(run)
    assert find_export(run) == manifest
    if damage == "manifest":
        (run / "manifest.json").write_text("[]")
    elif damage == "model":
        shutil.rmtree(run / "model")
    else:
        (run / "model" / "vqvae.Encoder" / "model_0_newest-symbol.json").write_text("{}")
    assert find_export(run) is None
    assert export_run(run) == manifest == find_export(run)


def test_a_folder_that_cannot_be_made_is_told_at_once(small_recipe, small_dataset):
    with pytest.raises(VQVAEError, match="/proc/run: cannot be used as a folder"):
        Training(small_recipe, small_dataset, "/proc/run")


@pytest.mark.parametrize("update", ["ema", "gradient"])
@pytest.mark.parametrize("images, batch", [(33, 16), (5, 64), (24, 1), (12, 12)])
def test_batches_of_any_size(small_recipe, tmp_path, update, images, batch):
    recipe = small_recipe.replace(batch_size=batch, num_epoch=2, update=update, dead_below=0.0)
    dataset = dataset_of(random_images(images, size=(8, 8)), random_images(1, size=(8, 8)))
    training = Training(recipe, dataset, tmp_path / "run")
    training.run()
    assert training.trainer.optimizer.num_update == 2 * -(-images // batch)
    assert np.isfinite(training.history.rows[-1]["validation_mse"])


@pytest.mark.parametrize("value", [0, 255])
def test_one_colour_trains_by_gradient_and_is_refused_by_k_means(small_recipe, tmp_path, value):
    dataset = dataset_of(np.full((32, 1, 8, 8), value, np.uint8))
    training = Training(small_recipe.replace(update="gradient", num_epoch=2), dataset, tmp_path / "gradient")
    training.run()
    assert np.isfinite(training.history.rows[-1]["validation_mse"])
    with pytest.raises(VQVAEError, match="distinct vectors to start 8 embeddings: give more images or fewer"):
        Training(small_recipe, dataset, tmp_path / "ema").run()
    assert list_checkpoints(tmp_path / "ema") == []


def test_more_embeddings_than_vectors_are_refused(small_recipe, tmp_path):
    dataset = dataset_of(random_images(4, size=(8, 8)))
    with pytest.raises(VQVAEError, match="16 distinct vectors to start 64 embeddings"):
        Training(small_recipe.replace(num_embeddings=64), dataset, tmp_path / "run").run()


def test_learning_rate_0_changes_no_weight(small_recipe, small_dataset, tmp_path):
    training = Training(small_recipe.replace(learning_rate=0.0, num_epoch=1), small_dataset, tmp_path / "run")
    before = {name: value.data().asnumpy() for name, value in training.model.collect_params().items()}
    training.run()
    for name, value in training.model.collect_params().items():
        if "embeddings" not in name:
            np.testing.assert_array_equal(value.data().asnumpy(), before[name])


@pytest.mark.parametrize("rate", [1e3, 1e30, 1e38])
def test_an_absurd_learning_rate_ends_in_a_line_or_in_finite_numbers(small_recipe, small_dataset, tmp_path, rate):
    training = Training(small_recipe.replace(learning_rate=rate), small_dataset, tmp_path / "run")
    try:
        training.run()
    except VQVAEError as error:
        assert "the loss is not finite in epoch" in str(error) and "try a lower learning rate" in str(error)
    for row in training.history.rows:
        assert all(np.isfinite(value) for value in row.values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused(exported, value):
    images = np.zeros((2, 1, 28, 28), np.float32)
    images[1, 0, 3, 4] = value
    with pytest.raises(VQVAEError, match="values outside \\[0, 1\\] or not a number"):
        Predictor(exported).encode(images)


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_images_go_through(exported, value):
    images = np.full((3, 1, 28, 28), value, np.uint8)
    reconstruction = Predictor(exported).reconstruct(images)
    assert np.isfinite(reconstruction).all()
    np.testing.assert_array_equal(reconstruction[0], reconstruction[2])


ENVIRONMENTS = {
    "no MXNet": ("raise ModuleNotFoundError('no', name='mxnet')", "mxnet is not installed for "),
    "no libgomp": ("raise OSError('libgomp.so.1: cannot open shared object file')", "apt-get install libgomp1"),
    "no temporary folder": ("raise FileNotFoundError(2, 'No temporary folder')", "loaded (No temporary folder)"),
    "NumPy too new": ("raise AttributeError('bool')", "does not work with NumPy"),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
@pytest.mark.parametrize("words", [["encode", "x.png"], ["train"], ["evaluate"]])
def test_a_broken_environment_is_told_in_a_line(tmp_path, case, words):
    statement, expected = ENVIRONMENTS[case]
    (tmp_path / "mxnet.py").write_text(statement + "\n")
    result = run_python(*words, env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=str(tmp_path))
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and len(lines) == 1 and expected in lines[0], result.stderr


def test_another_python_is_told_in_a_line(tmp_path):
    # A Python that is too new fails first at an import.
    (tmp_path / "mxnet.py").write_text("import sys\nsys.version_info = (3, 13, 1)\nraise ImportError('x')\n")
    result = run_python("encode", "x.png", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.stderr == b"vqvae: error: this is Python 3.13.1, MXNet 1.9.1 needs 3.8 to 3.11; use another Python\n"


@pytest.mark.parametrize(
    "present, missing",
    [
        (("make", "cmake"), "error: these system packages are missing (Debian's names): g++\n"),
        (("c++", "make"), "error: these system packages are missing (Debian's names): cmake\n"),
        (("c++", "make", "cmake"), "error: no Python 3.10 or 3.11 found, which MXNet 1.9.1 and the MNIST package need"),
    ],
)
@pytest.mark.parametrize("script", ["build.sh", "test.sh"])
def test_what_a_machine_lacks_is_told_in_a_line(tmp_path, script, present, missing):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "cat", "dirname", "grep", "id", "tr"):
        (programs / name).symlink_to(shutil.which(name))
    for name in present:
        (programs / name).symlink_to(shutil.which("true"))
    checkout = tmp_path / "check out"
    shutil.copytree(ROOT / "tools", checkout / "tools")
    for name in (script, "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    result = subprocess.run(["bash", script], cwd=checkout, env={"PATH": str(programs)}, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.startswith(missing) and result.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_a_long_list_of_libraries_is_read_to_its_end(tmp_path):
    # A reader that stopped at the first match ended ldconfig by SIGPIPE: sometimes libgomp1 was reported as missing.
    names = "libgomp.so.1 libGL.so.1 libglib-2.0.so.0 "
    script = f"#!/bin/bash\nprintf '%s\\n%1000000s' '{names}' x && touch \"$0.ended\"\n"
    (tmp_path / "ldconfig").write_text(script)
    (tmp_path / "ldconfig").chmod(0o755)
    shell = f"set -euo pipefail; . '{ROOT}/tools/setup.sh'; missing_packages"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", shell], env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert (tmp_path / "ldconfig.ended").exists()


@BOTH
def test_paths_may_hold_anything(run, exported, tmp_path):
    folder = tmp_path / "ein Modell, 模型 é"
    shutil.copytree(exported, folder)
    shutil.copy(DIGITS[3], folder / "eine 3 é.png")
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    words = ["reconstruct", folder / "eine 3 é.png", folder / "heraus 出.png", "--model", folder]
    result = run(*words, env=environment, cwd="/")
    assert result.returncode == 0, result.stderr
    assert (folder / "heraus 出.png").exists()
