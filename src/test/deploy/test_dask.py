"""The example for a Dask cluster, on a cluster of two processes."""
import os
import signal
import sys

import cloudpickle
import distributed
import numpy as np
import pytest

from conftest import ROOT, random_images
from vqvae_gluon import Predictor, VQVAEError
from vqvae_gluon.deploy.bulk import encode_to_file

sys.path.insert(0, str(ROOT / "examples"))
import dask_encode  # noqa: E402


@pytest.fixture
def client(tmp_path):
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    cluster = distributed.LocalCluster(local_directory=str(tmp_path / "dask"), **settings)
    with cluster, distributed.Client(cluster) as client:
        cloudpickle.register_pickle_by_value(dask_encode)  # no worker can import the file
        yield client


def kill_one():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_cluster_makes_the_same_file_though_a_worker_is_killed(client, exported, tmp_path):
    np.save(tmp_path / "images.npy", random_images(400))
    encode_to_file(Predictor(exported), tmp_path / "images.npy", tmp_path / "whole.npz")
    workers = sorted(client.scheduler_info()["workers"])
    killed = []

    def kill_later(future):
        """Kill a worker when the first part is done."""
        if not killed:
            killed.append(workers[0])
            client.run(kill_one, workers=workers[:1], wait=False, on_error="ignore")

    submit = client.submit

    def watched(*arguments, **settings):
        task = submit(*arguments, **settings)
        task.add_done_callback(kill_later)
        return task

    client.submit = watched
    output = tmp_path / "codes.npz"
    assert dask_encode.encode(client, str(tmp_path / "images.npy"), str(output), 12, str(exported)) == 400
    assert killed and output.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not list(tmp_path.glob(".parts-*"))


def test_an_error_of_a_task_is_told_and_nothing_is_left(client, exported, tmp_path):
    np.save(tmp_path / "images.npy", random_images(4, size=(20, 20)))
    with pytest.raises(VQVAEError, match="the model takes"):
        dask_encode.encode(client, str(tmp_path / "images.npy"), str(tmp_path / "codes.npz"), 2, str(exported))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dask", "images.npy"]
