"""What workers compute together, with threads instead of processes and a plain sum instead of MXNet's servers."""
import threading
from concurrent.futures import ThreadPoolExecutor

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from vqvae_gluon import VectorQuantizer, VQVAEError
from vqvae_gluon.nn import CodebookAverages
from vqvae_gluon.training.optimizer import check_batches
from vqvae_gluon.workers import ALONE, Workers, join

COUNT = 3


class Store:
    """Adds up in float32 what all workers push, and returns the sum to all."""

    def __init__(self):
        self.barrier, self.lock, self.total = threading.Barrier(COUNT, timeout=30), threading.Lock(), None

    def init(self, key, value):
        pass

    def pushpull(self, key, value, out):
        with self.lock:
            pushed = value.asnumpy()
            assert pushed.dtype == np.float32
            self.total = pushed if self.total is None else self.total + pushed
        self.barrier.wait()
        out[:] = self.total
        self.barrier.wait()
        self.total = None
        self.barrier.wait()


def together(function):
    """Return the results of a function for each worker, with all workers calling it at once."""
    store = Store()
    with ThreadPoolExecutor(COUNT) as pool:
        return list(pool.map(lambda rank: function(Workers(store, rank, COUNT)), range(COUNT)))


def test_shares_make_the_batch_and_turns_all_things():
    batch = np.arange(10) * 3
    shares = [Workers(None, rank, COUNT).share(batch) for rank in range(COUNT)]
    np.testing.assert_array_equal(np.concatenate(shares), batch)
    assert sorted(map(len, shares)) == [3, 3, 4]
    turns = [list(Workers(None, rank, COUNT).in_turn("abcdefg")) for rank in range(COUNT)]
    assert sorted("abcdefg") == sorted(sum(turns, [])) and turns[1] == ["b", "e"]


def test_sums_keep_shapes_and_types():
    def add(workers):
        return workers.sum(np.full((2, 3), 0.5) * workers.rank, np.array(workers.rank), np.arange(4) + workers.rank)

    for halves, number, numbers in together(add):
        np.testing.assert_array_equal(halves, np.full((2, 3), 1.5))
        assert number == 3 and number.dtype == numbers.dtype == np.int64 and halves.dtype == np.float64
        np.testing.assert_array_equal(numbers, 3 * np.arange(4) + 3)
    alone = np.array([1 / 3])
    assert ALONE.sum(alone)[0] is alone  # nothing is rounded


def test_what_comes_from_the_first_comes_to_the_bit():
    values = np.array([1 / 3, -0.0, 2.0**60 + 2**10, np.pi])

    def send(workers):
        rng = np.random.RandomState(workers.rank)
        rng.standard_normal(3 + workers.rank)
        workers.share_random_state(rng)
        return workers.from_first(values * (workers.rank + 1)).tobytes(), rng.standard_normal(5).tobytes()

    sent = together(send)
    rng = np.random.RandomState(0)
    rng.standard_normal(3)
    assert set(sent) == {(values.tobytes(), rng.standard_normal(5).tobytes())}


def test_averages_of_shares_are_those_of_the_batch():
    rng = np.random.RandomState(0)
    z = rng.randn(7, 2, 3, 3).astype(np.float32)
    codes = rng.randint(0, 3, (7, 3, 3)).astype(np.float32)  # rows 3 and 4 die at once, and restart from the batch

    def move(workers):
        quantizer = VectorQuantizer(5, 2, "ema", prefix="")
        quantizer.initialize()
        quantizer.embeddings.set_data(mx.nd.ones((5, 2)))  # an initializer would not do: the quantizer has its own
        averages = CodebookAverages(quantizer, decay=0.5, dead_below=0.8, workers=workers)
        draws = np.random.RandomState(1)
        replaced = [
            averages.step([mx.nd.array(workers.share(codes))], [mx.nd.array(workers.share(z))], draws) for _ in range(2)
        ]
        return replaced, averages.codebook(), averages.counts, averages.sums

    replaced, *expected = move(ALONE)
    assert replaced[0] == 2
    for found in together(move):
        assert found[0] == replaced
        for array, other in zip(found[1:], expected):
            np.testing.assert_allclose(array, other, rtol=1e-6, atol=1e-6)


def test_what_has_no_gradient_becomes_the_mean():
    def align(workers):
        model = nn.HybridSequential(prefix="")
        model.add(nn.Dense(2, in_units=2, prefix="dense_"), nn.BatchNorm(in_channels=2, prefix="norm_"))
        model.initialize(mx.init.One())
        model[1].running_mean.set_data(mx.nd.array([workers.rank, 1 / 3]))
        workers.align(model)
        return model[1].running_mean.data().asnumpy(), model[1].running_var.data().asnumpy()

    for mean, variance in together(align):
        np.testing.assert_array_equal(mean, np.array([1, 1 / 3], np.float32))
        np.testing.assert_array_equal(variance, [1, 1])


def test_weights_that_differ_are_told_by_all():
    def align(workers):
        layer = nn.Dense(1, in_units=1, prefix="dense_")
        layer.initialize(mx.init.Constant(1 + 2.0**-23 if workers.rank == 2 else 1.0))
        with pytest.raises(VQVAEError, match="worker 2 and worker 0 differ in weights: all workers need the same"):
            workers.align(layer)

    together(align)


def test_environments_that_make_no_sense_are_refused(monkeypatch):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    assert join() is ALONE
    monkeypatch.setenv("DMLC_ROLE", "worker")
    for count, rank, message in [
        (None, "0", "DMLC_NUM_WORKER was given as '': it must be a whole number from 1"),
        ("2", None, "DMLC_WORKER_ID was given as '': it must be a whole number below 2"),
        ("2", "2", "DMLC_WORKER_ID was given as '2'"),
    ]:
        for name, value in (("DMLC_NUM_WORKER", count), ("DMLC_WORKER_ID", rank)):
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
        with pytest.raises(VQVAEError, match=message):
            join()


def test_a_batch_too_small_for_the_workers_is_refused():
    check_batches(30, 9, 1, Workers(None, 0, 3))
    with pytest.raises(VQVAEError, match="batches of 9 from 29 images is smaller than the 3 workers: .* fewer workers"):
        check_batches(29, 9, 1, Workers(None, 0, 3))
    with pytest.raises(VQVAEError, match="smaller than the 3 workers with 2 devices each"):
        check_batches(32, 9, 2, Workers(None, 0, 3))
