"""The report of a run, parsed as a browser would, compared with numbers computed anew."""
import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from conftest import BROWSER, CLASSES, PRETRAINED, needs, run_python
from vqvae_gluon import Predictor, Sampler, load_dataset
from vqvae_gluon.evaluation.splits import evaluate_model
from vqvae_gluon.report.charts import Curve, draw_curves
from vqvae_gluon.report.hints import find_hints, prior_hints
from vqvae_gluon.report.pictures import Dot, decoded_patches, map_rows, png_uri
from vqvae_gluon.report.run import read_run
from vqvae_gluon.report.sections import _drawn

VOID = ("meta", "link", "img", "br")


class Page(HTMLParser):
    """The elements of a page, in the order in which they begin: tag, attributes and the text inside."""

    def __init__(self, path):
        super().__init__()
        self.elements, self._open = [], []
        self.text = path.read_text()
        self.feed(self.text)
        self.close()
        assert self._open == [], "elements that do not end"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self._open:
            texts.append(data)

    def texts(self, tag, **wanted):
        """Return the texts of the elements with a tag and some attributes, with single spaces."""
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return [
            " ".join("".join(texts).split())
            for found, attributes, texts in self.elements
            if found == tag and wanted.items() <= attributes.items()
        ]

    def image(self, alt):
        """Return the pixels of the image with an alternative text."""
        (uri,) = [attributes["src"] for tag, attributes, _ in self.elements if attributes.get("alt") == alt]
        kind, _, content = uri.partition(",")
        assert kind == "data:image/png;base64"
        return np.array(Image.open(io.BytesIO(base64.b64decode(content))))

    def table(self, caption):
        """Return the rows of a table by row title, each a dictionary from column titles to cells."""
        (text,) = re.findall(rf"<caption>{re.escape(caption)}.*?</table>", self.text, re.DOTALL)
        rows = [re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>.*?</tr>", text)]
        return {row[0]: dict(zip(rows[0], row)) for row in rows[1:]}


@pytest.fixture(scope="module")
def other_run(classes_folder, tmp_path_factory):
    """A run on the data of ``prior_run``, with other settings and without a prior."""
    run = tmp_path_factory.mktemp("other") / "run"
    command = ["train", "--data", classes_folder, "--image-size", "16x16", "--num-embeddings", "4", "--output", run]
    result = run_python(*command, "--batch-size", "8", "--num-epoch", "1", "--pictures", "0", "--embedding-dim", "3")
    assert result.returncode == 0, result.stderr
    return run


@pytest.fixture(scope="module")
def reported(prior_run, other_run, tmp_path_factory):
    """The file of a report with all parts."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    result = run_python("report", prior_run, "-o", path, "--against", other_run, "--images", "3")
    assert (result.returncode, result.stderr) == (0, b"")
    assert f"{path}: the report of {prior_run}" in result.stdout.decode()
    return path


@pytest.fixture(scope="module")
def page(reported):
    return Page(reported)


@pytest.fixture(scope="module")
def split(classes_folder):
    """The six images of the test split, as bytes and as floats."""
    split = load_dataset(str(classes_folder), image_size=(16, 16)).test
    return split, split.images / np.float32(255)


@pytest.fixture(scope="module")
def errors(prior_run, split):
    """The mean squared error of each image."""
    made = Predictor(prior_run).reconstruct(split[1])
    return ((made.astype(np.float64) - split[1]) ** 2).mean(axis=(1, 2, 3))


def copied(run, folder):
    """Copy a run, so that it may be changed."""
    return shutil.copytree(run, folder / "copy")


class TestPage:
    def test_nothing_comes_from_elsewhere_and_nothing_runs(self, page):
        links = [attributes[name] for _, attributes, _ in page.elements for name in ("src", "href", "xlink:href")
                 if name in attributes]
        assert links and all(link.startswith(("data:", "#")) for link in links)
        assert not {"script", "iframe", "object", "embed", "base"} & {tag for tag, _, _ in page.elements}
        assert not re.search(r"https?:|@import|url\((?!#)", page.text)

    def test_names_are_unique_and_links_lead_somewhere(self, page):
        names = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
        assert len(names) == len(set(names))
        links = [attributes[name] for _, attributes, _ in page.elements for name in ("href", "xlink:href")
                 if attributes.get(name, "").startswith("#")]
        links += [f"#{name}" for name in re.findall(r"url\(#([^)]*)\)", page.text)]
        assert links and {link[1:] for link in links} <= set(names)

    def test_it_can_be_read_aloud(self, page):
        assert all(attributes.get("alt") for tag, attributes, _ in page.elements if tag == "img")
        assert all(attributes.get("aria-label") for tag, attributes, _ in page.elements if tag == "svg")
        tables = sum(tag == "table" for tag, _, _ in page.elements)
        assert tables == sum(tag == "caption" for tag, _, _ in page.elements) > 5
        levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))

    def test_the_same_run_gives_the_same_bytes(self, prior_run, other_run, reported, tmp_path):
        again = tmp_path / "again.html"
        again.write_text("what was there")
        command = ["report", prior_run, "-o", again, "--against", other_run, "--images", "3"]
        assert run_python(*command, "--memory", "0", cwd=str(tmp_path)).returncode == 0
        assert again.read_bytes() == reported.read_bytes()

    def test_figures_are_those_of_evaluate(self, page, prior_run):
        metrics = evaluate_model(prior_run)
        table = page.table("Metrics over 6 images")
        names = {"mse": "MSE per pixel", "ssim": "SSIM", "perplexity": "Perplexity", "bits_per_image": "Bits per image"}
        for name, title in names.items():
            assert float(table[title]["value"]) == pytest.approx(metrics[name], rel=1e-3)
        classes = page.table("Metrics by class")
        assert set(classes) == set(metrics["by_class"])
        for name, figures in metrics["by_class"].items():
            assert float(classes[name]["MSE per pixel"]) == pytest.approx(figures["mse"], rel=1e-3)

    @pytest.mark.parametrize("which", ["Worst", "Best"])
    def test_worst_and_best_reconstructions(self, page, prior_run, split, errors, which):
        order = np.argsort(-errors if which == "Worst" else errors)[:3]
        part = page.text.partition(f"<h3>{which}</h3>")[2]
        told = re.findall(r"<figcaption>test image (\d+), class (.*?): MSE (.*?)</figcaption>", part)[:3]
        assert [int(number) for number, _, _ in told] == order.tolist()
        assert [name for _, name, _ in told] == [CLASSES[split[0].labels[number]] for number in order]
        np.testing.assert_allclose([float(mse) for _, _, mse in told], errors[order], atol=6e-6)

    def test_pictures_are_the_images(self, page, prior_run, split, errors):
        worst = int(errors.argmax())
        name = f"test image {worst}, class {CLASSES[split[0].labels[worst]]}"
        original = split[0].images[worst, 0]
        made = np.rint(255 * Predictor(prior_run).reconstruct(split[1][worst : worst + 1])[0, 0]).astype(int)
        part = Page.__new__(Page)  # the image is shown in several parts; look at the first one
        part.elements = page.elements[: next(i for i, e in enumerate(page.elements) if e[1].get("id") == "codebook")]
        assert (part.image(f"{name}, original") == original).all()
        assert (part.image(f"{name}, reconstruction") == made).all()
        assert (part.image(f"{name}, absolute difference") == np.abs(made - original)).all()

    def test_usage_is_counted_by_numpy(self, page, prior_run, split):
        counts = np.bincount(Predictor(prior_run).encode(split[1]).ravel(), minlength=8)
        told = [re.fullmatch(r"code (\d+): used (\d+) times", text).groups() for text in page.texts("title")[1:]]
        assert {int(code): int(count) for code, count in told} == dict(enumerate(counts)) and len(told) == 8
        patches = [text.split() for text in page.texts("li") if re.match(r"\d", text)]
        assert [int(code) for code, *_ in patches] == np.argsort(-counts, kind="stable").tolist()
        for code, share, *_ in patches:
            count = counts[int(code)]
            assert share == "unused" if not count else float(share) == pytest.approx(100 * count / 96, abs=0.051)

    def test_codes_of_images_are_those_of_encode(self, page, prior_run, split):
        codes = Predictor(prior_run).encode(split[1])
        names = re.findall(r"<h3>test image (\d+), class .*?</h3>", page.text)
        grids = re.findall(r'<table class="codes.*?</table>', page.text, re.DOTALL)
        assert len(names) == len(grids) == 3
        assert len({split[0].labels[int(name)] for name in names}) == len(set(split[0].labels))
        for name, grid in zip(names, grids):
            told = [int(code) for code in re.findall(r'<td class="c\d+">(\d+)</td>', grid)]
            assert told == codes[int(name)].ravel().tolist()

    def test_curves_have_the_numbers_of_the_history(self, page, prior_run):
        rows = [line.split(",") for line in (prior_run / "metrics.csv").read_text().split()]
        values = dict(zip(rows[0], zip(*rows[1:])))
        (about,) = [attributes["aria-label"] for tag, attributes, _ in page.elements
                    if tag == "svg" and attributes["aria-label"].startswith("MSE per pixel")]
        told = re.search(r"over 2 epochs: .*; validation from (\S+) to (\S+); other run", about).groups()
        np.testing.assert_allclose(np.array(told, float), np.array(values["validation_mse"], float), rtol=1e-3)
        assert list(page.table("Metrics by epoch<")) == ["0", "1"]

    def test_bits_and_samples_of_the_prior(self, page, prior_run, split):
        sampler = Sampler(prior_run)
        bits = sampler.bits(sampler.predictor.encode(split[1]))
        part = page.text.partition("<h3>Least likely images</h3>")[2].partition("<h3>Most likely")[0]
        told = re.findall(r"test image (\d+), class [^:]*: (\S+) bits<", part)
        assert [int(number) for number, _ in told] == np.argsort(-bits)[:3].tolist()
        np.testing.assert_allclose([float(text) for _, text in told], np.sort(bits)[::-1][:3], atol=0.051)
        images = sampler.predictor.decode(sampler.sample(3, seed=0))
        for number in range(3):
            assert (page.image(f"sample {number + 1}") == np.rint(255 * images[number, 0])).all()
        table = page.table("Mean bits per image")
        assert float(table["Independent codes, all equally likely"]["bits per image"]) == 16 * 3
        assert float(table["Prior"]["bits per image"]) == pytest.approx(bits.mean(), abs=0.0051)

    def test_comparison_is_on_the_same_images(self, page, prior_run, other_run, split, errors):
        made = Predictor(other_run).reconstruct(split[1])
        theirs = ((made.astype(np.float64) - split[1]) ** 2).mean(axis=(1, 2, 3))
        table = page.table("Both runs on the same images")["MSE per pixel"]
        assert float(table["this run"]) == pytest.approx(errors.mean(), rel=1e-3)
        assert float(table["other run"]) == pytest.approx(theirs.mean(), rel=1e-3)
        assert table["better"] == ("this run" if errors.mean() < theirs.mean() else "other run")
        assert f"This run has the smaller error on {np.count_nonzero(errors < theirs)} of 6 images." in page.texts("p")
        assert "different data" not in page.text
        settings = page.table("Settings that differ between the runs")
        assert (settings["embedding_dim"]["this run"], settings["embedding_dim"]["other run"]) == ("16", "3")


def test_without_a_prior_or_another_run_there_is_no_part_of_them(other_run, tmp_path):
    assert run_python("report", other_run, "-o", tmp_path / "r.html", "--split", "train").returncode == 0
    page = Page(tmp_path / "r.html")
    names = [attributes["id"] for tag, attributes, _ in page.elements if tag == "section" and "id" in attributes]
    assert names == ["metrics", "training", "reconstructions", "codebook", "codes", "settings"]
    assert "#prior" not in page.text and "Metrics on the train split" in page.text


def test_names_are_shown_as_they_are(other_run, tmp_path):
    """A name is shown as text, whatever it contains."""
    run = other_run.rename(other_run.with_name("<img src=x onerror=alert(1)> & \"co\""))
    try:
        assert run_python("report", run, "-o", tmp_path / "r.html").returncode == 0
    finally:
        run.rename(other_run)
    page = Page(tmp_path / "r.html")
    assert page.texts("h1") == [f"Report on {run}"]
    assert not any("onerror" in attributes for _, attributes, _ in page.elements)


def test_a_collapsed_codebook_is_told(other_run, tmp_path):
    run = copied(other_run, tmp_path)
    lines = (run / "metrics.csv").read_text().split()
    cells = dict(zip(lines[0].split(","), lines[1].split(",")))
    cells.update(validation_perplexity="1.0", validation_codes_used="1")
    (run / "metrics.csv").write_text(f"{lines[0]}\n{','.join(cells.values())}\n")
    assert run_python("report", run, "-o", tmp_path / "r.html").returncode == 0
    (hint,) = Page(tmp_path / "r.html").texts("section", class_="hint")
    assert "1 of 4 codes in use, perplexity 1.0; all outputs of the encoder are alike" in hint
    assert "try a lower --learning-rate than 0.004" in hint


REFUSED = {
    "no run": (["report", "{tmp}"], "holds no exported model"),
    "no metrics": (["report", "{bare}"], "holds no metrics.csv, which keeps the history; give a run of vqvae train"),
    "another shape": (["report", "{run}", "--against", str(PRETRAINED)], "only runs with images of one shape"),
    "no data": (["report", "{run}", "--data", "{tmp}/nowhere"], "nowhere"),
    "no split": (["report", "{run}", "--split", "half"], "unknown split 'half'"),
    "no images": (["report", "{run}", "--images", "0"], "images was given as 0: it must be from 1 to 100"),
    "no page": (["report", "{run}", "-o", "{run}/manifest.json"], "let its name end in .html"),
    "no folder": (["report", "{run}", "-o", "{tmp}/no/r.html"], "its folder is not there; make the folder first"),
    "a folder": (["report", "{run}", "-o", "{tmp}/folder.html"], "is a folder; give the name of a file"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_one_line(other_run, tmp_path, words, message):
    bare = copied(other_run, tmp_path)
    (bare / "metrics.csv").unlink()
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "report.html").write_text("what was there")
    words = [word.format(tmp=tmp_path, run=other_run, bare=bare) for word in words]
    result = run_python(*words, cwd=str(tmp_path))
    told = result.stderr.decode()
    assert result.returncode == 2 and result.stdout == b""
    assert told.startswith("vqvae: error: ") and told.count("\n") == 1 and message in told, told
    assert (tmp_path / "report.html").read_text() == "what was there"
    assert json.loads((other_run / "manifest.json").read_text())["epoch"] == 0


def test_metrics_of_another_training_are_refused(other_run, tmp_path):
    run = copied(other_run, tmp_path)
    text = (run / "metrics.csv").read_text()
    for content, message in [
        (text.replace("\n0,", "\n7,"), b"lacks the epoch that"),
        (text.partition("\n")[0] + "\n", b"holds no epoch"),
        (re.sub(r"\n0,[^,]*", "\n0,nan", text), b"is damaged or no metrics of this kind"),
        (text.replace("epoch,", "year,"), b"is damaged or no metrics of this kind"),
    ]:
        (run / "metrics.csv").write_text(content)
        result = run_python("report", run, "-o", tmp_path / "r.html")
        assert result.returncode == 2 and message in result.stderr, result.stderr
        assert not (tmp_path / "r.html").exists()


def history(run, *changes):
    """Return a run whose history has one changed row for each of ``changes``; the last one is exported."""
    rows = [{**run.rows[0], "epoch": epoch, **change} for epoch, change in enumerate(changes)]
    return run._replace(rows=rows, exported=rows[-1])


class TestHints:
    GOOD = {"train_mse": 0.01, "validation_mse": 0.011, "validation_codes_used": 4, "validation_perplexity": 3.0}

    @pytest.fixture
    def run(self, other_run):
        return read_run(other_run)

    def test_a_good_training_has_none(self, run):
        assert find_hints(history(run, self.GOOD, self.GOOD), 100) == []

    def test_a_later_collapse(self, run):
        later = history(run, self.GOOD, {**self.GOOD, "validation_codes_used": 1})
        (hint,) = find_hints(later._replace(exported=later.rows[0]), 100)
        assert hint.title == "The codebook collapsed after the exported epoch" and "1 of 4 codes in use" in hint.text
        assert "try a higher --beta than 0.25" in hint.text

    def test_few_vectors_cannot_use_all_codes(self, run):
        few = {**self.GOOD, "validation_codes_used": 1}
        assert find_hints(history(run, few), 3) == []
        assert find_hints(history(run, few), 4) != []

    def test_a_jump_of_the_error(self, run):
        worse = {**self.GOOD, "train_mse": 0.03, "validation_mse": 0.033}
        (hint,) = find_hints(history(run, self.GOOD, worse, self.GOOD), 100)
        assert "In epoch 1 the validation MSE rose from 0.01100 to 0.03300" in hint.text
        assert "a lower --clip than 2 or a lower --learning-rate than 0.004" in hint.text
        free = run._replace(recipe=run.recipe.replace(clip=0.0))
        assert "--clip 2, which limits them, or" in find_hints(history(free, self.GOOD, worse), 100)[0].text

    def test_overfitting(self, run):
        (hint,) = find_hints(history(run, {**self.GOOD, "train_mse": 0.005}), 100)
        assert "is 0.01100, but the training MSE is only 0.00500" in hint.text

    @pytest.mark.parametrize("bits, known", [(100.0, True), (111.0, False)])
    def test_a_prior_that_knows_nothing(self, run, bits, known):
        run = history(run, {**self.GOOD, "validation_perplexity": 32.0})
        run = run._replace(prior_rows=[{"validation_bits_per_image": 200.0}, {"validation_bits_per_image": bits}])
        found = prior_hints(run, 22)  # codes have 5 bits
        assert len(found) == 1 - known
        assert known or "111.0 bits per validation image" in found[0].text and "takes 110.0" in found[0].text


def test_a_curve_is_a_line_through_its_values():
    values = [0.5, 0.2, 0.9, 0.4]
    svg = draw_curves("one", "<about>", [Curve("it", range(4), values)])
    assert 'aria-label="&lt;about&gt;"' in svg
    lines = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--first\)', svg)
    points = np.array(re.findall(r"[ML] (\S+) (\S+)", lines[0]), float)
    assert points.shape == (4, 2)
    assert np.corrcoef(points[:, 0], range(4))[0, 1] == pytest.approx(1)
    assert np.corrcoef(points[:, 1], values)[0, 1] == pytest.approx(-1)  # y points down
    logarithmic = draw_curves("one", "", [Curve("it", range(3), [1e-3, 1e-1, 1e-2])], log=True)
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", re.findall(r'd="([^"]*)"[^>]*--first', logarithmic)[0])]
    assert np.corrcoef(heights, [-3, -1, -2])[0, 1] == pytest.approx(-1)


def test_the_map_keeps_distances_of_rows_in_a_plane():
    rng = np.random.RandomState(0)
    plane = rng.randn(20, 2) * (3, 1)
    rows = (plane @ np.linalg.qr(rng.randn(5, 2))[0].T).astype(np.float32)
    shares = np.arange(20) / 190
    dots, shown = map_rows(rows, shares)
    places = np.array([(dot.x, dot.y) for dot in dots])
    assert shown == pytest.approx(1) and (places > 0).all() and (places < 100).all()
    between, on_map = (np.linalg.norm(x[:, None] - x, axis=2).ravel() for x in (plane, places))
    assert np.corrcoef(between, on_map)[0, 1] == pytest.approx(1)
    assert np.ptp(places[:, 0]) > np.ptp(places[:, 1])
    assert (np.diff([dot.radius for dot in dots]) > 0).all()
    assert places.min(axis=0) + places.max(axis=0) == pytest.approx([100, 100])


def test_unused_codes_are_below_the_others_on_the_map_and_large_dots_below_small_ones():
    entries = [(0, Dot(1, 1, 2.0), 3), (1, Dot(1, 1, 0.7), 0), (2, Dot(1, 1, 4.0), 9)]
    assert [code for code, _, _ in sorted(entries, key=_drawn)] == [1, 2, 0]


@pytest.mark.parametrize("rows", [np.ones((1, 4), np.float32), np.ones((3, 1), np.float32)], ids=["one row", "alike"])
def test_the_map_of_hardly_anything(rows):
    dots, shown = map_rows(rows, np.zeros(len(rows)))
    assert {(dot.x, dot.y) for dot in dots} == {(50, 50)} and shown == 1


def test_a_patch_is_the_middle_of_an_image_of_one_code(prior_run):
    predictor = Predictor(prior_run)
    predictor.batch_size = 3
    for code, patch in enumerate(decoded_patches(predictor)):
        assert (patch == predictor.decode(np.full((1, 4, 4), code))[0, :, 8:12, 8:12]).all()
    assert code == 7


@pytest.mark.parametrize("channels", [1, 3])
def test_png_has_the_pixels(channels):
    image = np.random.RandomState(0).randint(0, 256, (channels, 5, 7)).astype(np.uint8)
    content = base64.b64decode(png_uri(image).partition(",")[2])
    assert (np.array(Image.open(io.BytesIO(content))) == image.transpose(1, 2, 0).squeeze()).all()


@needs(BROWSER)
class TestBrowser:
    @pytest.fixture(params=["light", "dark"])
    def scheme(self, request):
        return request.param

    @pytest.fixture(params=[320, 375, 1100], ids="{} px".format)
    def width(self, request):
        return request.param

    @pytest.fixture
    def shown(self, driver, reported, scheme, width):
        """The report in the browser, on a screen of some width, with everything that can be opened open."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
        driver.get_log("browser")
        driver.get(reported.as_uri())
        driver.execute_script("document.querySelectorAll('details').forEach((it) => { it.open = true })")
        return driver

    def test_it_is_as_wide_as_the_screen(self, shown, width):
        script = """
            const end = document.documentElement.clientWidth;
            const inside = (it) => it.parentElement.closest('.scroll');
            const wide = [...document.querySelectorAll('body *')].filter(
              (it) => it.getBoundingClientRect().right > end + 1 && !inside(it) && !it.closest('svg *'));
            return [document.documentElement.scrollWidth, innerWidth, wide.map((it) => it.outerHTML.slice(0, 80))];
        """
        needed, there, wide = shown.execute_script(script)
        assert there == width and needed <= there and wide == []

    def test_images_are_seen_and_nothing_is_wrong(self, shown):
        script = "return [...document.images].map((it) => [it.naturalWidth, it.clientWidth])"
        assert all(own > 0 and on_page >= 20 for own, on_page in shown.execute_script(script))
        assert shown.get_log("browser") == []

    def test_text_stands_out(self, shown, scheme):
        """Every text has a contrast of at least 4.5 with its background, as defined by WCAG 2."""
        script = """
            const light = (colour) => {
              const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
              const [r, g, b] = parts.map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
              return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const behind = (it) => {
              for (; it; it = it.parentElement) {
                const colour = getComputedStyle(it).backgroundColor;
                if (!/, 0\\)$/.test(colour)) return light(colour);
              }
            };
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const found = [];
            while (walk.nextNode()) {
              const it = walk.currentNode.parentElement;
              if (!walk.currentNode.data.trim() || it.closest('.map, title, .unused')) continue;
              const style = getComputedStyle(it);
              const [a, b] = [light(it.closest('svg') ? style.fill : style.color), behind(it)].sort((x, y) => y - x);
              found.push([(a + 0.05) / (b + 0.05), walk.currentNode.data.trim()]);
            }
            return [behind(document.body), found];
        """
        back, found = shown.execute_script(script)
        assert back < 0.05 if scheme == "dark" else back > 0.85
        assert len(found) > 200 and [it for it in found if it[0] < 4.5] == []
