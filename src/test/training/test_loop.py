"""The training loop, tested by fitting a line to points: the loop must not depend on what is trained."""
import ast
import csv
import dataclasses
import math
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from vqvae_gluon import Training, VQVAEError, training
from vqvae_gluon.files import locked
from vqvae_gluon.recipes.settings import Settings, setting
from vqvae_gluon.training.autoencoder import AUTOENCODER
from vqvae_gluon.training.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint
from vqvae_gluon.training.kind import Kind
from vqvae_gluon.training.loop import Loop
from vqvae_gluon.training.optimizer import build_trainer


@dataclasses.dataclass(frozen=True)
class LineRecipe(Settings):
    seed: int = setting(3, "")
    num_epoch: int = setting(6, "")
    epoch_passes: int = setting(1, "")
    batch_size: int = setting(16, "")
    checkpoint_period: int = setting(2, "")
    training_metrics: str = setting("running", "")
    learning_rate: float = setting(0.1, "")


LINE = Kind(LineRecipe, ("error", "slope"), "error")
SLOPES = np.array([1.0, -2.0, 0.5], np.float32)


class Mean:
    def __init__(self, line):
        self.line, self.errors = line, []

    def summary(self):
        return {"error": float(np.concatenate(self.errors).mean()), "slope": float(self.line.slopes()[0])}

    def progress(self):
        return {}


class Line:
    """y = a . x by least squares, with dropout on x in training: the least that a loop can train."""

    kind, unit, averages = LINE, "points", None

    def __init__(self, recipe):
        points = np.random.RandomState(0).randn(60, 3).astype(np.float32)
        self.points = {"train": points[:40], "validation": points[40:]}
        self.recipe, self.examples, self.fingerprint = recipe, 40, "points"
        self.model = nn.HybridSequential(prefix="")
        self.model.add(nn.Dropout(0.05), nn.Dense(1, in_units=3, use_bias=False, prefix="line_"))
        self.model.initialize(mx.init.Zero())
        updates = recipe.num_epoch * recipe.epoch_passes * math.ceil(40 / recipe.batch_size)
        self.trainer = build_trainer(self.model, "adam", recipe.learning_rate, "cosine", updates)
        self.chosen, self.starts = [], 0

    def slopes(self):
        return self.model[1].weight.data().asnumpy()[0]

    def start(self, rng):
        self.starts += 1

    def meter(self):
        return Mean(self)

    def ahead(self, orders):
        return iter(orders)

    def step(self, chosen, meter, rng):
        self.chosen.append(chosen)
        with autograd.record():
            loss = self._error(self.points["train"][chosen])
        loss.backward()
        self.trainer.step(len(chosen))
        self._tell(meter, loss)

    def measure(self, split):
        meter = self.meter()
        self._tell(meter, self._error(self.points[split]))
        return meter.summary()

    def describe(self, row):
        return f"error {row['validation_error']:.3f}"

    def concern(self, row):
        return "the line is far off" if row["epoch"] < 3 else ""

    def pictures(self, epoch):
        return [f"line_epoch{epoch}.txt"]

    def draw(self, folder, epoch):
        (folder / f"line_epoch{epoch}.txt").write_text(str(self.slopes()))

    def draw_loss(self, path, rows, best_epoch):
        path.write_text(f"{len(rows)} rows, best {best_epoch}")

    def _error(self, points):
        return mx.nd.square(self.model(mx.nd.array(points))[:, 0] - mx.nd.array(points @ SLOPES))

    def _tell(self, meter, loss):
        errors = loss.asnumpy()
        if not np.isfinite(errors).all():
            raise FloatingPointError
        meter.errors.append(errors)


