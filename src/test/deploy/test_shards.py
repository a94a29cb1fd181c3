"""Parts of many images, encoded separately and merged."""
import numpy as np
import pytest

from conftest import export_newest, make_model, random_images, run_python
from vqvae_gluon import Predictor, VQVAEError, write_png
from vqvae_gluon.deploy.bulk import decode_to_folder, encode_to_file
from vqvae_gluon.deploy.codes_archive import CodesArchive
from vqvae_gluon.deploy.merge import merge


@pytest.fixture(scope="module")
def predictor(exported):
    return Predictor(exported, batch_size=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for index, image in enumerate(random_images(11)):
        place = folder / ("short" if index % 3 else "with a longer name")
        place.mkdir(exist_ok=True)
        write_png(place / f"{index:02d}.png", image)
    return folder


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    path = tmp_path_factory.mktemp("array") / "images.npy"
    np.save(path, random_images(11))
    return path


@pytest.fixture(scope="module")
def parts(predictor, folder, tmp_path_factory):
    """The folder's images in three parts."""
    paths = [tmp_path_factory.mktemp("parts") / f"{number}.npz" for number in (1, 2, 3)]
    for number, path in enumerate(paths, 1):
        encode_to_file(predictor, folder, path, (number, 3))
    return paths


@pytest.mark.parametrize("count", [1, 2, 4, 11])
@pytest.mark.parametrize("source", ["folder", "array"])
def test_merged_parts_are_the_whole_byte_for_byte(predictor, source, count, tmp_path, request):
    source = request.getfixturevalue(source)
    encode_to_file(predictor, source, tmp_path / "whole.npz")
    parts = [tmp_path / f"{number}.npz" for number in range(1, count + 1)]
    sizes = [encode_to_file(predictor, source, path, (number, count)) for number, path in enumerate(parts, 1)]
    assert sum(sizes) == 11 and max(sizes) - min(sizes) <= 1
    assert merge(parts[::-1], tmp_path / "merged.npz") == 11
    assert (tmp_path / "merged.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_a_part_decodes_by_itself(predictor, array, parts, tmp_path):
    assert decode_to_folder(predictor, parts[1], tmp_path / "out") == 4
    with CodesArchive(parts[1]) as archive:
        names = sorted(name.decode() for name in archive.names(2))
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")) == names
    encode_to_file(predictor, array, tmp_path / "part.npz", (2, 2))
    decode_to_folder(predictor, tmp_path / "part.npz", tmp_path / "numbered")
    assert sorted(path.name for path in (tmp_path / "numbered").iterdir())[0] == "0000005.png"


def refused(parts, tmp_path):
    """Return the error message of a merge that must be refused."""
    (tmp_path / "merged.npz").write_text("mine")
    with pytest.raises(VQVAEError) as caught:
        merge(parts, tmp_path / "merged.npz")
    assert (tmp_path / "merged.npz").read_text() == "mine"
    return str(caught.value)


def test_parts_that_are_missing_or_there_twice(parts, tmp_path):
    assert refused(parts[1:2], tmp_path) == "of 3 parts these are missing: 1, 3"
    first, second, _ = parts
    assert refused([first, second, first], tmp_path) == f"{first} and {first} are both part 1 of 3"
    assert refused([], tmp_path).startswith("no part was given")


def test_parts_that_do_not_belong_together(predictor, folder, array, parts, tmp_path):
    path = tmp_path / "other.npz"
    encode_to_file(predictor, folder, path)
    assert refused([*parts, path], tmp_path) == f"{path}: is no part but whole: it was not made with --shard"
    encode_to_file(predictor, folder, path, (2, 2))
    words = f"{path}: is one of 2 parts of 11 images, {parts[0]} one of 3 parts of 11: they do not belong together"
    assert refused([*parts, path], tmp_path) == words
    encode_to_file(predictor, array, path, (2, 3))
    assert "they do not belong together" in refused([parts[0], path, parts[2]], tmp_path)
    other = Predictor(export_newest(make_model(seed=5), tmp_path / "model"))
    encode_to_file(other, folder, path, (2, 3))
    words = f"{path}: was made with another model than {parts[0]}"
    assert refused([parts[0], path, parts[2]], tmp_path) == words


@pytest.mark.parametrize("values", [(0, 3, 11), (4, 3, 11), (2, 3, 20), (1, 0, 11), (2**60, 2**61, 2**62)])
def test_a_part_that_lies_about_itself_is_damaged(parts, tmp_path, values):
    with np.load(parts[0]) as file:
        arrays = dict(file)
    path = tmp_path / "lying.npz"
    np.savez(path, **{**arrays, "shard": np.array(values, np.uint64)})
    assert refused([path, *parts[1:]], tmp_path) == f"{path}: is damaged or no file of 'vqvae encode ... -o'"


@pytest.mark.parametrize("cut", [10, 200, -30])
def test_damaged_parts_are_refused(parts, tmp_path, cut):
    path = tmp_path / "damaged.npz"
    path.write_bytes(parts[2].read_bytes()[:cut])
    assert refused([*parts[:2], path], tmp_path) == f"{path}: is damaged or no file of 'vqvae encode ... -o'"


def test_the_commands(exported, folder, tmp_path):
    whole = run_python("encode", folder, "-o", tmp_path / "whole.npz", "--model", exported)
    assert whole.returncode == 0, whole.stderr
    parts = [tmp_path / f"{number}.npz" for number in (1, 2)]
    for number, path in enumerate(parts, 1):
        result = run_python("encode", folder, "-o", path, "--shard", f"{number}/2", "--model", exported)
        assert result.returncode == 0, result.stderr
    result = run_python("merge", *parts, "-o", tmp_path / "merged.npz")
    assert result.stdout.decode() == f"{tmp_path / 'merged.npz'}: codes of 11 images\n"
    assert (tmp_path / "merged.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    for words, message in (
        (["encode", folder, "--shard", "1/2"], "--shard encodes a part of many images: add -o CODES.npz"),
        (["encode", folder, "-o", "a.npz", "--shard", "3/2"], "shard was given as 3/2: the parts are 1/2 to 2/2"),
        (["encode", folder, "-o", "a.npz", "--shard", "0/2"], "shard was given as 0/2: the parts are 1/2 to 2/2"),
        (["encode", folder, "-o", "a.npz", "--shard", "1/0"], "shard was given as 1/0: N must be at least 1"),
        (["encode", folder, "-o", "a.npz", "--shard", "1/12"], f"{folder}: holds 11 images, fewer than the 12 parts"),
        (["encode", folder, "-o", "a.npz", "--shard", "half"], "argument --shard: 'half' is no part I/N such as 1/4"),
        (["merge", parts[0], "-o", "a.npz"], "of 2 parts these are missing: 2"),
        (["merge", *parts, "-o", "a.txt"], "a.txt: a file of codes ends in .npz"),
        (["merge", parts[0], tmp_path / "none.npz", "-o", "a.npz"], f"{tmp_path / 'none.npz'}: no such file"),
    ):
        result = run_python(*words, cwd=tmp_path)
        assert result.returncode == 2 and result.stderr.decode().startswith(f"vqvae: error: {message}"), result.stderr
    assert not (tmp_path / "a.npz").exists()
