"""How unusual images are: the bits of their codes, compared with bits computed by hand from the exported graph."""
import csv
import io

import numpy as np
import pytest

from picture_run import bits_by_hand
from vqvae_gluon import Predictor, VQVAEError
from vqvae_gluon.deploy.sampler import Sampler
from vqvae_gluon.evaluation.scores import Score, score_folder, to_csv


def test_scores_begin_with_the_strangest_image(finished_run, picture_classes):
    run, folder = finished_run[0], picture_classes / "test"
    scores = score_folder(Sampler(run), folder)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")]
    assert sorted(score.image for score in scores) == sorted(names) and len(names) == 25
    codes = Predictor(run).encode([folder / score.image for score in scores])
    bits = bits_by_hand(run, codes, np.full(25, 2))
    np.testing.assert_allclose([score.bits for score in scores], bits, rtol=1e-5)
    assert [score.bits for score in scores] == sorted((score.bits for score in scores), reverse=True)
    assert len({score.bits for score in scores}) < 25  # many pictures of quarters are equal
    for one, other in zip(scores, scores[1:]):
        assert one.bits > other.bits or one.image < other.image


def test_scores_do_not_depend_on_batches(finished_run, picture_classes):
    sampler = Sampler(finished_run[0])
    scores = score_folder(sampler, picture_classes)
    sampler.predictor.batch_size = 7
    pieces = score_folder(sampler, picture_classes)
    by_name = {score.image: score.bits for score in pieces}
    assert len(scores) == len(by_name) == 115
    for score in scores:
        assert score.bits == pytest.approx(by_name[score.image], rel=1e-5)


def test_folders_that_cannot_be_scored_are_told(finished_run, tmp_path):
    sampler = Sampler(finished_run[0])
    with pytest.raises(VQVAEError, match="nowhere: is no folder; give one of PNG, JPEG or BMP files"):
        score_folder(sampler, tmp_path / "nowhere")
    with pytest.raises(VQVAEError, match="holds no images"):
        score_folder(sampler, tmp_path)
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    with pytest.raises(VQVAEError, match="bad.png: is not a PNG"):
        score_folder(sampler, tmp_path)


def test_scores_as_csv():
    scores = [Score(12.34567, 'a, "b"/ü.png'), Score(3.0, "c.png"), Score(0.00004, "new\nline.png")]
    text = to_csv(scores)
    assert text == 'bits,image\n12.3457,"a, ""b""/ü.png"\n3.0000,c.png\n0.0000,"new\nline.png"\n'
    assert [row["image"] for row in csv.DictReader(io.StringIO(text))] == [score.image for score in scores]
    assert to_csv([]) == "bits,image\n"
