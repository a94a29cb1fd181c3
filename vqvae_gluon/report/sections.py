"""The parts of a report, and what each of them shows of a run."""
import math
import shlex
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from ..data import to_bytes, to_unit
from ..deploy.page import code_colours
from ..deploy.predictor import Predictor
from ..deploy.sampler import Sampler
from ..evaluation.splits import Measured
from .charts import draw_histogram, draw_usage
from .hints import prior_hints
from .pictures import Dot, decoded_patches, difference, map_rows, png_uri
from .run import Run
from .tables import (
    Table,
    classes_table,
    comparison_table,
    figures_table,
    history_charts,
    history_table,
    key_figures,
    prior_chart,
    settings_table,
)

_PATCHES = 64  # codes that are shown without unfolding the rest
_EXAMPLES = 4  # images whose codes are shown, at most
_MOST_CLASSES = 20  # classes for which a sample is drawn, at most
_WIDEST_NUMBERED = 16  # codes side by side that leave room for their numbers, at most
_SEED = 0  # of the samples


class Picture(NamedTuple):
    """An image as a data URI, its text for screen readers, and a word to show below it."""

    uri: str
    alt: str
    word: str = ""


class Figure(NamedTuple):
    """Pictures side by side and their caption."""

    pictures: List[Picture]
    caption: str


class Subject(NamedTuple):
    """A run, its model, the name of the split on which it is measured, and the metrics of the images of that split."""

    run: Run
    model: Union[Predictor, Sampler]
    split: str
    measured: Measured

    @property
    def predictor(self) -> Predictor:
        """The model without its prior."""
        return predictor_of(self.model)

    def name(self, number: int) -> str:
        """Return the name of an image: its number in the split, from 0, and its class if it has one."""
        _, labels, classes = self.measured.split
        if labels is None or not classes or labels[number] < 0:
            return f"{self.split} image {number}"
        return f"{self.split} image {number}, class {classes[labels[number]]}"


def predictor_of(model: Union[Predictor, Sampler]) -> Predictor:
    """Return a model without its prior."""
    return model.predictor if isinstance(model, Sampler) else model


def about_run(subject: Subject, other: Optional[Subject]) -> Dict[str, Any]:
    """Return the tables and charts of a run: metrics, training history and settings."""
    run, summary = subject.run, subject.measured.summary()
    return {
        "key": key_figures(summary, len(subject.predictor.codebook)),
        "figures": figures_table(summary),
        "classes": classes_table(summary.get("by_class", {})),
        "charts": history_charts(run, other.run if other else None),
        "history": history_table(run.rows, "Metrics by epoch"),
        "settings": settings_table(run.recipe, other.run.recipe if other else None),
    }


def reconstructions(subject: Subject, count: int) -> Dict[str, List[Figure]]:
    """Return the images with the smallest and the largest errors; none is in both lists, unless it is the only one."""
    errors = subject.measured.figures["mse"]
    count = min(count, max(1, len(errors) // 2))
    best, worst = np.argsort(errors, kind="stable")[:count], np.argsort(-errors, kind="stable")[:count]
    return {name: _reconstructed(subject, chosen) for name, chosen in (("best", best), ("worst", worst))}


def _drawn(entry: Tuple[int, Dot, int]) -> Tuple[bool, float]:
    """Return the place of (code, dot, count) in the order of drawing: unused codes, large dots, small ones."""
    _, dot, count = entry
    return count > 0, -dot.radius


def _reconstructed(subject: Subject, chosen: np.ndarray) -> List[Figure]:
    originals = subject.measured.split.images[chosen]
    made = to_bytes(subject.predictor.reconstruct(to_unit(originals)))
    figures = []
    for number, original, image in zip(chosen, originals, made):
        name = subject.name(number)
        pictures = [
            Picture(png_uri(original), f"{name}, original", "original"),
            Picture(png_uri(image), f"{name}, reconstruction", "reconstruction"),
            Picture(png_uri(difference(original, image)), f"{name}, absolute difference", "difference"),
        ]
        figures.append(Figure(pictures, f"{name}: MSE {subject.measured.figures['mse'][number]:.5f}"))
    return figures


def codebook_of(subject: Subject) -> Dict[str, Any]:
    """Return the usage of each code, a map of the codebook rows, and the patch of each code, the most used first."""
    predictor, counts = subject.predictor, subject.measured.codes.counts
    shares = counts / counts.sum()
    dots, shown = map_rows(predictor.codebook, shares)
    patches = [png_uri(to_bytes(patch)) for patch in decoded_patches(predictor)]
    codes = [
        {"code": code, "count": int(counts[code]), "share": _percent(shares[code]), "patch": patches[code]}
        for code in np.argsort(-counts, kind="stable").tolist()
    ]
    used = int(np.count_nonzero(counts))
    top, bottom = min(dot.y - dot.radius for dot in dots), max(dot.y + dot.radius for dot in dots)
    about = f"Use of {len(counts)} codes: {used} are used, the most used one at {100 * shares.max():.1f} % of positions"
    return {
        "colours": code_colours(predictor.codebook),
        "usage": draw_usage("usage", about, shares),
        "dots": sorted(zip(range(len(dots)), dots, counts.tolist()), key=_drawn),
        "frame": f"0 {top - 1:.2f} 100 {bottom - top + 2:.2f}",
        "shown": f"{100 * shown:.0f} %",
        "first": codes[:_PATCHES],
        "rest": codes[_PATCHES:],
        "used": used,
        "dimensions": predictor.codebook.shape[1],
        "places": int(np.prod(predictor.codes_shape)),
    }


def codes_of(subject: Subject, count: int) -> List[Dict[str, Any]]:
    """Return the codes of a few images, evenly spaced in the split; if it has labels, it is sorted by class first."""
    images, labels, _ = subject.measured.split
    order = np.arange(len(images)) if labels is None else np.argsort(labels, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(images) - 1, min(count, _EXAMPLES)).astype(int))]
    originals = images[chosen]
    codes = subject.predictor.encode(to_unit(originals))
    made = to_bytes(subject.predictor.decode(codes))
    examples = []
    for number, original, grid, image in zip(chosen, originals, codes, made):
        name = subject.name(number)
        examples.append(
            {
                "name": name,
                "original": Picture(png_uri(original), f"{name}, original", "original"),
                "reconstruction": Picture(png_uri(image), f"{name}, reconstruction", "reconstruction"),
                "rows": grid.tolist(),
                "numbered": grid.shape[1] <= _WIDEST_NUMBERED,
            }
        )
    return examples


