"""Exported files: names, heads, round trips, and what happens if they are damaged or mixed up."""
import json
import shutil

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from conftest import DIGITS, PRETRAINED, SMALL_MODELS, export_newest, make_model, random_images, run_cpp, run_python
from vqvae_gluon import Predictor, Training, VQVAEError, export_run, get_model, write_png
from vqvae_gluon.data import to_unit
from vqvae_gluon.export.loss import vqvae_loss
from vqvae_gluon.export.network import export_model, fold_constants, name_heads
from vqvae_gluon.export.run import find_export
from vqvae_gluon.model_files.folder import DECODER, ENCODER, NEWEST, PARAMETERS, SYMBOL
from vqvae_gluon.model_files.parameters import load_arrays


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of the exported model that a test may damage."""
    return shutil.copytree(exported, tmp_path / "model")


@pytest.fixture(scope="module")
def run(small_recipe, small_dataset, tmp_path_factory):
    """A finished and exported small training whose best epoch is not its last."""
    folder = tmp_path_factory.mktemp("export") / "run"
    training = Training(small_recipe.replace(checkpoint_period=1), small_dataset, folder)
    measure = training.measure

    def worse_in_the_end(split):
        metrics = measure(split)
        if training.epoch == 3:
            metrics["reconstruction"] += 100
        return metrics

    training.measure = worse_in_the_end
    training.run()
    return folder, training, export_run(folder)


def imports(folder, name):
    with pytest.warns(UserWarning):
        return gluon.SymbolBlock.imports(str(folder / name / SYMBOL), ["data"], str(folder / name / PARAMETERS))


def test_symbol_block_loads_what_the_model_computes(exported):
    model = make_model()
    images = mx.nd.array(to_unit(random_images(5)))
    expected = model(images)
    encoding, commitment_loss, codebook_loss = imports(exported, ENCODER)(images)
    codebook = model.quantizer.embeddings.data().asnumpy()
    rows = codebook[expected.codes.asnumpy().astype(int)].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(encoding.asnumpy(), rows)
    errors = np.square(rows.astype(np.float64) - expected.z.asnumpy()).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(commitment_loss.asnumpy(), errors, rtol=1e-5)
    np.testing.assert_allclose(codebook_loss.asnumpy(), errors, rtol=1e-5)
    images = imports(exported, DECODER)(encoding)
    np.testing.assert_allclose(images.asnumpy(), expected.reconstruction.asnumpy(), rtol=1e-5, atol=1e-6)


def test_inputs_and_heads_have_emadls_names(exported):
    encoder = mx.sym.load(str(exported / ENCODER / SYMBOL))
    decoder = mx.sym.load(str(exported / DECODER / SYMBOL))
    assert encoder.list_outputs() == ["encoding_output", "commitment_loss_output", "codebook_loss_output"]
    assert encoder.get_internals().list_outputs().count("codes_output") == 1
    assert decoder.list_outputs() == ["data_output"]
    for symbol, shape in ((encoder, (1, 28, 28)), (decoder, (16, 7, 7))):
        assert symbol.list_arguments()[0] == "data"
        assert symbol.attr_dict()["data"]["__shape__"] == str((0, *shape))
    for name in (ENCODER, DECODER):
        assert all(key.startswith(("arg:", "aux:")) for key in load_arrays(exported / name / PARAMETERS))


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_no_operator_depends_on_parameters_alone(name, tmp_path):
    assert_no_constants(make_model(name=name, **SMALL_MODELS[name]), tmp_path)


@pytest.mark.parametrize("stride", [8, 16])
def test_no_operator_depends_on_parameters_alone_at_larger_strides(stride, tmp_path):
    settings = {"width": 32, "decoder_width": 32}  # so that some layers fill whole blocks of channels
    assert_no_constants(make_model(name="vqvae_residual", stride=stride, image_size=(32, 48), **settings), tmp_path)


def assert_no_constants(model, tmp_path):
    model(mx.nd.zeros((1, *model.image_shape)))
    export_newest(model, tmp_path)
    for part in (ENCODER, DECODER):
        nodes, varies = json.loads((tmp_path / part / SYMBOL).read_text())["nodes"], []
        for node in nodes:
            varies.append(node["name"] == "data" or any(varies[source] for source, *_ in node["inputs"]))
        assert all(varies[number] for number, node in enumerate(nodes) if node["op"] != "null")


def test_what_was_computed_from_parameters_is_a_parameter(exported):
    encoder, decoder = (load_arrays(exported / name / PARAMETERS) for name in (ENCODER, DECODER))
    codebook = encoder["arg:vectorquantize0_embeddings"].asnumpy()
    weight, bias = (encoder[f"arg:vectorquantize0_{name}"].asnumpy() for name in ("reshape0", "_mulscalar0"))
    np.testing.assert_array_equal(weight, codebook[:, :, None, None])
    np.testing.assert_allclose(bias, -(codebook.astype(np.float64) ** 2).sum(axis=1) / 2, rtol=1e-6)
    identities = decoder["arg:decoder_upconvolution1_reshape0"].asnumpy()
    np.testing.assert_array_equal(identities, np.tile(np.eye(16), (2, 1))[:, :, None, None])


def test_folded_graphs_compute_the_same_bits():
    data, weight, mean, variance = (mx.sym.var(name) for name in ("data", "weight", "mean", "variance"))
    scaled = mx.sym.BatchNorm(data, mx.sym.exp(weight), weight, mean, variance, name="norm", fix_gamma=False)
    halves = mx.sym.split(mx.sym.reshape(weight, shape=(1, 4, 1, 1)), num_outputs=2, axis=1)
    product = mx.sym.broadcast_mul(mx.sym.slice_axis(scaled, axis=1, begin=0, end=2), halves[1])
    symbol = mx.sym.Group([scaled + 0, product])
    values = {f"arg:{name}": mx.nd.random.uniform(shape=(4,)) for name in ("weight",)}
    values.update({f"aux:{name}": mx.nd.random.uniform(shape=(4,)) for name in ("mean", "variance")})
    folded, parameters = fold_constants(symbol, values, (4, 3, 3))
    assert {node["op"] for node in json.loads(folded.tojson())["nodes"]} == {
        *("null", "BatchNorm", "_plus_scalar", "slice_axis", "SliceChannel", "broadcast_mul"),
    }

    def run(symbol, values):
        network = gluon.SymbolBlock(symbol, [mx.sym.var("data", dtype="float32")])
        network.collect_params().load_dict(values, mx.cpu())
        return [output.asnumpy() for output in network(x)]

    x = mx.nd.random.normal(shape=(2, 4, 3, 3))
    for old, new in zip(run(symbol, values), run(folded, parameters)):
        np.testing.assert_array_equal(old, new)


def test_heads_are_operators_and_no_copies(exported):
    for part in (ENCODER, DECODER):
        assert "_copy" not in {node["op"] for node in json.loads((exported / part / SYMBOL).read_text())["nodes"]}
    double = mx.sym.var("data") * 2
    heads = [mx.sym.identity(double, name="twice"), mx.sym.identity(double + 1, name="odd"), mx.sym.sqrt(double)]
    named = name_heads(mx.sym.Group(heads))
    assert named.list_outputs()[:2] == ["twice_output", "odd_output"]
    outputs = named.bind(mx.cpu(), {"data": mx.nd.array([8])}).forward()
    assert [output.asscalar() for output in outputs] == [16, 17, 4]


def test_the_codes_are_those_of_the_likeness(exported):
    symbol = mx.sym.load(str(exported / ENCODER / SYMBOL)).get_internals()
    outputs = [symbol[f"{name}_output"] for name in ("vectorquantize0_likeness", "codes", "encoder_tanh0_fwd")]
    network = gluon.SymbolBlock(outputs, [mx.sym.var("data", dtype="float32")])
    parameters = load_arrays(exported / ENCODER / PARAMETERS)
    network.collect_params().load_dict(parameters, mx.cpu(), ignore_extra=True)
    likeness, codes, z = (output.asnumpy() for output in network(mx.nd.array(to_unit(random_images(5)))))
    np.testing.assert_array_equal(likeness.argmax(axis=1), codes)
    codebook = parameters["arg:vectorquantize0_embeddings"].asnumpy()
    expected = np.einsum("ndhw,kd->nkhw", z, codebook) - (codebook**2).sum(axis=1)[:, None, None] / 2
    np.testing.assert_allclose(likeness, expected, rtol=1e-4, atol=1e-6)


def test_codebook_stands_alone_too(run):
    folder, training, manifest = run
    path = folder / "model" / ENCODER / f"model_0-vectorquantize0-{manifest['epoch']:04d}.params"
    parameters = gluon.ParameterDict()
    codebook = parameters.get("vectorquantize0_embeddings", shape=(8, 4))
    parameters.load(str(path), ctx=mx.cpu())
    np.testing.assert_array_equal(codebook.data().asnumpy(), Predictor(folder).codebook)


def test_the_best_epoch_is_the_newest_and_the_last_stays_beside(run):
    folder, training, manifest = run
    errors = [row["validation_reconstruction"] for row in training.history.rows]
    assert manifest["epoch"] == int(np.argmin(errors)) != 3 == manifest["last_epoch"]
    for name in (ENCODER, DECODER):
        files = folder / "model" / name
        assert (files / PARAMETERS).read_bytes() == (files / f"model_0-{manifest['epoch']:04d}.params").read_bytes()
        assert (files / PARAMETERS).read_bytes() != (files / "model_0-0003.params").read_bytes()


def test_manifest_tells_everything(run, small_dataset):
    folder, training, manifest = run
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    assert manifest["metrics"] == training.history.rows[manifest["epoch"]]
    assert manifest["recipe"]["batch_size"] == 64
    assert manifest["versions"]["mxnet"] == mx.__version__
    assert manifest["data_fingerprint"] == small_dataset.fingerprint()
    present = {path.relative_to(folder).as_posix() for path in (folder / "model").rglob("*") if path.is_file()}
    assert set(manifest["files"]) == present and len(present) == 16


def test_export_twice_gives_the_same_files(run):
    folder, _, manifest = run
    assert export_run(folder) == manifest


def networks(model, prefix):
    """Return the four files of each network under a prefix."""
    endings = ("-symbol.json", "-0000.params", "_loss-symbol.json", "_loss-0000.params")
    return {part.name: [(part / f"{prefix}{ending}").read_bytes() for ending in endings] for part in model.iterdir()}


def test_the_loss_beside_each_network_is_the_recipes(run):
    folder, training, _ = run
    recipe = training.recipe
    loss = vqvae_loss(recipe.beta, recipe.reconstruction_loss, recipe.error_weight).tojson().encode()
    for _, _, symbol, parameters in networks(folder / "model", NEWEST).values():
        assert symbol == loss and b"0.25" in loss and len(parameters) == 32


def test_another_prefix_names_the_selected_epoch_too(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    assert run_python("export", folder, "--prefix", "newest").returncode == 0
    model = folder / "model"
    assert networks(model, "newest") == networks(model, NEWEST) == networks(run[0] / "model", NEWEST)
    manifest = find_export(folder)
    assert set(manifest["files"]) - set(run[2]["files"]) == {
        f"model/{part}/newest{ending}"
        for part in (ENCODER, DECODER)
        for ending in ("-symbol.json", "-0000.params", "_loss-symbol.json", "_loss-0000.params")
    }
    (model / ENCODER / "newest-0000.params").unlink()
    assert find_export(folder) is None
    assert export_run(folder) == run[2]


@pytest.mark.parametrize("prefix", ["", "a/b", "../a", ".a", "a\n", "model_0", "model_0_newest_loss", "model_0-0001"])
def test_prefixes_of_no_or_other_files_are_refused(run, prefix):
    result = run_python("export", run[0], "--prefix", prefix)
    words = b"the epochs' files begin with model_0" if "model_0" in prefix else b"cannot begin a file name"
    assert result.returncode == 2 and words in result.stderr and result.stderr.count(b"\n") == 1
    assert find_export(run[0]) == run[2]


def test_the_judge_is_put_beside_models_of_its_own_data(run, tmp_path, monkeypatch):
    folder = shutil.copytree(run[0], tmp_path / "run")
    assert export_run(folder) == run[2]  # without the judge, which is of other data
    judge = shutil.copytree(PRETRAINED / "judge", tmp_path / "pre-trained" / "judge")
    (judge / "manifest.json").write_text(json.dumps({"data_fingerprint": run[1].trained.fingerprint}))
    monkeypatch.setattr("vqvae_gluon.evaluation.judge.pretrained_folder", lambda: judge.parent)
    export_run(folder, "newest")
    model = folder / "model"
    assert {part.name for part in model.iterdir()} == {ENCODER, DECODER, "vqvae.LeNetNetwork"}
    assert networks(model, "newest")["vqvae.LeNetNetwork"] == networks(judge.parent, NEWEST)["judge"]


def test_an_export_without_losses_is_not_whole(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    manifest = dict(run[2], files={})
    for path in sorted(path for path in (folder / "model").rglob("*") if path.is_file()):
        if "_loss" in path.name:
            path.unlink()
        else:
            name = path.relative_to(folder).as_posix()
            manifest["files"][name] = run[2]["files"][name]
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    assert find_export(folder) is None


def test_get_model_loads_exported_parameters(run):
    folder, training, manifest = run
    model = get_model("VQVAE_EMADL", pretrained=True, root=folder)  # its settings are the run's
    images = training.dataset.validation.images[:10]
    output = model(mx.nd.array(to_unit(images)))
    predictor = Predictor(folder)
    np.testing.assert_array_equal(output.codes.asnumpy(), predictor.encode(images))
    np.testing.assert_allclose(output.reconstruction.asnumpy(), predictor.reconstruct(images), rtol=1e-5, atol=1e-6)
    with pytest.raises(VQVAEError, match=r"is another model: for .* it has shape"):
        get_model("vqvae_emadl", pretrained=True, root=folder, num_embeddings=9)
    with pytest.raises(VQVAEError, match="is another model"):
        get_model("vqvae_residual", pretrained=True, root=folder, image_size=(8, 8))


def test_get_model_refuses_unknown_names_and_settings():
    with pytest.raises(VQVAEError, match="unknown model 'vqvae': choose one of vqvae_emadl, vqvae_inception"):
        get_model("vqvae")
    with pytest.raises(VQVAEError, match="unexpected keyword argument 'size'"):
        get_model("vqvae_emadl", size=3)


def test_nothing_to_export(tmp_path):
    with pytest.raises(VQVAEError, match="holds no checkpoint"):
        export_run(tmp_path)


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("channels, size", [(1, (28, 28)), (3, (12, 20))])
def test_both_languages_agree_for_other_shapes(tmp_path, update, channels, size):
    folder = export_newest(make_model(update, channels=channels, image_size=size), tmp_path / "model")
    write_png(tmp_path / "in.png", random_images(1, channels, size)[0])
    for run_program, name in ((run_python, "python"), (run_cpp, "cpp")):
        files = (tmp_path / "in.png", tmp_path / f"{name}.png")
        result = run_program("reconstruct", *files, "--model", folder, "--strict")
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "python.png").read_bytes() == (tmp_path / "cpp.png").read_bytes()


@pytest.mark.parametrize("stride", [8, 16])
def test_both_languages_agree_for_larger_strides(tmp_path, stride):
    settings = {"channels": 3, "image_size": (128, 128), "stride": stride}
    model = make_model(name="vqvae_residual", **settings, **SMALL_MODELS["vqvae_residual"])
    folder = export_newest(model, tmp_path / "model")
    write_png(tmp_path / "in.png", random_images(1, 3, (128, 128))[0])
    codes = []
    for run_program, name in ((run_python, "python"), (run_cpp, "cpp")):
        files = (tmp_path / "in.png", tmp_path / f"{name}.png")
        result = run_program("reconstruct", *files, "--model", folder, "--strict")
        assert result.returncode == 0, result.stderr
        codes.append(run_program("encode", tmp_path / "in.png", "--model", folder).stdout)
    assert (tmp_path / "python.png").read_bytes() == (tmp_path / "cpp.png").read_bytes()
    assert codes[0] == codes[1]
    assert [len(line.split()) for line in codes[0].splitlines()] == [128 // stride] * (128 // stride)


def save_changed(path, change):
    arrays = load_arrays(path)
    change(arrays)
    mx.nd.save(str(path), arrays)


def flip_symbol(model):
    path = model / ENCODER / SYMBOL
    path.write_text(path.read_text().replace('"Convolution"', '"Convolutoin"', 1))


def drop_parameter(model):
    save_changed(model / ENCODER / PARAMETERS, lambda arrays: arrays.pop("arg:encoder_conv1_bias"))


def strip_prefix(model):
    def change(arrays):
        arrays["encoder_conv1_bias"] = arrays.pop("arg:encoder_conv1_bias")

    save_changed(model / ENCODER / PARAMETERS, change)


def reshape_parameter(model):
    def change(arrays):
        arrays["arg:encoder_conv1_bias"] = mx.nd.zeros((32,))

    save_changed(model / ENCODER / PARAMETERS, change)


def add_parameter(model):
    save_changed(model / DECODER / PARAMETERS, lambda arrays: arrays.update({"arg:more": mx.nd.zeros((1,))}))


def swap_networks(model):
    shutil.copy(model / DECODER / PARAMETERS, model / ENCODER / PARAMETERS)


def other_size(model):
    other = model.parent / "other"
    export_model(make_model(image_size=(32, 32)), other)
    shutil.copy(other / DECODER / "model_0-symbol.json", model / DECODER / SYMBOL)
    shutil.copy(other / DECODER / "model_0-0000.params", model / DECODER / PARAMETERS)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def other_depth(model):
    other = model.parent / "other"
    export_model(make_model(embedding_dim=4), other)
    shutil.copy(other / DECODER / "model_0-symbol.json", model / DECODER / SYMBOL)
    shutil.copy(other / DECODER / "model_0-0000.params", model / DECODER / PARAMETERS)


def change_graph(path, change):
    graph = json.loads(path.read_text())
    change(graph)
    path.write_text(json.dumps(graph))


def call_address(model):
    """Replace an operator of a model's graph with one that would call a function at an address."""

    def change(graph):
        node = next(node for node in graph["nodes"] if node["op"] == "Activation")
        node.update(op="_Native", attrs={"info": "0x41414141", "need_top_grad": "False"})

    change_graph(model / ENCODER / SYMBOL, change)


