"""Devices and threads: set in one place, and only by this package's own programs."""
import contextlib
import importlib
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Iterator, List

from .errors import VQVAEError

if TYPE_CHECKING:
    import mxnet as mx

#: The signals that ask one of this package's programs to stop.
STOPS = (signal.SIGINT, signal.SIGTERM)

#: The default limit, in GiB, on the images of a data set that are kept in memory.
MEMORY = 1.0

_MOST_THREADS = 1024
_stop = {"asked": False, "held": False}


def stop(number: int, frame: object) -> None:
    """Raise KeyboardInterrupt, as the handler of :data:`STOPS`; within :func:`uninterrupted`, wait for its end."""
    _stop["asked"] = True
    if not _stop["held"]:
        raise KeyboardInterrupt


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt if :func:`stop` was called: its own may have been lost in a library's callback."""
    if _stop["asked"]:
        raise KeyboardInterrupt


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the block end before :func:`stop` takes effect."""
    _stop["held"] = True
    try:
        yield
    finally:
        _stop["held"] = False
    stop_if_asked()


def use_all_cores() -> None:
    """Let OpenMP use every core this process may run on, unless OMP_NUM_THREADS is set.

    By default, MXNet uses half of the logical cores. Call this before mxnet is imported: OpenMP reads the variable when
    it is loaded, and MXNet's own function for it affects one thread only (measured: training at 2,000 instead of 3,500
    images/s). Raises VQVAEError for a value that would end the process at that import.
    """
    text = os.environ.get("OMP_NUM_THREADS") or str(len(os.sched_getaffinity(0)))
    check_number("OMP_NUM_THREADS", text, _MOST_THREADS)
    os.environ["OMP_NUM_THREADS"] = text


def leave_out_sklearn() -> None:
    """Keep MXNet from importing scikit-learn, which takes a fifth of its own import, for a class that is not used here.

    Call this before mxnet is imported, and :func:`let_in_sklearn` before scikit-learn is.
    """
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]  # Python then says that it is not installed


def let_in_sklearn() -> None:
    """End the effect of :func:`leave_out_sklearn`."""
    if "sklearn" in sys.modules and sys.modules["sklearn"] is None:
        del sys.modules["sklearn"]


def check_number(variable: str, text: str, most: int) -> int:
    """Return the number that an environment variable gives; raise VQVAEError unless it is whole and in [1, most]."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise VQVAEError(f"{variable} was given as {text!r}: it must be a whole number from 1 to {most}")
    return int(text)


def environment_fault() -> str:
    """Return what is wrong with this process's Python or libraries, or an empty string."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 8) <= sys.version_info < (3, 12):
        return f"this is Python {version}, MXNet 1.9.1 needs 3.8 to 3.11; use another Python"
    try:
        for name in ("mxnet", "gluoncv", "scipy", "matplotlib", "tqdm", "jinja2"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed for {sys.executable}; run bash build.sh or pip install vqvae-gluon"
    except OSError as error:
        if error.errno is not None:
            return f"the libraries cannot be loaded ({error.strerror})"
        return f"a system library is missing ({error}); on Debian run apt-get install libgomp1 libgl1 libglib2.0-0"
    except (AttributeError, ImportError):
        import numpy as np

        return f"MXNet 1.9.1 does not work with NumPy {np.__version__}; run pip install 'numpy<1.24'"
    return ""


def file_fault(error: Exception) -> str:
    """Return the message for a file that the system refuses, such as for its long name; else an empty string."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: cannot be used ({error.strerror})"
    return ""


def memory_fault(error: Exception) -> str:
    """Return what to do about an error of Python or MXNet that is a lack of memory; else an empty string."""
    of_mxnet = isinstance(error, RuntimeError) or type(error) is Exception
    if isinstance(error, MemoryError) or (of_mxnet and re.search("allocate|out of memory", str(error))):
        return "there is not enough memory for this; lower the batch size, the image size or the size of the model"
    return ""


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep messages of C libraries, such as libpng's, off standard error; for command lines only."""
    if sys.stderr is None:  # it is closed: there is nothing to keep quiet
        yield
        return
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Flush standard output after a block that prints, so that a full disk is an error like any other.

    Raises VQVAEError if the output cannot be written, and BrokenPipeError if its reader has gone.
    """
    if sys.stdout is None:
        raise VQVAEError("standard output: cannot be written (it is closed)")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise VQVAEError(f"standard output: cannot be written ({error.strerror})") from None


def drop_output() -> None:
    """Discard further standard output: otherwise Python would try to write it again, and complain, when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse_contexts(text: str) -> "List[mx.Context]":
    """Return the devices named by 'cpu', 'gpu', 'gpu(1)' or a comma-separated list of such names.

    Raises VQVAEError for any other word, a device named twice, or a GPU that this machine lacks.
    """
    contexts = [_parse_context(word.strip()) for word in text.split(",")]
    if len(set(contexts)) < len(contexts):
        raise VQVAEError(f"device list {text!r} names a device twice")
    return contexts


def has_gpu() -> bool:
    """Return whether MXNet sees a GPU on this machine."""
    import mxnet as mx

    try:
        return mx.context.num_gpus() > 0
    except mx.MXNetError:  # a driver that it cannot use
        return False


def _parse_context(word: str) -> "mx.Context":
    import mxnet as mx

    kind, _, rest = word.partition("(")
    number = rest[:-1] if rest.endswith(")") else ("0" if not rest else "")
    if kind not in ("cpu", "gpu") or not number.isdigit():
        raise VQVAEError(f"unknown device {word!r}: give cpu, gpu, or a list such as gpu(0),gpu(1)")
    if kind == "gpu" and int(number) >= mx.context.num_gpus():
        raise VQVAEError(f"device {word!r} does not exist: MXNet sees {mx.context.num_gpus()} GPUs here")
    return mx.Context(kind, int(number))
