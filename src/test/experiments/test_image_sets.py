"""How experiments/image_sets.py makes its images and splits them."""
import numpy as np
import pytest

import image_sets
from vqvae_gluon.errors import VQVAEError


def test_near_copies_of_an_emoji_are_one_group():
    doctors = ["1f469-200d-2695-fe0f.png", "1f468-200d-2695-fe0f.png"]
    entries = [{"image": name} for name in ("1f385.png", *doctors, "1f3c3-200d-2640-fe0f.png", "1f3c3.png")]
    entries[0]["skin_variations"] = {"1F3FB": {"image": "1f385-1f3fb.png"}}
    assert image_sets._emoji_groups(entries) == [
        ["1f385.png", "1f385-1f3fb.png"],
        doctors,
        ["1f3c3-200d-2640-fe0f.png", "1f3c3.png"],
    ]


def test_groups_are_dealt_whole_and_by_shares():
    groups = [[f"{number}-{copy}" for copy in range(1 + number % 3)] for number in range(60)]
    dealt = list(image_sets._deal(groups, (0.8, 0.1, 0.1)))
    assert sorted(group for _, group in dealt) == sorted(groups)
    counts = {split: sum(len(group) for name, group in dealt if name == split) for split in image_sets.SPLITS}
    assert counts == pytest.approx({"train": 96, "validation": 12, "test": 12}, abs=3)


def test_flattening_on_white_rounds_to_the_nearest():
    colour, alpha = (plane.ravel() for plane in np.meshgrid(np.arange(256), np.arange(256)))
    pixels = np.stack([colour, colour, colour, alpha], axis=-1).astype(np.uint8)[None]
    exact = (colour * alpha + 255 * (255 - alpha)) / 255
    np.testing.assert_array_equal(image_sets._on_white(pixels)[0, 0], np.rint(exact))


def test_tiles_of_two_splits_share_no_pixel(tmp_path, monkeypatch):
    photo = np.random.RandomState(0).randint(0, 256, (3, 130, 500), np.uint8)
    image_sets.write_png(tmp_path / "photo.png", photo)
    monkeypatch.setattr(image_sets, "_locate", lambda package, path: tmp_path)
    monkeypatch.setattr(image_sets, "PHOTOS", ("photo.png",))
    monkeypatch.setattr(image_sets, "MORE_PHOTOS", ())
    columns = {split: set() for split in image_sets.SPLITS}
    for split, name, tile in image_sets.photographs():
        top, left = map(int, name.split("-")[1:])
        np.testing.assert_array_equal(tile, photo[:, top : top + 64, left : left + 64])
        columns[split] |= set(range(left, left + 64))
    assert all(columns.values())
    assert sum(map(len, columns.values())) == len(set.union(*columns.values()))


def test_a_set_that_was_cut_short_is_written_again(tmp_path, monkeypatch):
    image = np.zeros((1, 2, 2), np.uint8)

    def images(whole):
        yield from ((split, "one", image) for split in image_sets.SPLITS)
        if not whole:
            raise VQVAEError("the rest is missing")

    monkeypatch.setattr(image_sets, "SETS", {"set": image_sets.ImageSet(1, 2, lambda: images(False))})
    with pytest.raises(VQVAEError):
        image_sets.prepare("set", tmp_path)
    monkeypatch.setattr(image_sets, "SETS", {"set": image_sets.ImageSet(1, 2, lambda: images(True))})
    folder = image_sets.prepare("set", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert [path.name for path in sorted(folder.glob("*/*"))] == ["one.png"] * 3


def test_a_missing_package_is_one_line(monkeypatch):
    with pytest.raises(VQVAEError, match=r"^no-such-images: is not installed; .*experiments.* installs it$"):
        image_sets._locate("no-such-images", "data")
