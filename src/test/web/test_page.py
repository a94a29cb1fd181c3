"""The page in a real browser: Debian's Chromium, driven by its own chromedriver as a user would."""
import base64
import contextlib
import functools
import http.server
import io
import math
import os
import re
import shutil
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import BROWSER, DIGITS, PRETRAINED, ROOT, export_newest, make_model, needs, random_images, run_python
from vqvae_gluon import Predictor, Sampler, to_bytes, write_png
from vqvae_gluon.deploy import page as page_module
from vqvae_gluon.deploy.page import code_colours, write_model

needs_browser = needs({**BROWSER, "npm": "npm"})

PATIENCE = 20  # seconds
PLACE = "/some/place/"  # the page must work under any path

#: A three and a scribble, in fractions of the pad.
THREE = [(0.3, 0.25), (0.45, 0.15), (0.62, 0.2), (0.65, 0.33), (0.5, 0.45), (0.63, 0.55), (0.68, 0.7), (0.52, 0.84)]
SCRIBBLE = [(0.5 + 0.4 * math.sin(2.3 * turn), 0.5 + 0.35 * math.cos(3.1 * turn)) for turn in range(15)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The page of the pre-trained model."""
    folder = tmp_path_factory.mktemp("page") / "out"
    result = run_python("page", folder)
    assert (result.returncode, result.stderr) == (0, b"")
    assert f"python -m http.server -d {folder}" in result.stdout.decode()
    return folder


@pytest.fixture(scope="module")
def page_of(built, tmp_path_factory):
    """A function that makes another model's page from ``built``, so that npm need not run again."""

    def make(model):
        folder = tmp_path_factory.mktemp("page") / "out"
        of_model = ("*.onnx", "model.json", "examples")
        shutil.copytree(built, folder, ignore=shutil.ignore_patterns(*of_model))
        write_model(folder, model)
        return folder

    return make


class Page:
    """A page in the browser."""

    def __init__(self, driver):
        self.driver = driver

    def __getitem__(self, name):
        return self.driver.find_element("id", name)

    def complaints(self):
        """Return the console's messages since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def wait(self, pattern, where="status"):
        """Wait until a text matches; return the match."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = re.search(pattern, self[where].text)
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited for '{pattern}': {self['status'].text!r}, error {self['error'].text!r}")

    def codes(self):
        """Return the codes that the grid shows, -1 for a cleared one."""
        script = "return [...document.querySelectorAll('#codes button')].map((cell) => cell.textContent)"
        return np.array([int(text or -1) for text in self.driver.execute_script(script)])

    def pixels(self, canvas):
        """Return the RGB bytes of a canvas, (H, W, 3)."""
        script = "return document.getElementById(arguments[0]).toDataURL('image/png')"
        content = self.driver.execute_script(script, canvas).partition(",")[2]
        return np.array(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))

    def open(self, path):
        """Open an image file; return the bits that the page shows."""
        self["file"].send_keys(str(path))
        return float(self.wait(rf"{re.escape(path.name)} is shown.* ([0-9.]+) bits")[1])

    def draw(self, points):
        """Draw one line with the mouse; return the bits."""
        pad = self["pad"]
        place = [round((x - 0.5) * pad.size["width"]) for point in points for x in point]
        actions = self.actions().move_to_element_with_offset(pad, *place[:2]).click_and_hold()
        for x, y in zip(place[2::2], place[3::2]):
            actions.move_to_element_with_offset(pad, x, y)
        actions.release().perform()
        return float(self.wait(r"Drawn\. ([0-9.]+) bits")[1])

    def actions(self):
        from selenium.webdriver import ActionChains

        return ActionChains(self.driver, duration=5)

    def press(self, *keys):
        from selenium.webdriver import Keys

        self.actions().send_keys(*(getattr(Keys, key, key) for key in keys)).perform()

    def fill(self, **settings):
        from selenium.webdriver.support.ui import Select

        for name, value in settings.items():
            field = self[name.replace("_", "-")]
            if field.tag_name == "select":
                Select(field).select_by_visible_text(value)
            else:
                field.clear()
                field.send_keys(value)


