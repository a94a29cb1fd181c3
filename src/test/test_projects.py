"""A user's EMADL project: trained, resumed, exported, compared, and run in both languages."""
import json
import shutil
import subprocess

import mxnet as mx
import numpy as np
import pytest

from conftest import DIGITS, PROJECT, ROOT, random_images, reconstruct_by_cpp, run_cpp, run_python
from networks import TAILS, export_tail
from vqvae_gluon import Predictor, VQVAEError, emadl, export_run, get_model, get_recipe, to_bytes, write_png
from vqvae_gluon.model_files.folder import find_model
from vqvae_gluon.recipes.autoencoder import Recipe, project_recipe

ENCODER = """package p.q;
component Enc<Z(1:oo) num_embeddings = 8> {
    ports in Q(0:1)^{1,10,12} data, out Q^{4,3,3} encoding;
    implementation CNN {
        data -> Convolution(kernel=(3,3), channels=6, stride=(3,3), padding="valid") -> Relu() ->
        Convolution(kernel=(1,2), channels=4, padding="valid") ->
        VectorQuantize(num_embeddings=num_embeddings, beta=2) -> encoding;
    }
}
"""
DECODER = """package p.q;
component Dec {
    ports in Q^{4,3,3} encoding, out Q(0:1)^{1,10,12} data;
    implementation CNN {
        encoding -> UpConvolution(kernel=(4,4), channels=5, stride=(3,3), padding="valid") -> Relu() ->
        UpConvolution(kernel=(1,3), channels=1, padding="valid") -> Sigmoid() -> data;
    }
}
"""
CONFIGURATION = """configuration Dec {
    learning_method: vae, encoder: p.q.Enc, num_epoch: 2, batch_size: 16, log_period: 10,
    optimizer: adam { learning_rate: 0.001 }
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with sizes that no stride divides and its own names, in a folder with other files."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "src").mkdir()
    for name, text in (("Enc.emadl", ENCODER), ("Dec.emadl", DECODER), ("Dec.conf", CONFIGURATION)):
        (folder / "src" / name).write_text(text)
    (folder / "Main.emadl").write_text("package p; component Main { instance Enc encoder; }")
    (folder / "Main.conf").write_text("configuration Main { learning_method: supervised }")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for index, image in enumerate(random_images(60, size=(10, 12))):
        write_png(folder / f"{index}.png", image)
    return folder


@pytest.fixture(scope="module")
def trained(project, images, tmp_path_factory):
    """The command that trains the project, its result, and the run."""
    run = tmp_path_factory.mktemp("run") / "mine"
    command = ["train", "--emadl", project, "--data", images, "-o", run]
    result = run_python(*command, "--num-epoch", "1")
    assert result.returncode == 0, result.stderr
    return command, result, run


def test_a_recipe_is_what_the_project_says(project):
    recipe = project_recipe(emadl.read_project(project))
    assert (recipe.model, recipe.channels, recipe.image_size) == ("vqvae_emadl", 1, (10, 12))
    assert (recipe.num_embeddings, recipe.embedding_dim, recipe.beta) == (8, 4, 2)
    assert (recipe.num_epoch, recipe.batch_size, recipe.learning_rate) == (2, 16, 0.001)
    assert (recipe.update, recipe.initializer, recipe.output_bias) == ("gradient", "normal", "zero")
    assert Recipe.from_json(recipe.to_json()) == recipe
    better = project_recipe(emadl.read_project(project), get_recipe("ema"))
    assert (better.beta, better.reduction, better.update, better.emadl) == (0.25, "mean", "ema", recipe.emadl)


def test_the_seeds_recipe_is_what_this_packages_text_says():
    recipe = get_recipe("emadl")
    assert not recipe.emadl and "emadl" not in json.loads(recipe.to_json())
    changed = {"update": "gradient", "beta": 0.25, "learning_rate": 1e-4, "learning_rate_schedule": "constant"}
    changed.update(initializer="normal", output_bias="zero", batch_size=500, checkpoint_period=1)
    changed.update(reduction="sum", dead_share=0.0, warm_up=0.0, clip=0.0)
    assert recipe == Recipe(**changed)


def test_training_names_what_means_nothing_and_keeps_the_texts(trained):
    _, result, run = trained
    assert result.stderr.decode().count("log_period: figures are given after every epoch") == 1
    assert len(result.stderr.splitlines()) == 1
    texts = {"Enc.emadl": ENCODER, "Dec.emadl": DECODER, "Dec.conf": CONFIGURATION}
    assert {path.name: path.read_text() for path in (run / "emadl").iterdir()} == texts
    assert json.loads((run / "recipe.json").read_text())["emadl"] == texts


def test_the_export_has_the_projects_names(trained):
    _, _, run = trained
    assert {path.name for path in (run / "model").iterdir()} == {"p.q.Enc", "p.q.Dec"}
    assert json.loads((run / "manifest.json").read_text())["components"] == {"encoder": "p.q.Enc", "decoder": "p.q.Dec"}
    assert find_model(run)[1:] == ("p.q.Enc", "p.q.Dec")


def test_both_languages_run_it_alike(trained, images, tmp_path):
    _, _, run = trained
    for number in range(5):
        codes, pictures = [], []
        for program, name in ((run_python, "python.png"), (run_cpp, "cpp.png")):
            codes.append(program("encode", images / f"{number}.png", "--model", run).stdout)
            result = program("reconstruct", images / f"{number}.png", tmp_path / name, "--model", run)
            assert result.returncode == 0, result.stderr
            pictures.append((tmp_path / name).read_bytes())
        assert codes[0] == codes[1] != b"" and pictures[0] == pictures[1]


def test_resume_needs_no_project_and_another_text_is_refused(trained, project, images, tmp_path):
    command, _, run = trained
    moved = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(moved / "emadl")
    assert run_python("train", "--resume", "-o", moved).returncode == 0
    result = run_python("encode", images / "0.png", "--model", moved)
    assert result.stdout == run_python("encode", images / "0.png", "--model", run).stdout
    other = shutil.copytree(project, tmp_path / "other")
    (other / "src" / "Enc.emadl").write_text(ENCODER.replace("channels=6", "channels=7"))
    command = [other if word == project else moved if word == run else word for word in command]
    result = run_python(*command, "--num-epoch", "1", "--resume")
    assert result.returncode == 2 and b"other settings (emadl: '" in result.stderr, result.stderr


def test_export_and_evaluate_take_the_run(trained, tmp_path):
    _, _, run = trained
    before = (run / "manifest.json").read_bytes()
    assert run_python("export", run).returncode == 0
    assert (run / "manifest.json").read_bytes() == before
    metrics = json.loads(run_python("evaluate", "--model", run, "--json").stdout)
    assert metrics["images"] == 6


def test_the_blocks_parameters_load_from_the_export(trained, project, images):
    _, _, run = trained
    model = get_model("vqvae_emadl", pretrained=True, root=run, emadl=project)
    predictor = Predictor(run)
    pixels = predictor.to_tensor([images / "0.png", images / "1.png"])
    output = model(mx.nd.array(pixels))
    np.testing.assert_array_equal(output.codes.asnumpy(), predictor.encode(pixels))
    np.testing.assert_allclose(output.reconstruction.asnumpy(), predictor.reconstruct(pixels), atol=1e-6)


def test_flags_stand_above_the_configuration(project, images):
    result = run_python("train", "--emadl", project, "--print-recipe", "--num-embeddings", "5", "--beta", "7")
    recipe = json.loads(result.stdout)
    assert (recipe["num_embeddings"], recipe["beta"], recipe["num_epoch"]) == (5, 7, 2)
    recipe = Recipe.from_dict(recipe)
    assert get_model(recipe.model, **recipe.model_settings()).quantizer.num_embeddings == 5
    result = run_python("train", "--emadl", project, "--data", images, "--embedding-dim", "5", "-o", "never")
    assert result.returncode == 2
    other = run_python("train", "--emadl", project, "--model", "vqvae_residual", "-o", "never")
    assert other.returncode == 2 and b"beside --emadl, which describes the model; leave one out" in other.stderr
    assert b"embedding_dim was given as 5: Enc.emadl says 4 and has no parameter embedding_dim" in result.stderr


def test_projects_are_compared(project, images, tmp_path):
    other = shutil.copytree(project, tmp_path / "wider")
    (other / "src" / "Enc.emadl").write_text(ENCODER.replace("channels=6", "channels=9"))
    settings = ["--data", images, "--num-epoch", "1", "--seeds", "0"]
    result = run_python("compare", f"narrow={project}", other, *settings, "-o", tmp_path / "comparison", "--json")
    assert result.returncode == 0, result.stderr
    text = result.stdout.decode()
    assert set(json.loads(text[text.index("\n{\n") :])) == {"narrow", "wider"}
    (other / "src" / "Dec.emadl").write_text(DECODER.replace("channels=5", "channels=4"))
    result = run_python("compare", f"narrow={project}", other, *settings, "-o", tmp_path / "never")
    assert result.returncode == 2 and b"narrow has the decoder p.q.Dec, wider has p.q.Dec" in result.stderr


def test_check_prints_the_layers_or_the_place_of_the_fault(project, tmp_path):
    path = project / "src" / "Enc.emadl"
    result = run_python("check", path)
    assert result.returncode == 0 and result.stdout.decode() == emadl.read(path).describe() + "\n"
    path = tmp_path / "Wrong.emadl"
    path.write_text(ENCODER.replace("Relu()", "Relo()"))
    result = run_python("check", path)
    assert result.returncode == 2 and result.stdout == b""
    column = ENCODER.splitlines()[4].index("Relu") + 1
    assert result.stderr.decode() == f"vqvae: error: {path}:5:{column}: unknown layer 'Relo'; did you mean Relu?\n"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"Dec.conf": None}, "holds 0 .conf with learning_method: vae (none)"),
        ({"Dec.emadl": None}, "holds no Dec.emadl, which the configuration joins; there are Enc.emadl, Main.emadl"),
        ({"Enc.emadl": None}, "holds no Enc.emadl, which the configuration joins; there are Dec.emadl, Main.emadl"),
        ({"Enc.emadl": ENCODER.replace("-> \n", "")[:-20]}, "Enc.emadl:7:"),
        ({"Enc.emadl": ENCODER.replace("package p.q", "package other")}, "names the encoder p.q.Enc"),
        ({"Dec.emadl": DECODER.replace("Q^{4,3,3}", "Q^{2,3,3}")}, "takes (2,3,3), "),
        ({"Dec.conf": CONFIGURATION.replace("log_p", "log_")}, "unknown key 'log_eriod'; did you mean log_period?"),
        ({"Dec.conf": CONFIGURATION.replace("adam", "nag")}, "optimizer was given as nag: it must be adam or sgd"),
    ],
)
def test_what_is_wrong_with_a_project_is_one_line(project, tmp_path, changes, words):
    folder = shutil.copytree(project, tmp_path / "project")
    for name, text in changes.items():
        path = folder / "src" / name
        path.unlink() if text is None else path.write_text(text)
    result = run_python("train", "--emadl", folder, "-o", tmp_path / "run")
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and len(lines) == 1 and words in lines[0], result.stderr
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_missing_is_told_once(tmp_path, images):
    if mx.context.num_gpus():
        pytest.skip("there is a GPU here")
    command = ["train", "--emadl", PROJECT, "--print-recipe"]
    lines = run_python(*command).stderr.decode().splitlines()
    assert [line.split(": ", 2)[2] for line in lines] == [
        "kl_loss_weight: a VQ-VAE has no KL term",
        "context: there is no GPU that MXNet can use here; training on the CPU",
    ]
    result = run_python(*command, "--ctx", "cpu")
    assert b"context" not in result.stderr


def test_a_program_of_emadls_generator_runs_it(project_run):
    command = [str(ROOT / "cpp" / "build" / "emadl_test"), str(project_run / "model"), "mnist"]
    result = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("part", ["decoder", "encoder"])
def test_whatever_a_network_is_made_of_both_languages_agree(tail, part, tmp_path):
    folder = export_tail(part, tail, tmp_path)
    images = random_images(5, size=(12, 8))
    predictor = Predictor(folder, batch_size=1)
    codes = predictor.encode(images)
    cpp_codes, cpp_reconstructions = reconstruct_by_cpp(folder, images, tmp_path)
    np.testing.assert_array_equal(cpp_codes, codes.ravel())
    np.testing.assert_array_equal(cpp_reconstructions, to_bytes(predictor.decode(codes)).ravel())


def test_two_models_in_one_folder_are_refused_alike(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    for part in ("Encoder", "Decoder"):
        shutil.copytree(folder / f"vqvae.{part}", folder / f"mnist.{part}")
    for program in (run_python, run_cpp):
        result = program("encode", DIGITS[0], "--model", folder)
        assert result.returncode == 2 and b"holds several models (mnist.Encoder, vqvae.Encoder)" in result.stderr
    shutil.rmtree(folder / "vqvae.Encoder")
    codes = [program("encode", DIGITS[0], "--model", folder).stdout for program in (run_python, run_cpp)]
    assert codes[0] == codes[1] != b""


def test_a_manifest_names_no_folder_elsewhere(trained, tmp_path):
    _, _, run = trained
    for name in ("../model/p.q.Enc", ".hidden", 7, ["p.q.Enc"], "p.q.Missing"):
        moved = shutil.copytree(run, tmp_path / f"run {name!s:.4}".replace("/", "_"), dirs_exist_ok=True)
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["components"]["encoder"] = name
        (moved / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(VQVAEError, match="holds no exported model"):
            find_model(moved)
        assert b"holds no exported model" in run_cpp("encode", DIGITS[0], "--model", moved).stderr


def test_exporting_the_run_again_replaces_an_older_ones_names(trained, tmp_path):
    _, _, run = trained
    moved = shutil.copytree(run, tmp_path / "run")
    shutil.move(str(moved / "model" / "p.q.Enc"), str(moved / "model" / "vqvae.Encoder"))
    assert export_run(moved)["components"] == {"encoder": "p.q.Enc", "decoder": "p.q.Dec"}
    assert {path.name for path in (moved / "model").iterdir()} == {"p.q.Enc", "p.q.Dec"}
