"""``vqvae launch``: train with several processes, here or on several machines."""
import argparse
import shlex
from pathlib import Path
from typing import Callable, List

from ..errors import VQVAEError
from .common import given, print_text, program


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    launch = commands.add_parser(
        "launch",
        help="train in several processes, here or on several machines",
        usage="%(prog)s [-h] --workers N [--hosts FILE] [--servers N] [--port N] [--dry-run] -- train|prior ...",
        description="Run 'vqvae train' or 'vqvae prior' in several processes, each of which computes a share of every "
        "batch. The result is that of one process, within rounding. MXNet's scheduler and servers are started as "
        "well. If a process dies, all are ended and, if anything was saved, the command that continues is printed.",
    )
    launch.add_argument("--workers", type=int, required=True, metavar="N", help="number of processes that compute")
    launch.add_argument(
        "--hosts",
        metavar="FILE",
        help="start them by ssh on the hosts listed in this file, in turn: one per line, a name for ssh and, if the "
        "others reach it under another, its address; every host needs the same files under the same paths (default: "
        "this machine)",
    )
    launch.add_argument("--servers", type=int, metavar="N", help="processes that sum gradients (default: 1 per host)")
    launch.add_argument("--port", type=int, metavar="N", help="port of the scheduler (default: a free one)")
    launch.add_argument(
        "--dry-run", action="store_true", help="only print the processes, one per line, for another scheduler"
    )
    launch.add_argument("words", nargs=argparse.REMAINDER, metavar="-- train|prior ...", help="what the workers run")
    launch.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Start the processes and wait for them; if one fails, say why and how to continue."""
    from ..launch.plan import LOOPBACK, Host, free_port, make_plan, read_hosts

    command = options.words[1:] if options.words[:1] == ["--"] else options.words
    of_workers = _check_command(command, options.parse)
    if options.port is not None and not 1 <= options.port < 1 << 16:
        raise VQVAEError(f"--port was given as {options.port}: it must be from 1 to 65535")
    hosts = read_hosts(options.hosts) if options.hosts else [Host("", LOOPBACK)]
    used = hosts[: max(1, options.workers)]
    servers = len(used) if options.servers is None else options.servers
    plan = make_plan(command, options.workers, servers, used, options.port or free_port())
    if options.dry_run:
        print_text("\n".join(part.text() for part in plan))
        return

    from ..launch.group import Group, check_hosts

    if options.hosts:
        check_hosts(used)
    recipe = _run_folder(of_workers) / "recipe.json"  # written when the first epoch is saved
    another = recipe.exists() and not of_workers.resume  # an earlier training, which these workers will not touch

    def with_hint(fault: str) -> str:
        return f"{fault}; resume with: {_again(options, command)}" if recipe.exists() and not another else fault

    with Group(plan) as group:
        try:
            fault = group.wait()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(with_hint(group.stop())) from None
    if fault:
        raise VQVAEError(with_hint(fault))


def _check_command(command: List[str], parse: Callable[[List[str]], argparse.Namespace]) -> argparse.Namespace:
    """Return the options of a command.

    Raises VQVAEError unless it is one that several workers can run, and SystemExit if its options cannot be parsed.
    """
    from ..launch.plan import COMMANDS

    if not command or command[0] not in COMMANDS:
        first = f"'{command[0]}'" if command else "no command"
        raise VQVAEError(f"launch was given {first} to run: give train or prior with its options after --")
    return parse(command)


def _run_folder(options: argparse.Namespace) -> Path:
    from . import prior, train

    return train.run_folder(options) if options.run is train.run else prior.prior_folder(options)


def _again(options: argparse.Namespace, command: List[str]) -> str:
    flags = given(options, "workers", "hosts", "servers", "port")
    resume = [] if "--resume" in command else ["--resume"]
    return shlex.join([program(), "launch", *flags, "--", *command, *resume])