@contextlib.contextmanager
def served(folder):
    """Serve a folder under PLACE, as ``python -m http.server`` would; yield the address and the requested paths."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            asked.append(path)
            return super().translate_path(path[len(PLACE) - 1 :] if path.startswith(PLACE) else "/missing")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PLACE}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def show(driver):
    """A function that shows a folder's page."""
    with contextlib.ExitStack() as stack:

        def go(folder):
            address, _ = stack.enter_context(served(folder))
            driver.get_log("browser")
            driver.get(address)
            page = Page(driver)
            page.wait(r"Ready\.")
            return page

        yield go


@pytest.fixture(scope="module")
def address(built):
    with served(built) as (address, _):
        yield address


@pytest.fixture
def page(driver, address):
    """The page of the pre-trained model, as it starts; its console must have no errors at the end."""
    page = Page(driver)
    if driver.current_url != address:
        driver.get_log("browser")
        driver.get(address)
        page.wait(r"Ready\.")
    driver.execute_script("document.getElementById('settings').reset(); scrollTo(0, 0)")
    if not page["centred"].is_selected():
        page["centred"].click()
    page["clear"].click()
    page.wait(r"Cleared\.")
    yield page
    assert page.complaints() == []


@pytest.fixture(scope="module")
def sampler():
    return Sampler()


