"""The processes of a training with several workers: where they run, with which variables and which command."""
import os
import shlex
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

from ..errors import VQVAEError
from ..files import read_bytes
from ..workers import MOST_WORKERS

LOOPBACK = "127.0.0.1"
#: The commands that several workers can run.
COMMANDS = ("train", "prior")


class Host(NamedTuple):
    """A machine: its name for ssh, empty for this one, and the address at which the other machines reach it."""

    name: str
    address: str


class Part(NamedTuple):
    """One process: its name, where it runs, the environment variables that it needs, and its command.

    ``shares`` is the number of workers that share the cores of its machine.
    """

    name: str
    host: Host
    variables: Dict[str, str]
    command: List[str]
    shares: int

    def text(self) -> str:
        """Return the command line for a shell."""
        words = [f"{name}={value}" for name, value in self.variables.items()]
        return shlex.join(["env", *words, *self.command])


def make_plan(command: Sequence[str], workers: int, servers: int, hosts: Sequence[Host], port: int) -> List[Part]:
    """Return the processes, dealt out to the hosts in turn: the scheduler, then the servers, then the workers.

    Raises VQVAEError for numbers out of range.
    """
    for flag, number in (("--workers", workers), ("--servers", servers)):
        if not 1 <= number <= MOST_WORKERS:
            raise VQVAEError(f"{flag} was given as {number}: it must be from 1 to {MOST_WORKERS}")
    common = {
        "DMLC_PS_ROOT_URI": hosts[0].address,
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": str(workers),
        "DMLC_NUM_SERVER": str(servers),
    }

    machines = Counter(hosts[number % len(hosts)].name for number in range(workers))

    def part(role: str, number: int, name: str, words: List[str]) -> Part:
        host = hosts[number % len(hosts)]
        variables = {"DMLC_ROLE": role, "DMLC_NODE_HOST": host.address, **common}
        if role == "worker":
            variables["DMLC_WORKER_ID"] = str(number)
        return Part(name, host, variables, [sys.executable, *words], machines[host.name] or 1)

    # MXNet becomes a scheduler or a server as soon as it is imported.
    serve = ["-c", "from vqvae_gluon.runtime import leave_out_sklearn; leave_out_sklearn(); import mxnet"]
    train = ["-m", "vqvae_gluon", *command]
    return [
        part("scheduler", 0, "the scheduler", serve),
        *(part("server", number, f"server {number}", serve) for number in range(servers)),
        *(part("worker", number, f"worker {number}", train) for number in range(workers)),
    ]


def read_hosts(path: str) -> List[Host]:
    """Return the hosts in a file, which gives for each a name for ssh and, if it differs, the address for the others.

    Raises VQVAEError for a file without hosts, a line with more words, or a name whose address is unknown.
    """
    hosts = []
    for number, line in enumerate(read_bytes(path).decode("utf-8", "replace").splitlines(), 1):
        words = line.partition("#")[0].split()
        if len(words) > 2 or (words and words[0].startswith("-")):
            raise VQVAEError(f"{path}:{number}: holds {line.strip()!r}: give a host and, if need be, its address")
        if words:
            hosts.append(Host(words[0], _address(words[-1].rpartition("@")[2], f"{path}:{number}")))
    if not hosts:
        raise VQVAEError(f"{path}: names no host; give one on each line")
    return hosts


def free_port() -> int:
    """Return a port of this machine that is not in use."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def remote_text(text: str) -> str:
    """Return the command line that runs ``text`` on another machine, in the same folder and with our variables."""
    kept = ("OMP_NUM_THREADS", "PYTHONPATH")
    ours = {name: value for name, value in os.environ.items() if name in kept or name.startswith(("MXNET_", "VQVAE_"))}
    words = shlex.join(f"{name}={value}" for name, value in ours.items())
    # The shell stays, to tell a command that was killed by a signal from a lost connection.
    return f"cd {shlex.quote(str(Path.cwd()))} && env {words} {text}; exit $?"


def _address(name: str, place: str) -> str:
    try:
        return socket.gethostbyname(name)
    except OSError:
        raise VQVAEError(f"{place}: {name} has no address that is known here; give it after the name") from None
