"""Both command lines from a user's point of view."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import BOTH, BOTH_PROGRAMS, COMMAND, DIGITS, PROGRAM, ROOT, random_images, run_cpp, run_python
from vqvae_gluon import write_png
from vqvae_gluon.cli import _parser
from vqvae_gluon.cli.common import program, train_and_export
from vqvae_gluon.training.checkpoint import list_checkpoints
from vqvae_gluon.workers import ALONE


@pytest.fixture(scope="module")
def trained(picture_folder, tmp_path_factory):
    """A small model trained with the command line on a folder of images."""
    run = tmp_path_factory.mktemp("trained") / "my run"
    command = ["train", "--data", picture_folder, "--image-size", "8x8", "--num-embeddings", "8", "-o", run]
    result = run_python(*command, "--batch-size", "16", "--num-epoch", "2", "--json")
    assert result.returncode == 0, result.stderr
    return run, command, result


def test_train_prints_the_manifest(trained):
    run, _, result = trained
    text = result.stdout.decode()
    assert json.loads(text[text.index("{\n") :]) == json.loads((run / "manifest.json").read_text())
    assert result.stderr == b""


def test_train_again_is_refused_and_resume_has_nothing_to_do(trained):
    run, command, _ = trained
    before = (run / "manifest.json").stat().st_mtime_ns
    settings = ["--batch-size", "16", "--num-epoch", "2"]
    again = run_python(*command, *settings)
    assert again.returncode == 2 and b"holds a training already" in again.stderr
    other = run_python(*command, "--batch-size", "8", "--resume")
    assert other.returncode == 2 and b"other settings (batch_size: 16, 8" in other.stderr
    resumed = run_python("train", "--output", run, "--resume")
    assert resumed.returncode == 0 and b"all 2 epochs are trained and exported already" in resumed.stdout
    assert (run / "manifest.json").stat().st_mtime_ns == before


def test_evaluate_measures_the_split(trained, picture_folder):
    run, _, _ = trained
    manifest = json.loads((run / "manifest.json").read_text())
    result = run_python("evaluate", "--model", run, "--split", "validation", "--json")
    metrics = json.loads(result.stdout)
    assert metrics["images"] == 6
    np.testing.assert_allclose(metrics["mse"], manifest["metrics"]["validation_mse"], rtol=1e-4)
    np.testing.assert_allclose(metrics["psnr"], -10 * np.log10(metrics["mse"]))
    assert b"psnr" in run_python("evaluate", "--model", run).stdout


def test_export_repeats_itself(trained):
    run, _, _ = trained
    before = (run / "manifest.json").read_bytes()
    result = run_python("export", run)
    assert result.returncode == 0 and (run / "manifest.json").read_bytes() == before


@BOTH
def test_encode_then_decode_is_reconstruct(run, exported, tmp_path):
    digit = DIGITS[4]
    codes = run("encode", digit, "--model", exported)
    assert codes.returncode == 0 and codes.stderr == b""
    rows = [list(map(int, line.split())) for line in codes.stdout.decode().splitlines()]
    assert np.array(rows).shape == (7, 7)
    assert run("decode", "-", tmp_path / "a.png", "--model", exported, input=codes.stdout).returncode == 0
    (tmp_path / "codes").write_bytes(codes.stdout)
    assert run("decode", tmp_path / "codes", tmp_path / "b.png", "--model", exported).returncode == 0
    reconstructed = run("reconstruct", digit, tmp_path / "c.png", "--model", exported)
    assert reconstructed.returncode == 0 and reconstructed.stderr == reconstructed.stdout == b""
    assert len({(tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png")}) == 1


CODES = {
    "64": (b"64 " + b"0 " * 48, b"holds '64', the model's codes are whole numbers from 0 to 63"),
    "-1": (b"-1 " + b"0 " * 48, b"holds '-1'"),
    "word": (b"zero " + b"0 " * 48, b"holds 'zero'"),
    "float": (b"1.0 " + b"0 " * 48, b"holds '1.0'"),
    "huge": (b"9" * 30 + b" 0" * 48, b"holds '99999999999999999999'"),
    "48": (b"0 " * 48, b"holds 48 codes, the model takes 49 (7 lines of 7)"),
    "50": (b"0 " * 50, b"holds 50 codes"),
    "none": (b"", b"holds 0 codes"),
}


@pytest.mark.parametrize("case", CODES)
def test_wrong_codes_get_the_same_line_from_both(exported, tmp_path, case):
    text, words = CODES[case]
    (tmp_path / "out.png").write_bytes(b"keep me")
    words_given = ("decode", "-", tmp_path / "out.png", "--model", exported)
    results = [run(*words_given, input=text) for run in (run_python, run_cpp)]
    assert results[0].stderr == results[1].stderr and words in results[0].stderr
    assert [result.returncode for result in results] == [2, 2]
    assert results[0].stderr.count(b"\n") == 1
    assert (tmp_path / "out.png").read_bytes() == b"keep me"


def test_an_empty_output_path_gets_the_same_line(exported):
    results = [run("reconstruct", DIGITS[0], "", "--model", exported) for run in (run_python, run_cpp)]
    assert results[0].returncode == results[1].returncode == 2
    assert results[0].stderr == results[1].stderr


@BOTH
@pytest.mark.parametrize("output", ["no/such/folder/out.png", "."])
def test_unwritable_output(run, exported, tmp_path, output):
    result = run("reconstruct", DIGITS[0], tmp_path / output, "--model", exported)
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and len(lines) == 1 and "cannot be written" in lines[0]
    assert list(tmp_path.iterdir()) == []


@BOTH
@pytest.mark.parametrize("name", ["out.jpg", "out.JPEG", "out.bmp"])
def test_another_kind_of_output_is_refused(run, exported, tmp_path, name):
    result = run("reconstruct", DIGITS[0], tmp_path / name, "--model", exported)
    suffix = name[3:]
    expected = f"vqvae: error: {tmp_path / name}: only PNG files are written; let the name end in .png, not {suffix}\n"
    assert result.returncode == 2 and result.stderr.decode() == expected
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_an_image_is_not_replaced_by_what_becomes_of_it(run, exported, prior_run, tmp_path):
    image, link = tmp_path / "image.png", tmp_path / "link.png"
    shutil.copy(DIGITS[0], image)
    link.symlink_to(image)
    before = image.read_bytes()
    for words in (
        ("reconstruct", image, image, "--model", exported),
        ("reconstruct", image, link, "--model", exported),
        ("generate", image, "--complete", image, "--rows", "1", "--model", prior_run),
    ):
        result = run(*words)
        output = link if link in words else image
        line = f"vqvae: error: {output}: is the image that is read; give the output another name\n"
        assert result.returncode == 2 and result.stderr.decode() == line
        assert image.read_bytes() == before


@BOTH
def test_devices_are_written_to_not_replaced(run, exported):
    assert run("reconstruct", DIGITS[0], "/dev/null", "--model", exported).returncode == 0
    assert not os.path.isfile("/dev/null")


@BOTH
def test_links_are_followed_and_files_are_public(run, exported, tmp_path):
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    assert run("reconstruct", DIGITS[0], tmp_path / "link.png", "--model", exported).returncode == 0
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes().startswith(b"\x89PNG")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "real.png").stat().st_mode & 0o777 == 0o666 & ~mask


WRONG_WORDS = [
    [],
    ["paint"],
    ["encode"],
    ["encode", "a.png", "b.png"],
    ["decode", "a.png"],
    ["encode", "a.png", "--model"],
    ["encode", "a.png", "--fast"],
]


@BOTH
@pytest.mark.parametrize("words", WRONG_WORDS, ids=" ".join)
def test_wrong_words_get_one_line(run, words):
    result = run(*words)
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and result.stdout == b""
    assert len(lines) == 1 and lines[0].startswith("vqvae: error: ") and "--help" in lines[0]


@pytest.mark.parametrize(
    "words, text",
    [
        (["--recipe", "best"], "unknown recipe 'best'"),
        (["--recipe", "no.json"], "no.json: no such file"),
        (["--batch-size", "0"], "batch_size was given as 0"),
        (["--batch-size", "many"], "invalid int value: 'many'"),
        (["--image-size", "28"], "'28' is no HEIGHTxWIDTH"),
        (["--ctx", "tpu"], "unknown device 'tpu'"),
        (["--ctx", "gpu(99)"], "device 'gpu(99)' does not exist"),
        (["--ctx", "cpu,cpu"], "names a device twice"),
        (["--data", "/no/such/folder"], "no data at '/no/such/folder'"),
        (["--model", "vqvae"], "unknown model 'vqvae'"),
        (["--model", "vqvae_residual", "--stride", "5"], "stride was given as 5: it must be 4, 8 or 16"),
        (["--model", "vqvae_residual", "--stride", "8"], "28x28 does not fit the model: height and width must be mult"),
        (["--stride", "8"], "stride was given as 8: the EMADL text makes codes of (7, 7)"),
    ],
)
def test_wrong_training_settings_get_one_line(tmp_path, words, text):
    result = run_python("train", "-o", tmp_path / "run", *words)
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and len(lines) == 1 and text in lines[0]


@pytest.fixture
def unfit_folder(tmp_path):
    """A folder of two classes, one of which has no images for validation."""
    for split, names in {"train": "ab", "validation": "a", "test": "ab"}.items():
        for name in names:
            for number, image in enumerate(random_images(8, size=(8, 8))):
                path = tmp_path / "data" / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, image)
    return tmp_path / "data"


def test_classes_that_do_not_fit_get_one_line_before_any_training(unfit_folder, tmp_path):
    run, data = tmp_path / "run", ["--data", unfit_folder, "--image-size", "8x8"]
    settings = ["--num-embeddings", "8", "--batch-size", "8", "--num-epoch", "1", "--pictures", "0"]
    message = (
        f"vqvae: error: {unfit_folder}: class 'b' has images in the train split and none in the validation split: "
        "give it some there, or learn without classes (--classes none)\n"
    )
    for words in (["train"], ["compare", "vqvae_residual"]):
        result = run_python(*words, *data, *settings, "--classes", "folders", "-o", run)
        assert (result.returncode, result.stderr.decode()) == (2, message)
        assert not run.exists()
    # An autoencoder learns no classes; a prior does.
    assert run_python("train", *data, *settings, "-o", run).returncode == 0
    prior = ["prior", run, "--width", "8", "--layers", "1", "--heads", "1", "--num-epoch", "1", "--pictures", "0"]
    for words in ([*prior], [*prior, "--classes", "folders"], ["evaluate", "--model", run, "--classes", "folders"]):
        result = run_python(*words)
        assert (result.returncode, result.stderr.decode()) == (2, message)
        assert not (run / "prior").exists()
    evaluated = run_python("evaluate", "--model", run)
    assert [line.split()[:2] for line in evaluated.stdout.decode().splitlines()[-3:]] == [
        ["class", "images"], ["a", "8"], ["b", "8"]
    ]
    assert run_python(*prior, "--classes", "none").returncode == 0


PARSERS = next(action.choices for action in _parser()._actions if isinstance(action.choices, dict))


@pytest.mark.parametrize("command", PARSERS)
def test_every_command_has_help(command):
    result = run_python(command, "--help")
    assert result.returncode == 0 and command.encode() in result.stdout


def test_the_commands_of_the_cpp_program_are_told_and_exist_in_python():
    usage = re.findall(r"^(?:usage:| {6}) vqvae (\w+) ", run_cpp("--help").stdout.decode(), re.MULTILINE)
    assert len(usage) > 3 and set(usage) < set(PARSERS)
    assert f": {', '.join(usage[:-1])} or {usage[-1]}; see" in run_cpp("paint").stderr.decode()
    words = [f"`{name}`" for name in usage]
    assert f"{', '.join(words[:-1])} and {words[-1]}" in " ".join((ROOT / "README.md").read_text().split())


@pytest.mark.parametrize("command", ["encode", "decode", "reconstruct", "generate"])
def test_the_cpp_program_takes_the_options_that_python_does(command):
    options = re.findall(r"(--[\w-]+)( [A-Z]+)?", run_cpp("--help").stdout.decode().partition("options:")[2])
    known = {name for action in PARSERS[command]._actions for name in action.option_strings if name.startswith("--")}
    assert known - {name for name, _ in options} == ({"--output", "--shard"} if command == "encode" else set())
    for name, value in options:
        words = [command, "no file", *["no file"] * (command in ("decode", "reconstruct"))]
        error = run_cpp(*words, name, *["1"] * bool(value)).stderr.decode()
        message = f"vqvae: error: unknown option {name} for {command}; see vqvae --help\n"
        assert (error == message) == (name not in known | {"--version"}), (name, error)


def test_module_and_script_are_one(exported):
    words = ["encode", str(DIGITS[1]), "--model", str(exported)]
    result = subprocess.run([sys.executable, "-m", "vqvae_gluon", *words], stdout=subprocess.PIPE, check=True)
    assert result.stdout == run_python(*words).stdout


def imported_by(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().split())


def test_imports_stay_light(exported):
    assert not {"mxnet", "numpy"} & imported_by("import vqvae_gluon")
    assert not {"mxnet", "numpy"} & imported_by("from vqvae_gluon.cli import _parser; _parser()")
    predict = f"from vqvae_gluon import Predictor; Predictor({str(exported)!r}).encode({str(DIGITS[0])!r})"
    loaded = imported_by(predict) - imported_by("import mxnet")
    assert {name for name in loaded if "." not in name and not name.startswith("_")} == {"vqvae_gluon"}
    command = f"from vqvae_gluon.cli import main; main(['encode', {str(DIGITS[0])!r}, '--model', {str(exported)!r}])"
    assert not {"sklearn.base", "pandas"} & imported_by(command)


def test_a_reader_that_stops_early_gets_no_traceback(exported):
    words = [str(COMMAND), "encode", str(DIGITS[0]), "--model", str(exported)]
    encode = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    encode.stdout.close()
    assert b"Traceback" not in encode.stderr.read()
    encode.wait()


@BOTH_PROGRAMS
def test_a_full_disk_behind_standard_output_is_told(exported, program):
    with open("/dev/full", "w") as full:
        words = [str(program), "encode", str(DIGITS[0]), "--model", str(exported)]
        result = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, check=False)
    assert result.returncode == 2
    assert result.stderr == b"vqvae: error: standard output: cannot be written (No space left on device)\n"


@BOTH
def test_help_on_a_full_disk_is_an_error_and_standard_output_a_file(run, exported):
    program = PROGRAM if run is run_cpp else COMMAND
    with open("/dev/full", "w") as full:
        result = subprocess.run([str(program), "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert result.returncode == 2 and b"standard output: cannot be written (No space left" in result.stderr
    result = run("reconstruct", DIGITS[0], "/dev/stdout", "--model", exported)
    assert result.returncode == 0 and result.stdout.startswith(b"\x89PNG")


@BOTH
def test_a_model_folder_that_is_not_there_is_told(run, tmp_path):
    for folder, said in ((tmp_path / "none", "for there is no such folder; give"), (tmp_path, "train one with")):
        result = run("encode", DIGITS[0], "--model", folder)
        error = result.stderr.decode()
        assert result.returncode == 2 and error.startswith(f"vqvae: error: {folder}: holds no exported model")
        assert said in error and error.count("\n") == 1


@BOTH
def test_names_cannot_break_the_line_of_an_error(run, exported):
    result = run("encode", "a\nb\x1b[2J.png", "--model", exported)
    assert result.returncode == 2 and result.stderr == b"vqvae: error: a\\x0ab\\x1b[2J.png: no such file\n"
    assert run("encode", "--a\nb").stderr.count(b"\n") == 1


@BOTH
def test_options_may_be_joined_and_ended(run, exported, tmp_path):
    shutil.copy(DIGITS[2], tmp_path / "-dash.png")
    result = run("encode", f"--model={exported}", "--", "-dash.png", cwd=str(tmp_path))
    assert result.returncode == 0 and result.stdout == run("encode", DIGITS[2], "--model", exported).stdout


def start(words, **pipes):
    """Start a process that a signal can stop, even if the tests themselves run in the background of a shell."""
    return subprocess.Popen(
        list(map(str, words)), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes
    )


def test_ctrl_c_gets_one_line(exported):
    words = [str(COMMAND), "decode", "-", "out.png", "--model", str(exported)]
    waiting = start(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(8)  # by then it waits for codes; it also stops if it is not there yet
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(60) == 130
    assert waiting.stderr.read() == b"vqvae: stopped\n"


@pytest.mark.parametrize("sent, ctx", [(signal.SIGINT, []), (signal.SIGTERM, ["--ctx", "cpu(0)"])])
def test_stopped_training_keeps_its_last_epoch_and_says_how_to_go_on(picture_folder, tmp_path, sent, ctx):
    run = tmp_path / "my run"
    data = ["--data", picture_folder, "--image-size", "8x8", "--num-embeddings", "8", "--batch-size", "8"]
    settings = [*data, "--num-epoch", "1000", "--checkpoint-period", "1000"]
    words = [COMMAND, "train", "--output", run, *settings, *ctx]
    training = start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(5):
        line = training.stdout.readline()
    assert line.startswith(b"epoch   4 of 1000")
    training.send_signal(sent)
    assert training.wait(60) == 130
    message = training.stderr.read().decode().splitlines()[-1]
    again = [str(COMMAND), "train", "--output", str(run), *ctx, "--resume"]
    assert message.endswith(f"resume with: {shlex.join(again)}")
    epoch = int(message.split("stopped in epoch ")[1].split(";")[0])
    assert list_checkpoints(run)[-1] == epoch - 1 >= 4


def test_a_message_names_the_program_as_it_was_called(monkeypatch):
    called = str(COMMAND)
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == called
    monkeypatch.setenv("PATH", str(COMMAND.parent))
    assert program() == "vqvae"
    monkeypatch.setattr(sys, "argv", ["vqvae_gluon/__main__.py"])
    assert program() == "vqvae"


def test_resuming_where_nothing_is_saved_is_told(picture_folder, tmp_path):
    run = tmp_path / "run"
    data = ["--data", picture_folder, "--image-size", "8x8", "--num-embeddings", "8", "--batch-size", "16"]
    result = run_python("train", "--output", run, *data, "--num-epoch", "1", "--resume")
    assert result.returncode == 0
    said = f"{run}: nothing is saved there to resume, so the training begins at epoch 0\n"
    assert result.stdout.decode().startswith(said)


def test_a_training_that_saved_nothing_does_not_say_how_to_go_on():
    def run():
        raise KeyboardInterrupt

    training = SimpleNamespace(folder=None, workers=ALONE, finished=False, epoch=0, run=run)
    with pytest.raises(KeyboardInterrupt, match="^stopped in epoch 0; nothing was saved yet$"):
        train_and_export(training, ["vqvae", "train", "--resume"], find_export=None, export=None)


def test_evaluate_refuses_a_folder_that_has_changed(picture_folder, trained, tmp_path):
    folder = shutil.copytree(picture_folder, tmp_path / "pictures")
    run = shutil.copytree(trained[0], tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["recipe"]["data"] = str(folder)
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert run_python("evaluate", "--model", run).returncode == 0
    (folder / "7.png").unlink()
    result = run_python("evaluate", "--model", run)
    assert result.returncode == 2 and b"has changed since the model was trained on it" in result.stderr
    assert run_python("evaluate", "--model", run, "--data", folder).returncode == 0


STOPPED = """
import sys
from vqvae_gluon import cli, runtime

class Lost:
    def __del__(self):
        raise KeyboardInterrupt

def run(options):
    Lost()
    runtime._stop["asked"] = {asked}
    raise ValueError("of a library") if {asked} else SystemExit(7)

cli.evaluate.run = run
sys.exit(cli.main(["evaluate"]))
"""


@pytest.mark.parametrize("asked, code, words", [(True, 130, b"vqvae: stopped\n"), (False, 7, b"")])
def test_a_stop_that_a_library_loses_or_changes_is_a_stop(asked, code, words):
    result = subprocess.run([sys.executable, "-c", STOPPED.format(asked=asked)], capture_output=True)
    assert (result.returncode, result.stderr) == (code, words)
