"""The Python executor: the same bits as Gluon's blocks for every kind of layer, in one thread or many."""
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mxnet as mx
import numpy as np
import pytest

from conftest import DIGITS, PRETRAINED, random_images
from networks import TAILS, export_tail
from vqvae_gluon import Predictor, get_model, to_bytes
from vqvae_gluon.data import load_dataset, to_unit
from vqvae_gluon.model_files.executor import Executor, is_fusible
from vqvae_gluon.model_files.folder import find_model
from vqvae_gluon.model_files.graph import find_scores


def load(folder, part):
    found = find_model(folder)
    return found.load(getattr(found, part))


def test_three_ways_to_run_a_model_agree_on_all_test_digits():
    """Executors, Gluon blocks made from the exported files, and the zoo's model with their parameters."""
    predictor, model = Predictor(), get_model("vqvae_emadl", pretrained=True)
    encoder, decoder = load(None, "encoder").network(mx.cpu(), "encoding"), load(None, "decoder").network(mx.cpu())
    model.hybridize(static_alloc=True, static_shape=True)
    images = load_dataset("mnist").test.images
    assert len(images) == 10_000
    for start in range(0, len(images), 500):
        batch = to_unit(images[start : start + 500])
        ours = predictor.reconstruct(batch).tobytes()
        assert decoder(encoder(mx.nd.array(batch))).asnumpy().tobytes() == ours
        assert model(mx.nd.array(batch)).reconstruction.asnumpy().tobytes() == ours


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("part", ["decoder", "encoder"])
def test_whatever_a_network_is_made_of_no_bit_changes(part, tail, tmp_path):
    component = load(export_tail(part, tail, tmp_path), part)
    head = {"encoder": "codes", "decoder": "data"}[part]
    executor, block = Executor(component, head=head), component.network(mx.cpu(), head)
    for count in (1, 3, 1):
        inputs = np.random.RandomState(count).rand(count, *component.input_shape).astype(np.float32)
        assert executor(inputs)[0].tobytes() == block(mx.nd.array(inputs)).asnumpy().tobytes()


def test_all_heads_come_in_their_order():
    component = load(None, "encoder")
    images = to_unit(random_images(2))
    for ours, theirs in zip(Executor(component)(images), component.network(mx.cpu())(mx.nd.array(images))):
        assert ours.tobytes() == theirs.asnumpy().tobytes()


def test_an_output_is_written_where_it_is_wanted():
    executor, images = Executor(load(None, "encoder"), head="encoding"), to_unit(random_images(4))
    several = np.full((3, 2, 16, 7, 7), 7, np.float32)
    executor(images[:2], out=several[1])
    assert several[1].tobytes() == executor(images[:2])[0].tobytes()
    assert (several[[0, 2]] == 7).all()


#: Changes to the text of the shipped encoder's graph after which the scores no longer tell the codes.
OTHER_CODES = {
    "the least": ('"argmax"', '"argmin"'),
    "another axis": ('"axis": "1"', '"axis": "2"'),
    "another shape": ('"axis": "1"', '"axis": "1", "keepdims": "True"'),
    "another name": ('"codes"', '"others"'),
    "some images": ('"begin": "(None,)"', '"begin": "(1,)"'),
}


def test_scores_are_found_where_they_tell_the_codes():
    symbol = load(None, "encoder").symbol
    assert find_scores(symbol) == "vectorquantize0_likeness"
    for old, new in OTHER_CODES.values():
        assert old in symbol.tojson()
        assert find_scores(mx.sym.load_json(symbol.tojson().replace(old, new, 1))) is None


