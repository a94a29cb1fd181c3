"""Measure this package side by side with PyTorch, ONNX Runtime and vector-quantize-pytorch.

Usage: .venv/bin/python benchmarks/run.py [--rounds 5] [--quick] [--only training,latency]     (after bash build.sh)

The contenders take turns, round after round, on the same number of threads (OMP_NUM_THREADS, else every core); for one
image at a time each is also measured on one thread, and its better numbers count. Each works in its own process, and
while one is timed the others wait. The first round warms up and is not counted. The results go to
benchmarks/results/<date>.json; with --only, the file name includes the sections. Absolute numbers hold for one machine
at one time.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List

from bench import BUILD, FULL, HERE, QUICK, ROOT, SECTIONS, Bench, Figures
from environment import make_peers
from report import format_memory, format_table, summarize


def main() -> None:
    """Measure, print the table, and write all measurements to a file."""
    options = _options()
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    machine = _machine()
    peers = make_peers()
    _build_program()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(peers, Path(folder), QUICK if options.quick else FULL, options.recipe, options.peer_recipes)
        rounds = _measure(bench, [name for name in options.only if name != "memory"], options.rounds)
        memory = bench.memory() if "memory" in options.only else []
        versions, idle = bench.versions(), bench.idle_share()
        bench.close()
    rows = summarize(rounds)
    for table in filter(None, (format_table(rows), format_memory(memory))):
        print(f"\n{table}")
    print(f"\n{machine['cpu']}, {machine['instructions']}, {machine['threads']} threads.")
    print("One at a time, if nothing else is said: the better of one thread and all, by the median of a turn.")
    print(f"Waiting processes used {idle:.2%} of a core while others were measured.")
    result = {
        "date": datetime.now().isoformat(timespec="seconds"),
        "commit": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "machine": machine,
        "versions": versions,
        "options": {name: value for name, value in vars(options).items() if name != "output"},
        "agreement": bench.agreement,
        "choices": bench.choices,
        "idle_share": idle,
        "table": rows,
        "memory": memory,
        "rounds": rounds,
    }
    _write(result, options.output)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="counted rounds (default: 5; with --quick: 1)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything works")
    parser.add_argument("--only", type=_sections, default=list(SECTIONS), metavar="NAME,NAME", help=", ".join(SECTIONS))
    parser.add_argument(
        "--recipe",
        type=_settings,
        default={},
        metavar="NAME=VALUE,...",
        help="changes to recipe ema in the race to a validation MSE",
    )
    parser.add_argument(
        "--peer-recipes",
        type=_peer_recipes,
        default="1e-3x20,2e-3x60",
        metavar="RATExEPOCHS,...",
        help="what vector-quantize-pytorch tries in it, all with cosine decay; the fastest counts (%(default)s)",
    )
    parser.add_argument("--output", type=Path, help="folder of the results (with --quick: benchmarks/build)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.output = options.output or (BUILD if options.quick else HERE / "results")
    return options


def _sections(text: str) -> List[str]:
    if not set(text.split(",")) <= set(SECTIONS):
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(SECTIONS)}")
    return text.split(",")


def _settings(text: str) -> Dict[str, Any]:
    pairs = (pair.split("=", 1) for pair in text.split(","))
    return {name: _number(value) for name, value in pairs}


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _peer_recipes(text: str) -> List[Dict[str, float]]:
    pairs = (pair.split("x") for pair in text.split(","))
    return [{"learning_rate": float(rate), "epochs": int(epochs)} for rate, epochs in pairs]


def _build_program() -> None:
    configure = ["cmake", "-S", str(HERE), "-B", str(BUILD), f"-DPython3_EXECUTABLE={sys.executable}"]
    for command in (configure, ["cmake", "--build", str(BUILD)]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _measure(bench: Bench, sections: List[str], rounds: int) -> Dict[str, Dict[str, List[Figures]]]:
    """Return each contender's numbers for each kind of work in each counted round."""
    measurements = [measurement for name in sections for measurement in bench.measurements(name)]
    results = {m.work: {name: [] for name in m.contenders} for m in measurements}
    for number in range(rounds + 1):
        for work, contenders, warm_up, turns in measurements:
            if number == 0 and not warm_up:
                continue
            for name, contender in list(contenders.items()) * (turns if number else 1):
                figures = bench.measure(contender)
                print(f"round {number}: {work}, {name}: {_short(figures)}", flush=True)
                if number:
                    results[work][name].append(figures)
    return results


def _short(figures: Figures) -> str:
    return ", ".join(f"{value:.5g} {unit}" for unit, value in figures.items())


def _machine() -> Dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {
        "cpu": names[0] if names else platform.machine(),
        "instructions": "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "others",
        "cores": len(os.sched_getaffinity(0)),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "load_before": os.getloadavg(),
    }


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip()


def _write(result: Dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sections = result["options"]["only"]
    part = "" if len(sections) == len(SECTIONS) else "-" + "-".join(sections)
    path = folder / f"{result['date'][:10]}{part}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