def prior_of(subject: Subject, count: int) -> Optional[Dict[str, Any]]:
    """Return the bits of images, the likeliest and the least likely images, and samples; None without a prior."""
    sampler, figures = subject.model, subject.measured.figures
    if not isinstance(sampler, Sampler):
        return None
    bits, places = figures["bits_per_image"], sampler.size.places
    means = {
        "Independent codes, all equally likely": places * math.log2(sampler.size.num_embeddings),
        "Independent codes, by frequency of use": places * math.log2(subject.measured.codes.summary()["perplexity"]),
        "Prior": bits.mean(),
    }
    if "bits_per_image_with_class" in figures:
        means["Prior, given the class"] = figures["bits_per_image_with_class"].mean()
    rows = [[name, f"{mean:.2f}"] for name, mean in means.items()]
    about = f"Bits per image: from {bits.min():.1f} to {bits.max():.1f}, {bits.mean():.1f} on average"
    order = np.argsort(bits, kind="stable")
    few = min(count, max(1, len(bits) // 2))
    head = ["model of the codes", "bits per image"]
    options = f"--model {shlex.quote(subject.run.name)} --count {count} --seed {_SEED}"
    return {
        "table": Table(f"Mean bits per image on the {subject.split} split", head, rows),
        "chart": prior_chart(subject.run),
        "history": history_table(subject.run.prior_rows, "Metrics of the prior by epoch"),
        "bits": draw_histogram("bits", about, bits, "bits per image"),
        "likeliest": _originals(subject, order[:few]),
        "strangest": _originals(subject, order[::-1][:few]),
        "command": f"vqvae generate OUT.png {options}",
        "samples": _samples(sampler, count, None),
        "by_class": [(name, _samples(sampler, 1, name)[0]) for name in sampler.classes[:_MOST_CLASSES]],
        "hints": prior_hints(subject.run, places),
    }


def _originals(subject: Subject, chosen: np.ndarray) -> List[Figure]:
    images, bits = subject.measured.split.images[chosen], subject.measured.figures["bits_per_image"]
    names = [subject.name(number) for number in chosen]
    return [
        Figure([Picture(png_uri(image), name)], f"{name}: {bits[number]:.1f} bits")
        for number, name, image in zip(chosen, names, images)
    ]


def _samples(sampler: Sampler, count: int, label: Optional[str]) -> List[Picture]:
    codes = sampler.sample(count, label, _SEED)
    of = "" if label is None else f" of class {label}"
    images = enumerate(to_bytes(sampler.predictor.decode(codes)), 1)
    return [Picture(png_uri(image), f"sample {number}{of}") for number, image in images]


def comparison_of(subject: Subject, other: Subject, count: int) -> Dict[str, Any]:
    """Return the metrics of two runs on the same images, and the images whose errors differ most."""
    own, theirs = subject.measured.figures["mse"], other.measured.figures["mse"]
    gain = theirs - own
    order = np.argsort(-gain, kind="stable")
    better, worse = order[gain[order] > 0][:count], order[::-1][gain[order[::-1]] < 0][:count]
    fingerprints = (subject.run.manifest, other.run.manifest)
    return {
        "table": comparison_table(subject.measured.summary(), other.measured.summary()),
        "better": _beside(subject, other, better),
        "worse": _beside(subject, other, worse),
        "wins": int(np.count_nonzero(gain > 0)),
        "images": len(gain),
        "same_data": len({manifest.get("data_fingerprint") for manifest in fingerprints}) == 1,
    }


def _beside(subject: Subject, other: Subject, chosen: np.ndarray) -> List[Figure]:
    if not len(chosen):
        return []
    originals = subject.measured.split.images[chosen]
    made = [to_bytes(each.predictor.reconstruct(to_unit(originals))) for each in (subject, other)]
    figures = []
    for number, original, own, theirs in zip(chosen, originals, *made):
        name = subject.name(number)
        pictures = [
            Picture(png_uri(original), f"{name}, original", "original"),
            Picture(png_uri(own), f"{name}, reconstruction of this run", "this run"),
            Picture(png_uri(theirs), f"{name}, reconstruction of the other run", "other run"),
        ]
        errors = [each.measured.figures["mse"][number] for each in (subject, other)]
        figures.append(Figure(pictures, f"{name}: MSE {errors[0]:.5f}, other run {errors[1]:.5f}"))
    return figures


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 9.995 else f"{percent:.2f} %"
