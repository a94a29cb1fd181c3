"""Record files: MXNet's own, packed from a folder, and damaged; and what is read from them."""
import io
import random
import re
import resource
import shutil
import struct

import cv2
import numpy as np
import pytest
from mxnet.recordio import IRHeader, MXIndexedRecordIO, pack, pack_img, unpack
from PIL import Image

from conftest import random_images, run_python
from vqvae_gluon import VQVAEError, load_dataset, read_image, write_png
from vqvae_gluon.data import check_classes, stream
from vqvae_gluon.data.image_format import PNG, chunk, chunks
from vqvae_gluon.data.pack import pack_folder
from vqvae_gluon.data.record_file import RecordFile

CLASSES = ("cats", "größer dogs")
GRAY = random_images(1)[0]


def write_records(path, contents, labels=None):
    """Write image files as MXNet writes them; labels are 0 if there are none."""
    records = MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for number, content in enumerate(contents):
        label = 0.0 if labels is None else labels[number]
        records.write_idx(number, pack(IRHeader(0, label, number, 0), content))
    records.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve images of 16 x 12 pixels in each of two classes: PNG, gray PNG, JPEG and BMP."""
    folder = tmp_path_factory.mktemp("images")
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for index, image in enumerate(random_images(12, 3, (12, 16), seed=number)):
            kind = ("png", "png", "jpg", "bmp")[index % 4]
            path = folder / name / f"{index:02d}.{kind}"
            if index % 4 == 1:
                write_png(path, image[:1])
            else:
                assert cv2.imwrite(str(path), image.transpose(1, 2, 0)[:, :, ::-1])
    return folder


@pytest.fixture
def record(folder, tmp_path):
    pack_folder(folder, tmp_path / "all.rec")
    return tmp_path / "all.rec"


def assert_equal(ours, theirs):
    assert ours.fingerprint() == theirs.fingerprint()
    for one, other in zip(ours, theirs):
        assert one.classes == other.classes and one.images.shape == other.images.shape
        np.testing.assert_array_equal(one.images[:], other.images[:])
        if one.classes:
            np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize("memory", [0, 1], ids=["streamed", "held"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_record_file_is_the_data_set_that_its_folder_is(folder, record, channels, memory):
    theirs = load_dataset(str(folder), channels, (12, 16), split_seed=3)
    assert theirs.train.classes == CLASSES and len(theirs.test.images) == 2
    assert_equal(load_dataset(str(record), channels, (12, 16), split_seed=3, memory=memory), theirs)
    assert_equal(load_dataset(str(folder), channels, (12, 16), split_seed=3, memory=memory), theirs)


def test_records_hold_the_very_files(folder, record):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    records = MXIndexedRecordIO(str(record.with_suffix(".idx")), str(record), "r")
    for number, path in enumerate(paths):
        header, content = unpack(records.read_idx(number))
        assert content == path.read_bytes()
        assert (header.id, CLASSES[int(header.label)]) == (number, path.parent.name)
    assert len(records.keys) == len(paths) == 24


def test_pixels_are_those_of_the_file_whatever_it_asks_for(tmp_path):
    """A rotated JPEG, a PNG with gAMA and eXIf, an alpha channel: MXNet's own iterator reads some differently."""
    image = random_images(1, 3, (12, 16))[0]
    exif = Image.Exif()
    exif[0x112] = 6
    (tmp_path / "in").mkdir()
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", exif=exif)
    (tmp_path / "in" / "0.jpg").write_bytes(buffer.getvalue())
    write_png(tmp_path / "plain.png", image)
    parts = [whole for _, _, whole in chunks((tmp_path / "plain.png").read_bytes())]
    marked = [parts[0], chunk(b"gAMA", struct.pack(">I", 100000)), chunk(b"eXIf", exif.tobytes()[6:]), *parts[1:]]
    (tmp_path / "in" / "1.png").write_bytes(PNG + b"".join(marked))
    alpha = np.random.RandomState(0).randint(0, 256, (12, 16, 4)).astype(np.uint8)
    Image.fromarray(alpha).save(tmp_path / "in" / "2.png")
    for number in range(3, 10):
        shutil.copy(tmp_path / "in" / ("0.jpg", "1.png", "2.png")[number % 3], tmp_path / "in" / f"{number}.png")
    pack_folder(tmp_path / "in", tmp_path / "out.rec")
    dataset = load_dataset(str(tmp_path / "out.rec"), 1, (16, 16), 0, "stretch", "white", memory=0)
    order = np.random.RandomState(0).permutation(10)  # how a single file or folder is split
    paths = sorted((tmp_path / "in").iterdir())
    found = np.concatenate([dataset.test.images[:], dataset.validation.images[:], dataset.train.images[:]])
    for number, image in zip(order, found):
        np.testing.assert_array_equal(image, read_image(paths[number], 1, (16, 16), background="white"))


