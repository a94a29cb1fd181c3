"""Turn the results of images.py into the tables and pictures of docs/images.md."""
import csv
import io
import statistics
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from dlcr import ROOT, paste
from report import markdown_table

from vqvae_gluon.evaluation.plots import draw_rows
from vqvae_gluon.files import parse_json, read_bytes, write_bytes

PAGE, PICTURES = ROOT / "docs" / "images.md", ROOT / "docs" / "images"
PEER = "vector-quantize-pytorch"
_LOOK = ("updates", "seconds", "cpu_seconds", "mse", "perplexity", "codes_used")

Looks = Sequence[Dict[str, float]]
Lines = List[List[str]]


def write_report(results: Path, names: Sequence[str]) -> None:
    """Write the tables, pictures and curves of what has been measured; the rest of the page stays as it was."""
    races = {name: _read(results / name, "seed-*.json") for name in names}
    races = {name: found for name, found in races.items() if found}
    grids = {name: found for name, found in ((name, _read(results / name, "grid-*.json")) for name in names) if found}
    strange = _read(results / "strange", "seed-*.json")
    PICTURES.mkdir(exist_ok=True)
    tables: Dict[str, Lines] = {}
    if races:
        tables.update(errors=errors(races), times=times(races))
        write_bytes(PICTURES / "curves.csv", curves(races).encode())
        paste(PAGE, "pictures", "\n".join(f"{name}\n\n![](images/{name}.png)\n" for name in races))
    if grids:
        tables["grid"] = grid(grids)
    if strange:
        tables["strange"] = strange_table(strange)
    for mark, lines in tables.items():
        paste(PAGE, mark, markdown_table(lines) + "\n")
    for name in races:
        titles = (("original", "originals"), ("ours", "ours"), (PEER, "peer"))
        rows = [(title, np.load(results / name / f"{file}.npy")) for title, file in titles]
        draw_rows(PICTURES / f"{name}.png", rows)


def _read(folder: Path, pattern: str) -> List[Dict[str, Any]]:
    return [parse_json(path, read_bytes(path)) for path in sorted(folder.glob(pattern))]


def errors(races: Dict[str, List[Dict[str, Any]]]) -> Lines:
    """Return the table of validation errors, and of how well the codes are used at the end."""
    titles = ["MSE at the end", "lowest MSE", "perplexity", "codes used"]
    lines = [["images", "", *titles]]
    for name, results in races.items():
        for who, title in (("ours", "ours"), ("peer", PEER)):
            looks = [result["looks"][who] for result in results]
            lasts = [one[-1] for one in looks]
            cells = [
                mean([last["mse"] for last in lasts], ".5f"),
                mean([min(look["mse"] for look in one) for one in looks], ".5f"),
                *(mean([last[column] for last in lasts], ".0f") for column in ("perplexity", "codes_used")),
            ]
            lines.append([name if who == "ours" else "", title, *cells])
    return lines


def times(races: Dict[str, List[Dict[str, Any]]]) -> Lines:
    """Return the table of training times: CPU seconds per update, and seconds until the peer's last error."""
    paces, reached = "CPU s an update", "s to the peer's last error"
    lines = [["images", "updates", f"{paces}: ours", "peer", f"{reached}: ours", "peer", "times sooner", "by CPU time"]]
    for name, results in races.items():
        pairs = [(result["looks"]["ours"], result["looks"]["peer"]) for result in results]
        cells = [mean([one[-1]["cpu_seconds"] / one[-1]["updates"] for one in each], ".3f") for each in zip(*pairs)]
        ours, theirs = zip(*([first_look(looks, peer[-1]["mse"]) for looks in (mine, peer)] for mine, peer in pairs))
        seconds = mean([look["seconds"] for look in theirs], ".0f")
        late = ours.count(None)
        if late:
            cells += [f"not reached by {late} of {len(ours)}", seconds, "", ""]
        else:
            cells += [mean([look["seconds"] for look in ours], ".0f"), seconds]
            for clock in ("seconds", "cpu_seconds"):
                cells.append(mean([their[clock] / our[clock] for our, their in zip(ours, theirs)], ".2f"))
        lines.append([name, str(pairs[0][0][-1]["updates"]), *cells])
    return lines


def first_look(looks: Looks, mse: float) -> Optional[Dict[str, float]]:
    """Return the first look with this validation MSE or less, or None if there is none."""
    return next((look for look in looks if look["mse"] <= mse), None)


def grid(grids: Dict[str, List[Dict[str, Any]]]) -> Lines:
    """Return the table of the peer's validation errors with each setting that was tried, the lowest in bold."""
    last = {name: [result["looks"]["peer"][-1]["mse"] for result in found] for name, found in grids.items()}
    rows = max(grids.values(), key=len)
    lines = [["settings", *grids]]
    for number, result in enumerate(rows):
        change = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result["settings"]["change"].items())
        cells = []
        for values in last.values():
            text = f"{values[number]:.5f}" if number < len(values) else ""
            cells.append(f"**{text}**" if text and values[number] == min(values) else text)
        lines.append([change, *cells])
    return lines


def strange_table(results: Sequence[Dict[str, Any]]) -> Lines:
    """Return the table of areas under the ROC curve: a row for each score, a column for each kind of cell."""
    counts = results[0]["counts"]
    lines = [["score", *(f"{kind}: {n['sound']} sound, {n['defective']} defective" for kind, n in counts.items())]]
    for name in next(iter(results[0]["areas"].values())):
        lines.append([name, *(mean([result["areas"][kind][name] for result in results], ".3f") for kind in counts)])
    return lines


def curves(races: Dict[str, List[Dict[str, Any]]]) -> str:
    """Return every look as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("images", "seed", "who", *_LOOK))
    for name, results in races.items():
        for result in results:
            for who, looks in result["looks"].items():
                for look in looks:
                    figures = [f"{look[column]:.6g}" for column in _LOOK]
                    writer.writerow((name, result["settings"]["peer"]["seed"], who, *figures))
    return text.getvalue()


def mean(values: Sequence[float], form: str) -> str:
    """Return the mean and, if the values differ, the standard deviation after ±."""
    text = f"{statistics.mean(values):{form}}"
    return f"{text} ± {statistics.stdev(values):{form}}" if len(set(values)) > 1 else text