def loop(folder, resume=False, **settings):
    return Loop(Line(LineRecipe(**settings)), folder, resume)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_line_is_learnt_and_its_training_kept(tmp_path, capsys):
    run = loop(tmp_path / "run", num_epoch=20)
    run.run()
    assert run.finished and run.trained.starts == 1
    np.testing.assert_allclose(run.trained.slopes(), SLOPES, atol=0.2)  # dropout pulls them towards zero
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["train_error", "train_slope", "validation_error", "validation_slope"]
    assert list(rows[0]) == ["epoch", "learning_rate", *names]
    error = np.square(run.trained.points["validation"] @ (run.trained.slopes() - SLOPES)).mean()
    assert float(rows[-1]["validation_error"]) == pytest.approx(error, rel=1e-4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[0] == f"epoch   0 of 20: error {float(rows[0]['validation_error']):.3f}; best so far"
    assert lines.count("the line is far off") == 1  # reported once, as long as it lasts


def test_each_pass_is_in_the_order_of_the_seed_and_the_epoch(tmp_path):
    run = loop(tmp_path / "run", num_epoch=2, epoch_passes=2)
    run.run()
    batches = iter(run.trained.chosen)
    for epoch in range(2):
        rng = np.random.RandomState([3, epoch])
        for _ in range(2):
            found = [next(batches) for _ in range(3)]
            assert [len(chosen) for chosen in found] == [16, 16, 8]
            np.testing.assert_array_equal(np.concatenate(found), rng.permutation(40))


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path):
    loop(tmp_path / "whole").run()
    stopped = loop(tmp_path / "stopped")
    step = stopped.trained.step

    def interrupted(*arguments):
        if stopped.epoch == 3:
            raise KeyboardInterrupt
        step(*arguments)

    stopped.trained.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    resumed = loop(tmp_path / "stopped", resume=True)
    assert resumed.epoch == 3
    resumed.run()
    assert resumed.trained.starts == 0
    first, second = (load_checkpoint(checkpoint_path(tmp_path / name, 5), LINE) for name in ("whole", "stopped"))
    for group in ("weights", "optimizer"):
        for name, array in getattr(first, group).items():
            np.testing.assert_array_equal(array, getattr(second, group)[name], err_msg=name)
    assert first.rows == second.rows and first.updates == second.updates == 6 * 3
    whole, other = files(tmp_path / "whole"), files(tmp_path / "stopped")
    assert whole.keys() == other.keys()
    assert all(whole[name] == other[name] for name in whole if not name.endswith(".npz"))  # archives contain the time


def test_a_longer_training_follows_the_schedule_of_its_length(tmp_path, capsys):
    loop(tmp_path / "long", num_epoch=9).run()
    rates = [row["learning_rate"] for row in loop(tmp_path / "long", resume=True, num_epoch=9).history.rows]
    loop(tmp_path / "run", num_epoch=4).run()
    capsys.readouterr()
    longer = loop(tmp_path / "run", resume=True, num_epoch=9)
    assert not longer.finished and LineRecipe.from_json((tmp_path / "run" / "recipe.json").read_text()).num_epoch == 4
    before = longer.history.rows[3]["learning_rate"]
    longer.run()
    assert [row["learning_rate"] for row in longer.history.rows[4:]] == rates[4:] and rates[4] > before
    assert longer.trainer.optimizer.num_update == 9 * 3
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{tmp_path}/run: 9 epochs instead of 4; the learning rate follows the schedule of that many: "
        f"{rates[4]:.3g} at the start of epoch 4, after {before:.3g} at that of epoch 3"
    )
    again = loop(tmp_path / "run", resume=True, num_epoch=9)
    assert again.finished and again.planned == 9 and again.recipe.to_json() == longer.recipe.to_json()


@pytest.mark.parametrize("trained", [3, 4])  # of the four planned epochs
def test_a_longer_training_that_was_interrupted_ends_as_one_that_was_not(tmp_path, capsys, trained):
    for name in ("whole", "stopped"):
        loop(tmp_path / name, num_epoch=4, checkpoint_period=1).run(trained)
    loop(tmp_path / "whole", resume=True, num_epoch=9, checkpoint_period=1).run()
    stopped = loop(tmp_path / "stopped", resume=True, num_epoch=9, checkpoint_period=1)
    stopped.trained.step = interrupt
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert LineRecipe.from_json((tmp_path / "stopped" / "recipe.json").read_text()).num_epoch == 9
    loop(tmp_path / "stopped", resume=True, num_epoch=9, checkpoint_period=1).run(2)
    capsys.readouterr()
    loop(tmp_path / "stopped", resume=True, num_epoch=9, checkpoint_period=1).run()
    assert "instead of" not in capsys.readouterr().out
    whole, other = files(tmp_path / "whole"), files(tmp_path / "stopped")
    assert whole.keys() == other.keys()
    assert all(whole[name] == other[name] for name in whole if not name.endswith(".npz"))
    first, second = (load_checkpoint(checkpoint_path(tmp_path / name, 8), LINE) for name in ("whole", "stopped"))
    for name, array in {**first.weights, **first.optimizer}.items():
        np.testing.assert_array_equal(array, {**second.weights, **second.optimizer}[name], err_msg=name)


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_a_training_may_end_earlier_but_not_before_what_is_trained(tmp_path):
    loop(tmp_path / "run", num_epoch=9, checkpoint_period=1).run(3)
    before = files(tmp_path / "run")
    with pytest.raises(VQVAEError) as caught:
        loop(tmp_path / "run", resume=True, num_epoch=2, checkpoint_period=1)
    assert str(caught.value) == (
        f"{tmp_path}/run: 3 epochs are trained already: num_epoch was given as 2; give at least 3"
    )
    with pytest.raises(VQVAEError, match=r"other settings \(seed: 3, 4: there, now\)"):
        loop(tmp_path / "run", resume=True, num_epoch=12, checkpoint_period=1, seed=4)
    assert files(tmp_path / "run") == before
    shorter = loop(tmp_path / "run", resume=True, num_epoch=3, checkpoint_period=1)
    shorter.run()
    assert shorter.finished
    assert LineRecipe.from_json((tmp_path / "run" / "recipe.json").read_text()).num_epoch == 3


