"""What is measured, and which contenders are compared."""
import itertools
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from report import is_rate
from timing import percentiles
from worker import Worker, peak_memory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = HERE / "build"
LATENCY, GENERATE = BUILD / "latency", BUILD / "generate"
BULK, PROGRAM = ROOT / "cpp" / "build" / "bulk", ROOT / "cpp" / "build" / "vqvae"
MODEL = ROOT / "pre-trained"
DIGIT = ROOT / "src" / "test" / "test_pre-trained" / "images" / "3.png"
SECTIONS = ("training", "bulk", "latency", "start", "imports", "target", "prior", "memory")

#: What a contender reached, by unit; the first one is what a choice goes by.
Figures = Dict[str, float]

# Seconds in which threads that spin after their work come to rest.
_REST = 0.2

_LAYOUTS = [{"channels_last": False}, {"channels_last": True}]


class Sizes(NamedTuple):
    """The sizes of the measurements: counts of images, an MSE per pixel, sides in pixels, starts of a process."""

    training: int = 12_800
    bulk: int = 10_000
    trial: int = 2_000
    bulk_batches: Tuple[int, ...] = (16, 32, 50, 100, 250, 500, 1000)
    single: int = 2_000
    single_turns: int = 5
    starts: int = 3
    target_mse: float = 0.0040
    target_training: int = 50_000
    target_validation: int = 10_000
    target_stretch: int = 2_560
    prior_training: int = 6_400
    prior_counts: Tuple[Tuple[int, int], ...] = ((1, 40), (100, 6))
    memory_batches: Tuple[int, ...] = (32, 128, 500)
    memory_sides: Tuple[int, ...] = (28, 64, 128, 256)
    training_batches: Tuple[int, ...] = (32, 128, 500)


FULL = Sizes()
QUICK = Sizes(1_000, 200, 100, (16, 100), 50, 1, 1, 0.09, 2_000, 500, 512, 320, ((1, 2), (20, 1)), (32, 128), (28, 64))


class Measurement(NamedTuple):
    """One kind of work and its contenders; each call of a contender measures it once.

    ``turns`` is the number of turns of each contender per round; ``warm_up`` adds a first round that does not count.
    """

    work: str
    contenders: Dict[str, Callable[[], Figures]]
    warm_up: bool = True
    turns: int = 1


