"""Photographs, emoji and solar cells from packages, as folders of PNG files in train/, validation/ and test/."""
import importlib.metadata
import io
import json
import math
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np
from dlcr import PHOTOS

from vqvae_gluon import load_dataset, write_png
from vqvae_gluon.data.dataset import SPLITS
from vqvae_gluon.data.image_file import read_pixels, stretch
from vqvae_gluon.errors import VQVAEError
from vqvae_gluon.files import writing

#: Three more photographs in scikit-image: from NASA, and with "no known copyright restrictions" or none stated.
MORE_PHOTOS = ("hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png")
TILE, STEP = 64, 32
EMOJI_PACKAGE = "emoji-datasource-twitter@16.0.0"
#: Shares of the splits, in the order of SPLITS.
PHOTO_SHARES, EMOJI_SHARES, CELL_SHARES = (0.7, 0.15, 0.15), (0.8, 0.1, 0.1), (0.7, 0.1, 0.2)
#: The code points in which near copies of one emoji differ: skin tones, genders, the other direction, and joiners.
_VARIANT_CODES = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff", "2640", "2642", "27a1", "200d", "fe0f"}
#: Man and woman, boy and girl, two men and two women hand in hand.
_SAME = {"1f468": "1f9d1", "1f469": "1f9d1", "1f466": "1f9d2", "1f467": "1f9d2", "1f46c": "1f46b", "1f46d": "1f46b"}

#: Split, file name without its suffix, image (C, H, W) uint8.
Images = Iterator[Tuple[str, str, np.ndarray]]


def photographs() -> Images:
    """Yield tiles (3, 64, 64) of photographs.

    Each photograph is divided from left to right into a part for each split; tiles overlap by half within a part, and
    none reaches into another part.
    """
    folder = _locate("scikit-image", "skimage/data")
    for name in PHOTOS + MORE_PHOTOS:
        photo = read_pixels(folder / name, 3)
        _, height, width = photo.shape
        bounds = [round(share * width) for share in _ends(PHOTO_SHARES)]
        for split, start, end in zip(SPLITS, [0, *bounds], bounds):
            for top in range(0, height - TILE + 1, STEP):
                for left in range(start, end - TILE + 1, STEP):
                    tile = photo[:, top : top + TILE, left : left + TILE]
                    yield split, f"{Path(name).stem}-{top:04d}-{left:04d}", tile


def emoji() -> Images:
    """Yield emoji (3, 64, 64) on white, near copies in the same split, and only the first of identical images.

    Raises VQVAEError without npm or the package.
    """
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", EMOJI_PACKAGE]
        try:
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except (OSError, subprocess.CalledProcessError) as error:
            raise VQVAEError(f"{EMOJI_PACKAGE}: cannot be had by npm ({error})") from None
        (path,) = Path(folder).glob("*.tgz")
        with tarfile.open(path) as archive:  # in the order of the archive: seeking backwards in it is slow
            wanted = (member for member in archive if Path(member.name).parent.name in ("64", "package"))
            files = {Path(member.name).name: archive.extractfile(member).read() for member in wanted}
    seen = set()
    for split, names in _deal(_emoji_groups(json.loads(files["emoji.json"])), EMOJI_SHARES):
        for name in names:
            image = _on_white(np.array(Image.open(io.BytesIO(files[name])).convert("RGBA")))
            if image.tobytes() not in seen:
                seen.add(image.tobytes())
                yield split, Path(name).stem, image


def cells(side: int) -> Images:
    """Yield solar cells (1, side, side)."""
    folder = _locate("elpv-dataset", "elpv_dataset/data")
    order = np.random.RandomState(0).permutation(list(cell_labels()))
    ends = [round(share * len(order)) for share in _ends(CELL_SHARES)]
    for split, names in zip(SPLITS, np.split(order, ends)):
        for name in sorted(names):
            yield split, name, stretch(read_pixels(folder / "images" / f"{name}.png", 1), (side, side))


