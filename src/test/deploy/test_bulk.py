"""Many images encoded to one file of codes, and decoded again."""
import io
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from conftest import DIGITS, export_newest, make_model, random_images, run_python
from vqvae_gluon import Predictor, VQVAEError, read_image, to_bytes, write_png
from vqvae_gluon.data.pack import pack_folder
from vqvae_gluon.deploy.bulk import decode_to_array, decode_to_folder, encode_to_file


@pytest.fixture(scope="module")
def predictor(exported):
    return Predictor(exported, batch_size=4)


@pytest.fixture
def folder(tmp_path):
    images = random_images(11)
    for index, image in enumerate(images):
        place = tmp_path / "images" / ("a b" if index % 2 else "ö")
        place.mkdir(parents=True, exist_ok=True)
        write_png(place / f"{index:02d}.png", image)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def test_folder_to_codes_and_back(predictor, folder, tmp_path):
    assert encode_to_file(predictor, folder, tmp_path / "codes.npz") == 11
    with np.load(tmp_path / "codes.npz") as file:
        names, codes = [name.decode() for name in file["names"]], file["codes"]
    assert codes.dtype == np.uint8 and codes.shape == (11, 7, 7)
    assert names == sorted(names) and len(names) == 11
    for name, code in zip(names, codes):
        np.testing.assert_array_equal(code, predictor.encode(folder / name)[0])
    assert decode_to_folder(predictor, tmp_path / "codes.npz", tmp_path / "out") == 11
    for name in names:
        expected = to_bytes(predictor.reconstruct(folder / name))[0]
        np.testing.assert_array_equal(read_image(tmp_path / "out" / name, 1, (28, 28), strict=True), expected)
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 11


def test_equal_images_make_equal_files(predictor, folder, tmp_path):
    for name in ("first.npz", "second.npz"):
        encode_to_file(predictor, folder, tmp_path / name)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


def test_records_to_codes_in_parts(predictor, exported, folder, tmp_path):
    """The order is that of the folder the records were packed from, which has no files beside its subfolders."""
    pack_folder(folder, tmp_path / "images.rec")
    parts = [tmp_path / "1.npz", tmp_path / "2.npz"]
    counts = [encode_to_file(predictor, tmp_path / "images.rec", part, (n, 2)) for n, part in enumerate(parts, 1)]
    encode_to_file(predictor, folder, tmp_path / "folder.npz")
    assert counts == [5, 6]
    codes = [np.load(path)["codes"] for path in (*parts, tmp_path / "folder.npz")]
    np.testing.assert_array_equal(np.concatenate(codes[:2]), codes[2])
    with pytest.raises(VQVAEError, match="images.rec: --strict looks at image files; leave it out for a record file"):
        encode_to_file(Predictor(exported, strict=True), tmp_path / "images.rec", parts[0])
    with pytest.raises(VQVAEError, match="images.rec: holds 11 images, fewer than the 12 parts that were asked for"):
        encode_to_file(predictor, tmp_path / "images.rec", parts[0], (1, 12))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_array_to_codes_and_back(predictor, tmp_path, dtype):
    images = random_images(9)
    np.save(tmp_path / "images.npy", images if dtype == "uint8" else (images / 255).astype(dtype))
    assert encode_to_file(predictor, tmp_path / "images.npy", tmp_path / "codes.npz") == 9
    assert decode_to_array(predictor, tmp_path / "codes.npz", tmp_path / "out.npy") == 9
    expected = to_bytes(predictor.reconstruct(images))
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    decode_to_folder(predictor, tmp_path / "codes.npz", tmp_path / "out")
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "0000008.png", 1, (28, 28)), expected[8])


def test_large_codebooks_get_larger_integers(tmp_path):
    model = make_model(num_embeddings=300)
    predictor = Predictor(export_newest(model, tmp_path / "model"))
    np.save(tmp_path / "images.npy", random_images(5))
    encode_to_file(predictor, tmp_path / "images.npy", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as file:
        assert file["codes"].dtype == np.uint16
        np.testing.assert_array_equal(file["codes"], predictor.encode(random_images(5)))


def rewrite(path, change):
    """Change the arrays of a codes file with ``change``."""
    with np.load(path) as file:
        arrays = dict(file.items())
    change(arrays)
    np.savez(path, **arrays)


def give_code_64(arrays):
    arrays["codes"][3, 3, 3] = 64


def rename(name):
    def change(arrays):
        arrays["names"] = np.array([name] + [b"%d" % number for number in range(10)])

    return change


def cut(path):
    path.write_bytes(path.read_bytes()[:-300])


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(b"NUMPY", 300) + 200] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "cut": (cut, "is damaged or no file of"),
    "flipped bit": (flip, "is damaged or no file of"),
    "text": (lambda path: path.write_text("text"), "is damaged or no file of"),
    "no codes": (lambda path: rewrite(path, lambda arrays: arrays.pop("codes")), "is damaged or no file of"),
    "pickle": (lambda path: np.savez(path, codes=np.array([{}], object)), "is damaged or no file of"),
    "inflated": (lambda path: inflate(path), "is damaged or no file of"),
    "floats": (lambda path: rewrite(path, lambda a: a.update(codes=a["codes"] * 1.0)), "is damaged or no file of"),
    "code 64": (lambda path: rewrite(path, give_code_64), "codes were given from 0 to 64|codes were given from"),
    "other size": (lambda path: rewrite(path, lambda a: a.update(codes=a["codes"][:, :6])), r"holds codes of \(6, 7\)"),
    "other model": (lambda path: rewrite(path, lambda a: a.update(codebook=np.array(b"0" * 64))), "another model's"),
    "leaves the folder": (lambda path: rewrite(path, rename(b"../x.png")), "which is no path below a folder"),
    "absolute": (lambda path: rewrite(path, rename(b"/tmp/x.png")), "which is no path below a folder"),
    "same name": (lambda path: rewrite(path, rename(b"5")), "two of its images would be written to 5.png"),
    "fewer names": (lambda path: rewrite(path, lambda a: a.update(names=a["names"][:5])), "is damaged"),
    "missing": (lambda path: path.unlink(), "no such file"),
}