DAMAGES = {
    "foreign operator": (call_address, "asks for the operator _Native, which could run code; it is refused"),
    "no encoder": (lambda model: shutil.rmtree(model / ENCODER), "holds no exported model"),
    "symbol without params": (lambda model: (model / ENCODER / PARAMETERS).unlink(), "0000.params: no such file"),
    "params without symbol": (lambda model: (model / DECODER / SYMBOL).unlink(), "symbol.json: no such file"),
    "truncated params": (lambda model: truncate(model / DECODER / PARAMETERS), "is damaged or no MXNet parameter file"),
    "text for params": (lambda m: (m / DECODER / PARAMETERS).write_text("text"), "is damaged or no MXNet parameter"),
    "truncated symbol": (lambda model: truncate(model / ENCODER / SYMBOL), "is damaged or no MXNet graph"),
    "unknown operator": (flip_symbol, "is damaged or no MXNet graph"),
    "missing parameter": (drop_parameter, "lacks arg:encoder_conv1_bias, which the graph needs"),
    "parameter without its prefix": (strip_prefix, "lacks arg:encoder_conv1_bias"),
    "parameter of another shape": (reshape_parameter, "it is from another model"),
    "one parameter too many": (add_parameter, "holds arg:more, which the graph does not know"),
    "params of the other network": (swap_networks, "lacks arg:encoder_conv0_weight"),
    "decoder for another size": (other_size, "are from different models"),
    "decoder of another model": (other_depth, "are from different models"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_models_are_refused_by_both_programs(copy, tmp_path, case):
    damage, words = DAMAGES[case]
    damage(copy)
    with pytest.raises(VQVAEError, match=words):
        Predictor(copy)
    codes = tmp_path / "codes.txt"
    codes.write_text("0 " * 49)
    output = tmp_path / "out.png"
    output.write_bytes(b"keep me")
    for program in (run_python, run_cpp):
        result = program("decode", codes, output, "--model", copy)
        lines = result.stderr.decode().splitlines()
        assert result.returncode == 2 and len(lines) == 1 and words in lines[0], result.stderr
    assert output.read_bytes() == b"keep me"


@pytest.mark.parametrize(
    "text",
    [
        *("", "(0, 1, 28. 28)", "(0, 1, 28, 28", "(0, 0, 28, 28)", "(2, 1, 28, 28)", "(0, 1, 28, 028)"),
        *("(0,1,28,28)", "(0, 1)"),
    ],
)
def test_both_programs_read_shapes_alike(copy, text):
    change_graph(copy / ENCODER / SYMBOL, lambda graph: graph["nodes"][0]["attrs"].update(__shape__=text))
    results = [program("encode", DIGITS[0], "--model", copy) for program in (run_python, run_cpp)]
    assert all(result.returncode == 2 for result in results)
    assert results[0].stderr == results[1].stderr
    assert b"does not give the shape of data; export it with vqvae export" in results[0].stderr


def find(nodes, name):
    return next(number for number, node in enumerate(nodes) if node["name"] == name and node["op"] != "null")


def cast(name, kind):
    """Return a function that casts the output of a node to another type, under the node's name."""

    def change(graph):
        nodes = graph["nodes"]
        number = find(nodes, name)

        def moved(entries):
            return [[source + (source >= number), *rest] for source, *rest in entries]

        for node in nodes[number + 1 :]:
            node["inputs"] = moved(node["inputs"])
        nodes[number]["name"] = "before"
        nodes.insert(number + 1, {"op": "Cast", "name": name, "attrs": {"dtype": kind}, "inputs": [[number, 0, 0]]})
        graph["heads"] = moved(graph["heads"])
        graph["arg_nodes"] = [number for number, node in enumerate(nodes) if node["op"] == "null"]

    return change


def setting(name, key, value):
    return lambda graph: graph["nodes"][find(graph["nodes"], name)]["attrs"].update({key: value})


def rename(name, other):
    return lambda graph: graph["nodes"][find(graph["nodes"], name)].update(name=other)


LAST = "decoder_upconvolution2_deconvolution0"
GRAPHS = {
    "codes of another batch": (ENCODER, setting("codes", "axis", "0"), None),
    "codes renamed": (ENCODER, rename("codes", "others"), "has no output named codes"),
    "codes twice": (ENCODER, rename("encoder_relu0_fwd", "codes"), "has no output named codes"),
    "codes as float64": (ENCODER, cast("codes", "float64"), None),
    "likeness as float64": (ENCODER, cast("vectorquantize0_convolution0", "float64"), None),
    "likeness as float16": (ENCODER, cast("vectorquantize0_convolution0", "float16"), None),
    "images as float64": (DECODER, cast("data", "float64"), None),
    "images as float16": (DECODER, cast("data", "float16"), None),
    "images renamed": (DECODER, rename("data", "others"), "has no output named data"),
    "smaller images": (DECODER, setting(LAST, "pad", "(2, 2)"), "are from different models"),
    "larger images": (DECODER, setting(LAST, "stride", "(2, 2)"), "are from different models"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_changed_graphs_are_refused_by_both_programs(copy, tmp_path, case):
    part, change, words = GRAPHS[case]
    change_graph(copy / part / SYMBOL, change)
    output = tmp_path / "out.png"
    output.write_bytes(b"keep me")
    for program in (run_python, run_cpp):
        result = program("reconstruct", DIGITS[0], output, "--model", copy)
        lines = result.stderr.decode().splitlines()
        assert result.returncode == 2 and len(lines) == 1 and (words or "model") in lines[0], result.stderr
    assert output.read_bytes() == b"keep me"


def test_weights_that_the_manifest_contradicts_are_refused(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    save_changed(
        folder / "model" / DECODER / PARAMETERS,
        lambda arrays: arrays.update({name: array + 1 for name, array in arrays.items()}),
    )
    for damage, words in (
        (lambda: None, "0000.params: is not the file that manifest.json names (SHA-256 differs)"),
        (lambda: (folder / "manifest.json").write_text("["), "manifest.json: is damaged"),
        (lambda: (folder / "manifest.json").write_text("{}"), "manifest.json: is damaged"),
        (lambda: (folder / "manifest.json").write_text("[" * 100_000), "manifest.json: is damaged"),
    ):
        damage()
        results = [program("encode", DIGITS[0], "--model", folder) for program in (run_python, run_cpp)]
        assert results[0].stderr == results[1].stderr
        for result in results:
            assert result.returncode == 2 and words in result.stderr.decode() and result.stderr.count(b"\n") == 1
            assert result.stdout == b""


@pytest.mark.parametrize("given", ["run", "run/", "run/model", "run/model/", "./run/model"])
def test_a_manifest_is_found_however_the_model_is_named(run, tmp_path, given):
    folder = shutil.copytree(run[0], tmp_path / "run")
    with open(folder / "model" / ENCODER / PARAMETERS, "ab") as file:
        file.write(b"x")
    for program in (run_python, run_cpp):
        result = program("encode", DIGITS[0], "--model", given, cwd=str(tmp_path))
        assert result.returncode == 2 and b"SHA-256 differs" in result.stderr
    result = [program("encode", DIGITS[0], "--model", ".", cwd=str(folder)) for program in (run_python, run_cpp)]
    assert all(b"SHA-256 differs" in part.stderr for part in result)
