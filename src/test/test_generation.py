"""``vqvae prior`` and both programs' ``vqvae generate`` from a user's point of view: the same bytes, the same lines."""
import json
import math
import shlex
import shutil
import signal
import subprocess
import time

import mxnet as mx
import numpy as np
import pytest

from conftest import CLASSES, COMMAND, DIGITS, PROGRAM, SMALL_PRIOR, run_cpp, run_python
from vqvae_gluon.data.image_file import read_pixels
from vqvae_gluon.deploy.codes_file import format_codes
from vqvae_gluon.deploy.sampler import Sampler
from vqvae_gluon.model_files.folder import PARAMETERS, STEP, SYMBOL
from vqvae_gluon.model_files.parameters import load_arrays
from vqvae_gluon.training.checkpoint import list_checkpoints

PRIOR = "model/vqvae.Prior"


def end_of(words):
    """Run a Python command; return its exit status and what it wrote to standard error."""
    result = run_python(*words)
    return result.returncode, result.stderr.decode()


@pytest.fixture
def picture(classes_folder):
    return classes_folder / CLASSES[0] / "7.png"


def contents(folder):
    """Return the files below a folder, with their bytes, and its folders."""
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes() for path in paths}


def text_of(words):
    return list(map(str, words))


@pytest.fixture
def generate(tmp_path):
    """Run ``generate`` in both programs, each in its own folder; check that both folders are equal, and return one."""

    def run(*words, output="out.png"):
        folders = [tmp_path / name for name in ("python", "cpp")]
        results = []
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            command = text_of(["generate", f"{folder}/{output}", *words])
            if folder.name == "python":
                results.append(end_of(command))
            else:
                result = run_cpp(*command)
                results.append((result.returncode, result.stderr.decode()))
        assert results == [(0, ""), (0, "")]
        assert contents(folders[0]) == contents(folders[1])
        return folders[0]

    return run


@pytest.fixture
def refused(tmp_path):
    """Run ``generate`` in both programs, which must refuse with the same line and leave nothing; return the line."""

    def run(*words):
        command, before = text_of(["generate", *words]), contents(tmp_path)
        status, errors = end_of(command)
        result = run_cpp(*command)
        assert (result.returncode, result.stderr.decode()) == (status, errors)
        assert status == 2 and errors.count("\n") == 1 and errors.startswith("vqvae: error: ")
        assert result.stdout == b""
        assert contents(tmp_path) == before
        return errors.strip()

    return run


