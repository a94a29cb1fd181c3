"""The colour onto which images with an alpha channel are flattened, in every command that reads image files."""
import json

import numpy as np
import pytest
from PIL import Image

from conftest import BOTH, random_images, run_cpp, run_python
from vqvae_gluon import Predictor, Recipe, VQVAEError, load_dataset, write_png
from vqvae_gluon.cli import main

IMAGES = random_images(20, size=(16, 16), seed=4)
ALPHA = "has an alpha channel; flatten it with --background black, white or #rrggbb"


def write_transparent(path, image):
    """Write a gray image (1, H, W) that is half transparent at the top."""
    alpha = np.full_like(image[0], 255)
    alpha[: len(alpha) // 2] = 128
    Image.fromarray(np.dstack([image[0], alpha])).save(path)
    return path


@pytest.fixture
def mixed_folder(tmp_path):
    """A folder of 20 images, of which 2.png and 5.png are transparent."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number, image in enumerate(IMAGES):
        (write_transparent if number in (2, 5) else write_png)(folder / f"{number}.png", image)
    return folder


COMMANDS = {
    "train": ["train", "--data", "nowhere"],
    "compare": ["compare", "vqvae_emadl", "--data", "nowhere"],
    "prior": ["prior", "nowhere"],
    "evaluate": ["evaluate", "--model", "nowhere"],
    "score": ["score", "nowhere", "--model", "nowhere"],
    "encode to a file": ["encode", "nowhere", "-o", "out.npz", "--model", "nowhere"],
    "encode": ["encode", "no.png", "--model", "nowhere"],
    "reconstruct": ["reconstruct", "no.png", "out.png", "--model", "nowhere"],
    "generate": ["generate", "--complete", "no.png", "--model", "nowhere"],  # also without OUT.png
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_colour_is_refused_before_all_else(command, capsys):
    words = [*COMMANDS[command], "--background", "foo"]
    expected = "vqvae: error: background was given as 'foo': it must be black, white or #rrggbb\n"
    assert main(words) == 2 and capsys.readouterr().err == expected
    if command in ("encode", "reconstruct", "generate"):
        result = run_cpp(*words)
        assert (result.returncode, result.stderr.decode()) == (2, expected)


def test_a_predictor_needs_a_colour():
    with pytest.raises(VQVAEError, match="background was given as 'red'"):
        Predictor("nowhere", background="red")


def test_a_recipe_has_a_background():
    old = json.loads(Recipe().to_json())
    assert "background" not in old and Recipe.from_dict(old) == Recipe() and Recipe().background == ""
    assert Recipe(background="#00ff00").data_settings()["background"] == "#00ff00"
    with pytest.raises(VQVAEError, match="background was given as 'green': it must be black, white or #rrggbb"):
        Recipe(background="green")


def test_a_folder_may_hold_both_kinds(mixed_folder):
    plain = load_dataset(str(mixed_folder), image_size=(16, 16), background="white")
    pool = {image.tobytes() for split in plain for image in split.images}
    assert len(pool) == 20 and len(pool & {image.tobytes() for image in IMAGES}) == 18
    flat = IMAGES[5].astype(int)
    flat[:, :8] = (128 * flat[:, :8] + 127 * 255 + 127) // 255
    assert flat.astype(np.uint8).tobytes() in pool
    with pytest.raises(VQVAEError, match=rf"/[25].png: {ALPHA}"):
        load_dataset(str(mixed_folder), image_size=(16, 16))


def test_training_remembers_the_background(mixed_folder, tmp_path):
    run = tmp_path / "run"
    words = ["train", "--data", mixed_folder, "--image-size", "16x16", "--num-embeddings", "8", "--output", run]
    words += ["--batch-size", "8", "--num-epoch", "1", "--pictures", "0"]
    result = run_python(*words)
    assert result.returncode == 2 and result.stderr.decode().splitlines()[-1].endswith(f".png: {ALPHA}")
    assert not run.exists()
    result = run_python(*words, "--background", "white")
    assert result.returncode == 0, result.stderr
    assert json.loads((run / "recipe.json").read_text())["background"] == "white"
    result = run_python("evaluate", "--model", run)
    assert result.returncode == 0, result.stderr
    result = run_python("evaluate", "--model", run, "--background", "black")
    assert result.returncode == 2 and b"has changed since the model was trained on it" in result.stderr


@BOTH
@pytest.mark.parametrize("command", ["encode", "generate"])
def test_single_images(run, command, prior_run, tmp_path):
    path = write_transparent(tmp_path / "a.png", IMAGES[0])
    ends = {"encode": ["encode", path], "generate": ["generate", "--codes", "--complete", path, "--rows", "4"]}
    words = [*ends[command], "--model", prior_run]
    result = run(*words)
    assert (result.returncode, result.stderr.decode()) == (2, f"vqvae: error: {path}: {ALPHA}\n")
    result = run(*words, "--background", "white")
    assert result.returncode == 0, result.stderr
    codes = Predictor(prior_run, background="white").encode(path)[0]
    assert result.stdout.split() == [str(code).encode() for code in codes.ravel()]


@pytest.mark.parametrize("command", ["score", "encode"])
def test_folders_of_images(command, prior_run, mixed_folder, tmp_path):
    words = [command, mixed_folder, "-o", tmp_path / ("out.csv" if command == "score" else "out.npz")]
    words += ["--model", prior_run]
    result = run_python(*words)
    assert result.returncode == 2 and result.stderr.decode().endswith(f"/2.png: {ALPHA}\n")
    result = run_python(*words, "--background", "#102030")
    assert result.returncode == 0, result.stderr