class Bench:
    """The workers and their tasks.

    Parameters
    ----------
    peers : path
        The Python of the peers' environment.
    folder : path
        The working folder of all processes; its contents are not kept.
    sizes : Sizes
    recipe : dict
        Our changes to the recipe ``ema`` in the race to a validation MSE.
    peer_recipes : sequence of dict
        The settings that vector-quantize-pytorch may try in that race: ``learning_rate`` and ``epochs``.

    Attributes
    ----------
    agreement : dict
        How well the reconstructions of the peers' models agree with ours.
    choices : dict
        The settings tried in order to find each contender's best ones, with their results.
    """

    def __init__(
        self,
        peers: Path,
        folder: Path,
        sizes: Sizes,
        recipe: Dict[str, Any],
        peer_recipes: Sequence[Dict[str, float]],
    ) -> None:
        self.folder, self.sizes = folder, sizes
        self.choices: Dict[str, Dict[str, float]] = {}
        self._peers, self._recipe, self._peer_recipes = peers, recipe, peer_recipes
        self._ours = Worker(Path(sys.executable), HERE / "ours.py", folder, "ours")
        self._torch = Worker(peers, HERE / "peers.py", folder, "torch")
        self._onnx = Worker(peers, HERE / "peers.py", folder, "onnx")
        self._workers = (self._ours, self._torch, self._onnx)
        self._threads = int(os.environ["OMP_NUM_THREADS"])
        self._seconds = self._idle_seconds = 0.0
        self._ours.call("prepare")
        self.agreement = self._torch.call("prepare")

    def close(self) -> None:
        """Stop the workers."""
        for worker in self._workers:
            worker.close()

    def versions(self) -> Dict[str, Dict[str, str]]:
        """Return the versions of both sides' libraries."""
        return {"ours": self._ours.call("versions"), "peers": self._torch.call("versions")}

    def measurements(self, section: str) -> List[Measurement]:
        """Return the measurements of a section, after finding the best settings of each contender."""
        return list(getattr(self, f"_{section}")())

    def measure(self, contender: Callable[[], Figures]) -> Figures:
        """Call a contender, and record how much the others computed meanwhile."""
        time.sleep(_REST)
        before = [(worker.calls, worker.cpu_seconds()) for worker in self._workers]
        start = time.perf_counter()
        figures = contender()
        self._seconds += time.perf_counter() - start
        for worker, (calls, cpu_seconds) in zip(self._workers, before):
            if worker.calls == calls:
                self._idle_seconds += worker.cpu_seconds() - cpu_seconds
        return figures

    def idle_share(self) -> float:
        """Return the share of a core that waiting workers used while others were measured."""
        return self._idle_seconds / self._seconds if self._seconds else 0.0

    def memory(self) -> List[Dict[str, Any]]:
        """Return the peak memory in MiB of whole processes of our package: on four batches of noise, and on MNIST."""
        batches, sides = self.sizes.memory_batches, self.sizes.memory_sides
        cases = [(batch, sides[0]) for batch in batches] + [(batches[0], side) for side in sides[1:]]
        rows = []
        for batch, side in cases:
            noise = {"side": side, "images": 4 * batch}
            self._ours.call("export_untrained", **noise)
            model, images = f"side{side}", f"side{side}.bytes"
            peaks = {
                "training": self._worker_peak("train_on_noise", batch=batch, **noise),
                "bulk encoding": self._worker_peak("encode_file", batch=batch, model=model, images=images),
                "C++ program bulk": self._peak(BULK, model, batch, images, "codes", "reconstructions"),
            }
            rows += [{"work": work, "batch": batch, "side": side, "MiB": peak} for work, peak in peaks.items()]
        mnist = {"model": str(MODEL), "images": "test.bytes", "batch": 100}
        peaks = {
            "training on MNIST, recipe ema": self._worker_peak("train_on_mnist"),
            "bulk encoding of 10,000 digits": self._worker_peak("encode_file", **mnist),
            "C++ program vqvae reconstruct": self._peak(PROGRAM, "reconstruct", DIGIT, "ours.png"),
        }
        return rows + [{"work": work, "MiB": peak} for work, peak in peaks.items()]

    def _training(self) -> Iterator[Measurement]:
        for batch in self.sizes.training_batches:
            size = {"batch": batch, "images": self.sizes.training}
            yield Measurement(
                f"training, batch {batch}",
                {
                    "ours": partial(self._ours.call, "train", **size),
                    "PyTorch eager": partial(self._torch.call, "train", **size, **self._layout("eager", batch)),
                    "torch.compile": partial(self._torch.call, "train", **size, **self._layout("compile", batch)),
                },
            )
        yield Measurement("matrix product", {"ours": partial(self._ours.call, "sgemm")})

    def _layout(self, kind: str, batch: int) -> Dict[str, Any]:
        trial = max(self.sizes.trial, 2 * batch)
        train = partial(self._torch.call, "train", kind=kind, batch=batch, images=trial)
        return {"kind": kind, **self._choose(f"training, {kind}, batch {batch}", _LAYOUTS, train)}

    def _bulk(self) -> Iterator[Measurement]:
        batches = [{"batch": batch} for batch in self.sizes.bulk_batches]
        layouts = [{**batch, **layout} for batch in batches for layout in _LAYOUTS]
        torch, onnx = partial(self._torch.call, "bulk_torch"), partial(self._onnx.call, "bulk_onnx")
        contenders = {
            "ours, Python": (partial(self._ours.call, "bulk"), batches),
            "ours, C++": (self._bulk_program, batches),
            "PyTorch eager": (torch, layouts),
            "ONNX Runtime": (onnx, batches),
            "ours, C++, two callers": (partial(self._bulk_program, callers=2), batches),
            "PyTorch eager, two callers": (partial(torch, callers=2), layouts),
            "ONNX Runtime, two callers": (partial(onnx, callers=2), batches),
        }
        chosen = {}
        for name, (reconstruct, candidates) in contenders.items():
            best = self._choose(f"bulk, {name}", candidates, partial(reconstruct, images=self.sizes.trial))
            chosen[name] = partial(reconstruct, images=self.sizes.bulk, **best)
        yield Measurement("reconstructing in bulk", chosen)

    def _bulk_program(self, images: int, batch: int, callers: int = 1) -> Figures:
        part = self.folder / f"{images}.bytes"
        if not part.exists():
            part.write_bytes((self.folder / "test.bytes").read_bytes()[: images * 28 * 28])
        # A caller is a thread with a codec; they share the threads.
        threads = str(max(1, self._threads // callers))
        seconds = self._run(BULK, MODEL, batch, part, "codes", "reconstructions", callers, OMP_NUM_THREADS=threads)
        return {"images/s": images / float(seconds)}

    def _latency(self) -> Iterator[Measurement]:
        images = self.sizes.single
        torch = partial(self._torch.call, "latency_torch")
        trial = partial(torch, images=images, threads=self._threads)
        contenders = {
            "ours, C++": self._latency_program,
            "ours, Python": self._latency_python,
            "ours, Python, NaiveEngine": partial(self._latency_python, MXNET_ENGINE_TYPE="NaiveEngine"),
            "PyTorch": partial(torch, **self._choose("one at a time, PyTorch", _LAYOUTS, trial)),
            "ONNX Runtime": partial(self._onnx.call, "latency_onnx"),
        }
        either = {name: partial(self._on_one_or_all, measure, images) for name, measure in contenders.items()}
        # A turn takes seconds, and what cores cost each other changes within seconds, see docs/performance.md.
        yield Measurement("one at a time", either, turns=self.sizes.single_turns)

    def _on_one_or_all(self, measure: Callable[..., Figures], images: int) -> Figures:
        """Return the numbers on one thread or all, whichever has the better median, and also those of both."""
        counts, found = {"one thread": 1, "all threads": self._threads}, {}
        for name, threads in counts.items():
            time.sleep(_REST)
            found[name] = measure(images=images, threads=threads)
        best = min(found, key=lambda name: found[name]["p50 ms"])
        both = {f"{unit}, {name}": value for name, figures in found.items() for unit, value in figures.items()}
        return {**found[best], "threads": counts[best], **both}

    def _latency_program(self, images: int, threads: int) -> Figures:
        lines = self._run(LATENCY, MODEL, "test.bytes", images, OMP_NUM_THREADS=str(threads)).split()
        return percentiles([float(line) for line in lines])

    def _latency_python(self, images: int, threads: int, **environment: str) -> Figures:
        """Measure in a new process: after encoding a data set, single images take longer on two threads."""
        variables = {"OMP_NUM_THREADS": str(threads), **environment}
        worker = Worker(Path(sys.executable), HERE / "ours.py", self.folder, "latency", **variables)
        figures = worker.call("latency", images=images)
        worker.close()
        return figures

    def _start(self) -> Iterator[Measurement]:
        yield Measurement(
            "start to first reconstruction",
            {
                "ours, C++": partial(self._start_to_end, PROGRAM, "reconstruct", DIGIT, "ours.png"),
                "PyTorch": partial(
                    self._start_to_end, self._peers, HERE / "torch_model.py", "weights.pt", DIGIT, "peer.png"
                ),
            },
        )

    def _imports(self) -> Iterator[Measurement]:
        def start(statement: str) -> Callable[[], Figures]:
            return partial(self._start_to_end, sys.executable, "-c", statement)

        help_text = partial(self._start_to_end, Path(sys.executable).with_name("vqvae"), "--help")
        statements = ("import vqvae_gluon", "from vqvae_gluon import Predictor", "import mxnet")
        yield Measurement(
            "imports", {"vqvae --help": help_text, **{statement: start(statement) for statement in statements}}
        )

    def _target(self) -> Iterator[Measurement]:
        sizes = self.sizes
        task = {
            "target": sizes.target_mse,
            "training": sizes.target_training,
            "validation": sizes.target_validation,
            "stretch": sizes.target_stretch,
        }
        layout = {"channels_last": self._layout("vqp", 128)["channels_last"]}
        ours = partial(self._ours.call, "reach", settings=self._recipe, **task)
        theirs = partial(self._torch.call, "reach", batch=128, **task, **layout)
        recipe = self._choose("target MSE, vector-quantize-pytorch", self._peer_recipes, partial(theirs, seed=0), 1)
        self._choose("target MSE, ours", [{"seed": 0}], ours, 1)  # fails now, if it must, not in the middle
        our_seeds, their_seeds = itertools.count(1), itertools.count(1)
        yield Measurement(
            "training to the target MSE",
            {
                "ours": lambda: ours(seed=next(our_seeds)),
                "vector-quantize-pytorch": lambda: theirs(seed=next(their_seeds), **recipe),
            },
            warm_up=False,  # a run takes minutes, and the first ones are over
        )

    def _prior(self) -> Iterator[Measurement]:
        size = {"batch": 64, "images": self.sizes.prior_training}
        yield Measurement(
            "training the prior, batch 64",
            {
                "ours": partial(self._ours.call, "train_prior", **size),
                "PyTorch eager": partial(self._torch.call, "train_prior", **size),
            },
        )
        for count, times in self.sizes.prior_counts:
            contenders = {
                "ours, C++": partial(self._generate_program, count=count),
                "PyTorch eager": partial(self._torch.call, "generate", count=count),
            }
            either = {name: partial(self._on_one_or_all, measure, times) for name, measure in contenders.items()}
            yield Measurement(f"drawing the codes of {count}", either, turns=self.sizes.single_turns)

    def _generate_program(self, images: int, threads: int, count: int) -> Figures:
        lines = self._run(GENERATE, MODEL, count, images, OMP_NUM_THREADS=str(threads)).split()
        return percentiles([float(line) for line in lines])

    def _choose(
        self, title: str, candidates: Sequence[Dict[str, Any]], measure: Callable[..., Figures], tries: int = 2
    ) -> Dict[str, Any]:
        """Return the settings with the best first number; of several tries the best counts, as the first warms up."""
        found: Dict[str, float] = {}
        for settings in candidates:
            figures = [next(iter(measure(**settings).items())) for _ in range(tries)]
            rate = is_rate(figures[0][0])
            found[_label(settings)] = (max if rate else min)(value for _, value in figures)
        best = (max if rate else min)(candidates, key=lambda settings: found[_label(settings)])
        self.choices[title] = found
        print(f"{title}: {_label(best)}", flush=True)
        return best

    def _start_to_end(self, *command: Any) -> Figures:
        times = []
        for _ in range(self.sizes.starts):
            start = time.perf_counter()
            self._run(*command)
            times.append(time.perf_counter() - start)
        return {"s": statistics.median(times)}

    def _run(self, *command: Any, **environment: str) -> str:
        """Run a command in the folder, with some variables set, and return its output."""
        words = [str(word) for word in command]
        variables = {**os.environ, **environment}
        result = subprocess.run(words, cwd=str(self.folder), env=variables, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{' '.join(words)}:\n{result.stderr[-2000:]}")
        return result.stdout

    def _worker_peak(self, function: str, **arguments: Any) -> float:
        worker = Worker(Path(sys.executable), HERE / "ours.py", self.folder, "memory")
        worker.call(function, **arguments)
        return worker.close()

    def _peak(self, *command: Any) -> float:
        nowhere = subprocess.DEVNULL
        words = [str(word) for word in command]
        return peak_memory(subprocess.Popen(words, cwd=str(self.folder), stdout=nowhere, stderr=nowhere))


def _label(settings: Dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