def test_an_image_a_grid_and_a_folder_hold_the_same(generate, prior_run):
    sampler = Sampler(prior_run)
    codes = sampler.sample(17, CLASSES[1], seed=11)
    images = np.round(sampler.predictor.decode(codes) * 255).astype(np.uint8)
    words = ["--model", prior_run, "--class", CLASSES[1], "--seed", 11]
    folder = generate("--count", 17, *words, output="out/") / "out"
    assert sorted(path.name for path in folder.iterdir()) == [f"{number:07d}.png" for number in range(17)]
    for number, image in enumerate(images):
        np.testing.assert_array_equal(read_pixels(folder / f"{number:07d}.png", 1), image)
    first = (folder / "0000000.png").read_bytes()
    assert (generate(*words) / "out.png").read_bytes() == first
    for count, columns, rows in ((2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (16, 4, 4), (17, 5, 4)):
        grid = read_pixels(generate("--count", count, *words) / "out.png", 1)
        expected = np.full((1, 17 * rows - 1, 17 * columns - 1), 128, np.uint8)
        for number in range(count):
            top, left = 17 * (number // columns), 17 * (number % columns)
            expected[:, top : top + 16, left : left + 16] = images[number]
        np.testing.assert_array_equal(grid, expected)


WORDS = {
    "any class": [],
    "class 0": ["--class", CLASSES[0]],
    "class 2": [f"--class={CLASSES[2]}"],
    "last seed": ["--seed", "4294967295", "--count", "3"],
    "temperature 0": ["--temperature", "0"],
    "temperature 0.0": ["--temperature", "0.0e5", "--seed", "5"],
    "cold": ["--temperature", "1e-3", "--count", "2"],
    "hot": ["--temperature", "1000.", "--count", "16"],
    "half": ["--temperature", ".5", "--count", "2"],
    "top 1": ["--top-k", "1"],
    "top 3": ["--top-k", "3", "--count", "17"],
    "top 8": ["--top-k", "8", "--temperature", "1.5"],
    "leading zeros": ["--count", "0003", "--seed", "007"],
}


@pytest.mark.parametrize("case", WORDS)
def test_both_programs_make_the_same_bytes(generate, prior_run, case):
    generate("--model", prior_run, *WORDS[case])


def test_temperature_0_and_top_1_know_no_chance(generate, prior_run):
    files = [
        (generate("--model", prior_run, *words) / "out.png").read_bytes()
        for words in (["--temperature", 0], ["--temperature", 0, "--seed", 5], ["--top-k", 1, "--seed", 9])
    ]
    assert len(set(files)) == 1


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_a_begun_image_is_finished_alike(generate, prior_run, picture, rows):
    words = ["--model", prior_run, "--complete", picture, "--rows", rows, "--seed", 1]
    image = read_pixels(generate(*words) / "out.png", 1)
    sampler = Sampler(prior_run)
    codes = sampler.sample(seed=1, given=sampler.predictor.encode(str(picture))[0, :rows])
    np.testing.assert_array_equal(image, np.round(sampler.predictor.decode(codes)[0] * 255).astype(np.uint8))


@pytest.mark.parametrize("given", [[], ["--complete", "{picture}", "--rows", "2", "--class", CLASSES[2]]])
def test_codes_are_printed_alike(prior_run, picture, given):
    given = [word.format(picture=picture) for word in given]
    words = ["generate", "--codes", "--count", "17", "--seed", "2", "--model", prior_run, *given]
    results = [run(*words) for run in (run_python, run_cpp)]
    assert [(result.returncode, result.stderr) for result in results] == [(0, b"")] * 2
    sampler = Sampler(prior_run)
    settings = {"given": sampler.predictor.encode(str(picture))[0, :2], "label": CLASSES[2]} if given else {}
    expected = "".join(format_codes(image) for image in sampler.sample(17, seed=2, **settings))
    assert [result.stdout.decode() for result in results] == [expected] * 2


COUNT = "count was given as {}: it must be from 1 to 1000000"
SEED = "seed was given as {}: it must be from 0 to 4294967295"
HEAT = "temperature was given as {}: it must be 0 (always the likeliest code) or from 0.001 to 1000"
TOP = "top-k was given as {}: it must be from 1 to 8, or 0 for all codes"
ROWS = "rows was given as {}: it must be from 1 to 4"
NUMBERS = {
    "--count": (COUNT, ["0", "-1", "many", "", "1000001", "9" * 30, "1e3", "1.0", "+1", " 1", "1\n", "１"]),
    "--seed": (SEED, ["-1", "4294967296", "x", "9" * 19]),
    "--temperature": (
        HEAT,
        ["-1", "-0.5", "-0", "nan", "NaN", "inf", "-inf", "warm", "", "9e-4", "1001", "1e999", "0x1", "1_0", "1,5"]
        + [" 1", "1." + "0" * 150],
    ),
    "--top-k": (TOP, ["9", "-1", "few", "1.5", "9" * 30]),
    "--rows": (ROWS, ["0", "5", "-1", "all", "9" * 30]),
}


@pytest.mark.parametrize("option, text", [(name, text) for name, (_, texts) in NUMBERS.items() for text in texts])
def test_numbers_out_of_range_are_refused(refused, prior_run, picture, tmp_path, option, text):
    words = ["--complete", picture] if option == "--rows" else []
    line = refused(tmp_path / "out.png", "--model", prior_run, *words, f"{option}={text}")
    shown = text.replace("\n", "\\x0a")
    assert line == "vqvae: error: " + NUMBERS[option][0].format(shown)


KNOWN = "the prior was trained on " + ", ".join(CLASSES)


@pytest.mark.parametrize("name", ["one", "50", "50%25", "gr%C3%B6%C3%9Fer", "größer ", "", "0"])
@pytest.mark.parametrize("output", ["out.png", "out/"])
def test_an_unknown_class_is_refused(refused, prior_run, tmp_path, name, output):
    line = refused(f"{tmp_path}/{output}", "--model", prior_run, f"--class={name}", "--count", 3)
    assert line == f"vqvae: error: class {name} was given: {KNOWN}"


CONTRADICTIONS = {
    "nowhere": ([], "nowhere to write to: give OUT.png, a folder OUT/, or --codes to print"),
    "twice": (["{tmp}/out.png", "--codes"], "{tmp}/out.png was given beside --codes, which prints; leave one out"),
    "no rows": (["{tmp}/out.png", "--complete", "{picture}"], "--complete and --rows belong together"),
    "no image": (["{tmp}/out.png", "--rows", "1"], "--complete and --rows belong together"),
    "missing image": (["{tmp}/out.png", "--complete", "{tmp}/none.png", "--rows", "1"], "none.png: no such file"),
    "no image file": (["{tmp}/out.png", "--complete", "{tmp}/text", "--rows", "1"], "text: is not a PNG, JPEG or"),
    "another size": (["{tmp}/out.png", "--complete", str(DIGITS[3]), "--rows", "1"], "3.png: has 28x28 pixels"),
    "no model": (["{tmp}/out.png", "--model", "{tmp}/none"], "{tmp}/none: holds no exported model"),
    "JPEG": (["{tmp}/out.jpg"], "{tmp}/out.jpg: only PNG files are written; let the name end in .png, not .jpg"),
    "JPEG of many": (["{tmp}/out.JPEG", "--count", "3"], "{tmp}/out.JPEG: only PNG files are written"),
    "empty name": ([""], "cannot be written"),
    "folder as a file": (["{tmp}/taken"], "{tmp}/taken: cannot be written (Is a directory)"),
    "no such folder": (["{tmp}/no/such/out.png"], "such/out.png: cannot be written (No such file or directory)"),
    "no folder around": (["{tmp}/no/such/out/"], "{tmp}/no/such/out/: cannot be written (No such file or directory)"),
    "unwritable": (["/proc/out.png"], "/proc/out.png: cannot be written ("),
    "unwritable folder": (["/proc/out/"], "/proc/out/: cannot be written ("),
    "taken": (["{tmp}/taken/"], "{tmp}/taken/: is there already; give a new or an empty folder"),
    "taken, slashes": (["{tmp}//taken///"], "{tmp}//taken///: is there already; give a new or an"),
    "taken, dots": (["{tmp}/./taken/"], "{tmp}/./taken/: is there already; give a new or an empty folder"),
    "root": (["/"], "/: is there already; give a new or an empty folder"),
    "a file": (["{tmp}/text/"], "{tmp}/text/: is there already; give a new or an empty folder"),
    "below a file": (["{tmp}/text/out/"], "{tmp}/text/out/: cannot be written (Not a directory)"),
    "below a file, image": (["{tmp}/text/out.png"], "{tmp}/text/out.png: cannot be written (Not a directory)"),
    "large grid": (["{tmp}/out.png", "--count", "1000000"], "than 67108864 pixels; give a folder OUT/ instead"),
    "large grid, no name": (["", "--count", "1000000"], "pixels; give a folder OUT/ instead"),
    "large grid, a dot": ([".", "--count", "1000000"], "pixels; give a folder OUT/ instead"),
    "large grid and class": (["{tmp}/out.png", "--count", "1000000", "--class", "x"], "pixels; give a folder"),
    "taken and class": (["{tmp}/taken/", "--class", "x"], "is there already"),
    "JPEG and class": (["{tmp}/out.jpg", "--class", "x"], "class x was given"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_cannot_be_done_is_refused(refused, prior_run, picture, tmp_path, case):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_bytes(b"keep me")
    (tmp_path / "text").write_bytes(b"keep me too")
    words, expected = CONTRADICTIONS[case]
    fill = {"tmp": tmp_path, "picture": picture}
    words = [word.format(**fill) for word in words]
    line = refused(*words, *([] if "--model" in words else ["--model", prior_run]))
    assert expected.format(**fill) in line and "--strict" not in line


def test_an_empty_folder_may_be_there_and_be_a_link(prior_run, tmp_path):
    for run in ("python", "cpp"):
        (tmp_path / run / "empty").mkdir(parents=True)
        (tmp_path / run / "link").symlink_to("empty")
        (tmp_path / run / "file.png").write_bytes(b"old")
        for output in ("empty/", "file.png"):
            words = text_of(["generate", f"{tmp_path}/{run}/{output}", "--model", prior_run])
            status = end_of(words)[0] if run == "python" else run_cpp(*words).returncode
            assert status == 0
        shutil.rmtree(tmp_path / run / "empty")
        (tmp_path / run / "empty").mkdir()
        words = text_of(["generate", f"{tmp_path}/{run}/link/", "--model", prior_run])
        assert (end_of(words)[0] if run == "python" else run_cpp(*words).returncode) == 0
        assert (tmp_path / run / "link").is_symlink() and (tmp_path / run / "empty" / "0000000.png").exists()
    assert contents(tmp_path / "python") == contents(tmp_path / "cpp")


def change(path, function):
    path.write_bytes(function(path.read_bytes()))


def flip(place):
    """Return a function that changes one byte; a negative place counts from the end."""

    def flipped(content):
        changed = bytearray(content)
        changed[place] ^= 0x40
        return bytes(changed)

    return flipped


def replace(old, new):
    def replaced(content):
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    return replaced


def without_last_head(content):
    graph = json.loads(content)
    del graph["heads"][-1]
    return json.dumps(graph).encode()


def other_head_type(content):
    """Make the first head float64."""
    graph = json.loads(content)
    source = graph["heads"][0]
    graph["nodes"].append({"op": "Cast", "name": "wide", "attrs": {"dtype": "float64"}, "inputs": [source]})
    graph["heads"][0] = [len(graph["nodes"]) - 1, 0, 0]
    return json.dumps(graph).encode()


def change_array(name, function):
    def changed(path):
        arrays = load_arrays(path)
        arrays[name] = function(arrays[name])
        mx.nd.save(str(path), arrays)

    return changed


# The file in PRIOR, what happens to it, whether there is a manifest beside it, and the expected message.
DAMAGES = {
    "short, signed": (PARAMETERS, lambda content: content[:-100], True, "(SHA-256 differs); export it again"),
    "a byte, signed": (PARAMETERS, flip(-3000), True, "(SHA-256 differs); export it again"),
    "graph, signed": (STEP, replace("prior_logits", "prior_logitz"), True, "(SHA-256 differs); export it again"),
    "short": (PARAMETERS, lambda content: content[:-100], False, "is damaged or no MXNet parameter file"),
    "empty": (PARAMETERS, lambda content: b"", False, "is damaged or no MXNet parameter file"),
    "a size": (PARAMETERS, flip(48), False, "is damaged or no MXNet parameter file"),
    "another name": (PARAMETERS, replace("prior_logits_bias", "prior_logits_bios"), False, "lacks arg:prior_logits_b"),
    "short graph": (STEP, lambda content: content[: len(content) // 2], False, "is damaged or no MXNet graph"),
    "no graph": (STEP, lambda content: b"{}", False, "is damaged or no MXNet graph"),
    "native": (STEP, replace('"softmax"', '"_Native"'), False, "asks for the operator _Native"),
    "a head less": (STEP, without_last_head, False, "is no prior of vqvae prior"),
    "wide head": (STEP, other_head_type, False, "MXNet cannot run the graph (an output is not float32)"),
    "no keys": (STEP, replace('"keys0"', '"kez0"'), False, ""),
    "no shape": (STEP, replace("__shape__", "__shope__"), False, "does not give the shape of before"),
    "other shape": (STEP, replace("(0, 16, ", "(0, 17, "), False, ""),
    "codebook": (STEP, replace('"__codebook__": "', '"__codebook__": "0'), False, "was trained on another model's"),
    "no codebook": (STEP, replace("__codebook__", "__codebok__"), False, "was trained on another model's codes"),
    "fewer classes": (STEP, replace("50%25,", ""), False, "names 2 classes, the prior has 3"),
    "no classes": (STEP, replace("__classes__", "__clazzes__"), False, "names 0 classes, the prior has 3"),
}


def copy_of(run, tmp_path, signed=True):
    copy = tmp_path / "run"
    shutil.copytree(run / "model", copy / "model")
    if signed:
        shutil.copy(run / "manifest.json", copy)
    return copy


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_prior_is_refused(refused, prior_run, tmp_path, case):
    name, function, signed, expected = DAMAGES[case]
    run = copy_of(prior_run, tmp_path, signed)
    change(run / PRIOR / name, function)
    assert expected in refused(tmp_path / "out.png", "--model", run)


def test_a_prior_that_is_not_there_is_told(refused, prior_run, tmp_path):
    run = copy_of(prior_run, tmp_path)
    (run / PRIOR / STEP).unlink()
    assert f"{run / PRIOR / STEP}: no such file" in refused(tmp_path / "out.png", "--model", run)
    shutil.rmtree(run / PRIOR)
    line = refused(tmp_path / "out.png", "--model", run)
    assert line == f"vqvae: error: {run}/model: holds no prior; train one with vqvae prior"


@pytest.mark.parametrize("name", ["encoder", "whole"])
def test_a_graph_that_is_no_prior_is_refused(refused, prior_run, tmp_path, name):
    run = copy_of(prior_run, tmp_path, signed=False)
    graph = run / (PRIOR if name == "whole" else "model/vqvae.Encoder") / SYMBOL
    shutil.copy(graph, run / PRIOR / STEP)
    assert "has no input named before" in refused(tmp_path / "out.png", "--model", run)


def test_weights_that_are_no_numbers_are_told(refused, prior_run, tmp_path):
    run = copy_of(prior_run, tmp_path, signed=False)
    change_array("arg:prior_logits_bias", lambda array: array * math.nan)(run / PRIOR / PARAMETERS)
    for output in ("out.png", "out/"):
        line = refused(f"{tmp_path}/{output}", "--model", run, "--count", 3)
        assert "the prior gives probabilities that are no numbers: it is damaged or was badly trained" in line


def test_a_changed_weight_without_a_manifest_gives_the_same_bytes(generate, prior_run, tmp_path):
    run = copy_of(prior_run, tmp_path, signed=False)
    change_array("arg:prior_place_weight", lambda array: array[:, ::-1])(run / PRIOR / PARAMETERS)
    generate("--model", run, "--count", 3)


def test_an_empty_name_of_a_class_is_a_name(generate, prior_run, tmp_path):
    run = copy_of(prior_run, tmp_path, signed=False)
    change(run / PRIOR / STEP, replace("one%2C%20two", ""))
    generate("--model", run, "--class=")


def test_a_prior_of_other_shapes_is_refused(refused, prior_run, tmp_path):
    run = copy_of(prior_run, tmp_path, signed=False)
    stored = COMMAND.parents[2] / "src" / "test" / "deploy" / "first_prior"
    for name in (STEP, PARAMETERS):
        shutil.copy(stored / name, run / PRIOR)
    assert "vqvae.Prior: was trained on another model's codes" in refused(tmp_path / "out.png", "--model", run)
    shutil.copy(prior_run / PRIOR / STEP, run / PRIOR)
    assert "it is from another model" in refused(tmp_path / "out.png", "--model", run)


@pytest.fixture(scope="module")
def half_sorted_run(classes_folder, tmp_path_factory):
    """A run, still without a prior, on images some of which lie beside the folders of the classes."""
    folder = tmp_path_factory.mktemp("half sorted")
    shutil.copytree(classes_folder, folder / "data")
    for index in range(20):
        shutil.copy(classes_folder / CLASSES[0] / f"{index}.png", folder / "data")
    words = ["train", "--data", folder / "data", "--image-size", "16x16", "--num-embeddings", "8", "--pictures", "0"]
    status, errors = end_of(text_of([*words, "--num-epoch", "1", "--batch-size", "16", "-o", folder / "run"]))
    assert status == 0, errors
    return folder / "run"


def test_images_without_a_class_are_told_or_learnt_without(half_sorted_run, refused, generate, tmp_path):
    run = shutil.copytree(half_sorted_run, tmp_path / "run")
    status, errors = end_of(text_of(["prior", run, *SMALL_PRIOR]))
    assert status == 2 and errors.count("\n") == 1 and "images without a class of the training split (50%, gr" in errors
    assert errors.endswith("give each image one, or learn without classes (--classes none)\n")
    assert not (run / "prior").exists()
    words = ["prior", run, *SMALL_PRIOR, "--pictures", "0", "--classes", "none"]
    assert end_of(text_of(words))[0] == 0
    generate("--model", run, "--count", 3)
    line = refused(tmp_path / "out.png", "--model", run, "--class", CLASSES[0])
    assert line == "vqvae: error: class 50% was given: the prior was trained without classes; leave it out"


@pytest.mark.parametrize(
    "words, text",
    [
        ([], "run/prior: holds a training already; add --resume or choose another folder"),
        (["--resume", "--width", "8"], "run/prior: was trained with other settings (width: 16, 8"),
        (["--recipe", "best"], "unknown recipe 'best'"),
        (["--recipe", "no.json"], "no.json: no such file"),
        (["--width", "15"], "width was given as 15: it must be a multiple of the 4 heads"),
        (["--layers", "0"], "layers was given as 0"),
        (["--dropout", "1"], "dropout was given as 1.0"),
        (["--no-class", "-0.1"], "no_class was given as -0.1"),
        (["--shift", "9"], "shift was given as 9: it must be in [0, 8]"),
        (["--init-from", "nowhere"], "nowhere: holds no exported model"),
        (["--ctx", "tpu"], "unknown device 'tpu'"),
        (["--classes", "some"], "invalid choice: 'some'"),
    ],
)
def test_wrong_settings_of_a_prior_get_one_line(prior_run, words, text):
    before = contents(prior_run)
    status, errors = end_of(text_of(["prior", prior_run, *words]))
    assert status == 2 and errors.count("\n") == 1 and text in errors
    assert contents(prior_run) == before


def test_a_prior_of_what_is_no_run_gets_one_line(prior_run, tmp_path):
    def refusal(run):
        before = contents(tmp_path)
        status, errors = end_of(text_of(["prior", run, *SMALL_PRIOR]))
        assert status == 2 and errors.count("\n") == 1 and contents(tmp_path) == before
        return errors

    (tmp_path / "empty").mkdir()
    assert f"{tmp_path}/empty: holds no exported model" in refusal(tmp_path / "empty")
    assert f"{tmp_path}/none: holds no exported model" in refusal(tmp_path / "none")
    bare = copy_of(prior_run, tmp_path, signed=False)
    assert f"{bare}: holds no manifest.json, which names the data; give a run of vqvae train" in refusal(bare)
    (bare / "manifest.json").write_text("[]")
    assert "manifest.json: is damaged" in refusal(bare)


def test_a_prior_of_data_that_have_changed_is_refused(prior_run, classes_folder, tmp_path):
    run = copy_of(prior_run, tmp_path)
    data = shutil.copytree(classes_folder, tmp_path / "data")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["recipe"]["data"] = str(data)
    (run / "manifest.json").write_text(json.dumps(manifest))
    (data / CLASSES[0] / "3.png").rename(data / CLASSES[1] / "33.png")
    before = contents(run)
    status, errors = end_of(text_of(["prior", run, *SMALL_PRIOR]))
    assert status == 2 and errors.count("\n") == 1 and "has changed since the model was trained on it" in errors
    assert contents(run) == before


def test_a_prior_starts_from_another_with_moved_images(prior_run, generate, tmp_path):
    run = shutil.copytree(prior_run, tmp_path / "run")
    shutil.rmtree(run / "prior")
    words = ["prior", run, *SMALL_PRIOR, "--pictures", "0", "--shift", "1", "--init-from", prior_run]
    assert end_of(text_of(words))[0] == 0
    recipe = json.loads((run / "prior" / "recipe.json").read_text())
    assert recipe["shift"] == 1 and recipe["init_from"] == str(prior_run)
    generate("--model", run, "--count", 3, "--class", CLASSES[0])
    shutil.rmtree(run / PRIOR)
    assert end_of(text_of(["prior", run, "--resume"])) == (0, "")
    generate("--model", run)


def test_a_finished_prior_is_left_alone_and_a_lost_export_made_again(prior_run, tmp_path):
    run = shutil.copytree(prior_run, tmp_path / "run")
    before = contents(run)
    result = run_python("prior", run, "--resume")
    assert result.returncode == 0 and b"all 3 epochs are trained and exported already" in result.stdout
    assert contents(run) == before
    shutil.rmtree(run / PRIOR)
    assert end_of(text_of(["prior", run, "--resume"])) == (0, "")
    assert contents(run) == before
    change(run / PRIOR / PARAMETERS, flip(-3000))
    assert end_of(text_of(["prior", run, "--resume"])) == (0, "")
    assert contents(run) == before
    # An autoencoder that is exported again keeps the prior of its codes.
    assert end_of(text_of(["export", run])) == (0, "")
    assert contents(run) == before


def test_a_stopped_prior_says_how_to_go_on_and_comes_to_the_same_files(prior_run, classes_folder, tmp_path):
    (tmp_path / "my data").symlink_to(classes_folder)
    runs = [tmp_path / "my run", tmp_path / "whole"]
    for run in runs:
        shutil.copytree(prior_run, run)
        shutil.rmtree(run / "prior")
        shutil.rmtree(run / PRIOR)
    small = SMALL_PRIOR[:-2]  # everything but the number of epochs
    words = [*small, "--num-epoch", "6", "--epoch-passes", "20", "--pictures", "1", "--checkpoint-period", "100"]
    words += ["--background", "white", "--data", tmp_path / "my data", "--ctx", "cpu(0)"]
    training = subprocess.Popen(
        text_of([COMMAND, "prior", runs[0], *words]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert training.stdout.readline().startswith(b"epoch   0 of 6")
    training.send_signal(signal.SIGINT)
    assert training.wait(60) == 130
    message = training.stderr.read().decode().splitlines()[-1]
    epoch = list_checkpoints(runs[0] / "prior")[-1] + 1
    called = shlex.quote(str(COMMAND))
    go_on = f"{called} prior '{runs[0]}' --data '{tmp_path / 'my data'}' --background white --ctx 'cpu(0)'"
    assert message == f"vqvae: stopped in epoch {epoch}; resume with: {go_on} --resume"
    assert not (runs[0] / PRIOR).exists()
    for command in (shlex.split(message.split("resume with: ")[1])[1:], text_of(["prior", runs[1], *words])):
        assert end_of(command) == (0, "")
    assert {PRIOR, "prior/metrics.csv"} <= set(contents(runs[0]))
    assert contents(runs[0]) == contents(runs[1])


@pytest.mark.parametrize("program", [COMMAND, PROGRAM], ids=["python", "cpp"])
def test_a_stopped_folder_of_images_leaves_nothing(prior_run, tmp_path, program):
    command = text_of([program, "generate", tmp_path / "many/", "--count", "1000000", "--model", prior_run])
    command[2] += "/"
    drawing = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*/*/0000020.png")):
        assert time.monotonic() < deadline and drawing.poll() is None
        time.sleep(0.05)
    drawing.send_signal(signal.SIGTERM)
    assert drawing.wait(60) == 130
    assert drawing.stderr.read() == b"vqvae: stopped\n"
    assert list(tmp_path.iterdir()) == []
