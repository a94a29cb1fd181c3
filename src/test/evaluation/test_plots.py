"""Pictures: small files that show every pixel."""
import matplotlib.image
import numpy as np
import pytest

from conftest import random_images
from vqvae_gluon.evaluation.plots import draw_rows


@pytest.mark.parametrize(
    "sides, inches", [((28, 28), 1), ((96, 64), 1), ((128, 128), 128 / 96), ((64, 192), 2), ((2000, 8), 4)]
)
def test_large_images_get_as_much_room_as_they_need(tmp_path, sides, inches):
    images = random_images(3, 1, sides)
    draw_rows(tmp_path / "rows.png", [("above", images), ("below", images)])
    height, width, _ = matplotlib.image.imread(str(tmp_path / "rows.png")).shape
    assert (height, width) == (int(200 * (inches + 0.25)), int(300 * inches))


def test_every_pixel_of_a_large_image_is_seen(tmp_path):
    images = np.full((2, 3, 128, 128), 255, np.uint8)
    images[:, :2, ::2] = 0  # lines of one pixel, blue and white
    draw_rows(tmp_path / "rows.png", [("lines", images)])
    picture = matplotlib.image.imread(str(tmp_path / "rows.png"))
    column = picture[:, picture.shape[1] // 4, 0] < 0.5
    assert np.count_nonzero(column[1:] != column[:-1]) >= 2 * 64 - 1