def inflate(path):
    """Make a codes file claim a million million images."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 7, 7)})
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["codes.npy"] = header.getvalue() + b"\0" * 490
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_codes_files_are_refused_and_nothing_is_left(predictor, folder, tmp_path, case):
    damage, words = DAMAGES[case]
    path = tmp_path / "codes.npz"
    encode_to_file(predictor, folder, path)
    damage(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(VQVAEError, match=words):
        decode_to_folder(predictor, path, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_one_unreadable_image_leaves_no_file(predictor, folder, tmp_path):
    (folder / "ö" / "bad.png").write_bytes(b"nonsense")
    (tmp_path / "codes.npz").write_bytes(b"keep me")
    with pytest.raises(VQVAEError, match="bad.png: is not a PNG"):
        encode_to_file(predictor, folder, tmp_path / "codes.npz")
    assert (tmp_path / "codes.npz").read_bytes() == b"keep me" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "content, words",
    [
        (np.zeros((0, 1, 28, 28), np.uint8), "holds no images"),
        (np.zeros((2, 28, 28), np.uint8), r"shape \(2, 28, 28\): give \(N, C, H, W\)"),
        (np.zeros((2, 1, 28, 32), np.uint8), r"\(2, 1, 28, 32\): the model takes \(N, 1, 28, 28\)"),
        (np.zeros((2, 1, 28, 28), np.int64), "given as int64"),
        (np.full((2, 1, 28, 28), np.nan, np.float32), "outside \\[0, 1\\] or not a number"),
    ],
)
def test_wrong_arrays_are_refused(predictor, tmp_path, content, words):
    np.save(tmp_path / "images.npy", content)
    with pytest.raises(VQVAEError, match=words):
        encode_to_file(predictor, tmp_path / "images.npy", tmp_path / "codes.npz")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["images.npz", "images.npy"])
def test_files_that_hold_no_array_are_refused(predictor, tmp_path, name):
    if name.endswith("z"):
        np.savez(tmp_path / name, images=random_images(2))
    else:
        (tmp_path / name).write_bytes(b"text")
    with pytest.raises(VQVAEError, match="is damaged or no .npy array"):
        encode_to_file(predictor, tmp_path / name, tmp_path / "codes.npz")


def test_taken_folders_are_refused(predictor, folder, tmp_path):
    encode_to_file(predictor, folder, tmp_path / "codes.npz")
    with pytest.raises(VQVAEError, match="is there already; give a new or an empty folder"):
        decode_to_folder(predictor, tmp_path / "codes.npz", folder)
    shutil.rmtree(folder)
    folder.mkdir()
    assert decode_to_folder(predictor, tmp_path / "codes.npz", folder) == 11
    with pytest.raises(VQVAEError, match="cannot be written"):
        decode_to_folder(predictor, tmp_path / "codes.npz", tmp_path / "no" / "folder")


def test_commands(exported, tmp_path):
    shutil.copytree(DIGITS[0].parent, tmp_path / "digits")
    model = ("--model", exported)
    result = run_python("encode", tmp_path / "digits", *model)
    assert result.returncode == 2 and b"holds many images; add -o CODES.npz" in result.stderr
    result = run_python("encode", tmp_path / "digits", "-o", tmp_path / "codes.npz", *model)
    assert result.returncode == 0 and b"codes of 10 images" in result.stdout, result.stderr
    assert run_python("decode", tmp_path / "codes.npz", tmp_path / "out", *model).returncode == 0
    assert run_python("reconstruct", DIGITS[3], tmp_path / "three.png", *model).returncode == 0
    assert (tmp_path / "out" / "3.png").read_bytes() == (tmp_path / "three.png").read_bytes()
    assert run_python("decode", tmp_path / "codes.npz", tmp_path / "out.npy", *model).returncode == 0
    assert np.load(tmp_path / "out.npy").shape == (10, 1, 28, 28)
    assert run_python("encode", tmp_path / "out.npy", "-o", tmp_path / "again.npz", *model).returncode == 0
    result = run_python("encode", tmp_path / "out.npy", "-o", tmp_path / "codes.txt", *model)
    assert result.returncode == 2 and b"a file of codes ends in .npz" in result.stderr


def peak_memory(exported, folder, count):
    """Return the peak memory in bytes of a process that encodes and decodes ``count`` random images."""
    code = (
        "import resource, sys, numpy as np\n"
        "from vqvae_gluon import Predictor\n"
        "from vqvae_gluon.deploy.bulk import decode_to_array, encode_to_file\n"
        "model, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
        "images = np.lib.format.open_memmap(folder + '/i.npy', 'w+', np.uint8, (count, 1, 28, 28))\n"
        "del images\n"
        "predictor = Predictor(model)\n"
        "encode_to_file(predictor, folder + '/i.npy', folder + '/c.npz')\n"
        "decode_to_array(predictor, folder + '/c.npz', folder + '/o.npy')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    command = [sys.executable, "-c", code, str(exported), str(folder), str(count)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def test_memory_does_not_grow_with_the_images(exported, tmp_path):
    few, many = (peak_memory(exported, tmp_path, count) for count in (1_000, 12_000))
    # 11,000 more images are 9 MB as bytes and would be 34 MB as floats; mapped pages of the file add a little.
    assert many - few < 20e6