def test_large_files_are_not_in_memory_together(tmp_path, monkeypatch):
    """Each of these files has few bytes, but 27 million numbers (26 MiB)."""
    assert cv2.imwrite(str(tmp_path / "00.jpg"), np.full((3000, 3000, 3), 200, np.uint8))
    for number in range(1, 40):
        (tmp_path / f"{number:02d}.jpg").symlink_to(tmp_path / "00.jpg")
    monkeypatch.setattr(stream, "_MOST_WORKERS", 2)
    dataset = load_dataset(str(tmp_path), 3, (8, 8), memory=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (dataset.train.images[np.arange(32)] == 200).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB; together they take 850 MiB



def test_im2rec_records_have_their_labels_as_names(tmp_path):
    """Records as im2rec writes them: cv2's JPEG or PNG, numbers as labels, keys in any order, no names."""
    path = tmp_path / "im2rec.rec"
    records = MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    images = random_images(20, 3, (8, 8))
    for number, image in enumerate(images):
        header = IRHeader(0, float(9 + number % 2), number, 0)
        records.write_idx(100 - number, pack_img(header, image.transpose(1, 2, 0)[:, :, ::-1], 9, ".png"))
    records.close()
    dataset = load_dataset(str(path), 3, (8, 8), memory=0)
    assert dataset.train.classes == ("9", "10")
    order = np.random.RandomState(0).permutation(20)[4:]
    np.testing.assert_array_equal(dataset.train.images[:], images[order])
    np.testing.assert_array_equal(dataset.train.labels, order % 2)


def test_labels_that_name_no_class_are_none(tmp_path):
    contents = [b"a"] * 12
    path = write_records(tmp_path / "a.rec", contents, [0, 1, -1, 0.5, float("nan"), 3e38, 1, 0, 1, 0, 1, [1, 2]])
    assert RecordFile(path).labels.tolist() == [0, 1, -1, -1, -1, -1, 1, 0, 1, 0, 1, -1]


def test_files_of_splits(folder, tmp_path):
    for name in ("train", "validation", "test"):
        shutil.copytree(folder, tmp_path / "files" / name)
    shutil.rmtree(tmp_path / "files" / "validation" / CLASSES[0])
    (tmp_path / "records").mkdir()
    for name in ("train", "validation", "test"):
        kind = "none" if name == "validation" else "folders"
        pack_folder(tmp_path / "files" / name, tmp_path / "records" / f"{name}.rec", kind)
    with pytest.raises(VQVAEError, match="validation.labels: no such file, though .*train.rec has its names in .*"):
        load_dataset(str(tmp_path / "records"), 3, (12, 16))
    load_dataset(str(tmp_path / "records"), 3, (12, 16), classes="none")
    (tmp_path / "records" / "validation.labels").write_text(CLASSES[1] + "\n", encoding="utf-8")
    assert_equal(*(load_dataset(str(tmp_path / name), 3, (12, 16)) for name in ("records", "files")))
    with pytest.raises(VQVAEError, match="class 'cats' has images in the train split and none in the validation"):
        check_classes(str(tmp_path / "records"))
    (tmp_path / "records" / "test.rec").unlink()
    with pytest.raises(VQVAEError, match=r"holds train.rec but no test.rec; give all three splits"):
        load_dataset(str(tmp_path / "records"), 3, (12, 16))


def change(path, place, content):
    whole = bytearray(path.read_bytes())
    whole[place : place + len(content)] = content
    path.write_bytes(whole)


def other_index(path):
    write_records(path.with_name("other.rec"), [b"x" * (90 + number) for number in range(24)])
    path.with_name("other.idx").replace(path.with_suffix(".idx"))


def lines(path, of):
    index = path.with_suffix(".idx")
    index.write_text("".join(of(index.read_text().splitlines(True))))


BAD = {
    "missing": (lambda path: path.unlink(), "all.rec: no such file"),
    "empty": (lambda path: path.write_bytes(b""), "all.rec: is empty; make it with vqvae pack or im2rec"),
    "no index": (lambda path: path.with_suffix(".idx").unlink(), r"its index .*all.idx is missing; vqvae pack and"),
    "empty index": (lambda path: path.with_suffix(".idx").write_bytes(b""), "all.idx: names no records; make it anew"),
    "no such index": (lambda path: path.with_suffix(".idx").write_bytes(b"\xff\0nonsense"), "no index of a record"),
    "another index": (other_index, r"record 1: is not where .*all.idx has it: the file is damaged or cut short, or"),
    "half an index": (lambda path: lines(path, lambda all: all[:12]), "all.idx: does not name all records of"),
    "a hole in it": (lambda path: lines(path, lambda all: all[:5] + all[6:]), "does not name all records of .*all.rec"),
    "a record twice": (lambda path: lines(path, lambda all: [*all, "99\t0\n"]), "does not name all records of"),
    "negative": (lambda path: lines(path, lambda all: [*all, "99\t-4\n"]), "all.idx: is damaged or no index of"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "record 23: is damaged or cut short"),
    "half of it": (lambda path: path.write_bytes(path.read_bytes()[:3000]), r"record \d+: is (damaged|not where)"),
    "another file": (lambda path: path.write_bytes(b"nonsense" * 999), "record 0: is not where .*all.idx has it"),
    "a length": (lambda path: change(path, 4, b"\xff\xff\xff\x1f"), "record 0: is damaged or cut short"),
    "a label more": (lambda path: path.with_suffix(".labels").write_text("one\n"), "label 1, but .*all.labels ends"),
    "equal labels": (lambda path: path.with_suffix(".labels").write_text("a\na\n"), "holds no list of different names"),
    "foreign labels": (lambda path: path.with_suffix(".labels").write_bytes(b"\xff\xfe"), "holds no list of different"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused(record, case):
    damage, words = BAD[case]
    damage(record)
    with pytest.raises(VQVAEError, match=words) as caught:
        load_dataset(str(record), 3, (12, 16))
    assert "\n" not in str(caught.value) and str(record.parent) in str(caught.value)


@pytest.mark.parametrize("memory", [0, 1], ids=["streamed", "held"])
@pytest.mark.parametrize(
    "content, words",
    [
        (b"no image at all", "bad.rec: record 10: is not a PNG, JPEG or BMP image"),
        (b"", "bad.rec: record 10: is not a PNG, JPEG or BMP image"),
        (b"GIF89a...", "record 10: is a GIF file; convert it to PNG"),
        ("cut", "record 10: the image is truncated, damaged or of an unsupported kind"),
        ("wide", r"record 10: has 9x8 pixels, .*record 0 has 8x8; make all images one size or add --mixed-sizes"),
    ],
    ids=["text", "nothing", "GIF", "cut short", "another size"],
)
def test_records_that_are_no_such_images_are_told_before_training(tmp_path, content, words, memory):
    write_png(tmp_path / "a.png", random_images(1, 1, (8, 8))[0])
    write_png(tmp_path / "wide.png", random_images(1, 1, (8, 9))[0])
    whole = (tmp_path / "a.png").read_bytes()
    content = {"cut": whole[:-30], "wide": (tmp_path / "wide.png").read_bytes()}.get(content, content)
    path = write_records(tmp_path / "bad.rec", [content if number == 10 else whole for number in range(30)])
    with pytest.raises(VQVAEError, match=words) as caught:
        load_dataset(str(path), 1, (8, 8), memory=memory).fingerprint()
    assert "\n" not in str(caught.value)


def test_a_record_without_a_class_is_named(tmp_path):
    write_png(tmp_path / "a.png", GRAY)
    labels = [-1 if number == 7 else number % 2 for number in range(40)]
    path = write_records(tmp_path / "a.rec", [(tmp_path / "a.png").read_bytes()] * 40, labels)
    with pytest.raises(VQVAEError, match=r"1 of \d+ images without a class .*0, 1.*, such as .*a.rec: record 7: give"):
        load_dataset(str(path), classes="folders")
    dataset = load_dataset(str(path))
    assert sorted(np.concatenate([split.labels for split in dataset]).tolist())[:2] == [-1, 0]


@pytest.mark.parametrize(
    "odd, words",
    [
        ([1, 2], "a list of 2 labels"),
        ([3], "a list of 1 label"),
        (0.5, "the label 0.5"),
        (float("nan"), "the label nan"),
    ],
)
def test_a_label_that_is_no_class_is_told_where_one_is_asked_for(tmp_path, odd, words):
    write_png(tmp_path / "a.png", GRAY)
    contents = [(tmp_path / "a.png").read_bytes()] * 40
    all_odd = write_records(tmp_path / "all.rec", contents, [odd] * 40)
    found = r"have 0 labels that are one whole number from 0 \(.*all.rec: record \d+ has " + re.escape(words)
    with pytest.raises(VQVAEError, match=found + r"\); give at least two different ones, or learn without classes"):
        load_dataset(str(all_odd), classes="folders")
    labels = [odd if number == 7 else number % 2 for number in range(40)]
    one_odd = write_records(tmp_path / "one.rec", contents, labels)
    with pytest.raises(VQVAEError, match=f"such as .*one.rec: record 7 with {re.escape(words)}: give each image one"):
        load_dataset(str(one_odd), classes="folders")
    assert load_dataset(str(all_odd)).train.labels is None
    labels = np.concatenate([split.labels for split in load_dataset(str(one_odd))])
    assert np.bincount(labels + 1).tolist() == [1, 20, 19]


def test_names_that_are_too_few_are_told_apart_from_those_that_fit(record):
    record.with_suffix(".labels").write_text("one\n")
    with pytest.raises(VQVAEError) as caught:
        load_dataset(str(record), 3, (12, 16))
    words = f"{record}: record 12: has the label 1, but {record.with_suffix('.labels')} ends with the name of label 0"
    assert str(caught.value).startswith(words)


def test_mutated_files_are_refused_or_read(folder, tmp_path):
    rng = random.Random(0)
    pack_folder(folder, tmp_path / "a.rec")
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    refused = 0
    for _ in range(300):
        path = rng.choice(sorted(whole))
        content = bytearray(whole[path])
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        try:
            file = RecordFile(tmp_path / "a.rec")
            assert sum(len(file.read(number)[1]) for number in range(len(file))) < sum(map(len, whole.values()))
        except VQVAEError as error:
            refused += 1
            assert str(tmp_path) in str(error) and "\n" not in str(error)
        path.write_bytes(whole[path])
    assert refused > 100


def test_a_record_that_holds_the_magic_number_is_read(tmp_path):
    """MXNet stores such a record in parts."""
    magic = struct.pack("<I", 0xCED7230A)
    contents = [b"1234" + magic + b"5678" + magic, magic * 3, b"plain"] + [b"abc"] * 9
    file = RecordFile(write_records(tmp_path / "a.rec", contents))
    assert [file.read(number)[1] for number in range(len(file))] == contents


def test_damage_after_the_heads_were_read_is_told(record):
    file = RecordFile(record)
    place = int(record.with_suffix(".idx").read_text().splitlines()[5].split()[1])
    change(record, place, b"\0\0\0\0")
    with pytest.raises(VQVAEError, match="all.rec: record 5: is damaged"):
        file.read(5)
    assert file.read(4)[0].endswith("record 4")


def test_pack_refuses_and_leaves_nothing(folder, tmp_path):
    (tmp_path / "in" / "train").mkdir(parents=True)
    for source, words in (
        (tmp_path / "nowhere", "nowhere: is no folder"),
        (tmp_path / "in", r"holds train, validation, test; pack each of them, as train.rec and so on"),
    ):
        with pytest.raises(VQVAEError, match=words):
            pack_folder(source, tmp_path / "out.rec")
    with pytest.raises(VQVAEError, match=r"out.npz: a record file ends in \.rec"):
        pack_folder(folder, tmp_path / "out.npz")
    shutil.copytree(folder, tmp_path / "damaged")
    (tmp_path / "damaged" / CLASSES[1] / "05.png").write_bytes(b"nonsense")
    with pytest.raises(VQVAEError, match="05.png: is not a PNG, JPEG or BMP image"):
        pack_folder(tmp_path / "damaged", tmp_path / "out.rec")
    (tmp_path / "out.labels").write_text("precious")
    with pytest.raises(VQVAEError, match="out.labels: is there already; remove it or choose another name"):
        pack_folder(folder, tmp_path / "out.rec")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "in", "out.labels"]
    with pytest.raises(VQVAEError, match="cannot be written"):
        pack_folder(folder, tmp_path / "missing" / "out.rec")


def test_pack_reads_the_heads_once_and_the_file_where_it_lies(folder, tmp_path, monkeypatch):
    looked_at, read_labels = [], RecordFile._read_labels
    monkeypatch.setattr(RecordFile, "_read_labels", lambda self: looked_at.append(self.path) or read_labels(self))
    file = pack_folder(folder, tmp_path / "a.rec")
    assert len(looked_at) == 1 and file.name(3) == f"{tmp_path / 'a.rec'}: record 3"
    assert file.read(0) == RecordFile(tmp_path / "a.rec").read(0) and file.classes == CLASSES


def test_pack_without_classes_labels_as_im2rec_does(folder, tmp_path):
    file = pack_folder(folder, tmp_path / "a.rec", "none")
    assert file.labels.tolist() == [0] * 24 and not (tmp_path / "a.labels").exists()
    assert load_dataset(str(tmp_path / "a.rec"), 3, (12, 16)).train.labels is None
    with pytest.raises(VQVAEError, match="holds no classes: images to train on have 1 labels; give at least two"):
        load_dataset(str(tmp_path / "a.rec"), 3, (12, 16), classes="folders")


def test_few_records_are_refused(tmp_path):
    path = write_records(tmp_path / "few.rec", [b"a"] * 9)
    with pytest.raises(VQVAEError, match="few.rec: holds 9 records; give at least 10 to split"):
        load_dataset(str(path))


def test_the_commands_take_record_files(folder, tmp_path):
    """pack, train from a stream, evaluate and encode give the same with records as with the folder's images."""
    data = tmp_path / "data.rec"
    result = run_python("pack", folder, data)
    assert result.returncode == 0 and result.stdout.decode() == f"{data}: 24 images of 2 classes\n", result.stderr
    settings = ["--image-size", "12x16", "--num-embeddings", "8", "--batch-size", "8", "--pictures", "1"]
    for run, source in (("folder", [folder]), ("records", [data, "--memory", "0"])):
        words = ["train", "--data", *source, *settings, "--num-epoch", "2", "--output", tmp_path / run]
        result = run_python(*words)
        assert result.returncode == 0, result.stderr
    for name in ("metrics.csv", "model/vqvae.Encoder/model_0_newest-0000.params"):
        assert (tmp_path / "records" / name).read_bytes() == (tmp_path / "folder" / name).read_bytes()
    result = run_python("evaluate", "--model", tmp_path / "records", "--memory", "0")
    assert result.returncode == 0 and "\ncats " in result.stdout.decode(), result.stderr
    result = run_python("encode", data, "--model", tmp_path / "records", "-o", tmp_path / "codes.npz")
    assert result.returncode == 0, result.stderr
    result = run_python("encode", folder, "--model", tmp_path / "records", "-o", tmp_path / "theirs.npz")
    with np.load(tmp_path / "codes.npz") as ours, np.load(tmp_path / "theirs.npz") as theirs:
        np.testing.assert_array_equal(ours["codes"], theirs["codes"])
    result = run_python("train", "--data", tmp_path / "none.rec", *settings, "--output", tmp_path / "new")
    assert result.returncode == 2 and result.stderr.decode() == f"vqvae: error: {tmp_path / 'none.rec'}: no such file\n"
    assert not (tmp_path / "new").exists()