@needs_browser
class TestPage:
    def test_ten_digits_have_pythons_codes(self, page, sampler):
        for path in DIGITS:
            page["file"].send_keys(str(path))
            page.wait(rf"{path.name} is shown")
            codes = sampler.predictor.encode(path)
            assert (page.codes() == codes.ravel()).all(), path
            self.check_image(page, sampler.predictor, codes)
            assert (page.pixels("input")[..., 0] == np.array(Image.open(path))).all()

    def test_bits_are_pythons(self, page, sampler):
        assert page.open(DIGITS[9]) == pytest.approx(sampler.bits(sampler.predictor.encode(DIGITS[9]))[0], abs=0.06)

    def test_image_file_is_dropped(self, page, sampler):
        script = """
            const data = new DataTransfer();
            const content = Uint8Array.from(atob(arguments[0]), (byte) => byte.charCodeAt(0));
            data.items.add(new File([content], 'dropped.png'));
            document.getElementById('pad').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
        """
        page.driver.execute_script(script, base64.b64encode(DIGITS[6].read_bytes()).decode())
        page.wait("dropped.png is shown")
        assert (page.codes() == sampler.predictor.encode(DIGITS[6]).ravel()).all()

    def test_reconstruction_is_live(self, page):
        page.actions().move_to_element(page["pad"]).click_and_hold().move_by_offset(20, 30).perform()
        end = time.monotonic() + PATIENCE
        while page.pixels("image").max() < 200 and time.monotonic() < end:
            time.sleep(0.02)
        assert page.pixels("image").max() >= 200
        page.actions().release().perform()
        page.wait(r"Drawn\.")

    def test_examples_are_the_ten_digits(self, page, sampler):
        buttons = page.all("#examples button")
        assert len(buttons) == 10
        buttons[7].click()
        page.wait("7.png is shown.*bits")
        assert (page.codes() == sampler.predictor.encode(DIGITS[7]).ravel()).all()

    @pytest.mark.parametrize("size", [(28, 28), (75, 101), (20, 16)], ids=str)
    def test_another_image_is_converted_as_by_the_package(self, page, sampler, tmp_path, size):
        write_png(tmp_path / "colours.png", random_images(1, 3, size)[0])
        page.open(tmp_path / "colours.png")
        seen = sampler.predictor.to_tensor(tmp_path / "colours.png")
        assert (page.pixels("input")[..., 0] == to_bytes(seen)[0, 0]).all()
        assert (page.codes() == sampler.predictor.encode(tmp_path / "colours.png").ravel()).all()

    def test_transparent_parts_become_black(self, page, tmp_path):
        picture = np.zeros((28, 28, 4), np.uint8)
        picture[4:8, 4:8] = 255
        Image.fromarray(picture).save(tmp_path / "a.png")
        page["file"].send_keys(str(tmp_path / "a.png"))
        page.wait("transparent parts were put onto black")
        assert (page.pixels("input") == picture[..., 3:]).all()

    def test_scribble_is_stranger_than_a_digit(self, page):
        digit = page.draw(THREE)
        page["clear"].click()
        page.wait(r"Cleared\.")
        scribble = page.draw(SCRIBBLE)
        assert scribble > 1.3 * digit
        assert "validation data" in page["bits-text"].text

    def test_drawing_is_centred_where_that_is_wanted(self, page):
        page.draw([(0.1 + 0.3 * x, 0.1 + 0.3 * y) for x, y in THREE])
        rows, columns = np.nonzero(page.pixels("input")[..., 0])
        assert 17 <= np.ptp(rows) <= 21 and abs(rows.mean() - 13.5) < 2 and abs(columns.mean() - 13.5) < 2
        page["centred"].click()
        page.wait(r"Drawn\. .*bits")
        end = time.monotonic() + PATIENCE
        while page.pixels("input")[14:, 14:].any() and time.monotonic() < end:
            time.sleep(0.02)
        assert page.pixels("input")[:14, :14].any() and not page.pixels("input")[14:, 14:].any()

    def test_drawing_with_a_finger(self, page):
        frame = page.driver.execute_script("return document.getElementById('pad').getBoundingClientRect().toJSON()")
        for kind, points in [("touchStart", THREE[:1]), *(("touchMove", [point]) for point in THREE), ("touchEnd", [])]:
            touches = [
                {"x": frame["x"] + x * frame["width"], "y": frame["y"] + y * frame["height"]} for x, y in points
            ]
            page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        page.wait(r"Drawn\. .* bits")
        assert page.pixels("image").max() > 200

    def test_hover_shows_what_a_code_stands_for(self, page, sampler):
        page.open(DIGITS[3])
        page.actions().move_to_element(page.all("#codes button")[24]).perform()
        code = page.codes()[24]
        page.wait(rf"Code {code} in row 4, column 4: .*bits", "code-text")
        alone = to_bytes(sampler.predictor.decode(np.full((1, 7, 7), code)))[0, 0, 12:16, 12:16]
        assert np.abs(page.pixels("code-patch")[..., 0].astype(int) - alone).max() <= 1

    def test_code_is_changed_by_the_keyboard(self, page, sampler):
        page.open(DIGITS[3])
        before, image = page.codes(), page.pixels("image")
        page.all("#codes button")[0].send_keys("")  # focus
        page.press("ARROW_DOWN", "ARROW_DOWN", "ARROW_DOWN", "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT", "ENTER")
        page.wait("Choose the code of row 4, column 4", "palette-title")
        page.press("HOME", "ARROW_RIGHT", "ARROW_RIGHT", "ESCAPE")
        assert not page["palette"].is_displayed() and (page.codes() == before).all()
        page.press("ENTER", "ARROW_LEFT", "ENTER")
        page.wait(r"The code of row 4, column 4 was 32 and is 31\. .*bits")
        after = page.codes()
        assert [after[24], *np.flatnonzero(after != before)] == [31, 24]
        assert (page.pixels("image") != image).any()
        self.check_image(page, sampler.predictor, after.reshape(1, 7, 7))
        assert page.driver.switch_to.active_element == page.all("#codes button")[24]

    @pytest.mark.parametrize(
        "typed, wanted",
        [
            ({"class": "3", "seed": "7"}, {"label": "3", "seed": 7}),
            ({"seed": "4294967295", "count": "3"}, {"seed": 2**32 - 1, "count": 3}),
            (
                {"class": "5", "temperature": "0.7", "top_k": "16", "seed": "11", "count": "16"},
                {"label": "5", "temperature": 0.7, "top_k": 16, "seed": 11, "count": 16},
            ),
            ({"class": "0", "temperature": "0"}, {"label": "0", "temperature": 0}),
        ],
        ids=["class", "several", "likelier", "likeliest"],
    )
    def test_seed_gives_pythons_codes(self, page, sampler, typed, wanted):
        page.fill(**typed)
        page["generate"].click()
        page.wait("Generated with seed .*bits")
        codes = sampler.sample(**wanted)
        assert (page.codes() == codes[0].ravel()).all()
        self.check_image(page, sampler.predictor, codes[:1])
        results = [button for button in page.all("#results button") if button.is_displayed()]
        assert len(results) == (len(codes) if len(codes) > 1 else 0)
        for number, button in list(enumerate(results))[1:3]:
            button.click()
            page.wait(rf"New image {number + 1} is shown\..*bits")
            assert (page.codes() == codes[number].ravel()).all()

    def test_command_that_the_page_names_gives_the_same_codes(self, page):
        page.fill(**{"class": "4", "seed": "2", "top_k": "9"})
        page["generate"].click()
        page.wait("Generated with seed .*bits")
        command = page.all("#command code")[0].text.split()
        assert command[0] == "vqvae"
        assert page.codes().tolist() == [int(code) for code in run_python(*command[1:]).stdout.split()]

    def test_cleared_rows_are_completed_as_by_python(self, page, sampler):
        page.open(DIGITS[8])
        given = sampler.predictor.encode(DIGITS[8])[0, :3]
        page.fill(keep="3", seed="5", **{"class": "8"})
        page["clear-rows"].click()
        page.wait("Kept the first 3 of 7 rows")
        assert ((page.codes() == -1) == (np.arange(49) >= 21)).all()
        assert page.all("#codes button")[21].get_attribute("aria-label") == "Row 4, column 1: cleared"
        page["complete"].click()
        page.wait("Completed.*bits")
        assert (page.codes() == sampler.sample(label="8", seed=5, given=given).ravel()).all()

    def test_rows_are_cleared_by_the_keyboard(self, page):
        page.open(DIGITS[8])
        page.all("#codes button")[0].send_keys("")
        page.press("ARROW_DOWN", "DELETE")
        page.wait("Kept the first 1 of 7 rows")
        assert ((page.codes() == -1) == (np.arange(49) >= 7)).all()

    def test_every_control_is_reached_by_tab(self, page):
        page.open(DIGITS[1])
        seen = set()
        for _ in range(40):
            page.press("TAB")
            focused = page.driver.switch_to.active_element
            seen.add(focused.get_attribute("id") or focused.get_attribute("role"))
            if focused.get_attribute("id"):
                outline = page.driver.execute_script(
                    "const e = arguments[0]; const label = document.querySelector(`label.button[for=${e.id}]`) ?? e;"
                    "return getComputedStyle(label).outlineStyle",
                    focused,
                )
                assert outline == "solid", focused.get_attribute("id")
        names = ("clear", "file", "centred", "class", "temperature", "top-k", "seed", "count", "generate", "keep")
        assert {*names, "gridcell", "clear-rows", "complete"} <= seen

    @pytest.mark.parametrize(
        "name, content, sentence",
        [
            ("notes.png", b"some text", "notes.png is no PNG, JPEG or BMP file."),
            ("empty.png", b"", "empty.png is no PNG, JPEG or BMP file."),
            ("short.png", DIGITS[0].read_bytes()[:100], "short.png cannot be decoded"),
            ("short.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "short.jpg cannot be decoded"),
        ],
        ids=["text", "empty", "png", "jpeg"],
    )
    def test_file_that_is_no_image(self, page, tmp_path, name, content, sentence):
        page.open(DIGITS[2])
        before = page.codes()
        (tmp_path / name).write_bytes(content)
        page["file"].send_keys(str(tmp_path / name))
        page.wait(re.escape(sentence), "error")
        assert (page.codes() == before).all()
        page.open(DIGITS[1])
        assert not page["error"].is_displayed()

    @pytest.mark.parametrize("kind", ["png", "bmp", "jpg"])
    def test_huge_image(self, page, tmp_path, kind):
        header = struct.pack(">IIBBBBB", 30000, 20000, 8, 0, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        bmp = b"BM" + bytes(16) + struct.pack("<ii", 30000, -20000) + bytes(28)
        jpg = b"\xff\xd8\xff\xfe\0\x04ab\xff\xc2\0\x11\x08" + struct.pack(">HH", 20000, 30000) + bytes(20)
        (tmp_path / f"huge.{kind}").write_bytes({"png": png, "bmp": bmp, "jpg": jpg}[kind])
        page["file"].send_keys(str(tmp_path / f"huge.{kind}"))
        page.wait(f"huge.{kind} has 30000 x 20000 pixels", "error")

    def test_settings_out_of_range(self, page):
        page.fill(seed="-1")
        page["generate"].click()
        page.wait("seed was given as -1", "error")
        page.fill(seed="1")
        page["generate"].click()
        page.wait("Generated with seed 1.*bits")
        assert not page["error"].is_displayed()

    def test_phone_and_dark(self, page):
        emulate = page.driver.execute_cdp_cmd
        back = "return getComputedStyle(document.body).backgroundColor"
        light = page.driver.execute_script(back)
        try:
            size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
            emulate("Emulation.setDeviceMetricsOverride", size)
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            emulate("Emulation.setEmulatedMedia", {"features": features})
            assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 360
            assert page.driver.execute_script(back) != light
        finally:
            emulate("Emulation.clearDeviceMetricsOverride", {})
            emulate("Emulation.setEmulatedMedia", {"features": []})

    @staticmethod
    def check_image(page, predictor, codes):
        """Check that the page's image is Python's, up to the rounding of another library."""
        image = to_bytes(predictor.decode(codes))[0]
        assert np.abs(page.pixels("image").transpose(2, 0, 1).astype(int) - image).max() <= 1


@needs_browser
class TestHosts:
    def test_no_other_host_is_asked(self, driver, built):
        with served(built) as (address, asked):
            driver.get(address)
            page = Page(driver)
            page.wait(r"Ready\.")
            page["generate"].click()
            page.wait("Generated.*bits")
            names = driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
            assert len(names) > 10 and all(name.startswith(address) for name in names)
            assert all(path.startswith(PLACE) for path in asked)

    def test_policy_forbids_other_hosts(self, driver, built):
        script = """
            const done = arguments[arguments.length - 1];
            document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
            fetch('http://127.0.0.2:9/').catch(() => {});
        """
        with served(built) as (address, _):
            driver.get(address)
            Page(driver).wait(r"Ready\.")
            assert driver.execute_async_script(script) == "connect-src"
        driver.get_log("browser")

    def test_page_that_is_opened_as_a_file_says_what_to_do(self, driver, built):
        driver.get((built / "index.html").as_uri())
        Page(driver).wait("python -m http.server -d FOLDER", "not-started")
        assert not Page(driver)["page"].is_displayed()
        driver.get_log("browser")

    def test_browser_without_web_assembly(self, driver, built):
        source = {"source": "delete globalThis.WebAssembly"}
        script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
        try:
            with served(built) as (address, _):
                driver.get(address)
                Page(driver).wait("has no WebAssembly", "error")
        finally:
            driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)

    def test_file_that_the_server_lacks(self, driver, built, tmp_path):
        folder = tmp_path / "page"
        shutil.copytree(built, folder)
        (folder / "decoder.onnx").unlink()
        with served(folder) as (address, _):
            driver.get(address)
            Page(driver).wait("decoder.onnx cannot be loaded: the server answers 404", "error")
        driver.get_log("browser")


@needs_browser
class TestOtherModels:
    def test_prior_without_classes(self, show, page_of):
        sampler = Sampler(PRETRAINED / "compact")
        page = show(page_of(PRETRAINED / "compact"))
        assert not page["class"].is_displayed()
        page.open(DIGITS[4])
        assert (page.codes() == sampler.predictor.encode(DIGITS[4]).ravel()).all()
        page.fill(seed="3")
        page["generate"].click()
        page.wait("Generated with seed 3.*bits")
        assert (page.codes() == sampler.sample(seed=3).ravel()).all()
        assert page.complaints() == []

    def test_colour_model_without_a_prior(self, show, page_of, tmp_path):
        settings = {"channels": 3, "image_size": (16, 24), "num_embeddings": 10, "embedding_dim": 2}
        model = export_newest(make_model(**settings), tmp_path / "model")
        page = show(page_of(model))
        assert "has no prior" in page["no-prior"].text
        assert not page["prior"].is_displayed() and not page["examples"].is_displayed()
        write_png(tmp_path / "colours.png", random_images(1, 3, (40, 50))[0])
        page["file"].send_keys(str(tmp_path / "colours.png"))
        page.wait("colours.png is shown")
        predictor = Predictor(model)
        codes = predictor.encode(tmp_path / "colours.png")
        assert codes.shape == (1, 4, 6) and (page.codes() == codes.ravel()).all()
        seen = to_bytes(predictor.to_tensor(tmp_path / "colours.png"))[0]
        assert (page.pixels("input").transpose(2, 0, 1) == seen).all()
        TestPage.check_image(page, predictor, codes)
        assert page.complaints() == []


class TestCommand:
    """Mistakes give one line on standard error and leave nothing behind."""

    @pytest.fixture
    def fails(self, tmp_path):
        def run(*arguments, **kwargs):
            here = sorted(tmp_path.rglob("*"))
            result = run_python("page", *arguments, **kwargs)
            (line,) = result.stderr.decode().splitlines()
            assert (result.returncode, result.stdout) == (2, b"")
            assert sorted(tmp_path.rglob("*")) == here
            return line

        return run

    @staticmethod
    def with_npm(folder, script):
        """Return an environment in which npm is a script, or is missing."""
        folder.mkdir()
        if script:
            (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
            (folder / "npm").chmod(0o755)
        return {**os.environ, "PATH": str(folder)}

    def test_npm_is_missing(self, fails, tmp_path):
        environment = self.with_npm(tmp_path / "bin", "")
        assert "error: npm is missing, which fetches" in fails(tmp_path / "out", env=environment)

    def test_npm_fails(self, fails, tmp_path):
        says = "printf 'npm error %s\\n' 'code E404' '' 'no such package' 'see the log' >&2; exit 1"
        environment = self.with_npm(tmp_path / "bin", says)
        line = fails(tmp_path / "out", env=environment)
        assert line == "vqvae: error: npm ci cannot install onnxruntime-web: no such package"

    def test_folder_is_taken(self, fails, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("mine")
        assert f"{tmp_path / 'out'}: is there already" in fails(tmp_path / "out")

    def test_folder_cannot_be_written(self, fails, tmp_path):
        assert "cannot be written" in fails(tmp_path / "missing" / "out")

    def test_no_model(self, fails, tmp_path):
        environment = self.with_npm(tmp_path / "bin", "exit 1")
        assert "holds no exported model" in fails(tmp_path / "out", "--model", tmp_path, env=environment)


def test_page_is_found_in_the_wheel_as_in_the_checkout():
    assert page_module.web_folder() == ROOT / "web"


def test_examples_are_the_test_digits():
    assert [(ROOT / "web" / "examples" / path.name).read_bytes() for path in DIGITS] == [
        path.read_bytes() for path in DIGITS
    ]


@pytest.mark.parametrize("shape", [(64, 16), (5, 1), (3, 2), (1, 4)], ids=str)
def test_colours_of_codes(shape):
    colours = code_colours(np.random.RandomState(0).random_sample(shape).astype(np.float32))
    assert len(set(colours)) == shape[0] and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)


def test_lock_file_names_no_host():
    assert "resolved" not in (ROOT / "web" / "package-lock.json").read_text()