def sound_cells() -> Images:
    """Yield solar cells (1, 64, 64); those of the training and validation splits are surely sound."""
    labels = cell_labels()
    return (one for one in cells(64) if one[0] == "test" or labels[one[1]][0] == 0)


def cell_labels() -> Dict[str, Tuple[float, str]]:
    """Return by cell name the probability of a defect (0, 1/3, 2/3 or 1) and 'mono' or 'poly'."""
    lines = (_locate("elpv-dataset", "elpv_dataset/data") / "labels.csv").read_text().splitlines()
    fields = (line.split() for line in lines if line)
    return {Path(path).stem: (float(probability), kind) for path, probability, kind in fields}


class ImageSet(NamedTuple):
    """Images of ``channels`` x ``side`` x ``side``, and the function that yields them."""

    channels: int
    side: int
    images: Callable[[], Images]


#: The sets by folder name.
SETS = {
    "photographs": ImageSet(3, TILE, photographs),
    "emoji": ImageSet(3, 64, emoji),
    "cells-64": ImageSet(1, 64, lambda: cells(64)),
    "cells-128": ImageSet(1, 128, lambda: cells(128)),
    "cells-64-sound": ImageSet(1, 64, sound_cells),
}


def prepare(name: str, cache: Path) -> Path:
    """Return the folder of a set of images in the cache, which is written if it is not there yet."""
    folder, unfinished = cache / name, cache / f"{name}.unfinished"
    if not folder.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        for split in SPLITS:
            (unfinished / split).mkdir(parents=True)
        for split, stem, image in SETS[name].images():
            write_png(unfinished / split / f"{stem}.png", np.ascontiguousarray(image))
        unfinished.rename(folder)
    return folder


def pack(name: str, cache: Path) -> Path:
    """Return an .npz file of the splits of a set, uint8 (N, C, H, W), which is written if it is not there yet."""
    path = cache / f"{name}.npz"
    if not path.exists():
        channels, side, _ = SETS[name]
        dataset = load_dataset(str(prepare(name, cache)), channels, (side, side))
        with writing(path) as file:
            np.savez(file, **{split: dataset.split(split).images for split in SPLITS})
    return path


def _locate(package: str, path: str) -> Path:
    try:
        return Path(importlib.metadata.distribution(package).locate_file(path))
    except importlib.metadata.PackageNotFoundError:
        install = ".venv/bin/pip install -e '.[experiments]'"
        raise VQVAEError(f"{package}: is not installed; {install} installs it") from None


def _ends(shares: Tuple[float, ...]) -> List[float]:
    """Return the ends of all but the last of some shares of 1, and then 1."""
    return [*np.cumsum(shares)[:-1], 1.0]


def _emoji_groups(entries: List[Dict[str, Any]]) -> List[List[str]]:
    """Return file names, with those of near copies grouped together."""
    groups: Dict[Tuple[str, ...], List[str]] = {}
    for entry in entries:
        codes = Path(entry["image"]).stem.split("-")
        key = tuple(_SAME.get(code, code) for code in codes if code not in _VARIANT_CODES)
        variations = entry.get("skin_variations", {}).values()
        groups.setdefault(key, []).extend(one["image"] for one in (entry, *variations))
    return list(groups.values())


def _deal(groups: List[List[str]], shares: Tuple[float, ...]) -> Iterator[Tuple[str, List[str]]]:
    """Yield groups in an order drawn with a fixed seed, each with its split."""
    total, dealt = sum(map(len, groups)), 0
    ends = _ends(shares)
    for number in np.random.RandomState(0).permutation(len(groups)):
        yield SPLITS[next(i for i, end in enumerate(ends) if dealt < math.ceil(end * total))], groups[number]
        dealt += len(groups[number])


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """Return (3, H, W) from (H, W, 4) uint8: (c * a + 255 * (255 - a)) / 255, rounded to nearest; there are no ties."""
    colour, alpha = pixels[..., :3].astype(np.int32), pixels[..., 3:].astype(np.int32)
    flat = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return flat.astype(np.uint8).transpose(2, 0, 1)
