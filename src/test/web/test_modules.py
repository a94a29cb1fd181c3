"""The page's modules that need no browser, run by Node.js, compute the same numbers as the package."""
import json
import shutil
import subprocess

import numpy as np
import pytest

from conftest import ROOT
from vqvae_gluon.data.image_file import stretch
from vqvae_gluon.sampling import choose

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed (Debian: apt-get install npm)")

LAST_SEED = 2**32 - 1
# Heights and widths for: whole boxes, areas that cut pixels, bilinear enlargement, one direction only, one pixel.
SIZES = [
    *[((56, 56), (28, 28)), ((84, 56), (28, 28)), ((100, 130), (28, 28)), ((29, 28), (28, 28)), ((333, 500), (48, 64))],
    *[((14, 14), (28, 28)), ((7, 9), (64, 64)), ((20, 40), (28, 28)), ((40, 20), (28, 28)), ((1, 1), (4, 4))],
]


def run(module, call, *arguments):
    """Return the value of an expression over a module's exports and JSON ``arguments``."""
    program = (
        f"import * as module from {json.dumps((ROOT / 'web' / module).as_uri())};"
        "let text = ''; for await (const part of process.stdin) text += part;"
        f"console.log(JSON.stringify(({call})(module, ...JSON.parse(text))));"
    )
    command = [NODE, "--input-type=module", "-e", program]
    done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_random_numbers():
    seeds = [0, 1, 7, 2**31, LAST_SEED]
    draw = "const state = new module.RandomState(seed); return Array.from({ length: 1500 }, () => state.double())"
    numbers = run("sampler.js", f"(module, seeds) => seeds.map((seed) => {{ {draw} }})", seeds)
    assert numbers == [np.random.RandomState(seed).random_sample(1500).tolist() for seed in seeds]


def test_choices():
    rng = np.random.RandomState(0)
    probabilities = rng.dirichlet(np.full(8, 0.5), 300).astype(np.float32)
    probabilities[::3] = np.round(probabilities[::3], 1)  # equal values and zeros
    probabilities[::3, 0] += 0.1
    random = rng.random_sample(300)
    random[:2] = 0, np.nextafter(1.0, 0.0)
    for temperature, top_k in [(1.0, 0), (0.0, 0), (1.0, 1), (1.0, 3), (1.0, 8)]:
        chosen = run(
            "sampler.js",
            "(module, rows, random, ...how) => "
            "rows.map((row, index) => module.choose(Float32Array.from(row), random[index], ...how))",
            *(probabilities.tolist(), random.tolist(), temperature, top_k),
        )
        assert chosen == choose(probabilities, random, temperature, top_k).tolist(), (temperature, top_k)


def test_numbers_that_are_none_are_refused():
    call = "module.choose(Float32Array.of(0.5, NaN), 0.5, 1, 0)"
    message = run("sampler.js", f"(module) => {{ try {{ {call} }} catch (error) {{ return error.message }} }}")
    assert "damaged or was badly trained" in message


def test_stretched_images():
    rng = np.random.RandomState(0)
    cases = []
    for before, after in SIZES:
        smooth = np.add.outer(np.linspace(0, 235, before[0]), 20 * np.sin(np.arange(before[1]) / 3)).clip(0, 255)
        cases += [(image.astype(np.uint8), after) for image in (rng.randint(0, 256, before), smooth)]
    call = "([bytes, ...sizes]) => Array.from(module.stretch(Uint8Array.from(bytes), ...sizes))"
    given = [(image.ravel().tolist(), image.shape, after) for image, after in cases]
    for (image, after), pixels in zip(cases, run("stretch.js", f"(module, cases) => cases.map({call})", given)):
        np.testing.assert_array_equal(np.reshape(pixels, after), stretch(image[None], after)[0], f"{image.shape}")


def test_settings_out_of_range():
    wrong = [
        ({"seed": "-1"}, "seed was given as -1: it must be from 0 to 4294967295"),
        ({"seed": "4294967296"}, "seed was given as 4294967296"),
        ({"seed": ""}, "seed was given as"),
        ({"temperature": "0.0001"}, "temperature was given as 0.0001: it must be 0 (always the likeliest code)"),
        ({"temperature": "1,5"}, "temperature was given as 1,5"),
        ({"topK": "65"}, "top-k was given as 65: it must be from 1 to 64, or 0 for all codes"),
        ({"count": "0"}, "count was given as 0"),
        ({"count": "17"}, "count was given as 17"),
    ]
    for (typed, sentence), settings in zip(wrong, read_settings(*(typed for typed, _ in wrong))):
        assert sentence in settings["fault"], typed


def test_settings():
    typed = {"label": "1", "temperature": ".5", "topK": "3", "seed": "4294967295", "count": "2"}
    settings, likeliest = read_settings(typed, {"temperature": "0"})
    assert (likeliest["temperature"], likeliest["label"]) == (0, 2)  # no class
    assert settings == {"label": 1, "temperature": 0.5, "topK": 3, "seed": LAST_SEED, "count": 2}
    command = run("settings.js", "(module, ...both) => module.toCommand(...both)", settings, ["a", "it's b"])
    assert command == (
        r"vqvae generate --codes --class 'it'\''s b' --temperature 0.5 --top-k 3 --seed 4294967295 --count 2"
    )


def read_settings(*typed):
    usual = {"label": "", "temperature": "1", "topK": "0", "seed": "0", "count": "1"}
    usual.update(classes=["a", "b"], codes=64)
    call = "(module, several) => several.map((typed) => module.readSettings(typed))"
    return run("settings.js", call, [{**usual, **some} for some in typed])