def test_numpy_chooses_codes_as_mxnet_does():
    """Of equal scores the first, and the first that is not a number before all others."""
    nan, low = np.nan, -np.inf
    scores = np.array([[1, 2, nan, 1, low, 3], [3, 2, 5, nan, low, nan], [2, 2, nan, nan, low, 4]], np.float32)
    scores = scores.reshape(1, 3, 2, 3)
    np.testing.assert_array_equal(scores.argmax(axis=1).ravel(), [1, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(mx.nd.argmax(mx.nd.array(scores), axis=1).asnumpy(), scores.argmax(axis=1))


def test_a_graph_that_chooses_in_its_own_way_gives_the_same_codes(tmp_path):
    shutil.copytree(PRETRAINED / "model", tmp_path / "model")
    graph = tmp_path / "model" / "vqvae.Encoder" / "model_0_newest-symbol.json"
    graph.write_text(re.sub(r'"(begin|end)": "\(None,\)"', r'"\1": "(None, None)"', graph.read_text()))
    images = random_images(50)
    assert find_scores(load(tmp_path / "model", "encoder").symbol) is None
    np.testing.assert_array_equal(Predictor(tmp_path / "model").encode(images), Predictor().encode(images))


def test_the_shipped_networks_are_fused():
    for part, head in (("encoder", "codes"), ("decoder", "data")):
        fused = Executor(load(None, part), head=head)._symbol.tojson()
        assert fused.count('"_sg_mkldnn_conv"') >= (3 if part == "encoder" else 2)


def graph(*operators):
    """Return a graph of a convolution and operators, each given as name, activation and the numbers of its inputs."""
    nodes = [{"op": "null", "inputs": []}, {"op": "Convolution", "inputs": [[0, 0, 0]]}]
    for name, kind, *sources in operators:
        nodes.append({"op": name, "attrs": {"act_type": kind}, "inputs": [[source, 0, 0] for source in sources]})
    return {"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}


def test_what_fusion_would_change_is_left():
    assert is_fusible(graph(("Activation", "relu", 1))) and is_fusible(graph(("Activation", "tanh", 1)))
    assert not is_fusible(graph(("Activation", "sigmoid", 1)))
    assert not is_fusible(graph(("LeakyReLU", "leaky", 1)))
    assert not is_fusible(graph(("Activation", "relu", 1), ("elemwise_add", None, 1, 2)))
    read_by_a_head = graph(("Activation", "relu", 1))
    read_by_a_head["heads"].append([1, 0, 0])
    assert not is_fusible(read_by_a_head)


@pytest.mark.parametrize("shared", [True, False], ids=["one predictor", "a predictor and a device each"])
def test_eight_threads(shared):
    images = to_unit(random_images(64))
    one = Predictor()
    expected = [to_bytes(one.reconstruct(images[start : start + 8])).tobytes() for start in range(0, 64, 8)]
    predictors = [one if shared else Predictor(ctx=mx.cpu(number + 1)) for number in range(8)]

    def work(number):
        """Reconstruct the same images again and again, in batches of different sizes."""
        mine = images[8 * number : 8 * number + 8]
        found = set()
        for turn in range(12):
            pieces = np.split(mine, [turn % 7 + 1])
            found.add(b"".join(to_bytes(predictors[number].reconstruct(piece)).tobytes() for piece in pieces))
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [{one} for one in expected]


def test_few_batch_sizes_stay_bound():
    executor = Executor(load(None, "encoder"), head="codes")
    for count in (*range(1, 12), 3, 3):
        executor(np.zeros((count, 1, 28, 28), np.float32))
    assert list(executor._bound) == [9, 10, 11, 3]


def test_nothing_is_said_and_the_environment_stays():
    script = (
        "import os; from vqvae_gluon import Predictor, Sampler; before = dict(os.environ); "
        f"Predictor().reconstruct({str(DIGITS[3])!r}); Sampler().sample(2); assert dict(os.environ) == before"
    )
    for more in ({}, {"MXNET_SUBGRAPH_BACKEND": "NONE"}):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MXNET_")}
        result = subprocess.run([sys.executable, "-c", script], env={**clean, **more}, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr
        assert result.stdout == b"" and (result.stderr == b"" or more), result.stderr