def test_the_best_and_the_last_epoch_are_kept(tmp_path):
    run = loop(tmp_path / "run")
    errors = iter([5.0, 2.0, 4.0, 2.0, 3.0, 6.0])
    run.trained.measure = lambda split: {"error": next(errors), "slope": 0.0}
    run.run()
    assert run.history.best()["epoch"] == 1
    assert files(tmp_path / "run").keys() == {
        *("recipe.json", "metrics.csv", "loss_graph.png"),
        *("line_epoch1.txt", "line_epoch5.txt", "checkpoints/0001.npz", "checkpoints/0005.npz"),
    }
    assert (tmp_path / "run" / "loss_graph.png").read_text() == "6 rows, best 1"


def test_training_metrics_may_be_predictions(tmp_path):
    run = loop(tmp_path / "run", training_metrics="prediction")
    run.run()
    assert run.history.rows[-1]["train_error"] == run.measure("train")["error"]


def test_a_loss_that_is_not_finite_ends_it(tmp_path):
    run = loop(tmp_path / "run")
    run.run(2)
    run.trained.points["train"][:] = np.nan
    with pytest.raises(VQVAEError, match=r"not finite in epoch 2, in batch 0; the last good checkpoint is .*0001.npz"):
        run.run()
    run.trained.points["validation"][:] = np.nan
    with pytest.raises(VQVAEError, match=r"not finite in epoch 2, in validation; .*; try a lower learning rate"):
        run.measure("validation")
    assert list_checkpoints(tmp_path / "run") == [1]


def test_a_folder_holds_one_training(tmp_path):
    run = loop(tmp_path / "run")
    with locked(run.folder), pytest.raises(VQVAEError, match="another process is training there"):
        run.run()
    run.run(1)
    with pytest.raises(VQVAEError, match="holds a training already"):
        loop(tmp_path / "run")
    with pytest.raises(VQVAEError, match="other settings .*seed: 3, 4"):
        loop(tmp_path / "run", resume=True, seed=4)
    other = Line(LineRecipe())
    other.fingerprint = "other points"
    with pytest.raises(VQVAEError, match="was trained on other data"):
        Loop(other, tmp_path / "run", resume=True)


def test_another_kind_of_training_is_refused(small_recipe, small_dataset, tmp_path):
    loop(tmp_path / "line").run(1)
    Training(small_recipe, small_dataset, tmp_path / "autoencoder").run(1)
    for name, kind in (("line", AUTOENCODER), ("autoencoder", LINE)):
        with pytest.raises(VQVAEError, match="0000.npz: is damaged or no checkpoint"):
            load_checkpoint(checkpoint_path(tmp_path / name, 0), kind)
    with pytest.raises(VQVAEError, match="line: was trained with other settings"):
        Training(small_recipe, small_dataset, tmp_path / "line", resume=True)
    with pytest.raises(VQVAEError, match="unknown setting 'model'"):
        loop(tmp_path / "autoencoder", resume=True)


SERVES_ALL = {"loop", "trained", "kind", "checkpoint", "events", "history", "optimizer"}


@pytest.mark.parametrize("name", [*sorted(SERVES_ALL), "../recipes/settings"])
def test_what_serves_all_trainings_knows_of_none(name):
    text = (Path(training.__file__).parent / f"{name}.py").read_text()
    modules = [node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.level]
    assert set(modules) <= SERVES_ALL | {"data", "errors", "files", "recipes.settings", "runtime", "workers"}
    assert not re.search("codebook|codes|autoencoder|prior", text, re.IGNORECASE)
