"""The command line ``vqvae``, one module per command.

Each command imports the heavy modules that it needs, so that --help and errors appear at once.
"""
import argparse
import os
import signal
import sys
import warnings
from typing import IO, List, NoReturn, Optional

from .. import __version__
from ..errors import VQVAEError
from ..runtime import (
    STOPS,
    drop_output,
    environment_fault,
    file_fault,
    leave_out_sklearn,
    memory_fault,
    printing,
    stop,
    stop_if_asked,
    use_all_cores,
)
from . import (
    check,
    compare,
    decode,
    encode,
    evaluate,
    export,
    export_onnx,
    generate,
    launch,
    merge,
    pack,
    page,
    prior,
    reconstruct,
    report,
    score,
    train,
)
from .common import tell

# In the order of --help.
_COMMANDS = (
    *(pack, train, launch, compare, evaluate, report, encode, merge, decode, reconstruct),
    *(export, export_onnx, page, check, prior, generate, score),
)


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: Optional[IO[str]] = None) -> None:
        with printing():
            sys.stdout.write(message)

    def error(self, message: str) -> NoReturn:
        tell(f"error: {message}; see {self.prog} --help")
        self.exit(2)


class _CMakeDir(argparse.Action):
    """Prints the value to give CMake's variable vqvae_DIR."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> NoReturn:
        from ..files import shipped_folder

        parser._print_message(f"{shipped_folder('cpp', 'cpp') / 'cmake'}\n")
        parser.exit()


def _pass_over_stops(lost: "sys.UnraisableHookArgs") -> None:
    """Ignore a KeyboardInterrupt raised in a destructor, which is lost there: ``stop_if_asked`` raises it again."""
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command and return its exit status.

    The status is 0 on success and 2 for a user's mistake, which is explained in one line on standard error. When
    stopped, the process exits with 130; when the reader of standard output has gone, the status is 1.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' warnings are for developers; python -W shows them
    sys.unraisablehook = _pass_over_stops
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:  # it is ignored under nohup, say
            signal.signal(number, stop)
    leave_out_sklearn()
    try:
        options = _parser().parse_args(arguments)
        if options.run is not launch.run:  # its processes share the cores
            use_all_cores()
        try:
            options.run(options)
        except Exception:
            stop_if_asked()  # a library may turn an interrupt into another error
            raise
    except VQVAEError as error:
        tell(f"error: {error}")
        return 2
    except BrokenPipeError:
        drop_output()  # nobody reads the output any more: be quiet
        return 1
    except KeyboardInterrupt as interrupt:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        tell(str(interrupt) or "stopped")
        os._exit(130)  # an orderly shutdown is not always possible: MXNet sometimes aborts
    except Exception as error:
        fault = file_fault(error) or memory_fault(error) or environment_fault()
        if not fault:
            raise
        tell(f"error: {fault}")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    about = "Train a VQ-VAE, turn images into codes and back, and generate new ones."
    parser = _Parser(prog="vqvae", description=about)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--cmake-dir", action=_CMakeDir, nargs=0, help="print where CMake finds our C++ headers")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    parser.set_defaults(parse=parser.parse_args)  # for launch, which runs another command
    return parser
